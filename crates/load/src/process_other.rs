//! This process, where the system does not tell or limit what we ask.

use std::time::Duration;

/// The processor time that this process has used.
pub(crate) fn cpu() -> Option<Duration> {
    None
}

/// Makes room for `needed` open files.
#[expect(clippy::unnecessary_wraps, reason = "as where the system has a limit")]
pub(crate) fn make_room(_needed: u64) -> Result<(), u64> {
    Ok(())
}
