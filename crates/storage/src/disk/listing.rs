//! A directory listing as blocking calls, entry by entry.

use std::sync::Arc;

use wharf_core::error::Result;
use wharf_proto::entry::Entry;

use super::system::Reader;
use super::tree::Tree;

/// Yields entries until the end of the directory. One block of names is in memory.
pub(super) struct DirectoryListing {
    tree: Arc<Tree>,
    /// `None` after the end or an error.
    reader: Option<Reader>,
}

impl DirectoryListing {
    pub(super) fn new(tree: Arc<Tree>, reader: Reader) -> Self {
        Self { tree, reader: Some(reader) }
    }
}

impl Iterator for DirectoryListing {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.reader.as_mut()?.next(&self.tree.root);
        if !matches!(read, Ok(Some(_))) {
            self.reader = None;
        }
        read.transpose()
    }
}
