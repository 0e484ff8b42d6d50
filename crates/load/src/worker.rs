//! One thread's share of a run: its operations and their results.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::clock::now;
use crate::content::{Comparison, SharedPattern, UploadContent};
use crate::error::{Error, ErrorKind};
use crate::histogram::LatencyHistogram;
use crate::mix::{Act, Mixer, STORE_BYTES_MAX};
use crate::plan::{Content, Dialogue, DialogueStep, DownloadMode, LoadCase, Mix, Plan};
use crate::progress::RunProgress;
use crate::session::{ClientContext, ClientSession};
use crate::transfer::{DownloadReader, TransferBuffers, TransferResult};

/// What the threads of a run share.
#[derive(Debug)]
pub(crate) struct RunContext<'a> {
    pub(crate) client: &'a ClientContext,
    pub(crate) plan: &'a Plan,
    /// The length of the files, if known.
    pub(crate) length: Option<u64>,
    pub(crate) pattern: Option<&'a SharedPattern>,
    pub(crate) progress: &'a RunProgress,
    next: AtomicU64,
    failures: AtomicU64,
}

impl<'a> RunContext<'a> {
    pub(crate) fn new(
        client: &'a ClientContext,
        plan: &'a Plan,
        length: Option<u64>,
        pattern: Option<&'a SharedPattern>,
        progress: &'a RunProgress,
        reserved: u64,
    ) -> Self {
        let (next, failures) = (AtomicU64::new(reserved), AtomicU64::new(0));
        Self { client, plan, length, pattern, progress, next, failures }
    }

    /// The number of the next operation: `reserved`, or one that no session has reserved. `None` if
    /// no more may start.
    fn next(&self, start: Instant, reserved: Option<u64>) -> Option<u64> {
        let is_over = self.progress.is_stopped()
            || self.failures.load(Relaxed) >= FAILURES_MAX
            || self.plan.time.is_some_and(|time| now().saturating_duration_since(start) >= time);
        if is_over {
            return None;
        }
        let index = reserved.unwrap_or_else(|| self.next.fetch_add(1, Relaxed));
        (index < self.plan.count).then_some(index)
    }
}

/// A run with this many failures is stopped.
const FAILURES_MAX: u64 = 100;
/// The number of errors reported with their text.
pub(crate) const ERRORS_SHOWN_MAX: usize = 10;

/// A session, and its results.
#[derive(Debug)]
pub(crate) struct SessionSlot {
    pub(crate) number: usize,
    /// `None` if it failed and could not be replaced.
    pub(crate) session: Option<ClientSession>,
    /// The number of its first operation, so that no session is left without one because others
    /// were faster.
    pub(crate) reserved: Option<u64>,
    pub(crate) bytes: u64,
    /// The end of its last operation.
    pub(crate) ended: Option<Instant>,
    /// Files to remove at the end.
    pub(crate) stored: Vec<String>,
    /// For [`LoadCase::Mixed`].
    mixer: Option<Mixer>,
}

impl SessionSlot {
    pub(crate) fn new(number: usize, session: Option<ClientSession>) -> Self {
        let (reserved, ended, mixer) = (None, None, None);
        Self { number, session, reserved, bytes: 0, ended, stored: Vec::new(), mixer }
    }
}

/// The results of one thread.
#[derive(Debug)]
pub(crate) struct ThreadResult {
    pub(crate) bytes: u64,
    pub(crate) operations: u64,
    pub(crate) entries: u64,
    pub(crate) errors: u64,
    pub(crate) error_list: Vec<Error>,
    pub(crate) latency: LatencyHistogram,
    pub(crate) first_byte: LatencyHistogram,
    pub(crate) ended: Option<Instant>,
    /// Sessions opened during the run, for their TLS parameters.
    pub(crate) tls: Option<crate::outcome::TlsFacts>,
    /// Connections that stay open until all threads are done.
    pub(crate) open_sessions: Vec<ClientSession>,
}

impl ThreadResult {
    pub(crate) fn new() -> Self {
        Self {
            bytes: 0,
            operations: 0,
            entries: 0,
            errors: 0,
            error_list: Vec::new(),
            latency: LatencyHistogram::new(),
            first_byte: LatencyHistogram::new(),
            ended: None,
            tls: None,
            open_sessions: Vec::new(),
        }
    }

