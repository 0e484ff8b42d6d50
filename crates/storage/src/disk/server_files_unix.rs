//! Unix: files are identified by device and inode.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open};
use wharf_core::lock;

use super::{Extent, is_copy};
use crate::time::real_instant;

/// Device and inode of a file.
pub(crate) type Id = (u64, u64);

/// Maximum number of links in one path, as on Linux.
const LINKS_MAX: usize = 40;
/// Maximum depth of directories of the server that are indexed; wharf creates two levels.
const DEPTH_MAX: usize = 16;
/// Maximum number of indexed entries in directories of the server. Entries beyond are still denied
/// by the directory through which they are reached.
const ENTRIES_MAX: usize = 100_000;
/// For trees without paths of the server, the index is used for this long.
const STALE_MAX: Duration = Duration::from_secs(1);
/// A directory that changed this shortly before it was read may have changed again within the same
/// timestamp: file system clocks are coarse.
const COARSE: Duration = Duration::from_millis(50);
/// Maximum number of server files that are kept open, so that they are recognized after being
/// replaced.
const PINS_MAX: usize = 256;
/// Maximum number of parent directories that are checked.
const ABOVE_MAX: usize = 256;

/// Index of the files to which the server's paths lead, rebuilt whenever that may have changed.
pub(crate) struct ServerFileIndex {
    known: Mutex<KnownFiles>,
}

struct KnownFiles {
    paths: Vec<(PathBuf, Extent)>,
    snapshot: Arc<IndexSnapshot>,
    /// When it was last seen to be current.
    checked: Instant,
}

/// The files to which the server's paths led when they were last resolved.
#[derive(Default)]
struct IndexSnapshot {
    /// Every name of the paths, and the file it referred to.
    steps: BTreeMap<PathBuf, Option<PathStep>>,
    /// Directories that were read, with their modification times.
    folders_read: Vec<(PathBuf, FolderStamp)>,
    /// When the paths were resolved.
    read_at: Option<SystemTime>,
    /// Denied files.
    own: HashSet<Id>,
    /// Directories of the server, with their subdirectories.
    own_folders: HashMap<Id, PathBuf>,
    /// Directories and links that the paths lead through: they cannot be renamed or removed.
    on_path: HashSet<Id>,
    /// Directories that the paths lead through, and the paths below each.
    above: HashMap<Id, Vec<PathBuf>>,
    /// Whether a file of the server has a second hard link, which may be anywhere.
    has_aliases: bool,
    /// Names that are denied in a directory, even while no such file exists.
    names: Vec<(Id, Vec<u8>, Extent)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct PathStep {
    id: Id,
    /// The change time, for links: one may be replaced by another with the same inode.
    changed: Option<(i64, i64)>,
}

type FolderStamp = Option<(Id, i64, i64, i64, i64)>;

/// Whether a name may be created, removed or renamed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameVerdict {
    Denied,
    /// Its target is to be checked.
    Link,
    Free,
}

/// How a tree relates to the files of the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TreeRelation {
    /// Some of them lie in it.
    Contains,
    /// None is known to.
    Disjoint,
}

impl ServerFileIndex {
    pub(super) fn new(paths: Vec<(PathBuf, Extent)>) -> Self {
        let snapshot = Arc::new(resolve_all(&paths, &IndexSnapshot::default()));
        Self { known: Mutex::new(KnownFiles { paths, snapshot, checked: real_instant() }) }
    }

    pub(super) fn paths(&self) -> Vec<(PathBuf, Extent)> {
        lock(&self.known).paths.clone()
    }

    pub(super) fn replace_paths(&self, paths: Vec<(PathBuf, Extent)>) {
        let mut known = lock(&self.known);
        let snapshot = Arc::new(resolve_all(&paths, &known.snapshot));
        *known = KnownFiles { paths, snapshot, checked: real_instant() };
    }

    /// The current index. With [`TreeRelation::Disjoint`] it may be one second old.
    fn known(&self, relation: TreeRelation) -> Arc<IndexSnapshot> {
        let mut known = lock(&self.known);
        if relation == TreeRelation::Disjoint && known.checked.elapsed() < STALE_MAX {
            return Arc::clone(&known.snapshot);
        }
        if !known.snapshot.is_current() {
            known.snapshot = Arc::new(resolve_all(&known.paths, &known.snapshot));
        }
        known.checked = real_instant();
        Arc::clone(&known.snapshot)
    }

    /// Whether the tree with this root contains any of the server's files; also if the root is not
    /// known.
    pub(crate) fn relation(&self, root: Option<Id>) -> TreeRelation {
        let known = self.known(TreeRelation::Disjoint);
        match root {
            Some(root) if !known.above.contains_key(&root) => TreeRelation::Disjoint,
            _ => TreeRelation::Contains,
        }
    }

