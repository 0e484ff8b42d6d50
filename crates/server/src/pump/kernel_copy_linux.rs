//! Files and sockets with the kernel's short ways between them: `sendfile` and `splice`.
//!
//! Both can wait for a disk, so they run on lanes, threads apart from the reactor. The socket stays
//! nonblocking: a lane waits a moment for a client that keeps up, and leaves the waiting for a slow
//! one to the reactor. So few threads serve any number of clients.

#[path = "kernel_copy_tls_linux.rs"]
mod tls_copy;

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

use self::tls_copy::{TlsReceiving, TlsSending};
use super::{Closing, FileRemainder, Flow, TransferError, bound, shortened, within};
use crate::blocking_pool::BlockingWorker;
use crate::net::{Connection, Socket, Stream};
use crate::registry::SessionHandle;

/// One call moves at most this much, so that counters move on.
const CALL_BYTES: u64 = 16 * 1024 * 1024;
/// How long a lane waits for a client that has kept up so far.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long a turn takes at most. Who has moved less than a quarter of a turn by then does not keep
/// up, and from then on takes only what is there.
const RUN_TIME: Duration = Duration::from_millis(50);
/// Less than this is cheaper to gather on the reactor.
const WORTHWHILE_BYTES: u64 = 256 * 1024;
/// The most that an ordinary user may have in a pipe.
const PIPE_BYTES: usize = 1024 * 1024;

/// Why a ride ended.
enum RunEnd {
    /// All is moved.
    Done,
    /// Others wait for a lane, a limit holds, or other terms do.
    Yield,
    /// The client does not keep up.
    Slow,
    /// This file and this socket know no short way.
    Unsupported,
}

/// Whether a file can go out, or come in, over a lane.
pub(super) fn is_possible(stream: &Stream, flow: &Flow<'_>) -> bool {
    let socket = match stream {
        Stream::Plain(socket) => socket,
        Stream::Tls(stream) => stream.get_ref().0,
    };
    let is_as_it_is = !flow.is_ascii && flow.deflate.is_none();
    matches!(socket, Socket::Tcp(_)) && is_as_it_is && !flow.rate_limiter.is_limited()
}

/// Sends bytes `from..from + len` of a file, and the farewell of TLS. The stream comes back, bare
/// where TLS was on it and is over, with what is left of the file if there is no short way.
pub(super) async fn send(
    file: File,
    from: u64,
    len: u64,
    stream: Stream,
    flow: &Flow<'_>,
) -> Result<(Option<FileRemainder>, Stream), TransferError> {
    match stream {
        Stream::Plain(Socket::Tcp(mut connection)) => {
            let work = Sending { file, from, left: len };
            let (back, is_done) = KernelCopy::new(&mut connection, Interest::WRITABLE, flow)?
                .run_to_end(work, SlowPeer::Wait)
                .await?;
            let rest = FileRemainder { file: back.file, from: back.from, len: back.left };
            Ok(((!is_done).then_some(rest), Stream::Plain(Socket::Tcp(connection))))
        }
        Stream::Tls(stream) => {
            let (socket, tls) = stream.into_inner();
            let mut connection = tcp(socket)?;
            let work = TlsSending::new(file, from, len, tls);
            let copy = KernelCopy::new(&mut connection, Interest::WRITABLE, flow)?;
            copy.run_to_end(work, SlowPeer::Wait).await?;
            Ok((None, Stream::Plain(Socket::Tcp(connection))))
        }
        stream @ Stream::Plain(Socket::Link(_)) => {
            Ok((Some(FileRemainder { file, from, len }), stream))
        }
    }
}

/// Takes what comes into a file, at its position, and the farewell of TLS. The stream comes back
/// before its end if the client is so slow that this way does not pay; else it says how it ended.
pub(super) async fn receive(
    detached: DetachedFile,
    stream: Stream,
    flow: &Flow<'_>,
) -> Result<(Option<Stream>, Closing), TransferError> {
    match stream {
        Stream::Plain(Socket::Tcp(mut connection)) => {
            let work = Receiving { file: Target(detached), pipe: Pipe::new().map_err(store)? };
            let copy = KernelCopy::new(&mut connection, Interest::READABLE, flow)?;
            let (_, is_done) = copy.run_to_end(work, SlowPeer::FallBack).await?;
            let back = (!is_done).then_some(Stream::Plain(Socket::Tcp(connection)));
            Ok((back, Closing::Orderly))
        }
        Stream::Tls(stream) => {
            let (socket, tls) = stream.into_inner();
            let mut connection = tcp(socket)?;
            let copy = KernelCopy::new(&mut connection, Interest::READABLE, flow)?;
            let received = flow.handle.moved.load(Ordering::Relaxed);
            let work = TlsReceiving::new(Target(detached), tls, flow.end, received);
            let (work, _) = copy.run_to_end(work, SlowPeer::Accumulate).await?;
            Ok((None, work.closing()))
        }
        stream @ Stream::Plain(Socket::Link(_)) => Ok((Some(stream), Closing::Orderly)),
    }
}

