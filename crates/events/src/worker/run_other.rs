//! Other systems: the program itself is ended at its deadline; what it started is its own concern.

use std::io::{self, Read, Write};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{End, OUTPUT_BYTES_MAX, Order, Outcome, Running};
use crate::clock::now;

/// How often the system is asked whether a program is over.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long what a program wrote is awaited after its end.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

/// A program that runs.
pub(super) struct Group(Arc<Mutex<Child>>);

impl Group {
    /// Ends it, now.
    pub(super) fn kill(&self) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }
}

/// Bytes as a word of the system.
pub(super) fn text(bytes: &[u8]) -> Result<String, String> {
    if bytes.contains(&0) {
        return Err("it has a NUL byte".to_owned());
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| "it is no text".to_owned())
}

/// What a program cannot do without.
pub(super) fn keep_environment(command: &mut Command) {
    for name in ["SystemRoot", "SystemDrive", "TEMP", "TMP"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
}

/// Runs it to its end.
pub(super) fn run(
    command: &mut Command,
    order: &Order<'_>,
    running: &Running,
) -> io::Result<Outcome> {
    let mut child = command.spawn()?;
    let (input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let body = order.body.to_vec();
    if let Some(mut input) = input {
        std::thread::Builder::new().spawn(move || input.write_all(&body))?;
    }
    let (out, err) = (out.map(hear).transpose()?, err.map(hear).transpose()?);
    let child = Arc::new(Mutex::new(child));
    running.begins(order.id, Group(Arc::clone(&child)));
    let deadline = now() + order.time_max;
    let mut is_late = false;
    let status = loop {
        let status = child.lock().unwrap_or_else(PoisonError::into_inner).try_wait()?;
        if let Some(status) = status {
            break status;
        }
        if now() >= deadline {
            is_late = true;
            let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
        }
        std::thread::sleep(LOOK_EVERY);
    };
    running.ends(order.id);
    let end = match status.code() {
        _ if is_late => End::TimedOut,
        Some(code) => End::Exited(code),
        None => End::Killed,
    };
    let last_words = |from: Option<Receiver<Vec<u8>>>| {
        from.and_then(|from| from.recv_timeout(LAST_WORDS_MAX).ok()).unwrap_or_default()
    };
    Ok(Outcome { end, out: last_words(out), err: last_words(err) })
}

/// Keeps the beginning of what comes, on a thread.
fn hear(mut from: impl Read + Send + 'static) -> io::Result<Receiver<Vec<u8>>> {
    let (sender, receiver) = sync_channel(1);
    std::thread::Builder::new().spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
        }
        let _ = sender.send(kept);
    })?;
    Ok(receiver)
}
