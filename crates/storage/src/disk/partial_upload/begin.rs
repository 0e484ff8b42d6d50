//! Starting an upload: claiming the temporary file, resuming, and the checks that prevent a wrong
//! resumption.

use std::fs::File;
use std::io::ErrorKind as Io;
use std::path::PathBuf;
use std::sync::Arc;

use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{Replace, Start, Write};
use wharf_proto::entry::Kind;
use wharf_proto::path::VPath;

use super::{PartialUpload, UploadState};
use crate::disk::fault::fault;
use crate::disk::interrupted::UnfinishedUpload;
use crate::disk::prefix_copy::PrefixCopy;
use crate::disk::space::Headroom;
use crate::disk::system::{Directory, OpenedTemporary};
use crate::disk::temporary::{
    BaseMatch, LockOutcome, is_in_time, is_unchanged_since, leads_to_hidden, lock_temporary,
    match_base, partial_name, read_base, remove_base, temporary_name,
};
use crate::disk::tree::{Location, Tree, check_replaceable, reject_hidden};
use crate::name::check_new;
use crate::quota::{LimitedHome, QuotaReservation, Replaced};

/// How many names are tried for a temporary file.
const TRIES_MAX: usize = 10;

/// Bytes of an unfinished upload that identify a client that sends the whole file again after REST,
/// as ncftpput does if the old file has another modification time than the new one.
pub(super) struct Overlap {
    head: Vec<u8>,
    next: ExpectedBytes,
}

/// What is known about the bytes that should follow.
enum ExpectedBytes {
    /// They were received once already.
    Received(Vec<u8>),
    /// They are new. These were received last: if a file repeats itself, its first bytes prove
    /// nothing.
    New(Vec<u8>),
}

/// Number of bytes that are compared; fewer than these prove nothing.
const OVERLAP_BYTES_MAX: u64 = 1024;
const OVERLAP_BYTES_MIN: usize = 32;
/// Bytes that are searched for a repetition.
const REPEATED_BYTES_MAX: u64 = 64 * 1024;

impl Overlap {
    /// The bytes at the beginning of an upload of `length` bytes and at `keep`.
    fn of(file: &mut File, keep: u64, length: u64) -> std::io::Result<Option<Self>> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        if keep == 0 {
            return Ok(None);
        }
        let mut read = |from: u64, most: u64| {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(from))?;
            (&*file).take(most).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        let head = read(0, OVERLAP_BYTES_MAX.min(length))?;
        let next = if keep == length {
            let from = length.saturating_sub(REPEATED_BYTES_MAX).max(1);
            ExpectedBytes::New(read(from, REPEATED_BYTES_MAX)?)
        } else {
            ExpectedBytes::Received(read(keep, OVERLAP_BYTES_MAX)?)
        };
        Ok(Some(Self { head, next }))
    }

    /// Rejects bytes that equal the beginning of the file and not the expected ones: the file would
    /// contain its first part twice.
    pub(super) fn check(&self, pieces: &[bytes::Bytes]) -> Result<()> {
        let count = match &self.next {
            ExpectedBytes::Received(here) => self.head.len().min(here.len()),
            ExpectedBytes::New(_) => self.head.len(),
        };
        let came: Vec<u8> = pieces.iter().flatten().copied().take(count).collect();
        if came.len() < OVERLAP_BYTES_MIN || !self.head.starts_with(&came) {
            return Ok(());
        }
        let is_expected = match &self.next {
            ExpectedBytes::Received(here) => here.starts_with(&came),
            ExpectedBytes::New(last) => last.windows(came.len()).any(|bytes| bytes == came),
        };
        if is_expected {
            return Ok(());
        }
        let message = "the client sent the whole file again instead of its rest";
        Err(Error::new(ErrorKind::BadOffset, message))
    }
}

/// The kind of write that was started.
pub(in crate::disk) enum StartedWrite {
    /// New content, which gets the name once complete.
    Upload(PartialUpload),
    /// Bytes to append to the file of this name in this directory.
    Append(PartialUpload, Directory, Vec<u8>),
}

impl PartialUpload {
    /// Claims a temporary file and prepares it for the first byte; the bytes that precede the
    /// upload may still have to be copied.
    pub(in crate::disk) fn begin(tree: &Tree, at: &VPath, how: Write) -> Result<StartedWrite> {
        reject_hidden(at, ErrorKind::Forbidden)?;
        let location = tree.location(at, ErrorKind::IsADirectory)?;
        if how.start == Start::End && location.dir.kind_of(location.name)? == Some(Kind::File) {
            let (dir, name) = (location.dir.again().map_err(fault)?, location.name.to_vec());
            return Ok(StartedWrite::Append(Self::begin_append(tree, location, at)?, dir, name));
        }
        let headroom = Headroom::of(tree.options.min_free_space);
        Self::begin_in(tree, location, at, how, headroom).map(StartedWrite::Upload)
    }

