//! Rate limits: token buckets that transfers share.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use wharf_core::account::Rate;
use wharf_core::event::Direction;

use wharf_core::lock;

use crate::registry::SessionHandle;
use crate::regression::Regression;

/// The length of a burst as a time at the limited rate: short, so that the flow is even and several
/// transfers share fairly.
const BURST_TIME: Duration = Duration::from_millis(10);
/// Time lost to late wake-ups that may be made up for. Over two seconds, this and one burst are 2.5
/// % of what a limit allows.
const CATCH_UP_MAX: Duration = Duration::from_millis(40);
/// Smaller bursts would be mostly overhead.
const BURST_BYTES_MIN: usize = 512;

/// One limit, shared by all transfers that hold it.
///
/// It stores no tokens but a time: when the bytes passed so far are paid for at the rate.
#[derive(Debug)]
pub(crate) struct Bucket {
    bytes_per_second: u64,
    spent_until: Mutex<Instant>,
}

impl Bucket {
    fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, spent_until: Mutex::new(Instant::now()) }
    }

    fn rate(&self) -> u64 {
        self.bytes_per_second
    }

    /// Reserves `bytes` and returns when they may pass.
    fn take(&self, bytes: usize) -> Instant {
        let cost = self.time_of(bytes);
        let mut spent_until = lock(&self.spent_until);
        let now = Instant::now();
        let begin = (*spent_until).max(now.checked_sub(CATCH_UP_MAX).unwrap_or(now));
        *spent_until = begin + cost;
        begin
    }

    fn time_of(&self, bytes: usize) -> Duration {
        let nanos = u128::from(u64::try_from(bytes).unwrap_or(u64::MAX)) * 1_000_000_000
            / u128::from(self.rate());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The limits of one transfer.
#[derive(Clone, Debug)]
pub(crate) struct TransferLimits {
    /// The buckets; transfers under the same limit share one.
    pub(crate) buckets: Vec<Arc<Bucket>>,
    /// The stall timeout.
    pub(crate) transfer_stall_timeout: Duration,
    /// The minimum rate.
    pub(crate) min_rate: Option<MinRate>,
}

/// Permission to move some bytes, by the limits at the time of the call.
#[derive(Debug)]
pub(crate) struct Burst {
    /// At most so many.
    pub(crate) bytes: usize,
    /// The configuration generation of these limits.
    pub(crate) generation: u64,
    /// The limits that count the bytes.
    buckets: Vec<Arc<Bucket>>,
}

/// The minimum rate of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MinRate {
    pub(crate) bytes: u64,
    pub(crate) period: Duration,
}

/// Provides the limits in force.
pub(crate) trait LimitSource: Send + Sync {
    /// For a transfer of this session; without a direction for a listing.
    fn limits(&self, session: &SessionHandle, direction: Option<Direction>) -> TransferLimits;
}

/// Applies all limits to one transfer. A changed configuration takes effect at once.
///
/// Without a rate limit and configuration changes, the cost is one atomic load.
pub(crate) struct RateLimiter {
    source: Arc<dyn LimitSource>,
    session: Arc<SessionHandle>,
    direction: Option<Direction>,
    current: Mutex<TransferLimits>,
    /// The generation from which `current` was read.
    generation: AtomicU64,
    is_limited: AtomicBool,
    /// Whether the transfer waits for a rate limit.
    is_waiting: AtomicBool,
}

impl RateLimiter {
    /// For a transfer of a session.
    pub(crate) fn new(
        source: Arc<dyn LimitSource>,
        session: Arc<SessionHandle>,
        direction: Option<Direction>,
    ) -> Self {
        // Read before the limits, so that a change in between is noticed later.
        let generation = session.generation().into();
        let current = source.limits(&session, direction);
        let is_limited = (!current.buckets.is_empty()).into();
        Self {
            source,
            session,
            direction,
            current: Mutex::new(current),
            generation,
            is_limited,
            is_waiting: false.into(),
        }
    }

    /// Whether any rate limit applies.
    pub(crate) fn is_limited(&self) -> bool {
        self.refresh();
        self.is_limited.load(Ordering::Relaxed)
    }

    /// Whether the transfer waits for a rate limit, not for its client.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    /// The generation of the current limits.
    pub(crate) fn generation(&self) -> u64 {
        self.refresh();
        self.generation.load(Ordering::Relaxed)
    }

