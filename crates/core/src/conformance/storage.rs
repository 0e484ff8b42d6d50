//! Conformance tests of [`Storage`].

#![expect(clippy::panic, reason = "a suite of tests reports by panicking which case failed")]

mod changing;
mod reading;
mod writing;

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io::{Read, Seek, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::path::VPath;

use crate::error::{ErrorKind, Result};
use crate::storage::{Entries, ListDetail, Replace, Sink, Source, Start, Storage, Write};

/// Tests the contract of [`Storage`] against a store. `make` returns a new, empty tree each time.
///
/// Operations without a capability in `caps()` are expected to fail with `Unsupported`. Partial
/// uploads are tested only if the store keeps them. Runs in the caller's runtime, if the store
/// needs one.
///
/// # Panics
/// With the name of the case and the violated requirement.
pub async fn storage(make: impl Fn() -> Arc<dyn Storage>) {
    let families = [reading::CASES, writing::CASES, changing::CASES];
    for (name, run) in families.into_iter().flatten() {
        run(&Harness { name, store: make() }).await;
    }
}

/// A named case: what it is called, and the future that runs it.
type ConformanceCase =
    (&'static str, fn(&Harness) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>);

/// Names each function as a case.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        pub(super) const CASES: &[super::ConformanceCase] =
            &[$((stringify!($case), |harness| Box::pin($case(harness)))),*];
    };
}
use cases;

/// A store under test, and the case that tests it.
struct Harness {
    name: &'static str,
    store: Arc<dyn Storage>,
}

impl Harness {
    /// Fails the case unless `holds`.
    #[track_caller]
    fn check(&self, holds: bool, what: &str) {
        assert!(holds, "{}: {what}", self.name);
    }

    /// Fails the case unless both are the same.
    #[expect(clippy::needless_pass_by_value, reason = "an assertion reads better without `&`")]
    #[track_caller]
    fn same<T: PartialEq + std::fmt::Debug>(&self, found: T, wanted: T, what: &str) {
        assert!(found == wanted, "{}: {what}: {found:?}, not {wanted:?}", self.name);
    }

    /// The value of an act that must succeed.
    #[track_caller]
    fn works<T>(&self, result: Result<T>, what: &str) -> T {
        match result {
            Ok(value) => value,
            Err(error) => panic!("{}: {what}: {error} ({:?})", self.name, error.kind),
        }
    }

    /// Fails the case unless the act failed in one of these ways.
    #[track_caller]
    fn fails<T>(&self, result: Result<T>, kinds: &[ErrorKind], what: &str) {
        match result {
            Ok(_) => panic!("{}: {what}: it worked, not {kinds:?}", self.name),
            Err(error) => assert!(
                kinds.contains(&error.kind),
                "{}: {what}: {error} ({:?}), not {kinds:?}",
                self.name,
                error.kind
            ),
        }
    }

    fn path(&self, text: impl AsRef<[u8]>) -> VPath {
        match VPath::root().resolve(text.as_ref()) {
            Ok(path) => path,
            Err(error) => panic!("{}: not a path: {error:?}", self.name),
        }
    }

    /// Makes a directory.
    async fn dir(&self, at: &str) {
        self.works(self.store.make_dir(&self.path(at)).await, "make a directory");
    }

    /// Publishes a file, whether one is there or not.
    async fn put(&self, at: &str, content: &[u8]) {
        let mut sink = self.begin(at, Start::Fresh, Replace::Allowed).await;
        self.feed(&mut sink, content).await;
        let stored = self.works(sink.commit().await, "commit");
        self.same(Some(stored.size), u64::try_from(content.len()).ok(), "the size committed");
    }

    /// Begins a write that must begin.
    async fn begin(&self, at: &str, start: Start, replace: Replace) -> Box<dyn Sink> {
        let how = Write { start, replace };
        self.works(self.store.write(&self.path(at), how).await, "begin to write")
    }

