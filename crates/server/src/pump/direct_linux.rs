//! Files and sockets with the kernel's short ways between them: `sendfile` and `splice`.
//!
//! Both can wait for a disk, so they run on lanes, threads apart from the reactor. The socket stays
//! nonblocking: a lane waits a moment for a client that keeps up, and leaves the waiting for a slow
//! one to the reactor. So few threads serve any number of clients.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::sendfile;
use rustix::io::{Errno, Result as Call};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use socket2::Socket as Socket2;
use tokio::io::Interest;
use tokio::task::spawn_blocking;
use wharf_core::error::{Error, ErrorKind};

use super::{Cut, Flow, Rest, shortened, within};
use crate::lanes::Lane;
use crate::net::{Connection, Socket, Stream};
use crate::registry::Probe;

/// One call moves at most this much, so that counters move on.
const SPAN_BYTES: u64 = 16 * 1024 * 1024;
/// How much goes over a lane before others have their turn.
const TURN_BYTES: u64 = 16 * 1024 * 1024;
/// How long a lane waits for a client that has kept up so far.
const PATIENCE: Duration = Duration::from_millis(20);
/// A client that moved this much in one ride keeps up.
const FAST_BYTES: u64 = 4 * 1024 * 1024;
/// The most that an ordinary user may have in a pipe.
const PIPE_BYTES: usize = 1024 * 1024;

/// Why a ride ended.
enum Stop {
    /// All is moved.
    Done,
    /// Others wait for a lane.
    Turn,
    /// The client does not keep up.
    Slow,
    /// This file and this socket know no short way.
    Unable,
}

/// Whether a file can go out directly.
pub(super) fn can_send(stream: &Stream, flow: &Flow<'_>) -> bool {
    is_direct(stream, flow)
}

/// Whether a file can come in directly.
pub(super) fn can_receive(stream: &Stream, flow: &Flow<'_>) -> bool {
    is_direct(stream, flow)
}

fn is_direct(stream: &Stream, flow: &Flow<'_>) -> bool {
    matches!(stream, Stream::Plain(Socket::Tcp(_))) && !flow.is_ascii && !flow.shaper.is_limited()
}

/// Sends bytes `from..from + len` of a file. What is left comes back if there is no short way.
pub(super) async fn send(
    file: File,
    from: u64,
    len: u64,
    stream: &mut Stream,
    flow: &Flow<'_>,
) -> Result<Option<Rest>, Cut> {
    let Stream::Plain(Socket::Tcp(connection)) = stream else {
        return Ok(Some(Rest { file, from, len }));
    };
    let mut way = Way::new(connection, Interest::WRITABLE, flow)?;
    let mut work = Sending { file, from, left: len };
    loop {
        let (back, stop) = way.ride(work).await?;
        match stop {
            Stop::Done => return Ok(None),
            Stop::Unable => {
                return Ok(Some(Rest { file: back.file, from: back.from, len: back.left }));
            }
            Stop::Turn => {}
            Stop::Slow => way.wait().await?,
        }
        work = back;
    }
}

/// Takes what comes into a file, at its position. Says whether that was all; if not, the client
/// is so slow that this way does not pay, or there is none.
pub(super) async fn receive(file: File, stream: &mut Stream, flow: &Flow<'_>) -> Result<bool, Cut> {
    let Stream::Plain(Socket::Tcp(connection)) = stream else { return Ok(false) };
    let mut way = Way::new(connection, Interest::READABLE, flow)?;
    let mut work = Receiving { file, pipe: Pipe::new().map_err(store)? };
    loop {
        let (back, stop) = way.ride(work).await?;
        match stop {
            Stop::Done => return Ok(true),
            Stop::Turn => {}
            Stop::Slow | Stop::Unable => return Ok(false),
        }
        work = back;
    }
}

fn store(error: Errno) -> Cut {
    Cut::Store(io::Error::from(error).into())
}

/// A connection whose transfer goes over lanes. Dropping it stops a ride under way.
struct Way<'a> {
    connection: &'a mut Connection,
    socket: Arc<Socket2>,
    interest: Interest,
    flow: &'a Flow<'a>,
    keeps_up: bool,
    is_riding: bool,
}

/// What a lane does with a socket.
trait Work: Send + 'static {
    /// What the socket must be ready for.
    const FOR: PollFlags;

    /// Moves what it can without waiting for the client, and says how much that was.
    fn step(&mut self, socket: &Socket2) -> Step;
}

/// What a step came to.
enum Step {
    Moved(u64),
    /// The client must act first.
    Wait,
    Done,
    Unable,
    Cut(Cut),
}

impl<'a> Way<'a> {
    fn new(
        connection: &'a mut Connection,
        interest: Interest,
        flow: &'a Flow<'a>,
    ) -> Result<Self, Cut> {
        let socket = Arc::new(connection.duplicate().map_err(Cut::Network)?);
        Ok(Self { connection, socket, interest, flow, keeps_up: true, is_riding: false })
    }

