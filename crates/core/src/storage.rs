//! Where files are kept.
//!
//! A [`Storage`] is one account's tree. Every path is a [`VPath`] below its root, so a store never
//! meets `..` or a NUL. Whether an account may do a thing is settled before a store is asked.

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
/// Every future may be dropped at any time; the act then has happened wholly or not at all.
/// Slow work must not block the thread.
#[async_trait]
pub trait Storage: Send + Sync {
    /// What this store can do, so that a client hears a true answer early.
    fn caps(&self) -> Caps;

    /// The facts of one path. The root exists always. A symbolic link that leads to something
    /// within the root is described as that thing, under its own name.
    async fn stat(&self, at: &VPath) -> Result<Entry>;

    /// What a directory holds, and of each entry at least what is `wanted`. The store's own
    /// temporaries are never among it.
    async fn list(&self, at: &VPath, wanted: Wanted) -> Result<Entries>;

    /// A file's content from byte `from` on; `BadOffset` if the file is shorter than that.
    async fn read(&self, at: &VPath, from: u64) -> Result<Source>;

    /// Begins to write a file. Nothing is to be seen under the name until `commit`. What takes
    /// long, such as copying what the write begins with, is left to the sink.
    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>>;

    /// How many bytes of an upload to this path this account left unfinished, if it can be
    /// resumed: the file that stood there when it began, or its absence, is still what stands
    /// there. One that holds no byte, and other accounts' unfinished uploads, do not count.
    async fn partial(&self, at: &VPath) -> Result<Option<u64>> {
        let _ = at;
        Ok(None)
    }

    /// What the account keeps and may keep, as far as anybody counts. Waits for nothing.
    fn usage(&self) -> Option<Usage> {
        None
    }

    /// Where the operating system has this path, for programs beside the server; none where it
    /// has it nowhere. Waits for nothing and looks at nothing, so there need not be anything.
    fn real_path(&self, at: &VPath) -> Option<PathBuf> {
        let _ = at;
        None
    }

    /// The same where `at` lies: parts of a tree may be counted apart.
    fn usage_at(&self, at: &VPath) -> Option<Usage> {
        let _ = at;
        self.usage()
    }

    /// The same path without symbolic links in it, so that the rights of the place where it leads
    /// can be asked. What is missing stays as it is written, and so does a link that may not be
    /// followed or leads out of the tree. Acts on a path that was resolved follow no link of the
    /// tree where [`Stores`] opened it for an account with rules for several paths.
    async fn resolve(&self, at: &VPath, last: LastLink) -> Result<VPath> {
        let _ = last;
        Ok(at.clone())
    }

    /// The place of a part of the tree that lies elsewhere, if there is one at `at` or below it.
    /// Waits for nothing.
    fn mount_at_or_below(&self, at: &VPath) -> Option<VPath> {
        let _ = at;
        None
    }

    /// The room for new content, where the store knows it.
    async fn space(&self) -> Result<Option<Space>> {
        Ok(None)
    }

    /// The same where `at` lies: parts of a tree may be on other disks.
    async fn space_at(&self, at: &VPath) -> Result<Option<Space>> {
        let _ = at;
        self.space().await
    }

    /// The permission bits that new files and directories do not get, where there are such bits.
    fn umask(&self) -> Option<u32> {
        None
    }

    /// Sets them for what this handle makes from now on, and for no other session. A store may keep
    /// bits away from files in any case.
    fn set_umask(&self, umask: u32) {
        let _ = umask;
    }

    /// Removes one file or link, never a directory (`IsADirectory`).
    async fn remove_file(&self, at: &VPath) -> Result<()>;

    /// Removes one empty directory. The store's own temporaries do not count as content.
    async fn remove_dir(&self, at: &VPath) -> Result<()>;

    /// Makes one directory; `Exists` if the name is taken.
    async fn make_dir(&self, at: &VPath) -> Result<()>;

    /// Gives something another path. An existing file at `to` is replaced, in one step, only if
    /// `replace` says so; a directory never is.
    async fn rename(&self, from: &VPath, to: &VPath, replace: Replace) -> Result<()>;

    /// Changes facts of a file or directory.
    async fn set(&self, at: &VPath, change: Change) -> Result<()>;
}

/// What a store can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Whether a write can begin behind the first byte (REST + STOR).
    pub resumes: bool,
    /// Whether a write can begin at the end (APPE).
    pub appends: bool,
    /// Whether modification times can be set (MFMT).
    pub sets_times: bool,
    /// Whether permission bits can be set (SITE CHMOD).
    pub sets_mode: bool,
    /// Whether names that differ in upper and lower case only are the same, as on Windows. Rights
    /// on a path then hold for each way to spell it.
    pub ignores_case: bool,
}

/// What an account keeps, and how much that may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What is kept; none while it is being counted.
    pub kept: Option<Kept>,
    /// How many bytes may be kept.
    pub bytes_max: Size,
    /// How many files and directories may be kept.
    pub files_max: Count,
}

/// An amount of files and what is in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Bytes in files, unfinished uploads among them.
    pub bytes: u64,
    /// Files and directories, unfinished uploads among them, the root not.
    pub files: u64,
}

/// The room in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that can be added, what is held in reserve left out.
    pub free: u64,
    /// Bytes that there would be if nothing were stored.
    pub total: u64,
}

/// How to write a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where the first byte goes.
    pub start: Start,
    /// Whether a file of that name may be replaced. If not and there is one, `Exists`, both when
    /// the write begins and when it is published. Adding to a file ([`Start::End`]) does not
    /// replace it.
    pub replace: Replace,
}

