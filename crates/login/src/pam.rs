//! The system's own way to check passwords, on Linux.
//!
//! A server gives up root at its start, and PAM needs it: `pam_unix` reads `/etc/shadow`. So a
//! helper is started before ([`open`]), which does one thing: it says whether a password is that
//! of a name. It is this program under another word ([`helper`]), with the rights that the server
//! was started with; its only tie to the server is a socket on its standard input. They say one
//! packet each way. When the server ends, so does the helper.

#[cfg_attr(all(feature = "pam", target_os = "linux"), path = "pam/system_linux.rs")]
#[cfg_attr(not(all(feature = "pam", target_os = "linux")), path = "pam/system_other.rs")]
mod system;

use std::num::NonZeroUsize;
use std::time::Duration;

pub use system::{helper, open};

/// Everything about PAM.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of its rules: the file in `/etc/pam.d`.
    pub service: String,
    /// Logins at once.
    pub at_once: NonZeroUsize,
    /// How long one login may take.
    pub time_max: Duration,
}
