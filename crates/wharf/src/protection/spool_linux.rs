//! Events that root kept for web servers, given to the user that serves from now on.
//!
//! A server that ran as root without `server.user`, or an older wharf, leaves a spool of root's
//! behind. The user that serves could not read it, and its events would wait for ever. The state
//! folder is that user's, who may have put anything into it, so every step acts on a descriptor,
//! follows no link, and gives away only what nobody but root can have put there.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, fchown, fstat, openat};
use rustix::io::Result;

/// Web servers at most, and segments of each.
const ENTRIES_MAX: usize = 10_000;
const SEGMENT_SUFFIX: &[u8] = b".events";
const OTHER_FILES: &[&[u8]] = &[b"taken", b"lock"];

/// Gives `folder`, in which each web server has one, to a user and a group. What root does not
/// own is left alone; what cannot be given is told of when it is opened.
pub(super) fn give(folder: &Path, user: u32, group: u32) {
    let owner = (Uid::from_raw(user), Gid::from_raw(group));
    let Ok(spools) = openat(CWD, folder, FOLDER, Mode::empty()) else { return };
    if !is_roots_folder(&spools) {
        return;
    }
    for name in names(&spools) {
        let is_spool = name.to_bytes().iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
        if let Some(spool) = Some(&name).filter(|_| is_spool).and_then(|name| {
            openat(&spools, name, FOLDER, Mode::empty()).ok().filter(is_roots_folder)
        }) {
            give_spool(&spool, owner);
        }
    }
    let _ = give_open(&spools, owner);
}

/// How to open a folder.
const FOLDER: OFlags =
    OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// How to open a file; a pipe in its place makes nobody wait.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

fn give_spool(spool: &OwnedFd, owner: (Uid, Gid)) {
    for name in names(spool) {
        let bytes = name.to_bytes();
        if !OTHER_FILES.contains(&bytes) && !bytes.ends_with(SEGMENT_SUFFIX) {
            continue;
        }
        let opened = openat(spool, &name, FILE, Mode::empty());
        if let Ok(file) = opened
            && fstat(&file).is_ok_and(|facts| is_roots_file(&facts))
        {
            let _ = give_open(&file, owner);
        }
    }
    let _ = give_open(spool, owner);
}

fn give_open(open: &OwnedFd, (user, group): (Uid, Gid)) -> Result<()> {
    fchown(open, Some(user), Some(group))
}

fn names(folder: &OwnedFd) -> Vec<std::ffi::CString> {
    let entries = Dir::read_from(folder).into_iter().flatten().take(ENTRIES_MAX).flatten();
    entries.map(|entry| CStr::to_owned(entry.file_name())).filter(|name| is_plain(name)).collect()
}

fn is_plain(name: &CStr) -> bool {
    !matches!(name.to_bytes(), b"." | b"..")
}

/// Only root can have put something into it.
fn is_roots_folder(folder: &OwnedFd) -> bool {
    fstat(folder).is_ok_and(|facts| facts.st_uid == 0 && facts.st_mode & 0o022 == 0)
}

fn is_roots_file(facts: &Stat) -> bool {
    FileType::from_raw_mode(facts.st_mode) == FileType::RegularFile
        && facts.st_uid == 0
        && facts.st_nlink == 1
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    const NOBODY: u32 = 65_534;

    #[test]
    fn row_46_58_a_spool_of_roots_is_given_away_and_nothing_that_others_could_put_there() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not run: this is about root");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let owner = |name: &str| fs::symlink_metadata(at(name)).unwrap().uid();
        for folder in ["webhooks", "webhooks/0a1b", "webhooks/open", "webhooks/0c2d"] {
            fs::create_dir(at(folder)).unwrap();
            fs::set_permissions(at(folder), fs::Permissions::from_mode(0o700)).unwrap();
        }
        for file in ["secret", "webhooks/0a1b/00000001.events", "webhooks/0a1b/taken"] {
            fs::write(at(file), "x").unwrap();
        }
        fs::write(at("webhooks/0c2d/00000001.events"), "x").unwrap();
        fs::hard_link(at("secret"), at("webhooks/0a1b/00000002.events")).unwrap();
        symlink(at("secret"), at("webhooks/0a1b/00000003.events")).unwrap();
        // Here another user had the right to write.
        fs::set_permissions(at("webhooks/0c2d"), fs::Permissions::from_mode(0o770)).unwrap();
        give(&at("webhooks"), NOBODY, NOBODY);
        for given in
            ["webhooks", "webhooks/0a1b", "webhooks/0a1b/00000001.events", "webhooks/0a1b/taken"]
        {
            assert_eq!(owner(given), NOBODY, "{given}");
        }
        for kept in ["secret", "webhooks/open", "webhooks/0c2d", "webhooks/0c2d/00000001.events"] {
            assert_eq!(owner(kept), 0, "{kept}");
        }
        // A folder of that user's is left alone, whatever is in it.
        fs::create_dir(at("theirs")).unwrap();
        fs::create_dir(at("theirs/0a1b")).unwrap();
        chown(at("theirs"), Some(NOBODY), None).unwrap();
        give(&at("theirs"), NOBODY, NOBODY);
        assert_eq!(owner("theirs/0a1b"), 0);
    }
}
