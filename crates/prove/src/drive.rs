//! A disk that does as it is told: it keeps its writes in a cache that a power cut empties, and
//! fails when the proof wants it.
//!
//! It is one file of a FUSE file system that this process serves from memory. The kernel puts a
//! loop device on it and a real file system on that, so all that a real disk sees arrives here:
//! reads, writes, and flushes (FSYNC). What was written since the last flush may be on the disk
//! after a power cut or not, piece by piece, as on real disks.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::prove::folder;
use crate::prove::random::Random;

mod fuse;

/// The disk. Dropping it takes it away.
#[derive(Debug)]
pub(crate) struct Drive {
    /// Where its one file is.
    file: PathBuf,
    platter: Arc<Mutex<Platter>>,
}

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Well,
    /// Every write and flush is an error; reads work.
    NoWrites,
    /// Every read is an error; writes work.
    NoReads,
    /// Everything is.
    Dead,
}

/// What the disk holds.
#[derive(Debug)]
struct Platter {
    /// What a read finds.
    now: Vec<u8>,
    /// What was there at the last flush.
    flushed: Vec<u8>,
    /// What was written since, in order.
    since: Vec<(usize, Vec<u8>)>,
    health: Health,
}

/// A piece of a write that is on the disk as a whole or not at all.
const ATOMIC_BYTES: usize = 4096;

impl Drive {
    /// Makes an empty disk of this size; its file is in `folder`.
    ///
    /// # Errors
    /// What could not be done; it needs root and FUSE in the kernel.
    pub(crate) fn new(folder: &Path, bytes: usize) -> Result<Self, String> {
        let file = folder.join("drive");
        folder::write(&file, b"")?;
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.map_err(|error| {
            format!("cannot open /dev/fuse: {error}; help: run as root, and load the module fuse")
        })?;
        let data =
            format!("fd={},rootmode=100000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let data = std::ffi::CString::new(data).map_err(|error| error.to_string())?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("prove", &file, "fuse.prove", flags, data.as_c_str()).map_err(|error| {
            format!("cannot mount a FUSE file system: {error}; help: run as root")
        })?;
        let platter = Platter {
            now: vec![0; bytes],
            flushed: vec![0; bytes],
            since: Vec::new(),
            health: Health::Well,
        };
        let drive = Self { file, platter: Arc::new(Mutex::new(platter)) };
        let platter = Arc::clone(&drive.platter);
        let served = std::thread::Builder::new()
            .name("drive".into())
            .spawn(move || fuse::serve(device, &platter));
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

    /// From now on it behaves like this.
    pub(crate) fn set_health(&self, health: Health) {
        self.platter().health = health;
    }

    /// All that it holds, flushed or not.
    pub(crate) fn image(&self) -> Vec<u8> {
        self.platter().now.clone()
    }

    /// Takes the power away: the disk is dead from this moment on. Returns what it holds when the
    /// power is back.
    pub(crate) fn cut(&self, random: &mut Random) -> Vec<u8> {
        let mut platter = self.platter();
        platter.health = Health::Dead;
        let mut image = platter.flushed.clone();
        let count = platter.since.len();
        let kept = Kept::any(random, count);
        for (number, (at, bytes)) in platter.since.iter().enumerate() {
            for (place, piece) in (*at..).step_by(ATOMIC_BYTES).zip(bytes.chunks(ATOMIC_BYTES)) {
                if kept.has(number, random) {
                    put(&mut image, place, piece);
                }
            }
        }
        image
    }

    /// Makes it hold this, all of it flushed, and be well.
    pub(crate) fn restore(&self, image: &[u8]) {
        let mut platter = self.platter();
        platter.now = image.to_vec();
        platter.flushed = image.to_vec();
        platter.since.clear();
        platter.health = Health::Well;
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        locked(&self.platter)
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        // What still uses it gets errors, and its thread ends.
        let _ = unmount(&self.file, UnmountFlags::DETACH);
    }
}

/// What of the writes since the last flush outlives a power cut.
enum Kept {
    All,
    /// Those up to one of them.
    First(usize),
    /// Each piece or not, by chance: the disk had them in another order.
    Some,
    None,
}