fn tcp(socket: Socket) -> Result<Connection, TransferError> {
    match socket {
        Socket::Tcp(connection) => Ok(connection),
        Socket::Link(_) => Err(TransferError::Network(io::ErrorKind::Unsupported.into())),
    }
}

/// What happens when the client does not keep up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SlowPeer {
    /// The reactor waits for it.
    Wait,
    /// The same, and a while longer, so that a ride pays.
    Accumulate,
    /// The way ends when a ride no longer pays.
    FallBack,
}

fn store(error: Errno) -> TransferError {
    TransferError::Store(io::Error::from(error).into())
}

/// A connection whose transfer goes over lanes. Dropping it stops a ride under way.
struct KernelCopy<'a> {
    connection: &'a mut Connection,
    socket: Arc<Socket2>,
    interest: Interest,
    flow: &'a Flow<'a>,
    keeps_up: bool,
    /// Whether the last ride moved enough to be worth its cost.
    is_worthwhile: bool,
    is_running: bool,
}

/// How far a ride goes at most.
#[derive(Clone, Copy)]
struct RunBudget {
    /// The most that may move.
    bytes: u64,
    /// The age of the terms that say so.
    generation: u64,
    /// Whether it waits a moment for the client.
    is_patient: bool,
}

/// What a lane does with a socket.
trait CopyWork: Send + 'static {
    /// What the socket must be ready for.
    const FOR: PollFlags;
    /// How much goes over a lane before others have their turn: a few milliseconds of work.
    const RUN_BYTES: u64;

    /// Moves what it can without waiting for the client, about `most` bytes at most, and says how
    /// much that was.
    fn step(&mut self, socket: &Socket2, most: u64) -> CopyStep;
}

/// What a step came to.
enum CopyStep {
    Moved(u64),
    /// The client must act first.
    Wait,
    Done,
    Unsupported,
    TransferError(TransferError),
}

impl<'a> KernelCopy<'a> {
    fn new(
        connection: &'a mut Connection,
        interest: Interest,
        flow: &'a Flow<'a>,
    ) -> Result<Self, TransferError> {
        let socket = Arc::new(connection.duplicate().map_err(TransferError::Network)?);
        Ok(Self {
            connection,
            socket,
            interest,
            flow,
            keeps_up: true,
            is_worthwhile: true,
            is_running: false,
        })
    }

    /// Works on a lane until there is a reason to leave it. Under a limit it moves a turn at most,
    /// and waits for the next.
    async fn run<W: CopyWork>(&mut self, mut work: W) -> Result<(W, RunEnd), TransferError> {
        let rate_limiter = self.flow.rate_limiter;
        let burst = rate_limiter.burst(usize::MAX);
        let budget = RunBudget {
            generation: burst.generation,
            bytes: bound(burst.bytes),
            is_patient: self.keeps_up,
        };
        let worker = self.flow.blocking_pool.acquire().await;
        let socket = Arc::clone(&self.socket);
        let handle = Arc::clone(self.flow.handle);
        // News from before the ride mean nothing after it.
        self.connection.clear_ready(self.interest);
        self.is_running = true;
        let running = spawn_blocking(move || {
            let ended = run(&mut work, &socket, &worker, &handle, budget);
            drop(worker);
            (work, ended)
        });
        let (work, ended) = running
            .await
            .map_err(|panic| TransferError::Store(Error::new(ErrorKind::Broken, panic)))?;
        self.is_running = false;
        let (stop, moved) = ended?;
        if rate_limiter.is_limited() {
            // What moved before a limit came is not charged to it.
            rate_limiter.take(&burst, usize::try_from(moved).unwrap_or(usize::MAX)).await;
            return Ok((work, stop));
        }
        self.is_worthwhile = moved >= WORTHWHILE_BYTES;
        self.keeps_up = moved >= W::RUN_BYTES / 4;
        Ok((work, stop))
    }

    /// Rides until the work is done, or, if `slow_peer` says so, the client does not keep up. Says
    /// whether it is done.
    async fn run_to_end<W: CopyWork>(
        mut self,
        mut work: W,
        slow_peer: SlowPeer,
    ) -> Result<(W, bool), TransferError> {
        loop {
            let (back, stop) = self.run(work).await?;
            match stop {
                RunEnd::Done => return Ok((back, true)),
                RunEnd::Unsupported => return Ok((back, false)),
                RunEnd::Yield => {}
                RunEnd::Slow if slow_peer == SlowPeer::FallBack && !self.is_worthwhile => {
                    return Ok((back, false));
                }
                RunEnd::Slow => {
                    let ready = self.connection.ready(self.interest);
                    within(self.flow, ready).await?;
                    if slow_peer == SlowPeer::Accumulate && !self.is_worthwhile {
                        sleep(PATIENCE).await;
                    }
                }
            }
            work = back;
        }
    }
}

