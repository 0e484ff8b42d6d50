//! Sends a source on a data connection.

use std::io;

use tokio::io::AsyncWriteExt;
use tracing::debug;
use wharf_core::Bytes;
use wharf_core::storage::Source;
use wharf_proto::ascii::ToNetwork;

use super::kernel_copy::{self, KernelCopy};
use super::mover::{Moved, Mover, Stepped, TransferStep};
use super::source_chunks::SourceChunks;
use super::zlib::Compressor;
use super::{Flow, PIECE_BYTES, TransferError};
use crate::net::{Socket, Stream};
use crate::rate_limit::Burst;

/// A download or listing. After the last step the connection is shut down for writing. Dropping it
/// closes everything.
pub(crate) struct Sending {
    body: SendBody,
    encoder: DownloadEncoder,
}

/// How the bytes move now.
enum SendBody {
    Kernel(Box<KernelCopy>),
    /// Through memory.
    Memory(Stream),
    /// Between the two.
    None,
}

impl Sending {
    pub(crate) fn new(
        source: Source,
        stream: Stream,
        flow: &Flow<'_>,
    ) -> Result<Self, TransferError> {
        let mut encoder = DownloadEncoder {
            chunks: None,
            to_network: flow.is_ascii.then(ToNetwork::default),
            compressor: flow.deflate.map(Compressor::new),
            ready: Bytes::new(),
        };
        let body = match source {
            Source::File { file, from, len } if kernel_copy::is_possible(&stream, flow) => {
                SendBody::Kernel(Box::new(KernelCopy::send(file, from, len, stream)?))
            }
            source => {
                encoder.begin(SourceChunks::of(source, flow.mover.blocking_pool()), &stream);
                SendBody::Memory(stream)
            }
        };
        Ok(Self { body, encoder })
    }

    /// The connection after the last step.
    pub(crate) fn into_stream(self) -> Option<Stream> {
        if let SendBody::Memory(stream) = self.body { Some(stream) } else { None }
    }

    /// Continues through memory with what the kernel copy has left.
    fn end_kernel_copy(&mut self, mover: &Mover<'_>) {
        let SendBody::Kernel(copy) = std::mem::replace(&mut self.body, SendBody::None) else {
            return;
        };
        let (stream, left) = copy.into_parts();
        if let Some(source @ Source::File { len: 1.., .. }) = left.source {
            self.encoder.begin(SourceChunks::of(source, mover.blocking_pool()), &stream);
        }
        self.body = SendBody::Memory(stream);
    }
}

impl TransferStep for Sending {
    type Output = ();
    const HAS_CLIENT: bool = true;

    fn bytes_max(&self) -> usize {
        if let SendBody::Kernel(_) = self.body { usize::MAX } else { PIECE_BYTES }
    }

    async fn step(&mut self, mover: &Mover<'_>, budget: &Burst) -> Stepped<()> {
        let stream = match &mut self.body {
            SendBody::Memory(stream) => stream,
            SendBody::None => return Ok(Moved::Over(())),
            SendBody::Kernel(copy) => {
                if let Moved::Bytes(bytes) = copy.step(mover, budget).await? {
                    return Ok(Moved::Bytes(bytes));
                }
                self.end_kernel_copy(mover);
                return Ok(Moved::Bytes(0));
            }
        };
        if self.encoder.ready.is_empty() && !self.encoder.prepare(mover).await? {
            end(stream, mover).await?;
            return Ok(Moved::Over(()));
        }
        let ready = &mut self.encoder.ready;
        let mut rest = ready.split_to(budget.bytes.min(ready.len()));
        let bytes = rest.len();
        while !rest.is_empty() {
            let sent = mover.within(stream.write(&rest)).await?;
            if sent == 0 {
                return Err(TransferError::Network(io::ErrorKind::WriteZero.into()));
            }
            mover.count(sent);
            let _ = rest.split_to(sent.min(rest.len()));
        }
        // TCP has what was written; TLS may hold a part of it.
        if bytes > 0 && ready.is_empty() && !matches!(stream, Stream::Plain(Socket::Tcp(_))) {
            mover.within(stream.flush()).await?;
        }
        Ok(Moved::Bytes(bytes))
    }
}

/// Ends the stream: with TLS by `close_notify`, then with a FIN.
async fn end(stream: &mut Stream, mover: &Mover<'_>) -> Result<(), TransferError> {
    match mover.within(stream.shutdown()).await {
        // The client has ended the connection already.
        Err(TransferError::Network(error)) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        ended => ended,
    }
}

/// Converts what is sent chunk by chunk: line ends, compression.
struct DownloadEncoder {
    /// `None` after the last chunk.
    chunks: Option<SourceChunks>,
    to_network: Option<ToNetwork>,
    compressor: Option<Compressor>,
    /// What is to be sent next.
    ready: Bytes,
}

impl DownloadEncoder {
    fn begin(&mut self, chunks: SourceChunks, stream: &Stream) {
        if let (Stream::Plain(socket), false) = (stream, matches!(chunks, SourceChunks::Whole(_))) {
            socket.do_not_delay();
        }
        debug!(method = "memory", "sending");
        self.chunks = Some(chunks);
    }

    /// Converts the next chunk. Returns whether there was one.
    async fn prepare(&mut self, mover: &Mover<'_>) -> Result<bool, TransferError> {
        let Some(chunks) = &mut self.chunks else { return Ok(false) };
        let Some(mut chunk) = chunks.next().await? else {
            self.chunks = None;
            if let Some(compressor) = self.compressor.take() {
                self.ready = Bytes::from(compressor.finish()?);
            }
            return Ok(true);
        };
        if let Some(to_network) = &mut self.to_network {
            let mut converted = Vec::with_capacity(chunk.len());
            to_network.convert(&chunk, &mut converted);
            chunk = Bytes::from(converted);
        }
        if let Some(compressor) = self.compressor.take() {
            let compressing = Box::pin(compressor.compress(chunk, mover.blocking_pool()));
            let (compressor, compressed) = compressing.await?;
            self.compressor = Some(compressor);
            chunk = Bytes::from(compressed);
        }
        self.ready = chunk;
        Ok(true)
    }
}
