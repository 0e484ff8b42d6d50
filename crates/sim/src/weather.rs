//! How the network behaves, and how many connections it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How the network behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Everything arrives at once and whole.
    Calm,
    /// Delays, torn segments, stalls, cut connections and refused ones, by this seed.
    Wild(u64),
}

/// Counts the ends of connections that are there. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links(Arc<AtomicUsize>);

impl Links {
    pub(crate) fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn one_less(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
