//! The system clock: nothing here is simulated.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub(crate) use wharf_load::clock::{now, pause};

/// The CPU time of this process so far, in seconds, of all threads.
pub(crate) fn own_cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let whole = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    let part = Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0));
    (whole + part).as_secs_f64()
}

/// The current time in UTC, as `2026-01-31T12:00:00Z`.
pub(crate) fn date() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
