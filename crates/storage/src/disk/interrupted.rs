//! Uploads that ended early and were not kept.
//!
//! Their clients continue where they stopped, with REST and STOR, or behind the length of the file
//! that was to be replaced. Both would mix the old file with the new one.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};

use wharf_core::lock;

/// The last uploads that are remembered, for all accounts; the oldest is forgotten first. A restart
/// of the server discards them all.
const REMEMBERED_MAX: usize = 10_000;

/// Interrupted uploads to existing files, by account, name and identity of the file: any change of
/// the file ends the restriction.
#[derive(Debug, Default)]
pub(super) struct InterruptedUploads(Mutex<VecDeque<u64>>);

/// An unfinished upload of this account to a target, as far as it applies to the current file.
pub(super) enum UnfinishedUpload {
    Nothing,
    /// An upload in progress.
    InUse,
    /// An upload that cannot be resumed; by all signs the file still has its old content.
    Outdated,
    /// An upload of this length.
    Bytes(u64),
}

impl InterruptedUploads {
    /// Remembers an upload by the name of its partial upload, which identifies account and target,
    /// and the identity of the file that it was to replace.
    pub(super) fn remember(&self, partial: &[u8], identity: &str) {
        let key = key(partial, identity);
        let mut remembered = self.lock();
        if remembered.contains(&key) {
            return;
        }
        if remembered.len() >= REMEMBERED_MAX {
            remembered.pop_front();
        }
        remembered.push_back(key);
    }

    /// Whether an upload to this file was interrupted, and the file is still the same.
    pub(super) fn contains(&self, partial: &[u8], identity: &str) -> bool {
        self.lock().contains(&key(partial, identity))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<u64>> {
        lock(&self.0)
    }
}

fn key(partial: &[u8], identity: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (partial, identity).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_remembered_for_its_account_its_target_and_its_file() {
        let uploads = InterruptedUploads::default();
        uploads.remember(b"one", "1:5:7.0");
        assert!(uploads.contains(b"one", "1:5:7.0"));
        assert!(!uploads.contains(b"other", "1:5:7.0"));
        assert!(!uploads.contains(b"one", "1:5:8.0"));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let uploads = InterruptedUploads::default();
        for number in 0..=REMEMBERED_MAX {
            uploads.remember(b"one", &number.to_string());
        }
        assert_eq!(uploads.lock().len(), REMEMBERED_MAX);
        assert!(!uploads.contains(b"one", "0"));
        assert!(uploads.contains(b"one", "1"));
    }
}
