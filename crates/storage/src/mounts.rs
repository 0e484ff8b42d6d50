//! A home combined with directories mounted from elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use futures_core::Stream;
use wharf_core::error::{ErrorKind, Result};
use wharf_core::permission::{folded, folded_name};
use wharf_core::storage::{
    Capabilities, Change, Entries, EntryStream, LastLink, ListDetail, Replace, Sink, Source, Space,
    Storage, Usage, Write,
};
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::path::VPath;

/// Maximum number of links between mounted trees in one path.
const RESOLVED_MAX: usize = 16;

/// A tree with others mounted in it.
///
/// A mounted directory covers everything that the home has at or below its path. The mount point
/// itself, and its parents, can be neither removed nor renamed; a rename from one tree to another
/// is `CrossesDevices`. Parents of a mount point that the home does not have appear as directories
/// with nothing else in them. Usage and space are those of the home if no path is given.
///
/// If the home is case-insensitive, a mount covers every spelling of its path.
pub struct Mounts {
    home: Arc<dyn Storage>,
    folders: BTreeMap<VPath, Arc<dyn Storage>>,
    ignores_case: bool,
}

/// The storage of a path.
struct MountLocation<'a> {
    store: &'a Arc<dyn Storage>,
    /// The path relative to the root of that storage.
    at: VPath,
    is_home: bool,
}

impl Mounts {
    /// Mounts each of `folders` at its path, which must not be the root.
    pub fn new(
        home: Arc<dyn Storage>,
        folders: impl IntoIterator<Item = (VPath, Arc<dyn Storage>)>,
    ) -> Self {
        let folders = folders.into_iter().filter(|(at, _)| !at.is_root()).collect();
        let ignores_case = home.caps().ignores_case;
        Self { home, folders, ignores_case }
    }

    /// Whether `at` equals or lies below `prefix`, with the case sensitivity of the home.
    fn is_within(&self, at: &VPath, prefix: &VPath) -> bool {
        if !self.ignores_case {
            return at.is_within(prefix);
        }
        let (at, prefix) = (folded(at), folded(prefix));
        let below = at.strip_prefix(prefix.trim_end_matches('/'));
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }

    /// The storage of a path: that of the mount with the longest matching prefix.
    fn location(&self, at: &VPath) -> MountLocation<'_> {
        let within = self.folders.iter().filter(|(prefix, _)| self.is_within(at, prefix));
        let nearest = within.max_by_key(|(prefix, _)| prefix.as_bytes().len());
        let Some((prefix, store)) = nearest else {
            return MountLocation { store: &self.home, at: at.clone(), is_home: true };
        };
        let depth = prefix.names().count();
        let below = at.names().skip(depth).try_fold(VPath::root(), |path, name| path.join(name));
        // A part of a path is a path.
        MountLocation { store, at: below.unwrap_or_else(|_| VPath::root()), is_home: false }
    }

    /// The names that lead from `at` to mounts, each once, with the mounted storage if the name is
    /// a mount point.
    fn next(&self, at: &VPath) -> BTreeMap<Vec<u8>, Option<&Arc<dyn Storage>>> {
        let depth = at.names().count();
        let mut names = BTreeMap::new();
        for (path, store) in &self.folders {
            let mut rest = path.names().skip(depth);
            let Some(name) = rest.next().filter(|_| self.is_within(path, at)) else { continue };
            let is_there = rest.next().is_none();
            let known = names.entry(name.to_vec()).or_insert(None);
            if is_there {
                *known = Some(store);
            }
        }
        names
    }

    /// Whether `at` is a mount point, or lies above one.
    fn is_fixed(&self, at: &VPath) -> bool {
        self.folders.keys().any(|path| self.is_within(path, at))
    }

    /// A parent of a mount point that the home does not have.
    async fn stat_above(&self, at: &VPath) -> Result<Entry> {
        match self.home.stat(at).await {
            Ok(entry) if entry.kind == Kind::Dir => Ok(entry),
            _ => Ok(Entry::new(at.name().unwrap_or(b"/"), Kind::Dir, 0)),
        }
    }

    async fn entry(&self, name: &[u8], at: &VPath) -> Option<Entry> {
        let entry = self.stat(&at.join(name).ok()?).await.ok()?;
        Some(Entry { name: name.to_vec(), ..entry })
    }
}

#[async_trait]
impl Storage for Mounts {
    /// What all of them support; names are case-insensitive if they are in one of them.
    fn caps(&self) -> Capabilities {
        self.folders.values().map(|store| store.caps()).fold(self.home.caps(), |all, one| {
            Capabilities {
                resumes: all.resumes && one.resumes,
                appends: all.appends && one.appends,
                sets_times: all.sets_times && one.sets_times,
                sets_mode: all.sets_mode && one.sets_mode,
                ignores_case: all.ignores_case || one.ignores_case,
            }
        })
    }

