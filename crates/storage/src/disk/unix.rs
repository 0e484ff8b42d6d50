//! Files of Unix, reached from open directories only.
//!
//! A path of more than one name is opened in one place, [`Root::open`]; everything else takes one
//! name in an open directory and follows no link.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fstat, fsync, linkat, mkdirat, openat, renameat, statat,
    unlinkat,
};
use rustix::io::{Errno, Result as Call};
use rustix::process::geteuid;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::permission::Permissions as Rights;
use wharf_core::storage::{Change, LastLink, Replace};
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::path::VPath;

use super::fault::fault;
use super::judge::{Judge, by_real_path};
use super::pace::Medium;
use super::server_files::system::{DeniedNames, Reach};
use super::server_files::{ServerFiles, Watch};
use super::{FollowSymlinks, beneath_walk, facts_unix};
use crate::meter::Replaced;
use crate::time::system_time;

pub(super) use super::reader_unix::{Names, Reader};

#[cfg(target_os = "linux")]
use super::beneath_linux;

/// Whether files have permission bits.
pub(super) const HAS_MODES: bool = true;
/// To read a file, and to wait for no pipe and no terminal.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// To look at something without opening it.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = READ;

/// The top of a tree that nothing leaves.
pub(super) struct Root {
    fd: OwnedFd,
    /// Which links are followed where a path is opened.
    links: FollowSymlinks,
    /// Which links [`Root::resolve`] follows.
    resolves: FollowSymlinks,
    way: Way,
    /// What of the server's own is denied.
    server_files: ServerFiles,
    /// Set where no link may lead past the rules of the account, with the path of the root.
    judge: Option<(Judge, PathBuf)>,
}

/// How paths are kept below the root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    #[cfg(target_os = "linux")]
    Kernel,
    Walk,
}

impl Root {
    pub(super) fn open(path: &Path, links: FollowSymlinks) -> io::Result<Self> {
        let fd = openat(CWD, path, DIRECTORY, Mode::empty())?;
        #[cfg(target_os = "linux")]
        let way = if beneath_linux::is_supported(&fd) { Way::Kernel } else { Way::Walk };
        #[cfg(not(target_os = "linux"))]
        let way = Way::Walk;
        let server_files = ServerFiles::default();
        Ok(Self { fd, links, resolves: links, way, server_files, judge: None })
    }

    /// The same if it is at hand, where the kernel has all that we need.
    pub(super) fn open_at_once(path: &Path, links: FollowSymlinks) -> Option<Self> {
        #[cfg(target_os = "linux")]
        if let Some(fd) = beneath_linux::open_top_at_once(path) {
            let server_files = ServerFiles::default();
            let (way, resolves, judge) = (Way::Kernel, links, None);
            return Some(Self { fd, links, resolves, way, server_files, judge });
        }
        let _ = (path, links);
        None
    }

    pub(super) fn walk(&mut self) {
        self.way = Way::Walk;
    }

    /// Denies these from now on.
    pub(super) fn deny(&mut self, server_files: &ServerFiles) {
        self.server_files = server_files.clone();
    }

    /// What this tree is to the server's files. Where links lead anywhere, so does the tree.
    fn reach_of(&self, watch: &Watch) -> Reach {
        if self.links == FollowSymlinks::Always { Reach::Above } else { watch.reach(&self.fd) }
    }

    /// Whether what was opened at a path is denied, by what it is or by its name.
    fn denies(&self, at: &VPath, open: impl AsFd) -> bool {
        let Some(watch) = self.server_files.watch() else { return false };
        let reach = self.reach_of(watch);
        if watch.denies(open, reach) {
            return true;
        }
        if reach == Reach::Apart {
            return false;
        }
        let (Some(parent), Some(name)) = (at.parent(), at.name()) else { return false };
        let folder = self.open_unjudged(&parent, LOOK | OFlags::DIRECTORY);
        folder.is_ok_and(|folder| watch.denies_name(folder, name, reach))
    }

