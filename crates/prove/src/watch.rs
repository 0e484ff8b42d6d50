//! Memory, descriptors and threads of the server's process.

use std::fs;
use std::time::Duration;

use wharf_load::clock;

use crate::prove::server::ProofServer;

/// One sample of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessSample {
    /// Resident memory (`VmRSS`), in KiB.
    pub(crate) rss_kib: u64,
    /// Open descriptors: files, folders, sockets, listeners.
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

impl ProcessSample {
    /// Samples the process.
    pub(crate) fn at(pid: Option<u32>) -> Result<Self, String> {
        let pid = pid.ok_or("the server is not running")?;
        let describe = |error| format!("cannot read the status of process {pid}: {error}");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(describe)?;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_err(describe)?.count();
        Ok(Self {
            rss_kib: number(&status, "VmRSS:").unwrap_or(0),
            descriptors: u64::try_from(descriptors).unwrap_or(u64::MAX),
            threads: number(&status, "Threads:").unwrap_or(0),
        })
    }

    /// A description for readers.
    pub(crate) fn describe(self) -> String {
        format!(
            "RSS {:.1} MiB, {} descriptors, {} threads",
            mib(self.rss_kib),
            self.descriptors,
            self.threads
        )
    }
}

/// Samples until, several times in a row, no more than `most` descriptors are open and the server
/// is clean; without `most`, until their number is stable. At the latest after [`REST_MAX`].
pub(crate) fn at_rest(
    server: &ProofServer,
    most: Option<u64>,
    is_clean: impl Fn() -> bool,
) -> Result<ProcessSample, String> {
    let began = clock::now();
    let mut sample = ProcessSample::at(server.pid())?;
    let mut same = 0;
    while began.elapsed() < REST_MAX && same < STABLE_SAMPLES {
        clock::pause(PAUSE);
        let next = ProcessSample::at(server.pid())?;
        let is_as_before = next.descriptors == sample.descriptors;
        let is_back = most.map_or(is_as_before, |most| next.descriptors <= most) && is_clean();
        same = if is_back { same + 1 } else { 0 };
        sample = next;
    }
    Ok(sample)
}

/// Time until everything must be released.
const REST_MAX: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);
/// Consecutive samples that must be equal.
const STABLE_SAMPLES: u32 = 10;

/// KiB as MiB.
pub(crate) fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

/// The slope of `values` from one to the next, by least squares.
pub(crate) fn slope(values: &[f64]) -> f64 {
    let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
    let places = || (0_u32..).map(f64::from);
    let mean_place = (count - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / count.max(1.0);
    let pairs = places().zip(values);
    let (mut both, mut square) = (0.0, 0.0);
    for (place, value) in pairs {
        both += (place - mean_place) * (value - mean);
        square += (place - mean_place).powi(2);
    }
    if square > 0.0 { both / square } else { 0.0 }
}

fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rises_by_two_each_time_has_a_slope_of_two() {
        assert!((slope(&[1.0, 3.0, 5.0, 7.0]) - 2.0).abs() < 1e-9);
        assert!(slope(&[4.0, 4.0, 4.0]).abs() < 1e-9);
        assert!(slope(&[4.0]).abs() < 1e-9);
        assert!(slope(&[]).abs() < 1e-9);
    }

    #[test]
    fn this_process_has_memory_descriptors_and_threads() {
        let sample = ProcessSample::at(Some(std::process::id())).unwrap();
        assert!(sample.rss_kib > 0 && sample.descriptors > 2 && sample.threads > 0);
        assert!(ProcessSample::at(None).is_err());
    }
}
