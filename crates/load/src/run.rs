//! A measurement in two phases: connect and log in, then the timed part.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::barrier::StartBarrier;
use crate::bystander;
use crate::content::SharedPattern;
use crate::error::{Error, ErrorKind};
use crate::histogram::LatencyHistogram;
use crate::lock::lock;
use crate::outcome::{Fairness, RunOutcome, TlsFacts, rate};
use crate::plan::{DownloadMode, LoadCase, Plan};
use crate::process;
use crate::progress::RunProgress;
use crate::session::{ClientContext, ClientSession};
use crate::target::TargetServer;
use crate::worker::{ERRORS_SHOWN_MAX, RunContext, SessionSlot, ThreadResult, WorkerThread};

/// Sessions that are logged in and wait for the start.
#[derive(Debug)]
pub struct PreparedRun {
    client: ClientContext,
    plan: Plan,
    length: Option<u64>,
    pattern: Option<SharedPattern>,
    slots: Vec<SessionSlot>,
    bystander: Option<ClientSession>,
}

/// Connects and logs in as many sessions as the plan needs; none for [`LoadCase::Login`],
/// [`LoadCase::Session`], [`LoadCase::Connects`], [`LoadCase::Logins`] and [`LoadCase::Dialogue`].
///
/// # Errors
/// What went wrong with the first session that could not be logged in, or what is wrong with the
/// plan.
pub fn prepare(target: &TargetServer, plan: &Plan) -> Result<PreparedRun, Error> {
    let reject = |text| Err(Error::new("prepare", ErrorKind::Plan(text)));
    if plan.sessions == 0 || plan.count == 0 {
        return reject("the plan needs at least one session and one operation");
    }
    let mut plan = plan.clone();
    if plan.case.is_at_once() {
        plan.sessions = usize::try_from(plan.count).unwrap_or(usize::MAX);
    }
    raise_file_limit(plan.sessions)?;
    let client = ClientContext::new(target)?;
    let slots = if plan.case.makes_sessions() {
        (0..plan.sessions).map(|number| SessionSlot::new(number, None)).collect()
    } else {
        log_in_all(&client, plan.sessions)?
    };
    let mut prepared = PreparedRun {
        bystander: plan.bystander.map(|_| client.ready(plan.sessions)).transpose()?,
        length: None,
        pattern: plan.case.uses_pattern().then(SharedPattern::new),
        client,
        plan,
        slots,
    };
    prepared.length = prepared.known_length()?;
    let is_drained =
        matches!(prepared.plan.case, LoadCase::Retrieve { reading: DownloadMode::Drain, .. });
    if is_drained && prepared.client.has_tls() && prepared.length.is_none() {
        return reject("draining with TLS requires the length of the files");
    }
    Ok(prepared)
}

/// A session has a socket, a thread has one more for data and its own file, and the process has a
/// few.
fn raise_file_limit(sessions: usize) -> Result<(), Error> {
    let files = sessions.saturating_add(2 * sessions.min(THREADS_MAX)).saturating_add(OWN_FILES);
    let needed = u64::try_from(files).unwrap_or(u64::MAX);
    process::raise_file_limit(needed)
        .map_err(|may| Error::new("prepare", ErrorKind::Descriptors { may, needed }))
}

const OWN_FILES: usize = 100;

/// Logins at a time: a server with a short queue would drop more.
const LOGINS_AT_ONCE: usize = 16;

fn log_in_all(client: &ClientContext, sessions: usize) -> Result<Vec<SessionSlot>, Error> {
    let next = AtomicUsize::new(0);
    let slots = Mutex::new(Vec::with_capacity(sessions));
    let first_error = Mutex::new(None);
    let log_in = || {
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= sessions || lock(&first_error).is_some() {
                return;
            }
            match client.ready(number) {
                Ok(session) => lock(&slots).push(SessionSlot::new(number, Some(session))),
                Err(error) => {
                    lock(&first_error).get_or_insert(error);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..sessions.min(LOGINS_AT_ONCE) {
            // The other threads do its work if it cannot start.
            let _ = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, log_in);
        }
        log_in();
    });
    match lock(&first_error).take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut *lock(&slots))),
    }
}

