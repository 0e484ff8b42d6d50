//! The system clock: real servers are measured, so time is not simulated.

use std::time::Instant;

/// The current time of a monotonic clock.
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
