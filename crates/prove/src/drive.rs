//! A simulated disk with a write cache that is lost in a power failure, and with injected errors.
//!
//! It is one file of a FUSE file system that this process serves from memory. The kernel puts a
//! loop device on it and a real file system on that, so all operations of a real disk arrive here:
//! reads, writes, and flushes (FSYNC). Any part of what was written since the last flush may be on
//! the disk after a power failure, as on real disks.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use wharf_load::{Random, lock};

use crate::prove::folder;

mod fuse;

/// The disk. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Drive {
    /// The path of its file.
    file: PathBuf,
    content: Arc<Mutex<DiskContent>>,
}

/// The state of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Well,
    /// Every write and flush fails; reads work.
    NoWrites,
    /// Every read fails; writes work.
    NoReads,
    /// Everything fails.
    Dead,
}

/// The content of the disk.
#[derive(Debug)]
struct DiskContent {
    /// The content that reads return.
    now: Vec<u8>,
    /// The content at the last flush.
    flushed: Vec<u8>,
    /// The writes since then, in order.
    since: Vec<(usize, Vec<u8>)>,
    health: Health,
}

/// A write is atomic in pieces of this size.
const ATOMIC_BYTES: usize = 4096;

impl Drive {
    /// Makes an empty disk of this size; its file is in `folder`. Needs root and FUSE.
    pub(crate) fn new(folder: &Path, bytes: usize) -> Result<Self, String> {
        let file = folder.join("drive");
        folder::write(&file, b"")?;
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.map_err(|error| {
            format!("cannot open /dev/fuse: {error}; hint: run as root, and load the module fuse")
        })?;
        let data =
            format!("fd={},rootmode=100000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let data = std::ffi::CString::new(data).map_err(|error| error.to_string())?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("prove", &file, "fuse.prove", flags, data.as_c_str()).map_err(|error| {
            format!("cannot mount a FUSE file system: {error}; hint: run as root")
        })?;
        let content = DiskContent {
            now: vec![0; bytes],
            flushed: vec![0; bytes],
            since: Vec::new(),
            health: Health::Well,
        };
        let drive = Self { file, content: Arc::new(Mutex::new(content)) };
        let content = Arc::clone(&drive.content);
        let served = std::thread::Builder::new()
            .name("drive".into())
            .spawn(move || fuse::serve(device, &content));
        served.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(drive)
    }

    /// Makes a file system on it.
    pub(crate) fn format(&self) -> Result<(), String> {
        tool(
            "mkfs.ext4",
            &["-q", "-F", "-b", "4096", "-m", "0", "-E", "lazy_itable_init=0"],
            &[&self.file],
        )
    }

    /// Mounts its file system.
    pub(crate) fn mount(&self, at: &Path) -> Result<Mounted, String> {
        folder::make(at)?;
        tool("mount", &["-t", "ext4", "-o", "loop"], &[&self.file, at])?;
        Ok(Mounted(at.to_owned()))
    }

    /// Sets its state from now on.
    pub(crate) fn set_health(&self, health: Health) {
        self.content().health = health;
    }

    /// Its current content, flushed or not.
    pub(crate) fn image(&self) -> Vec<u8> {
        self.content().now.clone()
    }

    /// Cuts the power: all operations fail from now on. Returns the content after the power is
    /// back.
    pub(crate) fn cut(&self, random: &mut Random) -> Vec<u8> {
        let mut content = self.content();
        content.health = Health::Dead;
        let mut image = content.flushed.clone();
        let count = content.since.len();
        let kept = SurvivingWrites::any(random, count);
        for (number, (at, bytes)) in content.since.iter().enumerate() {
            for (place, piece) in (*at..).step_by(ATOMIC_BYTES).zip(bytes.chunks(ATOMIC_BYTES)) {
                if kept.has(number, random) {
                    put(&mut image, place, piece);
                }
            }
        }
        image
    }

    /// Sets its content, all of it flushed, and its state to healthy.
    pub(crate) fn restore(&self, image: &[u8]) {
        let mut content = self.content();
        content.now = image.to_vec();
        content.flushed = image.to_vec();
        content.since.clear();
        content.health = Health::Well;
    }

    fn content(&self) -> MutexGuard<'_, DiskContent> {
        lock(&self.content)
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        // Processes that still use it get errors, and its thread ends.
        let _ = unmount(&self.file, UnmountFlags::DETACH);
    }
}

/// The writes since the last flush that survive a power failure.
enum SurvivingWrites {
    All,
    /// Those up to one of them.
    First(usize),
    /// A random subset of pieces: the disk has reordered them.
    Some,
    None,
}

impl SurvivingWrites {
    fn any(random: &mut Random, count: usize) -> Self {
        match random.index(4) {
            0 => Self::All,
            1 => Self::First(random.index(count + 1)),
            2 => Self::Some,
            _ => Self::None,
        }
    }

