//! An event as named fields. The names are stable: `docs/guide/logging.md` lists them.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use wharf_core::event::{ClientInfo, Direction, Event, Transferred};
use wharf_proto::path::VPath;

/// The level of a line, most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Below every level: nothing is written.
    Nothing,
    /// The server, its disk or its accounts failed.
    Error,
    /// A client was rejected, or a data connection failed.
    Warn,
    /// Everything else.
    Info,
    /// Diagnostics: what was done and decided.
    Debug,
    /// Diagnostics: each step.
    Trace,
}

/// A log record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogRecord {
    /// The level.
    pub(crate) level: Level,
    /// The session, if any.
    pub(crate) session: Option<SessionFields>,
    /// The name of the event.
    pub(crate) event: &'static str,
    /// The other fields, in order.
    pub(crate) fields: Vec<(&'static str, Field)>,
}

/// Fields of every line of a session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SessionFields {
    /// The session number.
    pub(crate) number: u64,
    /// The client; diagnostics know only the number.
    pub(crate) peer: Option<SocketAddr>,
    /// The account, once logged in.
    pub(crate) user: Option<String>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    /// A text, always quoted.
    Text(String),
    /// A virtual path, displayed escaped.
    Path(VPath),
    /// A number.
    Number(u64),
    /// A duration in seconds, with three decimals.
    Seconds(Duration),
    /// A boolean.
    Boolean(bool),
}

impl LogRecord {
    /// A record without a session.
    pub(crate) fn new(level: Level, event: &'static str) -> Self {
        Self { level, session: None, event, fields: Vec::new() }
    }

    /// Adds a text.
    pub(crate) fn text(mut self, name: &'static str, text: impl Display) -> Self {
        self.fields.push((name, Field::Text(format!("{text}"))));
        self
    }

    fn path(mut self, name: &'static str, path: &VPath) -> Self {
        self.fields.push((name, Field::Path(path.clone())));
        self
    }

    /// Adds a number.
    pub(crate) fn number(mut self, name: &'static str, number: u64) -> Self {
        self.fields.push((name, Field::Number(number)));
        self
    }

    fn duration(mut self, time: Duration) -> Self {
        self.fields.push(("duration_seconds", Field::Seconds(time)));
        self
    }

    /// Adds a boolean.
    pub(crate) fn flag(self, name: &'static str, is_true: bool) -> Self {
        self.boolean(name, is_true)
    }