    /// The identity of an open file; `None` if access to it is denied.
    pub(crate) fn admit(&self, open: impl AsFd, relation: TreeRelation) -> Option<Id> {
        let facts = fstat(open).ok()?;
        (!self.denies_facts(&facts, relation)).then(|| id(&facts))
    }

    fn denies_facts(&self, facts: &Stat, relation: TreeRelation) -> bool {
        let is_file = FileType::from_raw_mode(facts.st_mode) == FileType::RegularFile;
        // It was replaced while it was opened, and may have been one of the server's.
        let is_gone = is_file && facts.st_nlink == 0 && relation == TreeRelation::Contains;
        // A file with a second hard link may be one of the server's, from anywhere.
        let relation =
            if is_file && facts.st_nlink > 1 { TreeRelation::Contains } else { relation };
        is_gone || self.known(relation).own.contains(&id(facts))
    }

    /// Whether an entry of a listing is denied.
    ///
    /// Directories with many hard-linked files would be slow to list, so an index that is one
    /// second old is accepted.
    pub(crate) fn denies_id(&self, unique: Option<(u64, u64)>) -> bool {
        unique.is_some_and(|id| self.known(TreeRelation::Disjoint).own.contains(&id))
    }

    /// The denied names in a directory; `None` if no name needs to be checked.
    pub(crate) fn denied_names(
        &self,
        folder: impl AsFd,
        relation: TreeRelation,
    ) -> Option<DeniedNames> {
        // From here on a listing may rely on the index.
        let known = self.known(relation);
        if relation == TreeRelation::Disjoint && !known.has_aliases {
            return None;
        }
        let folder = fstat(folder).ok().map(|facts| id(&facts))?;
        Some(DeniedNames { known, folder })
    }

    /// Whether a name in a directory is denied, whatever it refers to and even if it does not
    /// exist.
    pub(crate) fn denies_name(&self, folder: Id, name: &[u8], relation: TreeRelation) -> bool {
        let known = self.known(relation);
        known.own_folders.contains_key(&folder) || known.has_name(folder, name)
    }

    /// Whether a name in a directory must not be created, removed or renamed: it is denied, or
    /// leads to a denied file. `entry` has the facts of what exists under the name.
    pub(crate) fn holds(
        &self,
        folder: Id,
        name: &[u8],
        entry: Option<&Stat>,
        relation: TreeRelation,
    ) -> NameVerdict {
        if self.denies_name(folder, name, relation) {
            return NameVerdict::Denied;
        }
        let Some(facts) = entry else { return NameVerdict::Free };
        let is_on_path = || self.known(relation).on_path.contains(&id(facts));
        if self.denies_facts(facts, relation) || is_on_path() {
            return NameVerdict::Denied;
        }
        match FileType::from_raw_mode(facts.st_mode) {
            FileType::Symlink => NameVerdict::Link,
            _ => NameVerdict::Free,
        }
    }

    pub(super) fn beneath(&self, folder: &Path) -> Vec<PathBuf> {
        let known = self.known(TreeRelation::Contains);
        let of =
            std::fs::metadata(folder).ok().and_then(|it| known.above.get(&id_of(&it)).cloned());
        of.unwrap_or_default()
    }

    pub(super) fn folder_around(&self, folder: &Path) -> Option<PathBuf> {
        // Asked at each login. Only an administrator can move a home into a directory of the
        // server, and access to a file there is checked by its identity in any case.
        let known = self.known(TreeRelation::Disjoint);
        let mut at = std::fs::canonicalize(folder).ok()?;
        for _ in 0..ABOVE_MAX {
            let found =
                std::fs::metadata(&at).ok().and_then(|it| known.own_folders.get(&id_of(&it)));
            if let Some(found) = found {
                return Some(found.clone());
            }
            if !at.pop() {
                break;
            }
        }
        None
    }

