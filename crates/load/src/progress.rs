//! How far a run is, for those who watch it, and their wish to stop it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Shared between a run and whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    operations: AtomicU64,
    bytes: AtomicU64,
    is_stopped: AtomicBool,
}

impl Progress {
    /// Operations that are done.
    pub fn operations(&self) -> u64 {
        self.operations.load(Relaxed)
    }

    /// Bytes of files and listings that have passed.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Asks the run to end soon: no operation begins, transfers are cut. Not an error in the
    /// outcome.
    pub fn stop(&self) {
        self.is_stopped.store(true, Relaxed);
    }

    /// Whether somebody wants it to end.
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
