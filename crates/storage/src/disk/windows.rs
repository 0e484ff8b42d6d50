//! Files on Windows, accessed by checked paths.
//!
//! Every name must be one that Windows takes literally, and every link of a path is checked before
//! the path is used. Unlike on Unix, the check precedes the operation: a process that can create
//! links on this machine can redirect an operation in between.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use same_file::Handle;
use wharf_core::error::{Error, ErrorKind, Result, SERVER_FILE};
use wharf_core::storage::{Change, LastLink, ListDetail, Replace};
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::path::{VPath, escaped};

use super::FollowSymlinks;
use super::fault::fault;
use super::journal::{is_any_growing, visible_length};
use super::latency::FileSystemKind;
use super::path_rules::{PathRules, by_real_path};
use super::server_files::ServerFiles;
use super::temporary::is_hidden;
use super::windows_name::is_plain;
use crate::quota::Replaced;
use crate::time::{system_time, timestamp};

/// Whether files have permission bits.
pub(super) const HAS_MODES: bool = false;

/// A name in the form that the system calls expect.
pub(super) fn real_name(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Reads cached bytes, where the system can tell; Windows cannot.
pub(super) fn read_at_once(_: &File, _: u64, _: usize, _: FileSystemKind) -> Option<Vec<u8>> {
    None
}

/// The root of a tree that no path leads out of.
pub(super) struct Root {
    /// In the form that Windows takes literally (`\\?\`).
    path: PathBuf,
    links: FollowSymlinks,
    /// Denied files of the server.
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

    /// Links are checked before an operation here, by the path that [`Root::resolve`] returns.
    #[expect(clippy::unused_self, reason = "other systems also apply the rules when opening")]
    pub(super) fn set_path_rules(&mut self, _: PathRules, _: &Path) {}

    /// The path without links; see `Storage::resolve`.
    pub(super) fn resolve(&self, _: &Path, at: &VPath, last: LastLink) -> Result<VPath> {
        if self.links == FollowSymlinks::Never {
            return Ok(at.clone());
        }
        for name in at.names() {
            check_name(name)?;
        }
        Ok(by_real_path(&self.path, at, last)?.unwrap_or_else(|| at.clone()))
    }

    /// Windows does not report what is cached.
    #[expect(clippy::unused_self, reason = "other systems ask the root")]
    pub(super) fn resolve_at_once(&self, _: &VPath, _: LastLink) -> Option<VPath> {
        None
    }

    /// Names are case-insensitive. A directory can be configured as case-sensitive, but assuming
    /// otherwise is safe.
    #[expect(clippy::unused_self, reason = "other systems ask the folder")]
    pub(super) fn ignores_case(&self) -> bool {
        true
    }

    /// Windows does not report what is cached.
    pub(super) fn open_at_once(_: &Path, _: FollowSymlinks) -> Option<Self> {
        None
    }

    /// There is only one method.
    #[expect(clippy::unused_self, reason = "other systems have two methods")]
    pub(super) fn walk(&mut self) {}

    /// Windows does not report what is cached, so every call runs on a blocking thread.
    #[expect(clippy::unused_self, reason = "other systems ask the root")]
    pub(super) fn medium(&self) -> FileSystemKind {
        FileSystemKind::Unknown
    }

    /// A root is a path here, and opening it is cheap.
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

    /// Denies access to these files.
    pub(super) fn deny(&mut self, server_files: &ServerFiles) {
        self.server_files = server_files.clone();
    }

    fn denies(&self, path: &Path) -> bool {
        self.server_files.index().is_some_and(|index| index.denies(path))
    }

    /// Rejects to create, remove or rename a name of the server, a name that leads to a file of the
    /// server, or a directory that contains one.
    ///
    /// Returns no facts of the entry: none were needed.
    pub(super) fn check_location(
        &self,
        at: &VPath,
        dir: &Directory,
        name: &[u8],
    ) -> Result<Option<EntryFacts>> {
        let Some(index) = self.server_files.index() else { return Ok(None) };
        let leads_there = || self.follow(at).is_ok_and(|path| index.denies(&path));
        if index.holds(&dir.path.join(text(name)?)) || leads_there() {
            return Err(denied());
        }
        Ok(None)
    }

    /// The system path, unless it is denied.
    fn locate(&self, at: &VPath) -> Result<PathBuf> {
        let path = self.follow(at)?;
        if self.denies(&path) { Err(denied()) } else { Ok(path) }
    }

    /// The system path. Links are followed as the root allows.
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
            // A link that may not be followed is shown as a link.
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

    /// Opens a regular file for reading; also returns its size.
    pub(super) fn open_file(&self, at: &VPath) -> Result<(File, u64)> {
        let path = self.locate(at)?;
        check_regular(kind(&path.symlink_metadata().map_err(fault)?))?;
        let file = File::open(path).map_err(fault)?;
        let size = file.metadata().map_err(fault)?.len();
        Ok((file, size))
    }

    pub(super) fn set(&self, at: &VPath, change: Change) -> Result<()> {
        use std::os::windows::fs::OpenOptionsExt;
        /// `FILE_FLAG_BACKUP_SEMANTICS`: required to open a directory.
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

/// Files of the server are reported like a missing permission.
fn denied() -> Error {
    Error::new(ErrorKind::Forbidden, SERVER_FILE)
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

/// The name for Windows: UTF-8, and taken literally.
fn text(name: &[u8]) -> Result<&str> {
    check_name(name)?;
    std::str::from_utf8(name).map_err(|error| Error::new(ErrorKind::BadName, error))
}

/// Rejects names that Windows would interpret differently.
pub(super) fn check_name(name: &[u8]) -> Result<()> {
    if std::str::from_utf8(name).is_ok_and(is_plain) {
        return Ok(());
    }
    let message = format!(
        "invalid name `{}` on Windows: it must not contain \\ : * ? \" < > |, be the name of a \
         device, or end with a dot or space",
        escaped(name)
    );
    Err(Error::new(ErrorKind::BadName, message))
}

/// Identifies a file and its version: the text changes with the file and after each modification.
fn identity_of(facts: &Metadata) -> String {
    let nanos = |time: io::Result<std::time::SystemTime>| {
        let since = time.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        since.unwrap_or_default().as_nanos()
    };
    format!("{}:{}:{}", facts.len(), nanos(facts.modified()), nanos(facts.created()))
}

/// The identity of an open file, in the format of [`Directory::identity`].
pub(super) fn identity(file: &File) -> io::Result<String> {
    Ok(identity_of(&file.metadata()?))
}

/// Identifies an open file for as long as it exists, whatever is written to it.
pub(super) fn number(file: &File) -> io::Result<(u64, u64)> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    // The volume and the file index; the hash is the same in every run of one build.
    let mut hasher = DefaultHasher::new();
    Handle::from_file(file.try_clone()?)?.hash(&mut hasher);
    Ok((0, hasher.finish()))
}

/// The facts of a name in a directory, if it exists.
pub(super) type EntryFacts = Option<Metadata>;

/// A directory, by its path. Its methods take one name in it and follow no links.
pub(super) struct Directory {
    path: PathBuf,
}

/// The result of opening a temporary file of the server.
pub(super) enum OpenedTemporary {
    /// A regular file.
    Found(File),
    /// Something else.
    Foreign,
    /// Nothing.
    Missing,
}

impl Directory {
    /// The path of a name. Names from listings and of the server are plain; others were checked.
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

    /// The kind of the entry, if it exists.
    pub(super) fn kind_of(&self, name: &[u8]) -> Result<Option<Kind>> {
        Ok(self.measure(name)?.map(|(kind, _)| kind))
    }

    /// The kind and length of the entry, if it exists.
    pub(super) fn measure(&self, name: &[u8]) -> Result<Option<(Kind, u64)>> {
        Ok(self.facts(name).map_err(fault)?.map(|facts| (kind(&facts), facts.len())))
    }

    /// The kind and identity of the entry, without following a link; `None` if it does not exist.
    pub(super) fn identity(&self, name: &[u8]) -> Result<Option<(Kind, String)>> {
        let facts = self.facts(name).map_err(fault)?;
        Ok(facts.map(|facts| (kind(&facts), identity_of(&facts))))
    }

    /// The same by facts that were just read.
    pub(super) fn identity_by(facts: &EntryFacts) -> Result<Option<(Kind, String)>> {
        Ok(facts.as_ref().map(|facts| (kind(facts), identity_of(facts))))
    }

    /// The time of the last change of the entry; `None` if it does not exist.
    pub(super) fn changed(&self, name: &[u8]) -> Result<Option<std::time::SystemTime>> {
        Ok(self.facts(name).map_err(fault)?.and_then(|facts| facts.modified().ok()))
    }

    /// Whether the entry is a regular file whose last change precedes the creation of `file`: not
    /// known, as copying a file keeps its time.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same as on Unix")]
    pub(super) fn precedes(&self, _name: &[u8], _file: &File) -> Result<bool> {
        Ok(false)
    }

    /// Opens a regular file for reading and appending. `Forbidden` for a link or anything that is
    /// not a regular file.
    pub(super) fn open_to_append(&self, name: &[u8]) -> Result<File> {
        let facts = self.facts(name).map_err(fault)?.ok_or(ErrorKind::NotFound)?;
        check_regular(kind(&facts))?;
        let path = self.of(name).map_err(fault)?;
        OpenOptions::new().read(true).write(true).open(path).map_err(fault)
    }

    /// The same directory again.
    #[expect(clippy::unnecessary_wraps, reason = "other systems have to open it")]
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { path: self.path.clone() })
    }

    /// The identity and length of a regular file, without bytes that are being appended. It is
    /// identified by its path.
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

    /// Windows has no permission bits; an error if the entry is not a file.
    pub(super) fn mode(&self, name: &[u8]) -> Result<Option<u32>> {
        match self.kind_of(name)? {
            None | Some(Kind::Link) => Ok(None),
            Some(kind) => check_regular(kind).map(|()| Some(0o644)),
        }
    }

    /// Creates a file, open for reading and writing.
    pub(super) fn create(&self, name: &[u8]) -> io::Result<File> {
        File::create_new(self.of(name)?)
    }

    /// Opens a temporary file of the server for reading and writing.
    pub(super) fn open_own(&self, name: &[u8]) -> io::Result<OpenedTemporary> {
        match self.facts(name)?.as_ref().map(kind) {
            None => Ok(OpenedTemporary::Missing),
            Some(Kind::File) => {
                match OpenOptions::new().read(true).write(true).open(self.of(name)?) {
                    // The upload that used it has removed it in the meantime.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        Ok(OpenedTemporary::Missing)
                    }
                    opened => opened.map(OpenedTemporary::Found),
                }
            }
            Some(_) => Ok(OpenedTemporary::Foreign),
        }
    }

    /// The length of an open file if the name still refers to it. The creation time does not help:
    /// Windows gives a new file the creation time of a file that just had the same name.
    pub(super) fn length_if_same(&self, name: &[u8], file: &File) -> Option<u64> {
        let named = self.of(name).and_then(Handle::from_path).ok()?;
        let open = file.try_clone().and_then(Handle::from_file).ok()?;
        if named == open { file.metadata().ok().map(|facts| facts.len()) } else { None }
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "other systems have modes")]
    pub(super) fn set_mode(&self, _: &File, _: u32) -> io::Result<()> {
        Ok(())
    }

    /// Removes anything that is not a directory.
    pub(super) fn unlink(&self, name: &[u8]) -> io::Result<()> {
        let path = self.of(name)?;
        match fs::remove_file(&path) {
            // A link to a directory is removed like a directory.
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

    /// Whether both names refer to one file and differ only in case.
    pub(super) fn is_respelling(&self, from: &[u8], to_dir: &Self, to: &[u8]) -> bool {
        let one_case =
            |dir: &Self, name| dir.of(name).ok().map(|path| path.to_string_lossy().to_lowercase());
        let from = one_case(self, from);
        from.is_some() && from == one_case(to_dir, to)
    }

    /// Renames an entry.
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
            // Creating a hard link fails atomically if the name exists.
            (Replace::Forbidden, Some(Kind::File)) => {
                let linked = match fs::hard_link(&old, &new) {
                    // FAT file systems do not support hard links. This replaces a file that is
                    // created between the two calls.
                    Err(_) if to_dir.kind_of(to)?.is_none() => fs::rename(old, new),
                    linked => linked.and_then(|()| fs::remove_file(&old)),
                };
                linked.map_err(fault)
            }
            _ => fs::rename(old, new).map_err(fault),
        }
    }

    /// A subdirectory.
    pub(super) fn subdirectory(&self, name: &[u8]) -> io::Result<Self> {
        match self.facts(name)?.as_ref().map(kind) {
            Some(Kind::Dir) => Ok(Self { path: self.of(name)? }),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// NTFS journals names, and Windows has no call for this.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "other systems have a call")]
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// All names in it, from the beginning.
    pub(super) fn names(&self) -> io::Result<DirectoryNames> {
        Ok(DirectoryNames { entries: fs::read_dir(&self.path)? })
    }
}

/// The names in a directory. Names that are not Unicode are left out: no client could use them.
pub(super) struct DirectoryNames {
    entries: fs::ReadDir,
}

/// A name in a directory.
pub(super) struct DirectoryName {
    pub(super) name: Vec<u8>,
    /// Whether it may be a directory.
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

/// A directory being listed.
pub(super) struct Reader {
    dir: Directory,
    names: DirectoryNames,
    at: VPath,
    wanted: ListDetail,
}

impl Reader {
    pub(super) fn new(_: &Root, dir: Directory, at: VPath, wanted: ListDetail) -> Result<Self> {
        Ok(Self { names: dir.names().map_err(fault)?, dir, at, wanted })
    }

    /// The next entry, `None` at the end. Entries that disappear in the meantime are left out.
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
            // No client can name a path that is too long.
            let Ok(at) = self.at.join(&name) else { continue };
            if self.wanted == ListDetail::Names {
                return Ok(Some(Entry::new(name, Kind::File, 0)));
            }
            match self.entry(root, name, &at) {
                // It disappeared, or is a link to a denied file.
                Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Forbidden) => {}
                known => return known.map(Some),
            }
        }
    }

    /// The entry of one name. Only links are resolved from the root, which takes many calls.
    fn entry(&self, root: &Root, name: Vec<u8>, at: &VPath) -> Result<Entry> {
        let facts = self.dir.facts(&name).map_err(fault)?.ok_or(ErrorKind::NotFound)?;
        if kind(&facts) != Kind::Link {
            return Ok(entry(name, &facts));
        }
        let reached = root.stat(at)?;
        Ok(Entry { via_link: reached.kind != Kind::Link, ..reached })
    }
}
