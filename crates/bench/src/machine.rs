//! The machine of a measurement.

use wharf_load::machine::{cores, file_system, kernel, processor};

use crate::bench::cases::FileLocation;
use crate::bench::group::UsageCounter;
use crate::bench::proc;
use crate::bench::result::BenchMachine;
use crate::bench::tree::TestTrees;

/// Queries the system.
pub(crate) fn describe(tree: &TestTrees) -> BenchMachine {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let group = UsageCounter::new(&format!("wharf-bench-{}-try", std::process::id()));
    let counting = group.about().to_owned();
    group.remove();
    BenchMachine {
        processor: processor(),
        cores: u64::try_from(cores()).unwrap_or(0),
        memory_bytes: proc::parse_meminfo(&memory, "MemTotal").unwrap_or(0),
        kernel: kernel(),
        memory_root: file_system(&tree.root(FileLocation::Memory)),
        disk_root: file_system(&tree.root(FileLocation::Disk)),
        counting,
    }
}
