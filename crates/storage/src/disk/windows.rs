//! Files of Windows, by checked paths.
//!
//! Every name is one that Windows takes as it stands, and every link on the way is judged before
//! a path is used. Unlike on Unix this is checked before the act, not by it: whoever can make
//! links on this machine while a client acts can lead that act astray.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use same_file::Handle;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{Change, LastLink, Replace, Wanted};
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::path::{VPath, escaped};

use super::FollowSymlinks;
use super::fault::fault;
use super::journal::{is_any_growing, visible_length};
use super::latency::Medium;
use super::path_rules::{PathRules, by_real_path};
use super::server_files::ServerFiles;
use super::temporary::is_hidden;
use super::windows_name::is_plain;
use crate::quota::Replaced;
use crate::time::{system_time, timestamp};

/// Whether files have permission bits.
pub(super) const HAS_MODES: bool = false;

/// A name as others than this store take it.
pub(super) fn real_name(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Reads what the system has in memory, where it says so; here it does not.
pub(super) fn read_at_once(_: &File, _: u64, _: usize, _: Medium) -> Option<Vec<u8>> {
    None
}

/// The top of a tree that no path leaves.
pub(super) struct Root {
    /// In the form that Windows takes as it stands (`\\?\`).
    path: PathBuf,
    links: FollowSymlinks,
    /// What of the server's own is denied.
    server_files: ServerFiles,
}

impl Root {
    pub(super) fn open(path: &Path, links: FollowSymlinks) -> io::Result<Self> {
        let path = path.canonicalize()?;
        if !path.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path, links, server_files: ServerFiles::default() })
    }

    /// Links are judged before an act here, by the path that [`Root::resolve`] gives.
    #[expect(clippy::unused_self, reason = "other systems open by the rules as well")]
    pub(super) fn set_path_rules(&mut self, _: PathRules, _: &Path) {}

    /// The same path without links in it; see `Storage::resolve`.
    pub(super) fn resolve(&self, _: &Path, at: &VPath, last: LastLink) -> Result<VPath> {
        if self.links == FollowSymlinks::Never {
            return Ok(at.clone());
        }
        for name in at.names() {
            check_name(name)?;
        }
        Ok(by_real_path(&self.path, at, last)?.unwrap_or_else(|| at.clone()))
    }

    /// Windows does not say what is at hand.
    #[expect(clippy::unused_self, reason = "other systems ask the root")]
    pub(super) fn resolve_at_once(&self, _: &VPath, _: LastLink) -> Option<VPath> {
        None
    }

    /// Upper and lower case are the same in names. A folder can be told to tell them apart; that it
    /// is so is the safe thing to say.
    #[expect(clippy::unused_self, reason = "other systems ask the folder")]
    pub(super) fn ignores_case(&self) -> bool {
        true
    }

    /// Windows does not say what is at hand.
    pub(super) fn open_at_once(_: &Path, _: FollowSymlinks) -> Option<Self> {
        None
    }

    /// There is one way only.
    #[expect(clippy::unused_self, reason = "other systems have two")]
    pub(super) fn walk(&mut self) {}

    /// Windows does not say what it has in memory, so every call goes to a thread.
    #[expect(clippy::unused_self, reason = "other systems ask the root")]
    pub(super) fn medium(&self) -> Medium {
        Medium::Unknown
    }

    /// A root is a path here, and opening it costs little.
    #[expect(clippy::unused_self, reason = "other systems ask the root")]
    pub(super) fn is_still_at(&self, _: &Path) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "other systems ask the root")]
    pub(super) fn stat_at_once(&self, _: &VPath) -> Option<Entry> {
        None
    }

    #[expect(clippy::unused_self, reason = "other systems ask the root")]
    pub(super) fn directory_at_once(&self, _: &VPath) -> Option<Directory> {
        None
    }

    #[expect(clippy::unused_self, reason = "other systems ask the root")]
    pub(super) fn open_file_at_once(&self, _: &VPath) -> Option<(File, u64)> {
        None
    }

    pub(super) fn top(&self) -> io::Result<Directory> {
        Ok(Directory { path: self.path.clone() })
    }

    /// Denies these from now on.
    pub(super) fn deny(&mut self, server_files: &ServerFiles) {
        self.server_files = server_files.clone();
    }

    fn denies(&self, path: &Path) -> bool {
        self.server_files.index().is_some_and(|index| index.denies(path))
    }

    /// Refuses to make, remove or rename a name that is the server's, that leads to what is, or
    /// below which something of it lies.
    pub(super) fn check_location(&self, at: &VPath, dir: &Directory, name: &[u8]) -> Result<()> {
        let Some(index) = self.server_files.index() else { return Ok(()) };
        let leads_there = || self.follow(at).is_ok_and(|path| index.denies(&path));
        if index.holds(&dir.path.join(text(name)?)) || leads_there() {
            return Err(denied());
        }
        Ok(())
    }

    /// The path on disk of what is not denied.
    fn locate(&self, at: &VPath) -> Result<PathBuf> {
        let path = self.follow(at)?;
        if self.denies(&path) { Err(denied()) } else { Ok(path) }
    }

    /// The path on disk. Links on the way are followed as the root allows.
    fn follow(&self, at: &VPath) -> Result<PathBuf> {
        let mut path = self.path.clone();
        for name in at.names() {
            path.push(text(name)?);
            if !path.symlink_metadata().map_err(fault)?.file_type().is_symlink() {
                continue;
            }
            if self.links == FollowSymlinks::Never {
                return Err(ErrorKind::Forbidden.into());
            }
            path = path.canonicalize().map_err(fault)?;
            if self.links == FollowSymlinks::Inside && !path.starts_with(&self.path) {
                return Err(ErrorKind::Forbidden.into());
            }
        }
        Ok(path)
    }

    pub(super) fn stat(&self, at: &VPath) -> Result<Entry> {
        let name = at.name().unwrap_or(b".");
        let reached = self.locate(at).and_then(|path| path.symlink_metadata().map_err(fault));
        let facts = match (reached, at.parent()) {
            (Ok(facts), _) => facts,
            (Err(error), _) if self.follow(at).is_ok_and(|path| self.denies(&path)) => {
                return Err(error);
            }
            // A link that may not be followed is shown as such.
            (Err(error), Some(parent)) => {
                let Ok(dir) = self.locate(&parent) else { return Err(error) };
                dir.join(text(name)?).symlink_metadata().map_err(|_| error)?
            }
            (Err(error), None) => return Err(error),
        };
        Ok(entry(name.to_vec(), &facts))
    }

    pub(super) fn directory(&self, at: &VPath) -> Result<Directory> {
        let path = self.locate(at)?;
        match kind(&path.symlink_metadata().map_err(fault)?) {
            Kind::Dir => Ok(Directory { path }),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    /// A regular file, open for reading, and its size.
    pub(super) fn open_file(&self, at: &VPath) -> Result<(File, u64)> {
        let path = self.locate(at)?;
        check_regular(kind(&path.symlink_metadata().map_err(fault)?))?;
        let file = File::open(path).map_err(fault)?;
        let size = file.metadata().map_err(fault)?.len();
        Ok((file, size))
    }

    pub(super) fn set(&self, at: &VPath, change: Change) -> Result<()> {
        use std::os::windows::fs::OpenOptionsExt;
        /// `FILE_FLAG_BACKUP_SEMANTICS`: without it no directory can be opened.
        const ALSO_DIRECTORIES: u32 = 0x0200_0000;
        let Change::Modified(moment) = change else {
            return Err(ErrorKind::Unsupported.into());
        };
        let path = self.locate(at)?;
        let mut options = OpenOptions::new();
        let file = options.write(true).custom_flags(ALSO_DIRECTORIES).open(path).map_err(fault)?;
        let moment = system_time(moment).ok_or(ErrorKind::Unsupported)?;
        file.set_modified(moment).map_err(fault)
    }
}

/// What the server keeps for itself answers as a right that is missing.
fn denied() -> Error {
    Error::new(ErrorKind::Forbidden, "it is one of the server's own files")
}

fn check_regular(kind: Kind) -> Result<()> {
    match kind {
        Kind::File => Ok(()),
        Kind::Dir => Err(ErrorKind::IsADirectory.into()),
        Kind::Link | Kind::Other => Err(ErrorKind::Forbidden.into()),
    }
}

fn kind(facts: &Metadata) -> Kind {
    let kind = facts.file_type();
    if kind.is_symlink() {
        Kind::Link
    } else if kind.is_dir() {
        Kind::Dir
    } else if kind.is_file() {
        Kind::File
    } else {
        Kind::Other
    }
}

fn entry(name: Vec<u8>, facts: &Metadata) -> Entry {
    Entry {
        modified: facts.modified().map(timestamp).unwrap_or_default(),
        created: facts.created().map(timestamp).ok(),
        ..Entry::new(name, kind(facts), facts.len())
    }
}

/// The name as Windows has it: UTF-8, and meaning what it says.
fn text(name: &[u8]) -> Result<&str> {
    check_name(name)?;
    std::str::from_utf8(name).map_err(|error| Error::new(ErrorKind::BadName, error))
}

/// Refuses names that Windows would take as something else.
pub(super) fn check_name(name: &[u8]) -> Result<()> {
    if std::str::from_utf8(name).is_ok_and(is_plain) {
        return Ok(());
    }
    let message = format!(
        "Windows cannot have the name `{}`; avoid \\ : * ? \" < > |, names of devices, and a dot \
         or space at the end",
        escaped(name)
    );
    Err(Error::new(ErrorKind::BadName, message))
}

/// What tells one file from another, and a change of it: it is another text after each of them.
fn identity_of(facts: &Metadata) -> String {
    let nanos = |time: io::Result<std::time::SystemTime>| {
        let since = time.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        since.unwrap_or_default().as_nanos()
    };
    format!("{}:{}:{}", facts.len(), nanos(facts.modified()), nanos(facts.created()))
}

/// The identity of an open file, as [`Directory::identity`] gives that of a name.
pub(super) fn identity(file: &File) -> io::Result<String> {
    Ok(identity_of(&file.metadata()?))
}

/// What an open file keeps for as long as it is there, whatever is written to it.
pub(super) fn number(file: &File) -> io::Result<(u64, u64)> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    // The volume and the number of the file; the same hash in each run of one build.
    let mut hasher = DefaultHasher::new();
    Handle::from_file(file.try_clone()?)?.hash(&mut hasher);
    Ok((0, hasher.finish()))
}

