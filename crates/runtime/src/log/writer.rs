//! The writer thread: sessions add lines to a buffer in memory and never block.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wharf_config::outcome::plain;
use wharf_core::lock;

use super::pending::{Demand, LineBatches, PendingLines, Schedule, WriterStep};
use super::target::LogTarget;

/// The handle of the writer thread. Dropping it writes pending lines, and ends the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    buffer: Arc<Buffer>,
    thread: Mutex<Thread>,
}

/// What sessions and the thread share.
#[derive(Debug)]
struct Buffer {
    pending: Mutex<PendingLines>,
    /// Wakes the thread.
    added: Condvar,
    /// Wakes those that wait for the thread.
    done: Condvar,
}

/// The state of the thread.
enum Thread {
    /// Not started: lines wait.
    Prepared(Box<WriterThread>),
    /// Running. The receiver is notified at its end.
    Running(JoinHandle<()>, Receiver<()>),
    Ended,
}

impl std::fmt::Debug for Thread {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Thread")
    }
}

/// Notices of the writer itself, written to the first target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WriterNote {
    /// This number of lines was lost: too many waited, or the disk was full.
    Dropped(u64),
    /// A log could not be reopened, for this reason; the old file is used further.
    NotReopened(String),
    /// A log could not be rotated, for this reason; it grows on.
    NotRotated(String),
}

/// Formats a notice as a line.
type NoteLine = Box<dyn Fn(&WriterNote) -> Vec<u8> + Send>;

impl Buffer {
    fn pending(&self) -> MutexGuard<'_, PendingLines> {
        // No code under this lock panics halfway.
        lock(&self.pending)
    }

    /// Changes what waits, and wakes the thread if `act` returns that it must be woken.
    fn change(&self, act: impl FnOnce(&mut PendingLines) -> bool) {
        let must_wake = act(&mut self.pending());
        if must_wake {
            self.added.notify_one();
        }
    }
}

impl Writer {
    /// Prepares the thread. Lines wait until [`Writer::begin`].
    pub(crate) fn prepare(targets: Vec<LogTarget>, note_line: NoteLine) -> Self {
        let buffer = Arc::new(Buffer {
            pending: Mutex::new(PendingLines::new(targets.len())),
            added: Condvar::new(),
            done: Condvar::new(),
        });
        let writer_thread = WriterThread {
            buffer: Arc::clone(&buffer),
            schedule: Schedule::default(),
            batches_taken: LineBatches::default(),
            targets,
            unreported: 0,
            notes: Vec::new(),
            note_line,
        };
        Self { buffer, thread: Mutex::new(Thread::Prepared(Box::new(writer_thread))) }
    }

    /// Starts the thread.
    pub(crate) fn begin(&self) -> io::Result<()> {
        let mut thread = self.thread();
        *thread = match std::mem::replace(&mut *thread, Thread::Ended) {
            Thread::Prepared(mut writer_thread) => {
                let builder = std::thread::Builder::new().name(THREAD_NAME.into());
                let (done, is_done) = sync_channel::<()>(0);
                let write = move || {
                    writer_thread.write_all();
                    drop(done);
                };
                Thread::Running(builder.spawn(write)?, is_done)
            }
            begun => begun,
        };
        Ok(())
    }

    fn thread(&self) -> MutexGuard<'_, Thread> {
        lock(&self.thread)
    }

    /// Adds a line for the target with index `target`: it is written within milliseconds, together
    /// with others, or at once if it is urgent. If too many wait, it is dropped and counted.
    pub(crate) fn write(&self, target: usize, line: &[u8], is_urgent: bool) {
        let demand = if is_urgent { Demand::Now } else { Demand::Gather };
        self.buffer.change(|pending| pending.add(target, line, demand));
    }

    /// Reopens all files after the lines so far.
    pub(crate) fn reopen(&self) {
        self.buffer.change(PendingLines::reopen);
    }

    /// Waits until all lines so far are written; at most a few seconds, in case the disk hangs.
    pub(crate) fn flush(&self) {
        // The thread cannot wait for itself, when it panics. Before its start nothing is written.
        let is_running = matches!(*self.thread(), Thread::Running(..));
        if !is_running || std::thread::current().name() == Some(THREAD_NAME) {
            return;
        }
        let mut pending = self.buffer.pending();
        pending.request(Demand::Now);
        self.buffer.added.notify_one();
        let mark = pending.mark();
        let waiting = self
            .buffer
            .done
            .wait_timeout_while(pending, FLUSH_MAX, |pending| !pending.has_done(mark));
        drop(waiting);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.buffer.change(|pending| pending.request(Demand::End));
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(thread, Thread::Ended) {
            // A hanging disk must not prevent the server from exiting.
            Thread::Running(thread, is_done) => {
                if is_done.recv_timeout(FLUSH_MAX) == Err(RecvTimeoutError::Disconnected) {
                    let _ = thread.join();
                }
            }
            Thread::Prepared(mut writer_thread) => writer_thread.write_all(),
            Thread::Ended => {}
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the thread waits in real time, regardless of tokio's clock"
)]
fn now() -> Instant {
    Instant::now()
}