    async fn stat(&self, at: &VPath) -> Result<Entry> {
        let location = self.location(at);
        if location.is_home && !at.is_root() && self.is_fixed(at) {
            return self.stat_above(at).await;
        }
        let entry = location.store.stat(&location.at).await?;
        // A mount point has its own name, not that of the mounted directory.
        Ok(match at.name() {
            Some(name) if location.at.is_root() => Entry { name: name.to_vec(), ..entry },
            _ => entry,
        })
    }

    async fn list(&self, at: &VPath, wanted: ListDetail) -> Result<Entries> {
        let location = self.location(at);
        let next = self.next(at);
        let listed = location.store.list(&location.at, wanted).await;
        if next.is_empty() {
            return listed;
        }
        let mut mounted = Vec::new();
        for name in next.keys() {
            mounted.extend(self.entry(name, at).await);
        }
        let own = match listed {
            Ok(own) => own,
            // The home need not have a directory that is only a parent of a mount point.
            Err(error) if error.kind == ErrorKind::NotFound => {
                Entries::Blocking(Box::new(std::iter::empty()))
            }
            Err(error) => return Err(error),
        };
        let names = next.into_keys().collect();
        let covered = MountPointNames { names, ignores_case: self.ignores_case };
        Ok(joined(own, covered, mounted))
    }

    async fn read(&self, at: &VPath, from: u64) -> Result<Source> {
        let location = self.location(at);
        location.store.read(&location.at, from).await
    }

    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>> {
        if self.is_fixed(at) {
            return Err(ErrorKind::IsADirectory.into());
        }
        let location = self.location(at);
        location.store.write(&location.at, how).await
    }

    async fn partial(&self, at: &VPath) -> Result<Option<u64>> {
        let location = self.location(at);
        location.store.partial(&location.at).await
    }

    async fn has_unfinished(&self, at: &VPath) -> Result<bool> {
        let location = self.location(at);
        location.store.has_unfinished(&location.at).await
    }

    fn usage(&self, at: &VPath) -> Option<Usage> {
        let location = self.location(at);
        location.store.usage(&location.at)
    }

    /// A link of one tree can lead to the mount point of another, which contains the next link.
    async fn resolve(&self, at: &VPath, last: LastLink) -> Result<VPath> {
        let mut path = at.clone();
        for _ in 0..RESOLVED_MAX {
            let location = self.location(&path);
            let depth = path.names().count().saturating_sub(location.at.names().count());
            let found = location.store.resolve(&location.at, last).await?;
            if found == location.at {
                return Ok(path);
            }
            let mut names = path.names().take(depth).chain(found.names());
            let joined = names.try_fold(VPath::root(), |path, name| path.join(name));
            drop(names);
            path = joined.map_err(|_| ErrorKind::Forbidden)?;
        }
        Err(ErrorKind::Forbidden.into())
    }

    fn mount_at_or_below(&self, at: &VPath) -> Option<VPath> {
        self.folders.keys().find(|path| self.is_within(path, at)).cloned()
    }

    async fn space(&self, at: &VPath) -> Result<Option<Space>> {
        let location = self.location(at);
        location.store.space(&location.at).await
    }

    fn real_path(&self, at: &VPath) -> Option<PathBuf> {
        let location = self.location(at);
        location.store.real_path(&location.at)
    }

    fn umask(&self) -> Option<u32> {
        self.home.umask()
    }

    fn set_umask(&self, umask: u32) {
        for store in self.folders.values().chain([&self.home]) {
            store.set_umask(umask);
        }
    }

    async fn remove_file(&self, at: &VPath) -> Result<()> {
        if self.is_fixed(at) {
            return Err(ErrorKind::IsADirectory.into());
        }
        let location = self.location(at);
        location.store.remove_file(&location.at).await
    }

    async fn remove_dir(&self, at: &VPath) -> Result<()> {
        if self.is_fixed(at) {
            return Err(ErrorKind::Forbidden.into());
        }
        let location = self.location(at);
        location.store.remove_dir(&location.at).await
    }

    async fn make_dir(&self, at: &VPath) -> Result<()> {
        if self.is_fixed(at) {
            return Err(ErrorKind::Exists.into());
        }
        let location = self.location(at);
        location.store.make_dir(&location.at).await
    }

    async fn rename(&self, from: &VPath, to: &VPath, replace: Replace) -> Result<()> {
        if self.is_fixed(from) {
            return Err(ErrorKind::Forbidden.into());
        }
        if self.is_fixed(to) {
            return Err(ErrorKind::Exists.into());
        }
        let (from, to) = (self.location(from), self.location(to));
        if !Arc::ptr_eq(from.store, to.store) {
            // A missing source is reported first.
            from.store.stat(&from.at).await?;
            return Err(ErrorKind::CrossesDevices.into());
        }
        from.store.rename(&from.at, &to.at, replace).await
    }