/// Where the first byte of a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A new content from its first byte. An unfinished upload of this account is forgotten.
    Fresh,
    /// Byte `n` of this account's unfinished upload ([`Storage::partial`]), or else of the file
    /// that is there. All before it is kept, all behind it replaced. `BadOffset` if that is shorter
    /// than `n`; `Outdated` if what was left unfinished was to replace another file than the one
    /// that is there; `Busy` if an upload of this account to that file runs.
    At(u64),
    /// The end of the file that is there: the bytes are added to the file itself when all of them
    /// have come. `Unfinished` if this account left an upload that was to replace it, be it without
    /// a byte; `Outdated` if one cannot go on, over what may still be the old content; `Busy` if
    /// one runs. Where no file is, the end of this account's unfinished upload, or else a new file.
    End,
}

/// What becomes of a symbolic link that is the last name of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLink {
    /// It is followed, as by reading.
    Follow,
    /// It stays, as by removing, renaming and publishing an upload.
    Keep,
}

/// Whether something that is there may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// It may.
    Allowed,
    /// It may not: `Exists`.
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

/// What a listing is to show of each entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The name alone. All else may be wrong, so that a store need not look it up.
    Names,
    /// Everything that the store knows.
    Facts,
}

/// What a directory holds, a little at a time, so that a million files are a normal folder. `.`
/// and `..` are not in it, nothing is in it twice, and no order is promised. What vanishes
/// meanwhile is left out. After an error nothing more comes.
pub enum Entries {
    /// Entries one by one, read by calls that may block for a moment. The engine makes them where
    /// that harms nobody, as many at a time as it can use, and each on whatever thread is free.
    Blocking(Box<dyn Iterator<Item = Result<Entry>> + Send>),
    /// Batches, by calls that do not block.
    Stream(EntryStream),
}

/// The content of a file.
pub enum Source {
    /// A file of the operating system. The engine reads bytes `from..from + len`, in whatever way
    /// is fastest, and never beyond.
    File {
        /// Open for reading.
        file: std::fs::File,
        /// The first byte wanted.
        from: u64,
        /// How many bytes there are from there on.
        len: u64,
    },
    /// All of it, where that is little.
    Bytes(Bytes),
    /// Pieces, in order.
    Stream(ByteStream),
}

/// A write under way. Dropping it is the same as `abort`, except that nobody waits for it.
#[async_trait]
pub trait Sink: Send {
    /// Takes the next bytes. After an error only `abort` may follow.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Lends the file that takes the bytes, for the engine to go on writing to it from its current
    /// position in whatever way is fastest. Nothing else may be called until [`Sink::reattach_file`],
    /// except `abort`, which must cope with a writer that is just stopping. `None`: there is no
    /// such file, and `write` is the only way.
    async fn detach_file(&mut self) -> Result<Option<DetachedFile>> {
        Ok(None)
    }

    /// The lent file is back, with its position behind what was written. `failed`: a write to it
    /// did; only `abort` may follow.
    fn reattach_file(&mut self, failed: bool) {
        let _ = failed;
    }

    /// Brings all that was written to where it belongs and lasts, as far as the store was told to,
    /// so that `commit` has little left to do. The engine calls it behind the last byte, and still
    /// hears its client meanwhile: dropping the future is the same as `abort`. After an error only
    /// `abort` may follow.
    async fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    /// Brings all that was written to the file that takes it, and says where that is: for programs
    /// that look at an upload before it is published. Of bytes that are added to a file that is the
    /// whole file as it will be, and it is asked for before `sync`. None: there is no such file.
    /// After an error only `abort` may follow.
    async fn draft(&mut self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    /// Publishes the file: until this returns, the old content stands under the name; after it,
    /// the whole new one does, as durable as the store was told to be. On an error nothing is
    /// published.
    ///
    /// Not cancel safe: the engine waits for it, also where the client asks to abort. A session
    /// that is ended by force waits for a minute more; then it is dropped, and may finish unseen.
    async fn commit(self: Box<Self>) -> Result<Stored>;

    /// Ends the write without publishing. What was written may be kept, out of sight, for this
    /// account to resume.
    async fn abort(self: Box<Self>);

    /// Ends the write without publishing, and keeps nothing of it that could be resumed. A store
    /// that keeps unfinished writes must say how.
    async fn discard(self: Box<Self>) {
        self.abort().await;
    }
}

/// A file that a sink has lent. Whoever has it drops it when nothing more will be written: an
/// `abort` in the middle may wait for that.
pub struct DetachedFile {
    /// Open at the place of the next byte. It is dropped before the allowance.
    pub file: std::fs::File,
    /// Whom to ask before bytes are written; none where nobody minds.
    pub allowance: Option<Box<dyn Allowance>>,
}

/// Says how much may be written to a lent file.
pub trait Allowance: Send {
    /// Allows so many bytes more to be written to the lent file. On an error none of them may be
    /// written. It may block for a moment.
    fn take(&mut self, file: &std::fs::File, bytes: u64) -> Result<()>;
}

/// What a finished write left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Bytes in the whole file.
    pub size: u64,
}

/// Opens an account's tree when it logs in.
#[async_trait]
pub trait Stores: Send + Sync {
    /// The tree of this account.
    ///
    /// # Errors
    /// `NotFound` where its home is missing; the login then fails and the operator reads why.
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

    /// The error for something in the way, where replacing is forbidden.
    pub fn check(self, is_there: bool) -> Result<()> {
        match self {
            Self::Forbidden if is_there => Err(ErrorKind::Exists.into()),
            _ => Ok(()),
        }
    }
}
