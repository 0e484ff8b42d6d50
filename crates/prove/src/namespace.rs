//! Namespaces of our own, for proofs that mount: when their first process ends, in whatever way,
//! the kernel ends all others in them, and takes every mount away.

use std::process::Command;

/// Set for this program when it runs in namespaces of its own.
const MARK: &str = "WHARF_PROVE_NAMESPACE";

/// Whether this process is already in its own.
pub(crate) fn is_own() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs this program with these words in namespaces of its own; whether it succeeded.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn run(words: &[String]) -> Result<bool, String> {
    let own = std::env::current_exe()
        .map_err(|error| format!("cannot find this program's own file: {error}"))?;
    let mut command = Command::new("unshare");
    // Whoever is not root becomes so in a user namespace; what that does not allow, the proof says.
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]);
    command.arg(own).args(words).env(MARK, "1");
    let status = command
        .status()
        .map_err(|error| format!("cannot start `unshare` of the package util-linux: {error}"))?;
    Ok(status.success())
}
