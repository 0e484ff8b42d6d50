//! strace, which makes calls of a running program fail.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::calls::Call;
use crate::prove::clock;

/// It holds the server. Dropping it lets go.
pub(super) struct Strace {
    child: Child,
    out: PathBuf,
    /// What it says of new threads; it would end if nobody listened.
    _told: BufReader<ChildStderr>,
}

/// What the server called meanwhile.
pub(super) struct Trace(String);

/// Descriptors on which a call cannot fail in truth: those by which threads wake each other.
const INNER: &[&str] = &["[eventfd]", "[eventpoll]", "[timerfd]"];

/// From the signal until it has let go.
const DETACH_MAX: Duration = Duration::from_secs(2);
const DETACH_PAUSE: Duration = Duration::from_millis(1);
/// Between two looks at what is called.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

impl Strace {
    /// Watches these calls in every thread of a process; `failing`: this one fails, the how many-th
    /// of a thread.
    ///
    /// # Errors
    /// When it cannot be started, or does not get hold of the process.
    pub(super) fn attach(
        pid: Option<u32>,
        names: &[&str],
        failing: Option<(&Call, u32)>,
    ) -> Result<Self, String> {
        let pid = pid.ok_or("there is no server to hold")?;
        let out = std::env::temp_dir().join(format!("wharf-torture-{}", std::process::id()));
        let mut command = Command::new("strace");
        // A call that this system does not have is passed over.
        let names: Vec<_> = names.iter().map(|name| format!("?{name}")).collect();
        command.args([
            "-f",
            "-y",
            "-e",
            &format!("trace={}", names.join(",")),
            "-e",
            "signal=none",
        ]);
        if let Some((Call { name, error, .. }, number)) = failing {
            command.args(["-e", &format!("inject=?{name}:error={error}:when={number}")]);
        }
        command.arg("-o").arg(&out).args(["-p", &pid.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let help = "help: it is in the package strace; some containers do not permit it";
        let mut child =
            command.spawn().map_err(|error| format!("cannot start strace: {error}\n{help}"))?;
        let told = child.stderr.take().ok_or("strace has no standard error")?;
        let (mut told, mut said) = (BufReader::new(told), String::new());
        while told.read_line(&mut said).is_ok_and(|length| length > 0) {
            if said.contains(" attached") {
                return Ok(Self { child, out, _told: told });
            }
        }
        let _ = child.wait();
        Err(format!("strace cannot hold the server: {said}\n{help}"))
    }

    /// Lets go, and tells what was called.
    ///
    /// # Errors
    /// When that cannot be read.
    pub(super) fn detach(mut self) -> Result<Trace, String> {
        self.let_go();
        let text = fs::read(&self.out)
            .map_err(|error| format!("cannot read {}: {error}", self.out.display()))?;
        Ok(Trace(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Waits as long as `goes_on`, and says whether what fails meanwhile is
    /// [impossible](Trace::is_impossible): then nobody answers any more.
    pub(super) fn watch(&self, goes_on: &AtomicBool) -> bool {
        while goes_on.load(Ordering::Relaxed) {
            let text = fs::read(&self.out).unwrap_or_default();
            if Trace(String::from_utf8_lossy(&text).into_owned()).is_impossible() {
                return true;
            }
            clock::pause(LOOK_PAUSE);
        }
        false
    }

    fn let_go(&mut self) {
        // One that has ended by itself cannot be told.
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let began = clock::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < DETACH_MAX {
            clock::pause(DETACH_PAUSE);
        }
        // It waits for ever for a program that was killed under it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.let_go();
        let _ = fs::remove_file(&self.out);
    }
}

impl Trace {
    /// Whether the call failed that was to fail.
    pub(super) fn has_injected(&self) -> bool {
        self.injected().next().is_some()
    }

    /// Whether it was one that cannot fail in truth.
    pub(super) fn is_impossible(&self) -> bool {
        self.injected().any(|line| INNER.iter().any(|inner| line.contains(inner)))
    }

    /// The calls that failed as they were told to; each with its beginning, also where other
    /// threads' calls stand between.
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
