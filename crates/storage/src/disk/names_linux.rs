//! Reading names of a directory on Linux, one block at a time.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, RawDir, openat};
use rustix::io::{Errno, Result};

use super::system::Directory;

/// Block size. Larger blocks cost as much per name.
const BLOCK_BYTES: usize = 32 * 1024;

/// A directory being read, and the names of the last block.
pub(super) struct NameReader {
    fd: OwnedFd,
    /// For each name: 1 if it may be a directory, otherwise 0; the name; NUL.
    block: Vec<u8>,
    /// Offset of the next name.
    at: usize,
}

impl NameReader {
    /// Starts at the first name. The position of the directory is neither used nor changed.
    pub(super) fn new(dir: &Directory) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: openat(dir, c".", flags, Mode::empty())?, block: Vec::new(), at: 0 })
    }

    /// The next name, including `.` and `..`, and whether it may be a directory.
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
