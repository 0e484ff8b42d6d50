//! A directory's entries as the lines of a listing, in a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use wharf_core::error::Result;
use wharf_core::storage::{ByteStream, EntryStream};
use wharf_core::{Bytes, Stream};
use wharf_proto::entry::Entry;
use wharf_proto::glob::Glob;
use wharf_proto::listing::Format;
use wharf_proto::path::VPath;

use crate::files::Files;
use crate::names::Names;

/// A directory of up to so many entries is sorted by name; a larger one comes as the store has
/// it, so that nothing ever waits for a million entries.
const SORTED_MAX: usize = 1024;

/// How entries become lines.
pub(crate) struct Shape {
    /// What a line looks like.
    pub(crate) format: Box<dyn Format>,
    /// The session's character set.
    pub(crate) names: Names,
    /// Only names that match.
    pub(crate) only: Option<Glob>,
    /// What stands before each name: the directory part of NLST's argument.
    pub(crate) prefix: Vec<u8>,
    /// Whose rights the `perm` fact shows, and where the entries lie.
    pub(crate) rights: (Files, VPath),
}

impl Shape {
    /// One entry as its line.
    pub(crate) fn line(&self, mut entry: Entry, out: &mut Vec<u8>) {
        let (files, at) = &self.rights;
        if let Ok(path) = at.join(&entry.name) {
            entry.perm = files.perm(&path, entry.kind);
        }
        if !self.prefix.is_empty() {
            entry.name.splice(..0, self.prefix.iter().copied());
        }
        if let std::borrow::Cow::Owned(name) = self.names.wire(&entry.name) {
            entry.name = name;
        }
        self.format.line(&entry, out);
    }

    fn wants(&self, entry: &Entry) -> bool {
        self.only.as_ref().is_none_or(|glob| glob.matches(&entry.name))
    }
}

/// The lines of a whole directory.
pub(crate) fn lines(entries: EntryStream, shape: Shape) -> ByteStream {
    Box::pin(Lines { entries, shape, first: Some(Vec::new()) })
}

/// Lines that are made already.
pub(crate) fn made(bytes: Vec<u8>) -> ByteStream {
    Box::pin(Made(Some(Bytes::from(bytes)).filter(|bytes| !bytes.is_empty())))
}

struct Lines {
    entries: EntryStream,
    shape: Shape,
    /// The entries held back to be sorted, as long as they are few.
    first: Option<Vec<Entry>>,
}

impl Lines {
    fn written(&self, entries: Vec<Entry>) -> Bytes {
        let mut out = Vec::with_capacity(entries.len() * 96);
        for entry in entries {
            self.shape.line(entry, &mut out);
        }
        Bytes::from(out)
    }
}

impl Stream for Lines {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let ready = match ready!(this.entries.as_mut().poll_next(context)) {
                Some(Ok(mut batch)) => {
                    batch.retain(|entry| this.shape.wants(entry));
                    match &mut this.first {
                        Some(first) if first.len() + batch.len() <= SORTED_MAX => {
                            first.append(&mut batch);
                            continue;
                        }
                        Some(first) => {
                            first.append(&mut batch);
                            this.first.take().unwrap_or_default()
                        }
                        None => batch,
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => match this.first.take() {
                    Some(mut first) => {
                        first.sort_by(|one, two| one.name.cmp(&two.name));
                        first
                    }
                    None => return Poll::Ready(None),
                },
            };
            if !ready.is_empty() {
                return Poll::Ready(Some(Ok(this.written(ready))));
            }
        }
    }
}

struct Made(Option<Bytes>);

impl Stream for Made {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}
