//! An account's directory, as blocking calls.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use wharf_core::error::{ErrorKind, Result};
use wharf_core::storage::{Change, LastLink, ListDetail, Replace, Source, Space, UsedSpace};
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::path::VPath;

use super::count::count;
use super::fault::fault;
use super::interrupted::{InterruptedUploads, UnfinishedUpload};
use super::journal::{self, Recovery, is_growing, visible_length, visible_length_by};
use super::latency::CallLatency;
use super::path_rules::PathRules;
use super::space::{self, Headroom, SharedHeadroom};
use super::system::read_at_once;
use super::system::{Directory, EntryFacts, OpenedTemporary, Reader, Root, check_name, real_name};
use super::temporary::{
    BaseMatch, TemporaryKind, clear_absent_mark, is_hidden, is_in_time, is_unchanged_since,
    leads_to_hidden, match_base, may_be_same, partial_name, read_base, remove_if_unused,
    temporary_kind,
};
use super::{DiskOptions, Durability};
use crate::name::check_new;
use crate::quota::{LimitedHome, QuotaChange, Replaced};

/// A file up to this size is read at once when it is opened.
const WHOLE_BYTES_MAX: usize = 64 * 1024;

/// The open root, its account, and the options.
pub(super) struct Tree {
    pub(super) root: Root,
    /// The path by which it was opened.
    pub(super) folder: PathBuf,
    pub(super) account: String,
    pub(super) options: DiskOptions,
    pub(super) latency: CallLatency,
    /// Set if a quota is counted.
    pub(super) limited: Option<LimitedHome>,
    pub(super) ignores_case: bool,
    headroom: Arc<SharedHeadroom>,
    pub(super) interrupted: Arc<InterruptedUploads>,
    recovery: Recovery,
}

/// What exists under a name: its kind, or that of the target of a link, and its identity.
pub(super) struct ExistingEntry {
    pub(super) kind: Kind,
    pub(super) identity: String,
}

/// A directory and a name in it.
pub(super) struct Location<'a> {
    pub(super) dir: Directory,
    pub(super) name: &'a [u8],
    /// The facts of the entry when the location was found, if they were read then.
    facts: Option<EntryFacts>,
}

