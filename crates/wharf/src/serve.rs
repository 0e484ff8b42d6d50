//! A running server: from a plan to its end.
//!
//! [`outputs`] opens the logs; [`run`] binds, serves and stops. [`control`] opens the control
//! socket; [`admin_backend`] answers its requests; [`reload`] applies a new configuration.

mod admin_backend;
mod bans;
mod binding;
pub(crate) mod capacity;
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

pub(crate) use run::run;

/// Everything that is determined before the first socket is created.
pub(crate) struct ServePlan {
    /// The sources of the configuration, for reloads.
    pub(crate) inputs: Inputs,
    /// The configuration.
    pub(crate) loaded: Loaded,
    /// The configuration file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// The folder to share; `None` serves the configured accounts.
    pub(crate) share: Option<Share>,
    /// The server's own files named on the command line.
    pub(crate) own_files: Vec<PathBuf>,
    /// The time after which the server stops.
    pub(crate) stop_after: Option<Duration>,
    /// Whether it runs in a terminal, so that a start panel is shown instead of log lines.
    pub(crate) has_panel: bool,
    /// Called once, when clients can connect.
    pub(crate) on_ready: OnReady,
    /// Whether to use colour.
    pub(crate) is_coloured: bool,
}

/// Called with the plan and the server, when clients can connect.
pub(crate) type OnReady = Box<dyn Fn(&ServePlan, &ReadyServer)>;

/// A server at which clients can connect.
#[derive(Clone, Debug)]
pub(crate) struct ReadyServer {
    /// Listen addresses.
    pub(crate) listeners: Vec<(SocketAddr, ListenTls)>,
    /// The addresses of this computer.
    pub(crate) own_addresses: Vec<IpAddr>,
    /// Number of accounts.
    pub(crate) accounts: usize,
    /// The certificate, if TLS is offered.
    pub(crate) certificate: Option<ReadyCertificate>,
}

/// The certificate of a [`ReadyServer`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadyCertificate {
    /// Its SHA-256.
    pub(crate) fingerprint: [u8; 32],
    /// Whether it is self-signed by wharf.
    pub(crate) is_self_signed: bool,
}
