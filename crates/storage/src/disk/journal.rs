//! Crash-safe appends to existing files: the journal that undoes an incomplete append, and the
//! length that readers see until it is complete.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::UNIX_EPOCH;

use wharf_core::error::{ErrorKind, Result};
use wharf_core::lock;
use wharf_proto::path::VPath;

use super::boot;
use super::fault::fault;
use super::system::{Directory, OpenedTemporary, number};
use super::temporary::{LockOutcome, TemporaryKind, lock_temporary, temporary_kind, undo_name};

/// Maximum length of a journal that is read: a name and some numbers.
const RECORD_BYTES_MAX: u64 = 4096;
/// First line of a journal. A file without it was interrupted while being written, before its
/// target was changed.
const RECORD_HEAD: &str = "wharf append 1";
/// Last line of a journal.
const RECORD_END: &[u8] = b"\nend\n";
/// How often opening a journal is retried that other sessions remove concurrently.
const TRIES_MAX: usize = 10;
/// How many recovered paths a tree remembers.
const KNOWN_MAX: usize = 4096;
/// Bytes compared per step.
const COMPARED_BYTES: u64 = 256 * 1024;

/// The locked journal of one file: no other session appends to the file. Dropping it removes it, as
/// if nothing had been appended.
pub(super) struct Journal {
    dir: Directory,
    name: Vec<u8>,
    target: Vec<u8>,
    file: File,
    is_over: bool,
}

/// The content of a journal.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    target: Vec<u8>,
    /// The length to which the file is truncated.
    old: u64,
    /// The length that it was to have.
    new: u64,
    number: (u64, u64),
    made: Option<JournaledFile>,
}

/// Identifies the file and the appended bytes reliably.
#[derive(Debug, PartialEq, Eq)]
struct JournaledFile {
    /// Creation time of the file in nanoseconds, where the system reports it: an inode number may
    /// be reused.
    birth: Option<u128>,
    /// The name of the temporary file beside it that contains the bytes to append.
    stage: Vec<u8>,
    /// The boot in which the journal was written.
    boot: Vec<u8>,
}

