//! A control group per server, which counts all processes that ran in it, including ended ones.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::{clock, proc};

/// Attempts to remove a group while its processes are ending.
const REMOVALS_MAX: u32 = 100;
const REMOVAL_PAUSE: Duration = Duration::from_millis(20);

/// Counts the CPU time and memory of a server.
#[derive(Debug)]
pub(crate) struct UsageCounter {
    kind: UsageSource,
}

#[derive(Debug)]
enum UsageSource {
    /// The controllers `cpuacct` and `memory` of cgroup v1, each with its own folder.
    One { cpu: PathBuf, memory: PathBuf },
    /// One folder of cgroup v2.
    Two { folder: PathBuf },
    /// Cgroups are not available, so `/proc` is used. It misses the CPU time of children that were
    /// not waited for, and kernel memory.
    Proc,
}

/// Memory in use at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryUse {
    /// Memory of the processes. Files in tmpfs and in the page cache are not included.
    pub(crate) anonymous: u64,
    /// Kernel memory for them: sockets, page tables, stacks.
    pub(crate) kernel: u64,
}

impl UsageCounter {
    /// Makes a group; without permission, one that reads `/proc`.
    pub(crate) fn new(name: &str) -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let root = Path::new("/sys/fs/cgroup");
        let kind = version_1(root, &own, name).or_else(|| version_2(root, &own, name));
        Self { kind: kind.unwrap_or(UsageSource::Proc) }
    }

    /// Limits the memory of the processes in this group. A process that exceeds it is killed by the
    /// kernel; other processes on the machine are not affected.
    pub(crate) fn limit_memory(&self, bytes: u64) {
        let file = match &self.kind {
            UsageSource::One { memory, .. } => memory.join("memory.limit_in_bytes"),
            UsageSource::Two { folder } => folder.join("memory.max"),
            UsageSource::Proc => return,
        };
        // Without the controller there is no such file, and no limit.
        drop(std::fs::write(file, bytes.to_string()));
    }

    /// The files to which a process writes its id to join.
    pub(crate) fn join_files(&self) -> Vec<PathBuf> {
        self.folders().iter().map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// A description of the method, for readers.
    pub(crate) fn about(&self) -> &'static str {
        match self.kind {
            UsageSource::One { .. } => "cgroup v1 (cpuacct, memory)",
            UsageSource::Two { .. } => "cgroup v2",
            UsageSource::Proc => "/proc (no cgroup may be made; kernel memory is not counted)",
        }
    }

    /// The running processes, given the first one.
    pub(crate) fn pids(&self, first: u32) -> Vec<u32> {
        let Some(data_listener) = self.join_files().into_iter().next() else {
            return proc::tree(first);
        };
        let text = std::fs::read_to_string(data_listener).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// CPU seconds of all processes that ever ran here.
    pub(crate) fn cpu(&self, first: u32) -> f64 {
        let counted = match &self.kind {
            UsageSource::One { cpu, .. } => {
                read(&cpu.join("cpuacct.usage")).and_then(|text| parse_nanoseconds(&text))
            }
            UsageSource::Two { folder } => {
                read(&folder.join("cpu.stat")).and_then(|text| parse_cpu_stat(&text))
            }
            UsageSource::Proc => None,
        };
        counted.unwrap_or_else(|| proc::cpu(&proc::tree(first)))
    }

    /// Memory in use now.
    pub(crate) fn held(&self, first: u32) -> MemoryUse {
        let counted = match &self.kind {
            UsageSource::One { memory, .. } => {
                let kernel = read(&memory.join("memory.kmem.usage_in_bytes"));
                let kernel = kernel.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
                let stat = read(&memory.join("memory.stat"));
                stat.and_then(|text| parse_field(&text, "total_rss"))
                    .map(|anonymous| MemoryUse { anonymous, kernel })
            }
            UsageSource::Two { folder } => read(&folder.join("memory.stat")).and_then(|text| {
                let kernel = parse_field(&text, "kernel").unwrap_or(0);
                Some(MemoryUse { anonymous: parse_field(&text, "anon")?, kernel })
            }),
            UsageSource::Proc => None,
        };
        counted.unwrap_or_else(|| {
            let memory = proc::memory(&self.pids(first));
            MemoryUse { anonymous: memory.anonymous, kernel: 0 }
        })
    }

    /// Removes the folders. All processes must have ended.
    pub(crate) fn remove(&self) {
        for folder in self.folders() {
            for _ in 0..REMOVALS_MAX {
                if std::fs::remove_dir(folder).is_ok() || !folder.exists() {
                    break;
                }
                clock::pause(REMOVAL_PAUSE);
            }
        }
    }

    fn folders(&self) -> Vec<&Path> {
        match &self.kind {
            UsageSource::One { cpu, memory } => vec![cpu, memory],
            UsageSource::Two { folder } => vec![folder],
            UsageSource::Proc => Vec::new(),
        }
    }
}

