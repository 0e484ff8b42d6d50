//! Files on Unix, accessed only through open directories.
//!
//! Paths of more than one name are opened in one place, [`Root::open`]; everything else takes one
//! name in an open directory and follows no links.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{CWD, Mode, OFlags, Stat, fstat, openat};
use rustix::io::{Errno, Result as Call};
use wharf_core::error::{Error, ErrorKind, Result, SERVER_FILE};
use wharf_core::permission::Permissions;
use wharf_core::storage::{Change, LastLink};
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::path::VPath;

use super::fault::fault;
use super::latency::FileSystemKind;
use super::path_rules::{PathRules, by_real_path};
use super::server_files::system::{DeniedNames, Id, NameVerdict, TreeRelation};
use super::server_files::{ServerFileIndex, ServerFiles};
use super::{FollowSymlinks, beneath_walk, facts_unix};
use crate::time::system_time;

pub(super) use super::directory_unix::{Directory, EntryFacts, OpenedTemporary, identity, number};
pub(super) use super::reader_unix::{DirectoryNames, Reader};

#[cfg(target_os = "linux")]
use super::beneath_linux;

/// Whether files have permission bits.
pub(super) const HAS_MODES: bool = true;
/// Opens a file for reading, without blocking on a FIFO or acquiring a terminal.
pub(super) const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
pub(super) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Refers to a file without opening it.
#[cfg(target_os = "linux")]
const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const PATH_ONLY: OFlags = READ;

/// The root of a tree that no path leads out of.
pub(super) struct Root {
    fd: OwnedFd,
    /// Device and inode, which an open directory never changes. Read when first needed.
    id: OnceLock<Option<(u64, u64)>>,
    /// The links that are followed when a path is opened.
    links: FollowSymlinks,
    /// The links that [`Root::resolve`] follows.
    resolves: FollowSymlinks,
    confinement: Confinement,
    /// Denied files of the server.
    server_files: ServerFiles,
    /// Set if the rules of the account apply to the targets of links, with the path of the root.
    path_rules: Option<(PathRules, PathBuf)>,
}

/// How paths are confined to the root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Confinement {
    #[cfg(target_os = "linux")]
    Kernel,
    Walk,
}

impl Root {
    pub(super) fn open(path: &Path, links: FollowSymlinks) -> io::Result<Self> {
        let fd = openat(CWD, path, DIRECTORY, Mode::empty())?;
        #[cfg(target_os = "linux")]
        let confinement =
            if beneath_linux::is_supported(&fd) { Confinement::Kernel } else { Confinement::Walk };
        #[cfg(not(target_os = "linux"))]
        let confinement = Confinement::Walk;
        let (id, server_files) = (OnceLock::new(), ServerFiles::default());
        Ok(Self { fd, id, links, resolves: links, confinement, server_files, path_rules: None })
    }

    /// Like `open`, if it succeeds without waiting for a disk and the kernel has the required
    /// calls.
    pub(super) fn open_at_once(path: &Path, links: FollowSymlinks) -> Option<Self> {
        #[cfg(target_os = "linux")]
        if let Some(fd) = beneath_linux::open_top_at_once(path) {
            let (id, server_files) = (OnceLock::new(), ServerFiles::default());
            let (confinement, resolves, path_rules) = (Confinement::Kernel, links, None);
            return Some(Self { fd, id, links, resolves, confinement, server_files, path_rules });
        }
        let _ = (path, links);
        None
    }

    pub(super) fn walk(&mut self) {
        self.confinement = Confinement::Walk;
    }

    /// Denies access to these files.
    pub(super) fn deny(&mut self, server_files: &ServerFiles) {
        self.server_files = server_files.clone();
    }

    /// How this tree relates to the server's files. If links may lead anywhere, the tree may
    /// contain them.
    fn relation_of(&self, index: &ServerFileIndex) -> TreeRelation {
        if self.links == FollowSymlinks::Always {
            TreeRelation::Contains
        } else {
            index.relation(*self.id.get_or_init(|| number(&self.fd).ok()))
        }
    }