impl Kept {
    fn any(random: &mut Random, count: usize) -> Self {
        match random.below(4) {
            0 => Self::All,
            1 => Self::First(random.below(count + 1)),
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

/// A file system that is mounted. Dropping it takes it away, in whatever state it is.
#[derive(Debug)]
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes all that is not on the disk yet.
    pub(crate) fn sync(&self) -> Result<(), String> {
        let told = |error| format!("cannot sync {}: {error}", self.0.display());
        let top = File::open(&self.0).map_err(told)?;
        rustix::fs::syncfs(&top).map_err(|error| told(error.into()))
    }

    /// Mounts it again so that nobody can write, or so that one can.
    pub(crate) fn set_read_only(&self, is_read_only: bool) -> Result<(), String> {
        let option = if is_read_only { "remount,ro" } else { "remount,rw" };
        tool("mount", &["-o", option], &[&self.0])
    }

    /// Takes it away, if nobody uses it.
    pub(crate) fn try_end(&self) -> Result<(), String> {
        unmount(&self.0, UnmountFlags::empty())
            .map_err(|error| format!("cannot unmount {}: {error}", self.0.display()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // After `try_end` there is nothing left to do, which is an error to the system.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Mounts a file system in memory.
pub(crate) fn mount_memory(at: &Path, options: &str) -> Result<Mounted, String> {
    folder::make(at)?;
    tool("mount", &["-t", "tmpfs", "-o", options, "none"], &[at])?;
    Ok(Mounted(at.to_owned()))
}

/// Makes the system seem to have been started anew, as it is when the power comes back, until it is
/// dropped.
pub(crate) fn new_boot(place: &Path, number: u64) -> Result<Mounted, String> {
    const IDENTITY: &str = "/proc/sys/kernel/random/boot_id";
    let file = place.with_extension("boot");
    folder::write(&file, format!("{number:032x}\n"))?;
    tool("mount", &["--bind"], &[&file, Path::new(IDENTITY)])?;
    Ok(Mounted(PathBuf::from(IDENTITY)))
}

/// Runs a program of the system to its end.
fn tool(name: &str, words: &[&str], paths: &[&Path]) -> Result<(), String> {
    let output = Command::new(name).args(words).args(paths).output();
    let output = output.map_err(|error| format!("cannot start `{name}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("`{name} {}` failed: {said}; help: this needs root", words.join(" ")))
}

impl Platter {
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

fn locked(platter: &Mutex<Platter>) -> MutexGuard<'_, Platter> {
    // Nothing under this lock can fall halfway.
    platter.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive() -> Drive {
        let platter = Platter {
            now: vec![0; 3 * ATOMIC_BYTES],
            flushed: vec![0; 3 * ATOMIC_BYTES],
            since: Vec::new(),
            health: Health::Well,
        };
        // Nothing is mounted there, so that taking it away does nothing.
        let file = PathBuf::from("/nonexistent/drive");
        Drive { file, platter: Arc::new(Mutex::new(platter)) }
    }

    #[test]
    fn what_was_flushed_outlives_a_cut_and_the_rest_is_there_in_whole_pieces() {
        for seed in 0..64 {
            let drive = drive();
            drive.platter().write(0, &[1; ATOMIC_BYTES]).unwrap();
            drive.platter().flush().unwrap();
            drive.platter().write(ATOMIC_BYTES, &[2; 2 * ATOMIC_BYTES]).unwrap();
            let image = drive.cut(&mut Random::new(seed));
            let pieces: Vec<&[u8]> = image.chunks(ATOMIC_BYTES).collect();
            assert!(pieces[0] == [1; ATOMIC_BYTES]);
            for piece in &pieces[1..] {
                assert!(*piece == [0; ATOMIC_BYTES] || *piece == [2; ATOMIC_BYTES]);
            }
            assert_eq!(drive.platter().write(0, &[3]), None);
            drive.restore(&image);
            assert_eq!(drive.platter().read(0, 1), Some([1].as_slice()));
        }
    }
}