    pub(crate) fn fail(&mut self, error: Error) {
        self.errors += 1;
        if self.error_list.len() < ERRORS_SHOWN_MAX {
            self.error_list.push(error);
        }
    }
}

/// The result of one operation.
#[derive(Debug, Default)]
struct OperationResult {
    bytes: u64,
    entries: u64,
    first_byte: Option<Duration>,
}

impl From<TransferResult> for OperationResult {
    fn from(moved: TransferResult) -> Self {
        Self { bytes: moved.bytes, entries: 0, first_byte: moved.first_byte }
    }
}

/// One thread.
#[derive(Debug)]
pub(crate) struct WorkerThread<'a> {
    shared: &'a RunContext<'a>,
    transfers: TransferBuffers<'a>,
    content_source: Option<UploadContent>,
    comparison: Option<Comparison>,
    result: ThreadResult,
}

impl<'a> WorkerThread<'a> {
    /// Prepares everything local, so that the timed part does not wait for it.
    pub(crate) fn new(shared: &'a RunContext<'a>) -> Result<Self, Error> {
        let (mut content_source, mut comparison) = (None, None);
        match &shared.plan.case {
            LoadCase::Store { content, length, .. } => {
                content_source = Some(UploadContent::open(content, *length, shared.pattern)?);
            }
            LoadCase::Mixed(mix) => {
                let length = STORE_BYTES_MAX;
                content_source = Some(UploadContent::open(&mix.content, length, shared.pattern)?);
            }
            LoadCase::Steps(_) | LoadCase::Dialogue(_) if shared.pattern.is_some() => {
                content_source = Some(UploadContent::open(&Content::Pattern, 0, shared.pattern)?);
            }
            LoadCase::Retrieve { reading: DownloadMode::Compare(content), .. } => {
                comparison = Some(Comparison::open(content, shared.pattern)?);
            }
            _ => {}
        }
        let transfers = TransferBuffers::new(shared.progress);
        Ok(Self { shared, transfers, content_source, comparison, result: ThreadResult::new() })
    }

    /// Works until no more operations may start. The sessions take turns.
    pub(crate) fn work(mut self, slots: &mut [SessionSlot], start: Instant) -> ThreadResult {
        if matches!(self.shared.plan.case, LoadCase::Idle) {
            for slot in &mut *slots {
                self.operate(slot, 0, start);
            }
            return self.result;
        }
        while slots.iter().any(|slot| slot.session.is_some() || self.makes_sessions()) {
            for slot in &mut *slots {
                if slot.session.is_none() && !self.makes_sessions() {
                    continue;
                }
                let Some(index) = self.shared.next(start, slot.reserved.take()) else {
                    return self.result;
                };
                self.operate(slot, index, start);
            }
        }
        self.result
    }

    /// Whether each operation opens its own session.
    fn makes_sessions(&self) -> bool {
        self.shared.plan.case.makes_sessions()
    }

    fn operate(&mut self, slot: &mut SessionSlot, index: u64, start: Instant) {
        if let LoadCase::Dialogue(dialogue) = &self.shared.plan.case
            && slot.session.is_none()
        {
            match self.open(dialogue, slot.number) {
                Ok(session) => slot.session = Some(session),
                Err(error) => return self.failed(slot, error),
            }
        }
        // All connections of some cases should start at once.
        let begun = if self.shared.plan.case.is_at_once() { start } else { now() };
        let done = self.act(slot, index);
        let ended = now();
        match done {
            Ok(done) => {
                self.result.latency.add(ended.saturating_duration_since(begun));
                if let Some(first_byte) = done.first_byte {
                    self.result.first_byte.add(first_byte);
                }
                self.result.operations += 1;
                self.result.bytes += done.bytes;
                self.result.entries += done.entries;
                slot.bytes += done.bytes;
                slot.ended = Some(ended);
                self.result.ended = Some(ended);
                self.shared.progress.add_operation();
            }
            Err(error) => self.failed(slot, error),
        }
    }

