//! This process: its CPU time, and its limit on open files.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The CPU time of this process, user and system.
pub(crate) fn cpu() -> Option<Duration> {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()
}

/// Raises the limit on open files of this process to `needed`, or as far as it may.
///
/// # Errors
/// The limit, if it is lower.
pub fn raise_file_limit(needed: u64) -> Result<(), u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let is_enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if is_enough(limit.current) {
        return Ok(());
    }
    let before = limit;
    limit.current = Some(needed);
    if !is_enough(limit.maximum) {
        // Only root can raise the hard limit.
        limit.maximum = Some(needed);
    }
    setrlimit(Resource::Nofile, limit).map_err(|_| {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before });
        before.maximum.unwrap_or_default()
    })
}