    /// A file opened by a path, and its identity if it was read; `ACCESS` if access is denied, by
    /// its identity or its name.
    fn admit(&self, at: &VPath, open: OwnedFd) -> Call<(OwnedFd, Option<Id>)> {
        let Some(index) = self.server_files.index() else { return Ok((open, None)) };
        let relation = self.relation_of(index);
        let id = index.admit(&open, relation).ok_or(Errno::ACCESS)?;
        if relation != TreeRelation::Disjoint
            && let (Some(parent), Some(name)) = (at.parent(), at.name())
            && let Ok(folder) = self.open_without_rules(&parent, PATH_ONLY | OFlags::DIRECTORY)
            && number(folder).is_ok_and(|folder| index.denies_name(folder, name, relation))
        {
            return Err(Errno::ACCESS);
        }
        Ok((open, Some(id)))
    }

    /// Whether an entry of a listing is denied.
    pub(super) fn denies_entry(&self, entry: &Entry) -> bool {
        self.server_files.index().is_some_and(|index| index.denies_id(entry.unique))
    }

    /// The denied names in a directory; `None` if listings need not check each name.
    pub(super) fn denied_names(&self, dir: &Directory) -> Option<DeniedNames> {
        let index = self.server_files.index()?;
        index.denied_names(dir, self.relation_of(index))
    }

    /// Whether a denied file lies below an open directory.
    fn is_above_denied(&self, facts: &Stat) -> bool {
        let index = self.server_files.index();
        index.is_some_and(|index| index.is_on_path(facts, self.relation_of(index)))
    }

    /// Whether a path leads to a denied file, as far as links are followed here.
    pub(super) fn leads_to_denied(&self, at: &VPath) -> bool {
        self.server_files.index().is_some()
            && self
                .open_without_rules(at, PATH_ONLY)
                .is_ok_and(|open| self.admit(at, open).is_err())
    }

    /// Rejects to create, remove or rename a name of the server, a name that leads to a file of the
    /// server, or a directory that contains one.
    ///
    /// Returns the facts of the entry, if they were needed.
    pub(super) fn check_location(
        &self,
        at: &VPath,
        dir: &Directory,
        name: &[u8],
    ) -> Result<Option<EntryFacts>> {
        let Some(index) = self.server_files.index() else { return Ok(None) };
        let relation = self.relation_of(index);
        let Some(folder) = dir.id.or_else(|| number(dir).ok()) else { return Err(denied()) };
        let facts = dir.facts(name);
        let entry = facts.as_ref().ok();
        let is_denied = match index.holds(folder, name, entry, relation) {
            NameVerdict::Denied => true,
            // Without a link, the path leads to the entry that was judged just now.
            NameVerdict::Free if relation == TreeRelation::Disjoint => false,
            NameVerdict::Free | NameVerdict::Link => self.leads_to_denied(at),
        };
        if is_denied { Err(denied()) } else { Ok(Some(facts)) }
    }

    /// The root itself, opened for reading.
    pub(super) fn top(&self) -> io::Result<Directory> {
        Ok(Directory { fd: openat(&self.fd, c".", DIRECTORY, Mode::empty())?, id: None })
    }

    /// Follows no link from here on unless the rules of the account allow its target. With links
    /// that may lead anywhere, targets outside of the tree are followed: no rule applies to them.
    pub(super) fn set_path_rules(&mut self, path_rules: PathRules, folder: &Path) {
        if self.links == FollowSymlinks::Inside {
            self.links = FollowSymlinks::Never;
        }
        self.path_rules = Some((path_rules, folder.to_owned()));
    }

    /// The path without links; see `Storage::resolve`.
    pub(super) fn resolve(&self, folder: &Path, at: &VPath, last: LastLink) -> Result<VPath> {
        match self.resolves {
            FollowSymlinks::Never => return Ok(at.clone()),
            FollowSymlinks::Always => {
                return Ok(by_real_path(folder, at, last)?.unwrap_or_else(|| at.clone()));
            }
            FollowSymlinks::Inside => {}
        }
        let names = match beneath_walk::resolve(&self.fd, at.relative(), last) {
            // A link that leads out, or is dangling, stays in the path: following it fails.
            Err(Errno::XDEV | Errno::LOOP) if last == LastLink::Follow => {
                beneath_walk::resolve(&self.fd, at.relative(), LastLink::Keep)
            }
            resolved => resolved,
        };
        let mut names = names.map_err(fault)?.into_iter();
        let path = names.try_fold(VPath::root(), |path, name| path.join(&name));
        path.map_err(|_| ErrorKind::Forbidden.into())
    }

