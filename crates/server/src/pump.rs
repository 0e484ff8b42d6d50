//! The byte loops between a data connection and a store.

mod closing;
#[cfg(target_os = "linux")]
#[path = "pump/direct_linux.rs"]
mod direct;
#[cfg(not(target_os = "linux"))]
#[path = "pump/direct_other.rs"]
mod direct;
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
pub(crate) use self::local::Local;
use self::zlib::{Packing, Unpacking};
use crate::lanes::Lanes;
use crate::net::{Socket, Stream};
use crate::registry::Probe;
use crate::shape::Shaper;

/// One read or write at most: large enough that system calls cost little.
const PIECE_BYTES: usize = 256 * 1024;
/// The first read of an upload.
const FIRST_PIECE_BYTES: usize = 16 * 1024;
/// So much is reckoned or packed on the reactor: a fraction of a millisecond.
const AT_ONCE_BYTES: usize = 16 * 1024;
/// A client that has its file is given this long to take the farewell of TLS.
const FAREWELL_MAX: Duration = Duration::from_secs(10);

/// What holds for the bytes of one transfer.
pub(crate) struct Flow<'a> {
    /// Speed limits, and how long nothing may move.
    pub(crate) shaper: &'a Shaper,
    /// Its `moved` counts the bytes on the data connection as they move.
    pub(crate) probe: &'a Arc<Probe>,
    /// Threads for what is large.
    pub(crate) lanes: &'a Lanes,
    /// Whether line ends are converted (TYPE A).
    pub(crate) is_ascii: bool,
    /// Set once an upload has come to its end: from then on it is the disk that takes its time.
    pub(crate) is_whole: &'a AtomicBool,
    /// The level at which bytes are packed, where they are (MODE Z).
    pub(crate) deflate: Option<u8>,
    /// How an upload over TLS may end.
    pub(crate) end: EndRule,
}

/// Why bytes stopped before their end.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The data connection broke.
    Network(io::Error),
    /// It ended in FIN, but without the `close_notify` of TLS.
    NoCloseNotify,
    /// It ended in FIN in the middle of a TLS record: more was to come.
    MidRecord,
    /// Nothing moved for too long.
    Stalled,
    /// Less moved than must.
    TooSlow,
    /// What came is no zlib stream, or not a whole one (MODE Z).
    Damaged(&'static str),
    /// What came unpacks to far more than it is (MODE Z).
    Swollen,
    /// The store failed.
    Store(Error),
}

