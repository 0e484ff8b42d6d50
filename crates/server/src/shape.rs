//! Speed limits: buckets that transfers share, exact and smooth.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wharf_core::account::Rate;

/// What one act of a limited transfer moves, as a time at its rate: short, so that the flow is
/// even and several transfers take fair turns.
const TURN: Duration = Duration::from_millis(10);
/// How much time lost to late wake-ups may be made up for. Over two seconds this and one turn are
/// 2.5 % of what a limit allows.
const CREDIT: Duration = Duration::from_millis(40);
/// Below this a turn is all overhead.
const TURN_BYTES_MIN: usize = 512;

/// One limit, shared by all transfers that hold it.
///
/// It keeps no tokens but a moment: when the bytes let through so far will have had their time.
#[derive(Debug)]
pub(crate) struct Bucket {
    bytes_per_second: AtomicU64,
    paid_until: Mutex<Instant>,
}

impl Bucket {
    fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.into(), paid_until: Mutex::new(Instant::now()) }
    }

    fn rate(&self) -> u64 {
        self.bytes_per_second.load(Ordering::Relaxed)
    }

    /// Lets another rate hold from now on, for transfers under way too.
    pub(crate) fn set_rate(&self, bytes_per_second: u64) {
        self.bytes_per_second.store(bytes_per_second.max(1), Ordering::Relaxed);
    }

    /// Takes the turn of `bytes` and says when it begins.
    fn take(&self, bytes: usize) -> Instant {
        let cost = self.time_of(bytes);
        let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let begin = (*paid_until).max(now.checked_sub(CREDIT).unwrap_or(now));
        *paid_until = begin + cost;
        begin
    }

    fn time_of(&self, bytes: usize) -> Duration {
        let nanos = u128::from(u64::try_from(bytes).unwrap_or(u64::MAX)) * 1_000_000_000
            / u128::from(self.rate());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// All limits that hold for one transfer. Without any it costs nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shaper(Vec<Arc<Bucket>>);

impl Shaper {
    /// A limit of this transfer alone, if `rate` is one.
    pub(crate) fn limited(mut self, rate: Rate) -> Self {
        self.0.extend(rate.bytes_per_second().map(|bytes| Arc::new(Bucket::new(bytes))));
        self
    }

    /// A limit shared with others, if there is one.
    pub(crate) fn shared(mut self, bucket: Option<Arc<Bucket>>) -> Self {
        self.0.extend(bucket);
        self
    }

    /// Whether there is any limit.
    pub(crate) fn is_limited(&self) -> bool {
        !self.0.is_empty()
    }

    /// How many bytes to move at once: at most `most`, at least 1.
    pub(crate) fn turn(&self, most: usize) -> usize {
        let allowed = |bucket: &Arc<Bucket>| {
            let bytes = u128::from(bucket.rate()) * TURN.as_millis() / 1000;
            usize::try_from(bytes).unwrap_or(usize::MAX).max(TURN_BYTES_MIN)
        };
        self.0.iter().map(allowed).min().unwrap_or(most).clamp(1, most.max(1))
    }

    /// The tightest limit in bytes a second.
    pub(crate) fn bytes_per_second(&self) -> Option<u64> {
        self.0.iter().map(|bucket| bucket.rate()).min()
    }

    /// Waits until `bytes` may pass. Cancel safe, except that a turn once taken is spent.
    pub(crate) async fn take(&self, bytes: usize) {
        if let Some(begin) = self.0.iter().map(|bucket| bucket.take(bytes)).max() {
            sleep_until(begin).await;
        }
    }
}

/// Buckets by name, each alive as long as somebody holds it.
#[derive(Debug)]
pub(crate) struct Buckets<K>(Mutex<HashMap<K, Weak<Bucket>>>);

impl<K: Hash + Eq> Buckets<K> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The bucket of `key`, if `rate` is a limit. Those who ask at the same time share it.
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

/// One bucket for all, if `rate` is a limit.
pub(crate) fn bucket(rate: Rate) -> Option<Arc<Bucket>> {
    rate.bytes_per_second().map(|bytes| Arc::new(Bucket::new(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn moved_in(shaper: &Shaper, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut moved = 0;
        loop {
            let turn = shaper.turn(64 * 1024);
            shaper.take(turn).await;
            if Instant::now() >= end {
                return moved;
            }
            moved += turn;
        }
    }

    /// Within 5 % of the rate over two seconds.
    fn assert_near(moved: usize, bytes_per_second: u64) {
        let wanted = usize::try_from(bytes_per_second * 2).unwrap();
        assert!(moved.abs_diff(wanted) * 20 <= wanted, "{moved} bytes instead of {wanted}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_met_at_every_rate() {
        for rate in [100 << 10, 1 << 20, 10 << 20, 100 << 20] {
            let shaper = Shaper::default().limited(Rate::from_bytes_per_second(rate));
            for _window in 0..3 {
                assert_near(moved_in(&shaper, Duration::from_secs(2)).await, rate);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_rate_holds_for_transfers_under_way() {
        let bucket = bucket(Rate::from_bytes_per_second(1 << 20)).unwrap();
        let shaper = Shaper::default().shared(Some(Arc::clone(&bucket)));
        assert_near(moved_in(&shaper, Duration::from_secs(2)).await, 1 << 20);
        bucket.set_rate(4 << 20);
        assert_near(moved_in(&shaper, Duration::from_secs(2)).await, 4 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_buys_no_burst() {
        let rate = 1 << 20;
        let shaper = Shaper::default().limited(Rate::from_bytes_per_second(rate));
        shaper.take(1).await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_near(moved_in(&shaper, Duration::from_secs(2)).await, rate);
    }

    #[tokio::test(start_paused = true)]
    async fn two_transfers_share_a_bucket_evenly() {
        let rate = Rate::from_bytes_per_second(1 << 20);
        let buckets = Buckets::new();
        let one = Shaper::default().shared(buckets.of("anna", rate));
        let two = Shaper::default().shared(buckets.of("anna", rate));
        let time = Duration::from_secs(4);
        let (one, two) = tokio::join!(moved_in(&one, time), moved_in(&two, time));
        assert_near(one, 1 << 20);
        assert_near(two, 1 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn the_tightest_of_several_limits_counts() {
        let buckets = Buckets::new();
        let shaper = Shaper::default()
            .limited(Rate::from_bytes_per_second(1 << 20))
            .shared(buckets.of("all", Rate::from_bytes_per_second(200 << 10)))
            .shared(buckets.of("free", Rate::Unlimited));
        assert_eq!(shaper.bytes_per_second(), Some(200 << 10));
        assert_near(moved_in(&shaper, Duration::from_secs(2)).await, 200 << 10);
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_means_no_wait() {
        let before = Instant::now();
        Shaper::default().limited(Rate::Unlimited).take(usize::MAX).await;
        assert_eq!(Instant::now(), before);
        assert_eq!(Shaper::default().turn(4096), 4096);
    }
}
