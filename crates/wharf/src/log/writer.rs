//! The thread that writes: whoever has a line hands it over and never waits.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::os::appended;
use crate::outcome::Failure;

/// Lines that wait at most; a slow disk costs lines, not memory.
const LINES_WAITING_MAX: usize = 8192;

/// Where lines go.
pub(crate) enum Target {
    /// Standard error.
    StandardError,
    /// The end of a file.
    File(File),
    /// Memory, for tests.
    #[cfg(test)]
    Memory(Arc<std::sync::Mutex<Vec<u8>>>),
}

impl std::fmt::Debug for Target {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Target")
    }
}

impl Target {
    /// The end of this file, which is made if it is missing, for its owner and group to read.
    pub(crate) fn file(path: &Path) -> Result<Self, Failure> {
        appended()
            .open(path)
            .map(Self::File)
            .map_err(|error| Failure::io(format!("cannot open the log {}", path.display()), &error))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::StandardError => io::stderr().lock().write_all(bytes),
            Self::File(file) => file.write_all(bytes),
            #[cfg(test)]
            Self::Memory(memory) => {
                memory.lock().unwrap().extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

/// The nearer end of the thread. Dropping it writes what waits, and ends the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: Option<SyncSender<Message>>,
    dropped: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told.
enum Message {
    /// A line, and the number of its target.
    Line(usize, String),
    /// Answer when all before this is written.
    Flush(SyncSender<()>),
}

/// Makes the line that tells how many lines there was no room for.
type DroppedLine = Box<dyn Fn(u64) -> String + Send>;

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(targets: Vec<Target>, dropped_line: DroppedLine) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(LINES_WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        let thread = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write_all(&receiver, targets, &counted, &dropped_line))?;
        Ok(Self { sender: Some(sender), dropped, thread: Some(thread) })
    }

    /// Hands over a line for target number `target`. If too many wait already it is dropped, and
    /// counted.
    pub(crate) fn write(&self, target: usize, line: String) {
        let Some(sender) = &self.sender else { return };
        if let Err(TrySendError::Full(_)) = sender.try_send(Message::Line(target, line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all lines up to now are written; a few seconds at most, should the disk hang.
    pub(crate) fn flush(&self) {
        let (answer, answered) = sync_channel(1);
        if let Some(sender) = &self.sender
            && sender.send(Message::Flush(answer)).is_ok()
        {
            let _ = answered.recv_timeout(FLUSH_MAX);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes until the last sender is gone. Lines that wait together go to the disk together.
fn write_all(
    messages: &Receiver<Message>,
    mut targets: Vec<Target>,
    dropped: &AtomicU64,
    dropped_line: &DroppedLine,
) {
    let mut batches = vec![String::new(); targets.len()];
    while let Ok(first) = messages.recv() {
        let mut waiting = Vec::new();
        let more = messages.try_iter().take(BATCH_LINES_MAX);
        for message in std::iter::once(first).chain(more) {
            match message {
                Message::Line(target, line) => {
                    if let Some(batch) = batches.get_mut(target) {
                        batch.push_str(&line);
                    }
                }
                Message::Flush(answer) => waiting.push(answer),
            }
        }
        tell_dropped(&mut batches, dropped, dropped_line);
        for (target, batch) in targets.iter_mut().zip(&mut batches) {
            // A full disk must not stop the server, and there is nobody else to tell.
            let _ = target.write(batch.as_bytes());
            batch.clear();
        }
        for answer in waiting {
            let _ = answer.try_send(());
        }
    }
    tell_dropped(&mut batches, dropped, dropped_line);
    for (target, batch) in targets.iter_mut().zip(&batches) {
        let _ = target.write(batch.as_bytes());
    }
}

fn tell_dropped(batches: &mut [String], dropped: &AtomicU64, dropped_line: &DroppedLine) {
    let count = dropped.swap(0, Ordering::Relaxed);
    if count > 0
        && let Some(batch) = batches.first_mut()
    {
        batch.push_str(&dropped_line(count));
    }
}

/// Lines written at once.
const BATCH_LINES_MAX: usize = 256;
/// How long somebody waits for a disk that hangs.
const FLUSH_MAX: Duration = Duration::from_secs(3);