    /// Like [`PartialUpload::begin`] for a new file, if that is fast enough to run without a
    /// blocking thread; `None` otherwise.
    pub(in crate::disk) fn begin_at_once(
        tree: &Tree,
        at: &VPath,
        how: Write,
    ) -> Option<Result<Self>> {
        let is_known = tree.limited.as_ref().is_none_or(LimitedHome::is_ready);
        let is_small = how.start == Start::Fresh && tree.changes_at_once() && is_known;
        if !is_small || leads_to_hidden(at) {
            return None;
        }
        tree.latency.timed(|| {
            // On the file system of the root.
            let location = tree.location_at_once(at)?;
            Some(Self::begin_in(tree, location, at, how, tree.headroom()))
        })
    }

    fn begin_in(
        tree: &Tree,
        location: Location<'_>,
        at: &VPath,
        how: Write,
        headroom: Headroom,
    ) -> Result<Self> {
        let existing = tree.existing(&location, at)?;
        match &existing {
            None => check_new(location.name)?,
            Some(existing) => {
                check_replaceable(existing.kind)?;
                how.replace.check(true)?;
            }
        }
        let base = existing.map(|existing| existing.identity);
        if base.is_some() && how.start == Start::End {
            check_unfinished(tree, &location, base.as_deref())?;
        }
        // A file that was just created and is not counted yet must not be mistaken for an old one
        // and subtracted.
        let counting = tree.counting()?;
        let mut partial_upload = match Self::acquire(tree, location, how.replace)? {
            // An upload of this account is in progress, or the server has not noticed yet that it
            // ended: bytes sent to resume it must not be appended to the old file.
            (_, true) if base.is_some() && !matches!(how.start, Start::Fresh | Start::At(0)) => {
                return Err(Error::new(
                    ErrorKind::Busy,
                    "another upload to this file is in progress",
                ));
            }
            (partial_upload, _) => partial_upload,
        };
        partial_upload.folder = tree.real_path(&at.parent().unwrap_or_else(VPath::root));
        partial_upload.base = base;
        partial_upload.headroom = headroom;
        partial_upload.reserve_quota(tree, at)?;
        drop(counting);
        partial_upload.prepare(tree, at, how.start)?;
        partial_upload.headroom.take(&partial_upload.file, 0)?;
        if let Some(reservation) = &partial_upload.reservation {
            reservation.check_space()?;
        }
        partial_upload.keeps_empty = partial_upload.base.is_some() && how.start == Start::Fresh;
        // The client of a rejected command sends no data, so that nothing is interrupted.
        partial_upload.interrupted = Some(Arc::clone(&tree.interrupted));
        Ok(partial_upload)
    }

    /// A temporary file for bytes to append to a file.
    fn begin_append(tree: &Tree, location: Location<'_>, at: &VPath) -> Result<Self> {
        let base = tree.base(&location, at)?;
        check_unfinished(tree, &location, base.as_deref())?;
        // Without write permission the client gets the error before it sends data.
        drop(location.dir.open_to_append(location.name)?);
        let counting = tree.counting()?;
        let (file, name) = acquire_temporary(&location.dir)?;
        let partial = partial_name(&tree.account, location.name);
        let parts = (file, None, name);
        let mut partial_upload = Self::with(tree, location, Replace::Allowed, parts, partial);
        partial_upload.folder = tree.real_path(&at.parent().unwrap_or_else(VPath::root));
        partial_upload.base = base;
        // It no longer counts as a file once the append is complete.
        let stage = partial_upload.as_stage()?;
        partial_upload.reserve_quota_for(tree, at, stage)?;
        drop(counting);
        partial_upload.headroom.take(&partial_upload.file, 0)?;
        if let Some(reservation) = &partial_upload.reservation {
            reservation.check_space()?;
        }
        Ok(partial_upload)
    }

    /// Reserves quota for it as a file of the account.
    fn reserve_quota(&mut self, tree: &Tree, at: &VPath) -> Result<()> {
        let Some(limited) = &tree.limited else { return Ok(()) };
        let replaces = if self.base.is_some() { self.dir.file(&self.target)? } else { None };
        self.reserve_quota_for(tree, at, limited.at(at).credited(replaces))
    }

