//! Copies data between a data connection and storage.

mod closing;
#[cfg(target_os = "linux")]
#[path = "pump/kernel_copy_linux.rs"]
mod kernel_copy;
#[cfg(not(target_os = "linux"))]
#[path = "pump/kernel_copy_other.rs"]
mod kernel_copy;
mod local;
mod zlib;

use std::future::poll_fn;
use std::io;
use std::io::{Read, Seek, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use wharf_core::error::{Error, ErrorKind};
use wharf_core::storage::{ByteStream, Sink, Source};
use wharf_core::{Bytes, Stream as _};
use wharf_proto::ascii::{FromNetwork, ToNetwork};

use self::closing::ended_between_records;
pub(crate) use self::closing::{Closing, EndRule};
pub(crate) use self::local::LocalCopy;
use self::zlib::{Compressor, Decompressor};
use crate::blocking_pool::BlockingPool;
use crate::net::{Socket, Stream};
use crate::rate_limit::RateLimiter;
use crate::registry::SessionHandle;

/// One read or write at most: large enough that system calls cost little.
const PIECE_BYTES: usize = 256 * 1024;
/// The first read of an upload.
const FIRST_PIECE_BYTES: usize = 16 * 1024;
/// Up to this size, hashing and compression run on the reactor: a fraction of a millisecond.
const INLINE_BYTES: usize = 16 * 1024;
/// How long the server waits to send `close_notify` after a complete upload.
const CLOSE_NOTIFY_MAX: Duration = Duration::from_secs(10);

/// Parameters of one transfer.
pub(crate) struct Flow<'a> {
    /// Rate limits and the stall timeout.
    pub(crate) rate_limiter: &'a RateLimiter,
    /// `moved` counts the bytes on the data connection.
    pub(crate) handle: &'a Arc<SessionHandle>,
    /// Threads for large blocks.
    pub(crate) blocking_pool: &'a BlockingPool,
    /// Whether line ends are converted (TYPE A).
    pub(crate) is_ascii: bool,
    /// Set once an upload is complete: from then on only the disk is waited for.
    pub(crate) is_whole: &'a AtomicBool,
    /// The compression level (MODE Z).
    pub(crate) deflate: Option<u8>,
    /// When an upload over TLS may end without `close_notify`.
    pub(crate) end: EndRule,
}

