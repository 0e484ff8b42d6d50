//! Other systems: only the program itself is killed at its deadline, not its children.

use std::io::{self, Read, Write};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wharf_core::lock;

use super::{Execution, OUTPUT_BYTES_MAX, ProgramEnd, ProgramOutcome, RunningPrograms};
use crate::clock::now;

/// The interval of checks whether a program has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long output is awaited after the program has ended.
const OUTPUT_WAIT_MAX: Duration = Duration::from_secs(1);

/// A running program.
pub(super) struct ProcessGroup(Arc<Mutex<Child>>);

impl ProcessGroup {
    /// Kills it.
    pub(super) fn kill(&self) {
        let _ = lock(&self.0).kill();
    }
}

/// Bytes as an argument of a command.
pub(super) fn text(bytes: &[u8]) -> Result<String, String> {
    if bytes.contains(&0) {
        return Err("an argument contains a NUL byte".to_owned());
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| "an argument is not valid UTF-8".to_owned())
}

/// Environment variables that a program needs.
pub(super) fn pass_environment(command: &mut Command) {
    for name in ["SystemRoot", "SystemDrive", "TEMP", "TMP"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
}

/// Runs it to its end.
pub(super) fn run(
    command: &mut Command,
    order: &Execution<'_>,
    running: &RunningPrograms,
) -> io::Result<ProgramOutcome> {
    let mut child = command.spawn()?;
    let (input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let body = order.body.to_vec();
    if let Some(mut input) = input {
        std::thread::Builder::new().spawn(move || input.write_all(&body))?;
    }
    let (out, err) = (out.map(read_output).transpose()?, err.map(read_output).transpose()?);
    let child = Arc::new(Mutex::new(child));
    running.begins(order.id, ProcessGroup(Arc::clone(&child)));
    let deadline = now() + order.time_max;
    let mut is_late = false;
    let status = loop {
        let status = lock(&child).try_wait()?;
        if let Some(status) = status {
            break status;
        }
        if now() >= deadline {
            is_late = true;
            let _ = lock(&child).kill();
        }
        std::thread::sleep(POLL_INTERVAL);
    };
    running.ends(order.id);
    let end = match status.code() {
        _ if is_late => ProgramEnd::TimedOut,
        Some(code) => ProgramEnd::Exited(code),
        None => ProgramEnd::Killed,
    };
    let last_words = |from: Option<Receiver<Vec<u8>>>| {
        from.and_then(|from| from.recv_timeout(OUTPUT_WAIT_MAX).ok()).unwrap_or_default()
    };
    Ok(ProgramOutcome { end, out: last_words(out), err: last_words(err) })
}

/// Reads the beginning of the output on a thread.
fn read_output(mut from: impl Read + Send + 'static) -> io::Result<Receiver<Vec<u8>>> {
    let (sender, receiver) = sync_channel(1);
    std::thread::Builder::new().spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let free_bytes = OUTPUT_BYTES_MAX.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(buffer.get(..free_bytes).unwrap_or_default());
        }
        let _ = sender.send(kept);
    })?;
    Ok(receiver)
}