    /// Waits until the limits may have changed. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.session.generation_changed(self.generation.load(Ordering::Relaxed)).await;
    }

    /// The bytes that may move at once: at most `most`, at least 1.
    pub(crate) fn burst(&self, most: usize) -> Burst {
        let generation = self.generation();
        if !self.is_limited() {
            return self.unlimited(most);
        }
        let allowed = |bucket: &Arc<Bucket>| {
            let bytes = u128::from(bucket.rate()) * BURST_TIME.as_millis() / 1000;
            usize::try_from(bytes).unwrap_or(usize::MAX).max(BURST_BYTES_MIN)
        };
        let buckets = self.current().buckets.clone();
        let bytes = buckets.iter().map(allowed).min().unwrap_or(most).clamp(1, most.max(1));
        Burst { bytes, generation, buckets }
    }

    /// The same for bytes that no limit counts.
    pub(crate) fn unlimited(&self, most: usize) -> Burst {
        Burst { bytes: most.max(1), generation: self.generation(), buckets: Vec::new() }
    }

    /// The tightest rate in bytes a second.
    pub(crate) fn bytes_per_second(&self) -> Option<u64> {
        self.refresh();
        self.current().buckets.iter().map(|bucket| bucket.rate()).min()
    }

    /// What must move at least.
    pub(crate) fn min_rate(&self) -> Option<MinRate> {
        self.refresh();
        self.current().min_rate
    }

    /// Waits until `bytes` of `burst` may pass; returns early if the configuration changes. Cancel
    /// safe, except that the bytes stay counted.
    ///
    /// Only limits that applied when the burst was granted and still apply are counted. Counting a
    /// newer limit for bytes that moved without it would delay this transfer, and all that share
    /// the limit, for as long as those bytes take at its rate.
    pub(crate) async fn take(&self, burst: &Burst, bytes: usize) {
        let takes_all = Regression::EarlierBytesCounted.is_present();
        if burst.buckets.is_empty() && !takes_all || !self.is_limited() {
            return;
        }
        let current = |bucket: &&Arc<Bucket>| {
            takes_all || burst.buckets.iter().any(|one| Arc::ptr_eq(one, bucket))
        };
        let begin =
            self.current().buckets.iter().filter(current).map(|bucket| bucket.take(bytes)).max();
        let Some(begin) = begin else { return };
        self.is_waiting.store(true, Ordering::Relaxed);
        tokio::select! {
            // Mostly there is nothing to wait for.
            biased;
            () = sleep_until(begin) => {}
            () = self.changed() => {}
        }
        self.is_waiting.store(false, Ordering::Relaxed);
    }

    /// Runs `act`; `None` if it takes longer than the stall timeout. Cancel safe if `act` is.
    pub(crate) async fn within<T>(&self, act: impl Future<Output = T>) -> Option<T> {
        let began = Instant::now();
        let mut act = pin!(act);
        loop {
            self.refresh();
            let most = self.current().transfer_stall_timeout;
            tokio::select! {
                // Completion comes before the timeout.
                biased;
                done = timeout(most.saturating_sub(began.elapsed()), &mut act) => return done.ok(),
                () = self.changed() => {}
            }
        }
    }

    fn refresh(&self) {
        let generation = self.session.generation();
        if generation == self.generation.load(Ordering::Relaxed) {
            return;
        }
        let limits = self.source.limits(&self.session, self.direction);
        self.is_limited.store(!limits.buckets.is_empty(), Ordering::Relaxed);
        *self.current() = limits;
        self.generation.store(generation, Ordering::Relaxed);
    }

    fn current(&self) -> MutexGuard<'_, TransferLimits> {
        lock(&self.current)
    }
}

/// Buckets by key, each alive as long as it is referenced.
#[derive(Debug)]
pub(crate) struct Buckets<K>(Mutex<HashMap<K, Weak<Bucket>>>);

impl<K: Hash + Eq> Buckets<K> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The bucket of `key`, if `rate` is a limit. Concurrent transfers share it; with another rate
    /// it is a new one, to which all switch when they refresh.
    pub(crate) fn of(&self, key: K, rate: Rate) -> Option<Arc<Bucket>> {
        let bytes_per_second = rate.bytes_per_second()?;
        let mut all = lock(&self.0);
        all.retain(|_, bucket| bucket.strong_count() > 0);
        if let Some(bucket) = all.get(&key).and_then(Weak::upgrade)
            && bucket.rate() == bytes_per_second
        {
            return Some(bucket);
        }
        let bucket = Arc::new(Bucket::new(bytes_per_second));
        all.insert(key, Arc::downgrade(&bucket));
        Some(bucket)
    }
}

/// An unshared bucket, if `rate` is a limit.
pub(crate) fn bucket(rate: Rate) -> Option<Arc<Bucket>> {
    rate.bytes_per_second().map(|bytes| Arc::new(Bucket::new(bytes)))
}

#[cfg(test)]
mod tests;
