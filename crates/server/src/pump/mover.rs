//! The one place where bytes move: limits, counting, stalls, the minimum rate and the end of the
//! session.
//!
//! A way to move bytes is a [`TransferStep`]. The mover fixes the budget of a step before it runs,
//! and counts what it moved afterwards.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::trace;

use super::{TransferError, bound};
use crate::blocking_pool::BlockingPool;
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
    /// Threads for work that would stall the reactor.
    blocking_pool: &'a BlockingPool,
    /// Whether an upload has arrived completely: from then on it waits only for the disk.
    is_whole: AtomicBool,
}

/// A way to move bytes.
pub(crate) trait TransferStep {
    /// The result after the last step.
    type Output;

    /// Whether a client sends or receives the bytes. Without one there is no minimum rate, and a
    /// shutdown does not end what has stopped.
    const HAS_CLIENT: bool;

    /// The largest useful budget of the next step, in bytes.
    fn bytes_max(&self) -> usize;

    /// Whether the next step copies bytes within the store that were counted when they were
    /// received. No rate limit counts them again.
    fn is_within_store(&self) -> bool {
        false
    }

    /// Moves at most `budget.bytes`, and counts them with [`Mover::count`].
    fn step(
        &mut self,
        mover: &Mover<'_>,
        budget: &Burst,
    ) -> impl Future<Output = Stepped<Self::Output>> + Send;
}

pub(crate) type Stepped<T> = Result<Moved<T>, TransferError>;

/// The result of a step.
pub(crate) enum Moved<T> {
    /// So many bytes were moved.
    Bytes(usize),
    /// Nothing is left to move, or this step cannot continue.
    Over(T),
}

impl<'a> Mover<'a> {
    /// For a transfer of the session to which `handle` belongs.
    pub(crate) fn new(
        rate_limiter: &'a RateLimiter,
        handle: &'a Arc<SessionHandle>,
        blocking_pool: &'a BlockingPool,
    ) -> Self {
        Self { rate_limiter, handle, blocking_pool, is_whole: AtomicBool::new(false) }
    }

    /// Runs steps to the last one, under the limits in force at each. Ends them when they are below
    /// the minimum rate, or when the session must end and nothing moves. Dropping the future stops
    /// between two steps, or in one.
    pub(crate) async fn run<S: TransferStep>(
        &self,
        step: &mut S,
    ) -> Result<S::Output, TransferError> {
        let moving = async {
            loop {
                let budget = if step.is_within_store() {
                    self.rate_limiter.unlimited(step.bytes_max())
                } else {
                    self.rate_limiter.burst(step.bytes_max())
                };
                match step.step(self, &budget).await? {
                    Moved::Bytes(bytes) => {
                        trace!(bytes, "moved");
                        self.rate_limiter.take(&budget, bytes).await;
                    }
                    Moved::Over(output) => return Ok(output),
                }
            }
        };
        // Pinned here, so that `select!` does not reserve memory for a second copy.
        let moving = pin!(moving);
        tokio::select! {
            // Completion comes first.
            biased;
            moved = moving => moved,
            () = self.is_too_slow(), if S::HAS_CLIENT => Err(TransferError::TooSlow),
            reason = self.stalled_at_shutdown(), if S::HAS_CLIENT => {
                Err(TransferError::SessionEnded(reason))
            }
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

    /// Counts a step on another thread.
    pub(super) fn counter(&self, budget: &Burst) -> StepCounter {
        let handle = Arc::clone(self.handle);
        StepCounter { handle, generation: budget.generation, left: bound(budget.bytes), moved: 0 }
    }

    /// Threads for work that would stall the reactor.
    pub(super) fn blocking_pool(&self) -> &'a BlockingPool {
        self.blocking_pool
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

/// Counts what a step moves on another thread, within its budget.
pub(super) struct StepCounter {
    handle: Arc<SessionHandle>,
    generation: u64,
    /// The rest of the budget.
    pub(super) left: u64,
    pub(super) moved: u64,
}

impl StepCounter {
    pub(super) fn count(&mut self, bytes: u64) {
        self.handle.count_moved(bytes);
        self.moved = self.moved.saturating_add(bytes);
        self.left = self.left.saturating_sub(bytes);
    }

    /// Whether the budget is used up, or its limits may have changed.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0 || self.handle.generation() != self.generation
    }
}
