//! Copies within storage: for checksums, or from file to file.

use tokio::task::yield_now;
use wharf_core::Bytes;
use wharf_core::error::{Error, ErrorKind};
use wharf_core::storage::{Sink, Source};

use super::mover::{Moved, Mover, TransferStep};
use super::source_chunks::SourceChunks;
use super::{PIECE_BYTES, TransferError, run_blocking};
use crate::blocking_pool::BlockingPool;
use crate::digest::{Algorithm, Digest};
use crate::rate_limit::Burst;

/// Copies within storage. They are counted and rate limited like transfers, so that they cannot
/// bypass a limit.
pub(crate) struct LocalCopy<'a> {
    pub(crate) mover: Mover<'a>,
    pub(crate) blocking_pool: &'a BlockingPool,
}

impl LocalCopy<'_> {
    /// Computes the checksum of the first `most` bytes of a source.
    pub(crate) async fn digest(
        &self,
        source: Source,
        most: u64,
        of: Algorithm,
    ) -> Result<String, Error> {
        let mut digesting = Digesting {
            chunks: LocalChunks::new(shortened(source, most), self.blocking_pool),
            left: most,
            digest: Some(of.start()),
            blocking_pool: self.blocking_pool,
        };
        Ok(self.mover.run(&mut digesting).await?)
    }

    /// Copies a source to a sink, and syncs it. The sink is neither committed nor aborted.
    pub(crate) async fn copy(&self, source: Source, sink: &mut dyn Sink) -> Result<(), Error> {
        let chunks = LocalChunks::new(source, self.blocking_pool);
        self.mover.run(&mut Copying { chunks, sink: &mut *sink }).await?;
        sink.sync().await
    }
}

/// The chunks of a source, in parts of a budget.
struct LocalChunks {
    chunks: SourceChunks,
    ready: Bytes,
}

impl LocalChunks {
    fn new(source: Source, blocking_pool: &BlockingPool) -> Self {
        Self { chunks: SourceChunks::of(source, blocking_pool), ready: Bytes::new() }
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

/// A checksum.
struct Digesting<'a> {
    chunks: LocalChunks,
    left: u64,
    /// `None` while another thread has it.
    digest: Option<Digest>,
    blocking_pool: &'a BlockingPool,
}

impl TransferStep for Digesting<'_> {
    type Output = String;
    const BYTES_MAX: usize = PIECE_BYTES;

    async fn step(
        &mut self,
        mover: &Mover<'_>,
        budget: &Burst,
    ) -> Result<Moved<String>, TransferError> {
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
        let digest = run_blocking(bytes, self.blocking_pool, move || {
            digest.update(&piece);
            Ok(digest)
        });
        self.digest = Some(digest.await?);
        Ok(Moved::Bytes(bytes))
    }
}

/// A copy from file to file.
struct Copying<'a> {
    chunks: LocalChunks,
    sink: &'a mut dyn Sink,
}

impl TransferStep for Copying<'_> {
    type Output = ();
    const BYTES_MAX: usize = PIECE_BYTES;

    async fn step(
        &mut self,
        mover: &Mover<'_>,
        budget: &Burst,
    ) -> Result<Moved<()>, TransferError> {
        let piece = self.chunks.next(budget.bytes).await?;
        if piece.is_empty() {
            return Ok(Moved::Over(()));
        }
        let bytes = piece.len();
        mover.count(bytes);
        self.sink.write(piece).await?;
        Ok(Moved::Bytes(bytes))
    }
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
