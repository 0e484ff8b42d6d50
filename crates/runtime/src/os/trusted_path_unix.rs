//! Unix: opening files as root in folders that other users may change.
//!
//! A path is resolved component by component with open folders. In a folder that only root (or this
//! process's own user) may change, symbolic links are followed: `/dev/stdout` and a moved
//! `/var/log` work. From the first folder on that another user may change, no symbolic link is
//! followed, an existing file must be a regular file with a link count of one that belongs to root,
//! this user or the folder's owner, and a new file is created exclusively.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, readlinkat, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

/// Maximum number of symbolic links in a path, as on Linux.
const LINKS_MAX: usize = 40;
/// Number of retries if a file is created and removed concurrently.
const TRIES_MAX: usize = 4;

#[cfg(target_os = "linux")]
const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const PATH_ONLY: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);

/// A file name in an open folder.
#[derive(Debug)]
pub(crate) struct TrustedPath {
    folder: Arc<OwnedFd>,
    name: OsString,
    /// Whether only root and this process's own user can change what the path resolves to.
    is_ours: bool,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// For reading.
    Read,
    /// For appending; created with this mode if missing.
    Append(u32),
    /// For writing; it must not exist yet, and is created with this mode.
    New(u32),
}

impl TrustedPath {
    /// Resolves a path to its folder and file name.
    ///
    /// # Errors
    /// An I/O error, or a symbolic link that another user could have created.
    pub(crate) fn find(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        match walk(names(&path), LastComponent::Named)? {
            (folder, Some(name), is_ours) => Ok(Self { folder: folder.into(), name, is_ours }),
            (_, None, _) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// Resolves a path without following a symbolic link in its last component.
    ///
    /// # Errors
    /// As for [`TrustedPath::find`].
    pub(crate) fn entry(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
        let above = path.parent().map(names).unwrap_or_default();
        let (folder, _, is_ours) = walk(above, LastComponent::Entered)?;
        let is_ours = is_ours && is_exclusive(&fstat(&folder)?);
        Ok(Self { folder: folder.into(), name, is_ours })
    }

    /// Another file name in the same folder.
    pub(crate) fn beside(&self, name: &OsStr) -> Self {
        Self { folder: Arc::clone(&self.folder), name: name.to_owned(), is_ours: self.is_ours }
    }

    /// Opens the file.
    ///
    /// # Errors
    /// An I/O error, or the file must not be opened in such a folder.
    pub(crate) fn open(&self, access: Access) -> io::Result<File> {
        let common = OFlags::CLOEXEC | OFlags::NOCTTY;
        let (flags, mode) = match access {
            Access::Read => (OFlags::RDONLY, None),
            Access::Append(mode) => (OFlags::WRONLY | OFlags::APPEND, Some(mode)),
            Access::New(mode) => return self.make(OFlags::WRONLY | common, mode),
        };
        // In folders such as `/proc/self/fd` names are links to open files.
        let follow = if self.is_ours { OFlags::empty() } else { OFlags::NOFOLLOW };
        // Opening a pipe would block until the other end is opened.
        let wait = if self.is_ours { OFlags::empty() } else { OFlags::NONBLOCK };
        for _ in 0..TRIES_MAX {
            match openat(&*self.folder, &self.name, flags | common | follow | wait, Mode::empty()) {
                Ok(open) => return self.checked(open),
                Err(Errno::NOENT) => {}
                Err(Errno::LOOP | Errno::MLINK) => {
                    return Err(rejected("symbolic link in a folder that another user may change"));
                }
                Err(error) => return Err(error.into()),
            }
            let Some(mode) = mode else { return Err(Errno::NOENT.into()) };
            match self.make(flags | common, mode) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                done => return done,
            }
        }
        Err(io::Error::other("another process creates and removes it repeatedly"))
    }

    fn make(&self, flags: OFlags, mode: u32) -> io::Result<File> {
        let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        #[cfg_attr(
            not(target_vendor = "apple"),
            expect(clippy::useless_conversion, reason = "modes have 16 bits on macOS")
        )]
        let mode = Mode::from_bits_truncate(mode.try_into().unwrap_or_default());
        Ok(File::from(openat(&*self.folder, &self.name, flags, mode)?))
    }

    /// Checks whether the file may be opened in such a folder.
    fn checked(&self, open: OwnedFd) -> io::Result<File> {
        if self.is_ours {
            return Ok(File::from(open));
        }
        let (about, folder) = (fstat(&open)?, fstat(&*self.folder)?);
        if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
            return Err(rejected("not a regular file, in a folder that another user may change"));
        }
        if about.st_nlink != 1 {
            return Err(rejected(
                "more than one hard link, in a folder that another user may change",
            ));
        }
        if !is_trusted(about.st_uid) && about.st_uid != folder.st_uid {
            return Err(rejected("the owner differs from that of its folder"));
        }
        Ok(File::from(open))
    }

    /// Changes the owner of an existing file, if it belongs to root, has one hard link and is of
    /// this type.
    pub(crate) fn change_owner(&self, kind: FileType, user: Option<u32>, group: Option<u32>) {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{Gid, Uid, chownat};
            let Ok(open) =
                openat(&*self.folder, &self.name, PATH_ONLY | OFlags::NOFOLLOW, Mode::empty())
            else {
                return;
            };
            let is_ours = fstat(&open).is_ok_and(|about| {
                let is_one = kind == FileType::Directory || about.st_nlink == 1;
                FileType::from_raw_mode(about.st_mode) == kind && is_one && is_trusted(about.st_uid)
            });
            if is_ours {
                let (user, group) = (user.map(Uid::from_raw), group.map(Gid::from_raw));
                // On failure it stays root's, and using it reports an error.
                let _ = chownat(&open, c"", user, group, AtFlags::EMPTY_PATH);
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (kind, user, group);
    }

    /// Renames it atomically.
    pub(crate) fn rename(&self, to: &Self) -> io::Result<()> {
        Ok(renameat(&*self.folder, &self.name, &*to.folder, &to.name)?)
    }

    /// Renames it to an unused name; `AlreadyExists` if it is used.
    pub(crate) fn rename_to_free(&self, to: &Self) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        match rustix::fs::renameat_with(
            &*self.folder,
            &self.name,
            &*to.folder,
            &to.name,
            rustix::fs::RenameFlags::NOREPLACE,
        ) {
            Err(Errno::NOSYS | Errno::INVAL | Errno::NOTSUP) => {}
            ended => return Ok(ended?),
        }
        match statat(&*to.folder, &to.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST.into()),
            Err(_) => self.rename(to),
        }
    }

    /// Removes a file.
    pub(crate) fn remove(&self) -> io::Result<()> {
        Ok(unlinkat(&*self.folder, &self.name, AtFlags::empty())?)
    }
}

