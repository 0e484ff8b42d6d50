//! Unix: a program in its own process group, watched by one thread that waits for its output and
//! its end together.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{Execution, OUTPUT_BYTES_MAX, ProgramEnd, ProgramOutcome, RunningPrograms};
use crate::clock::now;

/// How long output is awaited after the program has ended: a process that has left the group may
/// keep the pipes open for ever.
const OUTPUT_WAIT_MAX: Duration = Duration::from_secs(1);

/// A program and its children, except those that have left its group.
pub(super) struct ProcessGroup(Pid);

impl ProcessGroup {
    /// Kills all of them. Only while it is in the list of running programs: afterwards the id may
    /// be reused.
    pub(super) fn kill(&self) {
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Bytes as an argument of a command.
pub(super) fn text(bytes: &[u8]) -> Result<&OsStr, String> {
    if bytes.contains(&0) {
        Err("an argument contains a NUL byte".to_owned())
    } else {
        Ok(OsStr::from_bytes(bytes))
    }
}

/// Environment variables that a program needs: none here.
pub(super) fn pass_environment(_command: &mut Command) {}

/// Runs it to its end.
pub(super) fn run(
    command: &mut Command,
    order: &Execution<'_>,
    running: &RunningPrograms,
) -> io::Result<ProgramOutcome> {
    let mut child = command.process_group(0).spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the process has no id"))?;
    running.begins(order.id, ProcessGroup(pid));
    let watched = watch(&mut child, pid, order, running);
    running.ends(order.id);
    let status = child.wait()?;
    let watched = watched?;
    let end = match status.code() {
        _ if watched.is_late => ProgramEnd::TimedOut,
        Some(code) => ProgramEnd::Exited(code),
        None => ProgramEnd::Killed,
    };
    Ok(ProgramOutcome { end, out: watched.out, err: watched.err })
}

#[derive(Default)]
struct WatchResult {
    is_late: bool,
    out: Vec<u8>,
    err: Vec<u8>,
}

/// Writes its input and reads its output until it has ended; it is not reaped yet.
fn watch(
    child: &mut Child,
    pid: Pid,
    order: &Execution<'_>,
    running: &RunningPrograms,
) -> io::Result<WatchResult> {
    let (mut input, mut out, mut err) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    for end in [
        input.as_ref().map(AsFd::as_fd),
        out.as_ref().map(AsFd::as_fd),
        err.as_ref().map(AsFd::as_fd),
    ]
    .into_iter()
    .flatten()
    {
        ioctl_fionbio(end, true)?;
    }
    let over = await_end(pid)?;
    let mut watched = WatchResult::default();
    let mut body = order.body;
    let mut deadline = now() + order.time_max;
    let mut is_over = false;
    while !(is_over && out.is_none() && err.is_none()) {
        if body.is_empty() {
            input = None;
        }
        let ready = ready(
            [
                input.as_ref().map(|end| (end.as_fd(), PollFlags::OUT)),
                out.as_ref().map(|end| (end.as_fd(), PollFlags::IN)),
                err.as_ref().map(|end| (end.as_fd(), PollFlags::IN)),
                (!is_over).then(|| (over.as_fd(), PollFlags::IN)),
            ],
            deadline,
        )?;
        let [can_feed, has_out, has_err, has_ended] = ready;
        if can_feed && !feed(&mut input, &mut body) {
            input = None;
        }
        if has_out && !read_output(&mut out, &mut watched.out) {
            out = None;
        }
        if has_err && !read_output(&mut err, &mut watched.err) {
            err = None;
        }
        if has_ended {
            is_over = true;
            input = None;
            deadline = now() + OUTPUT_WAIT_MAX;
            running.kill(order.id);
        } else if now() >= deadline {
            if is_over {
                break;
            }
            watched.is_late = true;
            deadline = now() + OUTPUT_WAIT_MAX;
            running.kill(order.id);
        }
    }
    Ok(watched)
}

/// Waits for its end on a thread, without reaping it. The returned stream becomes readable then.
fn await_end(pid: Pid) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    std::thread::Builder::new().spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        drop(theirs);
    })?;
    Ok(ours)
}

/// Waits until one of them is ready, or until the deadline.
fn ready(
    ends: [Option<(BorrowedFd<'_>, PollFlags)>; 4],
    deadline: Instant,
) -> io::Result<[bool; 4]> {
    let left = deadline.saturating_duration_since(now());
    let left = Timespec::try_from(left).map_err(io::Error::other)?;
    let mut polled: Vec<_> =
        ends.iter().flatten().map(|(end, flags)| PollFd::from_borrowed_fd(*end, *flags)).collect();
    match poll(&mut polled, Some(&left)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut found = polled.iter().map(|one| !one.revents().is_empty());
    Ok(ends.map(|end| end.is_some() && found.next().unwrap_or(false)))
}

/// Writes input; returns whether there is more.
fn feed(input: &mut Option<impl Write>, body: &mut &[u8]) -> bool {
    let Some(input) = input else { return false };
    match input.write(body) {
        Ok(count) => {
            *body = body.get(count..).unwrap_or_default();
            true
        }
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

/// Reads output and keeps the beginning; returns whether more may follow.
fn read_output(from: &mut Option<impl Read>, kept: &mut Vec<u8>) -> bool {
    let Some(from) = from else { return false };
    let mut buffer = [0; 4096];
    match from.read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => {
            let free_bytes = OUTPUT_BYTES_MAX.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(buffer.get(..free_bytes).unwrap_or_default());
            true
        }
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}
