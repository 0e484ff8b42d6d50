//! Systems without journald.

use std::path::Path;

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

    pub(crate) fn write(&mut self, _entries: &[u8]) -> u64 {
        match *self {}
    }
}
