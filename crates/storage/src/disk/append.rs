//! Appending to a file: the bytes are staged in a temporary file and added once all have arrived.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;
use wharf_core::async_trait;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{DetachedFile, Sink, StoreCopy, Stored};

use super::fault::fault;
use super::join_result;
use super::journal::{Journal, LengthOverride};
use super::partial_upload::{PartialUpload, Staged, acquire_temporary};
use super::prefix_copy::PrefixCopy;
use super::system::{Directory, identity, real_name};
use super::tree::Tree;
use super::upload::{COPY_BYTES, DiskUpload};

/// How often, and at what interval, locking a file is retried while another session appends to it.
const LOCK_TRIES_MAX: u32 = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// An APPE to an existing file. The bytes are added in steps, and `commit` only closes the journal:
/// until then the file is truncated to its old length, immediately or after a crash.
pub(super) struct Append {
    tree: Arc<Tree>,
    dir: Arc<Directory>,
    target: Vec<u8>,
    /// `None` once the append has ended.
    stage: Option<DiskUpload>,
    /// The blocking task that adds bytes, and returns how many.
    adding: Option<JoinHandle<Result<(AppendTransaction, u64)>>>,
    /// Set when bytes are in the file and no task adds more.
    grown: Option<AppendTransaction>,
    whole: Option<PreviewCopy>,
}

impl Append {
    pub(super) fn new(
        tree: Arc<Tree>,
        partial_upload: PartialUpload,
        dir: Directory,
        target: Vec<u8>,
    ) -> Self {
        Self {
            stage: Some(DiskUpload::new(Arc::clone(&tree), partial_upload)),
            tree,
            dir: Arc::new(dir),
            target,
            adding: None,
            grown: None,
            whole: None,
        }
    }

    fn stage(&mut self) -> Result<&mut DiskUpload> {
        self.stage.as_mut().ok_or_else(|| ErrorKind::Broken.into())
    }

    /// Adds staged bytes to the file, `most` at most. Returns how many; 0 once all are there.
    ///
    /// Cancel safe: the next call waits for the same task.
    async fn grow(&mut self, most: u64) -> Result<u64> {
        if self.adding.is_none() {
            let begun = match self.grown.take() {
                None => self.begin().await?,
                grown => grown,
            };
            self.grown = begun;
            let Some(mut growth) = self.grown.take_if(|growth| !growth.is_done()) else {
                return Ok(0);
            };
            self.adding = Some(spawn_blocking(move || {
                let added = growth.step(most)?;
                Ok((growth, added))
            }));
        }
        let Some(adding) = &mut self.adding else { return Ok(0) };
        let ended = adding.await;
        self.adding = None;
        let (growth, added) = join_result(ended)?;
        self.grown = Some(growth);
        Ok(added)
    }

    /// Locks the file, after other sessions that append to it; `None` if there is nothing to add.
    async fn begin(&mut self) -> Result<Option<AppendTransaction>> {
        for _ in 0..LOCK_TRIES_MAX {
            let partial_upload = self.stage()?.partial_upload_mut().await?;
            let staged = partial_upload.staged()?;
            partial_upload.check_added()?;
            if staged.length == 0 {
                return Ok(None);
            }
            let is_durable = partial_upload.is_durable();
            let (tree, dir, target) =
                (Arc::clone(&self.tree), Arc::clone(&self.dir), self.target.clone());
            let expected = self.whole.as_ref().map(|whole| whole.identity.clone());
            let begun = spawn_blocking(move || {
                AppendTransaction::begin(&tree, &dir, &target, staged, expected, is_durable)
            });
            if let Some(growth) = join_result(begun.await)? {
                return Ok(Some(growth));
            }
            sleep(LOCK_PAUSE).await;
        }
        Err(Error::new(ErrorKind::Busy, "another session is appending to the file"))
    }

    /// Makes a copy of the file with the staged bytes, for programs that check the content before
    /// it is published. Copies `most` bytes at most and returns how many; 0 once it is complete.
    async fn preview(&mut self, most: u64) -> Result<u64> {
        let mut whole = if let Some(whole) = self.whole.take() {
            whole
        } else {
            let staged = self.stage()?.partial_upload_mut().await?.staged()?;
            let (dir, target) = (Arc::clone(&self.dir), self.target.clone());
            let made = spawn_blocking(move || PreviewCopy::begin(dir, &target, staged));
            join_result(made.await)?
        };
        let left = whole.left();
        if left > 0 {
            let step = spawn_blocking(move || {
                whole.step(most)?;
                Ok(whole)
            });
            whole = join_result(step.await)?;
        }
        let after = self.whole.insert(whole).left();
        Ok(left.saturating_sub(after))
    }

