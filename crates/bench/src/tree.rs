//! The test files: made once, in memory and on disk, as the selected cases need them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise, statvfs};

use crate::bench::account::BenchAccount;
use crate::bench::cases::{
    BenchCase, CaseWork, FileLocation, MIXED_BYTES, SMALL_BYTES, SMALL_COUNT, TINY_BYTES,
};
use crate::bench::clients::ClientJob;
use crate::bench::number::{KIB, MIB, size};
use crate::bench::paths::{BenchPaths, make_folder};
use crate::bench::proc;

/// The test trees, and the sizes of their files.
#[derive(Debug)]
pub(crate) struct TestTrees {
    memory: PathBuf,
    disk: PathBuf,
    /// Divisor of the sizes of large files, if there is not enough space.
    pub(crate) divisor: u64,
}

/// The files needed in one of the trees.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    files: BTreeSet<u64>,
    folders: BTreeSet<u64>,
    has_small: bool,
    /// [`TREE`] and [`FEW`].
    has_tree: bool,
    has_large: bool,
    /// The most bytes of uploads at a time.
    upload: u64,
}

/// Files below this size are never made smaller.
const DIVISIBLE_BYTES: u64 = 64 * MIB;
/// The step of the divisor.
const DIVISORS: [u64; 4] = [1, 4, 16, 64];
/// The part of the free space that may be used; the rest is for other programs.
const SHARE: (u64, u64) = (7, 10);
/// The period of the random bytes: more than any CPU cache holds.
const CHUNK_BYTES: u64 = 64 * MIB;
/// The name of a file that is not complete yet.
const UNFINISHED: &str = "unfinished";
/// The folder of uploads.
pub(crate) const UPLOADS: &str = "up";
/// The folder of [`SMALL_COUNT`] small files.
pub(crate) const SMALL: &str = "small";
/// A folder as users have it: files of 1 to 256 KiB, some in folders.
pub(crate) const TREE: &str = "tree";
/// The number of files directly in [`TREE`]: `f0`, `f1` …
pub(crate) const TREE_FLAT_COUNT: u64 = 250;
/// The number of its folders, and of files in each.
const TREE_FOLDERS: u64 = 5;
const TREE_FOLDER_COUNT: u64 = 10;
/// The sizes of its files, in turn.
const TREE_SIZES: [u64; 6] = [KIB, 4 * KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB];
/// A folder with a few files of [`TREE`].
pub(crate) const FEW: &str = "few";
const FEW_COUNT: u64 = 20;
/// A folder with one large file.
pub(crate) const LARGE: &str = "large";
const LARGE_BYTES: u64 = 512 * MIB;

impl TestTrees {
    /// Makes the files that `cases` need and that do not exist yet.
    pub(crate) fn prepare(
        places: &BenchPaths,
        cases: &[&BenchCase],
        account: &BenchAccount,
    ) -> Result<Self, String> {
        let mut tree = Self { memory: places.base(false), disk: places.base(true), divisor: 1 };
        let fits = |divisor: &u64| {
            [FileLocation::Memory, FileLocation::Disk].iter().all(|place| {
                let needs = Needs::of(cases, *place, *divisor);
                needs.bytes() == 0 || needs.bytes() <= tree.free_bytes(*place, &needs)
            })
        };
        let divisor = DIVISORS.iter().copied().find(fits);
        tree.divisor = divisor.ok_or_else(|| {
            let (memory, disk) = (tree.memory.display(), tree.disk.display());
            format!("not enough space for test files in {memory} and {disk}")
        })?;
        for place in [FileLocation::Memory, FileLocation::Disk] {
            let needs = Needs::of(cases, place, tree.divisor);
            // The source of uploads to disk is in memory, so both trees may be needed.
            if needs != Needs::default() {
                needs.make(&tree.root(place), account)?;
            }
        }
        Ok(tree)
    }

    /// The folder that the servers serve.
    pub(crate) fn root(&self, place: FileLocation) -> PathBuf {
        let base = if place == FileLocation::Memory { &self.memory } else { &self.disk };
        base.join("root")
    }

    /// The folder of client programs, in memory.
    pub(crate) fn local(&self) -> PathBuf {
        self.memory.join("local")
    }

    /// The size of a file of `bytes` in the case.
    pub(crate) fn bytes(&self, bytes: u64) -> u64 {
        divided(bytes, self.divisor)
    }

