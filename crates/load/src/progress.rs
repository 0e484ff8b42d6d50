//! Progress of a run, for observers, and a way to stop it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Shared between a run and its observers.
#[derive(Debug, Default)]
pub struct RunProgress {
    operations: AtomicU64,
    bytes: AtomicU64,
    is_stopped: AtomicBool,
}

impl RunProgress {
    /// Finished operations.
    pub fn operations(&self) -> u64 {
        self.operations.load(Relaxed)
    }

    /// Bytes of files and listings transferred.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Asks the run to end soon: no operation starts, running transfers are interrupted. This is
    /// not an error in the outcome.
    pub fn stop(&self) {
        self.is_stopped.store(true, Relaxed);
    }

    /// Whether the run must end.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Relaxed)
    }

    pub(crate) fn add_operation(&self) {
        self.operations.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }
}