impl Journal {
    /// Locks the file `target`; `None` if another session has it locked. Undoes an append that a
    /// crash interrupted, and passes the number of bytes removed to `freed`.
    pub(super) fn lock(
        dir: Directory,
        target: &[u8],
        freed: &mut dyn FnMut(u64),
    ) -> Result<Option<Self>> {
        let name = undo_name(target);
        for _ in 0..TRIES_MAX {
            let file = match dir.create(&name) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    match dir.open_own(&name).map_err(fault)? {
                        OpenedTemporary::Found(file) => file,
                        OpenedTemporary::Missing => continue,
                        OpenedTemporary::Foreign => return Err(ErrorKind::Forbidden.into()),
                    }
                }
                Err(error) => return Err(fault(error)),
            };
            match lock_temporary(&dir, &name, &file) {
                LockOutcome::Locked(_) | LockOutcome::Unsupported => {
                    let target = target.to_vec();
                    let mut journal = Self { dir, name, target, file, is_over: false };
                    freed(journal.undo()?);
                    return Ok(Some(journal));
                }
                // Its owner may just have removed it.
                LockOutcome::InUse if matches!(dir.kind_of(&name), Ok(None)) => {}
                LockOutcome::InUse => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Truncates the file, if it is the file of the journal and its length is plausible. Returns
    /// how many bytes that frees.
    fn undo(&mut self) -> Result<u64> {
        let Some(record) = self.read()? else { return Ok(0) };
        let freed = record.undo(&self.dir)?;
        self.file.set_len(0).map_err(fault)?;
        Ok(freed)
    }

    fn read(&mut self) -> Result<Option<Record>> {
        Record::read(&mut self.file).map_err(fault)
    }

    /// Records that a file is about to grow from `old` to `new` bytes; with `is_durable`, syncs the
    /// record so that it survives a power failure.
    pub(super) fn begin(
        &mut self,
        file: &File,
        (old, new): (u64, u64),
        stage: &[u8],
        is_durable: bool,
    ) -> Result<()> {
        let number = number(file).map_err(fault)?;
        let boot = boot::identity().trim_ascii().to_vec();
        let made = Some(JournaledFile { birth: birth(file), stage: stage.to_vec(), boot });
        let record = Record { target: self.target.clone(), old, new, number, made };
        let write = |journal: &mut File| {
            journal.set_len(0)?;
            journal.seek(SeekFrom::Start(0))?;
            journal.write_all(&record.text())?;
            if is_durable { journal.sync_all() } else { Ok(()) }
        };
        write(&mut self.file).map_err(fault)?;
        if is_durable { self.dir.sync().map_err(fault) } else { Ok(()) }
    }

    /// The directory of the file.
    pub(super) fn dir(&self) -> &Directory {
        &self.dir
    }

    /// Removes the journal: from here on the appended bytes are kept. The inner result reports
    /// whether that is durable.
    pub(super) fn end(&mut self, is_durable: bool) -> Result<Result<()>> {
        self.dir.unlink(&self.name).map_err(fault)?;
        self.is_over = true;
        Ok(if is_durable { self.dir.sync().map_err(fault) } else { Ok(()) })
    }

    /// Keeps the journal for the next recovery, because the appended bytes could not be removed.
    pub(super) fn leave(mut self) {
        self.is_over = true;
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.is_over {
            // If this fails, the next sweep removes it.
            let _ = self.dir.unlink(&self.name);
        }
    }
}

impl Record {
    fn text(&self) -> Vec<u8> {
        let (device, node) = self.number;
        let mut head = format!("{RECORD_HEAD} {} {} {device} {node}", self.old, self.new);
        if let Some(made) = &self.made {
            let birth = made.birth.map_or_else(|| "-".to_owned(), |birth| birth.to_string());
            let (stage, boot) =
                (String::from_utf8_lossy(&made.stage), String::from_utf8_lossy(&made.boot));
            head = format!("{head} {birth} {stage} {boot}");
        }
        [head.as_bytes(), b"\n", &self.target, RECORD_END].concat()
    }

    /// `None` if it is incomplete.
    fn parse(text: &[u8]) -> Option<Self> {
        let rest = text.strip_prefix(RECORD_HEAD.as_bytes())?.strip_suffix(RECORD_END)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (counts, target) = rest.split_at_checked(end)?;
        let mut words = std::str::from_utf8(counts).ok()?.strip_prefix(' ')?.split(' ');
        let counts: Vec<u64> =
            words.by_ref().take(4).map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let [old, new, device, node] = counts.as_slice() else { return None };
        let made = match words.collect::<Vec<_>>().as_slice() {
            [] => None,
            [birth, stage, boot] => Some(JournaledFile::parse(birth, stage, boot)?),
            _ => return None,
        };
        let target = target.get(1..).filter(|target| !target.is_empty())?.to_vec();
        Some(Self { target, old: *old, new: *new, number: (*device, *node), made })
    }

    fn read(journal: &mut File) -> io::Result<Option<Self>> {
        let mut text = Vec::new();
        journal.seek(SeekFrom::Start(0))?;
        journal.take(RECORD_BYTES_MAX).read_to_end(&mut text)?;
        Ok(Self::parse(&text))
    }

    /// Truncates the file. Leaves it unchanged if other programs wrote to it.
    fn undo(&self, dir: &Directory) -> Result<u64> {
        let named = match dir.open_to_append(&self.target) {
            Ok(file) => Some(file),
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::IsADirectory) => {
                None
            }
            Err(error) => return Err(error),
        };
        match named {
            Some(mut file) if self.is_same(number(&file).map_err(fault)?) => {
                self.truncate(dir, &mut file, FileIdentity::Name)
            }
            Some(_) | None => match self.find_renamed(dir)? {
                Some(mut file) => self.truncate(dir, &mut file, FileIdentity::ContentOnly),
                None => Ok(0),
            },
        }
    }

    /// The device number may change with a reboot.
    fn is_same(&self, number: (u64, u64)) -> bool {
        number.1 == self.number.1
    }