impl Tree {
    pub(super) fn open(root: &Path, account: &str, options: &DiskOptions) -> io::Result<Self> {
        let opened = Root::open(root, options.follow_symlinks).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot open {}: {error}", root.display()))
        })?;
        Ok(Self::from_root(opened, root, account, options))
    }

    /// Like `open`, if it succeeds without waiting for a disk; `open` reports any problem.
    pub(super) fn open_at_once(root: &Path, account: &str, options: &DiskOptions) -> Option<Self> {
        let opened = Root::open_at_once(root, options.follow_symlinks)?;
        Some(Self::from_root(opened, root, account, options))
    }

    fn from_root(root: Root, folder: &Path, account: &str, options: &DiskOptions) -> Self {
        let latency = CallLatency::new(root.medium());
        let ignores_case = root.ignores_case();
        let (account, options) = (account.to_owned(), options.clone());
        let (folder, recovery) = (folder.to_owned(), Recovery::of(folder));
        Self {
            root,
            folder,
            account,
            options,
            latency,
            limited: None,
            ignores_case,
            headroom: Arc::default(),
            interrupted: Arc::default(),
            recovery,
        }
    }

    /// Counts the usage.
    pub(super) fn with_limits(self, limited: Option<LimitedHome>) -> Self {
        Self { limited, ..self }
    }

    /// The system path of a path in this tree.
    pub(super) fn real_path(&self, at: &VPath) -> PathBuf {
        at.names().fold(self.folder.clone(), |path, name| path.join(real_name(name)))
    }

    /// The path without links; see `Storage::resolve`.
    pub(super) fn resolve(&self, at: &VPath, last: LastLink) -> Result<VPath> {
        self.root.resolve(&self.folder, at, last)
    }

    /// Like `resolve`, if it is certain without waiting for a disk that no link is in the path.
    pub(super) fn resolve_at_once(&self, at: &VPath, last: LastLink) -> Option<VPath> {
        if !self.latency.is_quick() {
            return None;
        }
        self.latency.timed(|| self.root.resolve_at_once(at, last))
    }

    /// Applies the rules of the account to the targets of links.
    pub(super) fn set_path_rules(&mut self, path_rules: PathRules) {
        self.root.set_path_rules(path_rules, &self.folder);
    }

    /// Whether a path, resolved without waiting for a disk, leads to the root of this tree.
    pub(super) fn is_still_at(&self, path: &Path) -> bool {
        self.root.is_still_at(path)
    }

    /// Resolves paths in user space instead of in the kernel.
    pub(super) fn walk(&mut self) {
        self.root.walk();
        self.latency = CallLatency::new(self.root.medium());
    }

    /// Whether small changes may run without a blocking thread: not if they wait for a disk.
    pub(super) fn changes_at_once(&self) -> bool {
        !self.is_durable() && self.latency.is_quick()
    }

    /// The exclusive right to change names, where a quota is counted.
    pub(super) fn counting(&self) -> Result<Option<QuotaChange<'_>>> {
        self.limited.as_ref().map(LimitedHome::change).transpose()
    }

    /// The space for new content; `None` if the system does not report it.
    pub(super) fn space(&self) -> Result<Option<Space>> {
        let top = self.root.top().map_err(fault)?;
        let space = space::of(&top).map_err(fault)?;
        Ok(space.map(|space| self.options.min_free_space.left_of(space)))
    }

    /// Checks that this number of bytes is available on the file system of an open file.
    pub(super) fn check_space(&self, file: &File, bytes: u64) -> Result<()> {
        Headroom::of(self.options.min_free_space).take(file, bytes)
    }

    /// The bytes that an upload to the file system of the root may write.
    pub(super) fn headroom(&self) -> Headroom {
        Headroom::of(self.options.min_free_space).sharing(&self.headroom)
    }

    pub(super) fn is_durable(&self) -> bool {
        self.options.durability == Durability::Full
    }

    pub(super) fn stat(&self, at: &VPath) -> Result<Entry> {
        reject_hidden(at, ErrorKind::NotFound)?;
        self.recover(at);
        self.root.stat(at).map(as_visible)
    }

    /// The metadata of a path, if it is cached; `stat` reports any problem.
    pub(super) fn stat_at_once(&self, at: &VPath) -> Option<Entry> {
        if leads_to_hidden(at) || !self.latency.is_quick() || !self.recovery.is_done(at) {
            return None;
        }
        self.latency.timed(|| self.root.stat_at_once(at)).map(as_visible)
    }

    /// The content of a file, if it is cached; `read` reports any problem.
    pub(super) fn read_at_once(&self, at: &VPath, from: u64) -> Option<Source> {
        if leads_to_hidden(at) || !self.latency.is_quick() || !self.recovery.is_done(at) {
            return None;
        }
        self.latency.timed(|| {
            let (file, size) = self.root.open_file_at_once(at)?;
            let size = visible_length(&file, size);
            let len = size.checked_sub(from)?;
            match usize::try_from(len) {
                Ok(few) if few <= WHOLE_BYTES_MAX => {
                    let bytes = read_at_once(&file, from, few, self.latency.medium)?;
                    Some(Source::Bytes(Bytes::from(bytes)))
                }
                _ => Some(Source::File { file, from, len }),
            }
        })
    }

    pub(super) fn list(&self, at: &VPath, wanted: ListDetail) -> Result<Reader> {
        reject_hidden(at, ErrorKind::NotFound)?;
        Reader::new(&self.root, self.root.directory(at)?, at.clone(), wanted)
    }

    pub(super) fn read(&self, at: &VPath, from: u64) -> Result<Source> {
        reject_hidden(at, ErrorKind::NotFound)?;
        self.recover(at);
        let (file, size) = self.root.open_file(at)?;
        let size = visible_length(&file, size);
        let len = size.checked_sub(from).ok_or(ErrorKind::BadOffset)?;
        Ok(Source::File { file, from, len })
    }

    pub(super) fn partial(&self, at: &VPath) -> Result<Option<u64>> {
        Ok(match self.unfinished(at)? {
            UnfinishedUpload::Bytes(bytes) => Some(bytes).filter(|bytes| *bytes > 0),
            UnfinishedUpload::Nothing | UnfinishedUpload::InUse | UnfinishedUpload::Outdated => {
                None
            }
        })
    }

    /// Whether the account has an unfinished upload to this path, or had one that was not kept.
    pub(super) fn has_unfinished(&self, at: &VPath) -> Result<bool> {
        if !matches!(self.unfinished(at)?, UnfinishedUpload::Nothing) {
            return Ok(true);
        }
        let Ok(location) = self.location(at, ErrorKind::IsADirectory) else { return Ok(false) };
        let name = partial_name(&self.account, location.name);
        let base = self.base(&location, at)?;
        Ok(base.is_some_and(|base| self.interrupted.start_of(&name, &base).is_some()))
    }

    /// The account's unfinished upload to this path.
    fn unfinished(&self, at: &VPath) -> Result<UnfinishedUpload> {
        if leads_to_hidden(at) {
            return Ok(UnfinishedUpload::Nothing);
        }
        let location = match self.location(at, ErrorKind::IsADirectory) {
            Ok(location) => location,
            Err(error) if error.kind == ErrorKind::Broken => return Err(error),
            Err(_) => return Ok(UnfinishedUpload::Nothing),
        };
        let base = self.base(&location, at)?;
        self.find_unfinished(&location, base.as_deref())
    }

    /// The account's unfinished upload to this location.
    pub(super) fn find_unfinished(
        &self,
        location: &Location<'_>,
        base: Option<&str>,
    ) -> Result<UnfinishedUpload> {
        let name = partial_name(&self.account, location.name);
        let OpenedTemporary::Found(file) = location.dir.open_own(&name).map_err(fault)? else {
            return Ok(UnfinishedUpload::Nothing);
        };
        // A shared lock, so that two sessions can query the length at once.
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(UnfinishedUpload::InUse),
            Err(TryLockError::Error(_)) => return Ok(UnfinishedUpload::Nothing),
        }
        let Some(length) = location.dir.length_if_same(&name, &file) else {
            return Ok(UnfinishedUpload::Nothing);
        };
        let keep = self.options.partial_upload_retention;
        if !is_in_time(&file, keep).map_err(fault)? {
            return Ok(UnfinishedUpload::Nothing);
        }
        let known = match_base(&location.dir, (&name, &file), location.name, base)?;
        if known != BaseMatch::Unknown {
            return Ok(UnfinishedUpload::Bytes(length));
        }
        let Some(base) = base else { return Ok(UnfinishedUpload::Nothing) };
        let Some(noted) = read_base(&location.dir, &name).map_err(fault)? else {
            // The server was killed before it wrote the first bytes. Both times are those of the
            // last change, which other programs can set or which are equal.
            return Ok(match is_unchanged_since(&location.dir, location.name, &file)? {
                true if length == 0 => UnfinishedUpload::Bytes(0),
                true => UnfinishedUpload::Outdated,
                false => UnfinishedUpload::Nothing,
            });
        };
        Ok(if may_be_same(&noted, base) {
            UnfinishedUpload::Outdated
        } else {
            UnfinishedUpload::Nothing
        })
    }

    /// The identity of the existing file, or of the target of a link; `None` if nothing exists. An
    /// interrupted upload is resumed only if the identity is unchanged.
    pub(super) fn base(&self, location: &Location<'_>, at: &VPath) -> Result<Option<String>> {
        Ok(self.existing(location, at)?.map(|existing| existing.identity))
    }

    /// The existing entry: of the target of a link, if it can be reached.
    pub(super) fn existing(
        &self,
        location: &Location<'_>,
        at: &VPath,
    ) -> Result<Option<ExistingEntry>> {
        let found = match &location.facts {
            Some(facts) => Directory::identity_by(facts)?,
            None => location.dir.identity(location.name)?,
        };
        let Some((kind, identity)) = found else { return Ok(None) };
        if kind != Kind::Link {
            return Ok(Some(ExistingEntry { kind, identity }));
        }
        let behind = self.root.stat(at)?;
        let (size, modified) = (behind.size, behind.modified);
        let identity = format!("{identity} {:?} {size} {modified:?}", behind.unique);
        Ok(Some(ExistingEntry { kind: behind.kind, identity }))
    }

    /// Undoes an append that a crash interrupted.
    pub(super) fn recover(&self, at: &VPath) {
        if self.recovery.is_done(at) {
            return;
        }
        let Ok(location) = self.location(at, ErrorKind::IsADirectory) else { return };
        let recover = || journal::recover(&location.dir, location.name).map(|bytes| ((), bytes));
        let recovered = match &self.limited {
            Some(limited) => limited.counter.shrink(recover),
            None => recover().map(drop),
        };
        // Otherwise the next access tries again.
        if recovered.is_ok() {
            self.recovery.done(at);
        }
    }

    /// Removes the account's unfinished upload to a name.
    fn remove_unfinished(&self, location: &Location<'_>, counting: Option<&QuotaChange<'_>>) {
        let name = partial_name(&self.account, location.name);
        // If this fails, the next sweep removes it.
        let removed = remove_if_unused(&location.dir, &name, std::time::Duration::ZERO);
        if let (Ok(Some(bytes)), Some(counting)) = (removed, counting) {
            counting.freed(bytes, 1);
        }
    }

    pub(super) fn remove_file(&self, at: &VPath) -> Result<()> {
        reject_hidden(at, ErrorKind::NotFound)?;
        let location = self.location(at, ErrorKind::IsADirectory)?;
        let counting = self.counting()?;
        match location.dir.measure(location.name)? {
            // The file does not exist: an unfinished upload is all that SIZE shows to its account.
            None => match self.find_unfinished(&location, None)? {
                UnfinishedUpload::Bytes(bytes) if bytes > 0 => {
                    self.remove_unfinished(&location, counting.as_ref());
                }
                _ => return Err(ErrorKind::NotFound.into()),
            },
            Some((Kind::Dir, _)) => return Err(ErrorKind::IsADirectory.into()),
            Some(_) => {
                let file = self.file_of(&location)?;
                location.dir.unlink(location.name).map_err(fault)?;
                clear_absent_mark(&location.dir, location.name);
                if let (Some(counting), Some(gone)) = (&counting, file) {
                    counting.moved(gone.file);
                    counting.freed_at(at, gone.bytes, 1);
                }
                self.remove_unfinished(&location, counting.as_ref());
            }
        }
        drop(counting);
        self.sync(&location.dir)
    }

    pub(super) fn remove_dir(&self, at: &VPath) -> Result<()> {
        reject_hidden(at, ErrorKind::NotFound)?;
        let location = self.location(at, ErrorKind::Forbidden)?;
        match location.dir.kind_of(location.name)? {
            None => return Err(ErrorKind::NotFound.into()),
            Some(Kind::Dir) => {}
            Some(_) => return Err(ErrorKind::NotADirectory.into()),
        }
        let counting = self.counting()?;
        if let Err(error) = location.dir.remove_dir(location.name) {
            if error.kind != ErrorKind::NotEmpty {
                return Err(error);
            }
            let removed = location.dir.subdirectory(location.name).map_err(fault)?;
            remove_temporaries(&removed, at, counting.as_ref())?;
            location.dir.remove_dir(location.name)?;
        }
        if let Some(counting) = &counting {
            counting.freed_at(at, 0, 1);
        }
        drop(counting);
        self.sync(&location.dir)
    }

    pub(super) fn make_dir(&self, at: &VPath, umask: u32) -> Result<()> {
        reject_hidden(at, ErrorKind::Forbidden)?;
        let location = self.location(at, ErrorKind::Exists)?;
        if location.dir.kind_of(location.name)?.is_some() {
            return Err(ErrorKind::Exists.into());
        }
        check_new(location.name)?;
        let counting = self.counting()?;
        if let Some(counting) = &counting {
            counting.check_one_more()?;
        }
        location.dir.make_dir(location.name, 0o777 & !umask)?;
        clear_absent_mark(&location.dir, location.name);
        if let Some(counting) = &counting {
            counting.added_one(at);
        }
        drop(counting);
        self.sync(&location.dir)
    }

    pub(super) fn rename(&self, from: &VPath, to: &VPath, replace: Replace) -> Result<()> {
        reject_hidden(from, ErrorKind::NotFound)?;
        reject_hidden(to, ErrorKind::Forbidden)?;
        let old = self.location(from, ErrorKind::Forbidden)?;
        let kind = old.dir.kind_of(old.name)?.ok_or(ErrorKind::NotFound)?;
        if from == to {
            return Ok(());
        }
        let is_dir = kind == Kind::Dir;
        if is_dir && to.is_within(from) {
            return Err(ErrorKind::Forbidden.into());
        }
        if kind == Kind::File {
            self.recover(from);
            // Its journal refers to it by the old name.
            let may_grow = journal::is_any_growing();
            if may_grow && self.root.open_file(from).is_ok_and(|(file, _)| is_growing(&file)) {
                return Err(ErrorKind::Busy.into());
            }
        }
        let new = self.location(to, ErrorKind::Exists)?;
        let unaccounted = self.unaccounted(from, to, kind)?;
        let counting = self.counting()?;
        if let (Some(counting), Some(_)) = (&counting, unaccounted) {
            counting.check_unaccounted()?;
        }
        let mut replaced = None;
        match self.kind_at(&new, to)? {
            // Only the case changes: `readme` becomes `README`.
            Some(_) if old.dir.is_respelling(old.name, &new.dir, new.name) => check_new(new.name)?,
            None => check_new(new.name)?,
            Some(there) => {
                replace.check(true)?;
                match (is_dir, there) {
                    (true, Kind::Dir) => return Err(ErrorKind::Exists.into()),
                    (true, _) => return Err(ErrorKind::NotADirectory.into()),
                    (false, there) => check_replaceable(there)?,
                }
                // A link itself is replaced, and has no size.
                replaced = self.file_of(&new)?;
            }
        }
        // The system would replace an empty directory by a directory, which is not allowed here.
        let replace = if is_dir { Replace::Forbidden } else { replace };
        let moved = self.file_of(&old)?;
        let is_unfinished = kind == Kind::File && self.has_unfinished(from)?;
        old.dir.rename(old.name, &new.dir, new.name, replace)?;
        if let Some(counting) = &counting {
            for file in moved.iter().chain(&replaced) {
                counting.moved(file.file);
            }
            if let Some(gone) = replaced {
                counting.freed_at(to, gone.bytes, 1);
            }
            counting.renamed(from, to, unaccounted);
        }
        if is_unfinished && let Ok(Some((_, identity))) = new.dir.identity(new.name) {
            // Its client may continue it under the new name.
            self.interrupted.remember(&partial_name(&self.account, new.name), &identity, 0);
        }
        // Unfinished uploads of any account to either name are void, and recognized as such by the
        // file that exists now, or its absence. They are kept, so that an account does not mistake
        // the file for its upload.
        for location in [&old, &new] {
            clear_absent_mark(&location.dir, location.name);
        }
        drop(counting);
        self.sync(&new.dir)?;
        self.sync(&old.dir)
    }

    /// The size of what is to be renamed, if it leaves an inner home in which it is counted and may
    /// not be counted in this one.
    fn unaccounted(&self, from: &VPath, to: &VPath, kind: Kind) -> Result<Option<UsedSpace>> {
        let leaves_inner_home = |limited: &LimitedHome| limited.leaves_inner_home(from, to);
        if !self.limited.as_ref().is_some_and(leaves_inner_home) {
            return Ok(None);
        }
        Ok(match kind {
            Kind::Dir => {
                let beneath = count(&self.real_path(from)).map_err(fault)?;
                Some(UsedSpace { files: beneath.files.saturating_add(1), ..beneath })
            }
            Kind::File => Some(UsedSpace { bytes: self.root.stat(from)?.size, files: 1 }),
            Kind::Link | Kind::Other => Some(UsedSpace::default()),
        })
    }

    pub(super) fn set(&self, at: &VPath, change: Change) -> Result<()> {
        reject_hidden(at, ErrorKind::NotFound)?;
        self.root.set(at, change)
    }

    /// Like `location`, if the parent is cached.
    pub(super) fn location_at_once<'a>(&self, at: &'a VPath) -> Option<Location<'a>> {
        let (parent, name) = (at.parent()?, at.name()?);
        check_name(name).ok()?;
        let dir = self.root.directory_at_once(&parent)?;
        let facts = self.root.check_location(at, &dir, name).ok()?;
        Some(Location { dir, name, facts })
    }

    /// The open parent of a path, and its last name. `of_root` is the error for the root.
    pub(super) fn location<'a>(&self, at: &'a VPath, of_root: ErrorKind) -> Result<Location<'a>> {
        let (Some(parent), Some(name)) = (at.parent(), at.name()) else {
            return Err(of_root.into());
        };
        check_name(name)?;
        let dir = self.root.directory(&parent)?;
        let facts = self.root.check_location(at, &dir, name)?;
        Ok(Location { dir, name, facts })
    }

    /// The kind at a location: that of the target for a link, or `Link` if the target cannot be
    /// reached.
    pub(super) fn kind_at(&self, location: &Location<'_>, at: &VPath) -> Result<Option<Kind>> {
        match location.dir.kind_of(location.name)? {
            Some(Kind::Link) => Ok(Some(self.root.stat(at)?.kind)),
            known => Ok(known),
        }
    }

    /// The existing regular file, where a quota is counted.
    fn file_of(&self, location: &Location<'_>) -> Result<Option<Replaced>> {
        if self.limited.is_some() { location.dir.file(location.name) } else { Ok(None) }
    }

    /// Syncs a directory if durability is configured.
    pub(super) fn sync(&self, dir: &Directory) -> Result<()> {
        if self.is_durable() { dir.sync().map_err(fault) } else { Ok(()) }
    }
}