/// A ride cannot be dropped, but its socket can be shut: it then ends at once.
impl Drop for KernelCopy<'_> {
    fn drop(&mut self) {
        if self.is_running {
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}

fn run<W: CopyWork>(
    work: &mut W,
    socket: &Socket2,
    worker: &BlockingWorker,
    handle: &SessionHandle,
    budget: RunBudget,
) -> Result<(RunEnd, u64), TransferError> {
    let mut moved: u64 = 0;
    let began = Instant::now();
    loop {
        match work.step(socket, budget.bytes.saturating_sub(moved)) {
            CopyStep::Moved(bytes) => {
                moved = moved.saturating_add(bytes);
                handle.moved.fetch_add(bytes, Ordering::Relaxed);
                let is_over = || moved >= W::RUN_BYTES || began.elapsed() >= RUN_TIME;
                let is_bound = || moved >= budget.bytes || handle.generation() != budget.generation;
                if is_bound() || worker.is_wanted() && is_over() {
                    return Ok((RunEnd::Yield, moved));
                }
            }
            CopyStep::Wait if !budget.is_patient => return Ok((RunEnd::Slow, moved)),
            CopyStep::Wait if !wait(socket, work)? => return Ok((RunEnd::Slow, moved)),
            CopyStep::Wait => {}
            CopyStep::Done => return Ok((RunEnd::Done, moved)),
            CopyStep::Unsupported => return Ok((RunEnd::Unsupported, moved)),
            CopyStep::TransferError(cut) => return Err(cut),
        }
    }
}

/// Waits a moment for the client. Says whether it acted.
fn wait<W: CopyWork>(socket: &Socket2, _: &W) -> Result<bool, TransferError> {
    let most = Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
    match poll(&mut [PollFd::new(socket, W::FOR)], Some(&most)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(TransferError::Network(error.into())),
    }
}

/// A file on its way out.
struct Sending {
    file: File,
    from: u64,
    left: u64,
}

impl CopyWork for Sending {
    const FOR: PollFlags = PollFlags::OUT;
    const RUN_BYTES: u64 = 16 * 1024 * 1024;

    fn step(&mut self, socket: &Socket2, most: u64) -> CopyStep {
        if self.left == 0 {
            return CopyStep::Done;
        }
        let most = usize::try_from(self.left.min(CALL_BYTES).min(most)).unwrap_or(usize::MAX);
        match sendfile(socket, &self.file, Some(&mut self.from), most) {
            Ok(0) => CopyStep::TransferError(TransferError::Store(shortened())),
            Ok(sent) => {
                let sent = u64::try_from(sent).unwrap_or(u64::MAX);
                self.left = self.left.saturating_sub(sent);
                CopyStep::Moved(sent)
            }
            Err(error) => send_error(error),
        }
    }
}

fn send_error(error: Errno) -> CopyStep {
    match error {
        Errno::INTR => CopyStep::Moved(0),
        Errno::AGAIN => CopyStep::Wait,
        // This file system has no pages to lend.
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => CopyStep::Unsupported,
        // Of all errors those of the disk are the store's.
        Errno::IO | Errno::STALE | Errno::NOMEM | Errno::ACCESS => {
            CopyStep::TransferError(store(error))
        }
        error => CopyStep::TransferError(TransferError::Network(error.into())),
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

impl CopyWork for Receiving {
    const FOR: PollFlags = PollFlags::IN;
    const RUN_BYTES: u64 = 2 * 1024 * 1024;

    fn step(&mut self, socket: &Socket2, most: u64) -> CopyStep {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(PIPE_BYTES);
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let got = match splice(socket, None, &self.pipe.r#in, None, most, flags) {
            Ok(0) => return CopyStep::Done,
            Ok(got) => got,
            Err(Errno::INTR) => return CopyStep::Moved(0),
            Err(Errno::AGAIN) => return CopyStep::Wait,
            Err(Errno::INVAL | Errno::NOSYS) => return CopyStep::Unsupported,
            Err(error) => return CopyStep::TransferError(TransferError::Network(error.into())),
        };
        if let Err(error) = self.file.allow(got) {
            return CopyStep::TransferError(TransferError::Store(error));
        }
        let mut left = got;
        while left > 0 {
            match splice(&self.pipe.out, None, &self.file.0.file, None, left, SpliceFlags::MOVE) {
                Ok(0) => return CopyStep::TransferError(store(Errno::IO)),
                Ok(written) => left = left.saturating_sub(written),
                Err(Errno::INTR) => {}
                // This file system takes nothing from a pipe.
                Err(Errno::INVAL) => match self.copy(left) {
                    Ok(()) => left = 0,
                    Err(error) => {
                        return CopyStep::TransferError(TransferError::Store(error.into()));
                    }
                },
                Err(error) => return CopyStep::TransferError(store(error)),
            }
        }
        CopyStep::Moved(u64::try_from(got).unwrap_or(u64::MAX))
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
