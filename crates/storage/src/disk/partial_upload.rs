//! An upload until it is published: a hidden temporary file in the directory of its target.

mod begin;

use std::fs::File;
use std::io::{self, ErrorKind as Io, IoSlice, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::debug;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{DetachedFile, Replace, Stored};

use super::detached::{DetachedWriter, WriteAllowance};
use super::fault::fault;
use super::interrupted::InterruptedUploads;
use super::prefix_copy::PrefixCopy;
use super::space::Headroom;
use super::system::{Directory, real_name};
use super::temporary::{clear_absent_mark, mark_absent, remove_base, remove_if_unused, write_base};
use crate::quota::{QuotaReservation, Replaced};

use self::begin::Overlap;
pub(super) use self::begin::{StartedWrite, acquire_temporary};

/// Maximum number of slices per call; the system accepts at most 1024.
const PIECES_MAX: usize = 512;

/// A temporary file owned by one upload. Dropping it keeps or removes the file, which may block.
pub(super) struct PartialUpload {
    dir: Directory,
    target: Vec<u8>,
    file: File,
    /// The length of the file when it was claimed; `None` if it was created then.
    found: Option<u64>,
    /// The identity of the file at the target when the upload began; `None` if there was none.
    base: Option<String>,
    /// Whether `base`, or its absence, is recorded beside the temporary file.
    is_base_recorded: bool,
    /// Whether the upload that this one resumes has no record of `base`.
    lacks_record: bool,
    /// Whether this upload created the mark that no file exists at the target.
    made_mark: bool,
    /// The first bytes of the existing file, being copied into the temporary file.
    copying: Option<PrefixCopy>,
    /// Where the data begins that does not come from the file that is there.
    start: u64,
    name: Vec<u8>,
    /// Whether `name` is the name under which this account can resume the upload.
    is_findable: bool,
    /// The system path of its directory, for other programs.
    folder: PathBuf,
    /// The name of this account's unfinished upload to the target, which publishing removes.
    partial: Vec<u8>,
    keep: Duration,
    is_durable: bool,
    replace: Replace,
    /// Permission bits, if the upload does not replace a file.
    mode: u32,
    /// Number of bytes of an earlier upload that this one resumes, if any.
    resumed: Option<u64>,
    /// The first bytes of the resumed upload, and those expected at the position where it resumes.
    overlap: Option<Overlap>,
    /// Whether the file is kept even without content, so that an upload that was to replace a file
    /// and ended early is recognized.
    keeps_empty: bool,
    /// Current length.
    length: u64,
    /// Whether the file is detached, so that the engine writes to it.
    is_detached: bool,
    /// The last writer of the detached file.
    writer: Option<DetachedWriter>,
    /// The length at the last sync.
    synced: Option<u64>,
    state: UploadState,
    /// Free space on the file system.
    headroom: Headroom,
    /// Where it is remembered if it ends early and is not kept; `None` for bytes to append.
    interrupted: Option<Arc<InterruptedUploads>>,
    /// Its share of the usage of the account, where a quota applies.
    reservation: Option<Arc<QuotaReservation>>,
}

/// Bytes to append to a file.
pub(super) struct Staged {
    pub(super) file: File,
    /// The name of the temporary file beside the target.
    pub(super) name: Vec<u8>,
    pub(super) length: u64,
}

/// What happens to the temporary file when it is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UploadState {
    /// No byte was written: a resumed file is kept, a new one removed.
    Untouched,
    /// It is kept if it can be resumed.
    Written,
    /// A write failed: it is truncated to the resumed length, or removed.
    Torn,
    /// It is removed: it must not be resumed, or no client could use it.
    Discarded,
    /// It has its final name.
    Published,
}

impl PartialUpload {
    /// Whether the bytes that precede the upload are still to be copied.
    pub(super) fn is_copying(&self) -> bool {
        self.copying.is_some()
    }

    /// Sets the permission bits that a new file does not get.
    pub(super) fn set_umask(&mut self, umask: u32) {
        self.mode = 0o666 & !umask;
    }

    /// The bytes that precede the upload and are still to be copied.
    pub(super) fn copy_left(&self) -> u64 {
        self.copying.as_ref().map_or(0, PrefixCopy::left)
    }

