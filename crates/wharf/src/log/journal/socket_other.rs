//! Systems without journald.

use std::path::Path;

use super::split;

/// Where journald would take entries; there is none here.
#[derive(Debug)]
pub(crate) enum Journal {}

impl Journal {
    /// Nowhere.
    pub(crate) const PLACE: &'static str = "";

    /// Finds nothing.
    pub(crate) fn open(_path: &Path) -> Option<Self> {
        None
    }

    pub(crate) fn write(&mut self, entries: &[u8]) -> u64 {
        u64::try_from(split(entries).count()).unwrap_or(u64::MAX)
    }
}
