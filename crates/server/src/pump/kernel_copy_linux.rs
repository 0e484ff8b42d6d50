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
use wharf_core::error::{Error, ErrorKind};
use wharf_core::storage::DetachedFile;

use self::copy_socket::{CopySocket, interest, receive_from_link, send_to_link};
use self::tls_copy::{TlsReceiving, TlsSending};
use super::mover::{Moved, Mover, TransferStep};
use super::source_chunks::shortened;
use super::{Closing, FileRemainder, Flow, TransferError, bound};
use crate::blocking_pool::BlockingWorker;
use crate::net::{CopyDirection, KernelCopyLink, Socket, Stream};
use crate::rate_limit::Burst;
use crate::registry::SessionHandle;

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

/// Sends bytes `from..from + len` of a file, and `close_notify`. Returns the stream, without TLS
/// after it has ended, and the rest of the file if a kernel copy is not possible.
pub(super) async fn send(
    file: File,
    from: u64,
    len: u64,
    stream: Stream,
    flow: &Flow<'_>,
) -> Result<(Option<FileRemainder>, Stream), TransferError> {
    match stream {
        Stream::Plain(mut socket) => {
            debug!(method = "sendfile", "sending a file");
            let work = SendfileCopy { file, from, left: len };
            let (work, is_done) = copy(&mut socket, SlowPeer::Wait, work, flow).await?;
            let rest = FileRemainder { file: work.file, from: work.from, len: work.left };
            Ok(((!is_done).then_some(rest), Stream::Plain(socket)))
        }
        Stream::Tls(stream) => {
            let (transport, tls) = stream.into_inner();
            // Nothing is withheld on a download.
            let mut socket = transport.into_parts().0;
            debug!(method = "blocks, TLS", "sending a file");
            let work = TlsSending::new(file, from, len, tls);
            Box::pin(copy(&mut socket, SlowPeer::Wait, work, flow)).await?;
            Ok((None, Stream::Plain(socket)))
        }
    }
}

/// Receives into a file, at its position, until the end of the stream. Returns the stream before
/// its end if the client is too slow for this to be worthwhile; otherwise how it ended.
pub(super) async fn receive(
    detached: DetachedFile,
    stream: Stream,
    flow: &Flow<'_>,
) -> Result<(Option<Stream>, Closing), TransferError> {
    match stream {
        Stream::Plain(mut socket) => {
            debug!(method = "splice", "receiving a file");
            let work = SpliceCopy { file: CopyTarget(detached), pipe: Pipe::new().map_err(store)? };
            let (_, is_done) = copy(&mut socket, SlowPeer::FallBack, work, flow).await?;
            let back = (!is_done).then_some(Stream::Plain(socket));
            Ok((back, Closing::Orderly))
        }
        Stream::Tls(stream) => {
            let (transport, tls) = stream.into_inner();
            let (mut socket, withheld) = transport.into_parts();
            debug!(method = "blocks, TLS", "receiving a file");
            let received = flow.mover.moved();
            let work = TlsReceiving::new(CopyTarget(detached), (tls, withheld), flow.end, received);
            let (work, _) = copy(&mut socket, SlowPeer::Accumulate, work, flow).await?;
            Ok((None, work.closing()))
        }
    }
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

/// Copies until the work is complete, or cannot continue in the kernel. Returns whether it is
/// complete.
async fn copy<W: CopyWork>(
    connection: &mut Socket,
    slow_peer: SlowPeer,
    work: W,
    flow: &Flow<'_>,
) -> Result<(W, bool), TransferError> {
    let socket = Arc::new(CopySocket::of(connection).map_err(TransferError::Network)?);
    let mut copying = KernelCopy {
        connection,
        socket,
        slow_peer,
        flow,
        work: Some(work),
        keeps_up: true,
        is_worthwhile: true,
        is_running: false,
        last: RunEnd::Yield,
    };
    let is_done = flow.mover.run(&mut copying).await?;
    let work = copying.work.take();
    work.map(|work| (work, is_done)).ok_or_else(|| store(Errno::IO))
}

/// The kernel copy of one transfer. Dropping it stops the current run.
struct KernelCopy<'a, W> {
    connection: &'a mut Socket,
    socket: Arc<CopySocket>,
    slow_peer: SlowPeer,
    flow: &'a Flow<'a>,
    /// `None` while a run has it.
    work: Option<W>,
    keeps_up: bool,
    /// Whether the last run moved enough to be worth its cost.
    is_worthwhile: bool,
    is_running: bool,
    /// How the last run ended.
    last: RunEnd,
}

/// The limits of one run.
#[derive(Clone, Copy)]
struct RunBudget {
    /// Bytes that may be copied.
    bytes: u64,
    /// The configuration generation of this budget.
    generation: u64,
    /// Whether to wait a moment for the client.
    may_wait: bool,
}

/// The copying of one run.
trait CopyWork: Send + 'static {
    /// What the socket must be ready for.
    const DIRECTION: CopyDirection;
    /// Bytes per run if others wait for a worker: a few milliseconds of work.
    const RUN_BYTES: u64;

    /// Copies about `most` bytes without waiting for the client.
    fn step(&mut self, socket: &CopySocket, most: u64) -> CopyStep;
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

