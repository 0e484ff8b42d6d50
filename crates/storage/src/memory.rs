//! A file tree in memory.

#[cfg(test)]
mod tests;
mod tree;

use std::collections::hash_map;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use wharf_core::account::Account;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{
    Capabilities, Change, Entries, ListDetail, Replace, Sink, Source, Start, Storage, Stored,
    Stores, Usage, UsedSpace, Write,
};
use wharf_core::{Bytes, Stream, async_trait, lock};
use wharf_proto::entry::Entry;
use wharf_proto::path::VPath;
use wharf_proto::time::Timestamp;

use self::tree::{GONE, Identity, MemoryTree, Partial, PartialKey, first_bytes};
use crate::name::upload_owner;
use crate::quota::{FileId, LimitedHome, Quota, QuotaCounter, QuotaReservation, Replaced};

/// Maximum length of a file in a [`Memory`]; more is `NoSpace`.
const FILE_BYTES_MAX: usize = 1 << 30;
/// Maximum length of a chunk that reading a file yields.
const PIECE_BYTES_MAX: usize = 64 * 1024;
/// The permission bits that new files and directories do not get, until a session changes the
/// umask.
const UMASK: u32 = 0o022;
/// Maximum number of entries in one batch of a listing.
const BATCH_ENTRIES_MAX: usize = 256;

/// A file tree in memory, freed when its last clone is dropped.
///
/// Clones share one tree. It is deterministic: with [`Memory::with_clock`], the same operations in
/// the same order give the same results. Listings are sorted. A file holds at most 1 GiB; more is
/// `NoSpace`.
///
/// Accounts share the files but not their unfinished uploads: see [`Memory::for_account`].
#[derive(Clone)]
pub struct Memory {
    tree: Arc<Mutex<MemoryTree>>,
    account: Arc<str>,
    quota: Quota,
    keeps_partials: bool,
    /// Umask of this handle and its clones.
    umask: Arc<AtomicU32>,
}

impl Memory {
    /// An empty tree that takes times from the system clock.
    pub fn new() -> Self {
        Self::with_clock(crate::time::now)
    }

    /// An empty tree that uses `clock` for the time of every change.
    pub fn with_clock(clock: fn() -> Timestamp) -> Self {
        Self {
            tree: Arc::new(Mutex::new(MemoryTree::new(clock))),
            account: Arc::from(""),
            quota: Quota::UNLIMITED,
            keeps_partials: true,
            umask: Arc::new(AtomicU32::new(UMASK)),
        }
    }

    /// The same tree for another account: the files are shared, unfinished uploads are not.
    #[must_use]
    pub fn for_account(&self, name: &str) -> Self {
        let umask = Arc::new(AtomicU32::new(UMASK));
        Self { account: Arc::from(name), quota: Quota::UNLIMITED, umask, ..self.clone() }
    }

    /// The same tree, in which this handle and its clones leave no unfinished uploads: for an
    /// account that many users share.
    #[must_use]
    pub fn without_partials(&self) -> Self {
        Self { keeps_partials: false, ..self.clone() }
    }

    /// The same tree with a quota for this handle and its clones. From the first such call on,
    /// changes of all accounts are counted; files added later by [`Memory::put`] are not.
    #[must_use]
    pub fn with_quota(&self, quota: Quota) -> Self {
        let mut tree = self.tree();
        if tree.counter.is_none() {
            tree.counter = Some(Arc::new(QuotaCounter::counted(tree.used(), 0, None)));
        }
        drop(tree);
        Self { quota, ..self.clone() }
    }

    /// The usage, computed from the files. Equals the count while no upload is in progress.
    pub fn recount(&self) -> UsedSpace {
        self.tree().used()
    }

    /// Adds a file with its parent directories, replacing any existing content. Any name is
    /// accepted, including those that clients may not create.
    ///
    /// # Panics
    /// If `path` is invalid (see [`VPath::resolve`]), a directory, or leads through a file.
    pub fn put(&self, path: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) {
        let at = Self::path(path.as_ref());
        let content = Bytes::copy_from_slice(bytes.as_ref());
        let result = self.tree().put(&at, content);
        result.expect("the path of a file put into memory leads through directories");
    }

