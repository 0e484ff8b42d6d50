//! Reading names of a directory on any Unix.

use std::ffi::CStr;

use rustix::fs::{Dir, DirEntry, FileType};
use rustix::io::{Errno, Result};

use super::system::Directory;

/// A directory being read, and the last name.
pub(super) struct NameReader {
    dir: Dir,
    last: Option<DirEntry>,
}

impl NameReader {
    /// Starts at the first name. The position of the directory is neither used nor changed.
    pub(super) fn new(dir: &Directory) -> Result<Self> {
        Ok(Self { dir: Dir::read_from(dir)?, last: None })
    }

    /// The next name, including `.` and `..`, and whether it may be a directory.
    pub(super) fn next(&mut self) -> Result<Option<(&CStr, bool)>> {
        self.last = match self.dir.next().transpose() {
            // The directory was removed while it was open.
            Err(Errno::NOENT) => None,
            read => read?,
        };
        Ok(self.last.as_ref().map(|entry| {
            let kind = entry.file_type();
            (entry.file_name(), matches!(kind, FileType::Directory | FileType::Unknown))
        }))
    }
}