impl From<Error> for Cut {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// Bytes of a file that are still to be sent.
struct Rest {
    file: std::fs::File,
    from: u64,
    len: u64,
}

/// Sends a source to its end, and says that there is no more: what is left of the connection comes
/// back. Dropping the future closes everything.
pub(crate) async fn send(source: Source, mut stream: Stream, flow: &Flow<'_>) -> Result<Sent, Cut> {
    let mut pieces = match source {
        Source::File { file, from, len } if direct::is_possible(&stream, flow) => {
            let (rest, back) = direct::send(file, from, len, stream, flow).await?;
            let Some(Rest { file, from, len }) = rest else { return end(back, flow).await };
            stream = back;
            Pieces::File(FilePieces::new(file, from, len))
        }
        source => Pieces::of(source),
    };
    if let (Stream::Plain(socket), false) = (&stream, matches!(pieces, Pieces::Whole(_))) {
        socket.do_not_delay();
    }
    let mut to_network = ToNetwork::default();
    let mut packing = flow.deflate.map(Packing::new);
    while let Some(mut piece) = pieces.next().await? {
        if flow.is_ascii {
            let mut converted = Vec::with_capacity(piece.len());
            to_network.convert(&piece, &mut converted);
            piece = Bytes::from(converted);
        }
        packing = match packing {
            None => {
                write(&piece, &mut stream, flow).await?;
                None
            }
            Some(packing) => {
                let (packing, packed) = packing.pack(piece, flow.lanes).await?;
                write(&packed, &mut stream, flow).await?;
                Some(packing)
            }
        };
    }
    if let Some(packing) = packing {
        write(&packing.finish()?, &mut stream, flow).await?;
    }
    end(stream, flow).await
}

/// Says that there is no more: with TLS by its `close_notify`, then with a FIN.
async fn end(mut stream: Stream, flow: &Flow<'_>) -> Result<Sent, Cut> {
    match within(flow, stream.shutdown()).await {
        // The client has ended the connection already.
        Err(Cut::Network(error)) if error.kind() == io::ErrorKind::NotConnected => {}
        ended => ended?,
    }
    Ok(Sent(stream))
}

/// A connection on which everything was sent.
pub(crate) struct Sent(Stream);

impl Sent {
    /// Waits until the client ends it too, which it does once it has read everything; or breaks it,
    /// or says anything.
    pub(crate) async fn ended(mut self) {
        let _ = self.0.read(&mut [0; 64]).await;
    }
}

async fn write(bytes: &[u8], stream: &mut Stream, flow: &Flow<'_>) -> Result<(), Cut> {
    let mut all = bytes;
    while !all.is_empty() {
        // Anew each time: limits may change while a piece is on its way.
        let turn = flow.shaper.turn(PIECE_BYTES);
        let most = turn.bytes.min(all.len());
        let (mut rest, others) = all.split_at_checked(most).unwrap_or((all, &[]));
        all = others;
        flow.shaper.take(&turn, rest.len()).await;
        while !rest.is_empty() {
            let sent = within(flow, stream.write(rest)).await?;
            if sent == 0 {
                return Err(Cut::Network(io::ErrorKind::WriteZero.into()));
            }
            count(flow.probe, sent);
            rest = rest.get(sent..).unwrap_or_default();
        }
    }
    within(flow, stream.flush()).await
}

/// Takes everything from the stream into the sink, to an end that the rule of the flow accepts,
/// says farewell, and syncs. The sink is neither committed nor aborted. Dropping the future closes
/// the stream.
pub(crate) async fn receive(
    mut stream: Stream,
    sink: &mut dyn Sink,
    flow: &Flow<'_>,
) -> Result<Closing, Cut> {
    if let (Stream::Plain(socket), Some(rate)) = (&stream, flow.shaper.bytes_per_second()) {
        let ahead = usize::try_from(rate / 4).unwrap_or(usize::MAX);
        socket.limit_receive_buffer(ahead.clamp(128 * 1024, 8 * 1024 * 1024));
    }
    // A small file needs no more; a full buffer asks for a larger one.
    let mut turn = flow.shaper.turn(PIECE_BYTES);
    let mut room = FIRST_PIECE_BYTES.min(turn.bytes);
    let mut buffer = Vec::with_capacity(room);
    let mut intake = Intake::new(flow);
    let mut can_lend = true;
    let mut taken = 0;
    let closing = loop {
        if can_lend && taken >= PIECE_BYTES && direct::is_possible(&stream, flow) {
            taken = 0;
            match sink.detach_file().await? {
                Some(loan) => {
                    let received = direct::receive(loan, stream, flow).await;
                    sink.reattach_file(matches!(received, Err(Cut::Store(_))));
                    match received? {
                        (Some(back), _) => stream = back,
                        (None, closing) => {
                            sync(sink, flow).await?;
                            return Ok(closing);
                        }
                    }
                }
                None => can_lend = false,
            }
        }
        buffer.clear();
        let got = match read(&mut stream, room, &mut buffer, flow).await? {
            Got::Bytes(got) => got,
            Got::End(closing) => break closing,
        };
        taken += got;
        count(flow.probe, got);
        flow.shaper.take(&turn, got).await;
        turn = flow.shaper.turn(PIECE_BYTES);
        room = turn.bytes.min(if got == room { room * 4 } else { room });
        let piece = std::mem::replace(&mut buffer, Vec::with_capacity(room));
        intake.take(Bytes::from(piece), sink, flow).await?;
    };
    intake.finish(sink).await?;
    // The upload is whole. Whether the client waits for our farewell is its own affair.
    if !matches!(stream, Stream::Plain(Socket::Tcp(_))) {
        let _ = timeout(FAREWELL_MAX, stream.shutdown()).await;
    }
    drop(stream);
    sync(sink, flow).await?;
    Ok(closing)
}

/// What a read came to.
enum Got {
    Bytes(usize),
    End(Closing),
}

/// Reads `room` bytes at most.
async fn read(
    stream: &mut Stream,
    room: usize,
    buffer: &mut Vec<u8>,
    flow: &Flow<'_>,
) -> Result<Got, Cut> {
    match within(flow, (&mut *stream).take(bound(room)).read_buf(buffer)).await {
        Ok(0) => Ok(Got::End(Closing::Orderly)),
        Ok(got) => Ok(Got::Bytes(got)),
        // So rustls tells of FIN without `close_notify`; a reset has a kind of its own.
        Err(Cut::Network(error)) if is_fin(stream, &error) => {
            let received = flow.probe.moved.load(Ordering::Relaxed);
            if flow.end.accepts(received) {
                let is_whole = match stream {
                    Stream::Tls(stream) => ended_between_records(stream.get_mut().1),
                    Stream::Plain(_) => true,
                };
                if is_whole { Ok(Got::End(Closing::WithoutNotify)) } else { Err(Cut::MidRecord) }
            } else {
                Err(Cut::NoCloseNotify)
            }
        }
        Err(cut) => Err(cut),
    }
}

fn is_fin(stream: &Stream, error: &io::Error) -> bool {
    matches!(stream, Stream::Tls(_)) && error.kind() == io::ErrorKind::UnexpectedEof
}

async fn sync(sink: &mut dyn Sink, flow: &Flow<'_>) -> Result<(), Cut> {
    flow.is_whole.store(true, Ordering::Relaxed);
    Ok(sink.sync().await?)
}

/// From what comes over the network to what is stored.
struct Intake {
    unpacking: Option<Unpacking>,
    from_network: Option<FromNetwork>,
}

impl Intake {
    fn new(flow: &Flow<'_>) -> Self {
        Self {
            unpacking: flow.deflate.map(|_| Unpacking::new()),
            from_network: flow.is_ascii.then(FromNetwork::default),
        }
    }