/// Why a transfer stopped before its end.
#[derive(Debug)]
pub(crate) enum TransferError {
    /// The data connection broke.
    Network(io::Error),
    /// It ended in FIN, but without the `close_notify` of TLS.
    NoCloseNotify,
    /// It ended in FIN in the middle of a TLS record, so data is missing.
    MidRecord,
    /// The stall timeout passed.
    Stalled,
    /// The transfer was below the minimum rate.
    TooSlow,
    /// The data is not a valid and complete zlib stream (MODE Z).
    InvalidZlib(&'static str),
    /// The decompressed data exceeds the permitted ratio (MODE Z).
    ExpansionLimit,
    /// The store failed.
    Store(Error),
}

impl From<Error> for TransferError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// The part of a file that is still to be sent.
struct FileRemainder {
    file: std::fs::File,
    from: u64,
    len: u64,
}

/// Sends a source completely, shuts the connection down for writing, and returns it. Dropping the
/// future closes everything.
pub(crate) async fn send(
    source: Source,
    mut stream: Stream,
    flow: &Flow<'_>,
) -> Result<Sent, TransferError> {
    let mut pieces = match source {
        Source::File { file, from, len } if kernel_copy::is_possible(&stream, flow) => {
            let (rest, back) = kernel_copy::send(file, from, len, stream, flow).await?;
            let Some(FileRemainder { file, from, len }) = rest else {
                return end(back, flow).await;
            };
            stream = back;
            SourceChunks::File(FileChunks::new(file, from, len))
        }
        source => SourceChunks::of(source),
    };
    if let (Stream::Plain(socket), false) = (&stream, matches!(pieces, SourceChunks::Whole(_))) {
        socket.do_not_delay();
    }
    let mut to_network = ToNetwork::default();
    let mut compressor = flow.deflate.map(Compressor::new);
    while let Some(mut piece) = pieces.next().await? {
        if flow.is_ascii {
            let mut converted = Vec::with_capacity(piece.len());
            to_network.convert(&piece, &mut converted);
            piece = Bytes::from(converted);
        }
        compressor = match compressor {
            None => {
                write(&piece, &mut stream, flow).await?;
                None
            }
            Some(compressor) => {
                let (compressor, compressed) =
                    compressor.compress(piece, flow.blocking_pool).await?;
                write(&compressed, &mut stream, flow).await?;
                Some(compressor)
            }
        };
    }
    if let Some(compressor) = compressor {
        write(&compressor.finish()?, &mut stream, flow).await?;
    }
    end(stream, flow).await
}

/// Ends the stream: with TLS by `close_notify`, then with a FIN.
async fn end(mut stream: Stream, flow: &Flow<'_>) -> Result<Sent, TransferError> {
    match within(flow, stream.shutdown()).await {
        // The client has ended the connection already.
        Err(TransferError::Network(error)) if error.kind() == io::ErrorKind::NotConnected => {}
        ended => ended?,
    }
    Ok(Sent(stream))
}

/// A connection that is shut down for writing.
pub(crate) struct Sent(Stream);

impl Sent {
    /// Waits until the client closes it too, which it does once it has read everything; or resets
    /// it, or sends anything.
    pub(crate) async fn ended(mut self) {
        let _ = self.0.read(&mut [0; 64]).await;
    }
}

async fn write(bytes: &[u8], stream: &mut Stream, flow: &Flow<'_>) -> Result<(), TransferError> {
    let mut all = bytes;
    while !all.is_empty() {
        // Asked for every burst: limits may change while a piece is being sent.
        let burst = flow.rate_limiter.burst(PIECE_BYTES);
        let most = burst.bytes.min(all.len());
        let (mut rest, others) = all.split_at_checked(most).unwrap_or((all, &[]));
        all = others;
        flow.rate_limiter.take(&burst, rest.len()).await;
        while !rest.is_empty() {
            let sent = within(flow, stream.write(rest)).await?;
            if sent == 0 {
                return Err(TransferError::Network(io::ErrorKind::WriteZero.into()));
            }
            count(flow.handle, sent);
            rest = rest.get(sent..).unwrap_or_default();
        }
    }
    within(flow, stream.flush()).await
}

/// Copies the stream into the sink until an end that the [`EndRule`] accepts, sends `close_notify`,
/// and syncs. The sink is neither committed nor aborted. Dropping the future closes the stream.
pub(crate) async fn receive(
    mut stream: Stream,
    sink: &mut dyn Sink,
    flow: &Flow<'_>,
) -> Result<Closing, TransferError> {
    if let (Stream::Plain(socket), Some(rate)) = (&stream, flow.rate_limiter.bytes_per_second()) {
        let ahead = usize::try_from(rate / 4).unwrap_or(usize::MAX);
        socket.limit_receive_buffer(ahead.clamp(128 * 1024, 8 * 1024 * 1024));
    }
    // Enough for small files; the buffer grows when it was filled.
    let mut burst = flow.rate_limiter.burst(PIECE_BYTES);
    let mut room = FIRST_PIECE_BYTES.min(burst.bytes);
    let mut buffer = Vec::with_capacity(room);
    let mut decoder = UploadDecoder::new(flow);
    let mut can_detach = true;
    let mut taken = 0;
    let closing = loop {
        if can_detach && taken >= PIECE_BYTES && kernel_copy::is_possible(&stream, flow) {
            taken = 0;
            match sink.detach_file().await? {
                Some(detached) => {
                    let received = kernel_copy::receive(detached, stream, flow).await;
                    sink.reattach_file(matches!(received, Err(TransferError::Store(_))));
                    match received? {
                        (Some(back), _) => stream = back,
                        (None, closing) => {
                            sync(sink, flow).await?;
                            return Ok(closing);
                        }
                    }
                }
                None => can_detach = false,
            }
        }
        buffer.clear();
        let got = match read(&mut stream, room, &mut buffer, flow).await? {
            ReadResult::Bytes(got) => got,
            ReadResult::End(closing) => break closing,
        };
        taken += got;
        count(flow.handle, got);
        flow.rate_limiter.take(&burst, got).await;
        burst = flow.rate_limiter.burst(PIECE_BYTES);
        room = burst.bytes.min(if got == room { room * 4 } else { room });
        let piece = std::mem::replace(&mut buffer, Vec::with_capacity(room));
        decoder.take(Bytes::from(piece), sink, flow).await?;
    };
    decoder.finish(sink).await?;
    // The upload is complete, whether the client reads the close_notify or not.
    if !matches!(stream, Stream::Plain(Socket::Tcp(_))) {
        let _ = timeout(CLOSE_NOTIFY_MAX, stream.shutdown()).await;
    }
    drop(stream);
    sync(sink, flow).await?;
    Ok(closing)
}

/// The result of a read.
enum ReadResult {
    Bytes(usize),
    End(Closing),
}

/// Reads `room` bytes at most.
async fn read(
    stream: &mut Stream,
    room: usize,
    buffer: &mut Vec<u8>,
    flow: &Flow<'_>,
) -> Result<ReadResult, TransferError> {
    match within(flow, (&mut *stream).take(bound(room)).read_buf(buffer)).await {
        Ok(0) => Ok(ReadResult::End(Closing::Orderly)),
        Ok(got) => Ok(ReadResult::Bytes(got)),
        // rustls reports FIN without `close_notify` this way; a reset has another kind.
        Err(TransferError::Network(error)) if is_fin(stream, &error) => {
            let received = flow.handle.moved.load(Ordering::Relaxed);
            if flow.end.accepts(received) {
                let is_whole = match stream {
                    Stream::Tls(stream) => ended_between_records(stream.get_mut().1),
                    Stream::Plain(_) => true,
                };
                if is_whole {
                    Ok(ReadResult::End(Closing::WithoutNotify))
                } else {
                    Err(TransferError::MidRecord)
                }
            } else {
                Err(TransferError::NoCloseNotify)
            }
        }
        Err(cut) => Err(cut),
    }
}

fn is_fin(stream: &Stream, error: &io::Error) -> bool {
    matches!(stream, Stream::Tls(_)) && error.kind() == io::ErrorKind::UnexpectedEof
}

async fn sync(sink: &mut dyn Sink, flow: &Flow<'_>) -> Result<(), TransferError> {
    flow.is_whole.store(true, Ordering::Relaxed);
    Ok(sink.sync().await?)
}

/// Converts received data to what is stored: decompression, line ends.
struct UploadDecoder {
    decompressor: Option<Decompressor>,
    from_network: Option<FromNetwork>,
}

impl UploadDecoder {
    fn new(flow: &Flow<'_>) -> Self {
        Self {
            decompressor: flow.deflate.map(|_| Decompressor::new()),
            from_network: flow.is_ascii.then(FromNetwork::default),
        }
    }

