//! What is written down: every run as it was, and on which machine. All reports are made from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A whole measurement. This is the JSON file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The version of this layout.
    pub(crate) format: u32,
    /// When it began, in UTC.
    pub(crate) date: String,
    /// The commit of wharf; `+` behind it if files were changed since.
    pub(crate) commit: String,
    pub(crate) machine: Machine,
    /// Every server with its version, or why it is missing.
    pub(crate) servers: Vec<Presence>,
    /// What a reader should know: sizes made smaller, cases left out.
    pub(crate) notes: Vec<String>,
    /// In the order in which they were made.
    pub(crate) runs: Vec<Run>,
    /// Medians, ratios and verdicts, for readers of the file; computed anew for each report.
    #[serde(default)]
    pub(crate) summary: Vec<crate::bench::summary::Row>,
    #[serde(default)]
    pub(crate) verdicts: Vec<crate::bench::targets::Verdict>,
}

/// The layout that this program writes and reads.
pub(crate) const FORMAT: u32 = 1;

/// Where it was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    /// The file systems of the two roots.
    pub(crate) memory_root: String,
    pub(crate) disk_root: String,
    /// How time and memory were counted.
    pub(crate) counting: String,
}

/// A server that takes part, or would if it were there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Presence {
    pub(crate) name: String,
    pub(crate) title: String,
    /// How it checks a password, and what else sets it apart.
    pub(crate) about: String,
    pub(crate) version: Option<String>,
    pub(crate) missing: Option<String>,
}

/// One server, started for one measurement and ended after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) case: String,
    pub(crate) server: String,
    pub(crate) round: u32,
    /// Why there are no figures that count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
    pub(crate) figures: BTreeMap<Figure, f64>,
}

/// Something measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Units of the case per second: GiB, operations, entries.
    Rate,
    /// Processor time of the server for a unit: s/GiB, us/op, us/entry.
    Cpu,
    WallS,
    Bytes,
    Operations,
    Entries,
    ServerCpuS,
    GeneratorCpuS,
    /// The most that the server's processes held, in MiB.
    AnonymousMib,
    /// The most that the kernel held for them, in MiB.
    KernelMib,
    /// The most above what it held before the first client, in MiB.
    AboveIdleMib,
    /// Private memory of the processes for a session, in KiB.
    SessionKib,
    /// Memory of the kernel for a session, in KiB.
    SessionKernelKib,
    /// Of one core, while nobody does anything, in per cent.
    IdleCpu,
    /// Sessions that answered, of those that should, in per cent.
    Answered,
    P50Us,
    P99Us,
    /// From the command to the first byte of data, in ms.
    FirstByteMs,
    /// The slowest session's rate in that of the fastest.
    Fairness,
    /// Threads and processes at the busiest moment.
    Threads,
    /// What a session waits for NOOP that does nothing else, in ms.
    BystanderP99Ms,
    /// Off the rate that was set, in per cent.
    RateErrorPercent,
    /// From starting the program to the first byte of a file, in ms.
    StartMs,
    /// Of the program file, in MB.
    SizeMb,
    /// Of all processors, what neither server nor clients used: other programs, in per cent.
    OthersCpu,
    /// Data connections that resumed the session's TLS, in per cent.
    Resumed,
}

impl Figure {
    /// Whether more of it is better.
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

    /// What it is called above a column.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Cpu => "server CPU",
            Self::WallS => "time",
            Self::Bytes => "bytes",
            Self::Operations => "operations",
            Self::Entries => "entries",
            Self::ServerCpuS => "server CPU in all",
            Self::GeneratorCpuS => "generator CPU",
            Self::AnonymousMib => "memory",
            Self::KernelMib => "kernel memory",
            Self::AboveIdleMib => "memory above idle",
            Self::SessionKib => "private memory a session",
            Self::SessionKernelKib => "kernel memory a session",
            Self::IdleCpu => "CPU while idle",
            Self::Answered => "sessions that answer",
            Self::P50Us => "p50",
            Self::P99Us => "p99",
            Self::FirstByteMs => "first byte",
            Self::Fairness => "slowest / fastest",
            Self::Threads => "threads",
            Self::BystanderP99Ms => "bystander's NOOP p99",
            Self::RateErrorPercent => "off the rate set",
            Self::StartMs => "start to first byte",
            Self::SizeMb => "size",
            Self::OthersCpu => "CPU of other programs",
            Self::Resumed => "resumed TLS",
        }
    }

    /// Its unit, where the case does not say (`Rate` and `Cpu`).
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
/// Our own server's name.
pub(crate) const WHARF: &str = "wharf";