/// The metadata of a file without bytes that are being appended.
fn as_visible(entry: Entry) -> Entry {
    Entry { size: visible_length_by(entry.unique, entry.size), ..entry }
}

/// Whether a file may replace an entry of this kind.
pub(super) fn check_replaceable(there: Kind) -> Result<()> {
    match there {
        Kind::File => Ok(()),
        Kind::Dir => Err(ErrorKind::IsADirectory.into()),
        Kind::Link | Kind::Other => Err(ErrorKind::Forbidden.into()),
    }
}

pub(super) fn reject_hidden(at: &VPath, kind: ErrorKind) -> Result<()> {
    if leads_to_hidden(at) { Err(kind.into()) } else { Ok(()) }
}

/// Empties a directory that contains only temporary files of the server. `NotEmpty`, with nothing
/// removed, if it contains anything else; `Busy` if an upload is in progress there.
fn remove_temporaries(
    dir: &Directory,
    at: &VPath,
    counting: Option<&QuotaChange<'_>>,
) -> Result<()> {
    for entry in dir.names().map_err(fault)? {
        let name = entry.map_err(fault)?.name;
        if !is_hidden(&name) || temporary_kind(&name).is_none() {
            return Err(ErrorKind::NotEmpty.into());
        }
    }
    for entry in dir.names().map_err(fault)? {
        let name = entry.map_err(fault)?.name;
        if temporary_kind(&name) != Some(TemporaryKind::Upload) {
            // It is removed with its upload, or its file no longer exists. Files in use are kept.
            let _ = dir.unlink(&name);
            continue;
        }
        let removed = remove_if_unused(dir, &name, std::time::Duration::ZERO).map_err(fault)?;
        let bytes = removed.ok_or(ErrorKind::Busy)?;
        if let Some(counting) = counting {
            counting.freed_at(at, bytes, 1);
        }
    }
    Ok(())
}
