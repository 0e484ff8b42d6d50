//! One thread's share of a run: operation after operation, and what they came to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::clock::now;
use crate::content::{Feed, Probe, SharedPattern};
use crate::error::{Error, ErrorKind};
use crate::histogram::Histogram;
use crate::plan::{Case, Plan, Reading};
use crate::progress::Progress;
use crate::session::{Client, Session};
use crate::transfer::{Moved, Reader, Transfers};

/// What the threads of a run share.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    pub(crate) client: &'a Client,
    pub(crate) plan: &'a Plan,
    /// The length of the files, as far as it is known.
    pub(crate) length: Option<u64>,
    pub(crate) pattern: Option<&'a SharedPattern>,
    pub(crate) progress: &'a Progress,
    next: AtomicU64,
    failures: AtomicU64,
}

impl<'a> Shared<'a> {
    pub(crate) fn new(
        client: &'a Client,
        plan: &'a Plan,
        length: Option<u64>,
        pattern: Option<&'a SharedPattern>,
        progress: &'a Progress,
    ) -> Self {
        let (next, failures) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { client, plan, length, pattern, progress, next, failures }
    }

    /// The number of the next operation; `None` if there is none to begin.
    fn next(&self, start: Instant) -> Option<u64> {
        let is_over = self.progress.is_stopped()
            || self.failures.load(Relaxed) >= FAILURES_MAX
            || self.plan.time.is_some_and(|time| now().saturating_duration_since(start) >= time);
        if is_over {
            return None;
        }
        let index = self.next.fetch_add(1, Relaxed);
        (index < self.plan.count).then_some(index)
    }
}

/// A run that fails this often is not worth going on with.
const FAILURES_MAX: u64 = 100;
/// The errors that are told word by word.
pub(crate) const ERRORS_SHOWN_MAX: usize = 10;

/// A session, and what it did.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) number: usize,
    /// `None` after it broke and could not be made anew.
    pub(crate) session: Option<Session>,
    pub(crate) bytes: u64,
    /// When it was done with its last operation.
    pub(crate) ended: Option<Instant>,
    /// Files to remove at the end.
    pub(crate) stored: Vec<String>,
}

impl Seat {
    pub(crate) fn new(number: usize, session: Option<Session>) -> Self {
        Self { number, session, bytes: 0, ended: None, stored: Vec::new() }
    }
}

/// What one thread found.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) bytes: u64,
    pub(crate) operations: u64,
    pub(crate) entries: u64,
    pub(crate) errors: u64,
    pub(crate) error_list: Vec<Error>,
    pub(crate) latency: Histogram,
    pub(crate) first_byte: Histogram,
    pub(crate) ended: Option<Instant>,
    /// Sessions that were made during the run, for what they agreed on.
    pub(crate) visited: Option<crate::outcome::TlsFacts>,
    /// Connections that stay open until all threads are done.
    pub(crate) held: Vec<Session>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            bytes: 0,
            operations: 0,
            entries: 0,
            errors: 0,
            error_list: Vec::new(),
            latency: Histogram::new(),
            first_byte: Histogram::new(),
            ended: None,
            visited: None,
            held: Vec::new(),
        }
    }

    pub(crate) fn fail(&mut self, error: Error) {
        self.errors += 1;
        if self.error_list.len() < ERRORS_SHOWN_MAX {
            self.error_list.push(error);
        }
    }
}

/// What one operation came to.
#[derive(Debug, Default)]
struct Done {
    bytes: u64,
    entries: u64,
    first_byte: Option<Duration>,
}

impl From<Moved> for Done {
    fn from(moved: Moved) -> Self {
        Self { bytes: moved.bytes, entries: 0, first_byte: moved.first_byte }
    }
}

/// One thread.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    shared: &'a Shared<'a>,
    transfers: Transfers<'a>,
    feed: Option<Feed>,
    probe: Option<Probe>,
    tally: Tally,
}

impl<'a> Worker<'a> {
    /// Gets everything ready, so that the timed part has to wait for nothing local.
    pub(crate) fn new(shared: &'a Shared<'a>) -> Result<Self, Error> {
        let (mut feed, mut probe) = (None, None);
        match &shared.plan.case {
            Case::Store { content, length, .. } => {
                feed = Some(Feed::open(content, *length, shared.pattern)?);
            }
            Case::Retrieve { reading: Reading::Compare(content), .. } => {
                probe = Some(Probe::open(content, shared.pattern)?);
            }
            _ => {}
        }
        let transfers = Transfers::new(shared.progress);
        Ok(Self { shared, transfers, feed, probe, tally: Tally::new() })
    }

    /// Works until there is nothing more to begin. The sessions take turns.
    pub(crate) fn work(mut self, seats: &mut [Seat], start: Instant) -> Tally {
        if matches!(self.shared.plan.case, Case::Idle) {
            for seat in &mut *seats {
                self.operate(seat, 0, start);
            }
            return self.tally;
        }
        while seats.iter().any(|seat| seat.session.is_some() || self.makes_sessions()) {
            for seat in &mut *seats {
                if seat.session.is_none() && !self.makes_sessions() {
                    continue;
                }
                let Some(index) = self.shared.next(start) else { return self.tally };
                self.operate(seat, index, start);
            }
        }
        self.tally
    }