    /// The file under another name in its directory, where a program (as one that rotates logs)
    /// renamed it after the crash. Other directories are not searched.
    fn find_renamed(&self, dir: &Directory) -> Result<Option<File>> {
        for entry in dir.names().map_err(fault)? {
            let entry = entry.map_err(fault)?;
            if temporary_kind(&entry.name).is_some() {
                continue;
            }
            let found = dir.file(&entry.name)?;
            if found.is_some_and(|found| self.is_same(found.file)) {
                return dir.open_to_append(&entry.name).map(Some);
            }
        }
        Ok(None)
    }

    fn truncate(&self, dir: &Directory, file: &mut File, identity: FileIdentity) -> Result<u64> {
        let length = file.metadata().map_err(fault)?.len();
        if length <= self.old || length > self.new {
            return Ok(0);
        }
        let added = length.saturating_sub(self.old);
        let fits = match &self.made {
            Some(made) => made.fits(dir, file, (self.old, added), identity)?,
            None => identity == FileIdentity::Name,
        };
        if !fits {
            return Ok(0);
        }
        file.set_len(self.old).and_then(|()| file.sync_all()).map_err(fault)?;
        Ok(added)
    }
}

/// What identifies a file besides its inode number, which may be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileIdentity {
    /// Its name.
    Name,
    /// Nothing: its creation time must be known and equal, and in the same boot the staged bytes
    /// must still exist and be equal.
    ContentOnly,
}

impl JournaledFile {
    fn parse(birth: &str, stage: &str, boot: &str) -> Option<Self> {
        let birth = if birth == "-" { None } else { Some(birth.parse().ok()?) };
        let stage = stage.as_bytes().to_vec();
        // This name is opened next, so accept nothing but a temporary file of the server.
        (temporary_kind(&stage) == Some(TemporaryKind::Upload)).then_some(())?;
        Some(Self { birth, stage, boot: boot.as_bytes().to_vec() })
    }

    /// Whether an open file is the file of the journal, and the `added` bytes after the first `old`
    /// equal the staged ones, as far as these still exist.
    fn fits(
        &self,
        dir: &Directory,
        file: &mut File,
        (old, added): (u64, u64),
        identity: FileIdentity,
    ) -> Result<bool> {
        let is_named = identity == FileIdentity::Name;
        if !self.birth.zip(birth(file)).map_or(is_named, |(then, now)| then == now) {
            return Ok(false);
        }
        // After a power failure both sides may have lost bytes.
        if self.boot != boot::identity().trim_ascii() {
            return Ok(true);
        }
        let OpenedTemporary::Found(mut stage) = dir.open_own(&self.stage).map_err(fault)? else {
            return Ok(is_named);
        };
        file.seek(SeekFrom::Start(old)).map_err(fault)?;
        has_same_prefix(&mut file.take(added), &mut stage).map_err(fault)
    }
}

/// Whether the contents are equal up to the end of the shorter one.
fn has_same_prefix(one: &mut impl Read, other: &mut impl Read) -> io::Result<bool> {
    loop {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        one.by_ref().take(COMPARED_BYTES).read_to_end(&mut left)?;
        other.by_ref().take(COMPARED_BYTES).read_to_end(&mut right)?;
        let both = left.len().min(right.len());
        if left.get(..both) != right.get(..both) {
            return Ok(false);
        }
        if left.len() != right.len() || left.is_empty() {
            return Ok(true);
        }
    }
}

/// Creation time of a file, where the system reports it.
fn birth(file: &File) -> Option<u128> {
    let made = file.metadata().ok()?.created().ok()?;
    Some(made.duration_since(UNIX_EPOCH).ok()?.as_nanos())
}

/// Undoes an interrupted append to `target`, unless a session is appending to it now. Returns how
/// many bytes that freed.
pub(super) fn recover(dir: &Directory, target: &[u8]) -> Result<u64> {
    recover_by(dir, &undo_name(target))
}

