//! The names in a directory, as Linux hands them out: a block at a time.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, RawDir, openat};
use rustix::io::{Errno, Result};

use super::system::Directory;

/// What one call takes. Larger blocks cost as much for each name.
const BLOCK_BYTES: usize = 32 * 1024;

/// A directory that is being read, and the names of the last block.
pub(super) struct NameReader {
    fd: OwnedFd,
    /// For each name: 1 if it can be a directory, else 0; the name; NUL.
    block: Vec<u8>,
    /// Where the next name begins.
    at: usize,
}

impl NameReader {
    /// From the first name. The directory's own position does not matter and is not moved.
    pub(super) fn new(dir: &Directory) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: openat(dir, c".", flags, Mode::empty())?, block: Vec::new(), at: 0 })
    }

    /// The next name, `.` and `..` among them, and whether it can be a directory.
    pub(super) fn next(&mut self) -> Result<Option<(&CStr, bool)>> {
        if self.at >= self.block.len() {
            self.fill()?;
        }
        let next = self.block.get(self.at..).and_then(<[u8]>::split_first);
        let Some((&may_be_dir, rest)) = next else { return Ok(None) };
        let Ok(name) = CStr::from_bytes_until_nul(rest) else { return Ok(None) };
        self.at += 1 + name.count_bytes() + 1;
        Ok(Some((name, may_be_dir != 0)))
    }

    fn fill(&mut self) -> Result<()> {
        self.block.clear();
        self.at = 0;
        let mut bytes = Vec::with_capacity(BLOCK_BYTES);
        let mut read = RawDir::new(&self.fd, bytes.spare_capacity_mut());
        while let Some(entry) = read.next() {
            let entry = match entry {
                Ok(entry) => entry,
                // The directory was removed while it was open.
                Err(Errno::NOENT) => break,
                Err(error) => return Err(error),
            };
            let kind = entry.file_type();
            self.block.push(matches!(kind, FileType::Directory | FileType::Unknown).into());
            self.block.extend_from_slice(entry.file_name().to_bytes_with_nul());
            if read.is_buffer_empty() {
                break;
            }
        }
        Ok(())
    }
}
