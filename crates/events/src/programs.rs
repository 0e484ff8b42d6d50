//! Delivers events to programs, and requests verdicts from programs.
//!
//! The process that starts programs ([`crate::worker`]) begins before the sandbox is applied; the
//! threads here start after that. Sessions put events into a queue and continue. Failed runs
//! are tried again after a pause that doubles.

use std::io::{self, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use wharf_core::lock;

use crate::clock::now;
use crate::worker::{ProgramEnd, ProgramOutcome, answered};
use crate::{Notice, frame};

mod queue;

use queue::{FinishedOrder, NextStep, Order, Queue};

/// A program that may be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name in reports, such as `on_upload`.
    pub name: String,
    /// The program and its arguments; an argument that is exactly `{name}` is replaced by that
    /// variable of the event.
    pub arguments: Vec<String>,
    /// The longest time that it may run.
    pub time_max: Duration,
}

/// Limits on running programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramLimits {
    /// Programs that run for events at a time.
    pub runs_max: usize,
    /// Programs that run for verdicts at a time.
    pub checks_max: usize,
    /// Further attempts for an event after its program has failed.
    pub retries_max: u32,
    /// The pause before the first further attempt; it doubles each time.
    pub pause: Duration,
}

/// Reports for the administrator.
#[derive(Debug)]
pub enum ProgramReport<'a> {
    /// A program failed.
    Failed {
        /// The program.
        program: &'a str,
        /// The event.
        notice: &'a Notice,
        /// The result.
        outcome: &'a ProgramOutcome,
        /// Whether there is no further attempt.
        is_final: bool,
    },
    /// A program succeeded and wrote output.
    Output {
        /// The program.
        program: &'a str,
        /// The event.
        notice: &'a Notice,
        /// The result.
        outcome: &'a ProgramOutcome,
    },
    /// This many events were dropped since the last report because the queue was full.
    Dropped(u64),
    /// The process that starts programs has ended; no program runs until the server is restarted.
    Lost,
}

/// Receives reports. It is called on a thread of this crate and must return quickly.
pub type ProgramReportFn = Box<dyn Fn(&ProgramReport<'_>) + Send + Sync>;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramCounts {
    /// Events delivered.
    pub done: u64,
    /// Failed runs with a further attempt.
    pub retried: u64,
    /// Events given up after the last attempt.
    pub failed: u64,
    /// Events dropped because the queue was full.
    pub dropped: u64,
    /// Events that wait or are being delivered.
    pub waiting: u64,
    /// Verdicts requested.
    pub checks: u64,
}

/// The process that starts programs, before its threads are started.
pub struct WorkerProcess {
    /// `None` in tests, where it is a thread.
    child: Option<Child>,
    input: Box<dyn Write + Send>,
    output: Box<dyn Read + Send>,
    programs: Vec<Program>,
}

impl std::fmt::Debug for WorkerProcess {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Started").field("programs", &self.programs).finish_non_exhaustive()
    }
}

impl WorkerProcess {
    /// Starts the process: `command` must run [`crate::worker::serve`] on its standard input and
    /// output. Only `programs` can be started from then on.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command, programs: Vec<Program>) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Self::with(Some(child), Box::new(input), Box::new(output), programs)
    }

    /// The same with a thread instead of a process.
    #[cfg(test)]
    pub(crate) fn within(programs: Vec<Program>) -> Self {
        let (orders, input) = io::pipe().unwrap();
        let (output, answers) = io::pipe().unwrap();
        std::thread::spawn(move || crate::worker::serve(orders, answers));
        Self::with(None, Box::new(input), Box::new(output), programs).unwrap()
    }

    fn with(
        child: Option<Child>,
        mut input: Box<dyn Write + Send>,
        output: Box<dyn Read + Send>,
        programs: Vec<Program>,
    ) -> io::Result<Self> {
        for program in &programs {
            let millis = program.time_max.as_millis().to_string();
            let mut parts = vec![&b"program"[..], millis.as_bytes()];
            parts.extend(program.arguments.iter().map(String::as_bytes));
            frame::write(&mut input, &parts)?;
        }
        frame::write(&mut input, &[b"begin"])?;
        Ok(Self { child, input, output, programs })
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn begin(self, limits: ProgramLimits, on_report: ProgramReportFn) -> io::Result<Programs> {
        let Self { child, input, output, programs } = self;
        let shared = Arc::new(ProgramsState {
            state: Mutex::new(Queue::new(limits)),
            changed: Condvar::new(),
            programs,
            on_report,
        });
        let (sender, reader) = (Arc::clone(&shared), Arc::clone(&shared));
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("events").spawn(move || sender.send_all(input))?;
        thread("events-end").spawn(move || reader.read_results(output, child))?;
        Ok(Programs { shared })
    }
}

/// Handle to the process. Cheap to clone.
#[derive(Clone)]
pub struct Programs {
    shared: Arc<ProgramsState>,
}

impl std::fmt::Debug for Programs {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Programs").finish_non_exhaustive()
    }
}

