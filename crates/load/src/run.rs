//! A measurement in two phases: connect and log in, then the timed part.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::bystander;
use crate::content::SharedPattern;
use crate::error::{Error, ErrorKind};
use crate::gate::Gate;
use crate::histogram::Histogram;
use crate::outcome::{Fairness, Outcome, TlsFacts, rate};
use crate::plan::{Case, Content, Plan, Reading};
use crate::process;
use crate::progress::Progress;
use crate::session::{Client, Session};
use crate::target::Target;
use crate::worker::{ERRORS_SHOWN_MAX, Seat, Shared, Tally, Worker};

/// Sessions that are logged in and wait for the start.
#[derive(Debug)]
pub struct Prepared {
    client: Client,
    plan: Plan,
    length: Option<u64>,
    pattern: Option<SharedPattern>,
    seats: Vec<Seat>,
    bystander: Option<Session>,
}

/// Connects and logs in as many sessions as the plan needs; for [`Case::Login`],
/// [`Case::Session`] and [`Case::Connects`] none.
///
/// # Errors
/// What went wrong with the first session that could not be logged in, or what is wrong with the
/// plan.
pub fn prepare(target: &Target, plan: &Plan) -> Result<Prepared, Error> {
    let refuse = |text| Err(Error::new("prepare", ErrorKind::Plan(text)));
    if plan.sessions == 0 || plan.count == 0 {
        return refuse("a measurement needs a session and an operation");
    }
    let mut plan = plan.clone();
    if matches!(plan.case, Case::Connects) {
        plan.sessions = usize::try_from(plan.count).unwrap_or(usize::MAX);
    }
    make_room(plan.sessions)?;
    let client = Client::new(target)?;
    let seats = if plan.case.makes_sessions() {
        (0..plan.sessions).map(|number| Seat::new(number, None)).collect()
    } else {
        log_in_all(&client, plan.sessions)?
    };
    let uses_pattern = matches!(
        &plan.case,
        Case::Store { content: Content::Pattern, .. }
            | Case::Retrieve { reading: Reading::Compare(Content::Pattern), .. }
    );
    let mut prepared = Prepared {
        bystander: plan.bystander.map(|_| client.ready(plan.sessions)).transpose()?,
        length: None,
        pattern: uses_pattern.then(SharedPattern::new),
        client,
        plan,
        seats,
    };
    prepared.length = prepared.known_length()?;
    let is_drained = matches!(prepared.plan.case, Case::Retrieve { reading: Reading::Drain, .. });
    if is_drained && prepared.client.has_tls() && prepared.length.is_none() {
        return refuse("draining with TLS needs the length of the files");
    }
    Ok(prepared)
}

/// A session has a socket, a thread has one more for data and a file of its own, and the process
/// has a few.
fn make_room(sessions: usize) -> Result<(), Error> {
    let files = sessions.saturating_add(2 * sessions.min(THREADS_MAX)).saturating_add(OWN_FILES);
    let needed = u64::try_from(files).unwrap_or(u64::MAX);
    process::make_room(needed)
        .map_err(|may| Error::new("prepare", ErrorKind::Descriptors { may, needed }))
}

const OWN_FILES: usize = 100;

/// Logs in so many sessions at a time: a server with a short queue would drop more.
const LOGINS_AT_ONCE: usize = 16;

fn log_in_all(client: &Client, sessions: usize) -> Result<Vec<Seat>, Error> {
    let next = AtomicUsize::new(0);
    let seats = Mutex::new(Vec::with_capacity(sessions));
    let first_error = Mutex::new(None);
    let log_in = || {
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= sessions || lock(&first_error).is_some() {
                return;
            }
            match client.ready(number) {
                Ok(session) => lock(&seats).push(Seat::new(number, Some(session))),
                Err(error) => {
                    lock(&first_error).get_or_insert(error);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..sessions.min(LOGINS_AT_ONCE) {
            // The others do its work if it cannot begin.
            let _ = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, log_in);
        }
        log_in();
    });
    match lock(&first_error).take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut *lock(&seats))),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With more sessions than this the sessions of a thread take turns.
const THREADS_MAX: usize = 1024;
/// What a thread needs at most: handshakes are the deepest.
const STACK: usize = 256 << 10;
/// The sessions of [`Case::Idle`] need no thread each.
const IDLE_THREADS_MAX: usize = 16;

