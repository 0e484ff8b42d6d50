//! Properties of file systems, and permissions on folders.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags, accessat, statvfs};

use super::{FileSystem, FolderAccess};

/// The file system of the folder at this path.
pub(super) fn file_system(folder: &Path) -> Option<FileSystem> {
    let facts = statvfs(folder).ok()?;
    let blocks = |count: u64| count.saturating_mul(facts.f_frsize);
    Some(FileSystem {
        device: fs::metadata(folder).ok()?.dev(),
        kind: kind_of(folder),
        free: blocks(facts.f_bavail),
        total: blocks(facts.f_blocks),
        // Some file systems, such as btrfs, have no inode counts.
        inodes: (facts.f_files > 0).then_some((facts.f_favail, facts.f_files)),
        is_read_only: facts.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

/// Its type, such as `ext4`, from the mount table; `None` if unknown.
fn kind_of(folder: &Path) -> Option<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let folder = fs::canonicalize(folder).ok()?;
    kind_in(&table, &folder)
}

/// Lines read `36 35 98:0 /root /mount/point options … - ext4 /dev/sda1 options`. The longest mount
/// point wins, and of equal ones the last, which is mounted on top.
fn kind_in(table: &str, folder: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?.replace("\\040", " ");
        let is_over = folder.starts_with(&point);
        let kind = right.split(' ').next()?.to_owned();
        is_over.then_some((point.len(), kind))
    };
    table.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

/// Whether a system user, given by UID and GID, has this access to a path; `None` is this process.
/// Supplementary groups of other users, and access control lists, are not considered.
pub(super) fn may(path: &Path, identity: Option<(u32, u32)>, wish: FolderAccess) -> bool {
    let Some((user, group)) = identity else {
        let access = match wish {
            FolderAccess::Enter => Access::EXEC_OK,
            FolderAccess::Read => Access::READ_OK,
            FolderAccess::Write => Access::WRITE_OK,
        };
        return accessat(CWD, path, access, AtFlags::EACCESS).is_ok();
    };
    let bit = match wish {
        FolderAccess::Enter => 0o1,
        FolderAccess::Read => 0o4,
        FolderAccess::Write => 0o2,
    };
    fs::metadata(path).is_ok_and(|facts| {
        let bits = match () {
            () if user == 0 => return true,
            () if facts.uid() == user => facts.mode() >> 6,
            () if facts.gid() == group => facts.mode() >> 3,
            () => facts.mode(),
        };
        bits & bit != 0
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_system_type_is_that_of_the_nearest_mount() {
        let table = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                     36 22 0:44 / /srv/my\\040nas rw - nfs4 nas:/x rw\n\
                     37 22 0:45 / /srv rw - xfs /dev/sdb rw\n";
        let kind = |folder: &str| kind_in(table, Path::new(folder)).unwrap();
        assert_eq!(kind("/srv/my nas/anna"), "nfs4");
        assert_eq!(kind("/srv/ftp"), "xfs");
        assert_eq!(kind("/srvx"), "ext4");
    }

    #[test]
    fn permissions_of_another_account_are_read_from_the_bits() {
        let folder = tempfile::tempdir().unwrap();
        let facts = fs::metadata(folder.path()).unwrap();
        let (owner, other) = ((facts.uid().max(1), facts.gid()), (4_000_000, 4_000_000));
        for (mode, identity, wish, is_allowed) in [
            (0o701, other, FolderAccess::Enter, true),
            (0o701, other, FolderAccess::Read, false),
            (0o702, other, FolderAccess::Write, true),
            (0o700, other, FolderAccess::Write, false),
            (0o740, (4_000_000, owner.1), FolderAccess::Read, true),
        ] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(may(folder.path(), Some(identity), wish), is_allowed, "{mode:o} {wish:?}");
        }
        assert!(may(folder.path(), Some((0, 0)), FolderAccess::Write));
        assert!(file_system(folder.path()).unwrap().total > 0);
    }
}
