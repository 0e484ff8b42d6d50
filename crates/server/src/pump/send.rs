//! Sends a source on a data connection.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::debug;
use wharf_core::Bytes;
use wharf_core::storage::Source;
use wharf_proto::ascii::ToNetwork;

use super::mover::{Moved, Mover, TransferStep};
use super::source_chunks::{FileChunks, SourceChunks};
use super::zlib::Compressor;
use super::{FileRemainder, Flow, PIECE_BYTES, TransferError, kernel_copy};
use crate::net::{Socket, Stream};
use crate::rate_limit::Burst;

/// Sends a source completely, shuts the connection down for writing, and returns it. Dropping the
/// future closes everything.
pub(crate) async fn send(
    source: Source,
    mut stream: Stream,
    flow: &Flow<'_>,
) -> Result<Sent, TransferError> {
    let chunks = match source {
        Source::File { file, from, len } if kernel_copy::is_possible(&stream, flow) => {
            let (rest, back) = kernel_copy::send(file, from, len, stream, flow).await?;
            let Some(FileRemainder { file, from, len }) = rest else {
                return end(back, flow.mover).await;
            };
            stream = back;
            SourceChunks::File(FileChunks::new(file, from, len, flow.blocking_pool))
        }
        source => SourceChunks::of(source, flow.blocking_pool),
    };
    if let (Stream::Plain(socket), false) = (&stream, matches!(chunks, SourceChunks::Whole(_))) {
        socket.do_not_delay();
    }
    debug!(method = "memory", "sending");
    let mut sending = Sending {
        chunks: Some(chunks),
        to_network: flow.is_ascii.then(ToNetwork::default),
        compressor: flow.deflate.map(Compressor::new),
        ready: Bytes::new(),
        stream,
        flow,
    };
    flow.mover.run(&mut sending).await?;
    end(sending.stream, flow.mover).await
}

/// Ends the stream: with TLS by `close_notify`, then with a FIN.
async fn end(mut stream: Stream, mover: &Mover<'_>) -> Result<Sent, TransferError> {
    match mover.within(stream.shutdown()).await {
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

/// A source, converted and sent chunk by chunk.
struct Sending<'a> {
    /// `None` after the last chunk.
    chunks: Option<SourceChunks>,
    to_network: Option<ToNetwork>,
    compressor: Option<Compressor>,
    /// What is to be sent next.
    ready: Bytes,
    stream: Stream,
    flow: &'a Flow<'a>,
}

impl Sending<'_> {
    /// Converts the next chunk. Returns whether there was one.
    async fn prepare(&mut self) -> Result<bool, TransferError> {
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
            let pool = self.flow.blocking_pool;
            let compressing = Box::pin(compressor.compress(chunk, pool));
            let (compressor, compressed) = compressing.await?;
            self.compressor = Some(compressor);
            chunk = Bytes::from(compressed);
        }
        self.ready = chunk;
        Ok(true)
    }
}

impl TransferStep for Sending<'_> {
    type Output = ();
    const BYTES_MAX: usize = PIECE_BYTES;

    async fn step(
        &mut self,
        mover: &Mover<'_>,
        budget: &Burst,
    ) -> Result<Moved<()>, TransferError> {
        while self.ready.is_empty() {
            if !self.prepare().await? {
                return Ok(Moved::Over(()));
            }
        }
        let mut rest = self.ready.split_to(budget.bytes.min(self.ready.len()));
        let bytes = rest.len();
        while !rest.is_empty() {
            let sent = mover.within(self.stream.write(&rest)).await?;
            if sent == 0 {
                return Err(TransferError::Network(io::ErrorKind::WriteZero.into()));
            }
            mover.count(sent);
            let _ = rest.split_to(sent.min(rest.len()));
        }
        // TCP has what was written; TLS may hold a part of it.
        if self.ready.is_empty() && !matches!(self.stream, Stream::Plain(Socket::Tcp(_))) {
            mover.within(self.stream.flush()).await?;
        }
        Ok(Moved::Bytes(bytes))
    }
}
