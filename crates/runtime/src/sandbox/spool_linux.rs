//! Changes the owner of webhook events that root stored to the server's user.
//!
//! A server that ran as root without `server.user`, or an older wharf, leaves a spool owned by
//! root. The server's user could not read it, and its events would never be delivered. The state
//! folder belongs to that user, and may contain anything, so every step uses a file descriptor,
//! follows no symbolic link, and changes only what only root can have created. In a folder of that
//! user, to which any file of root may have been moved, only files that contain nothing but events
//! are changed.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, fchown, fstat, openat};
use rustix::io::Result;

/// Maximum number of webhooks, and of segments each.
const ENTRIES_MAX: usize = 10_000;
const SEGMENT_SUFFIX: &[u8] = b".events";
const OTHER_FILES: &[&[u8]] = &[b"taken", b"lock"];
/// A segment ends at 1 MiB; if the next one cannot be created it grows on. A larger file stays
/// root's, and failing to read it is reported.
const CHECKED_BYTES_MAX: u64 = 16 << 20;
/// Number of digits of each number in `taken`.
const PLACE_DIGITS: usize = 20;

/// Changes the owner of `folder`, which contains a folder per webhook. Files not owned by root are
/// skipped; failures are reported when the files are opened.
pub(super) fn change_owner(folder: &Path, user: u32, group: u32) {
    let owner = (Uid::from_raw(user), Gid::from_raw(group));
    let Ok(spools) = openat(CWD, folder, FOLDER, Mode::empty()) else { return };
    let is_roots = is_roots_folder(&spools);
    if !is_roots && !is_folder_of(&spools, user) {
        return;
    }
    for name in names(&spools) {
        let is_spool = name.to_bytes().iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
        if let Some(spool) = Some(&name)
            .filter(|_| is_spool)
            .and_then(|name| openat(&spools, name, FOLDER, Mode::empty()).ok())
        {
            if is_roots && is_roots_folder(&spool) {
                change_spool_owner(&spool, owner, |_| true);
            } else if is_roots_folder(&spool) || is_folder_of(&spool, user) {
                // A folder of root within one of the user may have been moved there.
                change_spool_owner(&spool, owner, holds_only_events);
            }
        }
    }
    if is_roots {
        let _ = change_open_owner(&spools, owner);
    }
}

/// Flags for opening a folder.
const FOLDER: OFlags =
    OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Flags for opening a file; a pipe does not block.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

fn change_spool_owner(spool: &OwnedFd, owner: (Uid, Gid), may_change: impl Fn(&OwnedFd) -> bool) {
    let mut are_all_given = true;
    for name in names(spool) {
        let bytes = name.to_bytes();
        if !OTHER_FILES.contains(&bytes) && !bytes.ends_with(SEGMENT_SUFFIX) {
            are_all_given = false;
            continue;
        }
        let opened = openat(spool, &name, FILE, Mode::empty());
        if let Ok(file) = opened
            && fstat(&file).is_ok_and(|facts| is_roots_file(&facts))
        {
            if may_change(&file) {
                let _ = change_open_owner(&file, owner);
            } else {
                are_all_given = false;
            }
        }
    }
    // The owner of the folder can move its entries.
    if are_all_given {
        let _ = change_open_owner(spool, owner);
    }
}

/// Whether the content of a file is that of a spool: empty, one position, or lines of events. Other
/// files of root do not look like that, so its content is not secret to the server's user.
fn holds_only_events(file: &OwnedFd) -> bool {
    let Ok(file) = file.try_clone().map(File::from) else { return false };
    let mut bytes = Vec::new();
    let is_read = file.take(CHECKED_BYTES_MAX + 1).read_to_end(&mut bytes).is_ok();
    let is_whole = u64::try_from(bytes.len()).is_ok_and(|bytes| bytes <= CHECKED_BYTES_MAX);
    let Some(text) = Some(bytes).filter(|_| is_read && is_whole) else { return false };
    let Ok(text) = std::str::from_utf8(&text) else { return false };
    text.split_inclusive('\n').all(|line| is_event(line) || is_place(line))
}

/// `1700000000000 0123456789abcdef-7 upload {"id":"0123456789abcdef-7",…}`, or the beginning of an
/// incomplete one.
fn is_event(line: &str) -> bool {
    let mut parts = line.trim_end_matches('\n').splitn(4, ' ');
    let mut next = || parts.next().unwrap_or_default();
    let (millis, id, event, body) = (next(), next(), next(), next());
    let is_number = !millis.is_empty() && millis.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = !event.is_empty() && event.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let begin = format!("{{\"id\":\"{id}\",");
    is_number && is_name && !id.is_empty() && body.starts_with(&begin)
}

