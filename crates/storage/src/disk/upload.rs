//! The async side of an upload: it buffers bytes and passes them to a blocking thread.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::Span;
use wharf_core::async_trait;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{DetachedFile, Sink, StoreCopy, Stored};

use super::join_result;
use super::partial_upload::PartialUpload;
use super::tree::Tree;

/// Bytes copied in one step where the caller sets no budget.
pub(super) const COPY_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes that are buffered before a blocking thread writes them. At most twice as many plus one
/// chunk are in memory: those being written and those buffered in the meantime.
const GATHERED_BYTES: usize = 256 * 1024;

/// The same for bytes that are written without a blocking thread: they are still in the cache of
/// the processor then.
const GATHERED_AT_ONCE_BYTES: usize = 64 * 1024;

/// Up to this length, an upload does not record which file it replaces: most are complete at once.
/// One that ends early records it then. Only after a crash of the server the record is missing;
/// then the upload is resumed if the file that it was to replace is older.
const UNRECORDED_BYTES: usize = 1024 * 1024;

/// The first bytes of an upload are written without a blocking thread where calls are fast; a
/// longer upload can fill the memory that the system has for unwritten data, and then waits for
/// the disk.
const AT_ONCE_BYTES: usize = 2 * 1024 * 1024;

/// An upload in progress. The partial upload has one owner at a time: this struct, or the thread
/// that writes.
pub(super) struct DiskUpload {
    tree: Arc<Tree>,
    partial_upload: Option<PartialUpload>,
    writing: Option<JoinHandle<Result<PartialUpload>>>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    /// Bytes written without a blocking thread.
    at_once_bytes: usize,
}

impl DiskUpload {
    pub(super) fn new(tree: Arc<Tree>, partial_upload: PartialUpload) -> Self {
        let partial_upload = Some(partial_upload);
        Self {
            tree,
            partial_upload,
            writing: None,
            gathered: Vec::new(),
            gathered_bytes: 0,
            at_once_bytes: 0,
        }
    }

    /// The partial upload, once the writing thread has ended. `None` after an error.
    ///
    /// Cancel safe: the next call waits for the same thread.
    async fn settle(&mut self) -> Result<&mut Option<PartialUpload>> {
        if let Some(writing) = &mut self.writing {
            let ended = writing.await;
            self.writing = None;
            self.partial_upload = Some(join_result(ended)?);
        }
        Ok(&mut self.partial_upload)
    }

    /// The partial upload, and the bytes that are still to be written to it, once the bytes that
    /// precede the upload are copied.
    ///
    /// Cancel safe: the next call continues the copy.
    async fn take(&mut self) -> Result<(PartialUpload, Vec<Bytes>)> {
        while self.copy_step(StoreCopy::Kept, COPY_BYTES).await? > 0 {}
        self.take_as_it_is().await
    }

    /// Like `take`, without the copy, for an upload that is given up.
    async fn take_as_it_is(&mut self) -> Result<(PartialUpload, Vec<Bytes>)> {
        let partial_upload = self.settle().await?.take();
        let partial_upload = partial_upload
            .ok_or_else(|| Error::new(ErrorKind::Broken, "an earlier write failed"))?;
        self.gathered_bytes = 0;
        Ok((partial_upload, std::mem::take(&mut self.gathered)))
    }

    /// The partial upload with all bytes written.
    pub(super) async fn partial_upload_mut(&mut self) -> Result<&mut PartialUpload> {
        let (mut partial_upload, pieces) = self.take().await?;
        if pieces.is_empty() {
            return Ok(self.partial_upload.insert(partial_upload));
        }
        self.writing = Some(spawn_blocking(move || {
            partial_upload.write_unrecorded(&pieces)?;
            Ok(partial_upload)
        }));
        let broken = || Error::new(ErrorKind::Broken, "an earlier write failed");
        self.settle().await?.as_mut().ok_or_else(broken)
    }

    /// The partial upload, once all bytes are written.
    pub(super) async fn take_partial_upload(mut self) -> Result<PartialUpload> {
        self.take().await.map(|(partial_upload, _)| partial_upload)
    }
}

