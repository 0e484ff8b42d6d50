//! How a draft begins: what it claims, what it goes on with, and what it may not.

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
use crate::disk::prefix_copy::PrefixCopy;
use crate::disk::space::Headroom;
use crate::disk::system::{Directory, OpenedTemporary};
use crate::disk::temporary::{
    LockOutcome, claim, is_base_current, is_in_time, leads_to_hidden, partial_name, remove_base,
    temporary_name,
};
use crate::disk::tree::{Location, Tree, check_replaceable, refuse_hidden};
use crate::name::check_new;
use crate::quota::{LimitedHome, QuotaReservation, Replaced};

/// How often a name for a temporary is tried.
const TRIES_MAX: usize = 10;

/// Bytes of an unfinished upload by which a client is known that sends the whole file again behind
/// REST, as ncftpput does where the old file has another time than the new one.
pub(super) struct Overlap {
    head: Vec<u8>,
    next: ExpectedBytes,
}

/// What is known of the bytes that are to come.
enum ExpectedBytes {
    /// They came once already.
    IndexSnapshot(Vec<u8>),
    /// They are new. These came last: where a file repeats itself, its first bytes say nothing.
    New(Vec<u8>),
}

/// Bytes that are compared, and as few that say nothing.
const OVERLAP_BYTES_MAX: u64 = 1024;
const OVERLAP_BYTES_MIN: usize = 32;
/// Bytes in which a repetition is looked for.
const REPEATED_BYTES_MAX: u64 = 64 * 1024;

impl Overlap {
    /// What an upload of `length` bytes has at its beginning and at `keep`.
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
            ExpectedBytes::IndexSnapshot(read(keep, OVERLAP_BYTES_MAX)?)
        };
        Ok(Some(Self { head, next }))
    }

    /// Refuses bytes that are those of the beginning and not those that were to come: the file
    /// would hold its first part twice.
    pub(super) fn check(&self, pieces: &[bytes::Bytes]) -> Result<()> {
        let count = match &self.next {
            ExpectedBytes::IndexSnapshot(here) => self.head.len().min(here.len()),
            ExpectedBytes::New(_) => self.head.len(),
        };
        let came: Vec<u8> = pieces.iter().flatten().copied().take(count).collect();
        if came.len() < OVERLAP_BYTES_MIN || !self.head.starts_with(&came) {
            return Ok(());
        }
        let is_expected = match &self.next {
            ExpectedBytes::IndexSnapshot(here) => here.starts_with(&came),
            ExpectedBytes::New(last) => last.windows(came.len()).any(|bytes| bytes == came),
        };
        if is_expected {
            return Ok(());
        }
        let message = "the client sent the file from its beginning to be added to its first part";
        Err(Error::new(ErrorKind::BadOffset, message))
    }
}

/// What a write turns out to be.
pub(in crate::disk) enum StartedWrite {
    /// A new content, which takes the name when it is whole.
    Upload(PartialUpload),
    /// Bytes to be added to the file of that name in that directory.
    Append(PartialUpload, Directory, Vec<u8>),
}

/// What an account left unfinished over what stands there now.
pub(in crate::disk) enum UnfinishedUpload {
    Nothing,
    /// An upload that runs.
    InUse,
    /// Something that cannot go on, over what is by all signs still the old content.
    Outdated,
    /// So many bytes.
    Bytes(u64),
}

impl PartialUpload {
    /// Claims a temporary and brings it to the state in which the first byte can be written, as
    /// soon as what it begins with was copied.
    pub(in crate::disk) fn begin(tree: &Tree, at: &VPath, how: Write) -> Result<StartedWrite> {
        refuse_hidden(at, ErrorKind::Forbidden)?;
        let location = tree.location(at, ErrorKind::IsADirectory)?;
        if how.start == Start::End && location.dir.kind_of(location.name)? == Some(Kind::File) {
            let (dir, name) = (location.dir.again().map_err(fault)?, location.name.to_vec());
            return Ok(StartedWrite::Append(Self::begin_append(tree, location, at)?, dir, name));
        }
        Self::begin_in(tree, location, at, how).map(StartedWrite::Upload)
    }

