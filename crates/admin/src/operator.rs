//! What the API cannot do by itself: the program's part.

use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;

use crate::model::{
    Ban, Certificate, HandedOver, LastReload, Lock, NewBan, PassiveFailure, Problem, Reloaded,
    Totals,
};

/// Lines of the log, each with its line feed, as they come.
pub type LogLines = Pin<Box<dyn Stream<Item = String> + Send>>;

/// The program behind a server: its configuration, bans and log.
///
/// Each error is for the person who asked: it says what failed and how to fix it.
#[async_trait]
pub trait Operator: Send + Sync {
    /// The config file, if there is one.
    fn config(&self) -> Option<String>;

    /// What happened since the start.
    fn totals(&self) -> Totals;

    /// Sessions that there may be at a time; nothing if any number.
    fn sessions_max(&self) -> Option<u64>;

    /// The range of passive ports, as in `30000-30999`.
    fn passive_ports(&self) -> String;

    /// Passive connections that did not come to be.
    fn passive_failures(&self) -> Vec<PassiveFailure>;

    /// The certificate in use.
    fn certificate(&self) -> Option<Certificate>;

    /// How the last reload went, if there was one.
    fn last_reload(&self) -> Option<LastReload>;

    /// What somebody should look at.
    fn warnings(&self) -> Vec<String>;

    /// The folders below which homes can be opened; nothing if the server is not confined.
    fn home_folders(&self) -> Option<Vec<String>> {
        None
    }

    /// Everything counted, in the text format of Prometheus.
    fn metrics(&self) -> String;

    /// The bans of now.
    fn bans(&self) -> Vec<Ban>;

    /// Whether no ban can be of this address.
    fn is_never_banned(&self, _: IpAddr) -> bool {
        false
    }

    /// Bans an address or a network, and says what is in force then.
    async fn ban(&self, ban: NewBan) -> Result<Ban, Problem>;

    /// Lifts bans: those of these addresses and networks, or all. Returns what was lifted.
    async fn unban(&self, addresses: Option<Vec<String>>) -> Result<Vec<String>, Problem>;

    /// The accounts that are locked now.
    fn locks(&self) -> Vec<Lock>;

    /// Unlocks these accounts, or all. Returns which.
    async fn unlock(&self, users: Option<Vec<String>>) -> Result<Vec<String>, Problem>;

    /// Reads the configuration anew. If it is bad the old one stays.
    async fn reload(&self) -> Result<Reloaded, Problem>;

    /// Starts the program anew, in a process that takes the listening sockets over. The sessions
    /// of now end in this one. If the new one does not serve, all stays as it is.
    async fn hand_over(&self) -> Result<HandedOver, Problem>;

    /// Stops the server: transfers may finish within `grace`, or within the configuration's time.
    fn stop(&self, grace: Option<Duration>);

    /// Somebody of this computer asked for something that changes the server: who, the method of
    /// HTTP, and the path. For the log.
    fn asked(&self, who: &str, method: &str, path: &str);

    /// Whether it was told to stop.
    fn is_stopping(&self) -> bool;

    /// The last `count` lines of the log, of one session if it is named, and then, if `follow`,
    /// those that come.
    fn log(&self, count: usize, session: Option<u64>, follow: bool) -> LogLines;
}
