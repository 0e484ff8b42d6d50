//! What one upload is charged for, from its first byte to what becomes of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use wharf_core::error::{ErrorKind, Result};
use wharf_core::storage::Kept;

use super::credit::{Replaced, Ticket};
use super::{Metered, Numbers};

/// An upload's part in what is kept: one file, and its bytes.
///
/// An upload that is to replace a file is given that file's size on top while it runs, because it
/// will free as much: so whoever may keep a file may also replace it by one of its size. Of several
/// uploads to one name one has this credit, and none has it once the file is moved. An upload that
/// is cut stays only if both fit.
pub(crate) struct Charge {
    metered: Metered,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bytes: u64,
    /// The right to the size of the file that is to be replaced, and that size.
    credit: Option<(Ticket, u64)>,
    /// What goes when the upload is published, as was checked last.
    replaced: Option<Replaced>,
    is_over: bool,
}

impl Held {
    /// The part of so many bytes that its credit covers.
    fn covered(&self, bytes: u64) -> Kept {
        let covered = |(_, most): (Ticket, u64)| Kept { bytes: bytes.min(most), files: 1 };
        self.credit.map_or_else(Kept::default, covered)
    }

    /// Forgets a credit for a file that has been moved since.
    fn refresh(&mut self, numbers: &Numbers) {
        self.credit = self.credit.filter(|(ticket, _)| numbers.credits.holds(*ticket));
    }

    /// Has so many bytes from here on.
    fn set(&mut self, bytes: u64, numbers: &mut Numbers) {
        let old = std::mem::replace(&mut self.bytes, bytes);
        numbers.kept.bytes = numbers.kept.bytes.saturating_sub(old).saturating_add(bytes);
        if let Some((ticket, _)) = self.credit {
            numbers.credits.set(ticket, self.covered(bytes));
        }
    }

    /// Does without its credit.
    fn give_back(&mut self, numbers: &mut Numbers) {
        if let Some((ticket, _)) = self.credit.take() {
            numbers.credits.end(ticket);
        }
    }
}

