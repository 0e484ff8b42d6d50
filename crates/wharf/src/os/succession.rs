//! Unix: a new program takes the place of a server that runs, at the same sockets.
//!
//! A server gives up its rights, and with them that of starting programs. So before it does, it
//! starts a *starter*: this program once more, with the rights of the start, which waits. All that
//! a server can ask of it is to start what it was itself started as, at sockets that come with the
//! word: a starter that had them all the time would keep ports from whoever follows a crash. It
//! starts a *successor*, which puts the sockets where systemd would (`inherited`) and
//! becomes the new program. That says on its standard input when
//! it serves, or why it cannot. The starter passes this on, and ends once there is a new server,
//! which has a starter of its own.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::signal::unix::{SignalKind, signal};

use super::inherited::{FIRST, SOCKETS_MAX};
use super::trusted_path::only_root_changes;
use crate::outcome::plain;

/// A new server has this long until it serves.
const START_MAX: Duration = Duration::from_mins(1);
/// Its starter needs a little longer to say that this was not enough.
const ANSWER_MAX: Duration = Duration::from_secs(75);
/// The longest line that says how it went.
const LINE_BYTES_MAX: u64 = 8 * 1024;
/// Whose standard input leads to a server that waits for it, by its number.
const SUCCESSOR: &str = "WHARF_SUCCESSOR";
/// What a server says to its starter.
const GO: u8 = b'g';

/// A process that can start the program anew.
#[derive(Debug)]
pub(crate) struct SuccessorStarter {
    line: UnixStream,
    process: Child,
}

impl SuccessorStarter {
    /// Starts it. Call it with all rights.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn begin() -> io::Result<Self> {
        let (line, other) = UnixStream::pair()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["service", "starter", "--"]).arg(own_program()?);
        command.args(std::env::args_os().skip(1)).stdin(OwnedFd::from(other));
        command.stdout(Stdio::null());
        let process = command.spawn()?;
        line.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self { line, process })
    }

    /// Has a new server started at these sockets, and returns its number once it serves. This
    /// blocks, for a minute at most.
    ///
    /// # Errors
    /// Why there is none; then all is as before.
    pub(crate) fn start(&mut self, sockets: &[TcpListener]) -> Result<u32, String> {
        let gone = || "the process that starts new servers is gone; restart wharf".to_owned();
        send(&self.line, sockets).map_err(|_| gone())?;
        let mut answer = String::new();
        let mut lines = BufReader::new((&self.line).take(LINE_BYTES_MAX));
        lines.read_line(&mut answer).map_err(|error| plain(&error))?;
        let (word, rest) = answer.trim_end().split_once(' ').unwrap_or_default();
        match (word, rest.parse()) {
            ("ready", Ok(number)) => {
                // It ends now; whoever does not wait for it keeps its number taken.
                let _ = self.process.wait();
                Ok(number)
            }
            ("failed", _) => Err(rest.to_owned()),
            _ => Err(gone()),
        }
    }
}

/// The program that was started, by the name that it was started by: behind it there may be
/// another file now.
fn own_program() -> io::Result<PathBuf> {
    let named = std::env::args_os().next().map(PathBuf::from);
    match named.filter(|path| path.components().count() > 1) {
        Some(path) => std::path::absolute(path),
        None => std::env::current_exe(),
    }
}

/// What the starter does: it waits for its server's word, or its end. `words` are the program and
/// its arguments.
///
/// # Errors
/// It was not started by a server.
pub(crate) fn be_starter(words: &[OsString]) -> io::Result<()> {
    // Signals for the server reach everybody of its name; they mean nothing here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let deaf = [SignalKind::hangup(), SignalKind::user_defined1(), SignalKind::user_defined2()];
    let _deaf = deaf.map(signal);
    drop(entered);
    let mut line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // At the server's end, whichever way it comes, the line ends too.
    while let Some(sockets) = receive(&line, RecvFlags::CMSG_CLOEXEC)? {
        let answer = match succeed(words, &sockets) {
            Ok(number) => format!("ready {number}\n"),
            Err(why) => format!("failed {}\n", one_line(&why)),
        };
        line.write_all(answer.as_bytes())?;
        if answer.starts_with("ready") {
            break;
        }
    }
    Ok(())
}