impl<W: CopyWork> KernelCopy<'_, W> {
    /// Copies on a blocking worker until a reason to release it. Returns the bytes copied.
    async fn run(&mut self, burst: &Burst) -> Result<u64, TransferError> {
        let Some(mut work) = self.work.take() else { return Err(store(Errno::IO)) };
        let budget = RunBudget {
            generation: burst.generation,
            bytes: bound(burst.bytes),
            may_wait: self.keeps_up,
        };
        let worker = self.flow.blocking_pool.acquire().await;
        let socket = Arc::clone(&self.socket);
        let handle = Arc::clone(self.flow.mover.handle());
        // Readiness from before the run is outdated after it.
        if let Socket::Tcp(connection) = &*self.connection {
            connection.clear_ready(interest(W::DIRECTION));
        }
        self.is_running = true;
        let running = self.flow.blocking_pool.spawn(move || {
            let ended = run(&mut work, &socket, &worker, &handle, budget);
            drop(worker);
            (work, ended)
        });
        let (work, ended) = running
            .await
            .map_err(|panic| TransferError::Store(Error::new(ErrorKind::Broken, panic)))?;
        self.is_running = false;
        self.work = Some(work);
        let (last, moved) = ended?;
        self.last = last;
        Ok(moved)
    }

    /// Waits on the reactor until the client has read or sent something.
    async fn ready(&mut self) -> io::Result<()> {
        match (&mut *self.connection, &*self.socket) {
            (Socket::Tcp(connection), _) => connection.ready(interest(W::DIRECTION)).await,
            (_, CopySocket::Link(link)) => {
                link.ready(W::DIRECTION).await;
                Ok(())
            }
            (Socket::Link(_), CopySocket::Tcp(_)) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl<W: CopyWork> TransferStep for KernelCopy<'_, W> {
    /// Whether the work is complete.
    type Output = bool;
    const BYTES_MAX: usize = usize::MAX;

    /// One run. Its end is considered in the next step, when what it moved is paid for.
    async fn step(
        &mut self,
        mover: &Mover<'_>,
        budget: &Burst,
    ) -> Result<Moved<bool>, TransferError> {
        match self.last {
            RunEnd::Done => return Ok(Moved::Over(true)),
            RunEnd::Unsupported => return Ok(Moved::Over(false)),
            RunEnd::Yield => {}
            RunEnd::Slow if self.slow_peer == SlowPeer::FallBack && !self.is_worthwhile => {
                return Ok(Moved::Over(false));
            }
            RunEnd::Slow => {
                mover.within(self.ready()).await?;
                if self.slow_peer == SlowPeer::Accumulate && !self.is_worthwhile {
                    sleep(CLIENT_WAIT_MAX).await;
                }
            }
        }
        let bytes = self.run(budget).await?;
        if !mover.is_limited() {
            self.is_worthwhile = bytes >= WORTHWHILE_BYTES;
            self.keeps_up = bytes >= W::RUN_BYTES / 4;
        }
        Ok(Moved::Bytes(usize::try_from(bytes).unwrap_or(usize::MAX)))
    }
}

/// A blocking run cannot be cancelled, but shutting down its socket ends it at once.
impl<W> Drop for KernelCopy<'_, W> {
    fn drop(&mut self) {
        if self.is_running {
            self.socket.shut_down();
        }
    }
}

fn run<W: CopyWork>(
    work: &mut W,
    socket: &CopySocket,
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
                handle.count_moved(bytes);
                let is_over = || moved >= W::RUN_BYTES || began.elapsed() >= RUN_TIME;
                let is_bound = || moved >= budget.bytes || handle.generation() != budget.generation;
                if is_bound() || worker.is_wanted() && is_over() {
                    return Ok((RunEnd::Yield, moved));
                }
            }
            CopyStep::Wait if !budget.may_wait => return Ok((RunEnd::Slow, moved)),
            CopyStep::Wait => {
                let waited = socket.wait(W::DIRECTION, CLIENT_WAIT_MAX);
                if !waited.map_err(TransferError::Network)? {
                    return Ok((RunEnd::Slow, moved));
                }
            }
            CopyStep::Done => return Ok((RunEnd::Done, moved)),
            CopyStep::Unsupported => return Ok((RunEnd::Unsupported, moved)),
            CopyStep::Failed(cut) => return Err(cut),
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
    const DIRECTION: CopyDirection = CopyDirection::Send;
    const RUN_BYTES: u64 = 16 * 1024 * 1024;

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
        let block = match receive_from_link(link, most) {
            Ok(block) if block.is_empty() => return CopyStep::Done,
            Ok(block) => block,
            Err(error) => return socket_error(&error),
        };
        let written = self.file.allow(block.len());
        match written.and_then(|()| Ok(self.file.0.file.write_all(&block)?)) {
            Ok(()) => CopyStep::Moved(bound(block.len())),
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
    const DIRECTION: CopyDirection = CopyDirection::Receive;
    const RUN_BYTES: u64 = 2 * 1024 * 1024;

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
