//! Copying the first bytes of an existing file in steps.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

use wharf_core::error::{Error, ErrorKind, Result};

use super::fault::fault;
use super::system::identity;

/// A copy in progress.
pub(super) struct PrefixCopy {
    old: File,
    /// The identity of the file when the copy began.
    identity: String,
    length: u64,
    done: u64,
}

impl PrefixCopy {
    /// Copies the first `length` bytes of a file; `None` if there is nothing to copy.
    pub(super) fn of(old: File, length: u64) -> Result<Option<Self>> {
        if length == 0 {
            return Ok(None);
        }
        let identity = identity(&old).map_err(fault)?;
        Ok(Some(Self { old, identity, length, done: 0 }))
    }

    /// Total number of bytes to copy.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that are still to be copied.
    pub(super) fn left(&self) -> u64 {
        self.length.saturating_sub(self.done)
    }

    /// Copies the next bytes, `most` at most, to `new`, whose position is after the previous ones.
    ///
    /// # Errors
    /// `Busy` if the file changed in the meantime: the copy is then neither the old nor the new
    /// content.
    pub(super) fn step(&mut self, new: &mut File, most: u64) -> Result<()> {
        let most = self.left().min(most);
        self.old.seek(SeekFrom::Start(self.done)).map_err(fault)?;
        let copied = io::copy(&mut (&self.old).take(most), new).map_err(fault)?;
        self.done = self.done.saturating_add(copied);
        if copied < most || identity(&self.old).map_err(fault)? != self.identity {
            return Err(Error::new(ErrorKind::Busy, "the file changed while it was copied"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_copy_runs_in_steps_and_fails_if_the_file_changes() {
        let length = 1005;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let old = File::create_new(&path).unwrap();
        old.set_len(length + 1).unwrap();
        drop(old);
        let open = || File::open(&path).unwrap();
        let mut new = tempfile::tempfile().unwrap();
        let mut copying = PrefixCopy::of(open(), length).unwrap().unwrap();
        copying.step(&mut new, 1000).unwrap();
        assert_eq!(copying.left(), 5);
        copying.step(&mut new, 1000).unwrap();
        assert_eq!(copying.left(), 0);
        assert_eq!(new.metadata().unwrap().len(), length);

        let mut new = tempfile::tempfile().unwrap();
        let mut copying = PrefixCopy::of(open(), length).unwrap().unwrap();
        copying.step(&mut new, 1000).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        assert_eq!(copying.step(&mut new, 1000).unwrap_err().kind, ErrorKind::Busy);
        assert!(PrefixCopy::of(open(), 0).unwrap().is_none());
    }
}
