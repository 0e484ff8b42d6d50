//! This process, on systems that do not report or limit its resources.

use std::time::Duration;

/// The CPU time of this process.
pub(crate) fn cpu() -> Option<Duration> {
    None
}

/// Raises the limit on open files of this process to `needed`.
///
/// # Errors
/// None here.
#[expect(clippy::unnecessary_wraps, reason = "as where the system has a limit")]
pub fn raise_file_limit(_needed: u64) -> Result<(), u64> {
    Ok(())
}