    /// Removes all uploads.
    pub(crate) fn clean_uploads(&self, place: FileLocation) -> Result<(), String> {
        let folder = self.root(place).join(UPLOADS);
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            // An unfinished upload may have left a folder.
            let result = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
            result.map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Uses as much memory as an upload will, and frees it. A virtual machine gets memory that it
    /// has not used for a while from its host page by page, which would slow down the first
    /// measurement only.
    pub(crate) fn touch(&self, place: FileLocation, bytes: u64) -> Result<(), String> {
        if place != FileLocation::Memory {
            return Ok(());
        }
        let path = self.root(place).join(UPLOADS).join("memory");
        let message = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut file = File::create(&path).map_err(message)?;
        let zeros = std::io::Read::take(std::io::repeat(0), bytes);
        std::io::copy(&mut { zeros }, &mut file).map_err(message)?;
        drop(file);
        std::fs::remove_file(&path).map_err(message)
    }

    /// Removes a file from the page cache.
    pub(crate) fn forget(&self, place: FileLocation, name: &str) -> Result<(), String> {
        let path = self.root(place).join(name);
        let message = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let file = File::open(&path).map_err(|error| message(&error))?;
        file.sync_all().map_err(|error| message(&error))?;
        fadvise(&file, 0, None, Advice::DontNeed).map_err(|error| message(&error))
    }

    /// Available bytes, including those that the tree already uses.
    fn free_bytes(&self, place: FileLocation, needs: &Needs) -> u64 {
        let base = if place == FileLocation::Memory { &self.memory } else { &self.disk };
        let existing = base.ancestors().find(|folder| folder.exists());
        let free = existing.and_then(|folder| statvfs(folder).ok());
        let mut free = free.map_or(0, |free| free.f_bavail.saturating_mul(free.f_frsize));
        if place == FileLocation::Memory {
            let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
            free = free.min(proc::parse_meminfo(&text, "MemAvailable").unwrap_or(0));
        }
        let root = self.root(place);
        let made = needs.files.iter().filter(|bytes| root.join(file_name(**bytes)).exists());
        (free + made.sum::<u64>()).saturating_mul(SHARE.0) / SHARE.1
    }
}

impl Needs {
    fn of(cases: &[&BenchCase], place: FileLocation, divisor: u64) -> Self {
        let mut needs = Self::default();
        for case in cases {
            if case.place == place {
                needs.add(case, divisor);
            }
            // The source of all uploads is a file in memory.
            if let CaseWork::Store { bytes, .. } = case.work
                && place == FileLocation::Memory
            {
                needs.files.insert(divided(bytes, divisor));
            }
        }
        needs
    }

    fn add(&mut self, case: &BenchCase, divisor: u64) {
        // Used to test whether a server works.
        self.files.insert(TINY_BYTES);
        match case.work {
            CaseWork::Retrieve { bytes, .. } | CaseWork::RetrieveCold { bytes } => {
                self.files.insert(divided(bytes, divisor));
            }
            CaseWork::RetrieveSmall { .. } => {
                self.has_small = true;
                // All uploads are equal; this file is used to compare them.
                self.files.insert(SMALL_BYTES);
            }
            CaseWork::Store { bytes, count, .. } => {
                self.upload = self.upload.max(divided(bytes, divisor) * count);
            }
            CaseWork::List { entries, .. } => {
                self.folders.insert(entries);
            }
            CaseWork::Mixed { .. } => {
                self.has_small = true;
                self.has_tree = true;
                self.files.insert(MIXED_BYTES);
            }
            CaseWork::Idle { is_used, .. } => self.has_tree |= is_used,
            CaseWork::FileZilla => self.has_tree = true,
            CaseWork::ClientProgram { job, .. } => {
                let is_large = matches!(job, ClientJob::GetFile | ClientJob::PutFile);
                self.has_tree |= !is_large;
                self.has_large |= is_large;
                // Both ways there is one copy, at the client or at the server.
                let copy = if is_large { LARGE_BYTES } else { TREE_BYTES_MAX };
                self.upload = self.upload.max(copy);
            }
            _ => {}
        }
    }

    fn make(&self, root: &Path, account: &BenchAccount) -> Result<(), String> {
        let uploads = root.join(UPLOADS);
        make_folder(&uploads)?;
        account.own(root)?;
        account.own(&uploads)?;
        let chunk = chunk();
        for bytes in &self.files {
            make_file(&root.join(file_name(*bytes)), *bytes, &chunk)?;
        }
        if self.has_small {
            make_files(&root.join(SMALL), SMALL_COUNT, &[SMALL_BYTES], &chunk)?;
        }
        if self.has_tree {
            make_files(&root.join(TREE), TREE_FLAT_COUNT, &TREE_SIZES, &chunk)?;
            for number in 0..TREE_FOLDERS {
                let folder = root.join(TREE).join(format!("folder{number}"));
                make_files(&folder, TREE_FOLDER_COUNT, &TREE_SIZES, &chunk)?;
            }
            make_files(&root.join(FEW), FEW_COUNT, &TREE_SIZES, &chunk)?;
        }
        if self.has_large {
            make_files(&root.join(LARGE), 1, &[LARGE_BYTES], &chunk)?;
        }
        for entries in &self.folders {
            make_entries(&root.join(folder_name(*entries)), *entries)?;
        }
        Ok(())
    }