/// An open folder: it stays the same, even if its path is changed to lead elsewhere.
#[derive(Debug)]
pub(crate) struct OpenFolder {
    folder: OwnedFd,
    /// Whether only root and this process's own user can change what the path resolves to.
    is_ours: bool,
    was_made: bool,
}

impl OpenFolder {
    /// Opens it, and creates it and its missing parents with mode 0700.
    ///
    /// # Errors
    /// An I/O error, or a symbolic link that another user could have created.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let is_missing = |path: &Path| {
            path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let above =
            path.ancestors().find(|above| !is_missing(above)).unwrap_or_else(|| Path::new("/"));
        let mut missing = names(path.strip_prefix(above).unwrap_or(&path));
        let was_made = !missing.is_empty();
        let (mut folder, _, mut is_ours) = walk(names(above), LastComponent::Entered)?;
        while let Some(name) = missing.pop() {
            let about = fstat(&folder)?;
            match mkdirat(&folder, &name, Mode::from_raw_mode(0o700)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            folder = open_folder(&folder, &name)?;
            let is_protected = is_sticky(&about) && is_trusted(fstat(&folder)?.st_uid);
            is_ours &= is_exclusive(&about) || is_protected;
        }
        Ok(Self { folder, is_ours, was_made })
    }

    /// Whether it was created.
    pub(crate) fn was_made(&self) -> bool {
        self.was_made
    }

    /// Whether only root and this process's own user may change names in it.
    pub(crate) fn is_exclusive(&self) -> bool {
        fstat(&self.folder).is_ok_and(|about| is_exclusive(&about))
    }

    /// A path to this folder while it is open, through `/proc`; `None` if the usual path is
    /// trusted, or the system has no such paths.
    pub(crate) fn proc_path(&self) -> Option<PathBuf> {
        let proc_path = PathBuf::from(format!("/proc/self/fd/{}/.", self.folder.as_raw_fd()));
        let is_usable = cfg!(target_os = "linux") && !self.is_ours && proc_path.is_dir();
        is_usable.then_some(proc_path)
    }
}

/// Opens a file that the configuration names for reading. A process of root follows no symbolic
/// link that another user could have created; other processes follow all links.
///
/// # Errors
/// An I/O error, or why the file is not trusted.
pub fn open_trusted(path: &Path) -> io::Result<File> {
    if geteuid().is_root() { TrustedPath::find(path)?.open(Access::Read) } else { File::open(path) }
}