    /// The content of a file; `None` if it does not exist.
    ///
    /// # Panics
    /// If `path` is invalid (see [`VPath::resolve`]).
    pub fn content(&self, path: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        Some(self.tree().file(&Self::path(path.as_ref())).ok()?.to_vec())
    }

    /// The path of everything in the tree except the root, files and directories, sorted by
    /// directory and then by name. Special bytes are escaped as in [`VPath`]'s `Display`.
    pub fn paths(&self) -> Vec<String> {
        self.tree().paths().map(|path| path.to_string()).collect()
    }

    fn path(bytes: &[u8]) -> VPath {
        let path = VPath::root().resolve(bytes);
        path.expect("a path given by the program has no NUL and is short")
    }

    fn tree(&self) -> MutexGuard<'_, MemoryTree> {
        // A panic while the lock was held leaves the nodes consistent: every change is one
        // insertion.
        lock(&self.tree)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Memory").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Memory {
    /// The counter of the tree with the limits of this account, if a quota is counted.
    fn limited(&self, tree: &MemoryTree) -> Option<LimitedHome> {
        let counter = tree.counter.clone()?;
        Some(LimitedHome::new(counter, self.quota))
    }

    /// Sets the permission bits of a new entry.
    fn masked(&self, tree: &mut MemoryTree, at: &VPath, bits: u32) -> Result<()> {
        tree.set(at, Change::Mode(bits & !self.umask.load(Ordering::Relaxed)))
    }

    /// Counts the removal of one file or directory.
    fn freed(&self, tree: &MemoryTree, bytes: u64) -> Result<()> {
        if let Some(limited) = self.limited(tree) {
            limited.change()?.freed(bytes, 1);
        }
        Ok(())
    }

    /// Removes this account's unfinished upload to a name.
    fn forget(&self, tree: &mut MemoryTree, at: &VPath) -> Result<()> {
        let key = (Arc::clone(&self.account), at.clone());
        match tree.partials.remove(&key) {
            Some(partial) => self.freed(tree, length(&partial.content)),
            None => Ok(()),
        }
    }

    /// Starts appending to the file with this number.
    fn append(&self, tree: &mut MemoryTree, key: PartialKey, number: u64) -> Result<Box<dyn Sink>> {
        if tree.running.contains_key(&key) {
            return Err(ErrorKind::Busy.into());
        }
        // Even without content: the data may be the rest of the unfinished upload.
        if let Some(left) = tree.partial(&key).map(|partial| length(&partial.content)) {
            return Err(ErrorKind::Unfinished(left).into());
        }
        // It no longer counts as a file once the append is complete.
        let stage = Replaced { file: (tree.next_number(), STAGES), bytes: 0 };
        let reservation = match self.limited(tree) {
            None => None,
            Some(limited) => {
                let reservation = QuotaReservation::begin(&limited, None, Some(stage))?;
                reservation.check_space()?;
                Some(reservation)
            }
        };
        Ok(Box::new(MemoryUpload {
            memory: self.clone(),
            reservation,
            at: key.1,
            replace: Replace::Allowed,
            content: Vec::new(),
            base: None,
            adds_to: Some(Addition { number, stage }),
            is_worth_keeping: false,
        }))
    }

    /// Ends the quota credit of uploads to `at`: the file that they were to replace is no longer
    /// there.
    fn moved(&self, tree: &MemoryTree, at: &VPath) -> Result<()> {
        if let Some(limited) = self.limited(tree) {
            limited.change()?.moved(file_id(at));
        }
        Ok(())
    }

    /// Reserves quota for an upload that starts with this many bytes, and resumes an unfinished one
    /// if that has bytes.
    fn reserve(
        &self,
        tree: &MemoryTree,
        at: &VPath,
        partial: Option<u64>,
        bytes: u64,
    ) -> Result<Option<QuotaReservation>> {
        let Some(limited) = self.limited(tree) else { return Ok(None) };
        let replaces = replaced(tree, at);
        let reservation = QuotaReservation::begin(&limited, partial, replaces)?;
        let begun = match bytes.checked_sub(partial.unwrap_or(0)) {
            Some(more) if more > 0 => reservation.grow(more),
            _ => {
                reservation.set(bytes);
                Ok(())
            }
        };
        match begun.and_then(|()| reservation.check_space()) {
            Ok(()) => Ok(Some(reservation)),
            Err(error) => {
                // The unfinished upload stays as it was.
                reservation.end(partial);
                Err(error)
            }
        }
    }
}