    /// Gives up and truncates the file to its old length.
    async fn give_up(&mut self) {
        if let Some(adding) = self.adding.take() {
            // Dropping the transaction truncates the file, here or on the blocking thread.
            let added = adding.await.ok().and_then(Result::ok);
            self.grown = added.map(|(growth, _)| growth);
        }
        let (grown, whole) = (self.grown.take(), self.whole.take());
        if grown.is_some() || whole.is_some() {
            let _ = spawn_blocking(move || drop((grown, whole))).await;
        }
    }
}

#[async_trait]
impl Sink for Append {
    async fn copy_step(&mut self, part: StoreCopy, bytes_max: u64) -> Result<u64> {
        match part {
            StoreCopy::Kept => Ok(0),
            StoreCopy::Preview => self.preview(bytes_max).await,
            StoreCopy::Added => self.grow(bytes_max).await,
        }
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.whole = None;
        self.stage()?.write(chunk).await
    }

    async fn detach_file(&mut self) -> Result<Option<DetachedFile>> {
        self.whole = None;
        self.stage()?.detach_file().await
    }

    fn reattach_file(&mut self, failed: bool) {
        if let Some(stage) = &mut self.stage {
            stage.reattach_file(failed);
        }
    }

    async fn sync(&mut self) -> Result<()> {
        while self.grow(COPY_BYTES).await? > 0 {}
        Ok(())
    }

    async fn partial_file(&mut self) -> Result<Option<PathBuf>> {
        while self.preview(COPY_BYTES).await? > 0 {}
        let folder = self.stage()?.partial_upload_mut().await?.folder().to_owned();
        Ok(self.whole.as_ref().map(|whole| folder.join(real_name(&whole.name))))
    }

    async fn commit(mut self: Box<Self>) -> Result<Stored> {
        if let Err(error) = self.sync().await {
            self.give_up().await;
            return Err(error);
        }
        let partial_upload =
            self.stage.take().ok_or(ErrorKind::Broken)?.take_partial_upload().await?;
        let (grown, whole) = (self.grown.take(), self.whole.take());
        let Some(growth) = grown else {
            // Nothing was sent, and nothing changes.
            let size = self.dir.measure(&self.target)?.map_or(0, |(_, bytes)| bytes);
            return Ok(Stored { size });
        };
        // From here on it runs to completion, even if the future is dropped.
        let ending = spawn_blocking(move || {
            drop(whole);
            let size = growth.new;
            partial_upload.added(|| growth.end())?;
            Ok(Stored { size })
        });
        join_result(ending.await)
    }

    async fn abort(mut self: Box<Self>) {
        self.give_up().await;
        if let Some(stage) = self.stage.take() {
            Box::new(stage).discard().await;
        }
    }
}

/// No task waits at this point, so a separate thread truncates the file; a file that is being
/// written is truncated by the thread that writes.
impl Drop for Append {
    fn drop(&mut self) {
        let (grown, whole) = (self.grown.take(), self.whole.take());
        if grown.is_none() && whole.is_none() {
            return;
        }
        let end = move || drop((grown, whole));
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(end)),
            Err(_) => end(),
        }
    }
}

/// A file to which bytes are being added. Dropping it truncates the file to its old length.
struct AppendTransaction {
    target: Vec<u8>,
    file: File,
    staged: File,
    old: u64,
    new: u64,
    /// The length of the file including the bytes added so far.
    length: u64,
    is_durable: bool,
    is_synced: bool,
    /// `None` once the transaction has ended.
    journal: Option<Journal>,
    /// Dropped last, when the length of the file is final.
    _hidden: LengthOverride,
}

