//! The names in a directory, as any Unix hands them out.

use std::ffi::CStr;

use rustix::fs::{Dir, DirEntry, FileType};
use rustix::io::{Errno, Result};

use super::system::Directory;

/// A directory that is being read, and what was read last.
pub(super) struct NameReader {
    dir: Dir,
    last: Option<DirEntry>,
}

impl NameReader {
    /// From the first name. The directory's own position does not matter and is not moved.
    pub(super) fn new(dir: &Directory) -> Result<Self> {
        Ok(Self { dir: Dir::read_from(dir)?, last: None })
    }

    /// The next name, `.` and `..` among them, and whether it can be a directory.
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