/// Opens the shared tree for every account; their homes are ignored.
#[async_trait]
impl Stores for Memory {
    async fn open(&self, account: &Account) -> Result<Arc<dyn Storage>> {
        let memory = self.for_account(&upload_owner(account));
        let memory = if account.is_anonymous { memory.without_partials() } else { memory };
        let quota = Quota::of(account, Quota::UNLIMITED);
        Ok(Arc::new(if quota.is_limited() { memory.with_quota(quota) } else { memory }))
    }
}

#[async_trait]
impl Storage for Memory {
    fn caps(&self) -> Capabilities {
        Capabilities {
            resumes: true,
            appends: true,
            sets_times: true,
            sets_mode: true,
            ignores_case: false,
        }
    }

    async fn stat(&self, at: &VPath) -> Result<Entry> {
        self.tree().stat(at)
    }

    async fn list(&self, at: &VPath, _: ListDetail) -> Result<Entries> {
        self.tree().check_dir(at)?;
        let listing = MemoryListing { memory: self.clone(), at: at.clone(), after: Vec::new() };
        Ok(Entries::Stream(Box::pin(listing)))
    }

    async fn read(&self, at: &VPath, from: u64) -> Result<Source> {
        let content = self.tree().file(at)?;
        let from = usize::try_from(from).ok().filter(|from| *from <= content.len());
        let rest = content.slice(from.ok_or(ErrorKind::BadOffset)?..);
        Ok(Source::Stream(Box::pin(MemoryReader { rest })))
    }

    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>> {
        let mut tree = self.tree();
        let base = tree.identity(at);
        let key = (Arc::clone(&self.account), at.clone());
        if let (Start::End, Some((number, _)), Ok(_)) = (how.start, base, tree.file(at)) {
            return self.append(&mut tree, key, number);
        }
        tree.check_write(at, how.replace)?;
        if base.is_some() && how.start != Start::Fresh && tree.running.contains_key(&key) {
            return Err(ErrorKind::Busy.into());
        }
        if base.is_some() && matches!(how.start, Start::At(1..)) && tree.is_outdated(&key) {
            return Err(ErrorKind::Outdated.into());
        }
        let partial = tree.partial(&key).filter(|_| how.start != Start::Fresh);
        let resumed = partial.is_some();
        let before = match (how.start, partial) {
            (Start::Fresh, _) | (Start::End, None) => Vec::new(),
            (Start::End, Some(partial)) => partial.content.clone(),
            (Start::At(keep), Some(partial)) => {
                let behind = ErrorKind::PastPartial(length(&partial.content));
                first_bytes(&partial.content, keep).ok_or(behind)?
            }
            (Start::At(keep), None) => {
                first_bytes(&tree.file(at).unwrap_or_default(), keep).ok_or(ErrorKind::BadOffset)?
            }
        };
        let left = tree.partials.get(&key).map(|partial| length(&partial.content));
        let reservation = self.reserve(&tree, at, left, length(&before))?;
        tree.partials.remove(&key);
        tree.running.entry(key).or_default().count += 1;
        let upload = MemoryUpload {
            reservation,
            memory: self.clone(),
            at: at.clone(),
            replace: how.replace,
            content: before,
            base,
            adds_to: None,
            // An upload that was to replace a file and ended early must be recognized.
            is_worth_keeping: resumed || base.is_some() && how.start == Start::Fresh,
        };
        Ok(Box::new(upload))
    }

    async fn partial(&self, at: &VPath) -> Result<Option<u64>> {
        let key = (Arc::clone(&self.account), at.clone());
        Ok(self.tree().partial(&key).map(|it| length(&it.content)).filter(|bytes| *bytes > 0))
    }

    fn usage(&self, _: &VPath) -> Option<Usage> {
        let limited = self.limited(&self.tree())?;
        self.quota.is_limited().then(|| limited.usage())
    }

