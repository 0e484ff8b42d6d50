//! The operating system's moments and ours.

use std::time::{SystemTime, UNIX_EPOCH};

use wharf_proto::time::Timestamp;

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// The moment as FTP counts it. Before the epoch the fraction still counts forward.
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

/// Now, by the machine's clock.
pub(crate) fn now() -> Timestamp {
    timestamp(SystemTime::now())
}
