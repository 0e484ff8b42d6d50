//! The nodes of a tree in memory, without locks and without async.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use wharf_core::error::{ErrorKind, Result};
use wharf_core::storage::{Change, Replace, UsedSpace};
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::path::VPath;
use wharf_proto::time::Timestamp;

use crate::name::check_new;
use crate::quota::QuotaCounter;

/// The account and the target path of an unfinished upload.
pub(super) type PartialKey = (Arc<str>, VPath);

/// Identifies a file and its version: its number, and how often its content changed.
pub(super) type Identity = (u64, u64);

/// An identity that no file ever has.
pub(super) const GONE: Identity = (u64::MAX, u64::MAX);

/// The uploads in progress of one account to one path.
#[derive(Default)]
pub(super) struct Running {
    pub(super) count: usize,
    /// Whether a file existed there since the first of them began.
    pub(super) is_outdated: bool,
}

/// An unfinished upload.
pub(super) struct Partial {
    pub(super) content: Vec<u8>,
    /// The identity of the file at the target when it began.
    pub(super) base: Option<Identity>,
}

/// All nodes, and the unfinished uploads.
pub(super) struct MemoryTree {
    clock: fn() -> Timestamp,
    root: Node,
    /// By directory, then by name, so that the entries of a directory are adjacent.
    nodes: BTreeMap<(VPath, Vec<u8>), Node>,
    pub(super) partials: HashMap<PartialKey, Partial>,
    /// The number of uploads in progress.
    pub(super) running: HashMap<PartialKey, Running>,
    made: u64,
    /// Set once a quota is counted.
    pub(super) counter: Option<Arc<QuotaCounter>>,
}

struct Node {
    /// `None` for a directory.
    content: Option<Bytes>,
    modified: Timestamp,
    created: Timestamp,
    mode: u32,
    number: u64,
    /// How often its content changed.
    changes: u64,
}

impl MemoryTree {
    pub(super) fn new(clock: fn() -> Timestamp) -> Self {
        let root = Node::new(None, clock(), 0);
        Self {
            clock,
            root,
            nodes: BTreeMap::new(),
            partials: HashMap::new(),
            running: HashMap::new(),
            made: 0,
            counter: None,
        }
    }

    /// The usage, including unfinished uploads.
    pub(super) fn used(&self) -> UsedSpace {
        let files = self.nodes.values().map(|node| node.content.as_deref().unwrap_or_default());
        let partials = self.partials.values().map(|partial| partial.content.as_slice());
        files.chain(partials).fold(UsedSpace::default(), |sum, content| UsedSpace {
            bytes: sum.bytes.saturating_add(super::length(content)),
            files: sum.files.saturating_add(1),
        })
    }

    pub(super) fn stat(&self, at: &VPath) -> Result<Entry> {
        let name = at.name().unwrap_or(b".");
        Ok(self.node(at)?.entry(name))
    }

