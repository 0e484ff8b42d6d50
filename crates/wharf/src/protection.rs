//! What keeps this process in its place: another user, rules of the kernel for files and ports,
//! a filter of system calls.
//!
//! [`reach`] says what a server with this configuration must be able to reach, as plain data;
//! [`identity`] leaves root behind, [`system`] asks the kernel to refuse the rest, and [`rights`]
//! looks at files whose rights would make all that useless. Everything here happens once, before
//! the first thread of the server: the kernel confines threads one by one, and new ones inherit.

#[cfg_attr(target_os = "linux", path = "protection/identity_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "protection/identity_other.rs")]
pub(crate) mod identity;
pub(crate) mod own_files;
mod own_programs;
pub(crate) mod reach;
#[cfg_attr(unix, path = "protection/rights_unix.rs")]
#[cfg_attr(not(unix), path = "protection/rights_other.rs")]
pub(crate) mod rights;
#[cfg(target_os = "linux")]
#[path = "protection/spool_linux.rs"]
mod spool;
#[cfg_attr(target_os = "linux", path = "protection/system_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "protection/system_other.rs")]
pub(crate) mod system;

use crate::config::choice::Sandbox;
use crate::outcome::Failure;
use reach::AccessPolicy;

/// One kind of protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProtectionStatus {
    /// It holds; how, in a few words.
    On(String),
    /// It does not; why.
    Off(String),
}

/// What holds and what could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Files and folders outside of the reach are refused.
    pub(crate) files: ProtectionStatus,
    /// Ports outside of the reach are refused.
    pub(crate) ports: ProtectionStatus,
    /// Signals to other programs and their abstract sockets are refused.
    pub(crate) programs: ProtectionStatus,
    /// System calls that a server never needs are refused.
    pub(crate) calls: ProtectionStatus,
}

impl ProtectionStatus {
    /// In a few words: how it holds, or `off: ` and why.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::On(how) => how.clone(),
            Self::Off(why) => format!("off: {why}"),
        }
    }
}

impl Report {
    /// Nothing holds, for one reason.
    pub(crate) fn off(why: &str) -> Self {
        let off = || ProtectionStatus::Off(why.to_owned());
        Self { files: off(), ports: off(), programs: off(), calls: off() }
    }

    /// Each kind with its name.
    pub(crate) fn parts(&self) -> [(&'static str, &ProtectionStatus); 4] {
        [
            ("files", &self.files),
            ("ports", &self.ports),
            ("programs", &self.programs),
            ("calls", &self.calls),
        ]
    }
}

/// Confines this thread, and all that it starts from now on, for good.
///
/// # Errors
/// With [`Sandbox::On`], if files or system calls stay open.
pub(crate) fn confine(sandbox: Sandbox, reach: &AccessPolicy) -> Result<Report, Failure> {
    let report = match sandbox {
        Sandbox::Off => return Ok(Report::off("server.sandbox is \"off\"")),
        Sandbox::Auto | Sandbox::On => system::confine(reach),
    };
    if sandbox == Sandbox::On {
        for (what, part) in [("files", &report.files), ("system calls", &report.calls)] {
            if let ProtectionStatus::Off(why) = part {
                let message = format!("server.sandbox is \"on\", but {what} stay open: {why}");
                return Err(Failure::new(message)
                    .help("write sandbox = \"auto\" to be confined as far as this system can"));
            }
        }
    }
    Ok(report)
}

/// What [`confine`] would come to, tried on a thread that ends with the trial.
pub(crate) fn rehearse(sandbox: Sandbox, reach: &AccessPolicy) -> Result<Report, Failure> {
    std::thread::scope(|scope| {
        let trial = scope.spawn(|| confine(sandbox, reach));
        trial.join().unwrap_or_else(|_| Err(Failure::new("the trial of the sandbox broke off")))
    })
}
