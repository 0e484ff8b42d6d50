//! The one place where bytes move: limits, counting, stalls, the minimum rate and the end of the
//! session.
//!
//! A way to move bytes is a [`TransferStep`]. The mover fixes the budget of a step before it runs,
//! and counts what it moved afterwards.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::trace;

use super::TransferError;
use crate::rate_limit::{Burst, RateLimiter};
use crate::registry::{End, SessionHandle};
use crate::regression::Regression;

/// During a shutdown, a transfer in which nothing has moved yet may wait this long.
const BEGINS_MAX: Duration = Duration::from_millis(700);
/// The same for one that has stopped. A slow client first reads what is buffered on both sides, and
/// seems to have stopped meanwhile.
const STOPPED_MAX: Duration = Duration::from_millis(750);
/// How often progress is checked. With `STOPPED_MAX` and `LAST_REPLY_MAX`, a stopped transfer ends
/// within a second.
const CHECKED_EVERY: Duration = Duration::from_millis(50);

/// Moves the bytes of one transfer, or of one copy within storage.
pub(crate) struct Mover<'a> {
    rate_limiter: &'a RateLimiter,
    /// `moved` counts the bytes.
    handle: &'a Arc<SessionHandle>,
    /// Whether an upload has arrived completely: from then on it waits only for the disk.
    is_whole: AtomicBool,
}

/// A way to move bytes.
pub(super) trait TransferStep {
    /// The result after the last step.
    type Output;

    /// The largest useful budget, in bytes.
    const BYTES_MAX: usize;

    /// Moves at most `budget.bytes`, and counts them with [`Mover::count`].
    fn step(
        &mut self,
        mover: &Mover<'_>,
        budget: &Burst,
    ) -> impl Future<Output = Result<Moved<Self::Output>, TransferError>> + Send;
}

/// The result of a step.
pub(super) enum Moved<T> {
    /// So many bytes were moved.
    Bytes(usize),
    /// Nothing is left to move, or this step cannot continue.
    Over(T),
}

impl<'a> Mover<'a> {
    /// For a transfer of the session to which `handle` belongs.
    pub(crate) fn new(rate_limiter: &'a RateLimiter, handle: &'a Arc<SessionHandle>) -> Self {
        Self { rate_limiter, handle, is_whole: AtomicBool::new(false) }
    }

    /// Runs steps to the last one, under the limits in force at each. Dropping the future stops
    /// between two steps, or in one.
    pub(super) async fn run<S: TransferStep>(
        &self,
        step: &mut S,
    ) -> Result<S::Output, TransferError> {
        loop {
            let budget = self.rate_limiter.burst(S::BYTES_MAX);
            match step.step(self, &budget).await? {
                Moved::Bytes(bytes) => {
                    trace!(bytes, "moved");
                    self.rate_limiter.take(&budget, bytes).await;
                }
                Moved::Over(output) => return Ok(output),
            }
        }
    }

    /// Runs `moving`; ends it when it is below the minimum rate, or when the session must end and
    /// nothing moves.
    pub(crate) async fn watched<T>(
        &self,
        moving: impl Future<Output = Result<T, TransferError>>,
    ) -> Result<T, TransferError> {
        tokio::select! {
            // Completion comes first.
            biased;
            moved = moving => moved,
            () = self.is_too_slow() => Err(TransferError::TooSlow),
            reason = self.stalled_at_shutdown() => Err(TransferError::SessionEnded(reason)),
        }
    }

    /// Waits for the client within the stall timeout.
    pub(super) async fn within<T>(
        &self,
        act: impl Future<Output = io::Result<T>>,
    ) -> Result<T, TransferError> {
        match self.rate_limiter.within(act).await {
            Some(done) => done.map_err(TransferError::Network),
            None => Err(TransferError::Stalled),
        }
    }

    /// Counts bytes that have moved.
    pub(super) fn count(&self, bytes: usize) {
        self.handle.count_moved(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// The number of bytes counted.
    pub(super) fn moved(&self) -> u64 {
        self.handle.moved.load(Ordering::Relaxed)
    }

    /// The session, to count on another thread.
    pub(super) fn handle(&self) -> &'a Arc<SessionHandle> {
        self.handle
    }

    /// Whether a rate limit applies now.
    pub(super) fn is_limited(&self) -> bool {
        self.rate_limiter.is_limited()
    }

    /// The tightest rate limit in bytes a second.
    pub(super) fn bytes_per_second(&self) -> Option<u64> {
        self.rate_limiter.bytes_per_second()
    }

    /// Marks an upload as complete.
    pub(super) fn arrived(&self) {
        self.is_whole.store(true, Ordering::Relaxed);
    }

    /// Waits until the transfer is below the minimum rate. A configuration change starts a new
    /// period.
    async fn is_too_slow(&self) {
        loop {
            let before = self.moved();
            let Some(min_rate) = self.rate_limiter.min_rate() else {
                self.rate_limiter.changed().await;
                continue;
            };
            tokio::select! {
                // Under the new limits it may be fast enough.
                biased;
                () = self.rate_limiter.changed() => continue,
                () = sleep(min_rate.period) => {}
            }
            let moved = self.moved().saturating_sub(before);
            if moved < min_rate.bytes && !self.is_whole.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Waits until the session must end and the transfer makes no progress, although it waits for
    /// neither a rate limit nor the disk. Returns why the session ends.
    async fn stalled_at_shutdown(&self) -> String {
        let how = End::after_transfer_unless(Regression::ShutdownWaitsForStoppedTransfer);
        let reason = self.handle.ended(how).await.to_owned();
        let (mut before, mut since) = (self.moved(), Instant::now());
        loop {
            sleep(CHECKED_EVERY).await;
            let moved = self.moved();
            // Waiting for a rate limit or the disk counts as progress.
            let is_whole = self.is_whole.load(Ordering::Relaxed);
            if moved != before || self.rate_limiter.is_waiting() || is_whole {
                (before, since) = (moved, Instant::now());
            }
            if since.elapsed() >= if moved == 0 { BEGINS_MAX } else { STOPPED_MAX } {
                return reason;
            }
        }
    }
}