/// Two numbers, in the format of `taken`.
fn is_place(line: &str) -> bool {
    let numbers = line.trim_end_matches('\n').split_once(' ');
    numbers.is_some_and(|(segment, offset)| {
        [segment, offset].iter().all(|number| {
            number.len() == PLACE_DIGITS && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

fn change_open_owner(open: &OwnedFd, (user, group): (Uid, Gid)) -> Result<()> {
    fchown(open, Some(user), Some(group))
}

fn names(folder: &OwnedFd) -> Vec<std::ffi::CString> {
    let entries = Dir::read_from(folder).into_iter().flatten().take(ENTRIES_MAX).flatten();
    entries.map(|entry| CStr::to_owned(entry.file_name())).filter(|name| is_plain(name)).collect()
}

fn is_plain(name: &CStr) -> bool {
    !matches!(name.to_bytes(), b"." | b"..")
}

fn is_folder_of(folder: &OwnedFd, user: u32) -> bool {
    fstat(folder).is_ok_and(|facts| facts.st_uid == user)
}

/// Only root can have created its entries.
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
    fn row_46_58_the_owner_of_roots_spool_is_changed_but_not_of_other_files() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: requires root");
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
        // Another user had write permission.
        fs::set_permissions(at("webhooks/0c2d"), fs::Permissions::from_mode(0o770)).unwrap();
        change_owner(&at("webhooks"), NOBODY, NOBODY);
        for given in
            ["webhooks", "webhooks/0a1b", "webhooks/0a1b/00000001.events", "webhooks/0a1b/taken"]
        {
            assert_eq!(owner(given), NOBODY, "{given}");
        }
        for kept in ["secret", "webhooks/open", "webhooks/0c2d", "webhooks/0c2d/00000001.events"] {
            assert_eq!(owner(kept), 0, "{kept}");
        }
    }

    #[test]
    fn row_46_58_in_a_folder_of_the_user_only_event_files_of_root_are_changed() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: requires root");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let owner = |name: &str| fs::symlink_metadata(at(name)).unwrap().uid();
        for folder in ["theirs", "theirs/0a1b"] {
            fs::create_dir(at(folder)).unwrap();
            chown(at(folder), Some(NOBODY), None).unwrap();
        }
        for folder in ["theirs/0c2d", "theirs/0e3f"] {
            fs::create_dir(at(folder)).unwrap();
            fs::set_permissions(at(folder), fs::Permissions::from_mode(0o700)).unwrap();
        }
        let event = "1700000000000 1f-7 upload {\"id\":\"1f-7\",\"path\":\"/a b\"}\n";
        let place = format!("{:020} {:020}\n", 1, 7);
        let given = [
            ("theirs/0a1b/00000001.events", event.to_owned()),
            ("theirs/0a1b/00000002.events", event.repeat(3)),
            ("theirs/0a1b/00000003.events", String::new()),
            ("theirs/0a1b/taken", place),
            ("theirs/0c2d/00000001.events", event.to_owned()),
        ];
        // That user may move a file of root from another of its folders.
        let kept = [
            ("theirs/0a1b/00000004.events", "root:$6$hash:19000:0:99999:7:::\n".to_owned()),
            ("theirs/0a1b/00000005.events", format!("{event}a secret\n")),
            ("theirs/0a1b/lock", "a secret".to_owned()),
            ("theirs/0a1b/other", event.to_owned()),
            ("theirs/0e3f/00000001.events", "a secret".to_owned()),
        ];
        for (name, text) in given.iter().chain(&kept) {
            fs::write(at(name), text).unwrap();
        }
        fs::hard_link(at("theirs/0a1b/other"), at("theirs/0a1b/00000006.events")).unwrap();
        change_owner(&at("theirs"), NOBODY, NOBODY);
        for (name, _) in &given {
            assert_eq!(owner(name), NOBODY, "{name}");
        }
        for (name, _) in &kept {
            assert_eq!(owner(name), 0, "{name}");
        }
        assert_eq!((owner("theirs/0c2d"), owner("theirs/0e3f")), (NOBODY, 0));
    }
}
