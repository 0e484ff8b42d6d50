//! Opening paths below a root one name at a time, where the kernel has no call for it.
//!
//! Each directory is opened from its parent without following links; links are read and resolved in
//! user space, so none leads out of the root. A name that is replaced by a link in the meantime
//! fails.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::{Errno, Result};

use super::FollowSymlinks;
use wharf_core::storage::LastLink;

/// Maximum number of links in one path, as on Linux.
const LINKS_MAX: usize = 40;
/// Maximum number of names in a path after its links are expanded.
const NAMES_MAX: usize = 4096;

/// Opens a relative path, including a final link, never outside of the root unless links may lead
/// there. A path that leads out fails with `XDEV`, a link that is not followed with `LOOP`.
pub(super) fn open(
    root: impl AsFd,
    path: &[u8],
    flags: OFlags,
    links: FollowSymlinks,
) -> Result<OwnedFd> {
    if links == FollowSymlinks::Always {
        return openat(root, path, flags, Mode::empty());
    }
    let mut walk = PathWalk {
        root: root.as_fd(),
        passed: Vec::new(),
        ahead: names(path),
        links_left: if links == FollowSymlinks::Never { 0 } else { LINKS_MAX },
    };
    walk.run(flags)
}

/// The names of a path with all links resolved, as far as it exists: missing names stay as given.
/// Errors are those of [`open`] if a link cannot be followed.
pub(super) fn resolve(root: impl AsFd, path: &[u8], last: LastLink) -> Result<Vec<Vec<u8>>> {
    let mut walk = PathWalk {
        root: root.as_fd(),
        passed: Vec::new(),
        ahead: names(path),
        links_left: LINKS_MAX,
    };
    walk.resolve(last)?;
    Ok(walk.passed)
}

struct PathWalk<'a> {
    root: BorrowedFd<'a>,
    /// The directories between the root and the current one; none of them is a link.
    passed: Vec<Vec<u8>>,
    /// The remaining names, the next one last.
    ahead: Vec<Vec<u8>>,
    links_left: usize,
}

impl PathWalk<'_> {
    fn run(&mut self, flags: OFlags) -> Result<OwnedFd> {
        let mut here = self.reopen()?;
        while let Some(name) = self.ahead.pop() {
            if name == b".." {
                self.passed.pop().ok_or(Errno::XDEV)?;
                here = self.reopen()?;
                continue;
            }
            let is_last = self.ahead.is_empty();
            match link(&here, &name)? {
                Some(target) => self.follow(&target)?,
                None if is_last => {
                    return openat(here, name, flags | OFlags::NOFOLLOW, Mode::empty());
                }
                None => {
                    here = enter(&here, &name)?;
                    self.passed.push(name);
                }
            }
        }
        // The path, or a link at its end, refers to the directory that was reached.
        openat(here, c".", flags, Mode::empty())
    }

    fn resolve(&mut self, last: LastLink) -> Result<()> {
        let mut here = self.reopen()?;
        while let Some(name) = self.ahead.pop() {
            if name == b".." {
                self.passed.pop().ok_or(Errno::XDEV)?;
                here = self.reopen()?;
                continue;
            }
            let is_last = self.ahead.is_empty();
            if is_last && last == LastLink::Keep {
                self.passed.push(name);
                return Ok(());
            }
            match link(&here, &name) {
                Ok(Some(target)) => self.follow(&target)?,
                Ok(None) if is_last => self.passed.push(name),
                Ok(None) => match enter(&here, &name) {
                    Ok(below) => {
                        here = below;
                        self.passed.push(name);
                    }
                    Err(Errno::NOTDIR) => return self.pass_missing(name),
                    Err(error) => return Err(error),
                },
                Err(Errno::NOENT) => return self.pass_missing(name),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The name does not exist, so nothing below it is a link.
    fn pass_missing(&mut self, name: Vec<u8>) -> Result<()> {
        self.passed.push(name);
        while let Some(name) = self.ahead.pop() {
            if name == b".." {
                return Err(Errno::NOENT);
            }
            self.passed.push(name);
        }
        Ok(())
    }

    fn follow(&mut self, target: &[u8]) -> Result<()> {
        self.links_left = self.links_left.checked_sub(1).ok_or(Errno::LOOP)?;
        if target.first() == Some(&b'/') {
            return Err(Errno::XDEV);
        }
        self.ahead.extend(names(target));
        if self.ahead.len() > NAMES_MAX { Err(Errno::NAMETOOLONG) } else { Ok(()) }
    }

    /// The directory reached so far, opened again from the root: an open directory may have been
    /// moved in the meantime.
    fn reopen(&self) -> Result<OwnedFd> {
        let mut here = enter(self.root, b".")?;
        for name in &self.passed {
            here = enter(&here, name)?;
        }
        Ok(here)
    }
}

/// The target of a link; `None` if the name is not a link.
fn link(here: &OwnedFd, name: &[u8]) -> Result<Option<Vec<u8>>> {
    match readlinkat(here, name, Vec::new()) {
        Ok(target) => Ok(Some(target.into_bytes())),
        Err(Errno::INVAL) => Ok(None),
        Err(error) => Err(error),
    }
}

fn enter(here: impl AsFd, name: &[u8]) -> Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    let how = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    let how = OFlags::RDONLY;
    let flags = how | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(here, name, flags, Mode::empty())
}

/// The names of a path, the first one last.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|&byte| byte == b'/').rev();
    names.filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec).collect()
}
