//! Separate namespaces for proofs that mount: when their first process ends, in whatever way, the
//! kernel ends all others in them, and removes every mount.

use std::process::Command;

/// Set for this program when it runs in its own namespaces.
const MARK: &str = "WHARF_PROVE_NAMESPACE";

/// Whether this process runs in its own namespaces.
pub(crate) fn is_own() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs this program with these arguments in its own namespaces; returns whether it succeeded.
pub(crate) fn run(words: &[String]) -> Result<bool, String> {
    let own = std::env::current_exe()
        .map_err(|error| format!("cannot find this program's own file: {error}"))?;
    let mut command = Command::new("unshare");
    // Without root, a user namespace makes this process root in it; the proof reports what that
    // does not allow.
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
