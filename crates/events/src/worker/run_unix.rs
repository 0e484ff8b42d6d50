//! Unix: a program in a process group of its own, watched by one thread that waits for all of its
//! ends at once.

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

use super::{End, OUTPUT_BYTES_MAX, Order, Outcome, Running};
use crate::clock::now;

/// How long what a program wrote is awaited after its end: who has left its group may keep the
/// pipes open for ever.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

/// A program and all that it started, unless they left its group.
pub(super) struct Group(Pid);

impl Group {
    /// Ends all of them, now. Only while it is among those that run: its number may be another's
    /// afterwards.
    pub(super) fn kill(&self) {
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Bytes as a word of the system.
pub(super) fn text(bytes: &[u8]) -> Result<&OsStr, String> {
    if bytes.contains(&0) {
        Err("it has a NUL byte".to_owned())
    } else {
        Ok(OsStr::from_bytes(bytes))
    }
}

/// What a program cannot do without: nothing here.
pub(super) fn keep_environment(_command: &mut Command) {}

/// Runs it to its end.
pub(super) fn run(
    command: &mut Command,
    order: &Order<'_>,
    running: &Running,
) -> io::Result<Outcome> {
    let mut child = command.process_group(0).spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the system gave it no number"))?;
    running.begins(order.id, Group(pid));
    let watched = watch(&mut child, pid, order, running);
    running.ends(order.id);
    let status = child.wait()?;
    let watched = watched?;
    let end = match status.code() {
        _ if watched.is_late => End::TimedOut,
        Some(code) => End::Exited(code),
        None => End::Killed,
    };
    Ok(Outcome { end, out: watched.out, err: watched.err })
}

#[derive(Default)]
struct Watched {
    is_late: bool,
    out: Vec<u8>,
    err: Vec<u8>,
}

/// Feeds it and listens to it until it is over; it stays unreaped.
fn watch(child: &mut Child, pid: Pid, order: &Order<'_>, running: &Running) -> io::Result<Watched> {
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
    let mut watched = Watched::default();
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
        if has_out && !hear(&mut out, &mut watched.out) {
            out = None;
        }
        if has_err && !hear(&mut err, &mut watched.err) {
            err = None;
        }
        if has_ended {
            is_over = true;
            input = None;
            deadline = now() + LAST_WORDS_MAX;
            running.kill(order.id);
        } else if now() >= deadline {
            if is_over {
                break;
            }
            watched.is_late = true;
            deadline = now() + LAST_WORDS_MAX;
            running.kill(order.id);
        }
    }
    Ok(watched)
}

/// Has a thread wait for its end, without reaping it. What is returned becomes readable then.
fn await_end(pid: Pid) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    std::thread::Builder::new().spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        drop(theirs);
    })?;
    Ok(ours)
}

/// Waits until one of them is ready, or the deadline.
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

/// Gives it what it takes; whether it may take more.
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

/// Takes what it says, and keeps the beginning; whether more may come.
fn hear(from: &mut Option<impl Read>, kept: &mut Vec<u8>) -> bool {
    let Some(from) = from else { return false };
    let mut buffer = [0; 4096];
    match from.read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => {
            let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
            true
        }
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}
