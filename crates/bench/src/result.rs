//! The result file: all runs, and the machine. All reports are made from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A whole measurement. This is the JSON file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MeasurementRecord {
    /// The version of this format.
    pub(crate) format: u32,
    /// The start time, in UTC.
    pub(crate) date: String,
    /// The commit of wharf; with `+` if files were changed since.
    pub(crate) commit: String,
    pub(crate) machine: BenchMachine,
    /// All servers with their versions.
    pub(crate) servers: Vec<ServerInfo>,
    /// Notes for readers: reduced sizes, omitted cases.
    pub(crate) notes: Vec<String>,
    /// In the order of execution.
    pub(crate) runs: Vec<ServerRun>,
    /// Medians, ratios and verdicts, for readers of the file; computed again for each report.
    #[serde(default)]
    pub(crate) summary: Vec<crate::bench::summary::SummaryRow>,
    #[serde(default)]
    pub(crate) verdicts: Vec<crate::bench::targets::TargetResult>,
}

/// The format that this program writes and reads.
pub(crate) const FORMAT: u32 = 1;

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BenchMachine {
    pub(crate) processor: String,
    pub(crate) cores: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    /// The file systems of the two roots.
    pub(crate) memory_root: String,
    pub(crate) disk_root: String,
    /// The method of counting time and memory.
    pub(crate) counting: String,
}

/// A server that takes part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServerInfo {
    pub(crate) name: String,
    pub(crate) title: String,
    /// How it verifies passwords, and other differences.
    pub(crate) about: String,
    pub(crate) version: String,
}

/// One server, started for one measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServerRun {
    pub(crate) case: String,
    pub(crate) server: String,
    pub(crate) round: u32,
    /// Why there are no figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
    pub(crate) figures: BTreeMap<Figure, f64>,
}

/// A measured figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Units of the case per second: GiB, operations, entries.
    Rate,
    /// CPU time of the server per unit: s/GiB, us/op, us/entry.
    Cpu,
    WallS,
    Bytes,
    Operations,
    Entries,
    ServerCpuS,
    GeneratorCpuS,
    /// Peak memory of the server's processes, in MiB.
    AnonymousMib,
    /// Peak kernel memory for them, in MiB.
    KernelMib,
    /// Peak memory above that before the first client, in MiB.
    AboveIdleMib,
    /// Private memory of the processes per session, in KiB.
    SessionKib,
    /// Kernel memory per session, in KiB.
    SessionKernelKib,
    /// CPU while idle, in per cent of one core.
    IdleCpu,
    /// Sessions that answered, in per cent.
    Answered,
    P50Us,
    P99Us,
    /// From the command to the first byte of data, in ms.
    FirstByteMs,
    /// The slowest session's rate relative to the fastest.
    Fairness,
    /// Peak number of threads and processes.
    Threads,
    /// NOOP latency of a session that does nothing else, in ms.
    BystanderP99Ms,
    /// Deviation from the rate limit, in per cent.
    RateErrorPercent,
    /// From the start of the program to the first byte of a file, in ms.
    StartMs,
    /// Size of the program file, in MB.
    SizeMb,
    /// CPU used by other programs, in per cent of all processors.
    OthersCpu,
    /// Data connections that resumed the TLS session, in per cent.
    Resumed,
}

impl Figure {
    /// Whether higher values are better.
    pub(crate) fn is_better_high(self) -> bool {
        matches!(
            self,
            Self::Rate
                | Self::Bytes
                | Self::Operations
                | Self::Entries
                | Self::Answered
                | Self::Fairness
                | Self::Resumed
        )
    }

    /// The title of a column.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Cpu => "server CPU",
            Self::WallS => "time",
            Self::Bytes => "bytes",
            Self::Operations => "operations",
            Self::Entries => "entries",
            Self::ServerCpuS => "total server CPU",
            Self::GeneratorCpuS => "generator CPU",
            Self::AnonymousMib => "memory",
            Self::KernelMib => "kernel memory",
            Self::AboveIdleMib => "memory above idle",
            Self::SessionKib => "private memory per session",
            Self::SessionKernelKib => "kernel memory per session",
            Self::IdleCpu => "CPU while idle",
            Self::Answered => "sessions that answered",
            Self::P50Us => "p50",
            Self::P99Us => "p99",
            Self::FirstByteMs => "first byte",
            Self::Fairness => "slowest / fastest",
            Self::Threads => "threads",
            Self::BystanderP99Ms => "bystander's NOOP p99",
            Self::RateErrorPercent => "deviation from the rate limit",
            Self::StartMs => "start to first byte",
            Self::SizeMb => "size",
            Self::OthersCpu => "CPU of other programs",
            Self::Resumed => "resumed TLS",
        }
    }

    /// The unit, where it does not depend on the case (`Rate` and `Cpu`).
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Rate
            | Self::Cpu
            | Self::Operations
            | Self::Entries
            | Self::Threads
            | Self::Fairness => "",
            Self::WallS | Self::ServerCpuS | Self::GeneratorCpuS => "s",
            Self::Bytes => "B",
            Self::AnonymousMib | Self::KernelMib | Self::AboveIdleMib => "MiB",
            Self::SessionKib | Self::SessionKernelKib => "KiB",
            Self::IdleCpu
            | Self::Answered
            | Self::RateErrorPercent
            | Self::OthersCpu
            | Self::Resumed => "%",
            Self::P50Us | Self::P99Us => "us",
            Self::FirstByteMs | Self::BystanderP99Ms | Self::StartMs => "ms",
            Self::SizeMb => "MB",
        }
    }
}

/// The name of the bare program among the servers of a run.
pub(crate) const LIMIT: &str = "limit";
/// The name of wharf as shipped, which is judged.
pub(crate) const WHARF: &str = "wharf";
/// The name of wharf without its log.
pub(crate) const WHARF_NO_LOG: &str = "wharf-no-log";
/// The name of wharf with synced uploads.
pub(crate) const WHARF_FULL: &str = "wharf-full";

/// Whether a server of a run is another server: neither wharf nor the bare program.
pub(crate) fn is_rival(name: &str) -> bool {
    ![WHARF, WHARF_NO_LOG, WHARF_FULL, LIMIT].contains(&name)
}
