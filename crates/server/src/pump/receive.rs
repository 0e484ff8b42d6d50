//! Receives an upload into a sink.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tracing::debug;
use wharf_core::Bytes;
use wharf_core::storage::Sink;
use wharf_proto::ascii::FromNetwork;

use super::closing::{Closing, ended_between_records};
use super::mover::{Moved, Mover, TransferStep};
use super::receive_block::{BLOCK_BYTES, PieceReader};
use super::zlib::Decompressor;
use super::{Flow, TransferError, kernel_copy};
use crate::net::{Socket, Stream};
use crate::rate_limit::Burst;

/// Bytes received through memory before a kernel copy: smaller uploads are not worth its threads
/// and pipe.
const KERNEL_COPY_FROM: usize = 2 * 1024 * 1024;
/// How long the server waits to send `close_notify` after a complete upload.
const CLOSE_NOTIFY_MAX: Duration = Duration::from_secs(10);

/// Copies the stream into the sink until an end that the [`EndRule`](super::EndRule) accepts, sends
/// `close_notify`, and syncs. The sink is neither committed nor aborted. Dropping the future closes
/// the stream.
pub(crate) async fn receive(
    stream: Stream,
    sink: &mut dyn Sink,
    flow: &Flow<'_>,
) -> Result<Closing, TransferError> {
    let mover = flow.mover;
    if let (Stream::Plain(socket), Some(rate)) = (&stream, mover.bytes_per_second()) {
        let ahead = usize::try_from(rate / 4).unwrap_or(usize::MAX);
        socket.limit_receive_buffer(ahead.clamp(128 * 1024, 8 * 1024 * 1024));
    }
    debug!(method = "memory", "receiving");
    let mut receiving = Receiving {
        reader: PieceReader::new(matches!(stream, Stream::Tls(_))),
        stream,
        decoder: UploadDecoder::new(flow),
        can_detach: true,
        taken: 0,
        sink,
        flow,
    };
    let closing = loop {
        match mover.run(&mut receiving).await? {
            ReceiveEnd::Closed(closing) => break closing,
            ReceiveEnd::KernelCopy => {}
        }
        receiving.taken = 0;
        let Receiving { stream, sink, .. } = receiving;
        let Some(detached) = sink.detach_file().await? else {
            receiving = Receiving { stream, sink, can_detach: false, ..receiving };
            continue;
        };
        let received = Box::pin(kernel_copy::receive(detached, stream, flow)).await;
        sink.reattach_file(matches!(received, Err(TransferError::Store(_))));
        match received? {
            (Some(stream), _) => receiving = Receiving { stream, sink, ..receiving },
            (None, closing) => {
                mover.arrived();
                sink.sync().await?;
                return Ok(closing);
            }
        }
    };
    let Receiving { mut stream, decoder, sink, .. } = receiving;
    decoder.finish(sink).await?;
    // The upload is complete, whether the client reads the close_notify or not.
    if !matches!(stream, Stream::Plain(Socket::Tcp(_))) {
        let _ = timeout(CLOSE_NOTIFY_MAX, stream.shutdown()).await;
    }
    drop(stream);
    mover.arrived();
    sink.sync().await?;
    Ok(closing)
}

/// An upload through memory.
struct Receiving<'a> {
    stream: Stream,
    reader: PieceReader,
    decoder: UploadDecoder,
    /// Whether the sink may have a file for a kernel copy.
    can_detach: bool,
    /// Bytes received since a kernel copy was tried.
    taken: usize,
    sink: &'a mut dyn Sink,
    flow: &'a Flow<'a>,
}

/// Why receiving through memory ended.
enum ReceiveEnd {
    Closed(Closing),
    /// A kernel copy is possible.
    KernelCopy,
}

impl TransferStep for Receiving<'_> {
    type Output = ReceiveEnd;
    const BYTES_MAX: usize = BLOCK_BYTES;

    async fn step(
        &mut self,
        mover: &Mover<'_>,
        budget: &Burst,
    ) -> Result<Moved<ReceiveEnd>, TransferError> {
        let is_long = self.can_detach && self.taken >= KERNEL_COPY_FROM;
        if is_long && kernel_copy::is_possible(&self.stream, self.flow) {
            return Ok(Moved::Over(ReceiveEnd::KernelCopy));
        }
        let piece = match self.read(mover, budget.bytes).await? {
            ReadResult::Piece(piece) => piece,
            ReadResult::End(closing) => return Ok(Moved::Over(ReceiveEnd::Closed(closing))),
        };
        let got = piece.len();
        mover.count(got);
        self.taken = self.taken.saturating_add(got);
        self.decoder.take(piece, self.sink, self.flow).await?;
        Ok(Moved::Bytes(got))
    }
}

/// The result of a read.
enum ReadResult {
    Piece(Bytes),
    End(Closing),
}

impl Receiving<'_> {
    /// Reads `bytes_max` bytes at most.
    async fn read(
        &mut self,
        mover: &Mover<'_>,
        bytes_max: usize,
    ) -> Result<ReadResult, TransferError> {
        match mover.within(self.reader.read(&mut self.stream, bytes_max)).await {
            Ok(piece) if piece.is_empty() => Ok(ReadResult::End(Closing::Orderly)),
            Ok(piece) => Ok(ReadResult::Piece(piece)),
            // rustls reports FIN without `close_notify` this way; a reset has another kind.
            Err(TransferError::Network(error)) if is_fin(&self.stream, &error) => {
                if !self.flow.end.accepts(mover.moved()) {
                    return Err(TransferError::NoCloseNotify);
                }
                let is_whole = match &mut self.stream {
                    Stream::Tls(stream) => ended_between_records(stream.get_mut().1),
                    Stream::Plain(_) => true,
                };
                if !is_whole {
                    return Err(TransferError::MidRecord);
                }
                Ok(ReadResult::End(Closing::WithoutNotify))
            }
            Err(error) => Err(error),
        }
    }
}

fn is_fin(stream: &Stream, error: &io::Error) -> bool {
    matches!(stream, Stream::Tls(_)) && error.kind() == io::ErrorKind::UnexpectedEof
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
        let mut step = Box::pin(decompressor.decompress(piece, flow.blocking_pool)).await?;
        self.store(Bytes::from(step.piece), sink).await?;
        while let Some(rest) = step.rest {
            let next = step.decompressor.decompress_rest(rest, flow.blocking_pool);
            step = Box::pin(next).await?;
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
