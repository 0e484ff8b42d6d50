//! The machine of a measurement.

use std::path::Path;
use std::process::Command;

use crate::bench::cases::FileLocation;
use crate::bench::group::UsageCounter;
use crate::bench::proc;
use crate::bench::result::BenchMachine;
use crate::bench::tree::TestTrees;

/// Queries the system.
pub(crate) fn describe(tree: &TestTrees) -> BenchMachine {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let group = UsageCounter::new(&format!("wharf-bench-{}-try", std::process::id()));
    let counting = group.about().to_owned();
    group.remove();
    let system = |place| file_system(&mounts, &tree.root(place)).unwrap_or("?").to_owned();
    BenchMachine {
        processor: processor(&cpu).unwrap_or("?").to_owned(),
        cores: u64::try_from(cores()).unwrap_or(0),
        memory_bytes: proc::parse_meminfo(&memory, "MemTotal").unwrap_or(0),
        kernel: kernel.trim().to_owned(),
        memory_root: system(FileLocation::Memory),
        disk_root: system(FileLocation::Disk),
        counting,
    }
}

/// The number of available processors.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
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

    #[test]
    fn the_processor_is_named() {
        assert_eq!(processor("processor : 0\nmodel name\t: Some CPU\n"), Some("Some CPU"));
    }
}