    /// The path itself, if it is certain without waiting for a disk that no link is in it.
    pub(super) fn resolve_at_once(&self, at: &VPath, last: LastLink) -> Option<VPath> {
        #[cfg(target_os = "linux")]
        if self.confinement == Confinement::Kernel {
            let parent = at.parent().filter(|_| last == LastLink::Keep);
            let (never, path) = (FollowSymlinks::Never, parent.as_ref().unwrap_or(at).relative());
            beneath_linux::open_at_once(&self.fd, path, PATH_ONLY, never)?;
            return Some(at.clone());
        }
        let _ = (at, last);
        None
    }

    /// Opens a path if the account has this permission for the targets of its links. Resolved paths
    /// contain none.
    fn open_by_rules(&self, at: &VPath, flags: OFlags, permission: Permissions) -> Call<OwnedFd> {
        let Some((path_rules, folder)) = &self.path_rules else { return self.open_at(at, flags) };
        if self.links == FollowSymlinks::Never {
            match self.open_at(at, flags) {
                Err(Errno::LOOP) => {}
                opened => return opened,
            }
        }
        let Ok(real) = self.resolve(folder, at, LastLink::Follow) else { return Err(Errno::LOOP) };
        if real != *at && !path_rules.allows(&real, permission, self.ignores_case()) {
            return Err(Errno::ACCESS);
        }
        self.open_at(&real, flags)
    }

    fn open_at(&self, at: &VPath, flags: OFlags) -> Call<OwnedFd> {
        Ok(self.admit(at, self.open_without_rules(at, flags)?)?.0)
    }

    fn open_without_rules(&self, at: &VPath, flags: OFlags) -> Call<OwnedFd> {
        match self.confinement {
            #[cfg(target_os = "linux")]
            Confinement::Kernel => beneath_linux::open(&self.fd, at.relative(), flags, self.links),
            Confinement::Walk => beneath_walk::open(&self.fd, at.relative(), flags, self.links),
        }
    }

    /// Whether a path, resolved without waiting for a disk, leads to this root.
    pub(super) fn is_still_at(&self, path: &Path) -> bool {
        #[cfg(target_os = "linux")]
        if self.confinement == Confinement::Kernel {
            return beneath_linux::leads_to(path, &self.fd);
        }
        let _ = path;
        false
    }

    /// The kind of its file system.
    pub(super) fn medium(&self) -> FileSystemKind {
        #[cfg(target_os = "linux")]
        if self.confinement == Confinement::Kernel {
            return beneath_linux::medium(&self.fd);
        }
        FileSystemKind::Unknown
    }

    /// Whether its names may be case-insensitive: on macOS yes, unless the volume was formatted
    /// otherwise; on Linux this depends on the file system.
    pub(super) fn ignores_case(&self) -> bool {
        #[cfg(target_os = "linux")]
        return beneath_linux::ignores_case(&self.fd);
        #[cfg(not(target_os = "linux"))]
        return cfg!(target_os = "macos");
    }

    /// Opens a path if that succeeds without waiting for a disk.
    fn reach_at_once(&self, at: &VPath, flags: OFlags) -> Option<(OwnedFd, Option<Id>)> {
        #[cfg(target_os = "linux")]
        if self.confinement == Confinement::Kernel {
            let open = beneath_linux::open_at_once(&self.fd, at.relative(), flags, self.links)?;
            return self.admit(at, open).ok();
        }
        let _ = (at, flags);
        None
    }

    /// The metadata of a path, if it is cached.
    pub(super) fn stat_at_once(&self, at: &VPath) -> Option<Entry> {
        let name = at.name().unwrap_or(b".").to_vec();
        let entry = facts_unix::of_open(self.reach_at_once(at, PATH_ONLY)?.0).ok()?;
        Some(Entry { name, ..entry })
    }

    /// A directory, if it is cached.
    pub(super) fn directory_at_once(&self, at: &VPath) -> Option<Directory> {
        let (fd, id) = self.reach_at_once(at, DIRECTORY)?;
        Some(Directory { fd, id })
    }

    /// A regular file and its size, if it is cached.
    pub(super) fn open_file_at_once(&self, at: &VPath) -> Option<(File, u64)> {
        let (fd, _) = self.reach_at_once(at, READ)?;
        let facts = fstat(&fd).ok()?;
        check_regular(facts_unix::kind(facts.st_mode)).ok()?;
        Some((File::from(fd), facts_unix::number(facts.st_size)))
    }