    /// Whether an entry of a listing is denied.
    pub(super) fn denies_entry(&self, entry: &Entry) -> bool {
        self.server_files.watch().is_some_and(|watch| watch.denies_id(entry.unique))
    }

    /// The names in a folder that are denied; none where no listing needs to look at each.
    pub(super) fn denied_names(&self, dir: &Directory) -> Option<DeniedNames> {
        let watch = self.server_files.watch()?;
        watch.denied_names(dir, self.reach_of(watch))
    }

    /// Whether a path leads to what is denied, as far as links are followed here.
    pub(super) fn leads_to_denied(&self, at: &VPath) -> bool {
        self.server_files.watch().is_some()
            && self.open_unjudged(at, LOOK).is_ok_and(|open| self.denies(at, open))
    }

    /// Refuses to make, remove or rename a name that is the server's, that leads to what is, or
    /// below which something of it lies.
    pub(super) fn check_place(&self, at: &VPath, dir: &Directory, name: &[u8]) -> Result<()> {
        let Some(watch) = self.server_files.watch() else { return Ok(()) };
        let reach = self.reach_of(watch);
        if watch.holds(dir, name, reach) || self.leads_to_denied(at) {
            return Err(denied());
        }
        Ok(())
    }

    /// The root itself, to be read.
    pub(super) fn top(&self) -> io::Result<Directory> {
        Ok(Directory { fd: openat(&self.fd, c".", DIRECTORY, Mode::empty())? })
    }

    /// Follows no link from here on unless the rules of the account allow what it leads to. Links
    /// that may lead anywhere are still followed: what lies out of the tree has no rule.
    pub(super) fn judge_by(&mut self, judge: Judge, folder: &Path) {
        if self.links == FollowSymlinks::Inside {
            self.links = FollowSymlinks::Never;
        }
        self.judge = Some((judge, folder.to_owned()));
    }

    /// The same path without links in it; see `Storage::resolve`.
    pub(super) fn resolve(&self, folder: &Path, at: &VPath, last: LastLink) -> Result<VPath> {
        match self.resolves {
            FollowSymlinks::Never => return Ok(at.clone()),
            FollowSymlinks::Always => {
                return Ok(by_real_path(folder, at, last)?.unwrap_or_else(|| at.clone()));
            }
            FollowSymlinks::Inside => {}
        }
        let names = match beneath_walk::resolve(&self.fd, at.relative(), last) {
            // A link that leads out, or nowhere, is what it is: whatever follows it fails.
            Err(Errno::XDEV | Errno::LOOP) if last == LastLink::Follow => {
                beneath_walk::resolve(&self.fd, at.relative(), LastLink::Keep)
            }
            resolved => resolved,
        };
        let mut names = names.map_err(fault)?.into_iter();
        let path = names.try_fold(VPath::root(), |path, name| path.join(&name));
        path.map_err(|_| ErrorKind::Forbidden.into())
    }

    /// The path itself, if it is at hand that no link is in it.
    pub(super) fn resolve_at_once(&self, at: &VPath, last: LastLink) -> Option<VPath> {
        #[cfg(target_os = "linux")]
        if self.way == Way::Kernel {
            let parent = at.parent().filter(|_| last == LastLink::Keep);
            let (never, path) = (FollowSymlinks::Never, parent.as_ref().unwrap_or(at).relative());
            beneath_linux::open_at_once(&self.fd, path, LOOK, never)?;
            return Some(at.clone());
        }
        let _ = (at, last);
        None
    }

    /// Opens a path whose links lead where the account has this right. Paths that were resolved
    /// have none.
    fn open_judged(&self, at: &VPath, flags: OFlags, right: Rights) -> Call<OwnedFd> {
        let Some((judge, folder)) = &self.judge else { return self.open_at(at, flags) };
        if self.links == FollowSymlinks::Never {
            match self.open_at(at, flags) {
                Err(Errno::LOOP) => {}
                opened => return opened,
            }
        }
        let Ok(real) = self.resolve(folder, at, LastLink::Follow) else { return Err(Errno::LOOP) };
        if real != *at && !judge.allows(&real, right, self.ignores_case()) {
            return Err(Errno::ACCESS);
        }
        self.open_at(&real, flags)
    }