    fn has(&self, number: usize, random: &mut Random) -> bool {
        match self {
            Self::All => true,
            Self::First(count) => number < *count,
            Self::Some => random.once_in(2),
            Self::None => false,
        }
    }
}

/// A mounted file system. Dropping it unmounts it, in any state.
#[derive(Debug)]
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Syncs the file system.
    pub(crate) fn sync(&self) -> Result<(), String> {
        let describe = |error| format!("cannot sync {}: {error}", self.0.display());
        let top = File::open(&self.0).map_err(describe)?;
        rustix::fs::syncfs(&top).map_err(|error| describe(error.into()))
    }

    /// Remounts it read-only or writable.
    pub(crate) fn set_read_only(&self, is_read_only: bool) -> Result<(), String> {
        let option = if is_read_only { "remount,ro" } else { "remount,rw" };
        tool("mount", &["-o", option], &[&self.0])
    }

    /// Unmounts it, if it is not in use.
    pub(crate) fn try_end(&self) -> Result<(), String> {
        unmount(&self.0, UnmountFlags::empty())
            .map_err(|error| format!("cannot unmount {}: {error}", self.0.display()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // After `try_end` it is unmounted already, which is an error to the system.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Mounts a file system in memory.
pub(crate) fn mount_memory(at: &Path, options: &str) -> Result<Mounted, String> {
    folder::make(at)?;
    tool("mount", &["-t", "tmpfs", "-o", options, "none"], &[at])?;
    Ok(Mounted(at.to_owned()))
}

/// Changes the boot id, as after a reboot, until it is dropped.
pub(crate) fn new_boot(place: &Path, number: u64) -> Result<Mounted, String> {
    const IDENTITY: &str = "/proc/sys/kernel/random/boot_id";
    let file = place.with_extension("boot");
    folder::write(&file, format!("{number:032x}\n"))?;
    tool("mount", &["--bind"], &[&file, Path::new(IDENTITY)])?;
    Ok(Mounted(PathBuf::from(IDENTITY)))
}

/// Runs a program to its end.
fn tool(name: &str, words: &[&str], paths: &[&Path]) -> Result<(), String> {
    let output = Command::new(name).args(words).args(paths).output();
    let output = output.map_err(|error| format!("cannot start `{name}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("`{name} {}` failed: {printed}; hint: run as root", words.join(" ")))
}

impl DiskContent {
    fn read(&self, at: usize, length: usize) -> Option<&[u8]> {
        if matches!(self.health, Health::NoReads | Health::Dead) {
            return None;
        }
        let end = at.saturating_add(length).min(self.now.len());
        Some(self.now.get(at.min(end)..end).unwrap_or_default())
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Option<()> {
        if matches!(self.health, Health::NoWrites | Health::Dead) {
            return None;
        }
        put(&mut self.now, at, bytes);
        self.since.push((at, bytes.to_vec()));
        Some(())
    }

    fn flush(&mut self) -> Option<()> {
        if matches!(self.health, Health::NoWrites | Health::Dead) {
            return None;
        }
        for (at, bytes) in std::mem::take(&mut self.since) {
            put(&mut self.flushed, at, &bytes);
        }
        Some(())
    }
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = image.get_mut(at..at.saturating_add(bytes.len())) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive() -> Drive {
        let content = DiskContent {
            now: vec![0; 3 * ATOMIC_BYTES],
            flushed: vec![0; 3 * ATOMIC_BYTES],
            since: Vec::new(),
            health: Health::Well,
        };
        // Nothing is mounted there, so dropping it has no effect.
        let file = PathBuf::from("/nonexistent/drive");
        Drive { file, content: Arc::new(Mutex::new(content)) }
    }

    #[test]
    fn flushed_data_survives_a_power_failure_and_the_rest_in_whole_pieces() {
        for seed in 0..64 {
            let drive = drive();
            drive.content().write(0, &[1; ATOMIC_BYTES]).unwrap();
            drive.content().flush().unwrap();
            drive.content().write(ATOMIC_BYTES, &[2; 2 * ATOMIC_BYTES]).unwrap();
            let image = drive.cut(&mut Random::new(seed));
            let pieces: Vec<&[u8]> = image.chunks(ATOMIC_BYTES).collect();
            assert!(pieces[0] == [1; ATOMIC_BYTES]);
            for piece in &pieces[1..] {
                assert!(*piece == [0; ATOMIC_BYTES] || *piece == [2; ATOMIC_BYTES]);
            }
            assert_eq!(drive.content().write(0, &[3]), None);
            drive.restore(&image);
            assert_eq!(drive.content().read(0, 1), Some([1].as_slice()));
        }
    }
}
