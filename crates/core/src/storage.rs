//! Storage backends.
//!
//! A [`Storage`] is one account's tree. Every path is a [`VPath`] below its root, so a store never
//! gets `..` or a NUL byte. Permissions are checked before a store is called.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use wharf_proto::entry::Entry;
use wharf_proto::path::VPath;
use wharf_proto::time::Timestamp;

use crate::account::{Account, Count, Size};
use crate::error::{ErrorKind, Result};

/// Entries of a directory, a batch at a time. No batch is empty.
pub type EntryStream = Pin<Box<dyn Stream<Item = Result<Vec<Entry>>> + Send>>;

/// The content of a file, in pieces of the store's choice, none empty.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// One account's tree of files.
///
/// Every future may be dropped at any time; the operation must then be complete or have no effect.
/// Slow work must not block the thread.
#[async_trait]
pub trait Storage: Send + Sync {
    /// The capabilities of this store, so that unsupported operations are rejected early.
    fn caps(&self) -> Capabilities;

    /// The facts of one path. The root always exists. For a symbolic link to a target within the
    /// root, the facts of the target, with the name of the link.
    async fn stat(&self, at: &VPath) -> Result<Entry>;

    /// The entries of a directory, each with at least the `wanted` facts, without temporary files
    /// of the store.
    async fn list(&self, at: &VPath, wanted: ListDetail) -> Result<Entries>;

    /// A file's content from byte `from` on; `BadOffset` if the file is shorter than that.
    async fn read(&self, at: &VPath, from: u64) -> Result<Source>;

    /// Begins to write a file, which is not visible before `commit`. Slow work, such as copying
    /// existing content, is left to the sink.
    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>>;

    /// The size of this account's partial upload to this path, if it can be resumed: the path must
    /// not have changed since the upload began. Empty partial uploads and those of other accounts
    /// do not count.
    async fn partial(&self, at: &VPath) -> Result<Option<u64>> {
        let _ = at;
        Ok(None)
    }

    /// Whether this account has an upload to this path that is not complete and may still become
    /// its content: one that runs, an empty one, or one that cannot be resumed, or was not kept,
    /// although the file is by all signs the old one.
    async fn has_unfinished(&self, at: &VPath) -> Result<bool> {
        self.partial(at).await.map(|partial| partial.is_some())
    }

    /// The usage and quota of the account at `at`, if counted: parts of a tree may be counted
    /// separately. Does not wait.
    fn usage(&self, at: &VPath) -> Option<Usage> {
        let _ = at;
        None
    }

    /// The operating system's path, for external programs; `None` if there is none. Does not access
    /// the file system, so the path need not exist.
    fn real_path(&self, at: &VPath) -> Option<PathBuf> {
        let _ = at;
        None
    }

    /// Resolves the symbolic links in a path, so that the permissions at its target can be checked.
    /// Missing components stay unchanged, and so does a link that may not be followed or leads out
    /// of the tree. If [`Stores`] opened the tree for an account with rules for several paths,
    /// operations on a resolved path do not follow links of the tree.
    async fn resolve(&self, at: &VPath, last: LastLink) -> Result<VPath> {
        let _ = last;
        Ok(at.clone())
    }

    /// The path of a virtual folder at or below `at`, if any. Does not wait.
    fn mount_at_or_below(&self, at: &VPath) -> Option<VPath> {
        let _ = at;
        None
    }

    /// The space for new content at `at`, if known: parts of a tree may be on other file systems.
    async fn space(&self, at: &VPath) -> Result<Option<Space>> {
        let _ = at;
        Ok(None)
    }

    /// The umask of new files and directories, if supported.
    fn umask(&self) -> Option<u32> {
        None
    }

    /// Sets the umask of this handle only. A store may clear further bits.
    fn set_umask(&self, umask: u32) {
        let _ = umask;
    }

    /// Removes one file or link, never a directory (`IsADirectory`).
    async fn remove_file(&self, at: &VPath) -> Result<()>;

    /// Removes one empty directory. Temporary files of the store do not count as content.
    async fn remove_dir(&self, at: &VPath) -> Result<()>;

    /// Creates one directory; `Exists` if the name exists.
    async fn make_dir(&self, at: &VPath) -> Result<()>;

