//! What `wharf service` takes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Install, remove, start or stop the system service.
#[derive(Debug, Subcommand)]
pub(crate) enum Service {
    /// Make wharf start with the computer, from the config in use, and start it now
    Install(Install),
    /// Stop it and take it out again; config, accounts and files stay
    Uninstall {
        /// Below this folder, as for `install`
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
    },
    /// Start it now
    Start,
    /// Let transfers finish, then stop it; it starts again with the computer
    Stop,
    /// Say whether it is installed and running
    Status,
    /// Serve as a service of Windows: its manager of services starts this
    #[command(hide = true)]
    Run,
    /// Wait for a server's word to start it anew: each server starts one of these
    #[command(hide = true)]
    Starter { words: Vec<OsString> },
    /// Become a server at the sockets of another one
    #[command(hide = true)]
    Successor { words: Vec<OsString> },
    /// Print the service file that `install` would write
    Unit {
        #[command(flatten)]
        account: RunAs,
        /// Of another kind than this system's
        #[arg(long, value_name = "KIND")]
        kind: Option<Kind>,
    },
}

/// `wharf service install`.
#[derive(Debug, Args)]
pub(crate) struct Install {
    #[command(flatten)]
    pub(crate) account: RunAs,
    /// Write it down, but do not start it now
    #[arg(long)]
    pub(crate) no_start: bool,
    /// Let clients through the firewall of Windows; elsewhere say how
    #[arg(long)]
    pub(crate) firewall: bool,
    /// Replace a service file that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Below this folder instead of `/`, for images of other systems; starts nothing
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

/// Who the service is.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunAs {
    /// The account of the system under which it runs; `wharf` is made if it is missing
    #[arg(long, value_name = "ACCOUNT", default_value = "wharf")]
    pub(crate) user: String,
}

/// The kinds of service files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A unit of systemd
    Systemd,
    /// Its socket unit: systemd listens before wharf starts
    Socket,
    /// A property list of launchd (macOS)
    Launchd,
}