/// The state owned by the thread.
struct WriterThread {
    buffer: Arc<Buffer>,
    schedule: Schedule,
    batches_taken: LineBatches,
    targets: Vec<LogTarget>,
    /// Number of lost lines that has not been logged yet.
    unreported: u64,
    notes: Vec<WriterNote>,
    note_line: NoteLine,
}

impl WriterThread {
    /// Writes until the log ends.
    fn write_all(&mut self) {
        while self.take() {
            self.write();
            self.buffer.pending().finish(&mut self.batches_taken);
            self.buffer.done.notify_all();
        }
        // Lost lines that could not be reported before.
        self.batches_taken = LineBatches::default();
        self.write();
    }

    /// Waits until lines are due, and takes them; returns false at the end.
    fn take(&mut self) -> bool {
        let mut pending = self.buffer.pending();
        loop {
            match self.schedule.step(&pending, now()) {
                WriterStep::Sleep => {
                    pending.set_asleep(true);
                    let woken = self.buffer.added.wait(pending);
                    pending = woken.unwrap_or_else(PoisonError::into_inner);
                    pending.set_asleep(false);
                }
                WriterStep::Wait(time) => {
                    let woken = self.buffer.added.wait_timeout(pending, time);
                    pending = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
                WriterStep::Write => {
                    pending.take(&mut self.batches_taken);
                    return true;
                }
                WriterStep::End => return false,
            }
        }
    }

    fn write(&mut self) {
        self.unreported += self.batches_taken.dropped;
        if let Some(lengths) = self.batches_taken.reopen_at.take() {
            // Earlier lines belong to the old file.
            self.write_batches(|number, batch| batch.get(..lengths.get(number).copied()?));
            self.reopen();
            self.write_batches(|number, batch| batch.get(lengths.get(number).copied()?..));
        } else {
            self.write_batches(|_, batch| Some(batch));
        }
        self.write_notices();
    }

    /// Writes a part of each batch.
    fn write_batches(&mut self, part: impl Fn(usize, &[u8]) -> Option<&[u8]>) {
        for (number, (target, batch)) in
            self.targets.iter_mut().zip(&self.batches_taken.batches).enumerate()
        {
            // A full disk must not stop the server: lost lines are counted, and the number is
            // logged as soon as there is space.
            self.unreported += target.write_lines(part(number, batch).unwrap_or_default());
            self.notes.extend(target.take_problem().map(WriterNote::NotRotated));
        }
    }

    /// Writes notices to the first target, once it accepts lines.
    fn write_notices(&mut self) {
        let Some(target) = self.targets.first_mut() else { return };
        for note in self.notes.drain(..) {
            target.write_lines(&(self.note_line)(&note));
        }
        if self.unreported > 0 {
            let line = (self.note_line)(&WriterNote::Dropped(self.unreported));
            if target.write_lines(&line) == 0 {
                self.unreported = 0;
            }
        }
    }

    fn reopen(&mut self) {
        for target in &mut self.targets {
            if let Err(error) = target.reopen() {
                self.notes.push(WriterNote::NotReopened(plain(&error)));
            }
        }
    }
}

const THREAD_NAME: &str = "log";
/// Maximum wait for a hanging disk.
const FLUSH_MAX: Duration = Duration::from_secs(3);
