//! Unix: files that are opened with all rights in folders that others may change.
//!
//! A path is walked name by name from the top, on open folders. In a folder that only root (or
//! this process's own user) may change, links are followed: `/dev/stdout` and a moved `/var/log`
//! work. From the first folder on that another user may change, no link is followed, a file that
//! is there must be a regular one with one name that belongs to root, this user or the folder's
//! owner, and a new one is made only where nothing is.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, chownat, fstat, mkdirat, openat, readlinkat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

/// How many links one path may lead through, as on Linux.
const LINKS_MAX: usize = 40;
/// How often something is opened again that comes and goes meanwhile.
const TRIES_MAX: usize = 4;

#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);

/// A name in an open folder.
#[derive(Debug)]
pub(crate) struct TrustedPath {
    folder: Arc<OwnedFd>,
    name: OsString,
    /// Whether only root and this process's own user can change what the path leads to.
    is_ours: bool,
}

/// What is wanted of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// To read it.
    Read,
    /// To write to its end; it is made with this mode if it is missing.
    Append(u32),
    /// To write it from the start; it must not be there yet, and gets this mode.
    New(u32),
}

impl TrustedPath {
    /// The folder of a path, and the name in it.
    ///
    /// # Errors
    /// What the system says, or a link where another user could have made it.
    pub(crate) fn find(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        match walk(names(&path), LastComponent::Named)? {
            (folder, Some(name), is_ours) => Ok(Self { folder: folder.into(), name, is_ours }),
            (_, None, _) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// The folder of a path, and its last name, whatever that is: a link is not followed.
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

    /// Another name in the same folder.
    pub(crate) fn beside(&self, name: &OsStr) -> Self {
        Self { folder: Arc::clone(&self.folder), name: name.to_owned(), is_ours: self.is_ours }
    }

    /// Opens the file.
    ///
    /// # Errors
    /// What the system says, or that the file is none that may be opened there.
    pub(crate) fn open(&self, access: Access) -> io::Result<File> {
        let common = OFlags::CLOEXEC | OFlags::NOCTTY;
        let (flags, mode) = match access {
            Access::Read => (OFlags::RDONLY, None),
            Access::Append(mode) => (OFlags::WRONLY | OFlags::APPEND, Some(mode)),
            Access::New(mode) => return self.make(OFlags::WRONLY | common, mode),
        };
        // In the kernel's own folders names are links to what is open.
        let follow = if self.is_ours { OFlags::empty() } else { OFlags::NOFOLLOW };
        // Whoever opens a pipe would wait for its other end.
        let wait = if self.is_ours { OFlags::empty() } else { OFlags::NONBLOCK };
        for _ in 0..TRIES_MAX {
            match openat(&*self.folder, &self.name, flags | common | follow | wait, Mode::empty()) {
                Ok(open) => return self.judged(open),
                Err(Errno::NOENT) => {}
                Err(Errno::LOOP | Errno::MLINK) => {
                    return Err(refused("a link in a folder that another user may change"));
                }
                Err(error) => return Err(error.into()),
            }
            let Some(mode) = mode else { return Err(Errno::NOENT.into()) };
            match self.make(flags | common, mode) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                done => return done,
            }
        }
        Err(io::Error::other("another process makes and removes it"))
    }

    fn make(&self, flags: OFlags, mode: u32) -> io::Result<File> {
        let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        Ok(File::from(openat(&*self.folder, &self.name, flags, Mode::from_bits_truncate(mode))?))
    }

    /// The file, if it may be opened in such a folder.
    fn judged(&self, open: OwnedFd) -> io::Result<File> {
        if self.is_ours {
            return Ok(File::from(open));
        }
        let (about, folder) = (fstat(&open)?, fstat(&*self.folder)?);
        if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
            return Err(refused("no regular file, in a folder that another user may change"));
        }
        if about.st_nlink != 1 {
            return Err(refused("it has more than one name, in a folder that others may change"));
        }
        if !is_trusted(about.st_uid) && about.st_uid != folder.st_uid {
            return Err(refused("it belongs to another user than its folder"));
        }
        Ok(File::from(open))
    }

