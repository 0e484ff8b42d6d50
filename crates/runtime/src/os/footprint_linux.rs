//! Resource usage of this process. A sandboxed process cannot open files of `/proc`, but can read
//! those that are open.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};

/// Open files of `/proc`, read periodically.
#[derive(Debug, Default)]
pub(crate) struct ProcessUsage {
    memory: Option<File>,
    files: Option<Mutex<Dir>>,
}

impl ProcessUsage {
    /// For this process. Values that the system does not provide are `None`.
    pub(crate) fn open() -> Self {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open("/proc/self/fd", flags, Mode::empty());
        let files = folder.and_then(Dir::new).ok().map(Mutex::new);
        Self { memory: File::open("/proc/self/statm").ok(), files }
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let mut text = [0; 128];
        let got = self.memory.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = str::from_utf8(text.get(..got)?).ok()?;
        let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
        pages.checked_mul(u64::try_from(page_size()).ok()?)
    }

    /// Number of open file descriptors.
    pub(crate) fn open_files(&self) -> Option<u64> {
        let mut folder = self.files.as_ref()?.lock().ok()?;
        folder.rewind();
        let mut count = 0;
        while let Some(entry) = folder.read() {
            let name = entry.ok()?;
            count += u64::from(!name.file_name().to_bytes().starts_with(b"."));
        }
        Some(count)
    }

    /// The limit of open file descriptors; `None` if unlimited.
    pub(crate) fn open_files_max() -> Option<u64> {
        getrlimit(Resource::Nofile).current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_open_file_and_more_memory_are_seen() {
        let footprint = ProcessUsage::open();
        let before = footprint.open_files().unwrap();
        let kept: Vec<_> = (0..40).map(|_| File::open("/dev/null").unwrap()).collect();
        // Other tests in this process may open and close files too.
        assert!(footprint.open_files().unwrap() >= before + 20);
        assert!(footprint.open_files() < ProcessUsage::open_files_max());
        assert!(footprint.resident_bytes().unwrap() > 1 << 20);
        drop(kept);
    }
}
