//! Receives an upload into a sink.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tracing::debug;
use wharf_core::Bytes;
use wharf_core::storage::{Sink, StoreCopy};
use wharf_proto::ascii::FromNetwork;

use super::closing::{Closing, ended_between_records};
use super::kernel_copy::{self, KernelCopy};
use super::local::complete;
use super::mover::{Moved, Mover, Stepped, TransferStep};
use super::receive_block::{BLOCK_BYTES, PieceReader};
use super::zlib::Decompressor;
use super::{Flow, INLINE_BYTES, PIECE_BYTES, STORE_COPY_BYTES, TransferError, bound};
use crate::net::{Socket, Stream};
use crate::rate_limit::Burst;

/// Bytes received through memory before a kernel copy: smaller uploads are not worth its threads
/// and pipe.
const KERNEL_COPY_FROM: usize = 2 * 1024 * 1024;
/// How long the server waits to send `close_notify` after a complete upload.
const CLOSE_NOTIFY_MAX: Duration = Duration::from_secs(10);

/// An upload, until an end that the [`EndRule`](super::EndRule) accepts, `close_notify` is sent and
/// the sink is synced. The sink is neither committed nor aborted. Dropping it closes the stream.
pub(crate) struct Receiving<'a> {
    body: ReceiveBody,
    /// Whether the sink copies what it keeps, before the first byte, or what it adds, after the
    /// last.
    is_copying: bool,
    decoder: UploadDecoder,
    /// Whether the sink may have a file for a kernel copy.
    can_detach: bool,
    /// Bytes received through memory since a kernel copy was tried.
    taken: usize,
    sink: &'a mut dyn Sink,
    flow: &'a Flow<'a>,
}

/// How the bytes move now.
enum ReceiveBody {
    Memory(Stream, PieceReader),
    Kernel(Box<KernelCopy>),
    /// All have arrived.
    Closed(Closing),
}

impl<'a> Receiving<'a> {
    pub(crate) fn new(stream: Stream, sink: &'a mut dyn Sink, flow: &'a Flow<'a>) -> Self {
        if let (Stream::Plain(socket), Some(rate)) = (&stream, flow.mover.bytes_per_second()) {
            let ahead = usize::try_from(rate / 4).unwrap_or(usize::MAX);
            socket.limit_receive_buffer(ahead.clamp(128 * 1024, 8 * 1024 * 1024));
        }
        debug!(method = "memory", "receiving");
        let reader = PieceReader::new(matches!(stream, Stream::Tls(_)));
        Self {
            body: ReceiveBody::Memory(stream, reader),
            is_copying: true,
            decoder: UploadDecoder::new(flow),
            can_detach: true,
            taken: 0,
            sink,
            flow,
        }
    }

    /// All bytes have arrived. The sink then copies and syncs them.
    fn close(&mut self, closing: Closing) {
        self.body = ReceiveBody::Closed(closing);
        self.is_copying = true;
        self.flow.mover.arrived();
    }

    /// Begins a kernel copy, if the sink has a file for it.
    async fn detach(&mut self) -> Result<(), TransferError> {
        self.taken = 0;
        let detached = self.sink.detach_file().await?;
        self.can_detach = detached.is_some();
        let Some(detached) = detached else { return Ok(()) };
        let closed = ReceiveBody::Closed(Closing::Orderly);
        if let ReceiveBody::Memory(stream, _) = std::mem::replace(&mut self.body, closed) {
            let copy = KernelCopy::receive(detached, stream, self.flow);
            let copy = copy.inspect_err(|_| self.sink.reattach_file(true))?;
            self.body = ReceiveBody::Kernel(Box::new(copy));
        }
        Ok(())
    }

    /// Ends a kernel copy; unless the upload is complete, memory continues.
    fn reattach(&mut self, is_done: bool) {
        self.sink.reattach_file(false);
        let closed = ReceiveBody::Closed(Closing::Orderly);
        let ReceiveBody::Kernel(copy) = std::mem::replace(&mut self.body, closed) else { return };
        let (stream, left) = copy.into_parts();
        if is_done {
            self.close(left.closing);
        } else {
            self.body = ReceiveBody::Memory(stream, PieceReader::new(false));
        }
    }
}