/// Rejects a file that root is about to execute or to read as configuration, if another user may
/// change or replace it.
///
/// # Errors
/// It may be changed, or cannot be examined. Never for a process that is not root, since it cannot
/// gain privileges that way.
pub fn only_root_changes(path: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let trusted_path = TrustedPath::find(path)?;
    let about = statat(&*trusted_path.folder, &trusted_path.name, AtFlags::empty())?;
    let mode = mode_of(&about);
    let is_open = mode & 0o002 != 0 || mode & 0o020 != 0 && !is_own_group(about.st_gid);
    if trusted_path.is_ours && is_trusted(about.st_uid) && !is_open {
        return Ok(());
    }
    Err(rejected(&format!("another user than root may change {}", path.display())))
}

/// How the last component of a path is treated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastComponent {
    /// As a file name; symbolic links are followed.
    Named,
    /// As a folder.
    Entered,
}

/// Resolves these components, in reverse order, from the root. Returns the folder, the file name,
/// and whether only root and this process's own user can change what they resolve to.
fn walk(
    mut ahead: Vec<OsString>,
    last: LastComponent,
) -> io::Result<(OwnedFd, Option<OsString>, bool)> {
    let mut folder = open_folder(CWD, OsStr::new("/"))?;
    let mut is_ours = true;
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        let about = fstat(&folder)?;
        let is_exclusive = is_ours && is_exclusive(&about);
        // Magic links lead to open files.
        let is_last = last == LastComponent::Named && ahead.is_empty();
        if is_ours && is_of_kernel(&folder) {
            let rest = ahead.iter().rev().fold(name, |mut path, name| {
                path.push("/");
                path.push(name);
                path
            });
            return Ok((folder, Some(rest), is_ours));
        }
        let found = match statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Some(found),
            Err(Errno::NOENT) if is_last => None,
            Err(error) => return Err(error.into()),
        };
        let is_safe = is_exclusive
            || is_ours
                && is_sticky(&about)
                && found.as_ref().is_some_and(|found| is_trusted(found.st_uid));
        let kind = found.as_ref().map(|found| FileType::from_raw_mode(found.st_mode));
        if kind == Some(FileType::Symlink) {
            links += 1;
            if !is_safe {
                return Err(rejected("symbolic link in a folder that another user may change"));
            }
            if links > LINKS_MAX {
                return Err(Errno::LOOP.into());
            }
            let target = readlinkat(&folder, &name, Vec::new())?;
            let target = OsString::from_vec(target.into_bytes());
            if Path::new(&target).is_absolute() {
                folder = open_folder(CWD, OsStr::new("/"))?;
            }
            ahead.extend(names(Path::new(&target)));
            continue;
        }
        is_ours &= is_safe;
        if is_last {
            return Ok((folder, Some(name), is_ours));
        }
        folder = open_folder(&folder, &name)?;
    }
    Ok((folder, None, is_ours))
}