    /// On tmpfs, a folder entry takes about one KiB of kernel memory.
    fn bytes(&self) -> u64 {
        let entries: u64 = self.folders.iter().sum();
        let large = if self.has_large { LARGE_BYTES } else { 0 };
        self.files.iter().sum::<u64>() + self.upload + large + entries * 1024
    }
}

/// More than all files of [`TREE`].
const TREE_BYTES_MAX: u64 = 64 * MIB;

/// Makes the files `f0`, `f1` … in `folder`, of these sizes in turn.
fn make_files(folder: &Path, count: u64, sizes: &[u64], chunk: &[u8]) -> Result<(), String> {
    make_folder(folder)?;
    for (number, bytes) in (0..count).zip(sizes.iter().cycle()) {
        make_file(&folder.join(format!("f{number}")), *bytes, chunk)?;
    }
    Ok(())
}

/// The name of the file of that size.
pub(crate) fn file_name(bytes: u64) -> String {
    format!("file-{bytes}.bin")
}

/// The name of the folder with that many entries.
pub(crate) fn folder_name(entries: u64) -> String {
    format!("folder-{entries}")
}

/// Removes both trees.
pub(crate) fn remove(places: &BenchPaths) -> Result<(), String> {
    for base in [places.base(false), places.base(true)] {
        if base.exists() {
            eprintln!("bench: removing {}", base.display());
            std::fs::remove_dir_all(&base)
                .map_err(|error| format!("cannot remove {}: {error}", base.display()))?;
        }
    }
    Ok(())
}

fn divided(bytes: u64, divisor: u64) -> u64 {
    if bytes >= DIVISIBLE_BYTES { bytes / divisor } else { bytes }
}

/// Pseudorandom bytes, the same each time.
fn chunk() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size(CHUNK_BYTES));
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    while bytes.len() < size(CHUNK_BYTES) {
        // Xorshift (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

fn make_file(path: &Path, bytes: u64, chunk: &[u8]) -> Result<(), String> {
    if path.metadata().is_ok_and(|facts| facts.len() == bytes) {
        return Ok(());
    }
    let unfinished = path.with_extension(UNFINISHED);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&unfinished)?;
        let mut left = size(bytes);
        while left > 0 {
            let block = chunk.get(..left.min(chunk.len())).unwrap_or_default();
            file.write_all(block)?;
            left -= block.len();
        }
        std::fs::rename(&unfinished, path)
    };
    write().map_err(|error| format!("cannot make {}: {error}", path.display()))
}

fn make_entries(folder: &Path, entries: u64) -> Result<(), String> {
    if folder.exists() {
        return Ok(());
    }
    let unfinished = folder.with_extension(UNFINISHED);
    drop(std::fs::remove_dir_all(&unfinished));
    make_folder(&unfinished)?;
    let make = || -> std::io::Result<()> {
        for number in 0..entries {
            File::create(unfinished.join(format!("file_number_{number:07}.txt")))?;
        }
        std::fs::rename(&unfinished, folder)
    };
    make().map_err(|error| format!("cannot make {}: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cases::{CASES, find};

    #[test]
    fn a_case_on_disk_takes_its_upload_from_memory() {
        let case = find("stor-disk").unwrap();
        let memory = Needs::of(&[case], FileLocation::Memory, 1);
        assert_eq!((memory.files.len(), memory.upload), (1, 0));
        let disk = Needs::of(&[case], FileLocation::Disk, 1);
        assert_eq!(disk.upload, 1 << 30);
    }

    #[test]
    fn only_large_files_are_made_smaller() {
        assert_eq!(divided(4 << 30, 4), 1 << 30);
        assert_eq!(divided(10 << 20, 64), 10 << 20);
    }

    #[test]
    fn smaller_files_need_less_space() {
        let cases: Vec<_> = CASES.iter().collect();
        let whole = Needs::of(&cases, FileLocation::Memory, 1).bytes();
        assert!(Needs::of(&cases, FileLocation::Memory, 16).bytes() < whole / 2);
    }

    #[test]
    fn files_are_made_once_with_their_full_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file_name(10));
        make_file(&path, 10, b"abc").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcabcabca");
        make_file(&path, 10, b"xyz").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcabcabca");
    }
}
