//! Runs other programs to their end.

use std::path::Path;
use std::process::Command;

/// The cargo of the caller's toolchain.
pub(crate) const CARGO: &str = "cargo";

/// Runs a command to its end; returns whether it succeeded.
///
/// # Errors
/// It cannot be started.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool, String> {
    let status = command.status().map_err(|error| {
        format!("cannot start `{}`: {error}", command.get_program().to_string_lossy())
    })?;
    Ok(status.success())
}

/// Cargo at the top of the checkout.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(CARGO);
    command.current_dir(root);
    command
}
