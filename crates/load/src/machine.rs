//! Facts on the machine and the checkout, for readers of results. Linux only; elsewhere unknown.

use std::path::Path;
use std::process::Command;

/// The name of the processor.
pub fn processor() -> String {
    known(processor_in(&read("/proc/cpuinfo")))
}

/// The number of available processors.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The release of the kernel.
pub fn kernel() -> String {
    read("/proc/sys/kernel/osrelease").trim().to_owned()
}

/// The type of the file system below `path`.
pub fn file_system(path: &Path) -> String {
    known(file_system_in(&read("/proc/self/mounts"), path))
}

/// The commit of the checkout, with `+` if files were changed since.
pub fn commit() -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "?".to_owned() };
    let changes = git(&["status", "--porcelain", "--untracked-files=no"]).unwrap_or_default();
    if changes.is_empty() { commit } else { format!("{commit}+") }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn known(found: Option<&str>) -> String {
    found.unwrap_or("?").to_owned()
}

fn processor_in(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// From the text of `/proc/self/mounts`.
fn file_system_in<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
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
        assert_eq!(file_system_in(mounts, Path::new("/dev/shm/x/root")), Some("tmpfs"));
        assert_eq!(file_system_in(mounts, Path::new("/srv")), Some("ext4"));
    }

    #[test]
    fn the_processor_is_named() {
        assert_eq!(processor_in("processor : 0\nmodel name\t: Some CPU\n"), Some("Some CPU"));
    }
}
