//! Copies between files and sockets in the kernel: `sendfile` and `splice`.
//!
//! Both can block on a disk, so they run on blocking workers. The socket stays nonblocking: a
//! worker waits a moment for a client that keeps up, and leaves waiting for a slow one to the
//! reactor. So few threads serve any number of clients.
//!
//! In a simulation the same control flow runs with connections that are not sockets: only the calls
//! of `CopySocket` differ.

#[path = "kernel_copy_socket_linux.rs"]
mod copy_socket;
#[path = "kernel_copy_tls_linux.rs"]
mod tls_copy;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::sendfile;
use rustix::io::{Errno, Result as Call};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::time::{Instant, sleep};
use tracing::debug;
use wharf_core::error::Error;
use wharf_core::storage::{DetachedFile, Source};

use self::copy_socket::{CopySocket, LINK_BLOCK_BYTES, interest, send_to_link};
use self::tls_copy::{TlsReceiving, TlsSending};
use super::mover::{Moved, Mover, Stepped};
use super::source_chunks::shortened;
use super::{CopyLeft, Flow, TransferError, bound, broken};
use crate::net::{CopyDirection, KernelCopyLink, Socket, Stream};
use crate::rate_limit::Burst;

const MIB: u64 = 1024 * 1024;
/// Bytes per system call, so that counters are updated regularly.
const CALL_BYTES: u64 = 16 * 1024 * 1024;
/// How long a worker waits for a client that has kept up so far.
const CLIENT_WAIT_MAX: Duration = Duration::from_millis(20);
/// Longest run. A transfer that has moved less than a quarter of `RUN_BYTES` by then does not keep
/// up; from then on it does not wait for its client.
const RUN_TIME: Duration = Duration::from_millis(50);
/// Smaller runs are cheaper on the reactor.
const WORTHWHILE_BYTES: u64 = 256 * 1024;
/// The largest pipe of an unprivileged user.
const PIPE_BYTES: usize = 1024 * 1024;

/// Why a run ended.
enum RunEnd {
    /// All data is copied.
    Done,
    /// Others wait for a worker, the budget is used up, or the configuration has changed.
    Yield,
    /// The client does not keep up.
    Slow,
    /// The kernel cannot copy between this file and this socket.
    Unsupported,
}

/// Whether a kernel copy is possible.
pub(super) fn is_possible(stream: &Stream, flow: &Flow<'_>) -> bool {
    let socket = match stream {
        Stream::Plain(socket) => socket,
        Stream::Tls(stream) => stream.get_ref().0.socket(),
    };
    let is_as_it_is = !flow.is_ascii && flow.deflate.is_none();
    let is_copied = match socket {
        Socket::Tcp(_) => true,
        Socket::Link(link) => link.for_kernel_copy().is_some(),
    };
    is_copied && is_as_it_is && !flow.mover.is_limited()
}

/// What to do when the client does not keep up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SlowPeer {
    /// Wait on the reactor.
    Wait,
    /// The same, and a while longer, so that a run is worthwhile.
    Accumulate,
    /// Return to the reactor when a run is no longer worthwhile.
    FallBack,
}

fn store(error: Errno) -> TransferError {
    TransferError::Store(io::Error::from(error).into())
}

/// A kernel copy of one transfer. Dropping a step stops its run.
pub(super) struct KernelCopy {
    connection: Socket,
    socket: Arc<CopySocket>,
    /// What the socket must be ready for.
    direction: CopyDirection,
    /// Bytes per run if others wait for a worker: a few milliseconds of work.
    run_bytes: u64,
    slow_peer: SlowPeer,
    /// `None` while a run has it.
    work: Option<Box<dyn CopyWork>>,
    keeps_up: bool,
    /// Whether the last run moved enough to be worth its cost.
    is_worthwhile: bool,
    /// How the last run ended.
    last: RunEnd,
}

/// The copying of one transfer.
trait CopyWork: Send {
    /// Copies about `most` bytes without waiting for the client.
    fn step(&mut self, socket: &CopySocket, most: u64) -> CopyStep;

    /// What is left after the last step.
    fn left(self: Box<Self>) -> CopyLeft {
        CopyLeft::default()
    }
}

/// The result of a step.
enum CopyStep {
    Moved(u64),
    /// The socket is not ready.
    Wait,
    Done,
    Unsupported,
    Failed(TransferError),
}

