//! The interface of the API to the program.

use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;

use crate::model::{
    Ban, Certificate, LastReload, Lock, NewBan, PassiveFailure, Problem, Reloaded, Totals, Upgraded,
};

/// Lines of the log as they are written, each with its line feed.
pub type LogLines = Pin<Box<dyn Stream<Item = String> + Send>>;

/// The program behind a server: its configuration, bans and log.
///
/// Errors are shown to the user of the API: what is wrong, and a hint.
#[async_trait]
pub trait AdminBackend: Send + Sync {
    /// The configuration file, if there is one.
    fn config(&self) -> Option<String>;

    /// Counts since the start.
    fn totals(&self) -> Totals;

    /// The limit on sessions; `None` if unlimited.
    fn connections_max(&self) -> Option<u64>;

    /// The range of passive ports, as in `30000-30999`.
    fn passive_ports(&self) -> String;

    /// Failed passive data connections.
    fn passive_failures(&self) -> Vec<PassiveFailure>;

    /// The certificate in use.
    fn certificate(&self) -> Option<Certificate>;

    /// The result of the last reload, if there was one.
    fn last_reload(&self) -> Option<LastReload>;

    /// Warnings for the administrator.
    fn warnings(&self) -> Vec<String>;

    /// The folders below which homes can be opened; `None` without a sandbox.
    fn sandbox_folders(&self) -> Option<Vec<String>> {
        None
    }

    /// All metrics in the text format of Prometheus.
    fn metrics(&self) -> String;

    /// The bans in force.
    fn bans(&self) -> Vec<Ban>;

    /// Whether this address is exempt from bans.
    fn is_never_banned(&self, _: IpAddr) -> bool {
        false
    }

    /// Bans an address or a network; returns the ban in force.
    async fn ban(&self, ban: NewBan) -> Result<Ban, Problem>;

    /// Lifts the bans of these addresses and networks, or all. Returns the lifted ones.
    async fn unban(&self, addresses: Option<Vec<String>>) -> Result<Vec<String>, Problem>;

    /// The locked accounts.
    fn locks(&self) -> Vec<Lock>;

    /// Unlocks these accounts, or all. Returns the unlocked ones.
    async fn unlock(&self, users: Option<Vec<String>>) -> Result<Vec<String>, Problem>;

    /// Reloads the configuration. If it is invalid, the old one stays in force.
    async fn reload(&self) -> Result<Reloaded, Problem>;

    /// Starts the program again in a new process that takes over the listening sockets. Current
    /// sessions end in this process. If the new process does not serve, nothing changes.
    async fn upgrade(&self) -> Result<Upgraded, Problem>;

    /// Stops the server; transfers may finish within `grace`, or within the configured time.
    fn stop(&self, grace: Option<Duration>);

    /// Logs a request that changes the server: identity of the local process, HTTP method and path.
    fn log_request(&self, peer: &str, method: &str, path: &str);

    /// Whether the server is stopping.
    fn is_stopping(&self) -> bool;

    /// The last `count` lines of the log, of one session if given; with `follow`, also new lines.
    fn log(&self, count: usize, session: Option<u64>, follow: bool) -> LogLines;
}
