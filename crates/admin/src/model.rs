//! What goes over the API. The names of fields are frozen: scripts read them. Fields may be added.
//!
//! Times are RFC 3339 in UTC; durations are seconds; rates are bytes a second.

#[cfg(feature = "openapi")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/status`: the server in one screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Status {
    /// The version of wharf.
    pub version: String,
    /// The number of its process.
    pub pid: u32,
    /// `serving`, or `draining` once it was told to stop.
    pub state: State,
    /// When it began to serve.
    pub started: String,
    /// How long it has served.
    pub seconds: u64,
    /// Its config file, if it has one.
    pub config: Option<String>,
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// The sessions that are here.
    pub sessions: SessionCounts,
    /// What moves now.
    pub rates: Rates,
    /// What happened since the start.
    pub totals: Totals,
    /// Passive data ports.
    pub passive: Passive,
    /// Addresses and networks that are banned.
    pub bans: u64,
    /// The certificate in use, if TLS is offered.
    pub certificate: Option<Certificate>,
    /// When the configuration was last read anew, and how that went.
    pub reload: Option<LastReload>,
    /// What an operator should look at, each with its remedy.
    pub warnings: Vec<String>,
    /// The folders below which homes can be opened; nothing if the server is not confined.
    #[serde(default)]
    pub home_folders: Option<Vec<String>>,
}

/// What the server as a whole does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It takes clients.
    Serving,
    /// It takes no more; transfers finish.
    Draining,
}

/// An address on which clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Listener {
    /// As in `[::]:21`.
    pub address: String,
    /// `explicit`, `implicit` or `off`.
    pub tls: String,
}

/// How many sessions there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct SessionCounts {
    /// All of them.
    pub total: u64,
    /// Those that are logged in.
    pub logged_in: u64,
    /// Those that send or take a file.
    pub transferring: u64,
    /// As many as there may be; nothing if any number.
    pub max: Option<u64>,
}

/// Bytes a second, over about the last second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Rates {
    /// From clients to the server.
    pub upload: u64,
    /// From the server to clients.
    pub download: u64,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Totals {
    /// Clients that were greeted.
    pub connections: u64,
    /// Clients that were turned away at the door.
    pub turned_away: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Logins that failed.
    pub failed_logins: u64,
    /// Uploads that were complete.
    pub uploads: u64,
    /// Downloads that were complete.
    pub downloads: u64,
    /// Transfers that were cut.
    pub failed_transfers: u64,
    /// Bytes of all uploads.
    pub uploaded_bytes: u64,
    /// Bytes of all downloads.
    pub downloaded_bytes: u64,
}

/// Passive data ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Passive {
    /// The range, as in `30000-30999`.
    pub ports: String,
    /// How many are in use.
    pub in_use: u64,
    /// Connections that did not come to be, by network and cause, the most frequent first.
    pub failures: Vec<PassiveFailure>,
}

/// Why passive mode fails for one network of clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct PassiveFailure {
    /// The clients: an IPv4 /24 or an IPv6 /64.
    pub network: String,
    /// Why, as in `no-connection`: one word of a list in docs/guide/passive-mode-and-nat.md.
    pub cause: String,
    /// What was seen, in words.
    pub seen: String,
    /// How often, in about the last day.
    pub failed: u64,
    /// How many passive data connections from there came to be in that time.
    pub arrived: u64,
    /// When it last happened.
    pub last: String,
    /// More about the last time, such as an address; may be empty.
    pub detail: String,
    /// How to fix it.
    pub remedy: String,
}

/// A certificate in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Certificate {
    /// SHA-256 of it, in hexadecimal with colons.
    pub fingerprint: String,
    /// The names it is for.
    pub names: Vec<String>,
    /// When it ends; nothing if that cannot be told.
    pub not_after: Option<String>,
    /// Whole days until then; below zero if it is over.
    pub days_left: Option<i64>,
    /// Whether wharf made it.
    pub is_self_made: bool,
}

/// How the last reload went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct LastReload {
    /// When.
    pub at: String,
    /// Whether the new configuration is in force.
    pub is_in_force: bool,
    /// Why not, if not.
    pub problem: Option<String>,
}

