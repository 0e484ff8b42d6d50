//! The system clock: nothing here is simulated.

use std::time::{Duration, Instant};

/// The current time of the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "real servers are driven here, in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Sleeps for `pause`.
pub(crate) fn pause(pause: Duration) {
    std::thread::sleep(pause);
}
