//! What an upload is until it is published: a hidden temporary beside its target.

mod begin;

use std::fs::File;
use std::io::{self, ErrorKind as Io, IoSlice, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{DetachedFile, Replace, Stored};

use super::detached::{DetachedWriter, WriteAllowance};
use super::fault::fault;
use super::prefix_copy::PrefixCopy;
use super::space::Headroom;
use super::system::{Directory, real_name};
use super::temporary::{clear_absent_mark, mark_absent, remove_base, remove_if_unused, write_base};
use crate::quota::{QuotaReservation, Replaced};

use self::begin::Overlap;
pub(super) use self::begin::{StartedWrite, UnfinishedUpload, claim_temporary};

/// The most pieces in one call; the system takes 1024 at most.
const PIECES_MAX: usize = 512;

/// A temporary that is ours alone. Dropping it keeps or removes it, which may block.
pub(super) struct PartialUpload {
    dir: Directory,
    target: Vec<u8>,
    file: File,
    /// How many bytes were in it when it was claimed; none if it was made then.
    found: Option<u64>,
    /// The identity of what stood at the target when the upload began; none if nothing did.
    base: Option<String>,
    /// Whether `base`, or that nothing stood there, is written down beside the temporary.
    is_base_recorded: bool,
    /// Whether the mark that nothing stood there was made for this upload.
    made_mark: bool,
    /// The first bytes of the file that is there, on their way into the temporary.
    copying: Option<PrefixCopy>,
    name: Vec<u8>,
    /// Whether `name` is the one under which this account finds it again.
    is_findable: bool,
    /// What others call the folder in which it is.
    folder: PathBuf,
    /// The name of this account's unfinished upload to the target, which publishing forgets.
    partial: Vec<u8>,
    keep: Duration,
    is_durable: bool,
    replace: Replace,
    /// Permission bits of a file that replaces none.
    mode: u32,
    /// How many bytes an earlier upload left that this one goes on with, if it does.
    resumed: Option<u64>,
    /// The first bytes of what it goes on with, and those that were to come where it goes on.
    overlap: Option<Overlap>,
    /// Whether it is kept without a byte, so that an upload that was to replace a file and was cut
    /// early is known as one.
    keeps_empty: bool,
    /// How many bytes there are now.
    length: u64,
    /// Whether somebody else writes to the file.
    is_detached: bool,
    /// Who wrote to it last.
    writer: Option<DetachedWriter>,
    /// How many there were when they were last synced.
    synced: Option<u64>,
    state: UploadState,
    /// The room on the file system.
    headroom: Headroom,
    /// Its part in what the account keeps, where that is counted.
    reservation: Option<Arc<QuotaReservation>>,
}

/// Bytes that are to be added to a file.
pub(super) struct Staged {
    pub(super) file: File,
    /// Under which they lie beside that file.
    pub(super) name: Vec<u8>,
    pub(super) length: u64,
}

/// How a draft ends when it is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UploadState {
    /// No byte was written: what was resumed stays, else it is removed.
    Untouched,
    /// It is kept if it can be found again.
    Written,
    /// A write failed: it is cut to what was resumed, or removed.
    Torn,
    /// It is removed: published as it is it would lie, or nobody could use it.
    Discarded,
    /// It has its final name.
    Published,
}

impl PartialUpload {
    /// Whether what it begins with is still to be copied.
    pub(super) fn is_copying(&self) -> bool {
        self.copying.is_some()
    }

    /// Which permission bits it does not get if it is a new file.
    pub(super) fn set_umask(&mut self, umask: u32) {
        self.mode = 0o666 & !umask;
    }

