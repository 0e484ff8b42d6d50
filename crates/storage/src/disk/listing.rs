//! A directory, read a batch at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::task::{JoinHandle, spawn_blocking};
use wharf_core::error::Result;
use wharf_proto::entry::Entry;

use super::system::Reader;
use super::tree::Tree;
use super::unblocked;

/// The most entries in one batch: some 50 KiB, and short enough a call to be dropped unseen.
const BATCH_ENTRIES_MAX: usize = 256;

/// A batch, and where the next one begins.
type Read = Result<(Reader, Vec<Entry>)>;

/// Yields batches until the directory ends. One batch at a time is in memory.
pub(super) struct Listing {
    tree: Arc<Tree>,
    /// None while a batch is read, and after the end or an error.
    reader: Option<Reader>,
    reading: Option<JoinHandle<Read>>,
}

impl Listing {
    pub(super) fn new(tree: Arc<Tree>, reader: Reader) -> Self {
        Self { tree, reader: Some(reader), reading: None }
    }
}

impl Stream for Listing {
    type Item = Result<Vec<Entry>>;

    fn poll_next(mut self: Pin<&mut Self>, waker: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(mut reader) = self.reader.take() {
            let tree = Arc::clone(&self.tree);
            self.reading = Some(spawn_blocking(move || {
                let batch = reader.batch(&tree.root, BATCH_ENTRIES_MAX)?;
                Ok((reader, batch))
            }));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let read = unblocked(ready!(Pin::new(reading).poll(waker)));
        self.reading = None;
        match read {
            Ok((_, batch)) if batch.is_empty() => Poll::Ready(None),
            Ok((reader, batch)) => {
                self.reader = Some(reader);
                Poll::Ready(Some(Ok(batch)))
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}
