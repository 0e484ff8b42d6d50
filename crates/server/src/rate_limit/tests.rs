use crate::registry::{Registered, Registry};

use super::*;

/// Limits set by a test.
#[derive(Default)]
struct FixedLimits(Mutex<Vec<Arc<Bucket>>>);

impl LimitSource for FixedLimits {
    fn limits(&self, _: &SessionHandle, _: Option<Direction>) -> TransferLimits {
        let buckets = self.0.lock().unwrap().clone();
        TransferLimits { buckets, transfer_stall_timeout: Duration::from_mins(1), min_rate: None }
    }
}

/// One session, and what holds for its transfers.
struct RateLimitFixture {
    registry: Arc<Registry>,
    session: Registered,
    source: Arc<FixedLimits>,
}

impl RateLimitFixture {
    fn new() -> Self {
        let registry = Arc::new(Registry::default());
        let address = "192.0.2.1:21".parse().unwrap();
        let session = registry.register(address, address);
        Self { registry, session, source: Arc::default() }
    }

    fn rate_limiter(&self, buckets: impl IntoIterator<Item = Option<Arc<Bucket>>>) -> RateLimiter {
        self.write(buckets);
        let source: Arc<dyn LimitSource> = Arc::<FixedLimits>::clone(&self.source);
        RateLimiter::new(source, Arc::clone(&self.session.handle), None)
    }

    /// Changes the limits without a notification.
    fn write(&self, buckets: impl IntoIterator<Item = Option<Arc<Bucket>>>) {
        *self.source.0.lock().unwrap() = buckets.into_iter().flatten().collect();
    }
}

fn rate(bytes_per_second: u64) -> Option<Arc<Bucket>> {
    bucket(Rate::from_bytes_per_second(bytes_per_second))
}

async fn moved_in(rate_limiter: &RateLimiter, time: Duration) -> usize {
    let end = Instant::now() + time;
    let mut moved = 0;
    loop {
        let burst = rate_limiter.burst(64 * 1024);
        rate_limiter.take(&burst, burst.bytes).await;
        if Instant::now() >= end {
            return moved;
        }
        moved += burst.bytes;
    }
}

/// Passes these bytes under the current limits.
async fn take(rate_limiter: &RateLimiter, bytes: usize) {
    rate_limiter.take(&rate_limiter.burst(usize::MAX), bytes).await;
}