impl Prepared {
    /// The timed part. May be called again for another round with the same sessions.
    pub fn run(&mut self, progress: &Progress) -> Outcome {
        for seat in &mut self.seats {
            (seat.bytes, seat.ended) = (0, None);
            seat.session.iter_mut().for_each(Session::recount);
        }
        let most =
            if matches!(self.plan.case, Case::Idle) { IDLE_THREADS_MAX } else { THREADS_MAX };
        let share = self.seats.len().div_ceil(most).max(1);
        let shared =
            Shared::new(&self.client, &self.plan, self.length, self.pattern.as_ref(), progress);
        let (gate, is_over) = (Gate::default(), AtomicBool::new(false));
        let interval = self.plan.bystander.unwrap_or_default();
        let bystander = self.bystander.as_mut();
        let run = thread::scope(|scope| {
            let mut tally = Tally::new();
            let mut threads: Vec<ScopedJoinHandle<'_, Tally>> = Vec::new();
            for seats in self.seats.chunks_mut(share) {
                let (shared, gate) = (&shared, &gate);
                let work = move || work(shared, gate, seats);
                match thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => tally.fail(Error::new("start a thread", error.into())),
                }
            }
            let (start, cpu) = gate.open(threads.len(), process::cpu);
            let is_over = &is_over;
            let watcher = bystander.map(|session| {
                let watch = move || bystander::watch(session, interval, is_over);
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, watch)
            });
            let watcher = watcher.transpose().unwrap_or_else(|error| {
                tally.fail(Error::new("start a thread", error.into()));
                None
            });
            let mut run = Run { start, cpu: None, tallies: vec![tally], bystander: None };
            // A thread that panicked has said so itself, and its part is missing.
            run.tallies.extend(threads.into_iter().filter_map(|thread| thread.join().ok()));
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

    /// Removes what was stored, where the plan says so, and ends all sessions by QUIT. Dropping it
    /// just closes them.
    ///
    /// # Errors
    /// The first file that could not be removed.
    pub fn finish(mut self) -> Result<(), Error> {
        let mut result = Ok(());
        for seat in &mut self.seats {
            let Some(session) = &mut seat.session else { continue };
            for path in seat.stored.drain(..) {
                let removed = session.succeed(&format!("DELE {path}")).map(|_| ());
                result = result.and(removed);
            }
            // A server that hangs up instead of saying goodbye does no harm.
            let _ = session.quit();
        }
        result
    }

    /// The length that each file must have.
    fn known_length(&mut self) -> Result<Option<u64>, Error> {
        let (path, length) = match &self.plan.case {
            Case::Retrieve { path, length, .. } | Case::Session { path, length } => (path, *length),
            _ => return Ok(None),
        };
        let session = self.seats.first_mut().and_then(|seat| seat.session.as_mut());
        match (length, session) {
            (None, Some(session)) if !path.contains('{') => session.size(path).map(Some),
            _ => Ok(length),
        }
    }

    fn outcome(&self, run: Run) -> Outcome {
        let mut outcome = Outcome { cpu: run.cpu, ..Outcome::default() };
        let (mut latency, mut first_byte) = (Histogram::new(), Histogram::new());
        let mut visited: Option<TlsFacts> = None;
        if let Some((waits, error)) = run.bystander {
            outcome.bystander = waits.latency();
            outcome.errors += u64::from(error.is_some());
            outcome.error_list.extend(error);
        }
        for tally in run.tallies {
            let wall = tally.ended.map(|ended| ended.saturating_duration_since(run.start));
            outcome.wall = outcome.wall.max(wall.unwrap_or_default());
            outcome.bytes += tally.bytes;
            outcome.operations += tally.operations;
            outcome.entries += tally.entries;
            outcome.errors += tally.errors;
            let room = ERRORS_SHOWN_MAX.saturating_sub(outcome.error_list.len());
            outcome.error_list.extend(tally.error_list.into_iter().take(room));
            latency.merge(&tally.latency);
            first_byte.merge(&tally.first_byte);
            visited = sum(visited, tally.visited);
        }
        for session in self.seats.iter().filter_map(|seat| seat.session.as_ref()) {
            visited = sum(visited, Some(session.facts().clone()));
        }
        outcome.latency = latency.latency().unwrap_or_default();
        outcome.first_byte = first_byte.latency();
        outcome.tls = visited.filter(|_| self.client.has_tls());
        outcome.fairness = self.fairness(run.start);
        outcome
    }

    fn fairness(&self, start: Instant) -> Option<Fairness> {
        let speed =
            |seat: &Seat| Some(rate(seat.bytes, seat.ended?.saturating_duration_since(start)));
        let mut speeds: Vec<f64> = self.seats.iter().filter_map(speed).collect();
        speeds.sort_by(f64::total_cmp);
        let (slowest, fastest) = (*speeds.first()?, *speeds.last()?);
        let is_told = speeds.len() > 1 && self.plan.case.moves_files();
        is_told.then_some(Fairness { slowest, fastest })
    }
}

/// What the threads brought back.
struct Run {
    start: Instant,
    cpu: Option<Duration>,
    tallies: Vec<Tally>,
    bystander: Option<(Histogram, Option<Error>)>,
}

fn work(shared: &Shared<'_>, gate: &Gate, seats: &mut [Seat]) -> Tally {
    let worker = Worker::new(shared);
    let start = gate.wait();
    match worker {
        Ok(worker) => worker.work(seats, start),
        Err(error) => {
            let mut tally = Tally::new();
            tally.fail(error);
            tally
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
