//! The effect of one change of names on the count, and on the counts of nested homes.

use std::sync::{Arc, MutexGuard};

use wharf_core::error::{ErrorKind, Result};
use wharf_core::storage::UsedSpace;
use wharf_proto::path::VPath;

use super::credit::FileId;
use super::{Quota, QuotaCounter};

/// A change of names in progress.
pub(crate) struct QuotaChange<'a> {
    counter: &'a QuotaCounter,
    quota: Quota,
    _names: MutexGuard<'a, ()>,
}

impl<'a> QuotaChange<'a> {
    /// Waits for the right to change names; the counter has already registered the change.
    pub(super) fn begun(counter: &'a QuotaCounter, quota: Quota) -> Self {
        Self { counter, quota, _names: counter.names() }
    }

    /// Something was removed.
    pub(crate) fn freed(&self, bytes: u64, files: u64) {
        self.counter.counts().free(UsedSpace { bytes, files });
        self.counter.mark_outer_stale();
    }

    /// Something at `at` was removed. In an inner home it is unknown in which count it was
    /// included: neither is lowered, so that no account gains an advantage, and both are repeated.
    pub(crate) fn freed_at(&self, at: &VPath, bytes: u64, files: u64) {
        let inner = self.counter.inner_at(at);
        if inner.is_empty() {
            return self.freed(bytes, files);
        }
        for counter in &inner {
            counter.counts().is_stale = true;
        }
        self.counter.counts().leave();
        self.counter.mark_outer_stale();
    }

    /// Something was renamed from `from` to `to`. What leaves an inner home of another account is
    /// `unaccounted` here: it is added to the count, even if it was included already.
    pub(crate) fn renamed(&self, from: &VPath, to: &VPath, unaccounted: Option<UsedSpace>) {
        let (left, entered) = (self.counter.inner_at(from), self.counter.inner_at(to));
        let is_same = left.len() == entered.len()
            && left.iter().all(|one| entered.iter().any(|other| Arc::ptr_eq(one, other)));
        if is_same {
            return;
        }
        for counter in left.iter().chain(&entered) {
            counter.mark_uncertain();
        }
        if let Some(unaccounted) = unaccounted {
            self.counter.counts().add(unaccounted);
        }
        if left.is_empty() {
            self.counter.counts().is_stale = true;
        } else {
            self.counter.mark_uncertain();
        }
        self.counter.mark_outer_stale();
    }

    /// Whether something may leave an inner home of another account: not if this account exceeds
    /// its quota, so that files that do not fit here cannot be moved here.
    pub(crate) fn check_unaccounted(&self) -> Result<()> {
        let used = self.counter.counts().lasting();
        if self.quota.admits(used) { Ok(()) } else { Err(ErrorKind::OverQuota.into()) }
    }

    /// A file was renamed or removed: no upload replaces it any more.
    pub(crate) fn moved(&self, file: FileId) {
        self.counter.counts().credits.revoke(file);
    }

    /// Whether one more file or directory fits the quota.
    pub(crate) fn check_one_more(&self) -> Result<()> {
        let used = self.counter.counts().lasting();
        let files = used.files.saturating_add(1);
        // An account over its limit in bytes may still create directories.
        if self.quota.admits(UsedSpace { bytes: 0, files }) {
            Ok(())
        } else {
            Err(ErrorKind::OverQuota.into())
        }
    }

    /// One more exists.
    pub(crate) fn added_one(&self, at: &VPath) {
        self.counter.counts().add(UsedSpace { bytes: 0, files: 1 });
        for counter in self.counter.inner_at(at) {
            counter.mark_uncertain();
        }
        self.counter.mark_outer_stale();
    }
}

impl Drop for QuotaChange<'_> {
    fn drop(&mut self) {
        let mut counts = self.counter.counts();
        counts.running = counts.running.saturating_sub(1);
    }
}