impl Charge {
    /// For an upload that goes on with `found` bytes of an earlier one, or begins a file; it is to
    /// take the place of a file.
    ///
    /// # Errors
    /// `OverQuota` if there may be no more files; as [`Metered::change`] otherwise.
    pub(crate) fn begin(
        metered: &Metered,
        found: Option<u64>,
        replaces: Option<Replaced>,
    ) -> Result<Self> {
        if let Some(witness) = &metered.meter.witness {
            witness.tell()?;
        }
        metered.tell();
        let mut numbers = metered.meter.numbers();
        numbers.check_counted()?;
        let replaces = replaces.filter(|it| !numbers.credits.has(it.file));
        if found.is_none() {
            let files = numbers.lasting().files.saturating_add(1);
            if replaces.is_none() && !metered.quota.admits(Kept { bytes: 0, files }) {
                return Err(ErrorKind::OverQuota.into());
            }
            numbers.kept.files = numbers.kept.files.saturating_add(1);
        }
        let credit = replaces.map(|it| (numbers.credits.take(it.file), it.bytes));
        let held = Held { bytes: found.unwrap_or(0), credit, ..Held::default() };
        if let Some((ticket, _)) = credit {
            numbers.credits.set(ticket, held.covered(held.bytes));
        }
        numbers.running += 1;
        numbers.changes = numbers.changes.wrapping_add(1);
        drop(numbers);
        Ok(Self { metered: metered.clone(), held: Mutex::new(held) })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if not one byte more would fit, so that a client hears it before it sends any.
    pub(crate) fn check_room(&self) -> Result<()> {
        let mut held = self.held();
        let numbers = self.metered.meter.numbers();
        held.refresh(&numbers);
        let most = self.metered.quota.bytes.bytes();
        let left = most.map(|most| most.saturating_sub(numbers.lasting().bytes));
        let is_credited = held.credit.is_some_and(|(_, most)| most > 0);
        if held.bytes == 0 && !is_credited && left == Some(0) {
            return Err(ErrorKind::OverQuota.into());
        }
        Ok(())
    }

    /// Charges bytes that are about to be written.
    ///
    /// # Errors
    /// `OverQuota`, and nothing is charged.
    pub(crate) fn grow(&self, bytes: u64) -> Result<()> {
        let mut held = self.held();
        if held.is_over {
            return Err(ErrorKind::Broken.into());
        }
        let mut numbers = self.metered.meter.numbers();
        held.refresh(&numbers);
        let grown = held.bytes.saturating_add(bytes);
        let more_covered = held.covered(grown).bytes.saturating_sub(held.covered(held.bytes).bytes);
        let counted = bytes.saturating_sub(more_covered);
        let lasting = numbers.lasting().bytes.saturating_add(counted);
        let most = self.metered.quota.bytes.bytes();
        if counted > 0 && most.is_some_and(|most| lasting > most) {
            return Err(ErrorKind::OverQuota.into());
        }
        held.set(grown, &mut numbers);
        Ok(())
    }

    /// The upload has so many bytes, fewer than before or as a writer left them.
    pub(crate) fn set(&self, bytes: u64) {
        let mut held = self.held();
        let mut numbers = self.metered.meter.numbers();
        held.refresh(&numbers);
        held.set(bytes, &mut numbers);
    }

    /// Whether the upload, with so many bytes, may take the place of `replaced`, which stands there
    /// now; nothing may change that until it is published.
    pub(crate) fn check_publish(&self, bytes: u64, replaced: Option<Replaced>) -> Result<()> {
        // Before the change: what is not counted there yet must not be taken for counted.
        self.metered.tell();
        let mut held = self.held();
        let mut numbers = self.metered.meter.numbers();
        held.refresh(&numbers);
        held.set(bytes, &mut numbers);
        held.replaced = replaced;
        let stands = replaced.map(|it| it.file);
        if held.credit.is_some_and(|(ticket, _)| Some(ticket.file()) != stands) {
            held.give_back(&mut numbers);
        }
        let mut lasting = numbers.credits.without_replaced(numbers.kept, replaced);
        match replaced {
            // Whoever gets smaller gets in, also where the limit was lowered meanwhile.
            Some(replaced) if bytes <= replaced.bytes => return Ok(()),
            Some(_) => lasting.files = 0,
            None => {}
        }
        if self.metered.quota.admits(lasting) { Ok(()) } else { Err(ErrorKind::OverQuota.into()) }
    }

    /// The upload has taken its place, and what stood there is gone, as was checked last.
    pub(crate) fn published(&self) {
        let mut held = self.held();
        let gone = held.replaced.take();
        if let Some(gone) = gone {
            // Another upload may have had the credit for it.
            self.metered.meter.numbers().credits.revoke(gone.file);
        }
        let gone = gone.map_or_else(Kept::default, |gone| Kept { bytes: gone.bytes, files: 1 });
        self.end_held(&mut held, gone);
    }

    /// Whether what is there of a cut upload, so many bytes, may stay.
    pub(crate) fn may_stay(&self, bytes: u64) -> bool {
        let mut held = self.held();
        let mut numbers = self.metered.meter.numbers();
        held.give_back(&mut numbers);
        held.set(bytes, &mut numbers);
        self.metered.quota.admits(numbers.lasting())
    }

    /// The upload was not published, and nothing is left of it, or so many bytes are.
    pub(crate) fn end(&self, left: Option<u64>) {
        let mut held = self.held();
        if !held.is_over {
            held.set(left.unwrap_or(0), &mut self.metered.meter.numbers());
        }
        let files = u64::from(left.is_none());
        self.end_held(&mut held, Kept { bytes: 0, files });
    }

    fn end_held(&self, held: &mut Held, gone: Kept) {
        if std::mem::replace(&mut held.is_over, true) {
            return;
        }
        let mut numbers = self.metered.meter.numbers();
        held.give_back(&mut numbers);
        numbers.lower(gone);
        numbers.running = numbers.running.saturating_sub(1);
        drop(numbers);
        // Behind the change: a count that began before it may not have seen it.
        self.metered.tell();
    }

    pub(crate) fn metered(&self) -> &Metered {
        &self.metered
    }
}

/// Nobody said what became of it, so it is gone: only a panic leads here.
impl Drop for Charge {
    fn drop(&mut self) {
        if !self.held().is_over {
            self.end(None);
        }
    }
}
