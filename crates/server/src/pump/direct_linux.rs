//! Files and sockets with the kernel's short ways between them: `sendfile` and `splice`.
//!
//! Both can wait for a disk, so they run on lanes, threads apart from the reactor. The socket stays
//! nonblocking: a lane waits a moment for a client that keeps up, and leaves the waiting for a slow
//! one to the reactor. So few threads serve any number of clients.

#[path = "sealed_linux.rs"]
mod sealed;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
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
use tokio::time::{Instant, sleep};
use wharf_core::error::{Error, ErrorKind};
use wharf_core::storage::DetachedFile;

use self::sealed::{Opening, Sealing};
use super::{Closing, Cut, Flow, Rest, bound, shortened, within};
use crate::lanes::Lane;
use crate::net::{Connection, Socket, Stream};
use crate::registry::Probe;

/// One call moves at most this much, so that counters move on.
const SPAN_BYTES: u64 = 16 * 1024 * 1024;
/// How long a lane waits for a client that has kept up so far.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long a turn takes at most. Who has moved less than a quarter of a turn by then does not keep
/// up, and from then on takes only what is there.
const TURN_TIME: Duration = Duration::from_millis(50);
/// Less than this is cheaper to gather on the reactor.
const PAYING_BYTES: u64 = 256 * 1024;
/// The most that an ordinary user may have in a pipe.
const PIPE_BYTES: usize = 1024 * 1024;

/// Why a ride ended.
enum Stop {
    /// All is moved.
    Done,
    /// Others wait for a lane, a limit holds, or other terms do.
    Turn,
    /// The client does not keep up.
    Slow,
    /// This file and this socket know no short way.
    Unable,
}

/// Whether a file can go out, or come in, over a lane.
pub(super) fn is_possible(stream: &Stream, flow: &Flow<'_>) -> bool {
    let socket = match stream {
        Stream::Plain(socket) => socket,
        Stream::Tls(stream) => stream.get_ref().0,
    };
    let is_as_it_is = !flow.is_ascii && flow.deflate.is_none();
    matches!(socket, Socket::Tcp(_)) && is_as_it_is && !flow.shaper.is_limited()
}

/// Sends bytes `from..from + len` of a file, and the farewell of TLS. The stream comes back, bare
/// where TLS was on it and is over, with what is left of the file if there is no short way.
pub(super) async fn send(
    file: File,
    from: u64,
    len: u64,
    stream: Stream,
    flow: &Flow<'_>,
) -> Result<(Option<Rest>, Stream), Cut> {
    match stream {
        Stream::Plain(Socket::Tcp(mut connection)) => {
            let work = Sending { file, from, left: len };
            let (back, is_done) = Way::new(&mut connection, Interest::WRITABLE, flow)?
                .travel(work, Slowness::Waits)
                .await?;
            let rest = Rest { file: back.file, from: back.from, len: back.left };
            Ok(((!is_done).then_some(rest), Stream::Plain(Socket::Tcp(connection))))
        }
        Stream::Tls(stream) => {
            let (socket, tls) = stream.into_inner();
            let mut connection = tcp(socket)?;
            let work = Sealing::new(file, from, len, tls);
            let way = Way::new(&mut connection, Interest::WRITABLE, flow)?;
            way.travel(work, Slowness::Waits).await?;
            Ok((None, Stream::Plain(Socket::Tcp(connection))))
        }
        stream @ Stream::Plain(Socket::Link(_)) => Ok((Some(Rest { file, from, len }), stream)),
    }
}

/// Takes what comes into a file, at its position, and the farewell of TLS. The stream comes back
/// before its end if the client is so slow that this way does not pay; else it says how it ended.
pub(super) async fn receive(
    loan: DetachedFile,
    stream: Stream,
    flow: &Flow<'_>,
) -> Result<(Option<Stream>, Closing), Cut> {
    match stream {
        Stream::Plain(Socket::Tcp(mut connection)) => {
            let work = Receiving { file: Target(loan), pipe: Pipe::new().map_err(store)? };
            let way = Way::new(&mut connection, Interest::READABLE, flow)?;
            let (_, is_done) = way.travel(work, Slowness::Leaves).await?;
            let back = (!is_done).then_some(Stream::Plain(Socket::Tcp(connection)));
            Ok((back, Closing::Orderly))
        }
        Stream::Tls(stream) => {
            let (socket, tls) = stream.into_inner();
            let mut connection = tcp(socket)?;
            let way = Way::new(&mut connection, Interest::READABLE, flow)?;
            let received = flow.probe.moved.load(Ordering::Relaxed);
            let work = Opening::new(Target(loan), tls, flow.end, received);
            let (work, _) = way.travel(work, Slowness::Gathers).await?;
            Ok((None, work.closing()))
        }
        stream @ Stream::Plain(Socket::Link(_)) => Ok((Some(stream), Closing::Orderly)),
    }
}