/// A directory, by its path. Its methods take one name in it and follow no link.
pub(super) struct Directory {
    path: PathBuf,
}

/// What is found where one of our temporaries should be.
pub(super) enum OpenedTemporary {
    /// A regular file.
    Found(File),
    /// Something else.
    Foreign,
    /// Nothing.
    Missing,
}

impl Directory {
    /// Where a name is. Names from listings and our own are plain; others were checked.
    fn of(&self, name: &[u8]) -> io::Result<PathBuf> {
        let name = std::str::from_utf8(name).ok().filter(|name| is_plain(name));
        Ok(self.path.join(name.ok_or(io::ErrorKind::InvalidFilename)?))
    }

    fn facts(&self, name: &[u8]) -> io::Result<Option<Metadata>> {
        match self.of(name)?.symlink_metadata() {
            Ok(facts) => Ok(Some(facts)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What stands there, if anything.
    pub(super) fn kind_of(&self, name: &[u8]) -> Result<Option<Kind>> {
        Ok(self.measure(name)?.map(|(kind, _)| kind))
    }

    /// What stands there, if anything, and how long it is.
    pub(super) fn measure(&self, name: &[u8]) -> Result<Option<(Kind, u64)>> {
        Ok(self.facts(name).map_err(fault)?.map(|facts| (kind(&facts), facts.len())))
    }

    /// The identity of what stands there, of a link itself; none if there is nothing.
    pub(super) fn identity(&self, name: &[u8]) -> Result<Option<String>> {
        Ok(self.facts(name).map_err(fault)?.as_ref().map(identity_of))
    }

    /// When what has this name was changed last; none if nothing has it.
    pub(super) fn changed(&self, name: &[u8]) -> Result<Option<std::time::SystemTime>> {
        Ok(self.facts(name).map_err(fault)?.and_then(|facts| facts.modified().ok()))
    }

    /// A regular file to which bytes are to be added, and which can be read. `Forbidden` for a link
    /// or what is no file.
    pub(super) fn open_to_append(&self, name: &[u8]) -> Result<File> {
        let facts = self.facts(name).map_err(fault)?.ok_or(ErrorKind::NotFound)?;
        check_regular(kind(&facts))?;
        let path = self.of(name).map_err(fault)?;
        OpenOptions::new().read(true).write(true).open(path).map_err(fault)
    }

    /// The same directory once more.
    #[expect(clippy::unnecessary_wraps, reason = "other systems have to open it")]
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { path: self.path.clone() })
    }

    /// A regular file that stands there, and how long it is without what is just being added to
    /// it. Its path tells it apart.
    pub(super) fn file(&self, name: &[u8]) -> Result<Option<Replaced>> {
        use std::hash::{Hash as _, Hasher as _};
        let Some((Kind::File, bytes)) = self.measure(name)? else { return Ok(None) };
        let bytes = if is_any_growing() {
            File::open(self.of(name).map_err(fault)?)
                .map_or(bytes, |file| visible_length(&file, bytes))
        } else {
            bytes
        };
        let mut hasher = std::hash::DefaultHasher::new();
        self.of(name).map_err(fault)?.to_string_lossy().to_lowercase().hash(&mut hasher);
        Ok(Some(Replaced { file: (hasher.finish(), 0), bytes }))
    }

    /// Permission bits, of which there are none; an error if what stands there is no file.
    pub(super) fn mode(&self, name: &[u8]) -> Result<Option<u32>> {
        match self.kind_of(name)? {
            None | Some(Kind::Link) => Ok(None),
            Some(kind) => check_regular(kind).map(|()| Some(0o644)),
        }
    }

    /// A new file, open for reading and writing.
    pub(super) fn create(&self, name: &[u8]) -> io::Result<File> {
        File::create_new(self.of(name)?)
    }

    /// One of our temporaries, open for reading and writing.
    pub(super) fn open_own(&self, name: &[u8]) -> io::Result<OpenedTemporary> {
        match self.facts(name)?.as_ref().map(kind) {
            None => Ok(OpenedTemporary::Missing),
            Some(Kind::File) => {
                match OpenOptions::new().read(true).write(true).open(self.of(name)?) {
                    // Whoever used it has removed it meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        Ok(OpenedTemporary::Missing)
                    }
                    opened => opened.map(OpenedTemporary::Found),
                }
            }
            Some(_) => Ok(OpenedTemporary::Foreign),
        }
    }

