//! The quota reserved for one upload, from its first byte to its end.

use std::sync::{Mutex, MutexGuard};

use wharf_core::error::{ErrorKind, Result};
use wharf_core::lock;
use wharf_core::storage::UsedSpace;

use super::credit::{CreditToken, Replaced};
use super::{Counts, LimitedHome};

/// An upload's share of the usage: one file, and its bytes.
///
/// An upload that replaces a file is credited with the size of that file while it runs, because it
/// will free as much: an account that may keep a file may thus also replace it by one of the same
/// size. Of several uploads to one name only one gets this credit, and none once the file is
/// renamed. An interrupted upload is kept only if both fit.
pub(crate) struct QuotaReservation {
    limited: LimitedHome,
    held: Mutex<ReservationState>,
}

#[derive(Default)]
struct ReservationState {
    bytes: u64,
    /// The credit for the size of the file to be replaced, and that size.
    credit: Option<(CreditToken, u64)>,
    /// The file that is replaced when the upload is published, as checked last.
    replaced: Option<Replaced>,
    is_over: bool,
}

impl ReservationState {
    /// The part of this many bytes that its credit covers.
    fn covered(&self, bytes: u64) -> UsedSpace {
        let covered =
            |(_, most): (CreditToken, u64)| UsedSpace { bytes: bytes.min(most), files: 1 };
        self.credit.map_or_else(UsedSpace::default, covered)
    }

    /// Drops a credit for a file that was renamed since.
    fn refresh(&mut self, counts: &Counts) {
        self.credit = self.credit.filter(|(token, _)| counts.credits.holds(*token));
    }

    /// Sets the number of reserved bytes.
    fn set(&mut self, bytes: u64, counts: &mut Counts) {
        let old = std::mem::replace(&mut self.bytes, bytes);
        counts.used.bytes = counts.used.bytes.saturating_sub(old).saturating_add(bytes);
        if let Some((token, _)) = self.credit {
            counts.credits.set(token, self.covered(bytes));
        }
    }

    /// Returns its credit.
    fn give_back(&mut self, counts: &mut Counts) {
        if let Some((token, _)) = self.credit.take() {
            counts.credits.end(token);
        }
    }
}

impl QuotaReservation {
    /// Reserves quota for an upload that resumes `found` bytes of an earlier one, or starts a new
    /// file, and may replace a file.
    ///
    /// # Errors
    /// `OverQuota` if the number of files is exhausted; otherwise as [`LimitedHome::change`].
    pub(crate) fn begin(
        limited: &LimitedHome,
        found: Option<u64>,
        replaces: Option<Replaced>,
    ) -> Result<Self> {
        if let Some(dirty_mark) = &limited.counter.dirty_mark {
            dirty_mark.set()?;
        }
        limited.mark_others_stale();
        let mut counts = limited.counter.counts();
        counts.check_counted()?;
        let replaces = replaces.filter(|it| !counts.credits.has(it.file));
        if found.is_none() {
            let files = counts.lasting().files.saturating_add(1);
            if replaces.is_none() && !limited.quota.admits(UsedSpace { bytes: 0, files }) {
                return Err(ErrorKind::OverQuota.into());
            }
            counts.used.files = counts.used.files.saturating_add(1);
        }
        let credit = replaces.map(|it| (counts.credits.take(it.file), it.bytes));
        let held =
            ReservationState { bytes: found.unwrap_or(0), credit, ..ReservationState::default() };
        if let Some((token, _)) = credit {
            counts.credits.set(token, held.covered(held.bytes));
        }
        counts.running += 1;
        counts.changes = counts.changes.wrapping_add(1);
        drop(counts);
        Ok(Self { limited: limited.clone(), held: Mutex::new(held) })
    }