    /// Works on a lane until there is a reason to leave it.
    async fn ride<W: Work>(&mut self, mut work: W) -> Result<(W, Stop), Cut> {
        let lane = self.flow.lanes.enter().await;
        let socket = Arc::clone(&self.socket);
        let probe = Arc::clone(self.flow.probe);
        let is_patient = self.keeps_up;
        // News from before the ride mean nothing after it.
        self.connection.forget(self.interest);
        self.is_riding = true;
        let ridden = spawn_blocking(move || {
            let ended = ride(&mut work, &socket, &lane, &probe, is_patient);
            drop(lane);
            (work, ended)
        });
        let (work, ended) =
            ridden.await.map_err(|panic| Cut::Store(Error::new(ErrorKind::Broken, panic)))?;
        self.is_riding = false;
        let (stop, moved) = ended?;
        self.keeps_up = moved >= FAST_BYTES;
        Ok((work, stop))
    }

    /// Leaves the waiting for the client to the reactor.
    async fn wait(&mut self) -> Result<(), Cut> {
        within(self.flow.stall_max, self.connection.ready(self.interest)).await
    }
}

/// A ride cannot be dropped, but its socket can be shut: it then ends at once.
impl Drop for Way<'_> {
    fn drop(&mut self) {
        if self.is_riding {
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}

fn ride(
    work: &mut impl Work,
    socket: &Socket2,
    lane: &Lane,
    probe: &Probe,
    is_patient: bool,
) -> Result<(Stop, u64), Cut> {
    let mut moved: u64 = 0;
    loop {
        match work.step(socket) {
            Step::Moved(bytes) => {
                moved = moved.saturating_add(bytes);
                probe.moved.fetch_add(bytes, Ordering::Relaxed);
                if moved >= TURN_BYTES && lane.is_wanted() {
                    return Ok((Stop::Turn, moved));
                }
            }
            Step::Wait if !is_patient => return Ok((Stop::Slow, moved)),
            Step::Wait if !wait(socket, work)? => return Ok((Stop::Slow, moved)),
            Step::Wait => {}
            Step::Done => return Ok((Stop::Done, moved)),
            Step::Unable => return Ok((Stop::Unable, moved)),
            Step::Cut(cut) => return Err(cut),
        }
    }
}

/// Waits a moment for the client. Says whether it acted.
fn wait<W: Work>(socket: &Socket2, _: &W) -> Result<bool, Cut> {
    let most = Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
    match poll(&mut [PollFd::new(socket, W::FOR)], Some(&most)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(Cut::Network(error.into())),
    }
}

/// A file on its way out.
struct Sending {
    file: File,
    from: u64,
    left: u64,
}

impl Work for Sending {
    const FOR: PollFlags = PollFlags::OUT;

    fn step(&mut self, socket: &Socket2) -> Step {
        if self.left == 0 {
            return Step::Done;
        }
        let most = usize::try_from(self.left.min(SPAN_BYTES)).unwrap_or(usize::MAX);
        match sendfile(socket, &self.file, Some(&mut self.from), most) {
            Ok(0) => Step::Cut(Cut::Store(shortened())),
            Ok(sent) => {
                let sent = u64::try_from(sent).unwrap_or(u64::MAX);
                self.left = self.left.saturating_sub(sent);
                Step::Moved(sent)
            }
            Err(error) => send_trouble(error),
        }
    }
}

fn send_trouble(error: Errno) -> Step {
    match error {
        Errno::INTR => Step::Moved(0),
        Errno::AGAIN => Step::Wait,
        // This file system has no pages to lend.
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => Step::Unable,
        // Of all errors those of the disk are the store's.
        Errno::IO | Errno::STALE | Errno::NOMEM | Errno::ACCESS => Step::Cut(store(error)),
        error => Step::Cut(Cut::Network(error.into())),
    }
}

/// A file on its way in.
struct Receiving {
    file: File,
    pipe: Pipe,
}

/// Between a socket and a file there is no way but through a pipe. It is empty between steps.
struct Pipe {
    out: OwnedFd,
    r#in: OwnedFd,
}

impl Pipe {
    fn new() -> Call<Self> {
        let (out, r#in) = pipe_with(PipeFlags::CLOEXEC)?;
        // Who has many pipes gets small ones: slower, nothing else.
        let _ = fcntl_setpipe_size(&r#in, PIPE_BYTES);
        Ok(Self { out, r#in })
    }
}

impl Work for Receiving {
    const FOR: PollFlags = PollFlags::IN;

    fn step(&mut self, socket: &Socket2) -> Step {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let got = match splice(socket, None, &self.pipe.r#in, None, PIPE_BYTES, flags) {
            Ok(0) => return Step::Done,
            Ok(got) => got,
            Err(Errno::INTR) => return Step::Moved(0),
            Err(Errno::AGAIN) => return Step::Wait,
            Err(Errno::INVAL | Errno::NOSYS) => return Step::Unable,
            Err(error) => return Step::Cut(Cut::Network(error.into())),
        };
        let mut left = got;
        while left > 0 {
            match splice(&self.pipe.out, None, &self.file, None, left, SpliceFlags::MOVE) {
                Ok(0) => return Step::Cut(store(Errno::IO)),
                Ok(written) => left = left.saturating_sub(written),
                Err(Errno::INTR) => {}
                Err(error) => return Step::Cut(store(error)),
            }
        }
        Step::Moved(u64::try_from(got).unwrap_or(u64::MAX))
    }
}
