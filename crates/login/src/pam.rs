//! Authentication by PAM, on Linux.
//!
//! The server drops root privileges at its start, but PAM needs them: `pam_unix` reads
//! `/etc/shadow`. So a helper process is started before ([`open`]), which only verifies passwords.
//! It is this executable with another first argument ([`helper`]) and the privileges that the
//! server was started with; the only connection to the server is a socket on its standard input.
//! Each request and each response is one packet. The helper exits with the server.

#[cfg_attr(all(feature = "pam", target_os = "linux"), path = "pam/system_linux.rs")]
#[cfg_attr(not(all(feature = "pam", target_os = "linux")), path = "pam/system_other.rs")]
mod system;

use std::num::NonZeroUsize;
use std::time::Duration;

pub use system::{helper, open};

/// Everything about PAM.
#[derive(Clone, Debug)]
pub struct PamSettings {
    /// The name of its rules: the file in `/etc/pam.d`.
    pub service: String,
    /// Concurrent logins.
    pub at_once: NonZeroUsize,
    /// How long one login may take.
    pub time_max: Duration,
}