    fn held(&self) -> MutexGuard<'_, ReservationState> {
        lock(&self.held)
    }

    /// Fails if not even one byte fits, so that a client gets the error before it sends data.
    pub(crate) fn check_space(&self) -> Result<()> {
        let mut held = self.held();
        let counts = self.limited.counter.counts();
        held.refresh(&counts);
        let most = self.limited.quota.bytes.bytes();
        let left = most.map(|most| most.saturating_sub(counts.lasting().bytes));
        let is_credited = held.credit.is_some_and(|(_, most)| most > 0);
        if held.bytes == 0 && !is_credited && left == Some(0) {
            return Err(ErrorKind::OverQuota.into());
        }
        Ok(())
    }

    /// Reserves bytes that are about to be written.
    ///
    /// # Errors
    /// `OverQuota`, and nothing is reserved.
    pub(crate) fn grow(&self, bytes: u64) -> Result<()> {
        let mut held = self.held();
        if held.is_over {
            return Err(ErrorKind::Broken.into());
        }
        let mut counts = self.limited.counter.counts();
        held.refresh(&counts);
        let grown = held.bytes.saturating_add(bytes);
        let more_covered = held.covered(grown).bytes.saturating_sub(held.covered(held.bytes).bytes);
        let counted = bytes.saturating_sub(more_covered);
        let lasting = counts.lasting().bytes.saturating_add(counted);
        let most = self.limited.quota.bytes.bytes();
        if counted > 0 && most.is_some_and(|most| lasting > most) {
            return Err(ErrorKind::OverQuota.into());
        }
        held.set(grown, &mut counts);
        Ok(())
    }

    /// Sets the length of the upload, after truncation or after writes to the detached file.
    pub(crate) fn set(&self, bytes: u64) {
        let mut held = self.held();
        let mut counts = self.limited.counter.counts();
        held.refresh(&counts);
        held.set(bytes, &mut counts);
    }

    /// Whether the upload, with this many bytes, may replace `replaced`, the file that exists now;
    /// no change may happen until it is published.
    pub(crate) fn check_publish(&self, bytes: u64, replaced: Option<Replaced>) -> Result<()> {
        // Before the change: what is not counted there yet must not be mistaken for counted.
        self.limited.mark_others_stale();
        let mut held = self.held();
        let mut counts = self.limited.counter.counts();
        held.refresh(&counts);
        held.set(bytes, &mut counts);
        held.replaced = replaced;
        let stands = replaced.map(|it| it.file);
        if held.credit.is_some_and(|(token, _)| Some(token.file()) != stands) {
            held.give_back(&mut counts);
        }
        let mut lasting = counts.credits.without_replaced(counts.used, replaced);
        match replaced {
            // A smaller file is always accepted, even if the limit was lowered in the meantime.
            Some(replaced) if bytes <= replaced.bytes => return Ok(()),
            Some(_) => lasting.files = 0,
            None => {}
        }
        if self.limited.quota.admits(lasting) { Ok(()) } else { Err(ErrorKind::OverQuota.into()) }
    }

    /// The upload was published, and the file that it replaced, as checked last, no longer exists.
    pub(crate) fn published(&self) {
        let mut held = self.held();
        let gone = held.replaced.take();
        if let Some(gone) = gone {
            // Another upload may have had the credit for it.
            self.limited.counter.counts().credits.revoke(gone.file);
        }
        let gone =
            gone.map_or_else(UsedSpace::default, |gone| UsedSpace { bytes: gone.bytes, files: 1 });
        self.end_held(&mut held, gone);
    }

    /// Whether the bytes of an interrupted upload may be kept.
    pub(crate) fn may_stay(&self, bytes: u64) -> bool {
        let mut held = self.held();
        let mut counts = self.limited.counter.counts();
        held.give_back(&mut counts);
        held.set(bytes, &mut counts);
        self.limited.quota.admits(counts.lasting())
    }

    /// The upload was not published, and nothing of it is left, or this many bytes are.
    pub(crate) fn end(&self, left: Option<u64>) {
        let mut held = self.held();
        if !held.is_over {
            held.set(left.unwrap_or(0), &mut self.limited.counter.counts());
        }
        let files = u64::from(left.is_none());
        self.end_held(&mut held, UsedSpace { bytes: 0, files });
    }

    fn end_held(&self, held: &mut ReservationState, gone: UsedSpace) {
        if std::mem::replace(&mut held.is_over, true) {
            return;
        }
        let mut counts = self.limited.counter.counts();
        held.give_back(&mut counts);
        counts.lower(gone);
        counts.running = counts.running.saturating_sub(1);
        drop(counts);
        // After the change: a count that began before it may have missed it.
        self.limited.mark_others_stale();
    }

    pub(crate) fn limited(&self) -> &LimitedHome {
        &self.limited
    }
}

/// The end of the upload was not reported, so it no longer exists: this happens only after a panic.
impl Drop for QuotaReservation {
    fn drop(&mut self) {
        if !self.held().is_over {
            self.end(None);
        }
    }
}