    /// Gives bytes to a write.
    async fn feed(&self, sink: &mut Box<dyn Sink>, content: &[u8]) {
        self.works(sink.write(Bytes::copy_from_slice(content)).await, "write");
    }

    /// The whole content of a file; none if there is none.
    async fn content(&self, at: &str) -> Option<Vec<u8>> {
        match self.store.read(&self.path(at), 0).await {
            Ok(source) => Some(self.drain(source).await),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => panic!("{}: read {at}: {error}", self.name),
        }
    }

    /// Fails the case unless the file has exactly this content, and matching facts.
    async fn holds(&self, at: &str, wanted: &[u8], what: &str) {
        let found = self.content(at).await;
        // Long contents would bury the message.
        let is_same = found.as_deref() == Some(wanted);
        let length = found.map(|found| found.len());
        self.check(is_same, &format!("{what}: {at} has {length:?} bytes, not the wanted ones"));
        let entry = self.works(self.store.stat(&self.path(at)).await, "stat");
        self.same(entry.kind, Kind::File, "the kind of a file");
        self.same(Some(entry.size), u64::try_from(wanted.len()).ok(), "the size of a file");
    }

    /// Fails the case unless nothing has this name, for every way to look.
    async fn is_absent(&self, at: &str, what: &str) {
        let path = self.path(at);
        self.fails(self.store.stat(&path).await, &[ErrorKind::NotFound], what);
        self.fails(self.store.read(&path, 0).await, &[ErrorKind::NotFound], what);
        if let (Some(parent), Some(name)) = (path.parent(), path.name()) {
            self.check(!self.names(&parent).await.contains(name), what);
        }
    }

    /// Everything of a source.
    async fn drain(&self, source: Source) -> Vec<u8> {
        let mut content = Vec::new();
        match source {
            Source::File { mut file, from, len } => {
                let read = file
                    .seek(SeekFrom::Start(from))
                    .and_then(|_| file.take(len).read_to_end(&mut content));
                self.check(read.is_ok(), "the file that was handed out can be read");
                self.same(u64::try_from(content.len()).ok(), Some(len), "the length handed out");
            }
            Source::Bytes(bytes) => content.extend_from_slice(&bytes),
            Source::Stream(mut stream) => {
                while let Some(piece) = poll_fn(|waker| stream.as_mut().poll_next(waker)).await {
                    let piece = self.works(piece, "read on");
                    self.check(!piece.is_empty(), "no piece is empty");
                    content.extend_from_slice(&piece);
                }
            }
        }
        content
    }

    /// The entries of a directory.
    async fn entries(&self, at: &VPath) -> Vec<Entry> {
        let listed = self.works(self.store.list(at, ListDetail::Facts).await, "list");
        self.rest(listed).await
    }

    /// The remaining entries of a listing.
    async fn rest(&self, listed: Entries) -> Vec<Entry> {
        let mut stream = match listed {
            Entries::Blocking(entries) => {
                return entries.map(|entry| self.works(entry, "list on")).collect();
            }
            Entries::Stream(stream) => stream,
        };
        let mut entries = Vec::new();
        while let Some(batch) = poll_fn(|waker| stream.as_mut().poll_next(waker)).await {
            let batch = self.works(batch, "list on");
            self.check(!batch.is_empty(), "no batch is empty");
            entries.extend(batch);
        }
        entries
    }

    /// The names in a directory, without duplicates.
    async fn names(&self, at: &VPath) -> BTreeSet<Vec<u8>> {
        let entries = self.entries(at).await;
        let count = entries.len();
        let names: BTreeSet<_> = entries.into_iter().map(|entry| entry.name).collect();
        let listed = self.works(self.store.list(at, ListDetail::Names).await, "list names");
        let alone = self.rest(listed).await.into_iter().map(|entry| entry.name).collect();
        self.check(names == alone, "a listing of names holds the same names");
        self.same(names.len(), count, "no name is listed twice");
        let odd = names.iter().any(|name| matches!(name.as_slice(), b"" | b"." | b".."));
        self.check(!odd, "a listing holds neither itself nor what is above");
        names
    }
}
