//! How the network behaves, and how many connections it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How the network behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkFaults {
    /// Everything arrives at once and whole.
    Off,
    /// Delays, torn segments, stalls, cut connections and refused ones, by this seed.
    Random(u64),
}

/// Counts the ends of connections that are there. Clones count together.
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

/// Makes one of the server's calls to the network fail. Clones count together.
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

    /// Counts a call, and says whether it is the one.
    pub(crate) fn fails_now(&self) -> bool {
        let fails_at = self.0.fails_at.load(Ordering::Relaxed);
        fails_at > 0 && self.0.made.fetch_add(1, Ordering::Relaxed) + 1 == fails_at
    }

    pub(crate) fn has_failed(&self) -> bool {
        let fails_at = self.0.fails_at.load(Ordering::Relaxed);
        fails_at > 0 && self.0.made.load(Ordering::Relaxed) >= fails_at
    }
}
