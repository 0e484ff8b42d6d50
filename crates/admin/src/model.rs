//! The types of the API. Field names are stable, since scripts read them; fields may be added.
//!
//! Times are RFC 3339 in UTC; durations are seconds; rates are bytes a second.
//!
//! An `alias` is the name of a field in earlier versions: after an update of the program, commands
//! talk to the previous server until it is restarted or upgraded.

#[cfg(feature = "openapi")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/status`: status of the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Status {
    /// Version of wharf.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// `serving`, or `stopping` after a stop was requested.
    pub state: State,
    /// Start time.
    pub started: String,
    /// Seconds since the start.
    #[serde(alias = "seconds")]
    pub uptime_seconds: u64,
    /// Configuration file, if there is one.
    pub config: Option<String>,
    /// Addresses on which clients connect.
    pub listeners: Vec<Listener>,
    /// Current sessions.
    pub sessions: SessionCounts,
    /// Current transfer rates.
    pub rates: Rates,
    /// Counts since the start.
    pub totals: Totals,
    /// Passive data ports.
    pub passive: Passive,
    /// Number of banned addresses and networks.
    pub bans: u64,
    /// Certificate in use, if TLS is enabled.
    pub certificate: Option<Certificate>,
    /// Time and result of the last reload.
    pub reload: Option<LastReload>,
    /// Warnings for the administrator, each with a hint.
    pub warnings: Vec<String>,
    /// Folders below which homes can be opened; absent without a sandbox.
    #[serde(default, alias = "home_folders")]
    pub sandbox_folders: Option<Vec<String>>,
}

/// State of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Accepts clients.
    Serving,
    /// Accepts no new clients; running transfers finish.
    #[serde(alias = "draining")]
    Stopping,
}

/// A listen address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Listener {
    /// As in `[::]:21`.
    pub address: String,
    /// `explicit`, `implicit` or `off`.
    pub tls: String,
}

/// Numbers of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct SessionCounts {
    /// All sessions.
    pub total: u64,
    /// Logged-in sessions.
    pub logged_in: u64,
    /// Sessions that transfer a file.
    pub transferring: u64,
    /// Limit on sessions (`limits.connections`); absent if unlimited.
    #[serde(alias = "max")]
    pub connections_max: Option<u64>,
}

/// Bytes per second, averaged over about the last second.
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
    /// Accepted clients.
    pub connections: u64,
    /// Rejected connections.
    pub rejected_connections: u64,
    /// Successful logins.
    pub logins: u64,
    /// Failed logins.
    pub failed_logins: u64,
    /// Completed uploads.
    pub uploads: u64,
    /// Completed downloads.
    pub downloads: u64,
    /// Interrupted transfers.
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
    /// Port range, as in `30000-30999`.
    pub ports: String,
    /// Ports in use.
    pub in_use: u64,
    /// Failed data connections by network and cause, the most frequent first.
    pub failures: Vec<PassiveFailure>,
}

/// A cause of failed passive data connections for one network of clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct PassiveFailure {
    /// Network of the clients: an IPv4 /24 or an IPv6 /64.
    pub network: String,
    /// Cause, as in `no-connection`; the list is in docs/guide/passive-mode-and-nat.md.
    pub cause: String,
    /// Description of the observation.
    #[serde(alias = "seen")]
    pub observation: String,
    /// Failures in about the last day.
    pub failed: u64,
    /// Successful passive data connections from that network in the same time.
    #[serde(alias = "arrived")]
    pub established: u64,
    /// Time of the last failure.
    #[serde(alias = "last")]
    pub last_failure: String,
    /// Detail of the last failure, such as an address; may be empty.
    pub detail: String,
    /// How to fix it.
    pub hint: String,
}

/// A certificate in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Certificate {
    /// SHA-256 fingerprint, hexadecimal with colons.
    pub fingerprint: String,
    /// Names in the certificate.
    pub names: Vec<String>,
    /// Expiry time; absent if unknown.
    pub not_after: Option<String>,
    /// Whole days until expiry; negative if expired.
    pub days_left: Option<i64>,
    /// Whether wharf generated it (self-signed).
    #[serde(alias = "is_self_made")]
    pub is_self_signed: bool,
}

/// Result of the last reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct LastReload {
    /// Time of the reload.
    #[serde(alias = "at")]
    pub time: String,
    /// Whether the new configuration is in force.
    pub is_in_force: bool,
    /// Error message if the reload failed.
    #[serde(alias = "problem")]
    pub error: Option<String>,
}

