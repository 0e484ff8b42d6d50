//! The machine of a proof.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// Facts on the machine for readers of the result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProofMachine {
    processor: String,
    cores: usize,
    kernel: String,
    /// The type of the file system of the proof's files.
    files: String,
}

impl ProofMachine {
    /// Queries the system; `place` is the folder of the files.
    pub(crate) fn describe(place: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let known = |found: Option<&str>| found.unwrap_or("?").to_owned();
        Self {
            processor: known(processor(&read("/proc/cpuinfo"))),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            files: known(file_system(&read("/proc/self/mounts"), place)),
        }
    }
}

/// The commit of the checkout, with `+` if files were changed since.
pub(crate) fn commit() -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "?".to_owned() };
    let changes = git(&["status", "--porcelain", "--untracked-files=no"]).unwrap_or_default();
    if changes.is_empty() { commit } else { format!("{commit}+") }
}

fn processor(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// The type of the file system below `path`, from the text of `/proc/self/mounts`.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let lines = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((Path::new(words.next()?), words.next()?))
    });
    let above = lines.filter(|(place, _)| path.starts_with(place));
    Some(above.max_by_key(|(place, _)| place.components().count())?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_above_a_path_decides() {
        let mounts = "a / ext4 rw 0 0\nb /dev devtmpfs rw 0 0\nc /dev/shm tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/dev/shm/x/root")), Some("tmpfs"));
        assert_eq!(file_system(mounts, Path::new("/srv")), Some("ext4"));
    }
}
