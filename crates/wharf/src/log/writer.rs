//! The writer thread: sessions enqueue lines and never block.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::target::LogTarget;
use crate::outcome::plain;

/// Maximum queue length; a slow disk costs lines, not memory.
const LINES_WAITING_MAX: usize = 8192;

/// The handle of the writer thread. Dropping it writes queued lines, and ends the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: Option<SyncSender<WriterMessage>>,
    dropped: Arc<AtomicU64>,
    thread: Mutex<Thread>,
}

/// The state of the thread.
enum Thread {
    /// Not started: lines are queued.
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

/// A message to the thread.
enum WriterMessage {
    /// A line, with the index of its target.
    Line(usize, Vec<u8>),
    /// Reply when all previous lines are written.
    Flush(SyncSender<()>),
    /// Reopen all files: they may have been renamed.
    Reopen,
}

/// Notices of the writer itself, written to the first target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WriterNote {
    /// This number of lines was lost: the queue or the disk was full.
    Dropped(u64),
    /// A log could not be reopened, for this reason; the old file is used further.
    NotReopened(String),
    /// A log could not be rotated, for this reason; it grows on.
    NotRotated(String),
}

/// Formats a notice as a line.
type NoteLine = Box<dyn Fn(&WriterNote) -> Vec<u8> + Send>;

impl Writer {
    /// Prepares the thread. Lines are queued until [`Writer::begin`].
    pub(crate) fn prepare(targets: Vec<LogTarget>, note_line: NoteLine) -> Self {
        let (sender, messages) = sync_channel(LINES_WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer_thread = WriterThread {
            batches: vec![Vec::new(); targets.len()],
            messages,
            targets,
            dropped: Arc::clone(&dropped),
            unreported: 0,
            notes: Vec::new(),
            note_line,
        };
        let thread = Mutex::new(Thread::Prepared(Box::new(writer_thread)));
        Self { sender: Some(sender), dropped, thread }
    }

    /// Starts the thread.
    pub(crate) fn begin(&self) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        *thread = match std::mem::replace(&mut *thread, Thread::Ended) {
            Thread::Prepared(mut writer_thread) => {
                let builder = std::thread::Builder::new().name("log".into());
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

    /// Enqueues a line for the target with index `target`. If the queue is full, it is dropped and
    /// counted.
    pub(crate) fn write(&self, target: usize, line: impl Into<Vec<u8>>) {
        let Some(sender) = &self.sender else { return };
        if let Err(TrySendError::Full(_)) =
            sender.try_send(WriterMessage::Line(target, line.into()))
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reopens all files after the lines so far. If the queue is full, the disk hangs, and nothing
    /// is reopened.
    pub(crate) fn reopen(&self) {
        if let Some(sender) = &self.sender {
            let _ = sender.try_send(WriterMessage::Reopen);
        }
    }

    /// Waits until all lines so far are written; at most a few seconds, in case the disk hangs.
    pub(crate) fn flush(&self) {
        let Some(sender) = &self.sender else { return };
        for _ in 0..FLUSH_TRIES_MAX {
            let (answer, answered) = sync_channel(1);
            if sender.try_send(WriterMessage::Flush(answer)).is_ok() {
                let _ = answered.recv_timeout(FLUSH_MAX);
                return;
            }
            std::thread::sleep(FLUSH_MAX / FLUSH_TRIES_MAX);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
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

/// The state owned by the thread.
struct WriterThread {
    messages: Receiver<WriterMessage>,
    targets: Vec<LogTarget>,
    batches: Vec<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    /// Number of lost lines that has not been logged yet.
    unreported: u64,
    notes: Vec<WriterNote>,
    note_line: NoteLine,
}

impl WriterThread {
    /// Writes until the last sender is dropped. Queued lines are written in one batch.
    fn write_all(&mut self) {
        while let Ok(first) = self.messages.recv() {
            let mut waiting = Vec::new();
            let more: Vec<_> = self.messages.try_iter().take(BATCH_LINES_MAX).collect();
            for message in std::iter::once(first).chain(more) {
                match message {
                    WriterMessage::Line(target, line) => {
                        if let Some(batch) = self.batches.get_mut(target) {
                            batch.extend_from_slice(&line);
                        }
                    }
                    WriterMessage::Flush(answer) => waiting.push(answer),
                    WriterMessage::Reopen => {
                        // Earlier lines belong to the old file.
                        self.write_batches();
                        self.reopen();
                    }
                }
            }
            self.write_batches();
            for answer in waiting {
                let _ = answer.try_send(());
            }
        }
        self.write_batches();
    }

    fn write_batches(&mut self) {
        self.unreported += self.dropped.swap(0, Ordering::Relaxed);
        for (target, batch) in self.targets.iter_mut().zip(&mut self.batches) {
            // A full disk must not stop the server: lost lines are counted, and the number is
            // logged as soon as there is space.
            self.unreported += target.write_lines(batch);
            self.notes.extend(target.take_problem().map(WriterNote::NotRotated));
            batch.clear();
        }
        self.write_notices();
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

/// Maximum number of lines per batch.
const BATCH_LINES_MAX: usize = 256;
/// Maximum wait for a hanging disk, and for space in a full queue.
const FLUSH_MAX: Duration = Duration::from_secs(3);
const FLUSH_TRIES_MAX: u32 = 300;
