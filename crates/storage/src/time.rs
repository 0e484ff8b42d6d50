//! Conversion between times of the operating system and [`Timestamp`].

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wharf_proto::time::Timestamp;

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// The time as a [`Timestamp`]. Before the epoch the fraction still counts forward.
pub(crate) fn timestamp(moment: SystemTime) -> Timestamp {
    match moment.duration_since(UNIX_EPOCH) {
        Ok(after) => Timestamp {
            seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            nanos: after.subsec_nanos(),
        },
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => Timestamp { seconds: -seconds, nanos: 0 },
                nanos => Timestamp {
                    seconds: (-seconds).saturating_sub(1),
                    nanos: NANOS_PER_SECOND - nanos,
                },
            }
        }
    }
}

/// The monotonic time of the system: it runs while the clock of tokio is paused, as files change
/// and space is used in real time.
#[expect(clippy::disallowed_methods, reason = "see above")]
pub(crate) fn real_instant() -> Instant {
    Instant::now()
}

/// The current time of the system clock.
pub(crate) fn now() -> Timestamp {
    timestamp(SystemTime::now())
}

/// The time of the operating system; `None` if it is out of range.
pub(crate) fn system_time(moment: Timestamp) -> Option<SystemTime> {
    let whole = Duration::from_secs(moment.seconds.unsigned_abs());
    let start = if moment.seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)?
    } else {
        UNIX_EPOCH.checked_add(whole)?
    };
    start.checked_add(Duration::from_nanos(u64::from(moment.nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_are_converted_in_both_directions(
            seconds in -60_000_000_000_i64..250_000_000_000,
            tens in 0_u32..10_000_000,
        ) {
            // Windows counts in units of a hundred nanoseconds.
            let moment = Timestamp { seconds, nanos: tens * 100 };
            if let Some(there) = system_time(moment) {
                prop_assert_eq!(timestamp(there), moment);
            }
        }
    }
}