    async fn set(&self, at: &VPath, change: Change) -> Result<()> {
        let location = self.location(at);
        location.store.set(&location.at, change).await
    }
}

/// The entries of a directory without those that are covered, followed by those that cover them.
fn joined(own: Entries, covered: MountPointNames, mounted: Vec<Entry>) -> Entries {
    match own {
        Entries::Blocking(entries) => {
            let open = entries.filter(move |entry| {
                entry.as_ref().map_or(true, |entry| !covered.has(&entry.name))
            });
            Entries::Blocking(Box::new(open.chain(mounted.into_iter().map(Ok))))
        }
        Entries::Stream(batches) => {
            Entries::Stream(Box::pin(Batches { own: Some(batches), covered, mounted }))
        }
    }
}

/// The names in a directory that mounts cover.
struct MountPointNames {
    names: Vec<Vec<u8>>,
    ignores_case: bool,
}

impl MountPointNames {
    fn has(&self, name: &[u8]) -> bool {
        let is_same = |known: &Vec<u8>| {
            known == name || self.ignores_case && folded_name(known) == folded_name(name)
        };
        self.names.iter().any(is_same)
    }
}

/// Batches without covered entries, and a final one with the mounts.
struct Batches {
    /// `None` once it has ended: the stream must not be polled after that.
    own: Option<EntryStream>,
    covered: MountPointNames,
    mounted: Vec<Entry>,
}

impl Stream for Batches {
    type Item = Result<Vec<Entry>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Some(own) = &mut self.own {
            match ready!(own.as_mut().poll_next(context)) {
                Some(Ok(mut batch)) => {
                    batch.retain(|entry| !self.covered.has(&entry.name));
                    if !batch.is_empty() {
                        return Poll::Ready(Some(Ok(batch)));
                    }
                }
                Some(Err(error)) => {
                    // Nothing follows an error.
                    self.own = None;
                    self.mounted.clear();
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.own = None,
            }
        }
        let last = std::mem::take(&mut self.mounted);
        Poll::Ready((!last.is_empty()).then_some(Ok(last)))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wharf_core::storage::Start;

    use super::*;
    use crate::Memory;

    fn path(text: &str) -> VPath {
        VPath::root().resolve(text.as_bytes()).unwrap()
    }

    async fn put(store: &dyn Storage, at: &str) -> Result<()> {
        let how = Write { start: Start::Fresh, replace: Replace::Allowed };
        let mut sink = store.write(&path(at), how).await?;
        sink.write(Bytes::from_static(b"text")).await?;
        sink.commit().await.map(drop)
    }

    async fn names(store: &dyn Storage, at: &str) -> Vec<String> {
        let mut names = Vec::new();
        match store.list(&path(at), ListDetail::Facts).await.unwrap() {
            Entries::Blocking(entries) => {
                names.extend(entries.map(|entry| entry.unwrap().name));
            }
            Entries::Stream(mut batches) => {
                while let Some(batch) =
                    std::future::poll_fn(|context| batches.as_mut().poll_next(context)).await
                {
                    names.extend(batch.unwrap().into_iter().map(|entry| entry.name));
                }
            }
        }
        let mut names: Vec<_> =
            names.into_iter().map(|name| String::from_utf8(name).unwrap()).collect();
        names.sort();
        names
    }

    /// A home with `/a` and `/music/old`, and mounts at `/music` and `/deep/er/x`.
    async fn tree() -> (Arc<dyn Storage>, Arc<dyn Storage>, Mounts) {
        let home: Arc<dyn Storage> = Arc::new(Memory::new());
        let music: Arc<dyn Storage> = Arc::new(Memory::new());
        let deep: Arc<dyn Storage> = Arc::new(Memory::new());
        put(&*home, "/a").await.unwrap();
        home.make_dir(&path("/music")).await.unwrap();
        put(&*home, "/music/old").await.unwrap();
        put(&*music, "/song").await.unwrap();
        put(&*deep, "/d").await.unwrap();
        let folders = [(path("/music"), Arc::clone(&music)), (path("/deep/er/x"), deep)];
        let all = Mounts::new(Arc::clone(&home), folders);
        (home, music, all)
    }

    fn kind<T>(result: Result<T>) -> ErrorKind {
        result.err().expect("it fails").kind
    }

    /// Ends, and must not be polled again.
    struct OneEntryBatch(Option<Result<Vec<Entry>>>, bool);

    impl Stream for OneEntryBatch {
        type Item = Result<Vec<Entry>>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            assert!(!self.1, "a stream was polled after its end");
            let next = self.0.take();
            self.1 = !matches!(next, Some(Ok(_)));
            Poll::Ready(next)
        }
    }