    fn open_at(&self, at: &VPath, flags: OFlags) -> Call<OwnedFd> {
        let open = self.open_unjudged(at, flags)?;
        if self.denies(at, &open) { Err(Errno::ACCESS) } else { Ok(open) }
    }

    fn open_unjudged(&self, at: &VPath, flags: OFlags) -> Call<OwnedFd> {
        match self.way {
            #[cfg(target_os = "linux")]
            Way::Kernel => beneath_linux::open(&self.fd, at.relative(), flags, self.links),
            Way::Walk => beneath_walk::open(&self.fd, at.relative(), flags, self.links),
        }
    }

    /// Whether a path is at hand, and leads here.
    pub(super) fn is_still_at(&self, path: &Path) -> bool {
        #[cfg(target_os = "linux")]
        if self.way == Way::Kernel {
            return beneath_linux::leads_to(path, &self.fd);
        }
        let _ = path;
        false
    }

    /// What it lies on.
    pub(super) fn medium(&self) -> Medium {
        #[cfg(target_os = "linux")]
        if self.way == Way::Kernel {
            return beneath_linux::medium(&self.fd);
        }
        Medium::Unknown
    }

    /// Whether upper and lower case may be the same in its names: on macOS, unless a disk is made
    /// otherwise; on Linux its file system says.
    pub(super) fn ignores_case(&self) -> bool {
        #[cfg(target_os = "linux")]
        return beneath_linux::ignores_case(&self.fd);
        #[cfg(not(target_os = "linux"))]
        return cfg!(target_os = "macos");
    }

    /// What is there, if the system can tell without waiting for a disk.
    fn reach_at_once(&self, at: &VPath, flags: OFlags) -> Option<OwnedFd> {
        #[cfg(target_os = "linux")]
        if self.way == Way::Kernel {
            let open = beneath_linux::open_at_once(&self.fd, at.relative(), flags, self.links)?;
            return (!self.denies(at, &open)).then_some(open);
        }
        let _ = (at, flags);
        None
    }

    /// The facts of something, if they are at hand.
    pub(super) fn stat_at_once(&self, at: &VPath) -> Option<Entry> {
        let name = at.name().unwrap_or(b".").to_vec();
        let entry = facts_unix::of_open(self.reach_at_once(at, LOOK)?).ok()?;
        Some(Entry { name, ..entry })
    }

    /// A directory, if it is at hand.
    pub(super) fn directory_at_once(&self, at: &VPath) -> Option<Directory> {
        Some(Directory { fd: self.reach_at_once(at, DIRECTORY)? })
    }

    /// A regular file and its size, if it is at hand.
    pub(super) fn open_file_at_once(&self, at: &VPath) -> Option<(File, u64)> {
        let fd = self.reach_at_once(at, READ)?;
        let facts = fstat(&fd).ok()?;
        check_regular(facts_unix::kind(facts.st_mode)).ok()?;
        Some((File::from(fd), facts_unix::number(facts.st_size)))
    }

    pub(super) fn stat(&self, at: &VPath) -> Result<Entry> {
        let name = at.name().unwrap_or(b".");
        let reached = self.open_judged(at, LOOK, Rights::LIST);
        if matches!(reached, Err(Errno::ACCESS)) && self.leads_to_denied(at) {
            return Err(denied());
        }
        let reached = reached.and_then(facts_unix::of_open);
        let entry = match (reached, at.parent()) {
            (Ok(entry), _) => entry,
            // A link that may not be followed is shown as such.
            (Err(error), Some(parent)) => self
                .open_at(&parent, LOOK | OFlags::DIRECTORY)
                .and_then(|dir| facts_unix::of_name(dir, name))
                .map_err(|_| fault(error))?,
            (Err(error), None) => return Err(fault(error)),
        };
        Ok(Entry { name: name.to_vec(), ..entry })
    }