    fn umask(&self) -> Option<u32> {
        Some(self.umask.load(Ordering::Relaxed))
    }

    fn set_umask(&self, umask: u32) {
        self.umask.store(umask, Ordering::Relaxed);
    }

    async fn remove_file(&self, at: &VPath) -> Result<()> {
        let mut tree = self.tree();
        let key = (Arc::clone(&self.account), at.clone());
        let is_left = tree.partial(&key).is_some_and(|partial| !partial.content.is_empty());
        if is_left && tree.identity(at).is_none() {
            return self.forget(&mut tree, at);
        }
        let bytes = length(&tree.file(at)?);
        tree.remove_file(at)?;
        self.moved(&tree, at)?;
        self.freed(&tree, bytes)?;
        self.forget(&mut tree, at)
    }

    async fn remove_dir(&self, at: &VPath) -> Result<()> {
        let mut tree = self.tree();
        tree.remove_dir(at)?;
        self.freed(&tree, 0)?;
        for bytes in tree.forget_below(at) {
            self.freed(&tree, bytes)?;
        }
        Ok(())
    }

    async fn make_dir(&self, at: &VPath) -> Result<()> {
        let mut tree = self.tree();
        let Some(limited) = self.limited(&tree) else {
            tree.make_dir(at)?;
            return self.masked(&mut tree, at, 0o777);
        };
        let counting = limited.change()?;
        // An existing name is reported before an exceeded limit.
        if tree.stat(at).is_err() {
            counting.check_one_more()?;
        }
        tree.make_dir(at)?;
        counting.added_one(at);
        self.masked(&mut tree, at, 0o777)
    }

    async fn rename(&self, from: &VPath, to: &VPath, replace: Replace) -> Result<()> {
        let mut tree = self.tree();
        let replaced = if from == to { None } else { tree.file(to).ok() };
        tree.rename(from, to, replace)?;
        if from != to {
            self.moved(&tree, from)?;
            self.moved(&tree, to)?;
        }
        replaced.map_or(Ok(()), |replaced| self.freed(&tree, length(&replaced)))
    }

    async fn set(&self, at: &VPath, change: Change) -> Result<()> {
        self.tree().set(at, change)
    }
}

/// Distinguishes the identities of staged bytes from those of files, whose second number is 0.
const STAGES: u64 = 1;

/// Files in memory are identified by their names only.
fn file_id(at: &VPath) -> FileId {
    use std::hash::{Hash as _, Hasher as _};
    let mut hasher = std::hash::DefaultHasher::new();
    at.hash(&mut hasher);
    (hasher.finish(), 0)
}

/// The file that an upload to `at` replaces, if there is one.
fn replaced(tree: &MemoryTree, at: &VPath) -> Option<Replaced> {
    let content = tree.file(at).ok()?;
    Some(Replaced { file: file_id(at), bytes: length(&content) })
}

fn length(content: &[u8]) -> u64 {
    u64::try_from(content.len()).unwrap_or(u64::MAX)
}

/// Lists the entries of a directory after the last name, so that no batch holds the lock for long
/// and concurrent changes do no harm.
struct MemoryListing {
    memory: Memory,
    at: VPath,
    after: Vec<u8>,
}

impl Stream for MemoryListing {
    type Item = Result<Vec<Entry>>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let batch = self.memory.tree().list(&self.at, &self.after, BATCH_ENTRIES_MAX);
        let Some(last) = batch.last() else { return Poll::Ready(None) };
        self.after.clone_from(&last.name);
        Poll::Ready(Some(Ok(batch)))
    }
}

/// The rest of a file as it was when reading began.
struct MemoryReader {
    rest: Bytes,
}

impl Stream for MemoryReader {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let take = self.rest.len().min(PIECE_BYTES_MAX);
        Poll::Ready(Some(Ok(self.rest.split_to(take))))
    }
}

/// A write in progress: the new content or the bytes to append, separate from the tree until
/// published.
struct MemoryUpload {
    memory: Memory,
    reservation: Option<QuotaReservation>,
    at: VPath,
    replace: Replace,
    content: Vec<u8>,
    /// The identity of the file at the target when the write began.
    base: Option<Identity>,
    /// The file to which the content is appended, if any.
    adds_to: Option<Addition>,
    /// Whether dropping it leaves something to resume: it was resumed, or received bytes.
    is_worth_keeping: bool,
}