    fn failed(&mut self, slot: &mut SessionSlot, error: Error) {
        // After anything but a plain refusal, the state of the connection is unknown.
        let is_in_step = matches!(
            error.kind,
            ErrorKind::Rejected { code: 400.., .. } | ErrorKind::Length { .. }
        ) || matches!(error.kind, ErrorKind::Entries { .. } | ErrorKind::Plan(_));
        if error.kind == ErrorKind::Stopped {
            slot.session = None;
            return;
        }
        self.shared.failures.fetch_add(1, Relaxed);
        self.result.fail(error);
        if !is_in_step && matches!(self.shared.plan.case, LoadCase::Dialogue(_)) {
            // The next operation opens another one.
            slot.session = None;
        } else if !is_in_step && !self.makes_sessions() {
            // The old one is closed first: the server may not accept one more.
            slot.session = None;
            match self.shared.client.ready(slot.number) {
                Ok(session) => slot.session = Some(session),
                Err(error) => self.result.fail(error),
            }
        }
    }

    fn act(&mut self, slot: &mut SessionSlot, index: u64) -> Result<OperationResult, Error> {
        match &self.shared.plan.case {
            LoadCase::Login => {
                let mut session = self.shared.client.log_in(slot.number)?;
                session.quit()?;
                self.record_tls(&session);
                Ok(OperationResult::default())
            }
            LoadCase::Connects => {
                self.result.open_sessions.push(self.shared.client.connect(slot.number)?);
                Ok(OperationResult::default())
            }
            LoadCase::Logins => {
                let session = self.shared.client.log_in(slot.number)?;
                self.record_tls(&session);
                self.result.open_sessions.push(session);
                Ok(OperationResult::default())
            }
            LoadCase::Session { path, .. } => {
                let mut session = self.shared.client.ready(slot.number)?;
                let path = fill_placeholders(path, index, slot.number);
                let reader = DownloadReader::Decrypt;
                let length = self.shared.length;
                let moved = self.transfers.retrieve(&mut session, &path, length, reader)?;
                session.quit()?;
                self.record_tls(&session);
                Ok(moved.into())
            }
            _ => self.act_in_session(slot, index),
        }
    }

    fn act_in_session(
        &mut self,
        slot: &mut SessionSlot,
        index: u64,
    ) -> Result<OperationResult, Error> {
        let Some(session) = &mut slot.session else {
            return Err(Error::new("run", ErrorKind::Closed));
        };
        match &self.shared.plan.case {
            LoadCase::Retrieve { path, reading, .. } => {
                let path = fill_placeholders(path, index, slot.number);
                let reader = match (reading, &mut self.comparison) {
                    (DownloadMode::Drain, _) => DownloadReader::Drain,
                    (DownloadMode::Compare(_), Some(comparison)) => {
                        DownloadReader::Compare(comparison)
                    }
                    _ => DownloadReader::Decrypt,
                };
                let length = self.shared.length;
                self.transfers.retrieve(session, &path, length, reader).map(OperationResult::from)
            }
            LoadCase::Store { path, length, is_deleted, .. } => {
                let path = fill_placeholders(path, index, slot.number);
                let moved = self.store(session, &path, *length)?;
                // The same file sent repeatedly is counted as one file.
                if *is_deleted && slot.stored.last().is_none_or(|last| *last != path) {
                    slot.stored.push(path.into_owned());
                }
                Ok(moved)
            }
            LoadCase::List { verb, path, entries: wanted } => {
                let path = fill_placeholders(path, index, slot.number);
                let (moved, entries) = self.transfers.list(session, *verb, &path)?;
                if let Some(wanted) = wanted.filter(|wanted| *wanted != entries) {
                    let kind = ErrorKind::Entries { got: entries, wanted };
                    return Err(Error::new(format!("{} {path}", verb.word()), kind));
                }
                Ok(OperationResult { entries, ..moved.into() })
            }
            LoadCase::Idle => session.succeed("NOOP").map(|_| OperationResult::default()),
            LoadCase::Command { line } => {
                let line = fill_placeholders(line, index, slot.number);
                session.succeed(&line).map(|_| OperationResult::default())
            }
            LoadCase::Mixed(mix) => {
                let mixer = slot.mixer.get_or_insert_with(|| Mixer::new(mix.seed, slot.number));
                let act = mixer.act(mix.downloads);
                self.do_mixed(session, mix, &act)
            }
            LoadCase::Steps(steps) => self.take_steps(session, steps, index, slot.number),
            LoadCase::Dialogue(dialogue) => {
                self.take_steps(session, &dialogue.each, index, slot.number)
            }
            LoadCase::Login | LoadCase::Connects | LoadCase::Logins | LoadCase::Session { .. } => {
                Ok(OperationResult::default())
            }
        }
    }