    pub(super) fn directory(&self, at: &VPath) -> Result<Directory> {
        Ok(Directory { fd: self.open_at(at, DIRECTORY).map_err(fault)? })
    }

    /// A regular file, open for reading, and its size.
    pub(super) fn open_file(&self, at: &VPath) -> Result<(File, u64)> {
        let fd = self.open_judged(at, READ, Rights::READ).map_err(fault)?;
        let facts = fstat(&fd).map_err(fault)?;
        check_regular(facts_unix::kind(facts.st_mode))?;
        Ok((File::from(fd), facts_unix::number(facts.st_size)))
    }

    pub(super) fn set(&self, at: &VPath, change: Change) -> Result<()> {
        let fd = match self.open_at(at, READ) {
            // What may not be read may still be ours.
            Err(Errno::ACCESS) => self.open_at(at, READ | OFlags::WRONLY),
            opened => opened,
        };
        let fd = fd.map_err(fault)?;
        let facts = fstat(&fd).map_err(fault)?;
        let kind = facts_unix::kind(facts.st_mode);
        if !matches!(kind, Kind::File | Kind::Dir) {
            return Err(ErrorKind::Forbidden.into());
        }
        let file = File::from(fd);
        match change {
            Change::Modified(moment) => {
                let moment = system_time(moment).ok_or_else(|| {
                    Error::new(ErrorKind::Unsupported, "this system cannot hold such a time")
                })?;
                file.set_modified(moment).map_err(fault)
            }
            Change::Mode(mode) => {
                // A shared directory keeps the bits that make it one; a file gets none of them.
                let kept: u32 = match kind {
                    Kind::Dir => facts_unix::number(facts.st_mode & 0o7000),
                    _ => 0,
                };
                let mode = (mode & 0o777) | kept;
                file.set_permissions(Permissions::from_mode(mode)).map_err(fault)
            }
        }
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

/// A name as others than this store take it.
pub(super) fn real_name(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

/// Every name that [`VPath`] can hold is one on Unix.
#[expect(clippy::unnecessary_wraps, reason = "other systems have names that mean something else")]
pub(super) fn check_name(_: &[u8]) -> Result<()> {
    Ok(())
}

/// Reads bytes of a file that the system has in memory, without waiting for a disk. None if it has
/// not all of them, or cannot say.
pub(super) fn read_at_once(file: &File, from: u64, len: usize, medium: Medium) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    let got = match medium {
        Medium::Memory => std::os::unix::fs::FileExt::read_at(file, &mut bytes, from).ok()?,
        #[cfg(target_os = "linux")]
        Medium::Disk => {
            let flags = rustix::io::ReadWriteFlags::NOWAIT;
            let mut room = [io::IoSliceMut::new(&mut bytes)];
            rustix::io::preadv2(file, &mut room, from, flags).ok()?
        }
        _ => return None,
    };
    (got == len).then_some(bytes)
}

/// What tells one file from another, and a change of it: it is another text after each of them. That
/// it was written to is seen by its length and its times, of which the last cannot be set.
fn identity_of(facts: &rustix::fs::Stat) -> String {
    format!(
        "{}:{}:{}.{}:{}.{}",
        facts.st_ino,
        facts.st_size,
        facts.st_mtime,
        facts.st_mtime_nsec,
        facts.st_ctime,
        facts.st_ctime_nsec
    )
}

/// The identity of an open file, as [`Directory::identity`] gives that of a name.
pub(super) fn identity(file: &File) -> io::Result<String> {
    Ok(identity_of(&fstat(file)?))
}

/// What an open file keeps for as long as it is there, whatever is written to it.
pub(super) fn number(file: &File) -> io::Result<(u64, u64)> {
    let facts = fstat(file)?;
    Ok((facts_unix::number(facts.st_dev), facts_unix::number(facts.st_ino)))
}

/// An open directory. Its methods take one name in it and follow no link.
pub(super) struct Directory {
    fd: OwnedFd,
}

/// What is found where one of our temporaries should be.
pub(super) enum Own {
    /// A regular file of this process's user with no other name.
    Found(File),
    /// Something else.
    Foreign,
    /// Nothing.
    Missing,
}

impl Directory {
    /// What stands there, if anything.
    pub(super) fn look(&self, name: &[u8]) -> Result<Option<Kind>> {
        Ok(self.measure(name)?.map(|(kind, _)| kind))
    }

    /// What stands there, if anything, and how long it is.
    pub(super) fn measure(&self, name: &[u8]) -> Result<Option<(Kind, u64)>> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(facts) => {
                Ok(Some((facts_unix::kind(facts.st_mode), facts_unix::number(facts.st_size))))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// The identity of what stands there, of a link itself; none if there is nothing.
    pub(super) fn identity(&self, name: &[u8]) -> Result<Option<String>> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(facts) => Ok(Some(identity_of(&facts))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// A regular file that stands there, by what tells it apart, and how long it is.
    pub(super) fn file(&self, name: &[u8]) -> Result<Option<Replaced>> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(facts) if facts_unix::kind(facts.st_mode) == Kind::File => Ok(Some(Replaced {
                file: (facts_unix::number(facts.st_dev), facts_unix::number(facts.st_ino)),
                bytes: facts_unix::number(facts.st_size),
            })),
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// A regular file to which bytes are to be added, and which can be read. `Forbidden` for a link
    /// or what is no file.
    pub(super) fn open_to_append(&self, name: &[u8]) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW;
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::LOOP | Errno::MLINK) => return Err(ErrorKind::Forbidden.into()),
            opened => opened.map_err(fault)?,
        };
        check_regular(facts_unix::kind(fstat(&fd).map_err(fault)?.st_mode))?;
        Ok(File::from(fd))
    }

    /// The same directory once more.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()? })
    }

