//! Metrics of the engine: durations, and failures by cause. Only atomics, so that counting does not
//! slow down sessions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wharf_core::users::Denied;

/// All metrics since the start of the server.
#[derive(Debug)]
pub struct EngineMetrics {
    /// From a command to its reply, except for PASS and for commands that transfer data.
    pub replies: Histogram,
    /// From PASS to its reply, for successful logins.
    pub logins: Histogram,
    /// From the first reply of a transfer until its data connection is open, including the TLS
    /// handshake.
    pub openings: Histogram,
    /// From the first to the last reply of completed uploads.
    pub uploads: Histogram,
    /// The same for downloads.
    pub downloads: Histogram,
    login_failures: [AtomicU64; LOGIN_CAUSES.len()],
    opening_failures: [AtomicU64; OpeningFailure::ALL.len()],
}

/// A histogram of durations.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [Duration],
    /// One more than bounds: the last one counts everything above the largest bound.
    counts: [AtomicU64; BUCKETS_MAX],
    micros: AtomicU64,
}

/// The values of a histogram at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Upper bounds with cumulative counts.
    pub at_most: Vec<(Duration, u64)>,
    /// The number of observations.
    pub count: u64,
    /// The sum of all durations.
    pub sum: Duration,
}

/// Why a data connection was not established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpeningFailure {
    /// No connection arrived at the passive port.
    NoConnection,
    /// At a shared port, the connection could belong to more than one session.
    Ambiguous,
    /// Only connections from other addresses arrived.
    UnexpectedPeers,
    /// The network failed, or the client's port rejected the connection.
    Network,
    /// The TLS handshake failed.
    Tls,
    /// The TLS session of the control connection was not resumed.
    NotResumed,
}

const BUCKETS_MAX: usize = 12;

/// Bounds for operations that a client waits for.
const QUICK: &[Duration] = &[
    Duration::from_micros(100),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
];

/// Bounds for transfers, whose duration depends on the size of the file.
const LONG: &[Duration] = &[
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
];

const LOGIN_CAUSES: &[&str] = &[
    "unknown-account", "wrong-password", "disabled", "no-password", "denied", "busy",
    "backend-failed", "other",
];

impl Default for EngineMetrics {
    fn default() -> Self {
        Self {
            replies: Histogram::new(QUICK),
            logins: Histogram::new(QUICK),
            openings: Histogram::new(QUICK),
            uploads: Histogram::new(LONG),
            downloads: Histogram::new(LONG),
            login_failures: Default::default(),
            opening_failures: Default::default(),
        }
    }
}

impl EngineMetrics {
    /// Failed logins by cause; every cause is included.
    pub fn login_failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LOGIN_CAUSES.iter().copied().zip(self.login_failures.iter().map(read))
    }

    /// Data connections that were not established, by cause; every cause is included.
    pub fn opening_failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let causes = OpeningFailure::ALL.iter().map(|cause| cause.name());
        causes.zip(self.opening_failures.iter().map(read))
    }

    pub(crate) fn login_failed(&self, denied: &Denied) {
        let cause = match denied {
            Denied::UnknownUser => "unknown-account",
            Denied::WrongPassword | Denied::WrongPasswordOf(_) => "wrong-password",
            Denied::Disabled => "disabled",
            Denied::NoPassword => "no-password",
            Denied::ByRule(_) => "denied",
            Denied::Busy => "busy",
            Denied::Broken(_) => "backend-failed",
            _ => "other",
        };
        let place = LOGIN_CAUSES.iter().position(|known| *known == cause);
        add(place.and_then(|place| self.login_failures.get(place)));
    }

    pub(crate) fn opening_failed(&self, cause: OpeningFailure) {
        let place = OpeningFailure::ALL.iter().position(|known| *known == cause);
        add(place.and_then(|place| self.opening_failures.get(place)));
    }
}

impl OpeningFailure {
    const ALL: [Self; 6] = [
        Self::NoConnection,
        Self::Ambiguous,
        Self::UnexpectedPeers,
        Self::Network,
        Self::Tls,
        Self::NotResumed,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::NoConnection => "no-connection",
            Self::Ambiguous => "ambiguous-session",
            Self::UnexpectedPeers => "unexpected-peers",
            Self::Network => "network",
            Self::Tls => "tls-failed",
            Self::NotResumed => "not-resumed",
        }
    }
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Histogram {
    fn new(bounds: &'static [Duration]) -> Self {
        Self { bounds, counts: Default::default(), micros: AtomicU64::new(0) }
    }

    pub(crate) fn add(&self, took: Duration) {
        let place = self.bounds.iter().position(|bound| took <= *bound);
        add(self.counts.get(place.unwrap_or(self.bounds.len())));
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The current values.
    pub fn read(&self) -> Distribution {
        let mut count = 0;
        let mut counts = self.counts.iter().map(|counter| {
            count += read(counter);
            count
        });
        let at_most = self.bounds.iter().copied().zip(counts.by_ref()).collect();
        counts.for_each(drop);
        Distribution { at_most, count, sum: Duration::from_micros(read(&self.micros)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_holds_those_before_it_and_the_last_one_all() {
        let histogram = Histogram::new(QUICK);
        for took in [0, 1, 5, 6, 20_000, 20_001, 10_000_000] {
            histogram.add(Duration::from_millis(took));
        }
        let read = histogram.read();
        let at_most = |bound| read.at_most.iter().find(|(each, _)| *each == bound).unwrap().1;
        assert_eq!(at_most(Duration::from_micros(500)), 1);
        assert_eq!(at_most(Duration::from_millis(1)), 2);
        assert_eq!(at_most(Duration::from_millis(5)), 3);
        assert_eq!(at_most(Duration::from_millis(10)), 4);
        assert_eq!(at_most(Duration::from_secs(20)), 5);
        assert_eq!((read.count, read.sum), (7, Duration::from_millis(10_040_013)));
    }

    #[test]
    fn bounds_rise_and_leave_one_bucket_for_the_rest() {
        for bounds in [QUICK, LONG] {
            assert!(bounds.is_sorted() && bounds.len() < BUCKETS_MAX);
        }
    }

    #[test]
    fn failures_count_under_their_cause_alone() {
        let metrics = EngineMetrics::default();
        metrics.login_failed(&Denied::WrongPassword);
        metrics.opening_failed(OpeningFailure::Tls);
        let counted: Vec<_> = metrics.login_failures().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("wrong-password", 1)]);
        let counted: Vec<_> = metrics.opening_failures().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("tls-failed", 1)]);
        assert_eq!(metrics.login_failures().count(), LOGIN_CAUSES.len());
    }
}