impl TransferStep for Receiving<'_> {
    type Output = Closing;
    const HAS_CLIENT: bool = true;

    fn bytes_max(&self) -> usize {
        match self.body {
            _ if self.is_copying => STORE_COPY_BYTES,
            ReceiveBody::Kernel(_) => usize::MAX,
            ReceiveBody::Memory(..) | ReceiveBody::Closed(_) => BLOCK_BYTES,
        }
    }

    fn is_within_store(&self) -> bool {
        self.is_copying
    }

    async fn step(&mut self, mover: &Mover<'_>, budget: &Burst) -> Stepped<Closing> {
        let (stream, reader) = match &mut self.body {
            ReceiveBody::Closed(closing) => return complete(self.sink, budget, *closing).await,
            _ if self.is_copying => {
                let copied = self.sink.copy_step(StoreCopy::Kept, bound(budget.bytes)).await?;
                self.is_copying = copied > 0;
                return Ok(Moved::Bytes(usize::try_from(copied).unwrap_or(usize::MAX)));
            }
            ReceiveBody::Memory(stream, reader) => (stream, reader),
            ReceiveBody::Kernel(copy) => {
                return match copy.step(mover, budget).await {
                    Ok(Moved::Bytes(bytes)) => Ok(Moved::Bytes(bytes)),
                    Ok(Moved::Over(is_done)) => {
                        self.reattach(is_done);
                        Ok(Moved::Bytes(0))
                    }
                    Err(error) => {
                        self.sink.reattach_file(matches!(error, TransferError::Store(_)));
                        Err(error)
                    }
                };
            }
        };
        let is_long = self.can_detach && self.taken >= KERNEL_COPY_FROM;
        if is_long && kernel_copy::is_possible(stream, self.flow) {
            self.detach().await?;
            return Ok(Moved::Bytes(0));
        }
        if let Some(rest) = self.decoder.rest.take() {
            self.decoder.take(rest, PIECE_BYTES, self.sink, mover).await?;
            return Ok(Moved::Bytes(0));
        }
        let (piece, closing) = read(stream, reader, budget.bytes, self.flow).await?;
        let got = piece.len();
        if got > 0 {
            mover.count(got);
            self.taken = self.taken.saturating_add(got);
            let most = if got <= INLINE_BYTES / 4 { INLINE_BYTES } else { PIECE_BYTES };
            self.decoder.take(piece, most, self.sink, mover).await?;
            return Ok(Moved::Bytes(got));
        }
        self.decoder.finish(self.sink).await?;
        // The upload is complete, whether the client reads the close_notify or not.
        if !matches!(stream, Stream::Plain(Socket::Tcp(_))) {
            let _ = timeout(CLOSE_NOTIFY_MAX, stream.shutdown()).await;
        }
        self.close(closing);
        Ok(Moved::Bytes(0))
    }
}

/// Reads `bytes_max` bytes at most; none at the end, with how it ended.
async fn read(
    stream: &mut Stream,
    reader: &mut PieceReader,
    bytes_max: usize,
    flow: &Flow<'_>,
) -> Result<(Bytes, Closing), TransferError> {
    match flow.mover.within(reader.read(stream, bytes_max)).await {
        Ok(piece) => Ok((piece, Closing::Orderly)),
        // rustls reports FIN without `close_notify` this way; a reset has another kind.
        Err(TransferError::Network(error)) if is_fin(stream, &error) => {
            if !flow.end.accepts(flow.mover.moved()) {
                return Err(TransferError::NoCloseNotify);
            }
            let is_whole = match stream {
                Stream::Tls(stream) => ended_between_records(stream.get_mut().1),
                Stream::Plain(_) => true,
            };
            if !is_whole {
                return Err(TransferError::MidRecord);
            }
            Ok((Bytes::new(), Closing::WithoutNotify))
        }
        Err(error) => Err(error),
    }
}

fn is_fin(stream: &Stream, error: &io::Error) -> bool {
    matches!(stream, Stream::Tls(_)) && error.kind() == io::ErrorKind::UnexpectedEof
}

/// Converts received data to what is stored: decompression, line ends.
struct UploadDecoder {
    decompressor: Option<Decompressor>,
    /// Compressed data that is received, of which more follows. It may be empty.
    rest: Option<Bytes>,
    from_network: Option<FromNetwork>,
}

impl UploadDecoder {
    fn new(flow: &Flow<'_>) -> Self {
        Self {
            decompressor: flow.deflate.map(|_| Decompressor::new()),
            rest: None,
            from_network: flow.is_ascii.then(FromNetwork::default),
        }
    }

    /// Stores received data. Decompresses it to `most` bytes at most, and keeps the rest.
    async fn take(
        &mut self,
        piece: Bytes,
        most: usize,
        sink: &mut dyn Sink,
        mover: &Mover<'_>,
    ) -> Result<(), TransferError> {
        let Some(decompressor) = self.decompressor.take() else {
            return self.store(piece, sink).await;
        };
        let step = decompressor.decompress(piece, most, mover.blocking_pool());
        let step = Box::pin(step).await?;
        self.decompressor = Some(step.decompressor);
        self.rest = step.rest;
        self.store(Bytes::from(step.piece), sink).await
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
    async fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), TransferError> {
        if let Some(decompressor) = &self.decompressor {
            decompressor.finish()?;
        }
        let mut last = Vec::new();
        if let Some(from_network) = &mut self.from_network {
            from_network.finish(&mut last);
        }
        if !last.is_empty() {
            sink.write(Bytes::from(last)).await?;
        }
        Ok(())
    }
}
