//! The async side of an upload: it gathers bytes and hands them to a blocking thread.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use wharf_core::async_trait;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{DetachedFile, Sink, Stored};

use super::draft::Draft;
use super::tree::Tree;
use super::unblocked;

/// How many bytes are gathered before a thread is asked to write them. At most twice as many and
/// one piece wait in memory: those being written and those gathered meanwhile.
const GATHERED_BYTES: usize = 256 * 1024;

/// An upload under way. The draft has one owner at a time: this, or the thread that writes.
pub(super) struct Upload {
    tree: Arc<Tree>,
    draft: Option<Draft>,
    writing: Option<JoinHandle<Result<Draft>>>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
}

impl Upload {
    pub(super) fn new(tree: Arc<Tree>, draft: Draft) -> Self {
        let draft = Some(draft);
        Self { tree, draft, writing: None, gathered: Vec::new(), gathered_bytes: 0 }
    }

    /// The draft, once the thread that writes is done. None after an error.
    ///
    /// Cancel safe: the thread is waited for again the next time.
    async fn settle(&mut self) -> Result<&mut Option<Draft>> {
        if let Some(writing) = &mut self.writing {
            let ended = writing.await;
            self.writing = None;
            self.draft = Some(unblocked(ended)?);
        }
        Ok(&mut self.draft)
    }

    /// The draft to act on, and what is still to be written to it. What the draft begins with is
    /// copied first, a part at a time.
    ///
    /// Cancel safe: the copy goes on the next time.
    async fn take(&mut self) -> Result<(Draft, Vec<Bytes>)> {
        while self.settle().await?.as_ref().is_some_and(Draft::is_copying) {
            let Some(mut draft) = self.draft.take() else { break };
            self.writing = Some(spawn_blocking(move || {
                draft.copy_on()?;
                Ok(draft)
            }));
        }
        self.take_as_it_is().await
    }

    /// The same without the copy, for what comes to nothing.
    async fn take_as_it_is(&mut self) -> Result<(Draft, Vec<Bytes>)> {
        let draft = self.settle().await?.take();
        let draft =
            draft.ok_or_else(|| Error::new(ErrorKind::Broken, "an earlier write failed"))?;
        self.gathered_bytes = 0;
        Ok((draft, std::mem::take(&mut self.gathered)))
    }

    /// The draft with all that was written.
    pub(super) async fn draft_mut(&mut self) -> Result<&mut Draft> {
        let (mut draft, pieces) = self.take().await?;
        if pieces.is_empty() {
            return Ok(self.draft.insert(draft));
        }
        self.writing = Some(spawn_blocking(move || {
            draft.write_last(&pieces)?;
            Ok(draft)
        }));
        let broken = || Error::new(ErrorKind::Broken, "an earlier write failed");
        self.settle().await?.as_mut().ok_or_else(broken)
    }

    /// The draft, all of which is written.
    pub(super) async fn take_draft(mut self) -> Result<Draft> {
        self.take().await.map(|(draft, _)| draft)
    }
}

#[async_trait]
impl Sink for Upload {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.gathered_bytes = self.gathered_bytes.saturating_add(chunk.len());
        self.gathered.push(chunk);
        if self.gathered_bytes >= GATHERED_BYTES {
            let (mut draft, pieces) = self.take().await?;
            self.writing = Some(spawn_blocking(move || {
                draft.write(&pieces)?;
                Ok(draft)
            }));
        }
        Ok(())
    }

    async fn detach_file(&mut self) -> Result<Option<DetachedFile>> {
        let (mut draft, pieces) = self.take().await?;
        self.writing = Some(spawn_blocking(move || {
            draft.write(&pieces)?;
            Ok(draft)
        }));
        let Some(draft) = self.settle().await? else { return Ok(None) };
        draft.detach_file().map(Some)
    }

    fn reattach_file(&mut self, failed: bool) {
        let back = self.draft.as_mut().map(|draft| draft.reattach_file(failed));
        if matches!(back, Some(Err(_))) {
            self.draft = None;
        }
    }

    async fn sync(&mut self) -> Result<()> {
        let draft = self.draft.as_ref();
        if draft.is_some_and(|draft| !draft.needs_sync() && !draft.is_copying()) {
            return Ok(());
        }
        let (mut draft, pieces) = self.take().await?;
        self.writing = Some(spawn_blocking(move || {
            draft.write_last(&pieces)?;
            draft.sync()?;
            Ok(draft)
        }));
        self.settle().await.map(drop)
    }

    async fn draft(&mut self) -> Result<Option<PathBuf>> {
        let (mut draft, pieces) = self.take().await?;
        self.writing = Some(spawn_blocking(move || {
            draft.write(&pieces)?;
            Ok(draft)
        }));
        Ok(self.settle().await?.as_ref().map(Draft::real_path))
    }

    async fn commit(mut self: Box<Self>) -> Result<Stored> {
        let (mut draft, pieces) = self.take().await?;
        if self.tree.changes_at_once() {
            return self.tree.pace.timed(|| {
                draft.write_last(&pieces)?;
                draft.publish()
            });
        }
        // From here on it runs to its end, also if nobody waits.
        let publishing = spawn_blocking(move || {
            draft.write_last(&pieces)?;
            draft.publish()
        });
        unblocked(publishing.await)
    }

    async fn abort(mut self: Box<Self>) {
        // What an error was about has been told; the draft it concerned is gone already.
        if let Ok((mut draft, pieces)) = self.take_as_it_is().await {
            let ended = spawn_blocking(move || {
                // What does not fit is not kept: the draft then removes itself.
                let _ = draft.write(&pieces);
            });
            let _ = ended.await;
        }
    }

    async fn discard(mut self: Box<Self>) {
        if let Ok((mut draft, _)) = self.take_as_it_is().await {
            let ended = spawn_blocking(move || {
                draft.spoil();
                drop(draft);
            });
            let _ = ended.await;
        }
    }
}

/// Nobody waits, so a thread of its own ends the draft; a draft still being written is ended by
/// the thread that writes it, without what was gathered meanwhile.
impl Drop for Upload {
    fn drop(&mut self) {
        let Some(draft) = self.draft.take() else { return };
        let pieces = std::mem::take(&mut self.gathered);
        let end = move || {
            let mut draft = draft;
            let _ = draft.write(&pieces);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(end)),
            Err(_) => end(),
        }
    }
}