    fn reserve_quota_for(
        &mut self,
        tree: &Tree,
        at: &VPath,
        replaces: Option<Replaced>,
    ) -> Result<()> {
        let Some(limited) = &tree.limited else { return Ok(()) };
        match QuotaReservation::begin(&limited.at(at), self.found, replaces) {
            Ok(reservation) => self.reservation = Some(Arc::new(reservation)),
            Err(error) => {
                // An earlier unfinished upload is counted already.
                self.resume_found();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Prepares the file for the first byte.
    fn prepare(&mut self, tree: &Tree, at: &VPath, start: Start) -> Result<()> {
        let left = if start == Start::Fresh { None } else { self.resumable()? };
        let is_there = self.base.is_some();
        match (left, start) {
            // The data could be meant for either file, even before the first byte of the new one.
            (Some(length), Start::End) if is_there => {
                self.resume_found();
                return Err(ErrorKind::Unfinished(length).into());
            }
            (Some(0), Start::End) => {}
            (Some(length), start) => {
                self.resume_found();
                return self.cut(start, length);
            }
            // The client resumes an upload that cannot be resumed, as one for another file.
            (None, Start::At(1..))
                if self.found.is_some() && (is_there || self.is_in_time()?) =>
            {
                let kind = self.why_void()?;
                self.resume_found();
                return Err(kind.into());
            }
            (None, _) => {}
        }
        let has_expired = self.found.is_some() && !self.is_in_time()?;
        self.clear_found()?;
        match (start, is_there) {
            (Start::Fresh, _) => {}
            (start, true) => {
                tree.recover(at);
                let (old, length) = tree.root.open_file(at)?;
                let keep = resumed_length(start, length)?;
                if matches!(start, Start::At(1..))
                    && let Some(begun) = self.interrupted_at(tree).filter(|begun| keep > *begun)
                {
                    return Err(ErrorKind::Interrupted(begun).into());
                }
                self.reserve_space(keep)?;
                self.copying = PrefixCopy::of(old, keep)?;
                self.start = keep;
            }
            (Start::At(1..), false) if has_expired => return Err(ErrorKind::Expired.into()),
            (start, false) => {
                resumed_length(start, 0)?;
            }
        }
        Ok(())
    }

    /// Where an earlier upload of the account to this file began that ended early and left nothing.
    /// If its client continued it behind that, the result would be a mixture.
    fn interrupted_at(&self, tree: &Tree) -> Option<u64> {
        tree.interrupted.start_of(&self.partial, self.base.as_ref()?)
    }

    /// Why an existing unfinished upload cannot be resumed.
    fn why_void(&self) -> Result<ErrorKind> {
        if !self.is_in_time()? {
            return Ok(ErrorKind::Expired);
        }
        let is_there = self.base.is_some();
        if self.found == Some(0)
            && read_base(&self.dir, &self.name).map_err(fault)?.is_none()
            && (!is_there || is_unchanged_since(&self.dir, &self.target, &self.file)?)
        {
            // The server was killed before it wrote the first bytes.
            return Ok(ErrorKind::PastPartial(0));
        }
        Ok(if is_there { ErrorKind::Outdated } else { ErrorKind::BadOffset })
    }

    /// Number of bytes of an earlier upload that this one may resume; `None` if the earlier one is
    /// too old, or was meant to replace a file other than the current one.
    fn resumable(&mut self) -> Result<Option<u64>> {
        let Some(length) = self.found else { return Ok(None) };
        if !self.is_in_time()? {
            return Ok(None);
        }
        let own = (self.name.as_slice(), &self.file);
        let known = match_base(&self.dir, own, &self.target, self.base.as_deref())?;
        self.lacks_record = known == BaseMatch::Unrecorded;
        Ok((known != BaseMatch::Unknown).then_some(length))
    }

    fn is_in_time(&self) -> Result<bool> {
        is_in_time(&self.file, self.keep).map_err(fault)
    }

    /// If nothing is written, the existing temporary file and its recorded base stay as they are. A
    /// missing record is written.
    fn resume_found(&mut self) {
        self.resumed = self.found;
        self.length = self.found.unwrap_or(0);
        self.is_base_recorded = !self.lacks_record;
    }

    /// Empties the existing temporary file.
    fn clear_found(&mut self) -> Result<()> {
        if let Some(found) = self.found {
            if found > 0 {
                self.truncate(0)?;
            }
            remove_base(&self.dir, &self.name);
        }
        Ok(())
    }

    /// The account's temporary file for this target, or another one if that is in use or unusable.
    /// Also returns whether it is in use.
    fn acquire(tree: &Tree, location: Location<'_>, replace: Replace) -> Result<(Self, bool)> {
        let partial = partial_name(&tree.account, location.name);
        let keep = tree.options.partial_upload_retention;
        let acquired = if keep.is_zero() {
            AcquiredPartial::Unavailable
        } else {
            acquire_partial(&location.dir, &partial)?
        };
        let is_in_use = matches!(acquired, AcquiredPartial::InUse);
        let (parts, is_findable) = match acquired {
            AcquiredPartial::Locked(file, found) => ((file, found, partial.clone()), true),
            AcquiredPartial::InUse | AcquiredPartial::Unavailable => {
                let (file, name) = acquire_temporary(&location.dir)?;
                ((file, None, name), false)
            }
        };
        let mut partial_upload = Self::with(tree, location, replace, parts, partial);
        partial_upload.is_findable = is_findable;
        Ok((partial_upload, is_in_use))
    }

    fn with(
        tree: &Tree,
        location: Location<'_>,
        replace: Replace,
        (file, found, name): (File, Option<u64>, Vec<u8>),
        partial: Vec<u8>,
    ) -> Self {
        Self {
            target: location.name.to_vec(),
            partial,
            dir: location.dir,
            file,
            found,
            base: None,
            is_base_recorded: false,
            lacks_record: false,
            made_mark: false,
            copying: None,
            start: 0,
            name,
            is_findable: false,
            folder: PathBuf::new(),
            keep: tree.options.partial_upload_retention,
            is_durable: tree.is_durable(),
            replace,
            mode: 0o666 & !tree.options.umask,
            resumed: None,
            overlap: None,
            keeps_empty: false,
            length: 0,
            is_detached: false,
            writer: None,
            synced: None,
            state: UploadState::Untouched,
            headroom: Headroom::of(tree.options.min_free_space),
            interrupted: None,
            reservation: None,
        }
    }

    fn cut(&mut self, start: Start, length: u64) -> Result<()> {
        let keep = resumed_length(start, length).map_err(|_| ErrorKind::PastPartial(length))?;
        self.overlap = Overlap::of(&mut self.file, keep, length).map_err(fault)?;
        self.truncate(keep)?;
        self.resumed = Some(keep);
        Ok(())
    }
}

/// Rejects to append to a file if the account has an unfinished upload that was to replace it. The
/// data may be the rest of that upload, from a client that mistakes the size of the old file for
/// the amount it has sent.
fn check_unfinished(tree: &Tree, location: &Location<'_>, base: Option<&str>) -> Result<()> {
    match tree.find_unfinished(location, base)? {
        UnfinishedUpload::Nothing => Ok(()),
        UnfinishedUpload::InUse => {
            Err(Error::new(ErrorKind::Busy, "another upload to this file is in progress"))
        }
        UnfinishedUpload::Outdated => Err(ErrorKind::Outdated.into()),
        UnfinishedUpload::Bytes(bytes) => Err(ErrorKind::Unfinished(bytes).into()),
    }
}

/// Number of bytes of `length` that a write keeps.
fn resumed_length(start: Start, length: u64) -> Result<u64> {
    match start {
        Start::Fresh => Ok(0),
        Start::End => Ok(length),
        Start::At(keep) if keep <= length => Ok(keep),
        Start::At(_) => Err(ErrorKind::BadOffset.into()),
    }
}

/// The temporary file under the name that belongs to the account and the target.
enum AcquiredPartial {
    /// Locked for this upload; its length if it existed before.
    Locked(File, Option<u64>),
    /// Another upload of this account uses it.
    InUse,
    /// It is not available.
    Unavailable,
}

fn acquire_partial(dir: &Directory, name: &[u8]) -> Result<AcquiredPartial> {
    let mut is_new = false;
    for _ in 0..TRIES_MAX {
        let file = match dir.create(name) {
            Ok(file) => {
                is_new = true;
                file
            }
            Err(error) if error.kind() != Io::AlreadyExists => return Err(fault(error)),
            Err(_) => match dir.open_own(name).map_err(fault)? {
                OpenedTemporary::Found(file) => file,
                OpenedTemporary::Foreign => return Ok(AcquiredPartial::Unavailable),
                OpenedTemporary::Missing => continue,
            },
        };
        match lock_temporary(dir, name, &file) {
            LockOutcome::Locked(length) => {
                return Ok(AcquiredPartial::Locked(file, (!is_new).then_some(length)));
            }
            // A session that only reads its length releases the lock at once.
            LockOutcome::InUse => std::thread::yield_now(),
            LockOutcome::Unsupported => return Ok(AcquiredPartial::Unavailable),
        }
    }
    Ok(AcquiredPartial::InUse)
}

pub(in crate::disk) fn acquire_temporary(dir: &Directory) -> Result<(File, Vec<u8>)> {
    for _ in 0..TRIES_MAX {
        let name = temporary_name().map_err(fault)?;
        match dir.create(&name) {
            // Without locks, exclusive creation alone makes it ours. A sweep may have removed it in
            // the meantime.
            Ok(file) if !matches!(lock_temporary(dir, &name, &file), LockOutcome::InUse) => {
                return Ok((file, name));
            }
            Ok(_) => {}
            Err(error) if error.kind() == Io::AlreadyExists => {}
            Err(error) => return Err(fault(error)),
        }
    }
    Err(Error::new(ErrorKind::Busy, "cannot find an unused name for a temporary file"))
}