    /// Copies a part of what it begins with. It takes a moment only, so that a client that gives up
    /// is heard. After an error the draft must be dropped.
    pub(super) fn copy_on(&mut self) -> Result<()> {
        let Some(mut copying) = self.copying.take() else { return Ok(()) };
        let state = std::mem::replace(&mut self.state, UploadState::Discarded);
        if copying.step(&mut self.file)? {
            self.length = copying.length();
            self.state = state;
        } else {
            self.copying = Some(copying);
            self.state = state;
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        self.file.set_len(length).map_err(fault)?;
        self.file.seek(SeekFrom::Start(length)).map_err(fault)?;
        self.length = length;
        self.synced = None;
        if let Some(reservation) = &self.reservation {
            reservation.set(length);
        }
        Ok(())
    }

    /// Asks whether so many bytes may be added.
    fn reserve_space(&mut self, bytes: u64) -> Result<()> {
        self.headroom.take(&self.file, bytes)?;
        self.reservation.as_ref().map_or(Ok(()), |reservation| reservation.grow(bytes))
    }

    /// Writes the next bytes of an upload that goes on. After an error the draft must be dropped.
    pub(super) fn write(&mut self, pieces: &[Bytes]) -> Result<()> {
        if !pieces.is_empty() {
            self.note()?;
        }
        self.write_last(pieces)
    }

    /// The same for bytes behind which nothing comes, so that they are published or removed next.
    pub(super) fn write_last(&mut self, pieces: &[Bytes]) -> Result<()> {
        if self.is_copying() {
            self.state = UploadState::Discarded;
            return Err(Error::new(ErrorKind::Broken, "what it begins with is not there yet"));
        }
        if let Some(overlap) = self.overlap.take_if(|_| !pieces.is_empty()) {
            overlap.check(pieces).inspect_err(|_| self.state = UploadState::Torn)?;
        }
        for pieces in pieces.chunks(PIECES_MAX) {
            let bytes = pieces.iter().fold(0, |sum: usize, piece| sum.saturating_add(piece.len()));
            self.reserve_space(u64::try_from(bytes).unwrap_or(u64::MAX)).inspect_err(|_| {
                self.state = UploadState::Torn;
            })?;
            let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            self.write_all(&mut slices).map_err(|error| {
                self.state = UploadState::Torn;
                fault(error)
            })?;
        }
        Ok(())
    }

    /// Writes down beside it what it is to replace, so that this is known after a crash, too.
    fn note(&mut self) -> Result<()> {
        if !self.is_findable || self.is_base_recorded {
            return Ok(());
        }
        let noted = match &self.base {
            Some(base) => write_base(&self.dir, &self.name, base),
            None => mark_absent(&self.dir, &self.target).and_then(|(mark, is_new)| {
                self.made_mark = is_new;
                write_base(&self.dir, &self.name, &mark)
            }),
        };
        noted.map_err(fault)?;
        self.is_base_recorded = true;
        Ok(())
    }

    fn write_all(&mut self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        while !slices.is_empty() {
            match self.file.write_vectored(slices) {
                Ok(0) => return Err(Io::WriteZero.into()),
                Ok(written) => {
                    self.state = UploadState::Written;
                    let more = u64::try_from(written).map_err(io::Error::other)?;
                    self.length = self.length.saturating_add(more);
                    IoSlice::advance_slices(&mut slices, written);
                }
                Err(error) if error.kind() == Io::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The file at the place of the next byte, for somebody who writes to it without us.
    pub(super) fn detach_file(&mut self) -> Result<DetachedFile> {
        self.note()?;
        let file = self.file.try_clone().map_err(fault)?;
        self.is_detached = true;
        let borrowed = WriteAllowance::new(self.headroom, self.reservation.clone());
        self.writer = Some(borrowed.writer());
        Ok(DetachedFile { file, allowance: Some(Box::new(borrowed)) })
    }

    /// Counts what was written to the lent file. After a failed write the draft must be dropped.
    pub(super) fn reattach_file(&mut self, failed: bool) -> Result<()> {
        let was_lent = std::mem::take(&mut self.is_detached);
        if was_lent {
            let length = self.file.metadata().map_err(fault)?.len();
            if length > self.length {
                self.state = UploadState::Written;
                self.length = length;
            }
            if let Some(reservation) = &self.reservation {
                reservation.set(length);
            }
        }
        if failed {
            self.state = UploadState::Torn;
        }
        Ok(())
    }

    /// Makes what was written survive a power failure, where that is wanted.
    pub(super) fn sync(&mut self) -> Result<()> {
        if self.needs_sync() && self.synced != Some(self.length) {
            let state = std::mem::replace(&mut self.state, UploadState::Discarded);
            // An error is final: a second call could succeed without the bytes being there.
            self.file.sync_all().map_err(fault)?;
            self.state = state;
            self.synced = Some(self.length);
        }
        Ok(())
    }

    /// Where programs beside the server find it.
    pub(super) fn real_path(&self) -> PathBuf {
        self.folder.join(real_name(&self.name))
    }

    /// What others call the folder in which it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Nothing of it may be resumed.
    pub(super) fn discard(&mut self) {
        self.state = UploadState::Discarded;
    }

    /// Whether syncing does anything.
    pub(super) fn needs_sync(&self) -> bool {
        self.is_durable
    }

    /// Gives the draft its final name. On an error it is gone and nothing is published, except
    /// where syncing the directory fails: then the new content stands, but may not last.
    pub(super) fn publish(mut self) -> Result<Stored> {
        self.state = UploadState::Discarded;
        // What came there since the upload began keeps nothing.
        let stands = if self.base.is_some() { self.dir.mode(&self.target)? } else { None };
        self.dir.set_mode(&self.file, stands.unwrap_or(self.mode)).map_err(fault)?;
        self.sync()?;
        self.replace_target()?;
        if self.is_durable {
            self.dir.sync().map_err(fault)?;
        }
        Ok(Stored { size: self.length })
    }

    /// Renames the draft, and counts what is gone by that.
    fn replace_target(&mut self) -> Result<()> {
        let Some(reservation) = &self.reservation else {
            self.rename()?;
            let _ = self.remove_other();
            self.state = UploadState::Published;
            return Ok(());
        };
        let counting = reservation.limited().change()?;
        let account_status = self.dir.file(&self.target)?;
        reservation.check_publish(self.length, reservation.limited().credited(account_status))?;
        self.rename()?;
        if let Some(gone) = account_status {
            counting.moved(gone.file);
        }
        reservation.published();
        if let Some(Ok(Some(bytes))) = self.remove_other() {
            counting.freed(bytes, 1);
        }
        drop(counting);
        self.state = UploadState::Published;
        Ok(())
    }

    fn rename(&self) -> Result<()> {
        self.dir.rename(&self.name, &self.dir, &self.target, self.replace)?;
        clear_absent_mark(&self.dir, &self.target);
        if self.is_base_recorded {
            remove_base(&self.dir, &self.name);
        }
        Ok(())
    }

    /// What an earlier upload to this name left is older than what stands there now.
    fn remove_other(&self) -> Option<io::Result<Option<u64>>> {
        let forgets = !self.is_findable;
        forgets.then(|| remove_if_unused(&self.dir, &self.partial, Duration::ZERO))
    }

    /// The bytes that are to be added to a file.
    pub(super) fn staged(&self) -> Result<Staged> {
        let file = self.file.try_clone().map_err(fault)?;
        Ok(Staged { file, name: self.name.clone(), length: self.length })
    }

    /// Whether what is done must last.
    pub(super) fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Whether as much as it has may be kept, now that it is to be added to a file.
    pub(super) fn check_added(&self) -> Result<()> {
        let Some(reservation) = &self.reservation else { return Ok(()) };
        reservation.check_publish(self.length, self.as_stage()?)
    }

    /// Itself as what goes when its bytes are in another file.
    fn as_stage(&self) -> Result<Option<Replaced>> {
        Ok(self.dir.file(&self.name)?.map(|file| Replaced { bytes: 0, ..file }))
    }

    /// Ends it when its bytes are in another file. `end` makes them stay there, and says on its
    /// side whether that will last.
    ///
    /// # Errors
    /// That of `end`: the bytes are not there, and not here either.
    pub(super) fn added(mut self, end: impl FnOnce() -> Result<Result<()>>) -> Result<()> {
        self.state = UploadState::Discarded;
        let reservation = self.reservation.clone();
        let counting =
            reservation.as_ref().map(|reservation| reservation.limited().change()).transpose()?;
        let lasts = end()?;
        if self.dir.unlink(&self.name).is_ok() {
            if let Some(reservation) = &reservation {
                reservation.published();
            }
            self.state = UploadState::Published;
        }
        drop(counting);
        lasts
    }

    /// Whether the draft stays for its account, brought to the state in which it is resumed.
    fn stays(&mut self) -> bool {
        let is_kept = match (self.state, self.resumed) {
            (UploadState::Written, _) | (UploadState::Untouched, Some(_)) => true,
            (UploadState::Untouched, None) => self.keeps_empty,
            (UploadState::Torn, Some(resumed)) => self.truncate(resumed).is_ok(),
            (UploadState::Torn, None) | (UploadState::Discarded | UploadState::Published, _) => {
                false
            }
        };
        is_kept
            && self.is_findable
            && !self.is_copying()
            && (self.length > 0 || self.base.is_some())
            && self.reservation.as_ref().is_none_or(|reservation| reservation.may_stay(self.length))
            && self.note().is_ok()
            && (!self.is_durable || self.file.sync_all().is_ok())
    }
}

impl Drop for PartialUpload {
    fn drop(&mut self) {
        // Whoever writes to it has been stopped, or is just about to.
        if let (Some(writer), true) = (self.writer.take(), self.is_detached) {
            writer.wait();
        }
        let _ = self.reattach_file(false);
        if self.state == UploadState::Published {
            return;
        }
        // Where removing fails, the sweep comes back to it.
        let is_left = self.stays() || self.dir.unlink(&self.name).is_err();
        if !is_left && (self.is_base_recorded || self.found.is_some()) {
            remove_base(&self.dir, &self.name);
        }
        if !is_left && self.made_mark {
            clear_absent_mark(&self.dir, &self.target);
        }
        if let Some(reservation) = &self.reservation {
            reservation.end(is_left.then_some(self.length));
        }
    }
}