impl KernelCopy {
    /// Sends bytes `from..from + len` of a file, and `close_notify`.
    pub(super) fn send(
        file: File,
        from: u64,
        len: u64,
        stream: Stream,
    ) -> Result<Self, TransferError> {
        match stream {
            Stream::Plain(socket) => {
                debug!(method = "sendfile", "sending a file");
                let work = SendfileCopy { file, from, left: len };
                Self::new(socket, CopyDirection::Send, 16 * MIB, SlowPeer::Wait, work)
            }
            Stream::Tls(stream) => {
                let (transport, tls) = stream.into_inner();
                debug!(method = "blocks, TLS", "sending a file");
                let work = TlsSending::new(file, from, len, tls);
                // Nothing is withheld on a download.
                let socket = transport.into_parts().0;
                Self::new(socket, CopyDirection::Send, 4 * MIB, SlowPeer::Wait, work)
            }
        }
    }

    /// Receives into a file, at its position, until the end of the stream.
    pub(super) fn receive(
        detached: DetachedFile,
        stream: Stream,
        flow: &Flow<'_>,
    ) -> Result<Self, TransferError> {
        let file = CopyTarget(detached);
        match stream {
            Stream::Plain(socket) => {
                debug!(method = "splice", "receiving a file");
                let work = SpliceCopy { file, pipe: Pipe::new().map_err(store)? };
                Self::new(socket, CopyDirection::Receive, 2 * MIB, SlowPeer::FallBack, work)
            }
            Stream::Tls(stream) => {
                let (transport, tls) = stream.into_inner();
                let (socket, withheld) = transport.into_parts();
                debug!(method = "blocks, TLS", "receiving a file");
                let received = flow.mover.moved();
                let work = TlsReceiving::new(file, (tls, withheld), flow.end, received);
                Self::new(socket, CopyDirection::Receive, 2 * MIB, SlowPeer::Accumulate, work)
            }
        }
    }

    fn new(
        connection: Socket,
        direction: CopyDirection,
        run_bytes: u64,
        slow_peer: SlowPeer,
        work: impl CopyWork + 'static,
    ) -> Result<Self, TransferError> {
        let socket = Arc::new(CopySocket::of(&connection).map_err(TransferError::Network)?);
        Ok(Self {
            connection,
            socket,
            direction,
            run_bytes,
            slow_peer,
            work: Some(Box::new(work)),
            keeps_up: true,
            is_worthwhile: true,
            last: RunEnd::Yield,
        })
    }

    /// The connection after the last step, without TLS, and what is left.
    pub(super) fn into_parts(self) -> (Stream, CopyLeft) {
        let left = self.work.map(CopyWork::left).unwrap_or_default();
        (Stream::Plain(self.connection), left)
    }

    /// Considers how the last run ended, now that what it moved is paid for. Waits on the reactor
    /// until a slow client has read or sent something. Returns whether the copy is complete, if
    /// another run is of no use.
    async fn before_run(&mut self, mover: &Mover<'_>) -> Result<Option<bool>, TransferError> {
        let direction = self.direction;
        match self.last {
            RunEnd::Done => return Ok(Some(true)),
            RunEnd::Unsupported => return Ok(Some(false)),
            RunEnd::Yield => return Ok(None),
            RunEnd::Slow if self.slow_peer == SlowPeer::FallBack && !self.is_worthwhile => {
                return Ok(Some(false));
            }
            RunEnd::Slow => {}
        }
        let ready = async {
            match (&mut self.connection, &*self.socket) {
                (Socket::Tcp(connection), _) => connection.ready(interest(direction)).await,
                (_, CopySocket::Link(link)) => {
                    link.ready(direction).await;
                    Ok(())
                }
                (Socket::Link(_), CopySocket::Tcp(_)) => Err(io::ErrorKind::Unsupported.into()),
            }
        };
        mover.within(ready).await?;
        if self.slow_peer == SlowPeer::Accumulate && !self.is_worthwhile {
            sleep(CLIENT_WAIT_MAX).await;
        }
        Ok(None)
    }