    pub(super) fn check_dir(&self, at: &VPath) -> Result<()> {
        match self.node(at)?.content {
            None => Ok(()),
            Some(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn file(&self, at: &VPath) -> Result<Bytes> {
        self.node(at)?.content.clone().ok_or_else(|| ErrorKind::IsADirectory.into())
    }

    /// The identity of the existing file; `None` if there is none.
    pub(super) fn identity(&self, at: &VPath) -> Option<Identity> {
        self.node(at).ok().map(|node| (node.number, node.changes))
    }

    /// The account's unfinished upload to this path, if it applies to the current file.
    pub(super) fn partial(&self, key: &PartialKey) -> Option<&Partial> {
        let partial = self.partials.get(key)?;
        let is_valid = partial.base == self.identity(&key.1)
            && (partial.base.is_some() || !partial.content.is_empty());
        is_valid.then_some(partial)
    }

    /// Whether this account has an unfinished upload that was to replace a file other than the
    /// current one.
    pub(super) fn is_outdated(&self, key: &PartialKey) -> bool {
        self.partials.contains_key(key) && self.partial(key).is_none()
    }

    /// A file exists there, or did until now: unfinished uploads of any account for the unused name
    /// are void.
    fn clear_absent_mark(&mut self, at: &VPath) {
        let left = self.partials.iter_mut().filter(|(key, _)| key.1 == *at);
        for (_, partial) in left.filter(|(_, partial)| partial.base.is_none()) {
            partial.base = Some(GONE);
        }
        for (_, running) in self.running.iter_mut().filter(|(key, _)| key.1 == *at) {
            running.is_outdated = true;
        }
    }

    /// An unused number.
    pub(super) fn next_number(&mut self) -> u64 {
        self.made = self.made.saturating_add(1);
        self.made
    }

    /// Appends bytes to the file with this number, and returns its length.
    pub(super) fn append(&mut self, at: &VPath, number: u64, more: &[u8]) -> Result<u64> {
        let now = (self.clock)();
        let node = self.node_mut(at)?;
        let Some(content) = node.content.as_ref().filter(|_| node.number == number) else {
            return Err(ErrorKind::Busy.into());
        };
        if more.len() > super::FILE_BYTES_MAX.saturating_sub(content.len()) {
            return Err(ErrorKind::NoSpace.into());
        }
        let content = Bytes::from([content, more].concat());
        let length = super::length(&content);
        node.content = Some(content);
        node.modified = now;
        node.changes = node.changes.saturating_add(1);
        Ok(length)
    }

    /// Removes the unfinished uploads beneath a directory, and returns the size of each.
    pub(super) fn forget_below(&mut self, dir: &VPath) -> Vec<u64> {
        let is_below = |key: &PartialKey, _: &mut Partial| key.1.is_within(dir);
        self.partials
            .extract_if(is_below)
            .map(|(_, partial)| super::length(&partial.content))
            .collect()
    }

    /// At most `most` entries of a directory, sorted by name, following `after`. A missing
    /// directory has none.
    pub(super) fn list(&self, at: &VPath, after: &[u8], most: usize) -> Vec<Entry> {
        let start = Bound::Excluded((at.clone(), after.to_vec()));
        self.nodes
            .range((start, Bound::Unbounded))
            .take_while(|((dir, _), _)| dir == at)
            .take(most)
            .map(|((_, name), node)| node.entry(name))
            .collect()
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = VPath> {
        self.nodes.keys().filter_map(|(dir, name)| dir.join(name).ok())
    }

    /// Whether a file may be written there.
    pub(super) fn check_write(&self, at: &VPath, replace: Replace) -> Result<()> {
        let (dir, name) = location(at).ok_or(ErrorKind::IsADirectory)?;
        self.check_dir(&dir)?;
        match self.nodes.get(&(dir, name.clone())) {
            Some(Node { content: None, .. }) => Err(ErrorKind::IsADirectory.into()),
            Some(_) => replace.check(true),
            None => check_new(&name),
        }
    }

    /// Publishes a complete file.
    pub(super) fn publish(&mut self, at: &VPath, content: Bytes, replace: Replace) -> Result<()> {
        self.check_write(at, replace)?;
        self.insert(at, Some(content))
    }

    /// Adds a file with its parent directories, whatever its name.
    pub(super) fn put(&mut self, at: &VPath, content: Bytes) -> Result<()> {
        let mut dir = VPath::root();
        for name in at.parent().iter().flat_map(VPath::names) {
            dir = dir.join(name).map_err(|_| ErrorKind::BadName)?;
            match self.check_dir(&dir) {
                Err(error) if error.kind == ErrorKind::NotFound => self.insert(&dir, None)?,
                known => known?,
            }
        }
        match self.check_dir(at) {
            Ok(()) => Err(ErrorKind::IsADirectory.into()),
            Err(_) => self.insert(at, Some(content)),
        }
    }

    pub(super) fn remove_file(&mut self, at: &VPath) -> Result<()> {
        self.file(at)?;
        self.remove(at).map(drop)
    }

    pub(super) fn remove_dir(&mut self, at: &VPath) -> Result<()> {
        self.check_dir(at)?;
        if at.is_root() {
            return Err(ErrorKind::Forbidden.into());
        }
        if !self.list(at, b"", 1).is_empty() {
            return Err(ErrorKind::NotEmpty.into());
        }
        self.remove(at).map(drop)
    }

    pub(super) fn make_dir(&mut self, at: &VPath) -> Result<()> {
        let (dir, name) = location(at).ok_or(ErrorKind::Exists)?;
        self.check_dir(&dir)?;
        if self.nodes.contains_key(&(dir, name.clone())) {
            return Err(ErrorKind::Exists.into());
        }
        check_new(&name)?;
        self.insert(at, None)
    }

    pub(super) fn rename(&mut self, from: &VPath, to: &VPath, replace: Replace) -> Result<()> {
        let is_dir = self.node(from)?.content.is_none();
        if from == to && !from.is_root() {
            return Ok(());
        }
        // The root cannot be renamed, and no directory moves into itself.
        if from.is_root() || is_dir && to.is_within(from) {
            return Err(ErrorKind::Forbidden.into());
        }
        let (dir, name) = location(to).ok_or(ErrorKind::Exists)?;
        self.check_dir(&dir)?;
        match self.nodes.get(&(dir, name.clone())) {
            Some(there) => {
                replace.check(true)?;
                match (is_dir, there.content.is_none()) {
                    (true, true) => return Err(ErrorKind::Exists.into()),
                    (true, false) => return Err(ErrorKind::NotADirectory.into()),
                    (false, true) => return Err(ErrorKind::IsADirectory.into()),
                    (false, false) => {}
                }
            }
            None => check_new(&name)?,
        }
        self.relocate(from, to)
    }

    pub(super) fn set(&mut self, at: &VPath, change: Change) -> Result<()> {
        let node = self.node_mut(at)?;
        match change {
            Change::Modified(moment) => node.modified = moment,
            Change::Mode(mode) => node.mode = mode & 0o777,
        }
        Ok(())
    }

    /// Moves a node with everything below it. Checks first that every new path is short enough.
    fn relocate(&mut self, from: &VPath, to: &VPath) -> Result<()> {
        let below: Vec<_> =
            self.nodes.keys().filter(|(dir, _)| dir.is_within(from)).cloned().collect();
        let mut moves = Vec::with_capacity(below.len());
        for (dir, name) in below {
            let mut dir_after = to.clone();
            for step in dir.names().skip(from.names().count()) {
                dir_after = dir_after.join(step).map_err(|_| ErrorKind::BadName)?;
            }
            dir_after.join(&name).map_err(|_| ErrorKind::BadName)?;
            moves.push(((dir, name.clone()), (dir_after, name)));
        }
        let mut partials = Vec::new();
        let is_below = |key: &PartialKey, _: &mut Partial| key.1 != *from && key.1.is_within(from);
        for ((account, path), partial) in self.partials.extract_if(is_below) {
            let mut path_after = to.clone();
            for step in path.names().skip(from.names().count()) {
                path_after = path_after.join(step).map_err(|_| ErrorKind::BadName)?;
            }
            partials.push(((account, path_after), partial));
        }
        self.partials.extend(partials);
        let node = self.remove(from)?;
        if let Some(location) = location(to) {
            self.nodes.insert(location, node);
        }
        for (old, new) in moves {
            if let Some(node) = self.nodes.remove(&old) {
                self.nodes.insert(new, node);
            }
        }
        self.clear_absent_mark(to);
        self.touch_parent(to);
        Ok(())
    }

    /// Inserts a node. It inherits the mode of the node that it replaces.
    fn insert(&mut self, at: &VPath, content: Option<Bytes>) -> Result<()> {
        let location = location(at).ok_or(ErrorKind::IsADirectory)?;
        let number = self.next_number();
        let mut node = Node::new(content, (self.clock)(), number);
        if let Some(there) = self.nodes.get(&location) {
            node.mode = there.mode;
        }
        self.nodes.insert(location, node);
        self.clear_absent_mark(at);
        self.touch_parent(at);
        Ok(())
    }

    fn remove(&mut self, at: &VPath) -> Result<Node> {
        let location = location(at).ok_or(ErrorKind::Forbidden)?;
        let node = self.nodes.remove(&location).ok_or(ErrorKind::NotFound)?;
        self.clear_absent_mark(at);
        self.touch_parent(at);
        Ok(node)
    }

    fn touch_parent(&mut self, at: &VPath) {
        let moment = (self.clock)();
        if let Some(parent) = at.parent()
            && let Ok(node) = self.node_mut(&parent)
        {
            node.modified = moment;
        }
    }

    fn node(&self, at: &VPath) -> Result<&Node> {
        let Some(location) = location(at) else { return Ok(&self.root) };
        self.nodes.get(&location).ok_or_else(|| self.missing_kind(at).into())
    }

    fn node_mut(&mut self, at: &VPath) -> Result<&mut Node> {
        let Some(location) = location(at) else { return Ok(&mut self.root) };
        let missing = self.missing_kind(at);
        self.nodes.get_mut(&location).ok_or_else(|| missing.into())
    }

    /// `NotADirectory` if a parent is a file, otherwise `NotFound`.
    fn missing_kind(&self, at: &VPath) -> ErrorKind {
        let above = std::iter::successors(at.parent(), VPath::parent);
        let mut nodes = above.filter_map(|path| self.nodes.get(&location(&path)?));
        match nodes.next() {
            Some(Node { content: Some(_), .. }) => ErrorKind::NotADirectory,
            _ => ErrorKind::NotFound,
        }
    }
}

impl Node {
    fn new(content: Option<Bytes>, moment: Timestamp, number: u64) -> Self {
        let mode = if content.is_some() { 0o644 } else { 0o755 };
        Self { content, modified: moment, created: moment, mode, number, changes: 0 }
    }

    fn entry(&self, name: &[u8]) -> Entry {
        let kind = if self.content.is_some() { Kind::File } else { Kind::Dir };
        let size = self.content.as_ref().map_or(0, |content| super::length(content));
        Entry {
            modified: self.modified,
            created: Some(self.created),
            mode: self.mode,
            unique: Some((0, self.number)),
            ..Entry::new(name, kind, size)
        }
    }
}

/// The parent and the name of a node; `None` for the root.
fn location(at: &VPath) -> Option<(VPath, Vec<u8>)> {
    Some((at.parent()?, at.name()?.to_vec()))
}

/// The first bytes of a content; `None` if it is shorter.
pub(super) fn first_bytes(content: &[u8], keep: u64) -> Option<Vec<u8>> {
    let keep = usize::try_from(keep).ok()?;
    content.get(..keep).map(<[u8]>::to_vec)
}