fn tcp(socket: Socket) -> Result<Connection, Cut> {
    match socket {
        Socket::Tcp(connection) => Ok(connection),
        Socket::Link(_) => Err(Cut::Network(io::ErrorKind::Unsupported.into())),
    }
}

/// What happens when the client does not keep up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slowness {
    /// The reactor waits for it.
    Waits,
    /// The same, and a while longer, so that a ride pays.
    Gathers,
    /// The way ends when a ride no longer pays.
    Leaves,
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
    /// Whether the last ride moved enough to be worth its cost.
    pays: bool,
    is_riding: bool,
}

/// How far a ride goes at most.
#[derive(Clone, Copy)]
struct Leg {
    /// The most that may move.
    bytes: u64,
    /// The age of the terms that say so.
    age: u64,
    /// Whether it waits a moment for the client.
    is_patient: bool,
}

/// What a lane does with a socket.
trait Work: Send + 'static {
    /// What the socket must be ready for.
    const FOR: PollFlags;
    /// How much goes over a lane before others have their turn: a few milliseconds of work.
    const TURN_BYTES: u64;

    /// Moves what it can without waiting for the client, about `most` bytes at most, and says how
    /// much that was.
    fn step(&mut self, socket: &Socket2, most: u64) -> Step;
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
        Ok(Self {
            connection,
            socket,
            interest,
            flow,
            keeps_up: true,
            pays: true,
            is_riding: false,
        })
    }

    /// Works on a lane until there is a reason to leave it. Under a limit it moves a turn at most,
    /// and waits for the next.
    async fn ride<W: Work>(&mut self, mut work: W) -> Result<(W, Stop), Cut> {
        let shaper = self.flow.shaper;
        let turn = shaper.turn(usize::MAX);
        let leg = Leg { age: turn.age, bytes: bound(turn.bytes), is_patient: self.keeps_up };
        let lane = self.flow.lanes.enter().await;
        let socket = Arc::clone(&self.socket);
        let probe = Arc::clone(self.flow.probe);
        // News from before the ride mean nothing after it.
        self.connection.forget(self.interest);
        self.is_riding = true;
        let ridden = spawn_blocking(move || {
            let ended = ride(&mut work, &socket, &lane, &probe, leg);
            drop(lane);
            (work, ended)
        });
        let (work, ended) =
            ridden.await.map_err(|panic| Cut::Store(Error::new(ErrorKind::Broken, panic)))?;
        self.is_riding = false;
        let (stop, moved) = ended?;
        if shaper.is_limited() {
            // What moved before a limit came is not charged to it.
            shaper.take(&turn, usize::try_from(moved).unwrap_or(usize::MAX)).await;
            return Ok((work, stop));
        }
        self.pays = moved >= PAYING_BYTES;
        self.keeps_up = moved >= W::TURN_BYTES / 4;
        Ok((work, stop))
    }

    /// Rides until the work is done, or, if `slowness` says so, the client does not keep up. Says
    /// whether it is done.
    async fn travel<W: Work>(mut self, mut work: W, slowness: Slowness) -> Result<(W, bool), Cut> {
        loop {
            let (back, stop) = self.ride(work).await?;
            match stop {
                Stop::Done => return Ok((back, true)),
                Stop::Unable => return Ok((back, false)),
                Stop::Turn => {}
                Stop::Slow if slowness == Slowness::Leaves && !self.pays => {
                    return Ok((back, false));
                }
                Stop::Slow => {
                    let ready = self.connection.ready(self.interest);
                    within(self.flow, ready).await?;
                    if slowness == Slowness::Gathers && !self.pays {
                        sleep(PATIENCE).await;
                    }
                }
            }
            work = back;
        }
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

fn ride<W: Work>(
    work: &mut W,
    socket: &Socket2,
    lane: &Lane,
    probe: &Probe,
    leg: Leg,
) -> Result<(Stop, u64), Cut> {
    let mut moved: u64 = 0;
    let began = Instant::now();
    loop {
        match work.step(socket, leg.bytes.saturating_sub(moved)) {
            Step::Moved(bytes) => {
                moved = moved.saturating_add(bytes);
                probe.moved.fetch_add(bytes, Ordering::Relaxed);
                let is_over = || moved >= W::TURN_BYTES || began.elapsed() >= TURN_TIME;
                let is_bound = || moved >= leg.bytes || probe.age() != leg.age;
                if is_bound() || lane.is_wanted() && is_over() {
                    return Ok((Stop::Turn, moved));
                }
            }
            Step::Wait if !leg.is_patient => return Ok((Stop::Slow, moved)),
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
    const TURN_BYTES: u64 = 16 * 1024 * 1024;

    fn step(&mut self, socket: &Socket2, most: u64) -> Step {
        if self.left == 0 {
            return Step::Done;
        }
        let most = usize::try_from(self.left.min(SPAN_BYTES).min(most)).unwrap_or(usize::MAX);
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

/// A lent file.
struct Target(DetachedFile);

impl Target {
    /// Asks whether so many bytes may be written.
    fn allow(&mut self, bytes: usize) -> Result<(), Error> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let DetachedFile { file, allowance } = &mut self.0;
        allowance.as_mut().map_or(Ok(()), |allowance| allowance.take(file, bytes))
    }
}

/// A file on its way in.
struct Receiving {
    file: Target,
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

impl Receiving {
    /// Takes what is left in the pipe through memory.
    fn copy(&mut self, left: usize) -> io::Result<()> {
        let mut bytes = vec![0; left];
        File::from(self.pipe.out.try_clone()?).read_exact(&mut bytes)?;
        self.file.0.file.write_all(&bytes)
    }
}

impl Work for Receiving {
    const FOR: PollFlags = PollFlags::IN;
    const TURN_BYTES: u64 = 2 * 1024 * 1024;

    fn step(&mut self, socket: &Socket2, most: u64) -> Step {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(PIPE_BYTES);
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let got = match splice(socket, None, &self.pipe.r#in, None, most, flags) {
            Ok(0) => return Step::Done,
            Ok(got) => got,
            Err(Errno::INTR) => return Step::Moved(0),
            Err(Errno::AGAIN) => return Step::Wait,
            Err(Errno::INVAL | Errno::NOSYS) => return Step::Unable,
            Err(error) => return Step::Cut(Cut::Network(error.into())),
        };
        if let Err(error) = self.file.allow(got) {
            return Step::Cut(Cut::Store(error));
        }
        let mut left = got;
        while left > 0 {
            match splice(&self.pipe.out, None, &self.file.0.file, None, left, SpliceFlags::MOVE) {
                Ok(0) => return Step::Cut(store(Errno::IO)),
                Ok(written) => left = left.saturating_sub(written),
                Err(Errno::INTR) => {}
                // This file system takes nothing from a pipe.
                Err(Errno::INVAL) => match self.copy(left) {
                    Ok(()) => left = 0,
                    Err(error) => return Step::Cut(Cut::Store(error.into())),
                },
                Err(error) => return Step::Cut(store(error)),
            }
        }
        Step::Moved(u64::try_from(got).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    #[test]
    fn a_file_that_takes_nothing_from_a_pipe_gets_it_through_memory() {
        let file = File::from(memfd_create("upload", MemfdFlags::CLOEXEC).unwrap());
        let file = Target(DetachedFile { file, allowance: None });
        let mut receiving = Receiving { file, pipe: Pipe::new().unwrap() };
        let mut end = File::from(receiving.pipe.r#in.try_clone().unwrap());
        end.write_all(b"first and second").unwrap();
        receiving.copy(9).unwrap();
        receiving.copy(7).unwrap();
        let mut content = String::new();
        let mut stored = receiving.file.0.file;
        stored.seek(SeekFrom::Start(0)).unwrap();
        stored.read_to_string(&mut content).unwrap();
        assert_eq!(content, "first and second");
    }
}
