//! The sandbox: an unprivileged user, kernel rules for files and ports, a system call filter.
//!
//! [`reach`] computes what a server with this configuration must be able to access, as plain data;
//! [`identity`] changes to an unprivileged user, [`system`] denies the rest by the kernel, and
//! [`permissions`] checks files whose permissions would make all that useless. Everything here
//! happens once, before the first thread of the server is started: the kernel confines single
//! threads, and new ones inherit.

#[cfg_attr(target_os = "linux", path = "sandbox/identity_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "sandbox/identity_other.rs")]
pub mod identity;
pub mod own_files;
mod own_programs;
#[cfg_attr(unix, path = "sandbox/permissions_unix.rs")]
#[cfg_attr(not(unix), path = "sandbox/permissions_other.rs")]
pub mod permissions;
pub mod reach;
#[cfg(target_os = "linux")]
#[path = "sandbox/spool_linux.rs"]
mod spool;
#[cfg_attr(target_os = "linux", path = "sandbox/system_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "sandbox/system_other.rs")]
pub mod system;

use wharf_config::choice::Sandbox;
use wharf_config::outcome::Failure;

use reach::AccessPolicy;

/// The status of one part of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SandboxStatus {
    /// Active, with a short description.
    On(String),
    /// Inactive, with the reason.
    Off(String),
}

/// Which parts of the sandbox are active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxReport {
    /// Files and folders outside of the policy are denied.
    pub files: SandboxStatus,
    /// Ports outside of the policy are denied.
    pub(crate) ports: SandboxStatus,
    /// Signals to other programs and their abstract sockets are denied.
    pub(crate) signals: SandboxStatus,
    /// System calls that a server never needs are denied.
    pub calls: SandboxStatus,
}

impl SandboxStatus {
    /// A short description, or `off: ` and the reason.
    pub fn described(&self) -> String {
        match self {
            Self::On(how) => how.clone(),
            Self::Off(why) => format!("off: {why}"),
        }
    }
}

impl SandboxReport {
    /// All parts are inactive, for one reason.
    pub(crate) fn off(why: &str) -> Self {
        let off = || SandboxStatus::Off(why.to_owned());
        Self { files: off(), ports: off(), signals: off(), calls: off() }
    }

    /// Each part with its name.
    pub fn parts(&self) -> [(&'static str, &SandboxStatus); 4] {
        [
            ("files", &self.files),
            ("ports", &self.ports),
            ("signals", &self.signals),
            ("system_calls", &self.calls),
        ]
    }
}

/// Permanently sandboxes this thread and all threads that it starts from now on.
///
/// # Errors
/// With [`Sandbox::On`], if files or system calls cannot be restricted.
pub(crate) fn confine(sandbox: Sandbox, reach: &AccessPolicy) -> Result<SandboxReport, Failure> {
    let report = match sandbox {
        Sandbox::Off => return Ok(SandboxReport::off("server.sandbox is `off`")),
        Sandbox::Auto | Sandbox::On => system::confine(reach),
    };
    if sandbox == Sandbox::On {
        for (what, part) in [("files", &report.files), ("system calls", &report.calls)] {
            if let SandboxStatus::Off(why) = part {
                let message = format!("server.sandbox is `on`, but cannot restrict {what}: {why}");
                return Err(Failure::new(message)
                    .hint("to use what this system supports, set server.sandbox = \"auto\""));
            }
        }
    }
    Ok(report)
}

/// The result of `confine`, tried on a temporary thread.
pub fn rehearse(sandbox: Sandbox, reach: &AccessPolicy) -> Result<SandboxReport, Failure> {
    std::thread::scope(|scope| {
        let trial = scope.spawn(|| confine(sandbox, reach));
        trial.join().unwrap_or_else(|_| Err(Failure::new("the sandbox test panicked")))
    })
}
