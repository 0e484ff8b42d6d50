//! Speed limits: buckets that transfers share, exact and smooth.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use wharf_core::account::Rate;
use wharf_core::event::Direction;

use crate::registry::SessionHandle;

/// What one act of a limited transfer moves, as a time at its rate: short, so that the flow is
/// even and several transfers take fair turns.
const BURST_TIME: Duration = Duration::from_millis(10);
/// How much time lost to late wake-ups may be made up for. Over two seconds this and one turn are
/// 2.5 % of what a limit allows.
const CATCH_UP_MAX: Duration = Duration::from_millis(40);
/// Below this a turn is all overhead.
const BURST_BYTES_MIN: usize = 512;

/// One limit, shared by all transfers that hold it.
///
/// It keeps no tokens but a moment: when the bytes let through so far will have had their time.
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

    /// Takes the turn of `bytes` and says when it begins.
    fn take(&self, bytes: usize) -> Instant {
        let cost = self.time_of(bytes);
        let mut spent_until = self.spent_until.lock().unwrap_or_else(PoisonError::into_inner);
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

/// What holds for one transfer at a time.
#[derive(Clone, Debug)]
pub(crate) struct TransferLimits {
    /// The rates, one for all who share it.
    pub(crate) buckets: Vec<Arc<Bucket>>,
    /// How long nothing may move.
    pub(crate) stall_max: Duration,
    /// What must move at least.
    pub(crate) min_rate: Option<MinRate>,
}

/// Leave to move some bytes, by the limits of the moment at which it was given.
#[derive(Debug)]
pub(crate) struct Burst {
    /// So many at most.
    pub(crate) bytes: usize,
    /// The age of the terms that say so.
    pub(crate) generation: u64,
    /// The limits to charge.
    buckets: Vec<Arc<Bucket>>,
}

/// What a transfer must move at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MinRate {
    pub(crate) bytes: u64,
    pub(crate) period: Duration,
}

/// Who knows what holds now.
pub(crate) trait LimitSource: Send + Sync {
    /// For a transfer of this session; without a direction for one that is no file's.
    fn limits(&self, session: &SessionHandle, direction: Option<Direction>) -> TransferLimits;
}

/// All limits that hold for one transfer, now: as soon as the terms change it has the new ones.
///
/// Where no rate holds and the terms stay, asking costs a load of an atomic.
pub(crate) struct RateLimiter {
    source: Arc<dyn LimitSource>,
    session: Arc<SessionHandle>,
    direction: Option<Direction>,
    current: Mutex<TransferLimits>,
    /// Of the terms from which they are.
    generation: AtomicU64,
    is_limited: AtomicBool,
    /// Whether the transfer waits for its turn.
    is_waiting: AtomicBool,
}

impl RateLimiter {
    /// For a transfer of a session.
    pub(crate) fn new(
        source: Arc<dyn LimitSource>,
        session: Arc<SessionHandle>,
        direction: Option<Direction>,
    ) -> Self {
        // Before the limits: what changes in between is looked at again.
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

    /// Whether any rate holds.
    pub(crate) fn is_limited(&self) -> bool {
        self.refresh();
        self.is_limited.load(Ordering::Relaxed)
    }

    /// Whether a rate is what the transfer waits for now, and not its client.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    /// The age of the terms that hold.
    pub(crate) fn generation(&self) -> u64 {
        self.refresh();
        self.generation.load(Ordering::Relaxed)
    }

    /// Waits until other terms may hold. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.session.generation_changed(self.generation.load(Ordering::Relaxed)).await;
    }

    /// What may move at once: at most `most` bytes, at least 1.
    pub(crate) fn burst(&self, most: usize) -> Burst {
        let generation = self.generation();
        if !self.is_limited() {
            return Burst { bytes: most.max(1), generation, buckets: Vec::new() };
        }
        let allowed = |bucket: &Arc<Bucket>| {
            let bytes = u128::from(bucket.rate()) * BURST_TIME.as_millis() / 1000;
            usize::try_from(bytes).unwrap_or(usize::MAX).max(BURST_BYTES_MIN)
        };
        let buckets = self.current().buckets.clone();
        let bytes = buckets.iter().map(allowed).min().unwrap_or(most).clamp(1, most.max(1));
        Burst { bytes, generation, buckets }
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

    /// Waits until `bytes`, which `burst` permitted, may pass; not to the end where other terms come
    /// meanwhile. Cancel safe, except that a turn once taken is spent.
    ///
    /// Charged are the limits that held when the turn was given and still hold. A limit that came
    /// since has not let these bytes through: charging it for what moved freely before would hold
    /// up this transfer, and all that share the limit, for as long as those bytes take at its rate.
    pub(crate) async fn take(&self, burst: &Burst, bytes: usize) {
        if burst.buckets.is_empty() || !self.is_limited() {
            return;
        }
        let current =
            |bucket: &&Arc<Bucket>| burst.buckets.iter().any(|one| Arc::ptr_eq(one, bucket));
        let begin =
            self.current().buckets.iter().filter(current).map(|bucket| bucket.take(bytes)).max();
        let Some(begin) = begin else { return };
        let _waiting = WaitingMark::new(&self.is_waiting);
        tokio::select! {
            // Mostly the turn has begun already.
            biased;
            () = sleep_until(begin) => {}
            () = self.changed() => {}
        }
    }

    /// Does what moves bytes; nothing if it takes longer than nothing may move. Cancel safe if
    /// `act` is.
    pub(crate) async fn within<T>(&self, act: impl Future<Output = T>) -> Option<T> {
        let began = Instant::now();
        let mut act = pin!(act);
        loop {
            self.refresh();
            let most = self.current().stall_max;
            tokio::select! {
                // What is done in time is done.
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
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a transfer waits for its turn, as long as it lives.
struct WaitingMark<'a>(&'a AtomicBool);

impl<'a> WaitingMark<'a> {
    fn new(is_waiting: &'a AtomicBool) -> Self {
        is_waiting.store(true, Ordering::Relaxed);
        Self(is_waiting)
    }
}

impl Drop for WaitingMark<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Buckets by name, each alive as long as somebody holds it.
#[derive(Debug)]
pub(crate) struct Buckets<K>(Mutex<HashMap<K, Weak<Bucket>>>);

impl<K: Hash + Eq> Buckets<K> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The bucket of `key`, if `rate` is a limit. Those who ask at the same time share it; with
    /// another rate it is another one, which all move to as they look anew.
    pub(crate) fn of(&self, key: K, rate: Rate) -> Option<Arc<Bucket>> {
        let bytes_per_second = rate.bytes_per_second()?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

/// A bucket of its own, if `rate` is a limit.
pub(crate) fn bucket(rate: Rate) -> Option<Arc<Bucket>> {
    rate.bytes_per_second().map(|bytes| Arc::new(Bucket::new(bytes)))
}

#[cfg(test)]
mod tests;