    /// Gives what is there to another user and group, if it is of root's, has one name and is of
    /// this kind.
    pub(crate) fn give(&self, kind: FileType, user: Option<u32>, group: Option<u32>) {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{Gid, Uid};
            let Ok(open) =
                openat(&*self.folder, &self.name, LOOK | OFlags::NOFOLLOW, Mode::empty())
            else {
                return;
            };
            let is_ours = fstat(&open).is_ok_and(|about| {
                let is_one = kind == FileType::Directory || about.st_nlink == 1;
                FileType::from_raw_mode(about.st_mode) == kind && is_one && is_trusted(about.st_uid)
            });
            if is_ours {
                let (user, group) = (user.map(Uid::from_raw), group.map(Gid::from_raw));
                // Where that fails it stays root's, which is told where it is used.
                let _ = chownat(&open, c"", user, group, AtFlags::EMPTY_PATH);
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (kind, user, group);
    }

    /// Renames it to another name, in one step.
    pub(crate) fn rename(&self, to: &Self) -> io::Result<()> {
        Ok(renameat(&*self.folder, &self.name, &*to.folder, &to.name)?)
    }

    /// Renames it to a name that nothing has. `AlreadyExists` if something has it.
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

/// A folder that is open: it stays the same one, whatever its path is made to lead to.
#[derive(Debug)]
pub(crate) struct OpenFolder {
    folder: OwnedFd,
    /// Whether only root and this process's own user can change what the path leads to.
    is_ours: bool,
    was_made: bool,
}

impl OpenFolder {
    /// Opens it, and makes it, with all that are missing above it, for its owner alone.
    ///
    /// # Errors
    /// What the system says, or a link where another user could have made it.
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
            let is_kept = is_sticky(&about) && is_trusted(fstat(&folder)?.st_uid);
            is_ours &= is_exclusive(&about) || is_kept;
        }
        Ok(Self { folder, is_ours, was_made })
    }

    /// Whether it was missing.
    pub(crate) fn was_made(&self) -> bool {
        self.was_made
    }

    /// Whether only root and this process's own user may change names in it.
    pub(crate) fn is_exclusive(&self) -> bool {
        fstat(&self.folder).is_ok_and(|about| is_exclusive(&about))
    }

    /// A path to this very folder, for as long as it is open. None is needed where the usual path
    /// always leads here, and none is had where the system has no such paths.
    pub(crate) fn way(&self) -> Option<PathBuf> {
        let way = PathBuf::from(format!("/proc/self/fd/{}/.", self.folder.as_raw_fd()));
        let is_usable = cfg!(target_os = "linux") && !self.is_ours && way.is_dir();
        is_usable.then_some(way)
    }
}

/// Opens a file that the configuration names, to read it. With root's rights no link is followed
/// that another user could have made; any other process follows what it can read anyway.
///
/// # Errors
/// What the system says, or why the file may not be trusted.
pub(crate) fn open_trusted(path: &Path) -> io::Result<File> {
    if geteuid().is_root() { TrustedPath::find(path)?.open(Access::Read) } else { File::open(path) }
}

/// Refuses a file that root is about to run or to obey, if another user may change or replace it.
///
/// # Errors
/// It may be changed, or cannot be looked at. Never for a process without root's rights: whatever
/// it runs has no more than it has.
pub(crate) fn only_root_changes(path: &Path) -> io::Result<()> {
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
    Err(refused(&format!("another user than root may change {}", path.display())))
}

/// What becomes of the last name of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastComponent {
    /// It is a name in a folder; links that it is are followed.
    Named,
    /// It is a folder too.
    Entered,
}

