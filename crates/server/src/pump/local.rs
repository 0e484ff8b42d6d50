//! Copies within storage: for checksums, or from file to file. They are counted and rate limited
//! like transfers, so that they cannot bypass a limit.

use tokio::task::yield_now;
use wharf_core::Bytes;
use wharf_core::error::{Error, ErrorKind};
use wharf_core::storage::{Sink, Source, StoreCopy};

use super::mover::{Moved, Mover, Stepped, TransferStep};
use super::source_chunks::SourceChunks;
use super::{PIECE_BYTES, STORE_COPY_BYTES, TransferError, run_blocking};
use crate::digest::{Algorithm, Digest};
use crate::rate_limit::Burst;

/// The chunks of a source, in parts of a budget.
struct LocalChunks {
    chunks: SourceChunks,
    ready: Bytes,
}

impl LocalChunks {
    fn new(source: Source, mover: &Mover<'_>) -> Self {
        Self { chunks: SourceChunks::of(source, mover.blocking_pool()), ready: Bytes::new() }
    }

    /// The next `most` bytes at most; empty at the end.
    async fn next(&mut self, most: usize) -> Result<Bytes, Error> {
        while self.ready.is_empty() {
            // Storage in memory never waits; yield to other tasks.
            yield_now().await;
            let Some(chunk) = self.chunks.next().await? else { break };
            self.ready = chunk;
        }
        Ok(self.ready.split_to(most.min(self.ready.len())))
    }
}

/// A checksum of the first bytes of a source.
pub(crate) struct Digesting {
    chunks: LocalChunks,
    left: u64,
    /// `None` while another thread has it.
    digest: Option<Digest>,
}

impl Digesting {
    pub(crate) fn new(source: Source, most: u64, of: Algorithm, mover: &Mover<'_>) -> Self {
        let chunks = LocalChunks::new(shortened(source, most), mover);
        Self { chunks, left: most, digest: Some(of.start()) }
    }
}

impl TransferStep for Digesting {
    type Output = String;
    const HAS_CLIENT: bool = false;

    fn bytes_max(&self) -> usize {
        PIECE_BYTES
    }

    async fn step(&mut self, mover: &Mover<'_>, budget: &Burst) -> Stepped<String> {
        let Some(mut digest) = self.digest.take() else {
            return Err(Error::new(ErrorKind::Broken, "the checksum is complete").into());
        };
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let piece =
            if left == 0 { Bytes::new() } else { self.chunks.next(budget.bytes.min(left)).await? };
        if piece.is_empty() {
            return Ok(Moved::Over(digest.finish()));
        }
        let bytes = piece.len();
        self.left = self.left.saturating_sub(super::bound(bytes));
        mover.count(bytes);
        let digest = run_blocking(bytes, mover.blocking_pool(), move || {
            digest.update(&piece);
            Ok(digest)
        });
        self.digest = Some(digest.await?);
        Ok(Moved::Bytes(bytes))
    }
}

/// A copy of a source to a sink, which is then synced, but neither committed nor aborted.
pub(crate) struct Copying<'a> {
    /// `None` after the last chunk.
    chunks: Option<LocalChunks>,
    sink: &'a mut dyn Sink,
}

impl<'a> Copying<'a> {
    pub(crate) fn new(source: Source, sink: &'a mut dyn Sink, mover: &Mover<'_>) -> Self {
        Self { chunks: Some(LocalChunks::new(source, mover)), sink }
    }
}

impl TransferStep for Copying<'_> {
    type Output = ();
    const HAS_CLIENT: bool = false;

    fn bytes_max(&self) -> usize {
        if self.is_within_store() { STORE_COPY_BYTES } else { PIECE_BYTES }
    }

    fn is_within_store(&self) -> bool {
        self.chunks.is_none()
    }

    async fn step(&mut self, mover: &Mover<'_>, budget: &Burst) -> Stepped<()> {
        let Some(chunks) = &mut self.chunks else {
            return complete(self.sink, budget, ()).await;
        };
        let piece = chunks.next(budget.bytes).await?;
        if piece.is_empty() {
            self.chunks = None;
            return Ok(Moved::Bytes(0));
        }
        let bytes = piece.len();
        mover.count(bytes);
        self.sink.write(piece).await?;
        Ok(Moved::Bytes(bytes))
    }
}

/// Lets a sink that has all bytes copy them where they belong, and then sync them.
pub(super) async fn complete<T>(sink: &mut dyn Sink, budget: &Burst, output: T) -> Stepped<T> {
    let copied = sink.copy_step(StoreCopy::Added, super::bound(budget.bytes)).await?;
    if copied > 0 {
        return Ok(Moved::Bytes(usize::try_from(copied).unwrap_or(usize::MAX)));
    }
    sink.sync().await?;
    Ok(Moved::Over(output))
}

/// Limits a file source to its first `most` bytes, so that no more is read ahead.
fn shortened(source: Source, most: u64) -> Source {
    match source {
        Source::File { file, from, len } => Source::File { file, from, len: len.min(most) },
        source => source,
    }
}

impl From<TransferError> for Error {
    fn from(cut: TransferError) -> Self {
        match cut {
            TransferError::Store(error) => error,
            cut => Self::new(ErrorKind::Broken, format!("{cut:?}")),
        }
    }
}