/// Within 5 % of the rate over two seconds.
fn assert_near(moved: usize, bytes_per_second: u64) {
    let wanted = usize::try_from(bytes_per_second * 2).unwrap();
    assert!(moved.abs_diff(wanted) * 20 <= wanted, "{moved} bytes instead of {wanted}");
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_observed_at_every_rate() {
    for rate in [100 << 10, 1 << 20, 10 << 20, 100 << 20] {
        let rate_limiter = RateLimitFixture::new().rate_limiter([self::rate(rate)]);
        for _window in 0..3 {
            assert_near(moved_in(&rate_limiter, Duration::from_secs(2)).await, rate);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_rate_holds_for_transfers_in_progress() {
    let scene = RateLimitFixture::new();
    let rate_limiter = scene.rate_limiter([rate(1 << 20)]);
    for bytes in [1 << 20, 4 << 20, 100 << 10] {
        scene.write([rate(bytes)]);
        scene.registry.notify_config_change();
        assert_near(moved_in(&rate_limiter, Duration::from_secs(2)).await, bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_added_and_removed_during_a_transfer() {
    let scene = RateLimitFixture::new();
    let rate_limiter = scene.rate_limiter([]);
    assert!(!rate_limiter.is_limited());
    scene.write([rate(1 << 20)]);
    assert!(!rate_limiter.is_limited(), "not notified yet");
    scene.registry.notify_config_change();
    assert!(rate_limiter.is_limited());
    assert_near(moved_in(&rate_limiter, Duration::from_secs(2)).await, 1 << 20);
    scene.write([]);
    scene.registry.notify_config_change();
    let before = Instant::now();
    take(&rate_limiter, usize::MAX).await;
    assert_eq!(Instant::now(), before);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_removed_limit_ends_at_once() {
    let scene = RateLimitFixture::new();
    let rate_limiter = scene.rate_limiter([rate(1)]);
    take(&rate_limiter, 1_000_000).await;
    let before = Instant::now();
    let waiting = take(&rate_limiter, 1);
    let lifting = async {
        tokio::task::yield_now().await;
        scene.write([]);
        scene.registry.notify_config_change();
    };
    tokio::join!(waiting, lifting);
    assert_eq!(Instant::now(), before);
}

#[tokio::test(start_paused = true)]
async fn the_stall_timeout_is_not_restarted_by_configuration_changes() {
    let scene = RateLimitFixture::new();
    let rate_limiter = scene.rate_limiter([]);
    let before = Instant::now();
    let renewing = async {
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            scene.registry.notify_config_change();
        }
    };
    tokio::select! {
        biased;
        given_up = rate_limiter.within(std::future::pending::<()>()) => assert_eq!(given_up, None),
        () = renewing => panic!("the stall timeout did not apply"),
    }
    assert_eq!(Instant::now().duration_since(before), Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn a_pause_permits_no_larger_burst() {
    let rate = 1 << 20;
    let rate_limiter = RateLimitFixture::new().rate_limiter([self::rate(rate)]);
    take(&rate_limiter, 1).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_near(moved_in(&rate_limiter, Duration::from_secs(2)).await, rate);
}

#[tokio::test(start_paused = true)]
async fn two_transfers_share_a_bucket_evenly() {
    let rate = Rate::from_bytes_per_second(1 << 20);
    let buckets = Buckets::new();
    let one = RateLimitFixture::new().rate_limiter([buckets.of("anna", rate)]);
    let two = RateLimitFixture::new().rate_limiter([buckets.of("anna", rate)]);
    let time = Duration::from_secs(4);
    let (one, two) = tokio::join!(moved_in(&one, time), moved_in(&two, time));
    assert_near(one, 1 << 20);
    assert_near(two, 1 << 20);
}

#[tokio::test(start_paused = true)]
async fn the_tightest_of_several_limits_counts() {
    let buckets = Buckets::new();
    let rate_limiter = RateLimitFixture::new().rate_limiter([
        rate(1 << 20),
        buckets.of("all", Rate::from_bytes_per_second(200 << 10)),
        buckets.of("free", Rate::Unlimited),
    ]);
    assert_eq!(rate_limiter.bytes_per_second(), Some(200 << 10));
    assert_near(moved_in(&rate_limiter, Duration::from_secs(2)).await, 200 << 10);
}

#[tokio::test(start_paused = true)]
async fn no_limit_means_no_wait() {
    let before = Instant::now();
    let rate_limiter = RateLimitFixture::new().rate_limiter([bucket(Rate::Unlimited)]);
    take(&rate_limiter, usize::MAX).await;
    assert_eq!(Instant::now(), before);
    assert_eq!(rate_limiter.burst(4096).bytes, 4096);
}

#[tokio::test(start_paused = true)]
async fn what_moved_without_a_limit_is_not_counted_by_one_that_comes() {
    let buckets = Buckets::new();
    let scene = RateLimitFixture::new();
    for before in [Rate::Unlimited, Rate::from_bytes_per_second(1 << 30)] {
        let rate_limiter = scene.rate_limiter([buckets.of("anna", before)]);
        let burst = rate_limiter.burst(1 << 30);
        let limit = Rate::from_bytes_per_second(1 << 20);
        scene.write([buckets.of("anna", limit), rate(1 << 20)]);
        scene.registry.notify_config_change();
        let began = Instant::now();
        rate_limiter.take(&burst, 1 << 30).await;
        assert_eq!(Instant::now(), began, "the limit of {before:?} was paid twice");
        // It is limited from here on, and it moves; so do new transfers.
        assert_near(moved_in(&rate_limiter, Duration::from_secs(2)).await, 1 << 20);
        let fresh = RateLimitFixture::new().rate_limiter([buckets.of("anna", limit)]);
        assert_near(moved_in(&fresh, Duration::from_secs(2)).await, 1 << 20);
    }
}

#[tokio::test(start_paused = true)]
async fn an_existing_limit_counts_after_others_were_added() {
    let buckets = Buckets::new();
    let scene = RateLimitFixture::new();
    let stays = Rate::from_bytes_per_second(1 << 20);
    let rate_limiter = scene.rate_limiter([buckets.of("anna", stays)]);
    let burst = rate_limiter.burst(1 << 20);
    scene.write([buckets.of("anna", stays), rate(1 << 30)]);
    scene.registry.notify_config_change();
    rate_limiter.take(&burst, 1 << 20).await;
    let began = Instant::now();
    take(&rate_limiter, 1).await;
    assert!(Instant::now() - began >= Duration::from_millis(900), "the second is still due");
}