    pub(super) fn contains(&self, path: &Path) -> bool {
        let known = self.known(TreeRelation::Contains);
        if std::fs::metadata(path).is_ok_and(|it| known.own.contains(&id_of(&it))) {
            return true;
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
        std::fs::metadata(folder).is_ok_and(|it| {
            let folder = id_of(&it);
            known.own_folders.contains_key(&folder) || known.has_name(folder, name.as_bytes())
        })
    }

    /// The same for an open directory.
    pub(crate) fn is_on_path(&self, facts: &Stat, relation: TreeRelation) -> bool {
        self.known(relation).on_path.contains(&id(facts))
    }

    pub(super) fn is_above(&self, path: &Path) -> bool {
        let known = self.known(TreeRelation::Contains);
        std::fs::symlink_metadata(path).is_ok_and(|it| known.on_path.contains(&id_of(&it)))
    }
}

/// The denied names in one directory.
pub(crate) struct DeniedNames {
    known: Arc<IndexSnapshot>,
    folder: Id,
}

impl DeniedNames {
    pub(crate) fn has_name(&self, name: &[u8]) -> bool {
        self.known.has_name(self.folder, name)
    }
}

impl IndexSnapshot {
    fn has_name(&self, folder: Id, name: &[u8]) -> bool {
        self.names.iter().any(|(of, own, extent)| {
            *of == folder
                && match extent {
                    Extent::FileAndCopies => is_copy(name, own),
                    Extent::File | Extent::Folder => name.eq_ignore_ascii_case(own),
                }
        })
    }

    /// Whether all paths still lead to the same files.
    fn is_current(&self) -> bool {
        let is_settled = |stamp: &FolderStamp| match (stamp, self.read_at) {
            (Some((_, seconds, nanos, ..)), Some(read_at)) => {
                let seconds = u64::try_from(*seconds).unwrap_or_default();
                let nanos = u32::try_from(*nanos).unwrap_or_default();
                let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
                read_at.duration_since(changed).is_ok_and(|age| age > COARSE)
            }
            _ => true,
        };
        self.steps.iter().all(|(path, step)| step_at(path) == *step)
            && self
                .folders_read
                .iter()
                .all(|(path, stamp)| is_settled(stamp) && stamp_of(path) == *stamp)
    }
}

fn id(facts: &Stat) -> Id {
    let number = |value: i128| u64::try_from(value).unwrap_or_default();
    (number(i128::from(facts.st_dev)), number(i128::from(facts.st_ino)))
}

fn id_of(facts: &std::fs::Metadata) -> Id {
    (facts.dev(), facts.ino())
}

fn step_at(path: &Path) -> Option<PathStep> {
    let facts = std::fs::symlink_metadata(path).ok()?;
    let changed = facts.is_symlink().then(|| (facts.ctime(), facts.ctime_nsec()));
    Some(PathStep { id: id_of(&facts), changed })
}

fn stamp_of(path: &Path) -> FolderStamp {
    let facts = std::fs::symlink_metadata(path).ok()?;
    Some((id_of(&facts), facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec()))
}

/// Server files that contain secrets, open since they were first seen. A replaced one, such as an
/// old private key, may have a second hard link in a home; while it is open, its inode number is
/// not reused. They are global to the process: a reload of the configuration must not forget them.
static PINS: Mutex<BTreeMap<Id, OwnedFd>> = Mutex::new(BTreeMap::new());

/// Keeps a file open without any access to its content.
fn pin(at: &Path, facts: &std::fs::Metadata) {
    #[cfg(target_os = "linux")]
    const HOW: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    #[cfg(not(target_os = "linux"))]
    const HOW: OFlags =
        OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let mut pins = lock(&PINS);
    if pins.len() >= PINS_MAX || pins.contains_key(&id_of(facts)) {
        return;
    }
    // If the file can no longer be opened, the earlier descriptor stays.
    if let Ok(file) = open(at, HOW, Mode::empty())
        && fstat(&file).is_ok_and(|opened| id(&opened) == id_of(facts))
    {
        pins.insert(id_of(facts), file);
    }
}

/// Server files that were replaced, and still have a name.
fn replaced(known: &mut IndexSnapshot) {
    let mut pins = lock(&PINS);
    pins.retain(|id, file| {
        let has_name = fstat(file).is_ok_and(|facts| facts.st_nlink > 0);
        if has_name && known.own.insert(*id) {
            known.has_aliases = true;
        }
        has_name
    });
}

/// Resolves every path, name by name. Whatever this process cannot access after it dropped
/// privileges is assumed to be unchanged.
fn resolve_all(paths: &[(PathBuf, Extent)], before: &IndexSnapshot) -> IndexSnapshot {
    let mut known = IndexSnapshot { read_at: Some(SystemTime::now()), ..IndexSnapshot::default() };
    for (path, extent) in paths {
        PathFollower { known: &mut known, before, path, extent: *extent, links: 0 }.follow();
    }
    replaced(&mut known);
    known
}

struct PathFollower<'a> {
    known: &'a mut IndexSnapshot,
    before: &'a IndexSnapshot,
    path: &'a Path,
    extent: Extent,
    links: usize,
}

