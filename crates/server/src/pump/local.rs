//! Copies within storage: for checksums, or from file to file.

use wharf_core::Bytes;
use wharf_core::error::Error;
use wharf_core::storage::{Sink, Source};

use super::{SourceChunks, TransferError, bound, count, run_blocking};
use crate::blocking_pool::BlockingPool;
use crate::digest::Algorithm;
use crate::rate_limit::RateLimiter;
use crate::registry::SessionHandle;

/// Parameters of a copy within storage. It is counted and rate limited like a transfer, so that it
/// cannot bypass a limit.
pub(crate) struct LocalCopy<'a> {
    pub(crate) rate_limiter: &'a RateLimiter,
    pub(crate) handle: &'a SessionHandle,
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
        let mut digest = of.start();
        let mut pieces = SourceChunks::of(shortened(source, most));
        let mut left = most;
        while left > 0 {
            let Some(mut piece) = pieces.next().await? else { break };
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= bound(piece.len()).min(left);
            self.pass(&piece).await;
            digest = run_blocking(piece.len(), self.blocking_pool, move || {
                digest.update(&piece);
                Ok(digest)
            })
            .await?;
        }
        Ok(digest.finish())
    }

    /// Copies a source to a sink, and syncs it. The sink is neither committed nor aborted.
    pub(crate) async fn copy(&self, source: Source, sink: &mut dyn Sink) -> Result<(), Error> {
        let mut pieces = SourceChunks::of(source);
        while let Some(piece) = pieces.next().await? {
            self.pass(&piece).await;
            sink.write(piece).await?;
        }
        sink.sync().await
    }

    async fn pass(&self, piece: &Bytes) {
        let mut left = piece.len();
        while left > 0 {
            let burst = self.rate_limiter.burst(super::PIECE_BYTES);
            let bytes = burst.bytes.min(left);
            self.rate_limiter.take(&burst, bytes).await;
            count(self.handle, bytes);
            left -= bytes;
        }
        // Storage in memory never waits; yield to other tasks.
        tokio::task::yield_now().await;
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
            cut => Self::new(wharf_core::error::ErrorKind::Broken, format!("{cut:?}")),
        }
    }
}