/// `GET /v1/sessions`: a session as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Session {
    /// Its number, unique as long as the server runs.
    pub id: u64,
    /// The account; nothing before the login.
    pub user: Option<String>,
    /// The client's address.
    pub ip: String,
    /// The client's port.
    pub port: u16,
    /// The server's end of the connection.
    pub local: String,
    /// The version of TLS, as in `TLSv1.3`; nothing without TLS.
    pub tls: Option<String>,
    /// What the client calls itself.
    pub client: Option<String>,
    /// The character set in which names are sent.
    pub charset: String,
    /// What it does.
    pub state: SessionState,
    /// The command that is being done.
    pub command: Option<String>,
    /// The file of a transfer.
    pub path: Option<String>,
    /// Bytes that the running transfer has moved.
    pub bytes: Option<u64>,
    /// Bytes that it is going to move, where that is known.
    pub size: Option<u64>,
    /// Its speed over about the last second.
    pub rate: Option<u64>,
    /// Its speed since it began.
    pub average: Option<u64>,
    /// How long the transfer has taken.
    pub transfer_seconds: Option<u64>,
    /// When the client came.
    pub since: String,
    /// How long ago that was.
    pub seconds: u64,
    /// How long it has said nothing.
    pub idle_seconds: u64,
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// It has not logged in yet.
    Auth,
    /// It does nothing.
    Idle,
    /// A command without a data connection.
    Command,
    /// A listing.
    List,
    /// It sends a file.
    Up,
    /// It takes a file.
    Down,
}

/// `GET /v1/sessions/{id}`: a session, and what it said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct SessionDetails {
    /// The session.
    pub session: Session,
    /// Its last lines, the oldest first, 50 at most.
    pub history: Vec<Said>,
}

/// A line, and what it was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Said {
    /// When it was answered.
    pub at: String,
    /// The line, escaped; of a secret only its first word.
    pub line: String,
    /// The code of the answer.
    pub code: u16,
}

/// `POST /v1/kick`: which sessions to end, and how. What several fields name is ended together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Kick {
    /// By number.
    pub sessions: Vec<u64>,
    /// By account.
    pub users: Vec<String>,
    /// By address or network, as in `192.0.2.0/24`.
    pub addresses: Vec<String>,
    /// Everybody.
    pub all: bool,
    /// Whether a running transfer may end first.
    pub after_transfer: bool,
    /// What the client hears behind 421.
    pub reason: Option<String>,
    /// Also bans the addresses of those sessions for so many seconds.
    pub ban_seconds: Option<u64>,
}

/// What `POST /v1/kick` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Kicked {
    /// The sessions that end.
    pub sessions: Vec<u64>,
    /// The addresses that were banned.
    pub banned: Vec<String>,
    /// The addresses that are never banned (`ban.allow`): their sessions were left alone.
    #[serde(default)]
    pub spared: Vec<String>,
}

/// `POST /v1/hand-over`: who serves now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct HandedOver {
    /// The process that takes clients from now on.
    pub pid: u32,
    /// The process that was asked; it ends with its last session.
    pub old_pid: u32,
    /// Sessions that end there.
    pub sessions: u64,
}

/// `POST /v1/reload`: what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Reloaded {
    /// Keys whose value is another now, as in `limits.connections`.
    pub changed: Vec<String>,
    /// Keys that changed in the file and need a restart.
    pub needs_restart: Vec<String>,
    /// What an operator should look at.
    pub warnings: Vec<String>,
}

/// `POST /v1/stop`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// How long transfers may finish; the configuration's time if absent.
    pub grace_seconds: Option<u64>,
}

/// A ban, in `GET /v1/bans` and `POST /v1/bans`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Ban {
    /// An address or a network.
    pub address: String,
    /// Why.
    pub reason: String,
    /// When it began.
    pub since: String,
    /// When it ends; nothing if it stays.
    pub until: Option<String>,
    /// How many bans there were in a row, this one included.
    pub times: u32,
    /// Whether somebody asked for it; else too many logins failed.
    pub manual: bool,
}

/// An account that is locked for addresses from which it never logged in: `GET /v1/locks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Lock {
    /// Its name, as it was tried. There need not be such an account.
    pub user: String,
    /// When it ends.
    pub until: String,
}

/// `POST /v1/unlock`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// Which accounts; all if absent.
    #[serde(default)]
    pub users: Option<Vec<String>>,
}

/// `POST /v1/bans`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewBan {
    /// An address or a network, as in `192.0.2.0/24`.
    pub address: String,
    /// For how long; for ever if absent.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether to end the sessions that are there from it.
    #[serde(default)]
    pub kick: bool,
}

/// Something done, with nothing to say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Done {}

/// Every answer that is no success: 4xx or 5xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Problem {
    /// What is wrong.
    pub error: String,
    /// How to fix it.
    pub hint: Option<String>,
}
