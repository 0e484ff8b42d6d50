//! Unix: an open directory, and operations on one name in it.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fstat, fsync, linkat, mkdirat, openat, renameat, statat,
    unlinkat,
};
use rustix::io::{Errno, Result as Call};
use rustix::process::geteuid;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::Replace;
use wharf_proto::entry::Kind;

use super::facts_unix;
use super::fault::fault;
use super::journal::{is_any_growing, visible_length_by};
use super::system::{DIRECTORY, DirectoryNames, check_regular};
use crate::quota::Replaced;

/// Identifies a file and its version: the text changes with the file and after each modification.
/// Writes show in the length and the times; the change time cannot be set by programs.
fn identity_of(facts: &Stat) -> String {
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

/// The identity of an open file, in the format of [`Directory::identity`].
pub(super) fn identity(file: &File) -> io::Result<String> {
    Ok(identity_of(&fstat(file)?))
}

/// Device and inode of an open file, which stay the same whatever is written to it.
pub(super) fn number(file: impl AsFd) -> io::Result<(u64, u64)> {
    let facts = fstat(file)?;
    Ok((facts_unix::number(facts.st_dev), facts_unix::number(facts.st_ino)))
}

/// An open directory. Its methods take one name in it and follow no links.
pub(super) struct Directory {
    pub(super) fd: OwnedFd,
    /// Device and inode, if they were read when it was opened. They never change.
    pub(super) id: Option<(u64, u64)>,
}

/// The facts of a name in a directory, which may not exist.
pub(super) type EntryFacts = Call<Stat>;

/// The result of opening a temporary file of the server.
pub(super) enum OpenedTemporary {
    /// A regular file with one name, owned by the user of this process.
    Found(File),
    /// Something else.
    Foreign,
    /// Nothing.
    Missing,
}

impl Directory {
    /// The kind of the entry, if it exists.
    pub(super) fn kind_of(&self, name: &[u8]) -> Result<Option<Kind>> {
        Ok(self.measure(name)?.map(|(kind, _)| kind))
    }

    /// The kind and length of the entry, if it exists.
    pub(super) fn measure(&self, name: &[u8]) -> Result<Option<(Kind, u64)>> {
        match self.facts(name) {
            Ok(facts) => {
                Ok(Some((facts_unix::kind(facts.st_mode), facts_unix::number(facts.st_size))))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// The facts of the entry, without following a link.
    pub(super) fn facts(&self, name: &[u8]) -> EntryFacts {
        statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The kind and identity of the entry, without following a link; `None` if it does not exist.
    pub(super) fn identity(&self, name: &[u8]) -> Result<Option<(Kind, String)>> {
        Self::identity_by(&self.facts(name))
    }

    /// The same by facts that were just read.
    pub(super) fn identity_by(facts: &EntryFacts) -> Result<Option<(Kind, String)>> {
        match facts {
            Ok(facts) => Ok(Some((facts_unix::kind(facts.st_mode), identity_of(facts)))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(fault(*error)),
        }
    }

    /// The time of the last change of the entry, of any kind; `None` if it does not exist.
    pub(super) fn changed(&self, name: &[u8]) -> Result<Option<SystemTime>> {
        let facts = match self.facts(name) {
            Err(Errno::NOENT) => return Ok(None),
            facts => facts.map_err(fault)?,
        };
        let (seconds, nanos) = (u64::try_from(facts.st_ctime), u32::try_from(facts.st_ctime_nsec));
        let since = seconds.ok().zip(nanos.ok());
        Ok(since.and_then(|(seconds, nanos)| {
            SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
        }))
    }

    /// Whether the entry is a regular file whose last change precedes the creation of `file`. Other
    /// programs can set neither time.
    pub(super) fn precedes(&self, name: &[u8], file: &File) -> Result<bool> {
        if self.kind_of(name)? != Some(Kind::File) {
            return Ok(false);
        }
        // Not every file system has the second one.
        let created = file.metadata().and_then(|facts| facts.created()).ok();
        // Equal times have no order: the clock of a file system ticks every few milliseconds.
        Ok(self.changed(name)?.zip(created).is_some_and(|(changed, created)| changed < created))
    }

    /// The identity and length of a regular file, without bytes that are being appended: those are
    /// counted where they are staged.
    pub(super) fn file(&self, name: &[u8]) -> Result<Option<Replaced>> {
        let may_shrink = is_any_growing();
        let Some(found) = self.file_as_it_is(name)? else { return Ok(None) };
        let mut bytes = visible_length_by(Some(found.file), found.bytes);
        if may_shrink && bytes == found.bytes {
            // The file may have been truncated between the two calls.
            let again = self.file_as_it_is(name)?;
            bytes = again.map_or(bytes, |again| again.bytes.min(bytes));
        }
        Ok(Some(Replaced { bytes, ..found }))
    }

    fn file_as_it_is(&self, name: &[u8]) -> Result<Option<Replaced>> {
        match self.facts(name) {
            Ok(facts) if facts_unix::kind(facts.st_mode) == Kind::File => Ok(Some(Replaced {
                file: (facts_unix::number(facts.st_dev), facts_unix::number(facts.st_ino)),
                bytes: facts_unix::number(facts.st_size),
            })),
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// Opens a regular file for reading and appending. `Forbidden` for a link or anything that is
    /// not a regular file.
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

    /// Opens the same directory again.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()?, id: self.id })
    }

    /// The permission bits of a regular file. `None` if nothing exists, or if it is a link to be
    /// replaced; an error for anything else.
    pub(super) fn mode(&self, name: &[u8]) -> Result<Option<u32>> {
        let facts = match self.facts(name) {
            Ok(facts) => facts,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(fault(error)),
        };
        match facts_unix::kind(facts.st_mode) {
            Kind::Link => Ok(None),
            kind => check_regular(kind).map(|()| Some(facts_unix::number(facts.st_mode & 0o777))),
        }
    }

    /// Creates a file for the user of this process only, open for reading and writing.
    pub(super) fn create(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(File::from(openat(&self.fd, name, flags | OFlags::NOFOLLOW, mode)?))
    }

    /// Opens a temporary file of the server for reading and writing.
    pub(super) fn open_own(&self, name: &[u8]) -> io::Result<OpenedTemporary> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = match openat(&self.fd, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(OpenedTemporary::Missing),
            // A link, a directory, a socket, or a file of another user.
            Err(
                Errno::LOOP
                | Errno::MLINK
                | Errno::ISDIR
                | Errno::NXIO
                | Errno::ACCESS
                | Errno::PERM,
            ) => return Ok(OpenedTemporary::Foreign),
            Err(error) => return Err(error.into()),
        };
        let facts = fstat(&fd)?;
        let is_temporary = facts_unix::kind(facts.st_mode) == Kind::File
            && facts.st_uid == geteuid().as_raw()
            && facts.st_nlink == 1;
        Ok(if is_temporary {
            OpenedTemporary::Found(File::from(fd))
        } else {
            OpenedTemporary::Foreign
        })
    }

    /// The length of an open file if the name still refers to it.
    pub(super) fn length_if_same(&self, name: &[u8], file: &File) -> Option<u64> {
        let named = self.facts(name).ok()?;
        let open = fstat(file).ok()?;
        let is_same = (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino);
        is_same.then(|| facts_unix::number(open.st_size))
    }

    #[expect(clippy::unused_self, reason = "other systems need the directory")]
    pub(super) fn set_mode(&self, file: &File, mode: u32) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(mode))
    }

    /// Removes anything that is not a directory.
    pub(super) fn unlink(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub(super) fn remove_dir(&self, name: &[u8]) -> Result<()> {
        match unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            // Returned by some systems for a directory that is not empty.
            Err(Errno::EXIST) => Err(ErrorKind::NotEmpty.into()),
            ended => ended.map_err(fault),
        }
    }

    /// Creates a directory with exactly these permission bits, regardless of the umask of the
    /// process.
    pub(super) fn make_dir(&self, name: &[u8], mode: u32) -> Result<()> {
        mkdirat(&self.fd, name, Mode::from_raw_mode(facts_unix::number(mode))).map_err(fault)?;
        let new = self.subdirectory(name).map_err(fault)?;
        let facts = fstat(&new.fd).map_err(fault)?;
        // A directory can inherit the set-group-ID bit.
        let inherited: u32 = facts_unix::number(facts.st_mode & 0o7000);
        let mode = mode | inherited;
        File::from(new.fd).set_permissions(Permissions::from_mode(mode)).map_err(fault)
    }

    /// Whether both names refer to one file and differ only in spelling, as on case-insensitive
    /// file systems: a file with a link count of one that is found under two names.
    pub(super) fn is_respelling(&self, from: &[u8], to_dir: &Self, to: &[u8]) -> bool {
        let (Ok(one), Ok(other)) = (self.facts(from), to_dir.facts(to)) else { return false };
        let is_one = (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino);
        let is_dir = FileType::from_raw_mode(one.st_mode) == FileType::Directory;
        from != to && is_one && (is_dir || one.st_nlink == 1)
    }

    /// Renames an entry atomically.
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

    /// Opens a subdirectory for reading and for operations in it.
    pub(super) fn subdirectory(&self, name: &[u8]) -> io::Result<Self> {
        match openat(&self.fd, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, id: None }),
            // Returned by systems for a link.
            Err(Errno::LOOP | Errno::MLINK) => Err(io::ErrorKind::NotADirectory.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Syncs the directory, so that its names survive a power failure.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.fd)?)
    }

    /// All names in it, from the beginning.
    pub(super) fn names(&self) -> io::Result<DirectoryNames> {
        DirectoryNames::new(self)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Renames to an unused name atomically.
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
        // A directory cannot be hard-linked. This replaces an empty directory that is created
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