    /// The length of an open file if the name means it. Its birth would not tell: Windows gives a
    /// new file the birth of the one that had its name a moment ago.
    pub(super) fn length_if_same(&self, name: &[u8], file: &File) -> Option<u64> {
        let named = self.of(name).and_then(Handle::from_path).ok()?;
        let open = file.try_clone().and_then(Handle::from_file).ok()?;
        if named == open { file.metadata().ok().map(|facts| facts.len()) } else { None }
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "other systems have modes")]
    pub(super) fn set_mode(&self, _: &File, _: u32) -> io::Result<()> {
        Ok(())
    }

    /// Removes what is no directory.
    pub(super) fn unlink(&self, name: &[u8]) -> io::Result<()> {
        let path = self.of(name)?;
        match fs::remove_file(&path) {
            // A link to a directory is removed as one.
            Err(_) if path.symlink_metadata()?.file_type().is_symlink() => fs::remove_dir(path),
            ended => ended,
        }
    }

    /// Removes an empty directory.
    pub(super) fn remove_dir(&self, name: &[u8]) -> Result<()> {
        fs::remove_dir(self.of(name).map_err(fault)?).map_err(fault)
    }

    pub(super) fn make_dir(&self, name: &[u8], _: u32) -> Result<()> {
        fs::create_dir(self.of(name).map_err(fault)?).map_err(fault)
    }

    /// Whether both names mean one thing because only their case differs.
    pub(super) fn is_respelling(&self, from: &[u8], to_dir: &Self, to: &[u8]) -> bool {
        let one_case =
            |dir: &Self, name| dir.of(name).ok().map(|path| path.to_string_lossy().to_lowercase());
        let from = one_case(self, from);
        from.is_some() && from == one_case(to_dir, to)
    }

    /// Gives something another name.
    pub(super) fn rename(
        &self,
        from: &[u8],
        to_dir: &Self,
        to: &[u8],
        replace: Replace,
    ) -> Result<()> {
        let (old, new) = (self.of(from).map_err(fault)?, to_dir.of(to).map_err(fault)?);
        if self.is_respelling(from, to_dir, to) {
            return fs::rename(old, new).map_err(fault);
        }
        let there = to_dir.kind_of(to)?;
        if there == Some(Kind::Dir) {
            return Err(ErrorKind::IsADirectory.into());
        }
        replace.check(there.is_some())?;
        match (replace, self.kind_of(from)?) {
            // A second name fails if there is one, in one step.
            (Replace::Forbidden, Some(Kind::File)) => {
                let linked = match fs::hard_link(&old, &new) {
                    // Memory sticks know no second names. This replaces a file that is made
                    // between the two calls.
                    Err(_) if to_dir.kind_of(to)?.is_none() => fs::rename(old, new),
                    linked => linked.and_then(|()| fs::remove_file(&old)),
                };
                linked.map_err(fault)
            }
            _ => fs::rename(old, new).map_err(fault),
        }
    }

    /// A directory in this one.
    pub(super) fn subdirectory(&self, name: &[u8]) -> io::Result<Self> {
        match self.facts(name)?.as_ref().map(kind) {
            Some(Kind::Dir) => Ok(Self { path: self.of(name)? }),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Windows keeps a journal of names and has no call for this.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "other systems have a call")]
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// All names in it, from the first.
    pub(super) fn names(&self) -> io::Result<DirectoryNames> {
        Ok(DirectoryNames { entries: fs::read_dir(&self.path)? })
    }
}

