//! Processes in `/proc`: their parents, CPU time and memory.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::param::clock_ticks_per_second;

use crate::bench::number::{KIB, figure};

/// One process, from `/proc/PID/stat` (`proc_pid_stat(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The parent process.
    pub(crate) parent: u32,
    /// CPU time of the process and its ended children, user and system, in clock ticks.
    pub(crate) ticks: u64,
    /// The number of threads.
    pub(crate) threads: u64,
}

/// Memory of a process in bytes, from `/proc/PID/smaps_rollup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessMemory {
    /// Memory that is not shared with other processes.
    pub(crate) private: u64,
    /// Anonymous memory, including its share of common pages.
    pub(crate) anonymous: u64,
}

impl std::ops::Add for ProcessMemory {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { private: self.private + other.private, anonymous: self.anonymous + other.anonymous }
    }
}

/// Parses the one line of `/proc/PID/stat`. The name in it may contain any characters, also
/// brackets.
pub(crate) fn parse_stat(line: &str) -> Option<Stat> {
    // After the name: state is field 3 of the whole line, so `ppid` is the second here.
    let rest = line.rsplit_once(')')?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        threads: number(17)?,
    })
}

/// Adds up the relevant lines of `/proc/PID/smaps_rollup`.
pub(crate) fn parse_rollup(text: &str) -> ProcessMemory {
    let mut memory = ProcessMemory::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(Ok(kib))) = (words.next(), words.next().map(str::parse::<u64>))
        else {
            continue;
        };
        match name {
            "Private_Clean:" | "Private_Dirty:" => memory.private += kib * KIB,
            "Pss_Anon:" => memory.anonymous += kib * KIB,
            _ => {}
        }
    }
    memory
}

/// The running processes among `pid` and its descendants.
pub(crate) fn tree(pid: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for other in all_pids() {
        if let Some(stat) = stat(other) {
            children.entry(stat.parent).or_default().push(other);
        }
    }
    let mut found = Vec::new();
    let mut waiting = vec![pid];
    while let Some(next) = waiting.pop() {
        found.push(next);
        waiting.extend(children.remove(&next).unwrap_or_default());
    }
    found
}

/// The status of one process, if it is running.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The CPU time of these processes in seconds.
pub(crate) fn cpu(pids: &[u32]) -> f64 {
    let ticks: u64 = pids.iter().filter_map(|pid| Some(stat(*pid)?.ticks)).sum();
    figure(ticks) / figure(clock_ticks_per_second().max(1))
}

/// The CPU time of this process and of its ended children, in seconds.
pub(crate) fn own_and_children() -> f64 {
    cpu(&[std::process::id()])
}

/// The threads of these processes.
pub(crate) fn threads(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|pid| Some(stat(*pid)?.threads)).sum()
}

/// The memory of these processes.
pub(crate) fn memory(pids: &[u32]) -> ProcessMemory {
    let texts = pids.iter().filter_map(|pid| {
        std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("smaps_rollup")).ok()
    });
    texts.map(|text| parse_rollup(&text)).fold(ProcessMemory::default(), std::ops::Add::add)
}

/// Seconds in which the processors of the machine were busy so far, added up.
pub(crate) fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    figure(parse_busy(&text).unwrap_or(0)) / figure(clock_ticks_per_second().max(1))
}

/// The ticks of the first line of `/proc/stat`, without idle (the fourth) and iowait (the fifth).
/// Guest time (from the ninth on) is included in the first two.
fn parse_busy(text: &str) -> Option<u64> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).take(8).collect();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Some(ticks.iter().sum::<u64>() - idle)
}

/// A number of KiB from a file such as `/proc/meminfo`, in bytes.
pub(crate) fn parse_meminfo(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * KIB)
}

fn all_pids() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "4711 (my (odd) name) S 12 4711 4711 0 -1 4194560 100 0 0 0 \
                    7 5 3 2 20 0 9 0 88 1 2 3";
        assert_eq!(parse_stat(line), Some(Stat { parent: 12, ticks: 17, threads: 9 }));
    }

    #[test]
    fn an_incomplete_line_is_not_parsed() {
        assert_eq!(parse_stat("4711 (wharf) S 12 4711"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn private_memory_is_clean_and_dirty_together() {
        let text = "55d0-7ffc ---p 00000000 00:00 0 [rollup]\nRss: 900 kB\nPss_Anon: 40 kB\n\
                    Private_Clean:    8 kB\nPrivate_Dirty:   32 kB\nShared_Dirty: 100 kB\n";
        let memory = parse_rollup(text);
        assert_eq!(memory, ProcessMemory { private: 40 * KIB, anonymous: 40 * KIB });
    }

    #[test]
    fn idle_and_iowait_are_not_busy() {
        let text = "cpu  10 1 20 900 50 2 3 4 7 0\ncpu0 1 1 1 1\n";
        assert_eq!(parse_busy(text), Some(40));
        assert_eq!(parse_busy("intr 5"), None);
    }

    #[test]
    fn free_memory_is_found_by_its_whole_name() {
        let text = "MemTotal:  24576 kB\nMemAvailable:   1024 kB\n";
        assert_eq!(parse_meminfo(text, "MemAvailable"), Some(1024 * KIB));
        assert_eq!(parse_meminfo(text, "Mem"), None);
    }

    #[test]
    fn this_process_is_in_its_own_tree() {
        let own = std::process::id();
        assert!(tree(own).contains(&own));
        assert!(threads(&[own]) >= 1);
    }
}
