//! Resource usage of this process, on systems where it is not available.

/// No data available.
#[derive(Debug, Default)]
pub(crate) struct ProcessUsage;

impl ProcessUsage {
    /// For this process.
    pub(crate) fn open() -> Self {
        Self
    }

    /// Not available.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        None
    }

    /// Not available.
    pub(crate) fn open_files(&self) -> Option<u64> {
        None
    }

    /// Not available.
    pub(crate) fn open_files_max() -> Option<u64> {
        None
    }
}
