//! The system clock: real servers are measured, so time is not simulated.

use std::time::{Duration, Instant};

/// The current time of a monotonic clock.
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Sleeps for `pause`.
pub fn pause(pause: Duration) {
    std::thread::sleep(pause);
}
