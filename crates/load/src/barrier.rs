//! A barrier at which the threads of a run wait until all are ready.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::clock::now;
use crate::lock::lock;

/// Opens once, for all threads.
#[derive(Debug, Default)]
pub(crate) struct StartBarrier {
    state: Mutex<BarrierState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BarrierState {
    waiting: usize,
    opened: Option<Instant>,
}

impl StartBarrier {
    /// Waits for the other threads, and returns the time at which the barrier opened.
    pub(crate) fn wait(&self) -> Instant {
        let mut state = lock(&self.state);
        state.waiting += 1;
        self.changed.notify_all();
        loop {
            if let Some(opened) = state.opened {
                return opened;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Opens when `threads` threads wait. `at_last` runs before any of them continues.
    pub(crate) fn open<T>(&self, threads: usize, at_last: impl FnOnce() -> T) -> (Instant, T) {
        let mut state = lock(&self.state);
        while state.waiting < threads {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let value = at_last();
        let opened = now();
        state.opened = Some(opened);
        self.changed.notify_all();
        (opened, value)
    }
}