    async fn take(
        &mut self,
        piece: Bytes,
        sink: &mut dyn Sink,
        flow: &Flow<'_>,
    ) -> Result<(), TransferError> {
        let Some(decompressor) = self.decompressor.take() else {
            return self.store(piece, sink).await;
        };
        let mut step = decompressor.decompress(piece, flow.blocking_pool).await?;
        self.store(Bytes::from(step.piece), sink).await?;
        while let Some(rest) = step.rest {
            step = step.decompressor.decompress_rest(rest, flow.blocking_pool).await?;
            self.store(Bytes::from(step.piece), sink).await?;
        }
        self.decompressor = Some(step.decompressor);
        Ok(())
    }

    async fn store(&mut self, mut piece: Bytes, sink: &mut dyn Sink) -> Result<(), TransferError> {
        if let Some(from_network) = &mut self.from_network {
            let mut converted = Vec::with_capacity(piece.len());
            from_network.convert(&piece, &mut converted);
            piece = Bytes::from(converted);
        }
        if !piece.is_empty() {
            sink.write(piece).await?;
        }
        Ok(())
    }

    /// At the end of the connection.
    async fn finish(self, sink: &mut dyn Sink) -> Result<(), TransferError> {
        if let Some(decompressor) = self.decompressor {
            decompressor.finish()?;
        }
        let mut last = Vec::new();
        if let Some(mut from_network) = self.from_network {
            from_network.finish(&mut last);
        }
        if !last.is_empty() {
            sink.write(Bytes::from(last)).await?;
        }
        Ok(())
    }
}

/// Runs small work at once, and other work on a blocking worker.
async fn run_blocking<T: Send + 'static>(
    bytes: usize,
    blocking_pool: &BlockingPool,
    work: impl FnOnce() -> Result<T, TransferError> + Send + 'static,
) -> Result<T, TransferError> {
    if bytes <= INLINE_BYTES {
        return work();
    }
    let worker = blocking_pool.acquire().await;
    let working = spawn_blocking(move || {
        let done = work();
        drop(worker);
        done
    });
    working.await.map_err(broken)?
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> TransferError {
    TransferError::Store(Error::new(ErrorKind::Broken, error))
}

fn bound(burst: usize) -> u64 {
    u64::try_from(burst).unwrap_or(u64::MAX)
}

fn count(handle: &SessionHandle, bytes: usize) {
    handle.moved.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
}

async fn within<T>(
    flow: &Flow<'_>,
    act: impl Future<Output = io::Result<T>>,
) -> Result<T, TransferError> {
    match flow.rate_limiter.within(act).await {
        Some(done) => done.map_err(TransferError::Network),
        None => Err(TransferError::Stalled),
    }
}

fn shortened() -> Error {
    Error::new(ErrorKind::Broken, "the file was truncated while it was read")
}

enum SourceChunks {
    Whole(Option<Bytes>),
    File(FileChunks),
    Stream(ByteStream),
}

impl SourceChunks {
    fn of(source: Source) -> Self {
        match source {
            Source::File { file, from, len } => Self::File(FileChunks::new(file, from, len)),
            Source::Bytes(bytes) => Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())),
            Source::Stream(stream) => Self::Stream(stream),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Whole(bytes) => Ok(bytes.take()),
            Self::File(pieces) => pieces.next().await,
            Self::Stream(stream) => {
                poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await.transpose()
            }
        }
    }
}