    /// Renames a file or directory. An existing file at `to` is replaced, atomically, only if
    /// `replace` allows it; a directory never is.
    async fn rename(&self, from: &VPath, to: &VPath, replace: Replace) -> Result<()>;

    /// Changes facts of a file or directory.
    async fn set(&self, at: &VPath, change: Change) -> Result<()>;
}

/// The capabilities of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether a write can start at an offset (REST + STOR).
    pub resumes: bool,
    /// Whether a write can start at the end (APPE).
    pub appends: bool,
    /// Whether modification times can be set (MFMT).
    pub sets_times: bool,
    /// Whether permission bits can be set (SITE CHMOD).
    pub sets_mode: bool,
    /// Whether names are case-insensitive, as on Windows. Permissions on a path then apply to every
    /// spelling.
    pub ignores_case: bool,
}

/// The usage and quota of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The current usage; `None` while it is being counted.
    pub used: Option<UsedSpace>,
    /// The quota in bytes.
    pub bytes_max: Size,
    /// The quota of files and directories.
    pub files_max: Count,
}

/// The number of files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsedSpace {
    /// Bytes in files, including partial uploads.
    pub bytes: u64,
    /// Files and directories, including partial uploads, without the root.
    pub files: u64,
}

/// The space of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Free bytes, without the reserve.
    pub free: u64,
    /// The total capacity in bytes.
    pub total: u64,
}

/// How to write a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// The position of the first byte.
    pub start: Start,
    /// Whether an existing file may be replaced. If not, `Exists`, both when the write begins and
    /// when it is published. Appending ([`Start::End`]) does not count as replacing.
    pub replace: Replace,
}

/// The position of the first byte of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// New content from the first byte. A partial upload of this account is discarded.
    Fresh,
    /// Byte `n` of this account's partial upload ([`Storage::partial`]), or else of the existing
    /// file. The bytes before it are kept, those after it replaced. `BadOffset` if the file is
    /// shorter than `n`, `PastPartial` if the partial upload is; `Outdated` if the partial upload
    /// was to replace another file than the current one; `Expired` if it is too old; `Busy` if an
    /// upload of this account to that file is running.
    At(u64),
    /// The end of the existing file: the bytes are appended to it when all of them have arrived.
    /// `Unfinished` if there is a partial upload of this account that was to replace it, even an
    /// empty one; `Outdated` if such a partial upload cannot be resumed; `Busy` if an upload is
    /// running. Without an existing file, the end of this account's partial upload, or a new file.
    End,
}

/// How to treat a symbolic link in the last component of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLink {
    /// Follow it, as for reading.
    Follow,
    /// Do not follow it, as for removing, renaming and publishing an upload.
    Keep,
}

/// Whether an existing file may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// It may be replaced.
    Allowed,
    /// It may not be replaced: `Exists`.
    Forbidden,
}

/// A change of facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The modification time (MFMT).
    Modified(Timestamp),
    /// Permission bits, `0o777` at most (SITE CHMOD).
    Mode(u32),
}

/// Which facts a listing needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListDetail {
    /// Names only. Other facts may be wrong, so that a store need not look them up.
    Names,
    /// All facts.
    Facts,
}

/// The entries of a directory, read incrementally so that large directories need little memory.
///
/// Without `.` and `..`, without duplicates, and in any order. Entries that are removed meanwhile
/// are skipped. An error ends the listing.
pub enum Entries {
    /// Entries from an iterator that may block briefly. The engine calls it on blocking threads,
    /// not always the same one.
    Blocking(Box<dyn Iterator<Item = Result<Entry>> + Send>),
    /// Batches from an asynchronous stream.
    Stream(EntryStream),
}

/// The content of a file.
pub enum Source {
    /// A file of the operating system. The engine reads the bytes `from..from + len` in the fastest
    /// way, and never beyond.
    File {
        /// Open for reading.
        file: std::fs::File,
        /// The offset of the first byte.
        from: u64,
        /// The number of bytes from there.
        len: u64,
    },
    /// The whole content, if it is small.
    Bytes(Bytes),
    /// Chunks, in order.
    Stream(ByteStream),
}

/// What a store copies for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreCopy {
    /// The bytes of the existing file that a write keeps, before the first [`Sink::write`].
    Kept,
    /// The whole future file of an append, before [`Sink::partial_file`].
    Preview,
    /// The bytes that are appended to the existing file, before [`Sink::sync`].
    Added,
}

