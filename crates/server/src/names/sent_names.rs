//! The names that one session sent, so that it gets its own bytes back even if its set changes.

use std::collections::HashMap;

use wharf_proto::path::escaped;

/// The most bytes of names that one session's memory holds.
const BYTES_MAX: usize = 32 * 1024;

/// The names that a session sent, with the names on disk.
#[derive(Clone, Default)]
pub(super) struct SentNames {
    by_typed: HashMap<Vec<u8>, Vec<u8>>,
    by_disk: HashMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl SentNames {
    pub(super) fn is_empty(&self) -> bool {
        self.by_disk.is_empty()
    }

    /// Whether no more names fit.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX
    }

    /// Records a name. Names in UTF-8 use at most half of the space.
    pub(super) fn record(&mut self, typed: &[u8], disk: &[u8]) {
        let most = if std::str::from_utf8(typed).is_ok() { BYTES_MAX / 2 } else { BYTES_MAX };
        if self.bytes >= most || self.by_typed.get(typed).is_some_and(|known| known == disk) {
            return;
        }
        self.bytes += typed.len() + disk.len();
        self.by_typed.insert(typed.to_vec(), disk.to_vec());
        self.by_disk.insert(disk.to_vec(), typed.to_vec());
    }

    /// The name on disk for the bytes that were sent.
    pub(super) fn disk(&self, typed: &[u8]) -> Option<&[u8]> {
        self.by_typed.get(typed).map(Vec::as_slice)
    }

    /// The bytes that were sent for a name on disk.
    pub(super) fn typed(&self, disk: &[u8]) -> Option<&[u8]> {
        self.by_disk.get(disk).map(Vec::as_slice)
    }
}

/// Shows the first few names only.
impl std::fmt::Debug for SentNames {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let some = self.by_typed.keys().take(3).map(|name| escaped(name));
        out.debug_list().entries(some).finish()
    }
}
