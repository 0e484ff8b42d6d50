//! Events handed to programs, and programs asked for a verdict.
//!
//! The process that starts programs ([`crate::worker`]) begins before the server is confined; the
//! threads here begin after that. Sessions put events into a bounded queue and go on. What fails is
//! tried again after a pause that doubles.

use std::io::{self, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::now;
use crate::worker::{End, Outcome, answered};
use crate::{Notice, frame};

mod queue;

use queue::{Order, Queue, Settled, Wants};

/// A program that may be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What it is called in reports, such as `on_upload`.
    pub name: String,
    /// The program and its arguments; one that is `{name}` alone stands for what the event says.
    pub arguments: Vec<String>,
    /// How long it may run.
    pub time_max: Duration,
}

/// How many and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Programs that are told of events at a time.
    pub runs_max: usize,
    /// Programs that are asked for a verdict at a time.
    pub checks_max: usize,
    /// How often an event is told again if its program fails.
    pub retries_max: u32,
    /// The pause before the first of these; each further one is twice as long.
    pub pause: Duration,
}

/// What the operator should know.
#[derive(Debug)]
pub enum Report<'a> {
    /// A program failed.
    Failed {
        /// Which one.
        program: &'a str,
        /// What it was told of.
        notice: &'a Notice,
        /// What came of it.
        outcome: &'a Outcome,
        /// Whether it will be told again.
        is_final: bool,
    },
    /// A program did what it was told, and said something.
    Said {
        /// Which one.
        program: &'a str,
        /// What it was told of.
        notice: &'a Notice,
        /// What came of it.
        outcome: &'a Outcome,
    },
    /// So many events found no room in the queue since the last report.
    Dropped(u64),
    /// The process that starts programs is gone: nothing is started until the next start.
    Lost,
}

/// Who takes reports. It is called on a thread of ours and may not wait for long.
pub type Tell = Box<dyn Fn(&Report<'_>) + Send + Sync>;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that a program took.
    pub done: u64,
    /// Runs that failed and are or were tried again.
    pub retried: u64,
    /// Events that were given up after the last try.
    pub failed: u64,
    /// Events that found no room in the queue.
    pub dropped: u64,
    /// Events that wait or are being told now.
    pub waiting: u64,
    /// Verdicts that were asked for.
    pub asked: u64,
}

/// The process that starts programs, and nothing around it yet.
pub struct Started {
    /// None where a test has it as a thread.
    child: Option<Child>,
    input: Box<dyn Write + Send>,
    output: Box<dyn Read + Send>,
    programs: Vec<Program>,
}

impl std::fmt::Debug for Started {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Started").field("programs", &self.programs).finish_non_exhaustive()
    }
}

impl Started {
    /// Starts the process: `command` must end up in [`crate::worker::serve`], with its standard
    /// input and output. Nothing but `programs` can be started from then on.
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

    /// Starts the threads around it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn begin(self, limits: Limits, tell: Tell) -> io::Result<Programs> {
        let Self { child, input, output, programs } = self;
        let shared = Arc::new(Shared {
            state: Mutex::new(Queue::new(limits)),
            changed: Condvar::new(),
            programs,
            tell,
        });
        let (sender, hearer) = (Arc::clone(&shared), Arc::clone(&shared));
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("events").spawn(move || sender.send_all(input))?;
        thread("events-end").spawn(move || hearer.hear_all(output, child))?;
        Ok(Programs { shared })
    }
}

/// The nearer end. Cheap to clone.
#[derive(Clone)]
pub struct Programs {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Programs {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Programs").finish_non_exhaustive()
    }
}

impl Programs {
    /// Has a program, by its number, told of an event. Waits for nothing; where there is no room
    /// the event is dropped, counted, and reported.
    pub fn run(&self, program: usize, notice: &Notice) {
        self.shared.queue().add(program, notice.clone());
        self.shared.changed.notify_all();
    }

    /// Asks a program for a verdict. Dropping the future ends the program.
    ///
    /// # Errors
    /// Why it could not be asked.
    pub async fn ask(&self, program: usize, notice: &Notice) -> Result<Outcome, &'static str> {
        let (answer, answered) = oneshot::channel();
        let id = self.shared.queue().ask(program, notice.clone(), answer)?;
        self.shared.changed.notify_all();
        let withdrawal = Withdrawal { shared: &self.shared, id };
        let outcome = answered.await.map_err(|_| "the process that starts programs is gone");
        std::mem::forget(withdrawal);
        outcome
    }

    /// Counts since the start.
    pub fn counts(&self) -> Counts {
        self.shared.queue().counts()
    }

    /// Takes nothing more, waits until all that waits has been told, but no longer than `within`,
    /// and ends the process.
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

/// Takes a question back when nobody waits for its answer any more.
struct Withdrawal<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        self.shared.queue().withdraw(self.id);
        self.shared.changed.notify_all();
    }
}

struct Shared {
    state: Mutex<Queue>,
    changed: Condvar,
    programs: Vec<Program>,
    tell: Tell,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives out orders, until the end.
    fn send_all(&self, mut input: Box<dyn Write + Send>) {
        loop {
            let mut queue = self.queue();
            let wants = loop {
                match queue.next(now()) {
                    Wants::Rest(Some(time)) => {
                        let waited = self.changed.wait_timeout(queue, time);
                        queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                    }
                    Wants::Rest(None) => {
                        queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                    }
                    wants => break wants,
                }
            };
            drop(queue);
            let sent = match wants {
                Wants::Run(order) => send(&mut input, &order),
                Wants::Stop(id) => frame::write(&mut input, &[b"stop", id.to_string().as_bytes()]),
                Wants::Tell(dropped) => {
                    (self.tell)(&Report::Dropped(dropped));
                    Ok(())
                }
                Wants::End | Wants::Rest(_) => return,
            };
            if let Err(error) = sent {
                // An event too large for a frame concerns itself alone; else the end comes next.
                self.failed_to_send(error.to_string());
            }
        }
    }

    fn failed_to_send(&self, why: String) {
        let last = self.queue().last_sent();
        if let Some(id) = last {
            let end = End::NotStarted(why);
            self.settle(id, Outcome { end, out: Vec::new(), err: Vec::new() });
        }
    }

    /// Takes answers, until the other end is gone.
    fn hear_all(&self, output: Box<dyn Read + Send>, child: Option<Child>) {
        let mut output = BufReader::new(output);
        while let Ok(Some(parts)) = frame::read(&mut output) {
            if let Some((id, outcome)) = answered(parts) {
                self.settle(id, outcome);
            }
        }
        let was_ended = self.queue().lose();
        self.changed.notify_all();
        if !was_ended {
            (self.tell)(&Report::Lost);
        }
        if let Some(mut child) = child {
            let _ = child.wait();
        }
    }

    fn settle(&self, id: u64, outcome: Outcome) {
        let settled = self.queue().settle(id, outcome, now());
        self.changed.notify_all();
        let Some(Settled { program, notice, outcome, is_final }) = settled else { return };
        let name = |program: &Program| program.name.clone();
        let program = &self.programs.get(program).map(name).unwrap_or_default();
        let (notice, outcome) = (&notice, &outcome);
        if outcome.end != End::Exited(0) {
            (self.tell)(&Report::Failed { program, notice, outcome, is_final });
        } else if !outcome.out.is_empty() || !outcome.err.is_empty() {
            (self.tell)(&Report::Said { program, notice, outcome });
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
