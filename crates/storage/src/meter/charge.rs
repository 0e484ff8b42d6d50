//! What one upload is charged for, from its first byte to what becomes of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use wharf_core::error::{ErrorKind, Result};
use wharf_core::storage::Kept;

use super::{Metered, Numbers};

/// An upload's part in what is kept: one file, and its bytes.
///
/// An upload that is to replace a file is given that file's size on top while it runs, because it
/// will free as much: so whoever may keep a file may also replace it by one of its size. If it is
/// cut, it stays only if both fit.
pub(crate) struct Charge {
    metered: Metered,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bytes: u64,
    /// What goes when the upload is published.
    credit: Kept,
    is_over: bool,
}

impl Held {
    /// The part of it that its credit covers.
    fn shadow(&self) -> Kept {
        Kept { bytes: self.bytes.min(self.credit.bytes), files: self.credit.files.min(1) }
    }
}

impl Charge {
    /// For an upload that goes on with `found` bytes of an earlier one, or begins a file; it is to
    /// take the place of a file of `replaces` bytes.
    ///
    /// # Errors
    /// `OverQuota` if there may be no more files; as [`Metered::change`] otherwise.
    pub(crate) fn begin(
        metered: &Metered,
        found: Option<u64>,
        replaces: Option<u64>,
    ) -> Result<Self> {
        if let Some(witness) = &metered.meter.witness {
            witness.tell()?;
        }
        let credit = replaces.map_or_else(Kept::default, |bytes| Kept { bytes, files: 1 });
        let held = Held { bytes: found.unwrap_or(0), credit, ..Held::default() };
        let mut numbers = metered.meter.numbers();
        numbers.check_counted()?;
        if found.is_none() {
            let files = numbers.lasting().files.saturating_add(1);
            if replaces.is_none() && !metered.quota.admits(Kept { bytes: 0, files }) {
                return Err(ErrorKind::OverQuota.into());
            }
            numbers.kept.files = numbers.kept.files.saturating_add(1);
        }
        numbers.shade(Kept::default(), held.shadow());
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
        let held = self.held();
        let lasting = self.metered.meter.numbers().lasting();
        let left = self.metered.quota.bytes.bytes().map(|most| most.saturating_sub(lasting.bytes));
        if held.bytes == 0 && held.credit.bytes == 0 && left == Some(0) {
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
        let before = held.shadow();
        let mut numbers = self.metered.meter.numbers();
        let grown = Held {
            bytes: held.bytes.saturating_add(bytes),
            credit: held.credit,
            ..Held::default()
        };
        let counted = bytes.saturating_sub(grown.shadow().bytes.saturating_sub(before.bytes));
        let lasting = numbers.lasting().bytes.saturating_add(counted);
        let most = self.metered.quota.bytes.bytes();
        if counted > 0 && most.is_some_and(|most| lasting > most) {
            return Err(ErrorKind::OverQuota.into());
        }
        held.bytes = grown.bytes;
        numbers.kept.bytes = numbers.kept.bytes.saturating_add(bytes);
        numbers.shade(before, grown.shadow());
        Ok(())
    }

    /// The upload has so many bytes, fewer than before or as a writer left them.
    pub(crate) fn set(&self, bytes: u64) {
        let mut held = self.held();
        self.set_held(&mut held, bytes, None);
    }

    fn set_held(&self, held: &mut Held, bytes: u64, credit: Option<Kept>) {
        let (before, old) = (held.shadow(), held.bytes);
        held.bytes = bytes;
        held.credit = credit.unwrap_or(held.credit);
        let mut numbers = self.metered.meter.numbers();
        numbers.kept.bytes = numbers.kept.bytes.saturating_sub(old).saturating_add(bytes);
        numbers.shade(before, held.shadow());
    }

    /// Whether the upload, with so many bytes, may take the place of a file of `replaced` bytes.
    /// From here on it is counted by just that.
    pub(crate) fn check_publish(&self, bytes: u64, replaced: Option<u64>) -> Result<()> {
        let mut held = self.held();
        let credit = replaced.map_or_else(Kept::default, |bytes| Kept { bytes, files: 1 });
        self.set_held(&mut held, bytes, Some(credit));
        let mut lasting = self.metered.meter.numbers().lasting();
        match replaced {
            // Whoever gets smaller gets in, also where the limit was lowered meanwhile.
            Some(replaced) if bytes <= replaced => return Ok(()),
            Some(_) => lasting.files = 0,
            None => {}
        }
        if self.metered.quota.admits(lasting) { Ok(()) } else { Err(ErrorKind::OverQuota.into()) }
    }

    /// The upload has taken its place, and what stood there is gone, as was checked last.
    pub(crate) fn published(&self) {
        let mut held = self.held();
        let gone = held.credit;
        self.end_held(&mut held, gone);
    }

    /// Whether what is there of a cut upload, so many bytes, may stay.
    pub(crate) fn may_stay(&self, bytes: u64) -> bool {
        let mut held = self.held();
        self.set_held(&mut held, bytes, Some(Kept::default()));
        self.metered.quota.admits(self.metered.meter.numbers().lasting())
    }

    /// The upload was not published, and nothing is left of it, or so many bytes are.
    pub(crate) fn end(&self, left: Option<u64>) {
        let mut held = self.held();
        self.set_held(&mut held, left.unwrap_or(0), Some(Kept::default()));
        let files = u64::from(left.is_none());
        self.end_held(&mut held, Kept { bytes: 0, files });
    }

    fn end_held(&self, held: &mut Held, gone: Kept) {
        if std::mem::replace(&mut held.is_over, true) {
            return;
        }
        let mut numbers = self.metered.meter.numbers();
        numbers.shade(held.shadow(), Kept::default());
        numbers.free(gone);
        numbers.running = numbers.running.saturating_sub(1);
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

impl Numbers {
    /// Puts one upload's part of the shadow in the place of another.
    fn shade(&mut self, before: Kept, after: Kept) {
        let shadow = &mut self.shadow;
        shadow.bytes = shadow.bytes.saturating_sub(before.bytes).saturating_add(after.bytes);
        shadow.files = shadow.files.saturating_sub(before.files).saturating_add(after.files);
    }
}
