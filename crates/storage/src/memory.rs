//! A tree of files in memory.

#[cfg(test)]
mod tests;
mod tree;

use std::collections::hash_map;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use wharf_core::account::Account;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{
    Caps, Change, Entries, Kept, Replace, Sink, Source, Start, Storage, Stored, Stores, Usage,
    Wanted, Write,
};
use wharf_proto::entry::Entry;
use wharf_proto::path::VPath;
use wharf_proto::time::Timestamp;

use self::tree::{GONE, Identity, Partial, PartialKey, Tree};
use crate::quota::{FileId, LimitedHome, Quota, QuotaCounter, QuotaReservation, Replaced};

/// The longest file a [`Memory`] holds; what goes beyond is `NoSpace`.
const FILE_BYTES_MAX: usize = 1 << 30;
/// The longest piece that reading a file yields.
const PIECE_BYTES_MAX: usize = 64 * 1024;
/// The permission bits that new files and directories do not get, until a session says otherwise.
const UMASK: u32 = 0o022;
/// The most entries in one batch of a listing.
const BATCH_ENTRIES_MAX: usize = 256;

/// A tree of files in memory, gone when its last clone is dropped.
///
/// Clones share one tree. Nothing in it depends on chance or, with [`Memory::with_clock`], on the
/// time of day: the same acts in the same order give the same answers. Listings are sorted. A file
/// holds at most 1 GiB; what goes beyond is `NoSpace`.
///
/// Accounts share the files but not their unfinished uploads: see [`Memory::for_account`].
#[derive(Clone)]
pub struct Memory {
    tree: Arc<Mutex<Tree>>,
    account: Arc<str>,
    quota: Quota,
    keeps_partials: bool,
    /// Of this handle and its clones.
    umask: Arc<AtomicU32>,
}