    #[tokio::test]
    async fn a_listing_of_the_home_is_not_polled_after_its_end_or_an_error() {
        let entry = |name: &str| Entry::new(name, Kind::Dir, 0);
        for (own, wanted) in [
            (Ok(vec![entry("a")]), [true, true, false, false]),
            (Err(ErrorKind::Broken.into()), [true, false, false, false]),
        ] {
            let covered = MountPointNames { names: Vec::new(), ignores_case: false };
            let own = Entries::Stream(Box::pin(OneEntryBatch(Some(own), false)));
            let Entries::Stream(mut all) = joined(own, covered, vec![entry("music")]) else {
                panic!("batches stay batches");
            };
            for is_some in wanted {
                let next = std::future::poll_fn(|context| all.as_mut().poll_next(context)).await;
                assert_eq!(next.is_some(), is_some);
            }
        }
    }

    #[tokio::test]
    async fn mounts_meet_the_storage_contract() {
        wharf_core::conformance::storage(|| Arc::new(Mounts::new(Arc::new(Memory::new()), [])))
            .await;
    }

    #[tokio::test]
    async fn mounts_cover_the_home_and_are_listed_at_their_paths() {
        let (home, _, all) = tree().await;
        assert_eq!(names(&all, "/").await, ["a", "deep", "music"]);
        assert_eq!(names(&all, "/music").await, ["song"]);
        assert_eq!(names(&all, "/deep").await, ["er"]);
        assert_eq!(names(&all, "/deep/er").await, ["x"]);
        assert_eq!(names(&all, "/deep/er/x").await, ["d"]);
        let music = all.stat(&path("/music")).await.unwrap();
        assert_eq!((music.kind, &*music.name), (Kind::Dir, &b"music"[..]));
        assert_eq!(all.stat(&path("/deep")).await.unwrap().kind, Kind::Dir);
        assert_eq!(kind(all.read(&path("/music/old"), 0).await), ErrorKind::NotFound);
        put(&all, "/music/new").await.unwrap();
        assert_eq!(names(&all, "/music").await, ["new", "song"]);
        assert_eq!(names(&*home, "/music").await, ["old"]);
    }

    #[tokio::test]
    async fn mount_points_cannot_be_changed_and_renames_do_not_cross_them() {
        let (_, music, all) = tree().await;
        let rename = |from: &'static str, to: &'static str| {
            let all = &all;
            async move { all.rename(&path(from), &path(to), Replace::Allowed).await }
        };
        for fixed in ["/music", "/deep", "/deep/er", "/deep/er/x"] {
            assert_eq!(kind(all.remove_dir(&path(fixed)).await), ErrorKind::Forbidden, "{fixed}");
            assert_eq!(kind(all.remove_file(&path(fixed)).await), ErrorKind::IsADirectory);
            assert_eq!(kind(all.make_dir(&path(fixed)).await), ErrorKind::Exists);
            assert_eq!(kind(put(&all, fixed).await), ErrorKind::IsADirectory);
            assert_eq!(
                kind(all.rename(&path(fixed), &path("/z"), Replace::Allowed).await),
                ErrorKind::Forbidden
            );
            assert_eq!(
                kind(all.rename(&path("/a"), &path(fixed), Replace::Allowed).await),
                ErrorKind::Exists
            );
        }
        assert_eq!(kind(rename("/a", "/music/a").await), ErrorKind::CrossesDevices);
        assert_eq!(kind(rename("/none", "/music/a").await), ErrorKind::NotFound);
        rename("/music/song", "/music/tune").await.unwrap();
        assert_eq!(names(&*music, "/").await, ["tune"]);
        rename("/a", "/b").await.unwrap();
        all.remove_file(&path("/music/tune")).await.unwrap();
        assert!(names(&*music, "/").await.is_empty());
    }

    #[tokio::test]
    async fn row_30_without_case_sensitivity_a_mount_covers_every_spelling() {
        let (home, music, _) = tree().await;
        let all = Mounts {
            ignores_case: true,
            ..Mounts::new(Arc::clone(&home), [(path("/Music"), Arc::clone(&music))])
        };
        assert_eq!(names(&all, "/").await, ["Music", "a"]);
        for spelt in ["/music", "/MUSIC", "/Music"] {
            assert_eq!(names(&all, spelt).await, ["song"], "{spelt}");
            let old = path(&format!("{spelt}/old"));
            assert_eq!(kind(all.read(&old, 0).await), ErrorKind::NotFound);
            assert_eq!(kind(all.remove_dir(&path(spelt)).await), ErrorKind::Forbidden);
        }
        let to = path("/MUSIC/a");
        let across = all.rename(&path("/a"), &to, Replace::Allowed).await;
        assert_eq!(kind(across), ErrorKind::CrossesDevices);
    }
}