/// A write in progress. Dropping it is the same as `abort`, but without waiting.
#[async_trait]
pub trait Sink: Send {
    /// Copies bytes that are in the store already, about `bytes_max` at most. Returns how many; 0
    /// once nothing is left to copy. The engine calls it until then, within its budgets, and reads
    /// commands of its client meanwhile: dropping the future is the same as `abort`. After an error
    /// only `abort` may follow.
    ///
    /// Without these calls, the act that `part` names copies what is left.
    async fn copy_step(&mut self, part: StoreCopy, bytes_max: u64) -> Result<u64> {
        let _ = (part, bytes_max);
        Ok(0)
    }

    /// Writes the next bytes. After an error only `abort` may follow.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Detaches the file, so that the engine can write to it from its current position in the
    /// fastest way. Until [`Sink::reattach_file`], only `abort` may be called, which must handle a
    /// writer that is just stopping. `None`: there is no such file, and only `write` can be used.
    async fn detach_file(&mut self) -> Result<Option<DetachedFile>> {
        Ok(None)
    }

    /// Reattaches the file, positioned after the written bytes. `failed`: a write to it failed, and
    /// only `abort` may follow.
    fn reattach_file(&mut self, failed: bool) {
        let _ = failed;
    }

    /// Writes all data to durable storage, as far as the store is configured to, so that `commit`
    /// is fast. The engine calls it after the last byte, and reads commands of its client
    /// meanwhile: dropping the future is the same as `abort`. After an error only `abort` may
    /// follow.
    async fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    /// Flushes all data to the partial file and returns its path, for programs that check an upload
    /// before it is published. When appending, this is the whole future file. Called before `sync`.
    /// `None`: there is no such file. After an error only `abort` may follow.
    async fn partial_file(&mut self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    /// Publishes the file atomically: the name refers to the old content before, and to the
    /// complete new content after it, as durable as the store is configured to. On an error nothing
    /// is published.
    ///
    /// Not cancel safe: the engine waits for it, also if the client sends ABOR. A session that is
    /// terminated waits for at most one more minute; then the future is dropped, and the write may
    /// still complete in the background.
    async fn commit(self: Box<Self>) -> Result<Stored>;

    /// Ends the write without publishing. The data may be kept as a hidden partial upload, which
    /// this account can resume.
    async fn abort(self: Box<Self>);

    /// Ends the write without publishing and without keeping a partial upload. Stores that keep
    /// partial uploads must override it.
    async fn discard(self: Box<Self>) {
        self.abort().await;
    }
}

/// A file detached from a sink. To be dropped when writing stops, since an `abort` may wait for it.
pub struct DetachedFile {
    /// Positioned at the next byte. Dropped before the allowance.
    pub file: std::fs::File,
    /// Must allow bytes before they are written; `None` if there is no limit.
    pub allowance: Option<Box<dyn Allowance>>,
}

/// Limits how much may be written to a detached file, for quotas.
pub trait Allowance: Send {
    /// Reserves `bytes` to be written to the detached file. On an error none of them may be
    /// written. May block briefly.
    fn take(&mut self, file: &std::fs::File, bytes: u64) -> Result<()>;
}

/// The result of a published write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Bytes in the whole file.
    pub size: u64,
}

/// Opens the storage of an account when it logs in.
#[async_trait]
pub trait Stores: Send + Sync {
    /// The tree of this account.
    ///
    /// # Errors
    /// `NotFound` if the home is missing; the login then fails, and the reason is logged.
    async fn open(&self, account: &Account) -> Result<Arc<dyn Storage>>;
}

/// One tree for every account.
#[derive(Clone)]
pub struct SharedStore(pub Arc<dyn Storage>);

#[async_trait]
impl Stores for SharedStore {
    async fn open(&self, _account: &Account) -> Result<Arc<dyn Storage>> {
        Ok(Arc::clone(&self.0))
    }
}

impl Replace {
    /// Allowed if `is_allowed`.
    pub fn when(is_allowed: bool) -> Self {
        if is_allowed { Self::Allowed } else { Self::Forbidden }
    }

    /// `Exists` if the name exists and replacing is forbidden.
    pub fn check(self, is_there: bool) -> Result<()> {
        match self {
            Self::Forbidden if is_there => Err(ErrorKind::Exists.into()),
            _ => Ok(()),
        }
    }
}
