//! Makes system calls of a running program fail, by strace.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wharf_load::clock;

use super::calls::SystemCall;

/// An attached strace. Dropping it detaches it.
pub(super) struct Strace {
    child: Child,
    out: PathBuf,
    /// Its messages on new threads; it would block if they were not read.
    _reported: BufReader<ChildStderr>,
}

/// The calls of the server.
pub(super) struct Trace(String);

/// Descriptors on which a call cannot fail in practice: those by which threads wake each other.
const INNER: &[&str] = &["[eventfd]", "[eventpoll]", "[timerfd]"];

/// From the signal until it has detached.
const DETACH_MAX: Duration = Duration::from_secs(2);
const DETACH_PAUSE: Duration = Duration::from_millis(1);
/// The interval of checks.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Strace {
    /// Traces these calls in every thread of a process; `failing`: this call fails, counted per
    /// thread.
    pub(super) fn attach(
        pid: Option<u32>,
        names: &[&str],
        failing: Option<(&SystemCall, u32)>,
    ) -> Result<Self, String> {
        let pid = pid.ok_or("the server is not running")?;
        let out = std::env::temp_dir().join(format!("wharf-torture-{}", std::process::id()));
        let mut command = Command::new("strace");
        // A call that this system does not have is ignored.
        let names: Vec<_> = names.iter().map(|name| format!("?{name}")).collect();
        command.args([
            "-f",
            "-y",
            "-e",
            &format!("trace={}", names.join(",")),
            "-e",
            "signal=none",
        ]);
        if let Some((SystemCall { name, error, .. }, number)) = failing {
            command.args(["-e", &format!("inject=?{name}:error={error}:when={number}")]);
        }
        command.arg("-o").arg(&out).args(["-p", &pid.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let help = "hint: install the package strace; some containers do not permit it";
        let mut child =
            command.spawn().map_err(|error| format!("cannot start strace: {error}\n{help}"))?;
        let describe = child.stderr.take().ok_or("strace has no standard error")?;
        let (mut describe, mut printed) = (BufReader::new(describe), String::new());
        while describe.read_line(&mut printed).is_ok_and(|length| length > 0) {
            if printed.contains(" attached") {
                return Ok(Self { child, out, _reported: describe });
            }
        }
        let _ = child.wait();
        Err(format!("strace cannot attach to the server: {printed}\n{help}"))
    }

    /// Detaches, and returns the calls.
    pub(super) fn detach(mut self) -> Result<Trace, String> {
        self.detach_now();
        let text = fs::read(&self.out)
            .map_err(|error| format!("cannot read {}: {error}", self.out.display()))?;
        Ok(Trace(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Waits while `has_next_round`, and returns whether the failed call is
    /// [impossible](Trace::is_impossible): then the server does not answer any more.
    pub(super) fn watch(&self, has_next_round: &AtomicBool) -> bool {
        while has_next_round.load(Ordering::Relaxed) {
            let text = fs::read(&self.out).unwrap_or_default();
            if Trace(String::from_utf8_lossy(&text).into_owned()).is_impossible() {
                return true;
            }
            clock::pause(POLL_INTERVAL);
        }
        false
    }

    fn detach_now(&mut self) {
        // One that has exited cannot be signalled.
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let began = clock::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < DETACH_MAX {
            clock::pause(DETACH_PAUSE);
        }
        // It would wait for ever for a program that was killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.detach_now();
        let _ = fs::remove_file(&self.out);
    }
}

impl Trace {
    /// Whether the selected call failed.
    pub(super) fn has_injected(&self) -> bool {
        self.injected().next().is_some()
    }

    /// Whether it was a call that cannot fail in practice.
    pub(super) fn is_impossible(&self) -> bool {
        self.injected().any(|line| INNER.iter().any(|inner| line.contains(inner)))
    }

    /// The calls that were made to fail, complete, also if calls of other threads are in between.
    fn injected(&self) -> impl Iterator<Item = String> {
        let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
        self.0.lines().filter_map(move |line| {
            let (thread, rest) = line.split_once(' ')?;
            let first = if rest.contains("resumed>") { begun.remove(thread) } else { None };
            if rest.ends_with("<unfinished ...>") {
                begun.insert(thread, rest);
            }
            let is_injected = line.ends_with("(INJECTED)");
            is_injected.then(|| format!("{}{rest}", first.unwrap_or_default()))
        })
    }

    /// The kinds of calls of each thread, with their counts.
    pub(super) fn calls_of_each_thread(&self) -> impl Iterator<Item = (&str, u32)> {
        let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for line in self.0.lines() {
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let Some((name, _)) = rest.trim_start().split_once('(') else { continue };
            if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                *counts.entry((thread, name)).or_default() += 1;
            }
        }
        counts.into_iter().map(|((_, name), count)| (name, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_thread_and_what_failed_is_seen() {
        let text = "12 read(4</a>, \"\", 9) = 0\n13 read(5</b>, \"\", 9) = 0\n\
                    12 read(4</a>, \"\", 9) = 0\n12 <... read resumed>) = 0\n\
                    13 write(3<anon_inode:[eventfd]>, <unfinished ...>\n\
                    12 <... read resumed>) = 0\n\
                    13 <... write resumed>\"\", 8) = -1 EIO (I/O error) (INJECTED)\n";
        let trace = Trace(text.to_owned());
        let counts: Vec<_> = trace.calls_of_each_thread().collect();
        assert_eq!(counts, [("read", 2), ("read", 1), ("write", 1)]);
        assert!(trace.has_injected() && trace.is_impossible());
    }
}
