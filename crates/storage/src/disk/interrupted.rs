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
pub(super) struct InterruptedUploads(Mutex<VecDeque<InterruptedUpload>>);

#[derive(Debug)]
struct InterruptedUpload {
    key: u64,
    /// The bytes before it are those of the file that is there.
    start: u64,
}

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
    /// and the identity of the file that it was to replace. Its data began at `start`.
    pub(super) fn remember(&self, partial: &[u8], identity: &str, start: u64) {
        let key = key(partial, identity);
        let mut remembered = self.lock();
        if let Some(known) = remembered.iter_mut().find(|known| known.key == key) {
            known.start = known.start.min(start);
            return;
        }
        if remembered.len() >= REMEMBERED_MAX {
            remembered.pop_front();
        }
        remembered.push_back(InterruptedUpload { key, start });
    }

    /// Where an interrupted upload to this file began, if the file is still the same.
    pub(super) fn start_of(&self, partial: &[u8], identity: &str) -> Option<u64> {
        let key = key(partial, identity);
        self.lock().iter().find(|known| known.key == key).map(|known| known.start)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<InterruptedUpload>> {
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
        uploads.remember(b"one", "1:5:7.0", 7);
        uploads.remember(b"one", "1:5:7.0", 3);
        uploads.remember(b"one", "1:5:7.0", 5);
        assert_eq!(uploads.start_of(b"one", "1:5:7.0"), Some(3));
        assert_eq!(uploads.start_of(b"other", "1:5:7.0"), None);
        assert_eq!(uploads.start_of(b"one", "1:5:8.0"), None);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let uploads = InterruptedUploads::default();
        for number in 0..=REMEMBERED_MAX {
            uploads.remember(b"one", &number.to_string(), 0);
        }
        assert_eq!(uploads.lock().len(), REMEMBERED_MAX);
        assert_eq!(uploads.start_of(b"one", "0"), None);
        assert_eq!(uploads.start_of(b"one", "1"), Some(0));
    }
}