    /// Copies on a blocking worker until a reason to release it. Returns whether the copy is
    /// complete once it cannot continue.
    pub(super) async fn step(&mut self, mover: &Mover<'_>, budget: &Burst) -> Stepped<bool> {
        if let Some(is_done) = self.before_run(mover).await? {
            return Ok(Moved::Over(is_done));
        }
        let Some(mut work) = self.work.take() else { return Err(store(Errno::IO)) };
        let worker = mover.blocking_pool().acquire().await;
        // Readiness from before the run is outdated after it.
        if let Socket::Tcp(connection) = &self.connection {
            connection.clear_ready(interest(self.direction));
        }
        let (socket, may_wait) = (Arc::clone(&self.socket), self.keeps_up);
        let run_bytes = self.run_bytes;
        let (mut counter, direction) = (mover.counter(budget), self.direction);
        let mut running = RunningCopy { socket: &self.socket, is_running: true };
        let run = mover.blocking_pool().spawn(move || {
            let began = Instant::now();
            let ended = loop {
                match work.step(&socket, counter.left) {
                    CopyStep::Moved(bytes) => {
                        counter.count(bytes);
                        let is_long = || counter.moved >= run_bytes || began.elapsed() >= RUN_TIME;
                        if counter.is_over() || worker.is_wanted() && is_long() {
                            break Ok(RunEnd::Yield);
                        }
                    }
                    CopyStep::Wait if !may_wait => break Ok(RunEnd::Slow),
                    CopyStep::Wait => match socket.wait(direction, CLIENT_WAIT_MAX) {
                        Ok(true) => {}
                        Ok(false) => break Ok(RunEnd::Slow),
                        Err(error) => break Err(TransferError::Network(error)),
                    },
                    CopyStep::Done => break Ok(RunEnd::Done),
                    CopyStep::Unsupported => break Ok(RunEnd::Unsupported),
                    CopyStep::Failed(error) => break Err(error),
                }
            };
            drop(worker);
            (work, counter.moved, ended)
        });
        let (work, bytes, ended) = run.await.map_err(broken)?;
        running.is_running = false;
        self.work = Some(work);
        self.last = ended?;
        if !mover.is_limited() {
            self.is_worthwhile = bytes >= WORTHWHILE_BYTES;
            self.keeps_up = bytes >= run_bytes / 4;
        }
        Ok(Moved::Bytes(usize::try_from(bytes).unwrap_or(usize::MAX)))
    }
}

/// A run on a worker. It cannot be cancelled, but dropping this shuts down its socket, which ends
/// it at once.
struct RunningCopy<'a> {
    socket: &'a CopySocket,
    is_running: bool,
}

impl Drop for RunningCopy<'_> {
    fn drop(&mut self) {
        if self.is_running {
            self.socket.shut_down();
        }
    }
}

/// A download with `sendfile`.
struct SendfileCopy {
    file: File,
    from: u64,
    left: u64,
}

impl CopyWork for SendfileCopy {
    fn step(&mut self, socket: &CopySocket, most: u64) -> CopyStep {
        if self.left == 0 {
            return CopyStep::Done;
        }
        let most = usize::try_from(self.left.min(CALL_BYTES).min(most)).unwrap_or(usize::MAX);
        let sent = match socket {
            CopySocket::Tcp(socket) => sendfile(socket, &self.file, Some(&mut self.from), most),
            CopySocket::Link(link) => {
                match send_to_link(&**link, &self.file, &mut self.from, most) {
                    Ok(sent) => Ok(sent),
                    Err(error) => return socket_error(&error),
                }
            }
        };
        match sent {
            Ok(0) => CopyStep::Failed(TransferError::Store(shortened())),
            Ok(sent) => {
                let sent = u64::try_from(sent).unwrap_or(u64::MAX);
                self.left = self.left.saturating_sub(sent);
                CopyStep::Moved(sent)
            }
            Err(error) => send_error(error),
        }
    }

    fn left(self: Box<Self>) -> CopyLeft {
        let source = Source::File { file: self.file, from: self.from, len: self.left };
        CopyLeft { source: Some(source), ..CopyLeft::default() }
    }
}

fn socket_error(error: &io::Error) -> CopyStep {
    match error.kind() {
        io::ErrorKind::WouldBlock => CopyStep::Wait,
        io::ErrorKind::Interrupted => CopyStep::Moved(0),
        kind => CopyStep::Failed(TransferError::Network(kind.into())),
    }
}

