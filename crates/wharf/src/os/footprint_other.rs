//! What this process takes of a system that does not say so in files.

/// Nothing is known of it.
#[derive(Debug, Default)]
pub(crate) struct Footprint;

impl Footprint {
    /// Of this process.
    pub(crate) fn open() -> Self {
        Self
    }

    /// Memory that is in use.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        None
    }

    /// Files and sockets that are open.
    pub(crate) fn open_files(&self) -> Option<u64> {
        None
    }

    /// As many as there may be.
    pub(crate) fn open_files_max() -> Option<u64> {
        None
    }
}
