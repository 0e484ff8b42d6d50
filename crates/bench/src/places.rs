//! Where things are: programs, rivals, test trees.

use std::path::{Path, PathBuf};

/// The folders of a checkout that the benchmark uses.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The folder of our own program; `wharf` lies beside it.
    programs: PathBuf,
    /// All that the benchmark makes and keeps.
    pub(crate) bench: PathBuf,
}

/// Below tmpfs; test files are here, so that no disk is measured.
const MEMORY_ROOT: &str = "/dev/shm/wharf-bench";

impl Places {
    /// Found from where this program lies: `target/release/wharf-bench`.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(crate) fn find() -> Result<Self, String> {
        let own = std::env::current_exe()
            .map_err(|error| format!("cannot find this program's own file: {error}"))?;
        let programs = own.parent().ok_or("this program lies in no folder")?.to_path_buf();
        let target = programs.parent().ok_or("this program lies at the top of the disk")?;
        Ok(Self { bench: target.join("bench"), programs })
    }

    /// Our own server.
    pub(crate) fn wharf(&self) -> PathBuf {
        self.programs.join("wharf")
    }

    /// The folder of a rival that is unpacked, not installed.
    pub(crate) fn rival(&self, name: &str) -> PathBuf {
        self.bench.join("rivals").join(name)
    }

    /// The folder with the test tree in memory, or the one on disk.
    pub(crate) fn base(&self, is_on_disk: bool) -> PathBuf {
        if is_on_disk { self.bench.join("tree") } else { PathBuf::from(MEMORY_ROOT) }
    }
}

/// Makes a folder and those above it.
///
/// # Errors
/// Which one could not be made.
pub(crate) fn make_folder(path: &Path) -> Result<(), String> {
    std::fs::create_dir_all(path)
        .map_err(|error| format!("cannot make {}: {error}", path.display()))
}

/// Writes a whole file.
///
/// # Errors
/// Which one could not be written.
pub(crate) fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Says who may do what with a file or folder.
///
/// # Errors
/// When it does not belong to us.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| format!("cannot protect {}: {error}", path.display()))
}

/// Removes a folder with all in it, as far as that is possible; folders in it that may not be
/// written are made writable before.
pub(crate) fn remove_folder(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.path().is_dir()) {
        // What cannot be removed lies in the system's temporary folder, and is small.
        drop(set_mode(&entry.path(), 0o755));
    }
    drop(std::fs::remove_dir_all(folder));
}