/// Above this number of sessions, the sessions of a thread take turns.
const THREADS_MAX: usize = 1024;
/// Stack size of threads; handshakes need the most.
const STACK: usize = 256 << 10;
/// The sessions of [`LoadCase::Idle`] and [`LoadCase::Steps`] do not need a thread each.
const TURNS_THREADS_MAX: usize = 16;

impl PreparedRun {
    /// The timed part. May be called again for another round with the same sessions.
    pub fn run(&mut self, progress: &RunProgress) -> RunOutcome {
        let mut reserved = 0;
        for slot in &mut self.slots {
            (slot.bytes, slot.ended, slot.reserved) = (0, None, None);
            if slot.session.is_some() || self.plan.case.makes_sessions() {
                slot.reserved = Some(reserved);
                reserved += 1;
            }
            slot.session.iter_mut().for_each(ClientSession::recount);
        }
        let most = if self.plan.case.takes_turns() { TURNS_THREADS_MAX } else { THREADS_MAX };
        let share = self.slots.len().div_ceil(most).max(1);
        let pattern = self.pattern.as_ref();
        let shared =
            RunContext::new(&self.client, &self.plan, self.length, pattern, progress, reserved);
        let (barrier, is_over) = (StartBarrier::default(), AtomicBool::new(false));
        let interval = self.plan.bystander.unwrap_or_default();
        let bystander = self.bystander.as_mut();
        let run = thread::scope(|scope| {
            let mut result = ThreadResult::new();
            let mut threads: Vec<ScopedJoinHandle<'_, ThreadResult>> = Vec::new();
            for slots in self.slots.chunks_mut(share) {
                let (shared, barrier) = (&shared, &barrier);
                let work = move || work(shared, barrier, slots);
                match thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => result.fail(Error::new("start a thread", error.into())),
                }
            }
            let (start, cpu) = barrier.open(threads.len(), process::cpu);
            let is_over = &is_over;
            let watcher = bystander.map(|session| {
                let watch = move || bystander::watch(session, interval, is_over);
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, watch)
            });
            let watcher = watcher.transpose().unwrap_or_else(|error| {
                result.fail(Error::new("start a thread", error.into()));
                None
            });
            let mut run =
                ThreadResults { start, cpu: None, results: vec![result], bystander: None };
            // A thread that panicked has printed a message; its part is missing.
            run.results.extend(threads.into_iter().filter_map(|thread| thread.join().ok()));
            run.cpu = process::cpu().zip(cpu).map(|(after, before)| after.saturating_sub(before));
            is_over.store(true, Relaxed);
            run.bystander = watcher.and_then(|thread| {
                thread.thread().unpark();
                thread.join().ok()
            });
            run
        });
        self.outcome(run)
    }

    /// Replaces the case: the same sessions do `count` operations of another one, which must not
    /// open sessions of its own.
    ///
    /// # Errors
    /// What is wrong with the case.
    pub fn change(&mut self, case: LoadCase, count: u64) -> Result<(), Error> {
        if case.makes_sessions() {
            let kind = ErrorKind::Plan("this case opens its own sessions");
            return Err(Error::new("prepare", kind));
        }
        (self.plan.case, self.plan.count) = (case, count);
        self.pattern = self.plan.case.uses_pattern().then(SharedPattern::new);
        self.length = self.known_length()?;
        Ok(())
    }

    /// Removes the uploaded files, if the plan requires it, and ends all sessions by QUIT. Dropping
    /// it closes them instead.
    ///
    /// # Errors
    /// The first file that could not be removed.
    pub fn finish(mut self) -> Result<(), Error> {
        let mut result = Ok(());
        for slot in &mut self.slots {
            let Some(session) = &mut slot.session else { continue };
            for path in slot.stored.drain(..) {
                let removed = session.succeed(&format!("DELE {path}")).map(|_| ());
                result = result.and(removed);
            }
            // A server may close the connection instead of replying to QUIT.
            let _ = session.quit();
        }
        result
    }

    /// The expected length of each file.
    fn known_length(&mut self) -> Result<Option<u64>, Error> {
        let (path, length) = match &self.plan.case {
            LoadCase::Retrieve { path, length, .. } | LoadCase::Session { path, length } => {
                (path, *length)
            }
            _ => return Ok(None),
        };
        let session = self.slots.first_mut().and_then(|slot| slot.session.as_mut());
        match (length, session) {
            (None, Some(session)) if !path.contains('{') => session.size(path).map(Some),
            _ => Ok(length),
        }
    }

    fn outcome(&self, run: ThreadResults) -> RunOutcome {
        let mut outcome = RunOutcome { cpu: run.cpu, ..RunOutcome::default() };
        let (mut latency, mut first_byte) = (LatencyHistogram::new(), LatencyHistogram::new());
        let mut tls: Option<TlsFacts> = None;
        if let Some((waits, error)) = run.bystander {
            outcome.bystander = waits.latency();
            outcome.errors += u64::from(error.is_some());
            outcome.error_list.extend(error);
        }
        for result in run.results {
            let wall = result.ended.map(|ended| ended.saturating_duration_since(run.start));
            outcome.wall = outcome.wall.max(wall.unwrap_or_default());
            outcome.bytes += result.bytes;
            outcome.operations += result.operations;
            outcome.entries += result.entries;
            outcome.errors += result.errors;
            let free = ERRORS_SHOWN_MAX.saturating_sub(outcome.error_list.len());
            outcome.error_list.extend(result.error_list.into_iter().take(free));
            latency.merge(&result.latency);
            first_byte.merge(&result.first_byte);
            tls = sum(tls, result.tls);
        }
        for session in self.slots.iter().filter_map(|slot| slot.session.as_ref()) {
            tls = sum(tls, Some(session.facts().clone()));
        }
        outcome.latency = latency.latency().unwrap_or_default();
        outcome.first_byte = first_byte.latency();
        outcome.tls = tls.filter(|_| self.client.has_tls());
        outcome.fairness = self.fairness(run.start);
        outcome
    }

    fn fairness(&self, start: Instant) -> Option<Fairness> {
        let speed = |slot: &SessionSlot| {
            Some(rate(slot.bytes, slot.ended?.saturating_duration_since(start)))
        };
        let mut speeds: Vec<f64> = self.slots.iter().filter_map(speed).collect();
        speeds.sort_by(f64::total_cmp);
        let (slowest, fastest) = (*speeds.first()?, *speeds.last()?);
        let is_reported = speeds.len() > 1 && self.plan.case.moves_files();
        is_reported.then_some(Fairness { slowest, fastest })
    }
}

/// The results of the threads.
struct ThreadResults {
    start: Instant,
    cpu: Option<Duration>,
    results: Vec<ThreadResult>,
    bystander: Option<(LatencyHistogram, Option<Error>)>,
}

fn work(
    shared: &RunContext<'_>,
    barrier: &StartBarrier,
    slots: &mut [SessionSlot],
) -> ThreadResult {
    let worker = WorkerThread::new(shared);
    let start = barrier.wait();
    match worker {
        Ok(worker) => worker.work(slots, start),
        Err(error) => {
            let mut result = ThreadResult::new();
            result.fail(error);
            result
        }
    }
}

fn sum(one: Option<TlsFacts>, other: Option<TlsFacts>) -> Option<TlsFacts> {
    match (one, other) {
        (Some(one), Some(other)) => Some(TlsFacts {
            resumed: one.resumed + other.resumed,
            full: one.full + other.full,
            ..one
        }),
        (one, other) => one.or(other),
    }
}