    async fn take(
        &mut self,
        piece: Bytes,
        sink: &mut dyn Sink,
        flow: &Flow<'_>,
    ) -> Result<(), Cut> {
        let Some(unpacking) = self.unpacking.take() else { return self.store(piece, sink).await };
        let mut step = unpacking.unpack(piece, flow.lanes).await?;
        self.store(Bytes::from(step.piece), sink).await?;
        while let Some(rest) = step.rest {
            step = step.unpacking.unpack_rest(rest, flow.lanes).await?;
            self.store(Bytes::from(step.piece), sink).await?;
        }
        self.unpacking = Some(step.unpacking);
        Ok(())
    }

    async fn store(&mut self, mut piece: Bytes, sink: &mut dyn Sink) -> Result<(), Cut> {
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
    async fn finish(self, sink: &mut dyn Sink) -> Result<(), Cut> {
        if let Some(unpacking) = self.unpacking {
            unpacking.finish()?;
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

/// Does work at once if it is little, else on a lane.
async fn elsewhere<T: Send + 'static>(
    bytes: usize,
    lanes: &Lanes,
    work: impl FnOnce() -> Result<T, Cut> + Send + 'static,
) -> Result<T, Cut> {
    if bytes <= AT_ONCE_BYTES {
        return work();
    }
    let lane = lanes.enter().await;
    let working = spawn_blocking(move || {
        let done = work();
        drop(lane);
        done
    });
    working.await.map_err(broken)?
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Cut {
    Cut::Store(Error::new(ErrorKind::Broken, error))
}

fn bound(turn: usize) -> u64 {
    u64::try_from(turn).unwrap_or(u64::MAX)
}

fn count(probe: &Probe, bytes: usize) {
    probe.moved.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
}

async fn within<T>(flow: &Flow<'_>, act: impl Future<Output = io::Result<T>>) -> Result<T, Cut> {
    match flow.shaper.within(act).await {
        Some(done) => done.map_err(Cut::Network),
        None => Err(Cut::Stalled),
    }
}

fn shortened() -> Error {
    Error::new(ErrorKind::Broken, "the file became shorter while it was read")
}

enum Pieces {
    Whole(Option<Bytes>),
    File(FilePieces),
    Stream(ByteStream),
}

impl Pieces {
    fn of(source: Source) -> Self {
        match source {
            Source::File { file, from, len } => Self::File(FilePieces::new(file, from, len)),
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

/// Reads a file one piece ahead, off the reactor.
struct FilePieces {
    ahead: Option<JoinHandle<io::Result<ReadPiece>>>,
    left: u64,
}

impl FilePieces {
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

/// The file comes back with its piece, for the next one.
type ReadPiece = (std::fs::File, Vec<u8>);

fn read_piece(file: std::fs::File, most: u64) -> io::Result<ReadPiece> {
    let size = most.min(bound(PIECE_BYTES));
    let mut piece = Vec::with_capacity(usize::try_from(size).unwrap_or(PIECE_BYTES));
    (&file).take(size).read_to_end(&mut piece)?;
    Ok((file, piece))
}