#[async_trait]
impl Sink for DiskUpload {
    async fn copy_step(&mut self, part: StoreCopy, bytes_max: u64) -> Result<u64> {
        let left = self.settle().await?.as_ref().map_or(0, PartialUpload::copy_left);
        let Some(mut partial_upload) =
            self.partial_upload.take_if(|_| left > 0 && part == StoreCopy::Kept)
        else {
            return Ok(0);
        };
        self.writing = Some(spawn_blocking(move || {
            partial_upload.copy_on(bytes_max)?;
            Ok(partial_upload)
        }));
        let after = self.settle().await?.as_ref().map_or(0, PartialUpload::copy_left);
        Ok(left.saturating_sub(after))
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.gathered_bytes = self.gathered_bytes.saturating_add(chunk.len());
        self.gathered.push(chunk);
        let is_at_once = self.at_once_bytes < AT_ONCE_BYTES && self.tree.changes_at_once();
        let enough = if is_at_once { GATHERED_AT_ONCE_BYTES } else { GATHERED_BYTES };
        if self.gathered_bytes >= enough {
            let bytes = self.gathered_bytes;
            let (mut partial_upload, pieces) = self.take().await?;
            if is_at_once {
                self.at_once_bytes = self.at_once_bytes.saturating_add(bytes);
                let is_recorded = self.at_once_bytes > UNRECORDED_BYTES;
                self.tree.latency.timed(|| {
                    if is_recorded {
                        partial_upload.write(&pieces)
                    } else {
                        partial_upload.write_unrecorded(&pieces)
                    }
                })?;
                self.partial_upload = Some(partial_upload);
                return Ok(());
            }
            self.writing = Some(spawn_blocking(move || {
                partial_upload.write(&pieces)?;
                Ok(partial_upload)
            }));
        }
        Ok(())
    }

    async fn detach_file(&mut self) -> Result<Option<DetachedFile>> {
        let (mut partial_upload, pieces) = self.take().await?;
        self.writing = Some(spawn_blocking(move || {
            partial_upload.write(&pieces)?;
            Ok(partial_upload)
        }));
        let Some(partial_upload) = self.settle().await? else { return Ok(None) };
        partial_upload.detach_file().map(Some)
    }

    fn reattach_file(&mut self, failed: bool) {
        let back =
            self.partial_upload.as_mut().map(|partial_upload| partial_upload.reattach_file(failed));
        if matches!(back, Some(Err(_))) {
            self.partial_upload = None;
        }
    }

    async fn sync(&mut self) -> Result<()> {
        let partial_upload = self.partial_upload.as_ref();
        if partial_upload.is_some_and(|partial_upload| {
            !partial_upload.needs_sync() && !partial_upload.is_copying()
        }) {
            return Ok(());
        }
        let (mut partial_upload, pieces) = self.take().await?;
        self.writing = Some(spawn_blocking(move || {
            partial_upload.write_unrecorded(&pieces)?;
            partial_upload.sync()?;
            Ok(partial_upload)
        }));
        self.settle().await.map(drop)
    }

    async fn partial_file(&mut self) -> Result<Option<PathBuf>> {
        let (mut partial_upload, pieces) = self.take().await?;
        self.writing = Some(spawn_blocking(move || {
            partial_upload.write(&pieces)?;
            Ok(partial_upload)
        }));
        Ok(self.settle().await?.as_ref().map(PartialUpload::real_path))
    }

    async fn commit(mut self: Box<Self>) -> Result<Stored> {
        let (mut partial_upload, pieces) = self.take().await?;
        if self.tree.changes_at_once() {
            return self.tree.latency.timed(|| {
                partial_upload.write_unrecorded(&pieces)?;
                partial_upload.publish()
            });
        }
        // From here on it runs to completion, even if the future is dropped.
        let publishing = spawn_blocking(with_span(move || {
            partial_upload.write_unrecorded(&pieces)?;
            partial_upload.publish()
        }));
        join_result(publishing.await)
    }

    async fn abort(mut self: Box<Self>) {
        // An error was reported already; its partial upload was dropped then.
        if let Ok((mut partial_upload, pieces)) = self.take_as_it_is().await {
            let ended = spawn_blocking(with_span(move || {
                // If this fails, the partial upload removes its file.
                let _ = partial_upload.write(&pieces);
                drop(partial_upload);
            }));
            let _ = ended.await;
        }
    }

    async fn discard(mut self: Box<Self>) {
        if let Ok((mut partial_upload, _)) = self.take_as_it_is().await {
            let ended = spawn_blocking(with_span(move || {
                partial_upload.discard();
                drop(partial_upload);
            }));
            let _ = ended.await;
        }
    }
}

/// No task waits at this point, so a separate thread ends the partial upload; one that is still
/// being written is ended by the thread that writes it, without the bytes buffered in the meantime.
impl Drop for DiskUpload {
    fn drop(&mut self) {
        let Some(partial_upload) = self.partial_upload.take() else { return };
        let pieces = std::mem::take(&mut self.gathered);
        let end = with_span(move || {
            let mut partial_upload = partial_upload;
            let _ = partial_upload.write(&pieces);
        });
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(end)),
            Err(_) => end(),
        }
    }
}

/// Reports of `act`, which runs on another thread, belong to the current session.
fn with_span<T>(act: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let span = Span::current();
    move || span.in_scope(act)
}