/// Starts a successor and waits until it serves.
fn succeed(words: &[OsString], sockets: &[OwnedFd]) -> Result<u32, String> {
    let failed = |error: io::Error| format!("a new process cannot be started: {}", plain(&error));
    let (line, other) = UnixStream::pair().map_err(failed)?;
    let program = own_program().map_err(failed)?;
    // The server that asks has given up its rights: what it could change is not run with ours.
    only_root_changes(&program).map_err(failed)?;
    if let Some(named) = words.first() {
        only_root_changes(Path::new(named)).map_err(failed)?;
    }
    let mut command = Command::new(program);
    command.args(["service", "successor", "--"]).args(words).stdin(OwnedFd::from(other));
    let mut process = command.spawn().map_err(failed)?;
    // Our copy of its end: only without it do we hear of its death.
    drop(command);
    let answer = hear(&line, sockets);
    let why = match answer.as_deref() {
        Ok("ready") => return Ok(process.id()),
        Ok("") => "it ended before it served; its last lines in the log say why".to_owned(),
        Ok(told) => told.strip_prefix("failed ").unwrap_or(told).to_owned(),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            format!("it did not serve within {} seconds", START_MAX.as_secs())
        }
        Err(error) => plain(error),
    };
    let _ = process.kill();
    let _ = process.wait();
    Err(why)
}

fn hear(line: &UnixStream, sockets: &[OwnedFd]) -> io::Result<String> {
    send(line, sockets)?;
    line.set_read_timeout(Some(START_MAX))?;
    let mut answer = String::new();
    BufReader::new(line.take(LINE_BYTES_MAX)).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

/// What the successor does: it puts the sockets where a server finds them, and becomes one.
///
/// # Errors
/// It cannot; whoever waits for it has been told.
pub(crate) fn be_successor(words: &[OsString]) -> io::Result<()> {
    let failed = |error: io::Error| {
        let text = format!("failed the new program cannot be started: {}\n", plain(&error));
        let _ = rustix::io::write(io::stdin().as_fd(), text.as_bytes());
        error
    };
    become_server(words).map_err(failed)
}

fn become_server(words: &[OsString]) -> io::Result<()> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    // Nothing else is open here, so they come to lie where systemd's would, for what is executed.
    let sockets = receive(io::stdin().as_fd(), RecvFlags::empty())?.unwrap_or_default();
    let numbers = sockets.iter().map(AsRawFd::as_raw_fd);
    if !numbers.eq((0..).zip(&sockets).map(|(index, _)| FIRST + index)) {
        return Err(io::Error::other("other files are open, where sockets should lie"));
    }
    let own = std::process::id().to_string();
    let mut command = Command::new(program);
    command.args(arguments).env("LISTEN_FDS", sockets.len().to_string());
    command.env("LISTEN_PID", &own).env_remove("LISTEN_FDNAMES").env(SUCCESSOR, &own);
    if std::env::var_os("WATCHDOG_PID").is_some() {
        command.env("WATCHDOG_PID", &own);
    }
    Err(command.exec())
}

/// Whether this process is to take the place of another server.
pub(crate) fn is_successor() -> bool {
    std::env::var(SUCCESSOR).is_ok_and(|number| number == std::process::id().to_string())
}

/// Tells the server whose place we take that we serve, or why we cannot. Without one: nothing.
pub(crate) fn report_to_predecessor(how: Result<(), &str>) {
    if !is_successor() {
        return;
    }
    let line = match how {
        Ok(()) => "ready\n".to_owned(),
        Err(why) => format!("failed {}\n", one_line(why)),
    };
    // If it is gone nobody waits, and we serve all the same.
    let _ = rustix::io::write(io::stdin().as_fd(), line.as_bytes());
}

/// Text that stays one line within the bound.
fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().take(2000).collect()
}

/// Sends the word to go, with sockets.
fn send(line: &UnixStream, sockets: &[impl AsFd]) -> io::Result<()> {
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("there are too many listeners"));
    }
    sendmsg(line, &[IoSlice::new(&[GO])], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Waits for the word to go, and returns the sockets that come with it; nothing at the end.
fn receive(line: impl AsFd, flags: RecvFlags) -> io::Result<Option<Vec<OwnedFd>>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = recvmsg(line, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            sockets.extend(received);
        }
    }
    Ok(Some(sockets))
}