impl AppendTransaction {
    /// `None` if another session is appending to the file.
    fn begin(
        tree: &Tree,
        dir: &Directory,
        target: &[u8],
        staged: Staged,
        expected: Option<String>,
        is_durable: bool,
    ) -> Result<Option<Self>> {
        let mut cut = 0;
        let journal =
            Journal::lock(dir.again().map_err(fault)?, target, &mut |bytes| cut += bytes)?;
        if let (Some(limited), true) = (&tree.limited, cut > 0) {
            let _ = limited.counter.shrink(|| Ok::<_, ()>(((), cut)));
        }
        let Some(mut journal) = journal else { return Ok(None) };
        let file = dir.open_to_append(target)?;
        if expected.is_some_and(|expected| identity(&file).is_ok_and(|found| found != expected)) {
            return Err(Error::new(ErrorKind::Busy, "the file changed while it was checked"));
        }
        let old = file.metadata().map_err(fault)?.len();
        let new = old.saturating_add(staged.length);
        tree.check_space(&file, staged.length)?;
        let Some(hidden) = LengthOverride::behind(&file, old)? else { return Ok(None) };
        journal.begin(&file, (old, new), &staged.name, is_durable)?;
        Ok(Some(Self {
            target: target.to_vec(),
            file,
            staged: staged.file,
            old,
            new,
            length: old,
            is_durable,
            is_synced: false,
            journal: Some(journal),
            _hidden: hidden,
        }))
    }

    fn is_done(&self) -> bool {
        self.length == self.new && self.is_synced
    }

    /// Adds the next bytes, `most` at most; after the last ones, syncs them. Returns how many.
    fn step(&mut self, most: u64) -> Result<u64> {
        let done = self.length.saturating_sub(self.old);
        let most = self.new.saturating_sub(self.length).min(most);
        self.staged.seek(SeekFrom::Start(done)).map_err(fault)?;
        // Programs on this machine may write to the file as well: never overwrite their data.
        self.file.seek(SeekFrom::End(0)).map_err(fault)?;
        let copied = io::copy(&mut (&self.staged).take(most), &mut self.file);
        self.length = self.length.saturating_add(*copied.as_ref().unwrap_or(&0));
        if copied.map_err(fault)? < most {
            return Err(Error::new(ErrorKind::Broken, "the staged bytes are missing"));
        }
        if self.length == self.new {
            if self.is_durable {
                self.file.sync_all().map_err(fault)?;
            }
            self.is_synced = true;
        }
        Ok(most)
    }

    /// Keeps the added bytes; the inner result reports whether they are durable.
    ///
    /// # Errors
    /// If they could not be kept.
    fn end(mut self) -> Result<Result<()>> {
        let Some(journal) = &mut self.journal else { return Ok(Ok(())) };
        if journal.dir().length_if_same(&self.target, &self.file).is_none() {
            return Err(Error::new(ErrorKind::Busy, "the file was replaced in the meantime"));
        }
        let lasts = journal.end(self.is_durable)?;
        self.journal = None;
        Ok(lasts)
    }

    /// Truncates the file to its old length. If another program wrote to it in the meantime, its
    /// data must not be lost, so the added bytes are kept as well.
    fn cut(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length > self.old && length <= self.new {
            self.file.set_len(self.old)?;
            if self.is_durable {
                self.file.sync_all()?;
            }
        }
        Ok(())
    }
}

impl Drop for AppendTransaction {
    fn drop(&mut self) {
        let Some(journal) = self.journal.take() else { return };
        match self.cut() {
            Ok(()) => drop(journal),
            Err(_) => journal.leave(),
        }
    }
}

/// A copy of a file with the staged bytes added. Dropping it removes it.
struct PreviewCopy {
    dir: Arc<Directory>,
    name: Vec<u8>,
    new: File,
    /// The identity of the file when it was copied.
    identity: String,
    parts: Vec<PrefixCopy>,
}

impl PreviewCopy {
    fn begin(dir: Arc<Directory>, target: &[u8], staged: Staged) -> Result<Self> {
        let old = dir.open_to_append(target)?;
        let (found, size) = (identity(&old).map_err(fault)?, old.metadata().map_err(fault)?.len());
        let (new, name) = acquire_temporary(&dir)?;
        let mut whole = Self { dir, name, new, identity: found, parts: Vec::new() };
        // From the last to the first.
        whole.parts.extend(PrefixCopy::of(staged.file, staged.length)?);
        whole.parts.extend(PrefixCopy::of(old, size)?);
        Ok(whole)
    }

    fn left(&self) -> u64 {
        self.parts.iter().map(PrefixCopy::left).sum()
    }

    fn step(&mut self, most: u64) -> Result<()> {
        let Some(part) = self.parts.last_mut() else { return Ok(()) };
        part.step(&mut self.new, most)?;
        self.parts.pop_if(|part| part.left() == 0);
        Ok(())
    }
}

impl Drop for PreviewCopy {
    fn drop(&mut self) {
        // If this fails, the next sweep removes it.
        let _ = self.dir.unlink(&self.name);
    }
}
