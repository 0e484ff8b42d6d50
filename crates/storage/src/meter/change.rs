//! What one change of names does to the count, and to those of homes that lie in one another.

use std::sync::{Arc, MutexGuard};

use wharf_core::error::{ErrorKind, Result};
use wharf_core::storage::Kept;
use wharf_proto::path::VPath;

use super::credit::FileId;
use super::{Meter, Quota};

/// A change of names under way.
pub(crate) struct Change<'a> {
    meter: &'a Meter,
    quota: Quota,
    _names: MutexGuard<'a, ()>,
}

impl<'a> Change<'a> {
    /// Waits for the right to change names; the meter knows already that something runs.
    pub(super) fn begun(meter: &'a Meter, quota: Quota) -> Self {
        Self { meter, quota, _names: meter.names() }
    }

    /// Something is gone.
    pub(crate) fn freed(&self, bytes: u64, files: u64) {
        self.meter.numbers().free(Kept { bytes, files });
        self.meter.tell_outer();
    }

    /// Something at `at` is gone. In the home of another account nobody knows in which count it
    /// was: neither is lowered, so that no account gains by it, and both are made again.
    pub(crate) fn freed_at(&self, at: &VPath, bytes: u64, files: u64) {
        let inner = self.meter.inner_at(at);
        if inner.is_empty() {
            return self.freed(bytes, files);
        }
        for meter in &inner {
            meter.numbers().is_stale = true;
        }
        self.meter.numbers().leave();
        self.meter.tell_outer();
    }

    /// Something has the name `to` instead of `from`. What comes out of the home of another account
    /// is `strange` here: it is added to the count, also where it was in it already.
    pub(crate) fn renamed(&self, from: &VPath, to: &VPath, strange: Option<Kept>) {
        let (left, entered) = (self.meter.inner_at(from), self.meter.inner_at(to));
        let is_same = left.len() == entered.len()
            && left.iter().all(|one| entered.iter().any(|other| Arc::ptr_eq(one, other)));
        if is_same {
            return;
        }
        for meter in left.iter().chain(&entered) {
            meter.suspect();
        }
        if let Some(strange) = strange {
            self.meter.numbers().add(strange);
        }
        if left.is_empty() {
            self.meter.numbers().is_stale = true;
        } else {
            self.meter.suspect();
        }
        self.meter.tell_outer();
    }

    /// Whether something may come out of the home of another account: not where more is kept than
    /// may be, so that nobody moves there what does not fit here.
    pub(crate) fn check_strange(&self) -> Result<()> {
        let kept = self.meter.numbers().lasting();
        if self.quota.admits(kept) { Ok(()) } else { Err(ErrorKind::OverQuota.into()) }
    }

    /// A file has another name now, or none: no upload replaces it any more.
    pub(crate) fn moved(&self, file: FileId) {
        self.meter.numbers().credits.revoke(file);
    }

    /// Whether one more file or directory may be kept.
    pub(crate) fn check_one_more(&self) -> Result<()> {
        let kept = self.meter.numbers().lasting();
        let files = kept.files.saturating_add(1);
        // Who is over the limit in bytes may still make directories.
        if self.quota.admits(Kept { bytes: 0, files }) {
            Ok(())
        } else {
            Err(ErrorKind::OverQuota.into())
        }
    }

    /// One more is there.
    pub(crate) fn added_one(&self, at: &VPath) {
        self.meter.numbers().add(Kept { bytes: 0, files: 1 });
        for meter in self.meter.inner_at(at) {
            meter.suspect();
        }
        self.meter.tell_outer();
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let mut numbers = self.meter.numbers();
        numbers.running = numbers.running.saturating_sub(1);
    }
}