impl Memory {
    /// An empty tree that takes times from the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(crate::time::now)
    }

    /// An empty tree that asks `clock` for the time of every change.
    pub fn with_clock(clock: fn() -> Timestamp) -> Self {
        Self {
            tree: Arc::new(Mutex::new(Tree::new(clock))),
            account: Arc::from(""),
            quota: Quota::UNLIMITED,
            keeps_partials: true,
            umask: Arc::new(AtomicU32::new(UMASK)),
        }
    }

    /// The same tree, seen by another account: the files are shared, unfinished uploads are not.
    #[must_use]
    pub fn for_account(&self, name: &str) -> Self {
        let umask = Arc::new(AtomicU32::new(UMASK));
        Self { account: Arc::from(name), quota: Quota::UNLIMITED, umask, ..self.clone() }
    }

    /// The same tree, in which this handle and its clones leave no unfinished uploads: for an
    /// account that many share.
    #[must_use]
    pub fn without_partials(&self) -> Self {
        Self { keeps_partials: false, ..self.clone() }
    }

    /// The same tree, of which this handle and its clones may keep only so much. From the first
    /// such call on, all accounts' changes are counted; what [`Memory::put`] puts there later is
    /// not.
    #[must_use]
    pub fn with_quota(&self, quota: Quota) -> Self {
        let mut tree = self.tree();
        if tree.counter.is_none() {
            tree.counter = Some(Arc::new(QuotaCounter::counted(tree.kept(), 0, None)));
        }
        drop(tree);
        Self { quota, ..self.clone() }
    }

    /// What is in the tree, looked at piece by piece. While no upload is under way this is what
    /// has been counted.
    pub fn recount(&self) -> Kept {
        self.tree().kept()
    }

    /// Puts a file there, with the directories above it, whatever was there before. Any name
    /// goes, also those that no client may create.
    ///
    /// # Panics
    /// If `path` is none (see [`VPath::resolve`]), is the root or a directory, or leads through a
    /// file.
    pub fn put(&self, path: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) {
        let at = Self::path(path.as_ref());
        let content = Bytes::copy_from_slice(bytes.as_ref());
        let result = self.tree().put(&at, content);
        result.expect("the path of a file put into memory leads through directories");
    }

    /// The content of a file; none if there is no such file.
    ///
    /// # Panics
    /// If `path` is none (see [`VPath::resolve`]).
    pub fn content(&self, path: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        Some(self.tree().file(&Self::path(path.as_ref())).ok()?.to_vec())
    }

    /// The path of everything in the tree but the root, files and directories, sorted by
    /// directory and then by name. Odd bytes are escaped as in [`VPath`]'s `Display`.
    pub fn paths(&self) -> Vec<String> {
        self.tree().paths().map(|path| path.to_string()).collect()
    }

    fn path(bytes: &[u8]) -> VPath {
        let path = VPath::root().resolve(bytes);
        path.expect("a path given by the program has no NUL and is short")
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        // A panic elsewhere while it was held left whole nodes: every change is one insertion.
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// The tree's meter with this account's limits, if anybody counts.
    fn limited(&self, tree: &Tree) -> Option<LimitedHome> {
        let counter = tree.counter.clone()?;
        Some(LimitedHome::new(counter, self.quota))
    }

    /// Gives something new its permission bits.
    fn masked(&self, tree: &mut Tree, at: &VPath, bits: u32) -> Result<()> {
        tree.set(at, Change::Mode(bits & !self.umask.load(Ordering::Relaxed)))
    }

    /// Counts that one file or directory is gone.
    fn freed(&self, tree: &Tree, bytes: u64) -> Result<()> {
        if let Some(limited) = self.limited(tree) {
            limited.change()?.freed(bytes, 1);
        }
        Ok(())
    }

    /// Forgets what this account left unfinished under a name.
    fn forget(&self, tree: &mut Tree, at: &VPath) -> Result<()> {
        let key = (Arc::clone(&self.account), at.clone());
        match tree.partials.remove(&key) {
            Some(partial) => self.freed(tree, length(&partial.content)),
            None => Ok(()),
        }
    }

    /// Begins to add to the file of this number.
    fn append(&self, tree: &mut Tree, key: PartialKey, number: u64) -> Result<Box<dyn Sink>> {
        if tree.running.contains_key(&key) {
            return Err(ErrorKind::Busy.into());
        }
        // Also before its first byte: what comes may be the rest of it.
        if let Some(left) = tree.partial(&key).map(|partial| length(&partial.content)) {
            return Err(ErrorKind::Unfinished(left).into());
        }
        // It is no file of its own once it is done.
        let stage = Replaced { file: (tree.next_number(), STAGES), bytes: 0 };
        let reservation = match self.limited(tree) {
            None => None,
            Some(limited) => {
                let reservation = QuotaReservation::begin(&limited, None, Some(stage))?;
                reservation.check_room()?;
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

    /// Tells uploads to `at` that what they were to replace is no longer there.
    fn moved(&self, tree: &Tree, at: &VPath) -> Result<()> {
        if let Some(limited) = self.limited(tree) {
            limited.change()?.moved(file_id(at));
        }
        Ok(())
    }

    /// Charges an upload that begins with so many bytes, and goes on with an unfinished one if
    /// there are bytes of that.
    fn reserve(
        &self,
        tree: &Tree,
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
        match begun.and_then(|()| reservation.check_room()) {
            Ok(()) => Ok(Some(reservation)),
            Err(error) => {
                // What was left unfinished stays as it was.
                reservation.end(partial);
                Err(error)
            }
        }
    }
}

/// Opens the shared tree for every account; their homes are not looked at.
#[async_trait]
impl Stores for Memory {
    async fn open(&self, account: &Account) -> Result<Arc<dyn Storage>> {
        let memory = self.for_account(&account.name);
        let memory = if account.is_anonymous { memory.without_partials() } else { memory };
        let quota = Quota::of(account, Quota::UNLIMITED);
        Ok(Arc::new(if quota.is_limited() { memory.with_quota(quota) } else { memory }))
    }
}

#[async_trait]
impl Storage for Memory {
    fn caps(&self) -> Caps {
        Caps {
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

    async fn list(&self, at: &VPath, _: Wanted) -> Result<Entries> {
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
            (Start::At(keep), Some(partial)) => first_bytes(&partial.content, keep)?,
            (Start::At(keep), None) => first_bytes(&tree.file(at).unwrap_or_default(), keep)?,
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
            // What was to replace a file and was cut early must be known as that.
            is_worth_keeping: resumed || base.is_some() && how.start == Start::Fresh,
        };
        Ok(Box::new(upload))
    }

    async fn partial(&self, at: &VPath) -> Result<Option<u64>> {
        let key = (Arc::clone(&self.account), at.clone());
        Ok(self.tree().partial(&key).map(|it| length(&it.content)).filter(|bytes| *bytes > 0))
    }

    fn usage(&self) -> Option<Usage> {
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
        // A name that is taken is told before a limit.
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

fn first_bytes(content: &[u8], keep: u64) -> Result<Vec<u8>> {
    let keep = usize::try_from(keep).map_err(|_| ErrorKind::BadOffset)?;
    let kept = content.get(..keep).ok_or(ErrorKind::BadOffset)?;
    Ok(kept.to_vec())
}

/// Where the identities of staged bytes are told from those of files, whose second number is 0.
const STAGES: u64 = 1;

/// Names are all that tells files in memory apart.
fn file_id(at: &VPath) -> FileId {
    use std::hash::{Hash as _, Hasher as _};
    let mut hasher = std::hash::DefaultHasher::new();
    at.hash(&mut hasher);
    (hasher.finish(), 0)
}

/// The file that an upload to `at` takes the place of, if there is one.
fn replaced(tree: &Tree, at: &VPath) -> Option<Replaced> {
    let content = tree.file(at).ok()?;
    Some(Replaced { file: file_id(at), bytes: length(&content) })
}

fn length(content: &[u8]) -> u64 {
    u64::try_from(content.len()).unwrap_or(u64::MAX)
}

/// The entries of a directory behind the name read last, so that no batch holds the lock for
/// longer than it takes and what is made meanwhile does no harm.
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

/// What is left of a file as it was when reading began.
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

/// A write under way: the whole content or what is to be added, apart from the tree until it is
/// published.
struct MemoryUpload {
    memory: Memory,
    reservation: Option<QuotaReservation>,
    at: VPath,
    replace: Replace,
    content: Vec<u8>,
    /// What stood there when it began.
    base: Option<Identity>,
    /// To what the content is to be added, if it is.
    adds_to: Option<Addition>,
    /// Whether dropping it leaves something to resume: it was resumed, or took bytes.
    is_worth_keeping: bool,
}

/// A write that adds to a file.
#[derive(Clone, Copy)]
struct Addition {
    /// The number of the file.
    number: u64,
    /// What holds the bytes until they are added, as a quota counts it.
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
    /// Adds the content to its file.
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
                // Memory counts at any time: there is nobody to tell of a failure.
                let _ = memory.freed(&tree, length(&older.content));
            }
        }
    }
}
