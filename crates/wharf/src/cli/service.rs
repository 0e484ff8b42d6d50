//! The options of `wharf service`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Install, remove, start or stop the system service.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Install wharf as a service that uses the current configuration, and start it
    Install(InstallArgs),
    /// Stop and remove the service; configuration, accounts and files are kept
    Uninstall {
        /// Root folder, as for `install`
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
    },
    /// Start the service
    Start,
    /// Wait for transfers to finish, then stop the service until the next boot
    Stop,
    /// Show whether the service is installed and running
    Status,
    /// Internal: run as a Windows service, started by the service control manager
    #[command(hide = true)]
    Run,
    /// Internal: wait for a server's request to start its successor
    #[command(hide = true)]
    Starter { words: Vec<OsString> },
    /// Internal: start a server on the sockets of another one
    #[command(hide = true)]
    Successor { words: Vec<OsString> },
    /// Print the service file that `install` would write
    Unit {
        #[command(flatten)]
        account: RunAs,
        /// Kind of service file [default: that of this system]
        #[arg(long, value_name = "KIND")]
        kind: Option<ServiceFileKind>,
    },
}

/// `wharf service install`.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    pub(crate) account: RunAs,
    /// Install the service without starting it
    #[arg(long)]
    pub(crate) no_start: bool,
    /// Add a rule to the Windows firewall; on other systems, print the commands
    #[arg(long)]
    pub(crate) firewall: bool,
    /// Replace an existing service file
    #[arg(long)]
    pub(crate) force: bool,
    /// Root folder instead of `/`, for system images; nothing is started
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

/// Account of the service.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunAs {
    /// System user to run as; `wharf` is created if it is missing
    #[arg(long, value_name = "ACCOUNT", default_value = "wharf")]
    pub(crate) user: String,
}

/// The kinds of service files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ServiceFileKind {
    /// systemd service unit
    Systemd,
    /// systemd socket unit: systemd listens before wharf starts
    Socket,
    /// launchd property list (macOS)
    Launchd,
}
