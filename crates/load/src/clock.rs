//! The clock. Real servers are measured here, so it is the system's and not a simulated one.

use std::time::Instant;

/// The time, from a clock that only runs forward.
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