impl Programs {
    /// Runs a program, by its index, for an event. Never waits; if the queue is full the event is
    /// dropped, counted, and reported.
    pub fn run(&self, program: usize, notice: &Notice) {
        self.shared.queue().add(program, notice.clone());
        self.shared.changed.notify_all();
    }

    /// Asks a program for a verdict. Dropping the future ends the program.
    ///
    /// # Errors
    /// Why the request failed.
    pub async fn ask(
        &self,
        program: usize,
        notice: &Notice,
    ) -> Result<ProgramOutcome, &'static str> {
        let (answer, answered) = oneshot::channel();
        let id = self.shared.queue().ask(program, notice.clone(), answer)?;
        self.shared.changed.notify_all();
        let withdrawal = Withdrawal { shared: &self.shared, id };
        let outcome = answered.await.map_err(|_| "the process that starts programs has ended");
        std::mem::forget(withdrawal);
        outcome
    }

    /// Counts since the start.
    pub fn counts(&self) -> ProgramCounts {
        self.shared.queue().counts()
    }

    /// Accepts no more events, waits for at most `within` until the queue is empty, and ends the
    /// process.
    pub fn close(&self, within: Duration) {
        let deadline = now() + within;
        let mut queue = self.shared.queue();
        queue.close();
        self.shared.changed.notify_all();
        while !queue.is_idle() && now() < deadline {
            let left = deadline.saturating_duration_since(now());
            let waited = self.shared.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.end();
        self.shared.changed.notify_all();
    }
}

/// Withdraws a request for a verdict when the future is dropped.
struct Withdrawal<'a> {
    shared: &'a ProgramsState,
    id: u64,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        self.shared.queue().withdraw(self.id);
        self.shared.changed.notify_all();
    }
}

struct ProgramsState {
    state: Mutex<Queue>,
    changed: Condvar,
    programs: Vec<Program>,
    on_report: ProgramReportFn,
}

impl ProgramsState {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.state)
    }

    /// Sends orders to the process until the end.
    fn send_all(&self, mut input: Box<dyn Write + Send>) {
        loop {
            let mut queue = self.queue();
            let wants = loop {
                match queue.next(now()) {
                    NextStep::Rest(Some(time)) => {
                        let waited = self.changed.wait_timeout(queue, time);
                        queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                    }
                    NextStep::Rest(None) => {
                        queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                    }
                    wants => break wants,
                }
            };
            drop(queue);
            let sent = match wants {
                NextStep::Run(order) => send(&mut input, &order),
                NextStep::Stop(id) => {
                    frame::write(&mut input, &[b"stop", id.to_string().as_bytes()])
                }
                NextStep::ReportFn(dropped) => {
                    (self.on_report)(&ProgramReport::Dropped(dropped));
                    Ok(())
                }
                NextStep::End | NextStep::Rest(_) => return,
            };
            if let Err(error) = sent {
                // An event too large for a frame fails alone; any other error is followed by the
                // end.
                self.failed_to_send(error.to_string());
            }
        }
    }

    fn failed_to_send(&self, why: String) {
        let last = self.queue().last_sent();
        if let Some(id) = last {
            let end = ProgramEnd::NotStarted(why);
            self.settle(id, ProgramOutcome { end, out: Vec::new(), err: Vec::new() });
        }
    }

    /// Reads results until the process has ended.
    fn read_results(&self, output: Box<dyn Read + Send>, child: Option<Child>) {
        let mut output = BufReader::new(output);
        while let Ok(Some(parts)) = frame::read(&mut output) {
            if let Some((id, outcome)) = answered(parts) {
                self.settle(id, outcome);
            }
        }
        let was_ended = self.queue().connection_lost();
        self.changed.notify_all();
        if !was_ended {
            (self.on_report)(&ProgramReport::Lost);
        }
        if let Some(mut child) = child {
            let _ = child.wait();
        }
    }

    fn settle(&self, id: u64, outcome: ProgramOutcome) {
        let settled = self.queue().settle(id, outcome, now());
        self.changed.notify_all();
        let Some(FinishedOrder { program, notice, outcome, is_final }) = settled else { return };
        let name = |program: &Program| program.name.clone();
        let program = &self.programs.get(program).map(name).unwrap_or_default();
        let (notice, outcome) = (&notice, &outcome);
        if outcome.end != ProgramEnd::Exited(0) {
            (self.on_report)(&ProgramReport::Failed { program, notice, outcome, is_final });
        } else if !outcome.out.is_empty() || !outcome.err.is_empty() {
            (self.on_report)(&ProgramReport::Output { program, notice, outcome });
        }
    }
}

fn send(input: &mut impl Write, order: &Order) -> io::Result<()> {
    let (id, program) = (order.id.to_string(), order.program.to_string());
    let body = order.notice.body().as_bytes();
    let mut parts = vec![&b"run"[..], id.as_bytes(), program.as_bytes(), body];
    for (name, value) in order.notice.variables() {
        parts.extend([name.as_bytes(), value.as_slice()]);
    }
    frame::write(input, &parts)
}
