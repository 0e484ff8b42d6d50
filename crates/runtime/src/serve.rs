//! A running server: from a plan to its end.
//!
//! `stages` opens everything and drops privileges, and [`run`] serves and stops. `outputs`
//! opens the logs and `control` the control socket, whose requests `admin_backend` answers;
//! `reload` applies a new configuration.

mod admin_backend;
mod bans;
mod binding;
pub mod capacity;
mod control;
mod counters;
mod gauges;
mod inherited;
mod metrics;
mod outputs;
mod periodic;
mod reload;
mod renewal;
mod resolver;
mod run;
mod stages;
mod startup;
mod sweeping;
mod warner;
mod watch;
mod workers;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use wharf_config::Loaded;
use wharf_config::gather::Inputs;
use wharf_server::settings::ListenTls;

use crate::share::Share;

pub use run::run;

/// Everything that is determined before the first socket is created.
pub struct ServePlan {
    /// The sources of the configuration, for reloads.
    pub inputs: Inputs,
    /// The configuration.
    pub loaded: Loaded,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// The folder to share; `None` serves the configured accounts.
    pub share: Option<Share>,
    /// The server's own files named on the command line.
    pub own_files: Vec<PathBuf>,
    /// The time after which the server stops.
    pub stop_after: Option<Duration>,
    /// Whether it runs in a terminal, so that a start panel is shown instead of log lines.
    pub has_panel: bool,
    /// Called once, when clients can connect.
    pub on_ready: OnReady,
    /// Whether to use colour.
    pub is_coloured: bool,
}

/// Called with the plan and the server, when clients can connect.
pub(crate) type OnReady = Box<dyn Fn(&ServePlan, &ReadyServer)>;

/// A server at which clients can connect.
#[derive(Clone, Debug)]
pub struct ReadyServer {
    /// Listen addresses.
    pub listeners: Vec<(SocketAddr, ListenTls)>,
    /// The addresses of this computer.
    pub own_addresses: Vec<IpAddr>,
    /// Number of accounts.
    pub accounts: usize,
    /// The certificate, if TLS is offered.
    pub certificate: Option<ReadyCertificate>,
}

/// The certificate of a [`ReadyServer`].
#[derive(Clone, Copy, Debug)]
pub struct ReadyCertificate {
    /// Its SHA-256.
    pub fingerprint: [u8; 32],
    /// Whether it is self-signed by wharf.
    pub is_self_signed: bool,
}
