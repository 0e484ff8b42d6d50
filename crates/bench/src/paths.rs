//! Paths of programs, other servers, and test files.

use std::path::{Path, PathBuf};

/// The folders of a checkout that the benchmark uses.
#[derive(Clone, Debug)]
pub(crate) struct BenchPaths {
    /// The folder of this program; `wharf` is in the same folder.
    programs: PathBuf,
    /// Everything that the benchmark creates.
    pub(crate) bench: PathBuf,
}

/// On tmpfs, so that no disk is measured.
const MEMORY_ROOT: &str = "/dev/shm/wharf-bench";

impl BenchPaths {
    /// Determined from the path of this program: `target/release/wharf-bench`.
    pub(crate) fn find() -> Result<Self, String> {
        let own = std::env::current_exe()
            .map_err(|error| format!("cannot find the path of this program: {error}"))?;
        let programs = own.parent().ok_or("this program is not in a folder")?.to_path_buf();
        let target = programs.parent().ok_or("this program is in the root folder")?;
        Ok(Self { bench: target.join("bench"), programs })
    }

    /// The wharf program.
    pub(crate) fn wharf(&self) -> PathBuf {
        self.programs.join("wharf")
    }

    /// The folder of another server that was unpacked.
    pub(crate) fn rival(&self, name: &str) -> PathBuf {
        self.bench.join("rivals").join(name)
    }

    /// The folder with the test files, in memory or on disk.
    pub(crate) fn base(&self, is_on_disk: bool) -> PathBuf {
        if is_on_disk { self.bench.join("tree") } else { PathBuf::from(MEMORY_ROOT) }
    }
}

/// Makes a folder and its parents.
pub(crate) fn make_folder(path: &Path) -> Result<(), String> {
    std::fs::create_dir_all(path)
        .map_err(|error| format!("cannot make {}: {error}", path.display()))
}

/// Writes a whole file.
pub(crate) fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Changes the mode of a file or folder.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| format!("cannot change the mode of {}: {error}", path.display()))
}

/// Removes a folder with its content, as far as possible; read-only folders in it are made writable
/// before.
pub(crate) fn remove_folder(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.path().is_dir()) {
        // Files that cannot be removed are in the system's temporary folder, and small.
        drop(set_mode(&entry.path(), 0o755));
    }
    drop(std::fs::remove_dir_all(folder));
}