/// Walks these names, the first one last, from the top. Returns the folder, the name in it, and
/// whether only root and this process's own user can change what the names lead to.
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
        // Magic links lead to what is open, wherever that is.
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
                return Err(refused("a link in a folder that another user may change"));
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
    Ok(openat(at, name, LOOK | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
}

/// Whether only root and this process's own user may change names in a folder.
fn is_exclusive(about: &Stat) -> bool {
    let mode = mode_of(about);
    let is_open_to_group = mode & 0o020 != 0 && !is_own_group(about.st_gid);
    is_trusted(about.st_uid) && mode & 0o002 == 0 && !is_open_to_group
}

/// Whether names in a folder that others may change belong to whoever made them.
fn is_sticky(about: &Stat) -> bool {
    is_trusted(about.st_uid) && mode_of(about) & 0o1000 != 0
}

fn is_trusted(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

fn is_own_group(group: u32) -> bool {
    group == 0 || !geteuid().is_root() && group == getegid().as_raw()
}

/// Whether a folder is of the kernel's making, with links that lead to open files.
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

pub(crate) fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("refused for safety: {why}"))
}

/// The names of a path, the first one last.
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

/// The bits of a mode; systems keep them in numbers of different widths.
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

    /// A folder, and one in it that anybody may change.
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
    fn row_54_links_are_followed_only_where_no_other_user_could_have_made_them() {
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
    fn row_54_what_the_configuration_names_is_read_through_links_of_roots_alone() {
        let (top, open) = world();
        // As certbot keeps keys: live/NAME/privkey.pem leads to archive/NAME/privkey1.pem.
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
        // Without root's rights a link leads to nothing that could not be read anyway.
        assert_eq!(read("open/privkey.pem").is_err(), geteuid().is_root());
    }

    #[test]
    fn row_54_second_names_and_pipes_are_refused_where_others_may_change_the_folder() {
        let (top, open) = world();
        fs::hard_link(top.path().join("secret"), open.join("alias")).unwrap();
        assert!(append(&open.join("alias")).is_err());
        // Where only its owner may change the folder it is what its owner wants.
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
    fn row_54_no_folder_is_made_below_a_link_that_another_user_could_have_made() {
        let (top, open) = world();
        let real = top.path().join("real");
        fs::create_dir(&real).unwrap();
        symlink("../real", open.join("link")).unwrap();
        symlink("real", top.path().join("link")).unwrap();
        for path in ["open/link", "open/link/deep", "open/link/deep/er"] {
            let error = OpenFolder::of(&top.path().join(path)).unwrap_err();
            assert!(error.to_string().contains("refused for safety"), "{path}: {error}");
        }
        assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
        for path in ["link/deep", "open/deep/er", "new"] {
            let made = OpenFolder::of(&top.path().join(path)).unwrap();
            assert!(made.was_made() && made.is_exclusive(), "{path}");
            assert!(!OpenFolder::of(&top.path().join(path)).unwrap().was_made(), "{path}");
        }
        assert!(real.join("deep").is_dir());
        assert!(!OpenFolder::of(&open).unwrap().is_exclusive());
        // It stays the folder that was opened.
        let deep = OpenFolder::of(&open.join("deep")).unwrap();
        fs::rename(open.join("deep"), open.join("gone")).unwrap();
        symlink("../real", open.join("deep")).unwrap();
        if cfg!(target_os = "linux") {
            fs::write(deep.way().unwrap().join("file"), "x").unwrap();
            assert!(open.join("gone/file").is_file() && !real.join("file").exists());
        }
    }

    #[test]
    fn row_54_what_the_kernel_links_to_open_files_stays_usable() {
        append(Path::new("/dev/null")).unwrap().write_all(b"x").unwrap();
        // Standard error of a test may be closed to a second opening; the way there is found.
        assert!(TrustedPath::find(Path::new("/dev/stderr")).is_ok());
    }
}