    pub(super) fn stat(&self, at: &VPath) -> Result<Entry> {
        let name = at.name().unwrap_or(b".");
        let reached = self.open_by_rules(at, PATH_ONLY, Permissions::LIST);
        if matches!(reached, Err(Errno::ACCESS)) && self.leads_to_denied(at) {
            return Err(denied());
        }
        let reached = reached.and_then(facts_unix::of_open);
        let entry = match (reached, at.parent()) {
            (Ok(entry), _) => entry,
            // A link that may not be followed is shown as a link.
            (Err(error), Some(parent)) => self
                .open_at(&parent, PATH_ONLY | OFlags::DIRECTORY)
                .and_then(|dir| facts_unix::of_name(dir, name))
                .map_err(|_| fault(error))?,
            (Err(error), None) => return Err(fault(error)),
        };
        Ok(Entry { name: name.to_vec(), ..entry })
    }

    pub(super) fn directory(&self, at: &VPath) -> Result<Directory> {
        let open = self.open_without_rules(at, DIRECTORY);
        let (fd, id) = open.and_then(|open| self.admit(at, open)).map_err(fault)?;
        Ok(Directory { fd, id })
    }

    /// Opens a regular file for reading; also returns its size.
    pub(super) fn open_file(&self, at: &VPath) -> Result<(File, u64)> {
        let fd = self.open_by_rules(at, READ, Permissions::READ).map_err(fault)?;
        let facts = fstat(&fd).map_err(fault)?;
        check_regular(facts_unix::kind(facts.st_mode))?;
        Ok((File::from(fd), facts_unix::number(facts.st_size)))
    }

    pub(super) fn set(&self, at: &VPath, change: Change) -> Result<()> {
        let fd = match self.open_at(at, READ) {
            // A file without read permission may still be our own; a directory can only be opened
            // for reading.
            Err(Errno::ACCESS) => match self.open_at(at, READ | OFlags::WRONLY) {
                Err(Errno::ISDIR) => Err(Errno::ACCESS),
                opened => opened,
            },
            opened => opened,
        };
        let fd = fd.map_err(fault)?;
        let facts = fstat(&fd).map_err(fault)?;
        let kind = facts_unix::kind(facts.st_mode);
        if !matches!(kind, Kind::File | Kind::Dir) {
            return Err(ErrorKind::Forbidden.into());
        }
        if matches!(change, Change::Mode(_)) && self.is_above_denied(&facts) {
            return Err(denied());
        }
        let file = File::from(fd);
        match change {
            Change::Modified(moment) => {
                let moment = system_time(moment).ok_or_else(|| {
                    Error::new(ErrorKind::Unsupported, "the time is out of range for this system")
                })?;
                file.set_modified(moment).map_err(fault)
            }
            Change::Mode(mode) => {
                // A shared directory keeps its special bits; a file gets none of them.
                let kept: u32 = match kind {
                    Kind::Dir => facts_unix::number(facts.st_mode & 0o7000),
                    _ => 0,
                };
                let mode = (mode & 0o777) | kept;
                file.set_permissions(fs::Permissions::from_mode(mode)).map_err(fault)
            }
        }
    }
}

/// Files of the server are reported like a missing permission.
fn denied() -> Error {
    Error::new(ErrorKind::Forbidden, SERVER_FILE)
}

pub(super) fn check_regular(kind: Kind) -> Result<()> {
    match kind {
        Kind::File => Ok(()),
        Kind::Dir => Err(ErrorKind::IsADirectory.into()),
        Kind::Link | Kind::Other => Err(ErrorKind::Forbidden.into()),
    }
}

/// A name in the form that the system calls expect.
pub(super) fn real_name(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

/// Every name that [`VPath`] can contain is valid on Unix.
#[expect(clippy::unnecessary_wraps, reason = "other systems have names with another meaning")]
pub(super) fn check_name(_: &[u8]) -> Result<()> {
    Ok(())
}

/// Reads cached bytes of a file without waiting for a disk. `None` if some are not cached, or the
/// system cannot tell.
pub(super) fn read_at_once(
    file: &File,
    from: u64,
    len: usize,
    medium: FileSystemKind,
) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    let got = match medium {
        FileSystemKind::Memory => {
            std::os::unix::fs::FileExt::read_at(file, &mut bytes, from).ok()?
        }
        #[cfg(target_os = "linux")]
        FileSystemKind::Disk => {
            let flags = rustix::io::ReadWriteFlags::NOWAIT;
            let mut buffers = [io::IoSliceMut::new(&mut bytes)];
            rustix::io::preadv2(file, &mut buffers, from, flags).ok()?
        }
        _ => return None,
    };
    (got == len).then_some(bytes)
}
