//! File metadata on Unix.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, RawMode, Stat, fstat, statat};
#[cfg(target_os = "linux")]
use rustix::io::Errno;
use rustix::io::Result;
use rustix::path::Arg;
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::time::Timestamp;

/// The metadata of a name in a directory, without following a link.
pub(super) fn of_name(dir: impl AsFd, name: impl Arg + Copy) -> Result<Entry> {
    #[cfg(target_os = "linux")]
    match extended::of(dir.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOSYS | Errno::PERM) => {}
        known => return known,
    }
    Ok(entry(&statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?))
}

/// The metadata of an open file, without a name.
pub(super) fn of_open(file: impl AsFd) -> Result<Entry> {
    #[cfg(target_os = "linux")]
    match extended::of(file.as_fd(), c"", AtFlags::EMPTY_PATH) {
        Err(Errno::NOSYS | Errno::PERM) => {}
        known => return known,
    }
    Ok(entry(&fstat(file)?))
}

/// The kind of a file, by its mode.
pub(super) fn kind(mode: RawMode) -> Kind {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    }
}

fn entry(stat: &Stat) -> Entry {
    Entry {
        modified: Timestamp { seconds: number(stat.st_mtime), nanos: number(stat.st_mtime_nsec) },
        mode: number::<_, u32>(stat.st_mode) & 0o7777,
        links: number(stat.st_nlink),
        unique: Some((number(stat.st_dev), number(stat.st_ino))),
        ..Entry::new(Vec::new(), kind(stat.st_mode), number(stat.st_size))
    }
}

/// Converts an integer of the system; 0 for values out of range, such as a negative size.
pub(super) fn number<From, To: TryFrom<From> + Default>(value: From) -> To {
    To::try_from(value).unwrap_or_default()
}

/// statx(2), which also reports the creation time.
#[cfg(target_os = "linux")]
mod extended {
    use std::os::fd::BorrowedFd;

    use rustix::fs::{AtFlags, Statx, StatxFlags, StatxTimestamp, makedev, statx};
    use rustix::io::Result;
    use rustix::path::Arg;
    use wharf_proto::entry::Entry;
    use wharf_proto::time::Timestamp;

    pub(super) fn of(at: BorrowedFd<'_>, name: impl Arg, flags: AtFlags) -> Result<Entry> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        Ok(entry(&statx(at, name, flags, wanted)?))
    }

    fn entry(stat: &Statx) -> Entry {
        let has_birth = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
        let device = makedev(stat.stx_dev_major, stat.stx_dev_minor);
        let kind = super::kind(u32::from(stat.stx_mode));
        Entry {
            modified: timestamp(&stat.stx_mtime),
            created: has_birth.then(|| timestamp(&stat.stx_btime)),
            mode: u32::from(stat.stx_mode) & 0o7777,
            links: u64::from(stat.stx_nlink),
            unique: Some((device, stat.stx_ino)),
            ..Entry::new(Vec::new(), kind, stat.stx_size)
        }
    }

    fn timestamp(moment: &StatxTimestamp) -> Timestamp {
        Timestamp { seconds: moment.tv_sec, nanos: moment.tv_nsec }
    }
}
