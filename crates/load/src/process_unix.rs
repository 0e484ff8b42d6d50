//! This process: what it has used, and how many files it may open.

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The processor time that this process has used, in the program and in the system.
pub(crate) fn cpu() -> Option<Duration> {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()
}

/// Makes room for `needed` open files.
///
/// # Errors
/// How many there may be, if those are fewer.
pub(crate) fn make_room(needed: u64) -> Result<(), u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let is_enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if is_enough(limit.current) {
        return Ok(());
    }
    let before = limit;
    limit.current = Some(needed);
    if !is_enough(limit.maximum) {
        // Only the administrator may do this.
        limit.maximum = Some(needed);
    }
    setrlimit(Resource::Nofile, limit).map_err(|_| before.maximum.unwrap_or_default())
}
