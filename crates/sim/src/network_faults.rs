//! Faults of the simulated network, and the number of its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The faults of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkFaults {
    /// None: everything arrives at once and complete.
    Off,
    /// Delays, split segments and a low bandwidth, derived from this seed; everything arrives.
    Slow(u64),
    /// Delays, split segments, stalls, cut connections and rejected ones, derived from this seed.
    Random(u64),
}

impl NetworkFaults {
    /// Whether connections may stall, break, or not be established.
    pub fn is_unreliable(self) -> bool {
        matches!(self, Self::Random(_))
    }
}

/// Counts the open ends of connections. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkCounter(Arc<AtomicUsize>);

impl LinkCounter {
    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Lets one call of the server to the network fail. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct InjectedFailure(Arc<FailureCounter>);

#[derive(Debug, Default)]
struct FailureCounter {
    made: AtomicU64,
    /// 0 for none.
    fails_at: AtomicU64,
}

impl InjectedFailure {
    pub(crate) fn fail_at(&self, call: u64) {
        self.0.fails_at.store(call, Ordering::Relaxed);
    }

    /// Counts a call, and returns whether it is the one that fails.
    pub(crate) fn fails_now(&self) -> bool {
        let fails_at = self.0.fails_at.load(Ordering::Relaxed);
        fails_at > 0 && self.0.made.fetch_add(1, Ordering::Relaxed) + 1 == fails_at
    }

    pub(crate) fn has_failed(&self) -> bool {
        let fails_at = self.0.fails_at.load(Ordering::Relaxed);
        fails_at > 0 && self.0.made.load(Ordering::Relaxed) >= fails_at
    }
}