/// `GET /v1/sessions`: a current session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Session {
    /// Number of the session, unique while the server runs.
    #[serde(alias = "id")]
    pub session_id: u64,
    /// Account; absent before the login.
    pub user: Option<String>,
    /// IP address of the client.
    pub ip: String,
    /// Port of the client.
    pub port: u16,
    /// Local address of the connection.
    pub local: String,
    /// TLS version, as in `TLSv1.3`; absent without TLS.
    pub tls: Option<String>,
    /// Client software, as reported by the client.
    pub client: Option<String>,
    /// Character set of file names.
    pub charset: String,
    /// Current activity.
    pub state: SessionState,
    /// Current command.
    pub command: Option<String>,
    /// File being transferred.
    pub path: Option<String>,
    /// Bytes transferred so far.
    pub bytes: Option<u64>,
    /// Total bytes of the transfer, if known.
    pub size: Option<u64>,
    /// Bytes per second over about the last second.
    pub rate: Option<u64>,
    /// Average bytes per second of the transfer.
    #[serde(alias = "average")]
    pub average_rate: Option<u64>,
    /// Duration of the transfer so far.
    #[serde(alias = "transfer_seconds")]
    pub transfer_duration_seconds: Option<u64>,
    /// Time of connection.
    pub since: String,
    /// Seconds since the connection.
    #[serde(alias = "seconds")]
    pub duration_seconds: u64,
    /// Seconds since the last command.
    pub idle_seconds: u64,
}

/// Activity of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Not logged in yet.
    Auth,
    /// No command is running.
    Idle,
    /// A command without a data connection is running.
    Command,
    /// A listing is being sent.
    List,
    /// The client uploads a file.
    #[serde(alias = "up")]
    Upload,
    /// The client downloads a file.
    #[serde(alias = "down")]
    Download,
}

/// `GET /v1/sessions/{id}`: a session with its last commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct SessionDetails {
    /// The session.
    pub session: Session,
    /// Last commands, the oldest first, 50 at most.
    pub history: Vec<CommandLogEntry>,
}

/// A command and its reply code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct CommandLogEntry {
    /// Time of the reply.
    #[serde(alias = "at")]
    pub time: String,
    /// The command line, escaped; secret arguments are left out.
    pub line: String,
    /// Reply code.
    pub code: u16,
}

/// `POST /v1/kick`: sessions to end; the fields are combined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Kick {
    /// Session ids.
    pub sessions: Vec<u64>,
    /// Accounts.
    pub users: Vec<String>,
    /// Addresses or networks, as in `192.0.2.0/24`.
    pub addresses: Vec<String>,
    /// All sessions.
    pub all: bool,
    /// Whether a running transfer may finish first.
    pub after_transfer: bool,
    /// Text of the 421 reply.
    pub reason: Option<String>,
    /// Also bans the addresses of those sessions, for this many seconds.
    pub ban_seconds: Option<u64>,
}

/// Result of `POST /v1/kick`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Kicked {
    /// Ended sessions.
    pub sessions: Vec<u64>,
    /// Banned addresses.
    pub banned: Vec<String>,
    /// Addresses exempt from bans (`ban.allow`); their sessions were not ended.
    #[serde(default, alias = "spared")]
    pub exempt: Vec<String>,
}

/// Result of `POST /v1/upgrade`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Upgraded {
    /// Id of the process that accepts clients now.
    pub pid: u32,
    /// Id of the process that handled the request; it ends with its last session.
    pub old_pid: u32,
    /// Sessions that remain in the old process.
    pub sessions: u64,
}

/// Result of `POST /v1/reload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Reloaded {
    /// Keys with changed values, as in `limits.connections`.
    pub changed: Vec<String>,
    /// Keys that changed in the file and take effect at the next restart.
    pub needs_restart: Vec<String>,
    /// Warnings for the administrator.
    pub warnings: Vec<String>,
}

/// `POST /v1/stop`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// Seconds for running transfers to finish; the configured time if absent.
    pub grace_seconds: Option<u64>,
}

/// A ban, in `GET /v1/bans` and `POST /v1/bans`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Ban {
    /// Address or network, as in `192.0.2.7` or `192.0.2.0/24`.
    #[serde(alias = "address")]
    pub network: String,
    /// Reason.
    pub reason: String,
    /// Start time.
    pub since: String,
    /// Expiry time; absent if permanent.
    pub until: Option<String>,
    /// Number of consecutive bans, including this one.
    #[serde(alias = "times")]
    pub consecutive_bans: u32,
    /// Whether the ban was requested by an administrator; else it follows from failed logins.
    pub manual: bool,
}

/// `GET /v1/locks`: an account locked for addresses from which it has never logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Lock {
    /// User name as it was sent; the account need not exist.
    pub user: String,
    /// Expiry time.
    pub until: String,
}

/// `POST /v1/unlock`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// Accounts to unlock; all if absent.
    #[serde(default)]
    pub users: Option<Vec<String>>,
}

/// `POST /v1/bans`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewBan {
    /// Address or network, as in `192.0.2.0/24`.
    #[serde(alias = "address")]
    pub network: String,
    /// Duration; permanent if absent.
    #[serde(default, alias = "seconds")]
    pub duration_seconds: Option<u64>,
    /// Reason.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether to end current sessions from there.
    #[serde(default)]
    pub kick: bool,
}

/// Empty success response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct EmptyResponse {}

/// Error response (4xx or 5xx).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(JsonSchema))]
pub struct Problem {
    /// Error message.
    pub error: String,
    /// How to fix it.
    pub hint: Option<String>,
}