    /// Whether each operation makes a session of its own.
    fn makes_sessions(&self) -> bool {
        self.shared.plan.case.makes_sessions()
    }

    fn operate(&mut self, seat: &mut Seat, index: u64, start: Instant) {
        let begun = now();
        // All connections of this case are meant to begin at once.
        let begun = if matches!(self.shared.plan.case, Case::Connects) { start } else { begun };
        let done = self.act(seat, index);
        let ended = now();
        match done {
            Ok(done) => {
                self.tally.latency.add(ended.saturating_duration_since(begun));
                if let Some(first_byte) = done.first_byte {
                    self.tally.first_byte.add(first_byte);
                }
                self.tally.operations += 1;
                self.tally.bytes += done.bytes;
                self.tally.entries += done.entries;
                seat.bytes += done.bytes;
                seat.ended = Some(ended);
                self.tally.ended = Some(ended);
                self.shared.progress.add_operation();
            }
            Err(error) => self.failed(seat, error),
        }
    }

    fn failed(&mut self, seat: &mut Seat, error: Error) {
        // After anything but a plain no, nobody knows what the server says next.
        let is_in_step =
            matches!(error.kind, ErrorKind::Refused { code: 400.., .. } | ErrorKind::Length { .. })
                || matches!(error.kind, ErrorKind::Entries { .. } | ErrorKind::Plan(_));
        if error.kind == ErrorKind::Stopped {
            seat.session = None;
            return;
        }
        self.shared.failures.fetch_add(1, Relaxed);
        self.tally.fail(error);
        if !is_in_step && !self.makes_sessions() {
            // Closed first: the server may not have room for one more.
            seat.session = None;
            match self.shared.client.ready(seat.number) {
                Ok(session) => seat.session = Some(session),
                Err(error) => self.tally.fail(error),
            }
        }
    }

    fn act(&mut self, seat: &mut Seat, index: u64) -> Result<Done, Error> {
        match &self.shared.plan.case {
            Case::Login => {
                let mut session = self.shared.client.log_in(seat.number)?;
                session.quit()?;
                self.visit(&session);
                Ok(Done::default())
            }
            Case::Connects => {
                self.tally.held.push(self.shared.client.connect(seat.number)?);
                Ok(Done::default())
            }
            Case::Session { path, .. } => {
                let mut session = self.shared.client.ready(seat.number)?;
                let path = place(path, index, seat.number);
                let reader = Reader::Decrypt;
                let length = self.shared.length;
                let moved = self.transfers.retrieve(&mut session, &path, length, reader)?;
                session.quit()?;
                self.visit(&session);
                Ok(moved.into())
            }
            _ => self.act_in_session(seat, index),
        }
    }

    fn act_in_session(&mut self, seat: &mut Seat, index: u64) -> Result<Done, Error> {
        let Some(session) = &mut seat.session else {
            return Err(Error::new("run", ErrorKind::Closed));
        };
        match &self.shared.plan.case {
            Case::Retrieve { path, reading, .. } => {
                let path = place(path, index, seat.number);
                let reader = match (reading, &mut self.probe) {
                    (Reading::Drain, _) => Reader::Drain,
                    (Reading::Compare(_), Some(probe)) => Reader::Compare(probe),
                    _ => Reader::Decrypt,
                };
                let length = self.shared.length;
                self.transfers.retrieve(session, &path, length, reader).map(Done::from)
            }
            Case::Store { path, length, is_deleted, .. } => {
                let path = place(path, index, seat.number);
                let Some(feed) = &mut self.feed else { return Ok(Done::default()) };
                let moved = self.transfers.store(session, &path, *length, feed)?;
                // The same file again and again is one file.
                if *is_deleted && seat.stored.last().is_none_or(|last| *last != path) {
                    seat.stored.push(path.into_owned());
                }
                Ok(moved.into())
            }
            Case::List { verb, path, entries: wanted } => {
                let path = place(path, index, seat.number);
                let (moved, entries) = self.transfers.list(session, *verb, &path)?;
                if let Some(wanted) = wanted.filter(|wanted| *wanted != entries) {
                    let kind = ErrorKind::Entries { got: entries, wanted };
                    return Err(Error::new(format!("{} {path}", verb.word()), kind));
                }
                Ok(Done { entries, ..moved.into() })
            }
            Case::Idle => session.succeed("NOOP").map(|_| Done::default()),
            Case::Command { line } => {
                let line = place(line, index, seat.number);
                session.succeed(&line).map(|_| Done::default())
            }
            Case::Login | Case::Connects | Case::Session { .. } => Ok(Done::default()),
        }
    }

    /// Keeps what a session of one operation agreed on.
    fn visit(&mut self, session: &Session) {
        let facts = session.facts();
        let all = self.tally.visited.get_or_insert_with(|| crate::outcome::TlsFacts {
            resumed: 0,
            full: 0,
            ..facts.clone()
        });
        all.resumed += facts.resumed;
        all.full += facts.full;
    }
}

/// A path or line with its numbers in place.
fn place(pattern: &str, index: u64, session: usize) -> std::borrow::Cow<'_, str> {
    if !pattern.contains('{') {
        return pattern.into();
    }
    pattern.replace("{i}", &index.to_string()).replace("{s}", &session.to_string()).into()
}
