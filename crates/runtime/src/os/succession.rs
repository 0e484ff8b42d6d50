//! Unix: upgrade without downtime: a new program takes over the listening sockets of a running
//! server.
//!
//! A server drops its privileges, and with them the ability to start programs. So before that it
//! starts a *starter*: a second process of this program with the initial privileges, which waits. A
//! server can only ask it to start the same command line again, with sockets that are sent with the
//! request: a starter that held them permanently would keep ports in use after a crash. It starts a
//! *successor*, which places the sockets where systemd would (`inherited`) and executes the new
//! program. That reports on its standard input when it serves, or why it cannot. The starter
//! forwards this, and exits once there is a new server, which has its own starter.

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

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::signal::unix::{SignalKind, signal};
use wharf_config::outcome::plain;

use super::inherited::{FIRST, SOCKETS_MAX};
use super::trusted_path::only_root_changes;

/// Maximum time until a new server serves.
const START_MAX: Duration = Duration::from_mins(1);
/// The starter gets a little longer, to report a timeout.
const ANSWER_MAX: Duration = Duration::from_secs(75);
/// Maximum length of the result line.
const LINE_BYTES_MAX: u64 = 8 * 1024;
/// Environment variable with the process ID of the successor, whose standard input leads to the
/// waiting server.
const SUCCESSOR: &str = "WHARF_SUCCESSOR";
/// The start request.
const GO: u8 = b'g';

/// A process that can start the program again with the initial privileges.
#[derive(Debug)]
pub(crate) struct SuccessorStarter {
    line: UnixStream,
    process: Child,
}

impl SuccessorStarter {
    /// Starts it. Call it before privileges are dropped.
    ///
    /// # Errors
    /// An I/O error.
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

    /// Starts a new server with these sockets, and returns its process ID once it serves. Blocks
    /// for at most a minute.
    ///
    /// # Errors
    /// Why it does not serve; nothing has changed then.
    pub(crate) fn start(&mut self, sockets: &[TcpListener]) -> Result<u32, String> {
        let gone = || "the process that starts new servers has ended; restart wharf".to_owned();
        send(&self.line, sockets).map_err(|_| gone())?;
        let mut answer = String::new();
        let mut lines = BufReader::new((&self.line).take(LINE_BYTES_MAX));
        lines.read_line(&mut answer).map_err(|error| plain(&error))?;
        let (word, rest) = answer.trim_end().split_once(' ').unwrap_or_default();
        match (word, rest.parse()) {
            ("ready", Ok(number)) => {
                // It exits now; waiting for it prevents a zombie process.
                let _ = self.process.wait();
                Ok(number)
            }
            ("failed", _) => Err(rest.to_owned()),
            _ => Err(gone()),
        }
    }
}

/// The program by the path it was started with, which may be a new file now.
fn own_program() -> io::Result<PathBuf> {
    let named = std::env::args_os().next().map(PathBuf::from);
    match named.filter(|path| path.components().count() > 1) {
        Some(path) => std::path::absolute(path),
        None => std::env::current_exe(),
    }
}

/// Runs the starter: waits for a request of its server, or for its end. `words` are the program and
/// its arguments.
///
/// # Errors
/// It was not started by a server.
pub fn be_starter(words: &[OsString]) -> io::Result<()> {
    // Signals for the server may reach all processes of its name; they are ignored here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let deaf = [SignalKind::hangup(), SignalKind::user_defined1(), SignalKind::user_defined2()];
    let _deaf = deaf.map(signal);
    drop(entered);
    let mut line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // When the server ends for any reason, the socket is closed too.
    while let Some(sockets) = receive(&line)? {
        // This process has one thread, so none can start a program in between.
        for socket in &sockets {
            fcntl_setfd(socket, FdFlags::CLOEXEC)?;
        }
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
    let failed = |error: io::Error| format!("cannot start a new process: {}", plain(&error));
    let (line, other) = UnixStream::pair().map_err(failed)?;
    let program = own_program().map_err(failed)?;
    // The requesting server is unprivileged: files that it could change are not executed with our
    // privileges.
    only_root_changes(&program).map_err(failed)?;
    if let Some(named) = words.first() {
        only_root_changes(Path::new(named)).map_err(failed)?;
    }
    let mut command = Command::new(program);
    command.args(["service", "successor", "--"]).args(words).stdin(OwnedFd::from(other));
    let mut process = command.spawn().map_err(failed)?;
    // Close our copy of its end, so that its exit is detected.
    drop(command);
    let answer = read_result(&line, sockets);
    let why = match answer.as_deref() {
        Ok("ready") => return Ok(process.id()),
        Ok("") => "it exited before serving; see its last lines in the log".to_owned(),
        Ok(reported) => reported.strip_prefix("failed ").unwrap_or(reported).to_owned(),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            format!("it did not serve within {} seconds", START_MAX.as_secs())
        }
        Err(error) => plain(error),
    };
    let _ = process.kill();
    let _ = process.wait();
    Err(why)
}

fn read_result(line: &UnixStream, sockets: &[OwnedFd]) -> io::Result<String> {
    send(line, sockets)?;
    line.set_read_timeout(Some(START_MAX))?;
    let mut answer = String::new();
    BufReader::new(line.take(LINE_BYTES_MAX)).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

/// Runs the successor: places the sockets as systemd does, and executes the new program.
///
/// # Errors
/// It cannot be executed; the error has been reported to the starter.
pub fn be_successor(words: &[OsString]) -> io::Result<()> {
    let failed = |error: io::Error| {
        let text = format!("failed cannot start the new program: {}\n", plain(&error));
        let _ = rustix::io::write(io::stdin().as_fd(), text.as_bytes());
        error
    };
    become_server(words).map_err(failed)
}

fn become_server(words: &[OsString]) -> io::Result<()> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    // No other files are open, so the sockets get the descriptors that systemd uses.
    let sockets = receive(io::stdin().as_fd())?.unwrap_or_default();
    let numbers = sockets.iter().map(AsRawFd::as_raw_fd);
    if !numbers.eq((0..).zip(&sockets).map(|(index, _)| FIRST + index)) {
        return Err(io::Error::other("the file descriptors for sockets are already in use"));
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

/// Whether this process is the successor of another server.
pub fn is_successor() -> bool {
    std::env::var(SUCCESSOR).is_ok_and(|number| number == std::process::id().to_string())
}

/// Reports to the predecessor that this process serves, or why it cannot. Does nothing without one.
pub fn report_to_predecessor(how: Result<(), &str>) {
    if !is_successor() {
        return;
    }
    let line = match how {
        Ok(()) => "ready\n".to_owned(),
        Err(why) => format!("failed {}\n", one_line(why)),
    };
    // If it has exited, no process waits, and we serve anyway.
    let _ = rustix::io::write(io::stdin().as_fd(), line.as_bytes());
}

/// Text as one line of bounded length.
fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().take(2000).collect()
}

/// Sends the start request with sockets.
fn send(line: &UnixStream, sockets: &[impl AsFd]) -> io::Result<()> {
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("too many listeners"));
    }
    sendmsg(line, &[IoSlice::new(&[GO])], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Waits for the start request, and returns its sockets; `None` at the end of the server.
fn receive(line: impl AsFd) -> io::Result<Option<Vec<OwnedFd>>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut byte = [IoSliceMut::new(&mut byte)];
    let received = recvmsg(line, &mut byte, &mut control, RecvFlags::empty())?;
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