    fn do_mixed(
        &mut self,
        session: &mut ClientSession,
        mix: &Mix,
        act: &Act,
    ) -> Result<OperationResult, Error> {
        let own = |name: &str| format!("{}/{name}", mix.folder);
        match act {
            Act::List => {
                let (moved, entries) = self.transfers.list(session, mix.verb, &mix.listed)?;
                Ok(OperationResult { entries, ..moved.into() })
            }
            Act::Retrieve(number) => {
                let path = fill_placeholders(&mix.download, *number, 0);
                let length = Some(mix.download_length);
                self.transfers
                    .retrieve(session, &path, length, DownloadReader::Decrypt)
                    .map(Into::into)
            }
            Act::Store { name, length } => self.store(session, &own(name), *length),
            Act::Rename { from, to } => {
                session.continue_run(&format!("RNFR {}", own(from)))?;
                session.succeed(&format!("RNTO {}", own(to)))?;
                Ok(OperationResult::default())
            }
            Act::Delete(name) => {
                session.succeed(&format!("DELE {}", own(name)))?;
                Ok(OperationResult::default())
            }
        }
    }

    /// Connects a session of a dialogue, up to its first operation.
    fn open(&mut self, dialogue: &Dialogue, number: usize) -> Result<ClientSession, Error> {
        let mut session = self.shared.client.connect_secured(number)?;
        if !dialogue.is_extended {
            session.use_pasv();
        }
        let moved = self.take_steps(&mut session, &dialogue.opening, 0, number)?;
        self.result.bytes += moved.bytes;
        self.result.entries += moved.entries;
        Ok(session)
    }

    /// Takes all steps; `index` replaces `{i}`.
    fn take_steps(
        &mut self,
        session: &mut ClientSession,
        steps: &[DialogueStep],
        index: u64,
        number: usize,
    ) -> Result<OperationResult, Error> {
        let filled = |text: &str| fill_placeholders(text, index, number).into_owned();
        let mut sum = OperationResult::default();
        for step in steps {
            let done = match step {
                DialogueStep::Ask(line) => {
                    session.call(&filled(line))?;
                    continue;
                }
                DialogueStep::Command(line) => {
                    session.continue_run(&filled(line))?;
                    continue;
                }
                DialogueStep::List(verb, path) => {
                    let (moved, entries) = self.transfers.list(session, *verb, &filled(path))?;
                    OperationResult { entries, ..moved.into() }
                }
                DialogueStep::Retrieve(path) => {
                    let path = filled(path);
                    self.transfers.retrieve(session, &path, None, DownloadReader::Decrypt)?.into()
                }
                DialogueStep::Store(path, length) => self.store(session, &filled(path), *length)?,
            };
            sum.bytes += done.bytes;
            sum.entries += done.entries;
            sum.first_byte = sum.first_byte.or(done.first_byte);
        }
        Ok(sum)
    }

    fn store(
        &mut self,
        session: &mut ClientSession,
        path: &str,
        length: u64,
    ) -> Result<OperationResult, Error> {
        let Some(content_source) = &mut self.content_source else {
            return Ok(OperationResult::default());
        };
        self.transfers.store(session, path, length, content_source).map(Into::into)
    }

    /// Records the TLS parameters of a session of one operation.
    fn record_tls(&mut self, session: &ClientSession) {
        let facts = session.facts();
        let all = self.result.tls.get_or_insert_with(|| crate::outcome::TlsFacts {
            resumed: 0,
            full: 0,
            ..facts.clone()
        });
        all.resumed += facts.resumed;
        all.full += facts.full;
    }
}

/// A path or line with its placeholders replaced.
fn fill_placeholders(pattern: &str, index: u64, session: usize) -> std::borrow::Cow<'_, str> {
    if !pattern.contains('{') {
        return pattern.into();
    }
    pattern.replace("{i}", &index.to_string()).replace("{s}", &session.to_string()).into()
}
