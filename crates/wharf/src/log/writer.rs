//! The thread that writes: whoever has a line hands it over and never waits.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::target::Target;
use crate::outcome::plain;

/// Lines that wait at most; a slow disk costs lines, not memory.
const LINES_WAITING_MAX: usize = 8192;

/// The nearer end of the thread. Dropping it writes what waits, and ends the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: Option<SyncSender<WriterMessage>>,
    dropped: Arc<AtomicU64>,
    thread: Mutex<Thread>,
}

/// The farther end.
enum Thread {
    /// It has not begun: lines wait in its queue.
    Prepared(Box<WriterThread>),
    /// It writes. The receiver hears when it is done.
    Running(JoinHandle<()>, Receiver<()>),
    Ended,
}

impl std::fmt::Debug for Thread {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Thread")
    }
}

/// What the thread is told.
enum WriterMessage {
    /// A line, and the number of its target.
    Line(usize, Vec<u8>),
    /// Answer when all before this is written.
    Flush(SyncSender<()>),
    /// Open all files anew: they may have been renamed.
    Reopen,
}

/// What the writer itself has to say, in a line of the first target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WriterNote {
    /// So many lines found no room in the queue or on the disk.
    Dropped(u64),
    /// A log could not be opened anew, for this reason; the old file goes on.
    NotReopened(String),
    /// A log could not be put aside, for this reason; it goes on and grows.
    NotRotated(String),
}

/// Makes a line of a note.
type NoteLine = Box<dyn Fn(&WriterNote) -> Vec<u8> + Send>;

impl Writer {
    /// Makes everything ready. Lines wait until [`Writer::begin`].
    pub(crate) fn prepare(targets: Vec<Target>, note_line: NoteLine) -> Self {
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

    /// Hands over a line for target number `target`. If too many wait already it is dropped, and
    /// counted.
    pub(crate) fn write(&self, target: usize, line: impl Into<Vec<u8>>) {
        let Some(sender) = &self.sender else { return };
        if let Err(TrySendError::Full(_)) =
            sender.try_send(WriterMessage::Line(target, line.into()))
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has all files opened anew, after the lines up to now. Where the queue is full the disk
    /// hangs, and nothing is opened.
    pub(crate) fn reopen(&self) {
        if let Some(sender) = &self.sender {
            let _ = sender.try_send(WriterMessage::Reopen);
        }
    }

    /// Waits until all lines up to now are written; a few seconds at most, should the disk hang.
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
            // A disk that hangs for ever does not keep the server from leaving.
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

/// Everything that the thread has.
struct WriterThread {
    messages: Receiver<WriterMessage>,
    targets: Vec<Target>,
    batches: Vec<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    /// Lines that are lost, and of which the log does not say so yet.
    unreported: u64,
    notes: Vec<WriterNote>,
    note_line: NoteLine,
}

impl WriterThread {
    /// Writes until the last sender is gone. Lines that wait together go to the disk together.
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
                        // What was said before belongs into the old file.
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
            // A full disk must not stop the server: what is lost is counted, and told as soon as
            // there is room.
            self.unreported += target.write_lines(batch);
            self.notes.extend(target.take_problem().map(WriterNote::NotRotated));
            batch.clear();
        }
        self.tell_notes();
    }

    /// What the writer itself has to say goes to the first target, once that takes lines.
    fn tell_notes(&mut self) {
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

/// Lines written at once.
const BATCH_LINES_MAX: usize = 256;
/// How long somebody waits for a disk that hangs, and for room in a full queue.
const FLUSH_MAX: Duration = Duration::from_secs(3);
const FLUSH_TRIES_MAX: u32 = 300;