/// Reads a file one piece ahead, on a blocking thread.
struct FileChunks {
    ahead: Option<JoinHandle<io::Result<ReadPiece>>>,
    left: u64,
}

impl FileChunks {
    fn new(mut file: std::fs::File, from: u64, len: u64) -> Self {
        let ahead = spawn_blocking(move || {
            file.seek(SeekFrom::Start(from))?;
            read_piece(file, len)
        });
        Self { ahead: (len > 0).then_some(ahead), left: len }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(ahead) = &mut self.ahead else { return Ok(None) };
        let read = ahead.await;
        self.ahead = None;
        let (file, piece) = read.map_err(|panic| Error::new(ErrorKind::Broken, panic))??;
        let got = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if got == 0 {
            return Err(shortened());
        }
        self.left = self.left.saturating_sub(got);
        let left = self.left;
        self.ahead = (left > 0).then(|| spawn_blocking(move || read_piece(file, left)));
        Ok(Some(Bytes::from(piece)))
    }
}

/// The file is returned with the piece, for the next read.
type ReadPiece = (std::fs::File, Vec<u8>);

fn read_piece(file: std::fs::File, most: u64) -> io::Result<ReadPiece> {
    let size = most.min(bound(PIECE_BYTES));
    let mut piece = Vec::with_capacity(usize::try_from(size).unwrap_or(PIECE_BYTES));
    (&file).take(size).read_to_end(&mut piece)?;
    Ok((file, piece))
}