    fn boolean(mut self, name: &'static str, is_true: bool) -> Self {
        self.fields.push((name, Field::Boolean(is_true)));
        self
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, field)| field)
    }

    /// Converts an event; `None` for events that are not logged.
    pub(crate) fn of(client: &ClientInfo, event: &Event<'_>) -> Option<Self> {
        let info = |event| Self::new(Level::Info, event);
        let warn = |event| Self::new(Level::Warn, event);
        let record = match event {
            Event::Connected => info("connected").text("local", client.local),
            Event::ConnectionRejected { reason } => {
                warn("connection-rejected").text("reason", reason)
            }
            Event::BanAdded { network, reason, time, is_manual } => {
                let record = warn("ban-added")
                    .text("network", network)
                    .text("reason", reason)
                    .boolean("manual", *is_manual);
                match time {
                    Some(time) => record.duration(*time),
                    None => record,
                }
            }
            Event::BanRemoved { network, reason } => {
                info("ban-removed").text("network", network).text("reason", reason)
            }
            Event::AccountLocked { user, time } => {
                warn("account-locked").text("attempted_user", user).duration(*time)
            }
            Event::TlsEstablished { version, cipher } => {
                info("tls-established").text("version", version).text("cipher", cipher)
            }
            Event::LoggedIn => Self::of_login(client),
            Event::LoginFailed { user, reason } => warn("login-failed")
                .text("attempted_user", user)
                .text("reason", reason)
                .boolean("tls", client.is_tls)
                .text("hint", login_hint(reason)),
            Event::CharsetDetected { charset, is_certain } => {
                Self::of_charset(charset, *is_certain)
            }
            Event::Transferred(transfer) => Self::of_transfer(transfer),
            Event::UploadCheckRejected { path, bytes, reason, id } => {
                Self::of_rejected_upload(path, *bytes, reason, *id)
            }
            Event::CommandDenied { command, path, reason } => warn("command-denied")
                .text("command", command)
                .path("path", path)
                .text("reason", reason),
            Event::UploadDenied { path, reason, hint } => Self::of_denial(path, reason, hint),
            Event::FileRemoved(path) => info("delete").path("path", path),
            Event::DirectoryMade(path) => info("mkdir").path("path", path),
            Event::DirectoryRemoved(path) => info("rmdir").path("path", path),
            Event::Copied { from, to } => info("copy").path("path", from).path("to", to),
            Event::Renamed { from, to } => info("rename").path("path", from).path("to", to),
            Event::AttributesChanged(path) => info("attributes-changed").path("path", path),
            Event::StorageFailed { reason } => {
                Self::new(Level::Error, "storage-failed").text("reason", reason)
            }
            Event::Command { line, code, text } => info("command")
                .text("line", line)
                .number("code", u64::from(code.number()))
                .text("reply", text),
            Event::SessionEnded { reason, after } => {
                info("session-ended").text("reason", reason).duration(*after)
            }
            _ => Self::of_data_connection(event)?,
        };
        let (number, peer) = (client.session, Some(client.peer));
        let session = SessionFields { number, peer, user: client.user.clone() };
        Some(Self { session: Some(session), ..record })
    }

    fn of_login(client: &ClientInfo) -> Self {
        let record = Self::new(Level::Info, "login").boolean("tls", client.is_tls);
        match &client.client {
            Some(client) => record.text("client", client),
            None => record,
        }
    }

    fn of_rejected_upload(path: &VPath, bytes: u64, reason: &str, id: Option<&str>) -> Self {
        let record = Self::new(Level::Warn, "upload-check-rejected").path("path", path);
        let record = record.number("bytes", bytes).text("reason", reason);
        id.iter().fold(record, |record, id| record.text("id", id))
    }

    fn of_denial(path: &VPath, reason: &str, hint: &str) -> Self {
        let record = Self::new(Level::Warn, "upload-denied").path("path", path);
        let record = record.text("reason", reason);
        if hint.is_empty() { record } else { record.text("hint", hint) }
    }

    fn of_charset(charset: &str, is_certain: bool) -> Self {
        let level = if is_certain { Level::Info } else { Level::Warn };
        let reason = if charset == "UTF-8" {
            "the file names of the client are valid in several character sets; UTF-8 is used"
        } else {
            "the client does not send file names in UTF-8; they are decoded with this character set"
        };
        let record = Self::new(level, "charset-detected").text("charset", charset);
        let record = record.boolean("certain", is_certain).text("reason", reason);
        record.text("hint", "if file names are wrong, set names.legacy_encoding")
    }

    fn of_data_connection(event: &Event<'_>) -> Option<Self> {
        let warn = |event| Self::new(Level::Warn, event);
        Some(match event {
            Event::DataConnectionFailed { reason } => {
                warn("data-connection-failed").text("reason", reason)
            }
            Event::DataConnectionTlsNotResumed => {
                Self::new(Level::Info, "data-connection-tls-not-resumed")
            }
            Event::DataConnectionUnexpectedPeers { first, count } => {
                warn("data-connection-unexpected-peers")
                    .text("first_peer", first.to_string())
                    .number("connections", u64::try_from(*count).unwrap_or(u64::MAX))
            }
            Event::DataConnectionDiagnosis { .. } => Self::of_diagnosis(event)?,
            _ => return None,
        })
    }

    fn of_diagnosis(event: &Event<'_>) -> Option<Self> {
        let Event::DataConnectionDiagnosis { network, cause, reason, failed, established, hint } =
            event
        else {
            return None;
        };
        let record = Self::new(Level::Warn, "data-connection-diagnosis").text("network", network);
        let record = record.text("cause", cause).number("failed", *failed);
        Some(record.number("established", *established).text("reason", reason).text("hint", hint))
    }

    fn of_transfer(transfer: &Transferred<'_>) -> Self {
        let event = match (transfer.direction, transfer.is_complete) {
            (Direction::Upload, true) => "upload",
            (Direction::Upload, false) => "upload-failed",
            (Direction::Download, true) => "download",
            (Direction::Download, false) => "download-failed",
        };
        let record = Self::new(Level::Info, event)
            .path("path", transfer.path)
            .number("bytes", transfer.bytes)
            .duration(transfer.took)
            .boolean("complete", transfer.is_complete)
            .boolean("ascii", transfer.is_ascii)
            .boolean("tls", transfer.is_tls);
        match (transfer.is_complete, transfer.note) {
            (false, _) => record.text("reason", transfer.reason),
            (true, "") => record,
            (true, note) => record.text("note", note),
        }
    }
}

/// The hint for a failed login. It does not contain the user name, which the client chooses, since
/// the administrator may paste the hint into a shell.
fn login_hint(reason: &str) -> &'static str {
    match reason {
        "unknown account" => "list accounts: wharf user list; add one: wharf user add NAME",
        "wrong password" | "the account has no usable password" => {
            "set a new password: wharf user passwd NAME (that of a share is shown at its start)"
        }
        "login without TLS, which tls.require does not allow" => {
            "select explicit FTPS (TLS) in the client, or lower tls.require"
        }
        "the account is disabled" => "enable it: wharf user enable NAME",
        _ if reason.starts_with("the accounts cannot be read") => "see: wharf check users",
        _ => "explain the decision: wharf why NAME / login --ip ADDRESS",
    }
}
