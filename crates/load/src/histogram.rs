//! A histogram of durations, in constant memory.

use std::time::Duration;

/// Latencies of operations. Percentiles are rounded up by at most 1.6 %; the maximum is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The number of operations.
    pub samples: u64,
    /// The median.
    pub p50: Duration,
    /// The 90th percentile.
    pub p90: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The maximum.
    pub max: Duration,
}

/// Counts of durations in buckets that grow with the duration. Its size does not depend on how many
/// are counted.
#[derive(Clone, Debug)]
pub(crate) struct LatencyHistogram {
    counts: Vec<u64>,
    samples: u64,
    max: u64,
}

impl LatencyHistogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], samples: 0, max: 0 }
    }

    pub(crate) fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
        }
        self.samples += 1;
        self.max = self.max.max(nanos);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.samples += other.samples;
        self.max = self.max.max(other.max);
    }

    /// `None` if nothing was counted.
    pub(crate) fn latency(&self) -> Option<Latency> {
        let at = |percent| Duration::from_nanos(self.percentile(percent));
        (self.samples > 0).then(|| Latency {
            samples: self.samples,
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max: Duration::from_nanos(self.max),
        })
    }

    /// The least bound that `percent` of the samples do not exceed.
    fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.samples * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest(index).min(self.max);
            }
        }
        self.max
    }
}

/// Each power of two has 64 buckets, for a precision of 1.6 %; this is the exponent of 64.
const FINE_BITS: u32 = 6;
const FINE: usize = 1 << FINE_BITS;
/// Durations above this many nanoseconds (18 minutes) share the last bucket.
const TOP_BITS: u32 = 40;
const BUCKETS: usize = 64 * 35;

/// Below [`FINE`] each number has its own bucket; above, the leading bits decide.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min((1 << TOP_BITS) - 1);
    let bits = u64::BITS - nanos.leading_zeros();
    let shift = bits.saturating_sub(FINE_BITS + 1);
    let leading = usize::try_from(nanos >> shift).unwrap_or_default();
    usize::try_from(shift).unwrap_or_default() * FINE + leading
}

/// The largest number in a bucket.
fn highest(index: usize) -> u64 {
    let shift = (index / FINE).saturating_sub(1);
    let leading = u64::try_from(index - shift * FINE).unwrap_or_default();
    ((leading + 1) << shift) - 1
}

/// A count as a floating-point number; exact up to 2^53.
pub(crate) fn float(number: u64) -> f64 {
    let high = u32::try_from(number >> u32::BITS).unwrap_or_default();
    let low = u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default();
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_measurement_has_no_percentiles() {
        assert_eq!(LatencyHistogram::new().latency(), None);
    }

    #[test]
    fn the_last_bucket_holds_whatever_is_longer() {
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        let mut histogram = LatencyHistogram::new();
        histogram.add(Duration::MAX);
        assert_eq!(histogram.latency().unwrap().samples, 1);
    }

    #[test]
    fn counts_become_numbers_with_fractions() {
        for (number, expected) in [(0, 0.0), (1 << 32, 4_294_967_296.0), (1_000_003, 1_000_003.0)] {
            assert!((float(number) - expected).abs() < f64::EPSILON);
        }
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_number_and_is_narrow(nanos in 0_u64..1 << TOP_BITS) {
            let index = bucket(nanos);
            prop_assert!(index < BUCKETS);
            let high = highest(index);
            prop_assert!(nanos <= high && high - nanos <= nanos / 64, "{nanos} {high}");
            prop_assert_eq!(bucket(high), index);
        }

        #[test]
        fn percentiles_are_those_of_the_sorted_list(
            mut list in prop::collection::vec(0_u64..10_000_000_000, 1..400),
            split in 0_usize..400,
        ) {
            let (mut one, mut other) = (LatencyHistogram::new(), LatencyHistogram::new());
            for (index, nanos) in list.iter().enumerate() {
                let half = if index < split { &mut one } else { &mut other };
                half.add(Duration::from_nanos(*nanos));
            }
            one.merge(&other);
            let latency = one.latency().unwrap();
            list.sort_unstable();
            let count = list.len();
            prop_assert_eq!(latency.samples, u64::try_from(count).unwrap());
            prop_assert_eq!(latency.max, Duration::from_nanos(list[count - 1]));
            for (percent, reported) in [(50, latency.p50), (90, latency.p90), (99, latency.p99)] {
                let exact = Duration::from_nanos(list[(count * percent).div_ceil(100) - 1]);
                let is_close = reported >= exact && reported <= exact + exact / 64;
                prop_assert!(is_close, "{percent} {reported:?}");
            }
        }
    }
}