    /// The same for a new file, if that takes no time worth a thread; none if it may.
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
            let location = tree.location_at_once(at)?;
            Some(Self::begin_in(tree, location, at, how))
        })
    }

    fn begin_in(tree: &Tree, location: Location<'_>, at: &VPath, how: Write) -> Result<Self> {
        match tree.kind_at(&location, at)? {
            None => check_new(location.name)?,
            Some(kind) => {
                check_replaceable(kind)?;
                how.replace.check(true)?;
            }
        }
        let base = tree.base(&location, at)?;
        if base.is_some() && how.start == Start::End {
            check_unfinished(tree, &location, base.as_deref())?;
        }
        // What was made just now and is not counted yet must not be taken for something old, and
        // counted as gone.
        let counting = tree.counting()?;
        let mut partial_upload = match Self::claim(tree, location, how.replace)? {
            // An upload of this account runs, or the server has not seen yet that it was cut: what
            // is sent on its behalf must not be added to the old file.
            (_, true) if base.is_some() && !matches!(how.start, Start::Fresh | Start::At(0)) => {
                return Err(Error::new(ErrorKind::Busy, "another upload to it is under way"));
            }
            (partial_upload, _) => partial_upload,
        };
        partial_upload.folder = tree.real_path(&at.parent().unwrap_or_else(VPath::root));
        partial_upload.base = base;
        partial_upload.reserve_quota(tree, at)?;
        drop(counting);
        partial_upload.prepare(tree, at, how.start)?;
        partial_upload.headroom.take(&partial_upload.file, 0)?;
        if let Some(reservation) = &partial_upload.reservation {
            reservation.check_room()?;
        }
        partial_upload.keeps_empty = partial_upload.base.is_some() && how.start == Start::Fresh;
        Ok(partial_upload)
    }

    /// A temporary for bytes that are to be added to a file.
    fn begin_append(tree: &Tree, location: Location<'_>, at: &VPath) -> Result<Self> {
        let base = tree.base(&location, at)?;
        check_unfinished(tree, &location, base.as_deref())?;
        // Who may not write to it hears that before sending anything.
        drop(location.dir.open_to_append(location.name)?);
        let counting = tree.counting()?;
        let (file, name) = claim_temporary(&location.dir)?;
        let mut partial_upload = Self::with(tree, location, Replace::Allowed, (file, None, name));
        partial_upload.folder = tree.real_path(&at.parent().unwrap_or_else(VPath::root));
        partial_upload.base = base;
        // It is no file of its own once it is done.
        let stage = partial_upload.as_stage()?;
        partial_upload.reserve_quota_for(tree, at, stage)?;
        drop(counting);
        partial_upload.headroom.take(&partial_upload.file, 0)?;
        if let Some(reservation) = &partial_upload.reservation {
            reservation.check_room()?;
        }
        Ok(partial_upload)
    }

    /// Counts it as something that the account keeps.
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
                // What was left there is counted already.
                self.keep_found();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Brings it to the state in which the first byte can be written.
    fn prepare(&mut self, tree: &Tree, at: &VPath, start: Start) -> Result<()> {
        let left = if start == Start::Fresh { None } else { self.resumable()? };
        let is_there = self.base.is_some();
        match (left, start) {
            // What is sent could be meant for either, also before the first byte of the new one.
            (Some(length), Start::End) if is_there => {
                self.keep_found();
                return Err(ErrorKind::Unfinished(length).into());
            }
            (Some(0), Start::End) => {}
            (Some(length), start) => {
                self.keep_found();
                return self.cut(start, length);
            }
            // The client goes on with what it sent for another file.
            (None, Start::At(1..))
                if self.found.is_some() && (is_there || self.is_in_time()?) =>
            {
                self.keep_found();
                let kind = if is_there { ErrorKind::Outdated } else { ErrorKind::BadOffset };
                return Err(kind.into());
            }
            (None, _) => {}
        }
        self.clear_found()?;
        match (start, is_there) {
            (Start::Fresh, _) => {}
            (start, true) => {
                tree.recover(at);
                let (old, length) = tree.root.open_file(at)?;
                let keep = kept(start, length)?;
                self.reserve_space(keep)?;
                self.copying = PrefixCopy::of(old, keep)?;
            }
            (start, false) => {
                kept(start, 0)?;
            }
        }
        Ok(())
    }

    /// How many bytes an earlier upload left that this one may go on with, none if it may not: it
    /// is too old, or was made for something else than what stands there now.
    fn resumable(&self) -> Result<Option<u64>> {
        let Some(length) = self.found else { return Ok(None) };
        if !self.is_in_time()? {
            return Ok(None);
        }
        let is_valid = is_base_current(&self.dir, &self.name, &self.target, self.base.as_deref());
        Ok(is_valid.map_err(fault)?.then_some(length))
    }

    fn is_in_time(&self) -> Result<bool> {
        is_in_time(&self.file, self.keep).map_err(fault)
    }

    /// What was found stays as it is if nothing is written, and what it was made for with it.
    fn keep_found(&mut self) {
        self.resumed = self.found;
        self.length = self.found.unwrap_or(0);
        self.is_base_recorded = true;
    }

    /// Empties what was found.
    fn clear_found(&mut self) -> Result<()> {
        if let Some(found) = self.found {
            if found > 0 {
                self.truncate(0)?;
            }
            remove_base(&self.dir, &self.name);
        }
        Ok(())
    }

    /// The account's own temporary for this target; another one if that is in use or odd. Says
    /// whether it is in use.
    fn claim(tree: &Tree, location: Location<'_>, replace: Replace) -> Result<(Self, bool)> {
        let partial = partial_name(&tree.account, location.name);
        let keep = tree.options.partial_upload_retention;
        let claimed = if keep.is_zero() {
            ClaimedPartial::Unavailable
        } else {
            claim_partial(&location.dir, &partial)?
        };
        let is_in_use = matches!(claimed, ClaimedPartial::InUse);
        let (parts, is_findable) = match claimed {
            ClaimedPartial::Locked(file, found) => ((file, found, partial), true),
            ClaimedPartial::InUse | ClaimedPartial::Unavailable => {
                let (file, name) = claim_temporary(&location.dir)?;
                ((file, None, name), false)
            }
        };
        let mut partial_upload = Self::with(tree, location, replace, parts);
        partial_upload.is_findable = is_findable;
        Ok((partial_upload, is_in_use))
    }

    fn with(
        tree: &Tree,
        location: Location<'_>,
        replace: Replace,
        (file, found, name): (File, Option<u64>, Vec<u8>),
    ) -> Self {
        Self {
            target: location.name.to_vec(),
            partial: partial_name(&tree.account, location.name),
            dir: location.dir,
            file,
            found,
            base: None,
            is_base_recorded: false,
            made_mark: false,
            copying: None,
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
            reservation: None,
        }
    }

    fn cut(&mut self, start: Start, length: u64) -> Result<()> {
        let keep = kept(start, length)?;
        self.overlap = Overlap::of(&mut self.file, keep, length).map_err(fault)?;
        self.truncate(keep)?;
        self.resumed = Some(keep);
        Ok(())
    }
}