fn send_error(error: Errno) -> CopyStep {
    match error {
        Errno::INTR => CopyStep::Moved(0),
        Errno::AGAIN => CopyStep::Wait,
        // The file system does not support it.
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => CopyStep::Unsupported,
        // Disk errors are storage errors; all others are network errors.
        Errno::IO | Errno::STALE | Errno::NOMEM | Errno::ACCESS => CopyStep::Failed(store(error)),
        error => CopyStep::Failed(TransferError::Network(error.into())),
    }
}

/// The detached file of an upload.
struct CopyTarget(DetachedFile);

impl CopyTarget {
    /// Checks the quota for this number of bytes.
    fn allow(&mut self, bytes: usize) -> Result<(), Error> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let DetachedFile { file, allowance } = &mut self.0;
        allowance.as_mut().map_or(Ok(()), |allowance| allowance.take(file, bytes))
    }
}

/// An upload with `splice`.
struct SpliceCopy {
    file: CopyTarget,
    pipe: Pipe,
}

/// `splice` needs a pipe between a socket and a file. It is empty between steps.
struct Pipe {
    out: OwnedFd,
    r#in: OwnedFd,
}

impl Pipe {
    fn new() -> Call<Self> {
        let (out, r#in) = pipe_with(PipeFlags::CLOEXEC)?;
        // A user with many pipes gets small ones, which are only slower.
        let _ = fcntl_setpipe_size(&r#in, PIPE_BYTES);
        Ok(Self { out, r#in })
    }
}

impl SpliceCopy {
    /// The same as a step, for a simulated connection.
    fn receive_from(&mut self, link: &dyn KernelCopyLink, most: usize) -> CopyStep {
        let mut block = vec![0; most.min(LINK_BLOCK_BYTES)];
        let got = match link.read(&mut block) {
            Ok(0) => return CopyStep::Done,
            Ok(got) => got,
            Err(error) => return socket_error(&error),
        };
        let block = block.get(..got).unwrap_or_default();
        let written = self.file.allow(got);
        match written.and_then(|()| Ok(self.file.0.file.write_all(block)?)) {
            Ok(()) => CopyStep::Moved(bound(got)),
            Err(error) => CopyStep::Failed(TransferError::Store(error)),
        }
    }

    /// Copies the rest of the pipe through memory.
    fn copy(&mut self, left: usize) -> io::Result<()> {
        let mut bytes = vec![0; left];
        File::from(self.pipe.out.try_clone()?).read_exact(&mut bytes)?;
        self.file.0.file.write_all(&bytes)
    }
}

impl CopyWork for SpliceCopy {
    fn step(&mut self, socket: &CopySocket, most: u64) -> CopyStep {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(PIPE_BYTES);
        let socket = match socket {
            CopySocket::Tcp(socket) => socket,
            CopySocket::Link(link) => return self.receive_from(&**link, most),
        };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let got = match splice(socket, None, &self.pipe.r#in, None, most, flags) {
            Ok(0) => return CopyStep::Done,
            Ok(got) => got,
            Err(Errno::INTR) => return CopyStep::Moved(0),
            Err(Errno::AGAIN) => return CopyStep::Wait,
            Err(Errno::INVAL | Errno::NOSYS) => return CopyStep::Unsupported,
            Err(error) => return CopyStep::Failed(TransferError::Network(error.into())),
        };
        if let Err(error) = self.file.allow(got) {
            return CopyStep::Failed(TransferError::Store(error));
        }
        let mut left = got;
        while left > 0 {
            match splice(&self.pipe.out, None, &self.file.0.file, None, left, SpliceFlags::MOVE) {
                Ok(0) => return CopyStep::Failed(store(Errno::IO)),
                Ok(written) => left = left.saturating_sub(written),
                Err(Errno::INTR) => {}
                // The file system does not support `splice`.
                Err(Errno::INVAL) => match self.copy(left) {
                    Ok(()) => left = 0,
                    Err(error) => {
                        return CopyStep::Failed(TransferError::Store(error.into()));
                    }
                },
                Err(error) => return CopyStep::Failed(store(error)),
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
    fn a_file_that_cannot_be_spliced_is_copied_through_memory() {
        let file = File::from(memfd_create("upload", MemfdFlags::CLOEXEC).unwrap());
        let file = CopyTarget(DetachedFile { file, allowance: None });
        let mut receiving = SpliceCopy { file, pipe: Pipe::new().unwrap() };
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