/// Like [`recover`], by the name of the journal. The journal is removed.
pub(super) fn recover_by(dir: &Directory, name: &[u8]) -> Result<u64> {
    let OpenedTemporary::Found(mut file) = dir.open_own(name).map_err(fault)? else { return Ok(0) };
    if !matches!(lock_temporary(dir, name, &file), LockOutcome::Locked(_)) {
        return Ok(0);
    }
    let record = Record::read(&mut file).map_err(fault)?;
    let freed = record.map_or(Ok(0), |record| record.undo(dir))?;
    dir.unlink(name).map_err(fault)?;
    Ok(freed)
}

/// Files that are being appended to, and the length that readers see in the meantime.
static GROWING: LazyLock<Mutex<HashMap<(u64, u64), u64>>> = LazyLock::new(Mutex::default);
/// Their number, for a cheap check on each read.
static GROWING_COUNT: AtomicUsize = AtomicUsize::new(0);

fn growing() -> MutexGuard<'static, HashMap<(u64, u64), u64>> {
    lock(&GROWING)
}

/// Shows readers the old length of a file. Dropping it shows the actual length.
pub(super) struct LengthOverride((u64, u64));

impl LengthOverride {
    /// `None` if the file is already being appended to under another name.
    pub(super) fn behind(file: &File, length: u64) -> Result<Option<Self>> {
        let number = number(file).map_err(fault)?;
        let mut all = growing();
        if all.contains_key(&number) {
            return Ok(None);
        }
        all.insert(number, length);
        GROWING_COUNT.store(all.len(), Ordering::SeqCst);
        Ok(Some(Self(number)))
    }
}

impl Drop for LengthOverride {
    fn drop(&mut self) {
        let mut all = growing();
        all.remove(&self.0);
        GROWING_COUNT.store(all.len(), Ordering::SeqCst);
    }
}

/// The length of a file for its readers.
pub(super) fn visible_length(file: &File, length: u64) -> u64 {
    if !is_any_growing() {
        return length;
    }
    number(file).map_or(length, |number| visible_length_by(Some(number), length))
}

/// Like [`visible_length`], by device and inode.
pub(super) fn visible_length_by(number: Option<(u64, u64)>, length: u64) -> u64 {
    if !is_any_growing() {
        return length;
    }
    number.and_then(|number| growing().get(&number).copied()).map_or(length, |old| old.min(length))
}

/// Whether any file is being appended to.
pub(super) fn is_any_growing() -> bool {
    GROWING_COUNT.load(Ordering::SeqCst) > 0
}

/// Whether this file is being appended to.
pub(super) fn is_growing(file: &File) -> bool {
    number(file).is_ok_and(|number| growing().contains_key(&number))
}

/// Which files of a tree a crash may have left incomplete: all, until the tree was swept in this
/// run of the program, except files that were recovered already.
pub(super) struct Recovery {
    is_swept: Arc<AtomicBool>,
    known: Mutex<HashSet<VPath>>,
}

/// The directories that were swept.
fn swept(root: &Path) -> Arc<AtomicBool> {
    static SWEPT: LazyLock<Mutex<HashMap<PathBuf, Arc<AtomicBool>>>> =
        LazyLock::new(Mutex::default);
    let mut all = lock(&SWEPT);
    Arc::clone(all.entry(root.to_owned()).or_default())
}

/// Notes that everything beneath a directory was recovered.
pub(super) fn mark_swept(root: &Path) {
    swept(root).store(true, Ordering::Release);
}

impl Recovery {
    pub(super) fn of(root: &Path) -> Self {
        Self { is_swept: swept(root), known: Mutex::default() }
    }

    /// Whether a file needs no recovery.
    pub(super) fn is_done(&self, at: &VPath) -> bool {
        self.is_swept.load(Ordering::Acquire) || self.known().contains(at)
    }

    /// Notes that a file was recovered.
    pub(super) fn done(&self, at: &VPath) {
        let mut known = self.known();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(at.clone());
    }

    fn known(&self) -> MutexGuard<'_, HashSet<VPath>> {
        lock(&self.known)
    }
}

#[cfg(test)]
mod tests;