    /// Copies bytes that precede the upload, `most` at most. After an error the partial upload must
    /// be dropped.
    pub(super) fn copy_on(&mut self, most: u64) -> Result<()> {
        let Some(mut copying) = self.copying.take() else { return Ok(()) };
        let state = std::mem::replace(&mut self.state, UploadState::Discarded);
        copying.step(&mut self.file, most)?;
        self.state = state;
        if copying.left() == 0 {
            self.length = copying.length();
        } else {
            self.copying = Some(copying);
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

    /// Checks that this number of bytes may be added.
    fn reserve_space(&mut self, bytes: u64) -> Result<()> {
        self.headroom.take(&self.file, bytes)?;
        self.reservation.as_ref().map_or(Ok(()), |reservation| reservation.grow(bytes))
    }

    /// Writes the next bytes of an upload. After an error the partial upload must be dropped.
    pub(super) fn write(&mut self, pieces: &[Bytes]) -> Result<()> {
        if !pieces.is_empty() {
            self.note()?;
        }
        self.write_unrecorded(pieces)
    }

    /// Like `write`, without a record of the file that is replaced: for the first bytes, or for the
    /// last ones, so that the file is published or removed next.
    pub(super) fn write_unrecorded(&mut self, pieces: &[Bytes]) -> Result<()> {
        if self.is_copying() {
            self.state = UploadState::Discarded;
            return Err(Error::new(ErrorKind::Broken, "the existing content is not copied yet"));
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

    /// Records beside the temporary file which file it replaces, so that this is known after a
    /// crash.
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

    /// Detaches the file, positioned at the next byte, for a writer outside of the storage.
    pub(super) fn detach_file(&mut self) -> Result<DetachedFile> {
        self.note()?;
        let file = self.file.try_clone().map_err(fault)?;
        self.is_detached = true;
        let write_allowance = WriteAllowance::new(self.headroom.clone(), self.reservation.clone());
        self.writer = Some(write_allowance.writer());
        Ok(DetachedFile { file, allowance: Some(Box::new(write_allowance)) })
    }

    /// Counts what was written to the detached file. After a failed write the partial upload must
    /// be dropped.
    pub(super) fn reattach_file(&mut self, failed: bool) -> Result<()> {
        let was_detached = std::mem::take(&mut self.is_detached);
        if was_detached {
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

    /// Syncs the content if durability is configured.
    pub(super) fn sync(&mut self) -> Result<()> {
        if self.needs_sync() && self.synced != Some(self.length) {
            let state = std::mem::replace(&mut self.state, UploadState::Discarded);
            // An error is final: a second call could succeed although the bytes were lost.
            self.file.sync_all().map_err(fault)?;
            self.state = state;
            self.synced = Some(self.length);
        }
        Ok(())
    }

    /// The system path of the temporary file, for programs outside of the server.
    pub(super) fn real_path(&self) -> PathBuf {
        self.folder.join(real_name(&self.name))
    }

    /// The system path of its directory, for programs outside of the server.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The system path of the target, for the log.
    fn shown_target(&self) -> String {
        self.folder.join(real_name(&self.target)).display().to_string()
    }

    /// Marks the file as not resumable.
    pub(super) fn discard(&mut self) {
        self.state = UploadState::Discarded;
    }

    /// Whether syncing has any effect.
    pub(super) fn needs_sync(&self) -> bool {
        self.is_durable
    }

    /// Renames the temporary file to its final name. On an error it is removed and nothing is
    /// published, except if syncing the directory fails: then the new content is in place, but may
    /// not be durable.
    pub(super) fn publish(mut self) -> Result<Stored> {
        self.state = UploadState::Discarded;
        // The permission bits of a file that was created since the upload began are not inherited.
        let stands = if self.base.is_some() { self.dir.mode(&self.target)? } else { None };
        self.dir.set_mode(&self.file, stands.unwrap_or(self.mode)).map_err(fault)?;
        self.sync()?;
        self.replace_target()?;
        if self.is_durable {
            self.dir.sync().map_err(fault)?;
        }
        debug!(path = %self.shown_target(), bytes = self.length, "upload published");
        Ok(Stored { size: self.length })
    }

    /// Renames the temporary file and counts what the rename removed.
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

    /// An unfinished earlier upload to this name is older than the file that exists now.
    fn remove_other(&self) -> Option<io::Result<Option<u64>>> {
        let forgets = !self.is_findable;
        forgets.then(|| remove_if_unused(&self.dir, &self.partial, Duration::ZERO))
    }

    /// The bytes to append to a file.
    pub(super) fn staged(&self) -> Result<Staged> {
        let file = self.file.try_clone().map_err(fault)?;
        Ok(Staged { file, name: self.name.clone(), length: self.length })
    }

    /// Whether the result must be durable.
    pub(super) fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Checks that the quota allows its bytes, now that they are about to be appended to a file.
    pub(super) fn check_added(&self) -> Result<()> {
        let Some(reservation) = &self.reservation else { return Ok(()) };
        reservation.check_publish(self.length, self.as_stage()?)
    }

    /// Itself as the file that is removed once its bytes are in another file.
    fn as_stage(&self) -> Result<Option<Replaced>> {
        Ok(self.dir.file(&self.name)?.map(|file| Replaced { bytes: 0, ..file }))
    }

    /// Ends the upload once its bytes are in another file. `end` keeps the bytes there and returns,
    /// in its inner result, whether that is durable.
    ///
    /// # Errors
    /// The error of `end`: the bytes are neither there nor here.
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

    /// Whether the file is kept for its account; brings it to the state in which it can be resumed.
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
        // The writer has been stopped, or is about to stop.
        if let (Some(writer), true) = (self.writer.take(), self.is_detached) {
            writer.wait();
        }
        let _ = self.reattach_file(false);
        if self.state == UploadState::Published {
            return;
        }
        // If removing fails, the next sweep does it.
        let is_left = self.stays() || self.dir.unlink(&self.name).is_err();
        let bytes = self.length;
        debug!(path = %self.shown_target(), bytes, is_kept = is_left, "partial upload ended");
        if !is_left && (self.is_base_recorded || self.found.is_some()) {
            remove_base(&self.dir, &self.name);
        }
        if let (false, Some(interrupted), Some(base)) = (is_left, &self.interrupted, &self.base) {
            interrupted.remember(&self.partial, base, self.start);
        }
        if !is_left && self.made_mark {
            clear_absent_mark(&self.dir, &self.target);
        }
        if let Some(reservation) = &self.reservation {
            reservation.end(is_left.then_some(self.length));
        }
    }
}
