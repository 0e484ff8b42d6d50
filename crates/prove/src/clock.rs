//! The clock of this program. Nothing here is simulated.

use std::time::{Duration, Instant};

/// Now, on the clock that never goes back.
#[expect(clippy::disallowed_methods, reason = "real servers are driven here, in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Lets `pause` pass.
pub(crate) fn pause(pause: Duration) {
    std::thread::sleep(pause);
}