impl PathFollower<'_> {
    fn follow(&mut self) {
        let mut ahead: Vec<_> = names(self.path);
        let mut here = PathBuf::from("/");
        while let Some(name) = ahead.pop() {
            if name.as_bytes() == b".." {
                here.pop();
                continue;
            }
            let Some(folder) = self.enter_folder(&here) else { return };
            let at = here.join(&name);
            let found = std::fs::symlink_metadata(&at);
            let step = match &found {
                Ok(_) => step_at(&at),
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    self.remembered(&at)
                }
                Err(_) => None,
            };
            // Many paths share their first names. If one has changed between two paths, its first
            // state is kept, so that the next check notices.
            self.known.steps.entry(at.clone()).or_insert(step);
            let is_last = ahead.is_empty();
            let Ok(facts) = found else {
                // Nothing exists there yet, and no account creates it.
                let extent = if is_last { self.extent } else { Extent::File };
                self.known.names.push((folder, name.as_bytes().to_vec(), extent));
                if let Some(step) = step.filter(|_| is_last) {
                    self.known.own.insert(step.id);
                }
                return;
            };
            if facts.is_symlink() {
                self.known.on_path.insert(id_of(&facts));
                self.links += 1;
                let Ok(target) = std::fs::read_link(&at) else { return };
                if self.links > LINKS_MAX {
                    return;
                }
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                if is_last {
                    self.known.names.push((folder, name.as_bytes().to_vec(), self.extent));
                }
                ahead.extend(names(&target));
                continue;
            }
            if is_last {
                self.known.names.push((folder, name.as_bytes().to_vec(), self.extent));
                self.reached(&at, &facts);
                return;
            }
            self.known.on_path.insert(id_of(&facts));
            here = at;
        }
    }

    /// Records a directory that a path leads through.
    fn enter_folder(&mut self, folder: &Path) -> Option<Id> {
        let folder = id_of(&std::fs::metadata(folder).ok()?);
        let below = self.known.above.entry(folder).or_default();
        if !below.iter().any(|path| path == self.path) {
            below.push(self.path.to_owned());
        }
        Some(folder)
    }

    fn remembered(&self, at: &Path) -> Option<PathStep> {
        self.before.steps.get(at).copied().flatten()
    }

    fn reached(&mut self, at: &Path, facts: &std::fs::Metadata) {
        if !facts.is_dir() {
            self.take(facts);
            if self.extent == Extent::FileAndCopies && facts.is_file() {
                pin(at, facts);
            }
        } else if self.extent == Extent::Folder {
            self.take_folder(at);
        }
    }

    fn take(&mut self, facts: &std::fs::Metadata) {
        self.known.own.insert(id_of(facts));
        self.known.has_aliases |= facts.nlink() > 1;
    }

    /// Adds a directory with all its content.
    fn take_folder(&mut self, top: &Path) {
        let mut ahead = vec![(top.to_owned(), 0)];
        while let Some((folder, depth)) = ahead.pop() {
            let stamp = stamp_of(&folder);
            let Some((folder_id, ..)) = stamp else { continue };
            self.known.own.insert(folder_id);
            self.known.own_folders.insert(folder_id, self.path.to_owned());
            self.known.folders_read.push((folder.clone(), stamp));
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.filter_map(Result::ok) {
                if self.known.own.len() >= ENTRIES_MAX {
                    return;
                }
                let Ok(facts) = entry.metadata() else { continue };
                if !facts.is_dir() {
                    self.take(&facts);
                } else if depth < DEPTH_MAX {
                    ahead.push((entry.path(), depth + 1));
                }
            }
        }
    }
}

/// The names of a path, the first one last.
fn names(path: &Path) -> Vec<std::ffi::OsString> {
    path.components()
        .rev()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_paths_share_are_checked_once_and_changes_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        std::fs::create_dir(top.join("logs")).unwrap();
        let numbered = (0..5).map(|number| (top.join(format!("logs/{number}")), Extent::File));
        let index = ServerFileIndex::new(numbered.collect());
        let known = index.known(TreeRelation::Contains);
        assert_eq!(known.steps.len(), names(&top).len() + 1 + 5);
        assert!(known.is_current());
        std::fs::write(top.join("logs/3"), "").unwrap();
        assert!(!known.is_current());
        std::fs::rename(top.join("logs"), top.join("old")).unwrap();
        let known = index.known(TreeRelation::Contains);
        assert_eq!(known.steps.len(), names(&top).len() + 1);
        assert!(known.is_current());
    }

    #[test]
    fn a_folder_in_a_directory_of_the_server_is_found_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["state/inner", "home"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let state = folder.path().join("state");
        let index = ServerFileIndex::new(vec![(state.clone(), Extent::Folder)]);
        assert_eq!(index.folder_around(&state.join("inner")), Some(state));
        assert_eq!(index.folder_around(&folder.path().join("home")), None);
    }
}
