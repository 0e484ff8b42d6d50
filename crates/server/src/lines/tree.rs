//! Recursive listings in the format of `ls -R`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use wharf_core::error::{ErrorKind, Result};
use wharf_core::permission::Permissions;
use wharf_core::storage::ByteStream;
use wharf_core::{Bytes, Stream};
use wharf_proto::path::VPath;

use super::LineFormatter;
use super::walk::{DirectoryWalk, WalkedDirectory};
use crate::blocking_pool::BlockingPool;
use crate::files::SessionFiles;

/// Levels below the first directory that are listed.
const DEPTH_MAX: usize = 8;

/// Prefix and title of a recursive listing.
pub(crate) struct TreePrefix {
    /// The prefix of names in the first directory, with a trailing slash; empty for none.
    pub(crate) prefix: Vec<u8>,
    /// The title of the first directory's block; `None` for lists of names.
    pub(crate) title: Option<Vec<u8>>,
}

/// The lines of `at` and of all directories below it. Ends with `TooLarge` if a limit is exceeded.
pub(crate) fn tree(
    files: SessionFiles,
    at: VPath,
    mut formatter: LineFormatter,
    tree_prefix: TreePrefix,
    blocking_pool: &BlockingPool,
) -> ByteStream {
    let (pool, permission) = (blocking_pool.clone(), Permissions::LIST);
    let pattern = formatter.only.take();
    let has_pattern = pattern.is_some();
    let walk = DirectoryWalk::new(files.clone(), at.clone(), permission, DEPTH_MAX, pool)
        .matching(pattern);
    Box::pin(TreeLines {
        step: Some(Box::pin(walk.step())),
        files,
        top: at,
        has_pattern,
        formatter,
        tree_prefix,
    })
}

type WalkStep =
    Pin<Box<dyn Future<Output = (DirectoryWalk, Result<Option<WalkedDirectory>>)> + Send>>;

struct TreeLines {
    /// None after the end or an error.
    step: Option<WalkStep>,
    files: SessionFiles,
    top: VPath,
    /// The first directory shows only what matches a pattern; without a match it has no block.
    has_pattern: bool,
    formatter: LineFormatter,
    tree_prefix: TreePrefix,
}

impl TreeLines {
    fn lines(&mut self, folder: WalkedDirectory) -> Bytes {
        let mut out = Vec::with_capacity(folder.entries.len() * 80);
        let below = below(&self.top, &folder.at);
        if self.has_pattern && below.is_empty() && folder.entries.is_empty() {
            return Bytes::new();
        }
        if let Some(title) = &self.tree_prefix.title {
            if !below.is_empty() {
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(&self.formatter.names.wire(&joined(title, below)));
            out.extend_from_slice(b":\r\n");
        } else {
            self.formatter.prefix.clone_from(&self.tree_prefix.prefix);
            if !below.is_empty() {
                self.formatter.prefix.extend_from_slice(below);
                self.formatter.prefix.push(b'/');
            }
        }
        self.formatter.perms = self.files.perms_in(&folder.at);
        for mut entry in folder.entries {
            self.formatter.line(&mut entry, &mut out);
        }
        Bytes::from(out)
    }
}

impl Stream for TreeLines {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Some(step) = &mut self.step {
            let (walk, folder) = ready!(step.as_mut().poll(context));
            self.step = None;
            match folder {
                Ok(Some(folder)) => {
                    let piece = self.lines(folder);
                    self.step = Some(Box::pin(walk.step()));
                    if !piece.is_empty() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Ok(None) => {}
                Err(error) if error.kind == ErrorKind::TooLarge => {
                    let why = "Recursive listing truncated (limit 10000 entries, 8 levels); \
                               list subdirectories one by one.";
                    let error = wharf_core::error::Error::new(ErrorKind::TooLarge, why);
                    return Poll::Ready(Some(Err(error)));
                }
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(None)
    }
}

/// The path relative to the first directory.
fn below<'a>(top: &VPath, at: &'a VPath) -> &'a [u8] {
    let rest = at.as_bytes().strip_prefix(top.as_bytes()).unwrap_or_default();
    rest.strip_prefix(b"/").unwrap_or(rest)
}

fn joined(title: &[u8], below: &[u8]) -> Vec<u8> {
    let mut path = title.to_vec();
    if !below.is_empty() {
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(below);
    }
    path
}