/// Refuses to add to a file over which the account left an upload unfinished. What comes may be the
/// rest of that one, from a client that takes the length of the old file for what it has sent.
fn check_unfinished(tree: &Tree, location: &Location<'_>, base: Option<&str>) -> Result<()> {
    match tree.find_unfinished(location, base)? {
        UnfinishedUpload::Nothing => Ok(()),
        UnfinishedUpload::InUse => {
            Err(Error::new(ErrorKind::Busy, "another upload to it is under way"))
        }
        UnfinishedUpload::Outdated => Err(ErrorKind::Outdated.into()),
        UnfinishedUpload::Bytes(bytes) => Err(ErrorKind::Unfinished(bytes).into()),
    }
}

/// How many bytes of `length` a write keeps.
fn kept(start: Start, length: u64) -> Result<u64> {
    match start {
        Start::Fresh => Ok(0),
        Start::End => Ok(length),
        Start::At(keep) if keep <= length => Ok(keep),
        Start::At(_) => Err(ErrorKind::BadOffset.into()),
    }
}

/// The temporary under the account's own name.
enum ClaimedPartial {
    /// It is ours; its length if it was there before.
    Locked(File, Option<u64>),
    /// Another upload of this account uses it.
    InUse,
    /// It cannot be had.
    Unavailable,
}

fn claim_partial(dir: &Directory, name: &[u8]) -> Result<ClaimedPartial> {
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
                OpenedTemporary::Foreign => return Ok(ClaimedPartial::Unavailable),
                OpenedTemporary::Missing => continue,
            },
        };
        match claim(dir, name, &file) {
            LockOutcome::Locked(length) => {
                return Ok(ClaimedPartial::Locked(file, (!is_new).then_some(length)));
            }
            // One that only asks for its length is done at once.
            LockOutcome::InUse => std::thread::yield_now(),
            LockOutcome::Unsupported => return Ok(ClaimedPartial::Unavailable),
        }
    }
    Ok(ClaimedPartial::InUse)
}

pub(in crate::disk) fn claim_temporary(dir: &Directory) -> Result<(File, Vec<u8>)> {
    for _ in 0..TRIES_MAX {
        let name = temporary_name().map_err(fault)?;
        match dir.create(&name) {
            // Without locks its name alone makes it ours. A sweep may have taken it meanwhile.
            Ok(file) if !matches!(claim(dir, &name, &file), LockOutcome::InUse) => {
                return Ok((file, name));
            }
            Ok(_) => {}
            Err(error) if error.kind() == Io::AlreadyExists => {}
            Err(error) => return Err(fault(error)),
        }
    }
    Err(Error::new(ErrorKind::Busy, "no name for a temporary is free"))
}