fn open_folder(at: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    Ok(openat(at, name, PATH_ONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
}

/// Whether only root and this process's own user may change names in a folder.
fn is_exclusive(about: &Stat) -> bool {
    let mode = mode_of(about);
    let is_open_to_group = mode & 0o020 != 0 && !is_own_group(about.st_gid);
    is_trusted(about.st_uid) && mode & 0o002 == 0 && !is_open_to_group
}

/// Whether a folder is sticky, so that only the owner can rename or remove an entry.
fn is_sticky(about: &Stat) -> bool {
    is_trusted(about.st_uid) && mode_of(about) & 0o1000 != 0
}

fn is_trusted(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

fn is_own_group(group: u32) -> bool {
    group == 0 || !geteuid().is_root() && group == getegid().as_raw()
}

/// Whether a folder is in `/proc` or the like, with links to open files.
fn is_of_kernel(folder: impl AsFd) -> bool {
    #[cfg(target_os = "linux")]
    {
        const PROC: u32 = 0x9fa0;
        let kind = rustix::fs::fstatfs(folder).ok().map(|facts| u32::try_from(facts.f_type));
        kind == Some(Ok(PROC))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let dev = statat(CWD, c"/dev", AtFlags::empty());
        let is_dev =
            |dev: Stat, folder: Stat| (dev.st_dev, dev.st_ino) == (folder.st_dev, folder.st_ino);
        dev.is_ok_and(|dev| fstat(folder).is_ok_and(|folder| is_dev(dev, folder)))
    }
}

pub(crate) fn rejected(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("rejected for safety: {why}"))
}

/// The components of a path, in reverse order.
fn names(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// The bits of a mode; their type differs between systems.
#[cfg_attr(
    target_os = "linux",
    expect(clippy::useless_conversion, reason = "other systems have fewer bits")
)]
fn mode_of(about: &Stat) -> u32 {
    u32::from(about.st_mode)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A folder, and a world-writable one in it.
    fn world() -> (tempfile::TempDir, PathBuf) {
        let top = tempfile::tempdir().unwrap();
        let open = top.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(top.path().join("secret"), "secret").unwrap();
        (top, open)
    }

    fn append(path: &Path) -> io::Result<File> {
        TrustedPath::find(path)?.open(Access::Append(0o640))
    }

    #[test]
    fn row_54_links_are_followed_only_where_no_other_user_could_have_created_them() {
        let (top, open) = world();
        symlink("secret", top.path().join("link")).unwrap();
        symlink("../secret", open.join("link")).unwrap();
        symlink("open", top.path().join("folder")).unwrap();
        append(&top.path().join("link")).unwrap().write_all(b"+").unwrap();
        assert_eq!(fs::read(top.path().join("secret")).unwrap(), b"secret+");
        assert!(append(&open.join("link")).is_err());
        assert!(append(&top.path().join("folder/link")).is_err());
        append(&top.path().join("folder/log")).unwrap();
        assert!(open.join("log").is_file());
        let mut text = String::new();
        let read = |path: &Path| TrustedPath::find(path)?.open(Access::Read);
        read(&top.path().join("link")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "secret+");
        assert!(read(&open.join("link")).is_err());
    }

    #[test]
    fn row_54_configured_files_are_read_through_links_of_root_only() {
        let (top, open) = world();
        // As certbot stores keys: live/NAME/privkey.pem links to archive/NAME/privkey1.pem.
        for folder in ["live", "archive"] {
            fs::create_dir(top.path().join(folder)).unwrap();
        }
        fs::write(top.path().join("archive/privkey1.pem"), "key").unwrap();
        symlink("../archive/privkey1.pem", top.path().join("live/privkey.pem")).unwrap();
        symlink("../archive/privkey1.pem", open.join("privkey.pem")).unwrap();
        fs::write(open.join("own.pem"), "key").unwrap();
        let read = |name: &str| {
            let mut text = String::new();
            open_trusted(&top.path().join(name))?.read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(read("live/privkey.pem").unwrap(), "key");
        assert_eq!(read("open/own.pem").unwrap(), "key");
        // A process that is not root follows all links.
        assert_eq!(read("open/privkey.pem").is_err(), geteuid().is_root());
    }

    #[test]
    fn row_54_hard_links_and_pipes_are_rejected_in_folders_that_others_may_change() {
        let (top, open) = world();
        fs::hard_link(top.path().join("secret"), open.join("alias")).unwrap();
        assert!(append(&open.join("alias")).is_err());
        // If only its owner may change the folder, everything is allowed.
        append(&top.path().join("secret")).unwrap();
        fs::remove_file(open.join("alias")).unwrap();
        for _ in 0..2 {
            append(&open.join("log")).unwrap().write_all(b"line\n").unwrap();
        }
        assert_eq!(fs::read(open.join("log")).unwrap(), b"line\nline\n");
        assert!(TrustedPath::find(&open.join("log")).unwrap().open(Access::New(0o600)).is_err());
        let new = TrustedPath::find(&open.join("new")).unwrap();
        new.open(Access::New(0o600)).unwrap();
        new.rename(&TrustedPath::find(&open.join("newer")).unwrap()).unwrap();
        assert!(open.join("newer").is_file());
    }

    #[test]
    fn row_54_folders_are_not_created_below_links_of_other_users() {
        let (top, open) = world();
        let real = top.path().join("real");
        fs::create_dir(&real).unwrap();
        symlink("../real", open.join("link")).unwrap();
        symlink("real", top.path().join("link")).unwrap();
        for path in ["open/link", "open/link/deep", "open/link/deep/er"] {
            let error = OpenFolder::of(&top.path().join(path)).unwrap_err();
            assert!(error.to_string().contains("rejected for safety"), "{path}: {error}");
        }
        assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
        for path in ["link/deep", "open/deep/er", "new"] {
            let made = OpenFolder::of(&top.path().join(path)).unwrap();
            assert!(made.was_made() && made.is_exclusive(), "{path}");
            assert!(!OpenFolder::of(&top.path().join(path)).unwrap().was_made(), "{path}");
        }
        assert!(real.join("deep").is_dir());
        assert!(!OpenFolder::of(&open).unwrap().is_exclusive());
        // It is still the folder that was opened.
        let deep = OpenFolder::of(&open.join("deep")).unwrap();
        fs::rename(open.join("deep"), open.join("gone")).unwrap();
        symlink("../real", open.join("deep")).unwrap();
        if cfg!(target_os = "linux") {
            fs::write(deep.proc_path().unwrap().join("file"), "x").unwrap();
            assert!(open.join("gone/file").is_file() && !real.join("file").exists());
        }
    }

    #[test]
    fn row_54_links_to_open_files_in_proc_stay_usable() {
        append(Path::new("/dev/null")).unwrap().write_all(b"x").unwrap();
        // Standard error of a test may not be reopenable; its path is resolved.
        assert!(TrustedPath::find(Path::new("/dev/stderr")).is_ok());
    }
}