/// A write that appends to a file.
#[derive(Clone, Copy)]
struct Addition {
    /// The number of the file.
    number: u64,
    /// The staged bytes, as a quota counts them.
    stage: Replaced,
}

#[async_trait]
impl Sink for MemoryUpload {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if chunk.len() > FILE_BYTES_MAX - self.content.len().min(FILE_BYTES_MAX) {
            let message = format!("a file in memory holds at most {FILE_BYTES_MAX} bytes");
            return Err(Error::new(ErrorKind::NoSpace, message));
        }
        if let Some(reservation) = &self.reservation {
            reservation.grow(length(&chunk))?;
        }
        self.content.extend_from_slice(&chunk);
        self.is_worth_keeping |= !chunk.is_empty() && self.adds_to.is_none();
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Stored> {
        self.is_worth_keeping = false;
        let content = std::mem::take(&mut self.content);
        if let Some(to) = self.adds_to {
            return self.add(to, &content);
        }
        let size = length(&content);
        let key = (Arc::clone(&self.memory.account), self.at.clone());
        let reservation = self.reservation.take();
        let memory = self.memory.clone();
        let mut tree = memory.tree();
        let replaced = replaced(&tree, &self.at);
        if let Some(reservation) = &reservation {
            reservation.check_publish(size, replaced)?;
        }
        tree.publish(&self.at, Bytes::from(content), self.replace)?;
        if replaced.is_none() {
            memory.masked(&mut tree, &self.at, 0o666)?;
        }
        if let Some(reservation) = &reservation {
            reservation.published();
        }
        if let Some(older) = tree.partials.remove(&key) {
            memory.freed(&tree, length(&older.content))?;
        }
        Ok(Stored { size })
    }

    async fn abort(self: Box<Self>) {}

    async fn discard(mut self: Box<Self>) {
        self.is_worth_keeping = false;
    }
}

impl MemoryUpload {
    /// Appends the content to its file.
    fn add(mut self: Box<Self>, to: Addition, content: &[u8]) -> Result<Stored> {
        let memory = self.memory.clone();
        let mut tree = memory.tree();
        if content.is_empty() {
            return Ok(Stored { size: length(&tree.file(&self.at)?) });
        }
        if let Some(reservation) = &self.reservation {
            reservation.check_publish(length(content), Some(to.stage))?;
        }
        let size = tree.append(&self.at, to.number, content)?;
        if let Some(reservation) = self.reservation.take() {
            reservation.published();
        }
        drop(tree);
        Ok(Stored { size })
    }
}

impl Drop for MemoryUpload {
    fn drop(&mut self) {
        let bytes = length(&self.content);
        let memory = self.memory.clone();
        let mut tree = memory.tree();
        if self.adds_to.is_none() {
            let key = (Arc::clone(&memory.account), self.at.clone());
            if let hash_map::Entry::Occupied(mut running) = tree.running.entry(key) {
                if running.get().is_outdated && self.base.is_none() {
                    self.base = Some(GONE);
                }
                running.get_mut().count -= 1;
                if running.get().count == 0 {
                    running.remove();
                }
            }
        }
        let may_stay =
            self.reservation.as_ref().is_none_or(|reservation| reservation.may_stay(bytes));
        let is_worth_keeping = self.is_worth_keeping && (bytes > 0 || self.base.is_some());
        let is_left = is_worth_keeping && memory.keeps_partials && may_stay;
        if let Some(reservation) = self.reservation.take() {
            reservation.end(is_left.then_some(bytes));
        }
        if is_left {
            let content = std::mem::take(&mut self.content);
            let key = (Arc::clone(&memory.account), self.at.clone());
            let partial = Partial { content, base: self.base };
            if let Some(older) = tree.partials.insert(key, partial) {
                // Counting in memory cannot fail here, and there is no caller to receive an error.
                let _ = memory.freed(&tree, length(&older.content));
            }
        }
    }
}