/// The names in a directory. What is not Unicode is left out: no client could name it.
pub(super) struct DirectoryNames {
    entries: fs::ReadDir,
}

/// A name in a directory.
pub(super) struct DirectoryName {
    pub(super) name: Vec<u8>,
    /// Whether it can be a directory.
    pub(super) may_be_dir: bool,
}

impl Iterator for DirectoryNames {
    type Item = io::Result<DirectoryName>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.entries.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            if let Ok(name) = entry.file_name().into_string() {
                let may_be_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                return Some(Ok(DirectoryName { name: name.into_bytes(), may_be_dir }));
            }
        }
    }
}

/// A directory that is being listed.
pub(super) struct Reader {
    dir: Directory,
    names: DirectoryNames,
    at: VPath,
    wanted: Wanted,
}

impl Reader {
    pub(super) fn new(_: &Root, dir: Directory, at: VPath, wanted: Wanted) -> Result<Self> {
        Ok(Self { names: dir.names().map_err(fault)?, dir, at, wanted })
    }

    /// The next entry, none at the end. What vanishes meanwhile is left out.
    pub(super) fn next(&mut self, root: &Root) -> Result<Option<Entry>> {
        loop {
            let Some(named) = self.names.next() else { return Ok(None) };
            let name = named.map_err(fault)?.name;
            if is_hidden(&name) || check_name(&name).is_err() {
                continue;
            }
            if self.dir.of(&name).is_ok_and(|path| root.denies(&path)) {
                continue;
            }
            // Too long a path is one that nobody can name.
            let Ok(at) = self.at.join(&name) else { continue };
            if self.wanted == Wanted::Names {
                return Ok(Some(Entry::new(name, Kind::File, 0)));
            }
            match self.entry(root, name, &at) {
                // It vanished, or is a link to what is denied.
                Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Forbidden) => {}
                known => return known.map(Some),
            }
        }
    }

    /// What one name is. Only a link is looked up from the root: that takes many calls.
    fn entry(&self, root: &Root, name: Vec<u8>, at: &VPath) -> Result<Entry> {
        let facts = self.dir.facts(&name).map_err(fault)?.ok_or(ErrorKind::NotFound)?;
        if kind(&facts) != Kind::Link {
            return Ok(entry(name, &facts));
        }
        let reached = root.stat(at)?;
        Ok(Entry { via_link: reached.kind != Kind::Link, ..reached })
    }
}