    /// The permission bits of a regular file that stands there. None if there is nothing, or a
    /// link to be replaced; an error if there is anything that is not.
    pub(super) fn mode(&self, name: &[u8]) -> Result<Option<u32>> {
        let facts = match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(facts) => facts,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(fault(error)),
        };
        match facts_unix::kind(facts.st_mode) {
            Kind::Link => Ok(None),
            kind => check_regular(kind).map(|()| Some(facts_unix::number(facts.st_mode & 0o777))),
        }
    }

    /// A new file for this process's user alone, open for reading and writing.
    pub(super) fn create(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(File::from(openat(&self.fd, name, flags | OFlags::NOFOLLOW, mode)?))
    }

    /// One of our temporaries, open for reading and writing.
    pub(super) fn open_own(&self, name: &[u8]) -> io::Result<Own> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = match openat(&self.fd, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(Own::Missing),
            // A link, a directory, a socket, or someone else's.
            Err(
                Errno::LOOP
                | Errno::MLINK
                | Errno::ISDIR
                | Errno::NXIO
                | Errno::ACCESS
                | Errno::PERM,
            ) => return Ok(Own::Foreign),
            Err(error) => return Err(error.into()),
        };
        let facts = fstat(&fd)?;
        let is_ours = facts_unix::kind(facts.st_mode) == Kind::File
            && facts.st_uid == geteuid().as_raw()
            && facts.st_nlink == 1;
        Ok(if is_ours { Own::Found(File::from(fd)) } else { Own::Foreign })
    }

    /// The length of an open file if the name means it.
    pub(super) fn length_if_same(&self, name: &[u8], file: &File) -> Option<u64> {
        let named = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let open = fstat(file).ok()?;
        let is_same = (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino);
        is_same.then(|| facts_unix::number(open.st_size))
    }

    #[expect(clippy::unused_self, reason = "other systems need the directory")]
    pub(super) fn set_mode(&self, file: &File, mode: u32) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(mode))
    }

    /// Removes what is no directory.
    pub(super) fn unlink(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub(super) fn remove_dir(&self, name: &[u8]) -> Result<()> {
        match unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            // Some systems say so of a directory with content.
            Err(Errno::EXIST) => Err(ErrorKind::NotEmpty.into()),
            ended => ended.map_err(fault),
        }
    }

    /// Makes a directory with just these permission bits, whatever the process's umask is.
    pub(super) fn make_dir(&self, name: &[u8], mode: u32) -> Result<()> {
        mkdirat(&self.fd, name, Mode::from_raw_mode(facts_unix::number(mode))).map_err(fault)?;
        let new = self.subdirectory(name).map_err(fault)?;
        let facts = fstat(&new.fd).map_err(fault)?;
        // A directory can inherit the bit that gives its files its group.
        let inherited: u32 = facts_unix::number(facts.st_mode & 0o7000);
        let mode = mode | inherited;
        File::from(new.fd).set_permissions(Permissions::from_mode(mode)).map_err(fault)
    }

    /// Whether both names mean one thing because only their spelling differs, as on file systems
    /// that ignore case: what has one name alone, and answers to two, has two spellings of it.
    pub(super) fn is_respelling(&self, from: &[u8], to_dir: &Self, to: &[u8]) -> bool {
        let facts = |dir: &Self, name| statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW).ok();
        let (Some(one), Some(other)) = (facts(self, from), facts(to_dir, to)) else { return false };
        let is_one = (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino);
        let is_dir = FileType::from_raw_mode(one.st_mode) == FileType::Directory;
        from != to && is_one && (is_dir || one.st_nlink == 1)
    }

    /// Gives something another name, in one step.
    pub(super) fn rename(
        &self,
        from: &[u8],
        to_dir: &Self,
        to: &[u8],
        replace: Replace,
    ) -> Result<()> {
        let renamed = match replace {
            Replace::Allowed => renameat(&self.fd, from, &to_dir.fd, to),
            Replace::Forbidden => rename_to_free(&self.fd, from, &to_dir.fd, to),
        };
        renamed.map_err(|error| match error {
            Errno::XDEV => Error::new(ErrorKind::CrossesDevices, io::Error::from(error)),
            // A directory into itself.
            Errno::INVAL => Error::new(ErrorKind::Forbidden, io::Error::from(error)),
            Errno::NOTEMPTY => Error::new(ErrorKind::Exists, io::Error::from(error)),
            error => fault(error),
        })
    }

    /// A directory in this one, to be read and to be acted in.
    pub(super) fn subdirectory(&self, name: &[u8]) -> io::Result<Self> {
        match openat(&self.fd, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Self { fd }),
            // What systems say of a link.
            Err(Errno::LOOP | Errno::MLINK) => Err(io::ErrorKind::NotADirectory.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the names in it survive a power failure.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.fd)?)
    }

    /// All names in it, from the first.
    pub(super) fn names(&self) -> io::Result<Names> {
        Names::new(self)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Renames to a name that nothing has, in one step.
fn rename_to_free(from_dir: &OwnedFd, from: &[u8], to_dir: &OwnedFd, to: &[u8]) -> Call<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    match rustix::fs::renameat_with(from_dir, from, to_dir, to, rustix::fs::RenameFlags::NOREPLACE)
    {
        Err(Errno::NOSYS | Errno::INVAL | Errno::NOTSUP) => {}
        ended => return ended,
    }
    let is_dir =
        facts_unix::kind(statat(from_dir, from, AtFlags::SYMLINK_NOFOLLOW)?.st_mode) == Kind::Dir;
    if is_dir {
        // No directory can have a second name. This replaces an empty directory that is made
        // between the two calls, and never anything with content.
        return match statat(to_dir, to, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => renameat(from_dir, from, to_dir, to),
            Err(error) => Err(error),
            Ok(_) => Err(Errno::EXIST),
        };
    }
    linkat(from_dir, from, to_dir, to, AtFlags::empty())?;
    unlinkat(from_dir, from, AtFlags::empty())
}