fn version_1(root: &Path, own: &str, name: &str) -> Option<UsageSource> {
    let cpu = made(&parent(root, own, "cpuacct")?, name)?;
    let Some(memory) = parent(root, own, "memory").and_then(|parent| made(&parent, name)) else {
        drop(std::fs::remove_dir(cpu));
        return None;
    };
    Some(UsageSource::One { cpu, memory })
}

fn version_2(root: &Path, own: &str, name: &str) -> Option<UsageSource> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    root.join("cgroup.controllers").exists().then_some(())?;
    Some(UsageSource::Two { folder: made(&root.join(path), name)? })
}

/// The folder of this process's own group of a v1 controller. In a container its path may be one of
/// the host, which is not visible inside: then the top is used.
fn parent(root: &Path, own: &str, controller: &str) -> Option<PathBuf> {
    let path = own_group(own, controller)?;
    let top = root.join(controller);
    let inside = top.join(path.trim_start_matches('/'));
    [inside, top].into_iter().find(|folder| folder.join("cgroup.procs").exists())
}

/// The path of `controller` in the text of `/proc/self/cgroup`.
fn own_group<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        controllers.split(',').any(|one| one == controller).then_some(path)
    })
}

fn made(parent: &Path, name: &str) -> Option<PathBuf> {
    let folder = parent.join(name);
    std::fs::create_dir(&folder).ok()?;
    Some(folder)
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// `cpuacct.usage`: nanoseconds, as seconds.
fn parse_nanoseconds(text: &str) -> Option<f64> {
    Some(Duration::from_nanos(text.trim().parse().ok()?).as_secs_f64())
}

/// `cpu.stat`: the first line counts microseconds; converted to seconds.
fn parse_cpu_stat(text: &str) -> Option<f64> {
    Some(Duration::from_micros(parse_field(text, "usage_usec")?).as_secs_f64())
}

/// The number after `name` in lines such as `anon 4096`.
fn parse_field(text: &str, name: &str) -> Option<u64> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(key, _)| *key == name).find_map(|(_, value)| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_group_is_found_among_joined_controllers() {
        let own = "9:name=systemd:/\n4:memory:/box/a:b\n2:cpu,cpuacct:/box\n0::/unified\n";
        assert_eq!(own_group(own, "cpuacct"), Some("/box"));
        assert_eq!(own_group(own, "memory"), Some("/box/a:b"));
        assert_eq!(own_group(own, "pids"), None);
    }

    #[test]
    fn both_versions_count_in_their_own_units() {
        assert_eq!(parse_nanoseconds("1500000000\n"), Some(1.5));
        assert_eq!(parse_cpu_stat("usage_usec 2500000\nuser_usec 1\n"), Some(2.5));
        assert_eq!(parse_cpu_stat("nr_periods 0\n"), None);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "cache 10\nrss 5\ntotal_rss 4096\nkernel_stack 7\nkernel 9\n";
        assert_eq!(parse_field(text, "total_rss"), Some(4096));
        assert_eq!(parse_field(text, "kernel"), Some(9));
        assert_eq!(parse_field(text, "anon"), None);
    }
}
