//! An event as fields with names. The names are frozen: `docs/guide/logging.md` lists them.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use wharf_core::event::{ClientInfo, Direction, Event, Transferred};
use wharf_proto::path::VPath;

/// How much a line matters, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Less than every line: nothing is written.
    Nothing,
    /// The server, its disk or its accounts failed.
    Error,
    /// Somebody was refused, or a data connection did not come to be.
    Warn,
    /// Everything else.
    Info,
}

/// One line to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// How much it matters.
    pub(crate) level: Level,
    /// Whose session it was.
    pub(crate) session: Option<Session>,
    /// What happened.
    pub(crate) event: &'static str,
    /// The rest, in order.
    pub(crate) fields: Vec<(&'static str, Field)>,
}

/// What every line of a session says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Session {
    /// Its number.
    pub(crate) number: u64,
    /// The client.
    pub(crate) peer: SocketAddr,
    /// The account, once logged in.
    pub(crate) user: Option<String>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    /// Text, always quoted.
    Text(String),
    /// A path of an account, shown escaped.
    Path(VPath),
    /// A number.
    Number(u64),
    /// A time, in seconds with three digits.
    Seconds(Duration),
    /// Yes or no.
    Boolean(bool),
}

impl Record {
    /// A record without a session.
    pub(crate) fn new(level: Level, event: &'static str) -> Self {
        Self { level, session: None, event, fields: Vec::new() }
    }

    /// With a text.
    pub(crate) fn text(mut self, name: &'static str, text: impl Display) -> Self {
        self.fields.push((name, Field::Text(format!("{text}"))));
        self
    }

    fn path(mut self, name: &'static str, path: &VPath) -> Self {
        self.fields.push((name, Field::Path(path.clone())));
        self
    }

    /// With a number.
    pub(crate) fn number(mut self, name: &'static str, number: u64) -> Self {
        self.fields.push((name, Field::Number(number)));
        self
    }

    fn seconds(mut self, time: Duration) -> Self {
        self.fields.push(("seconds", Field::Seconds(time)));
        self
    }

    /// With yes or no.
    pub(crate) fn flag(self, name: &'static str, is_true: bool) -> Self {
        self.boolean(name, is_true)
    }

    fn boolean(mut self, name: &'static str, is_true: bool) -> Self {
        self.fields.push((name, Field::Boolean(is_true)));
        self
    }

    /// A field's value.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, field)| field)
    }

    /// The record of an event; none for events that this log does not know.
    pub(crate) fn of(who: &ClientInfo, event: &Event<'_>) -> Option<Self> {
        let info = |event| Self::new(Level::Info, event);
        let warn = |event| Self::new(Level::Warn, event);
        let record = match event {
            Event::Connected => info("connected").text("local", who.local),
            Event::TurnedAway { reason } => warn("connection-rejected").text("reason", reason),
            Event::Banned { network, reason, time, is_manual } => {
                let record = warn("ban-added")
                    .text("network", network)
                    .text("reason", reason)
                    .boolean("manual", *is_manual);
                match time {
                    Some(time) => record.seconds(*time),
                    None => record,
                }
            }
            Event::BanLifted { network, reason } => {
                info("ban-removed").text("network", network).text("reason", reason)
            }
            Event::AccountLocked { user, time } => {
                warn("account-locked").text("tried", user).seconds(*time)
            }
            Event::Secured { version, cipher } => {
                info("secured").text("version", version).text("cipher", cipher)
            }
            Event::LoggedIn => Self::of_login(who),
            Event::LoginFailed { user, reason } => warn("login-failed")
                .text("tried", user)
                .text("reason", reason)
                .boolean("tls", who.is_tls)
                .text("hint", login_help(reason)),
            Event::CharsetRecognised { charset, is_certain } => {
                Self::of_charset(charset, *is_certain)
            }
            Event::Transferred(transfer) => Self::of_transfer(transfer),
            Event::UploadRefused { path, bytes, reason, id } => {
                let record = warn("upload-refused").path("path", path).number("bytes", *bytes);
                let record = record.text("reason", reason);
                match id {
                    Some(id) => record.text("id", id),
                    None => record,
                }
            }
            Event::Denied { command, path, reason } => {
                warn("denied").text("command", command).path("path", path).text("reason", reason)
            }
            Event::UploadDenied { path, reason, help } => Self::of_denial(path, reason, help),
            Event::FileRemoved(path) => info("delete").path("path", path),
            Event::DirectoryMade(path) => info("mkdir").path("path", path),
            Event::DirectoryRemoved(path) => info("rmdir").path("path", path),
            Event::Copied { from, to } => info("copy").path("path", from).path("to", to),
            Event::Renamed { from, to } => info("rename").path("path", from).path("to", to),
            Event::Changed(path) => info("change").path("path", path),
            Event::DataFailed { reason } => warn("data-failed").text("reason", reason),
            Event::DataUnproven => info("data-session-mismatch"),
            Event::DataStrangers { first, count } => warn("data-unexpected-peers")
                .text("first", first.to_string())
                .number("connections", u64::try_from(*count).unwrap_or(u64::MAX)),
            Event::DataTrouble { .. } => Self::of_trouble(event)?,
            Event::StoreFailed { reason } => {
                Self::new(Level::Error, "store-failed").text("reason", reason)
            }
            Event::Command { line, code, text } => info("command")
                .text("line", line)
                .number("code", u64::from(code.number()))
                .text("reply", text),
            Event::Ended { reason, after } => {
                info("session-ended").text("reason", reason).seconds(*after)
            }
            _ => return None,
        };
        let session = Session { number: who.session, peer: who.peer, user: who.user.clone() };
        Some(Self { session: Some(session), ..record })
    }

    fn of_login(who: &ClientInfo) -> Self {
        let record = Self::new(Level::Info, "login").boolean("tls", who.is_tls);
        match &who.client {
            Some(client) => record.text("client", client),
            None => record,
        }
    }

    fn of_denial(path: &VPath, reason: &str, help: &str) -> Self {
        let record = Self::new(Level::Warn, "upload-denied").path("path", path);
        let record = record.text("reason", reason);
        if help.is_empty() { record } else { record.text("hint", help) }
    }

    fn of_charset(charset: &str, is_certain: bool) -> Self {
        let level = if is_certain { Level::Info } else { Level::Warn };
        let reason = if charset == "UTF-8" {
            "the names of the client can be read in several character sets: UTF-8 is used"
        } else {
            "the client does not send names in UTF-8: they are read in this character set"
        };
        let record = Self::new(level, "charset").text("charset", charset);
        let record = record.boolean("certain", is_certain).text("reason", reason);
        record.text("hint", "if names come out wrong, set names.legacy_encoding")
    }

    fn of_trouble(event: &Event<'_>) -> Option<Self> {
        let Event::DataTrouble { network, cause, reason, failed, arrived, remedy } = event else {
            return None;
        };
        let record = Self::new(Level::Warn, "data-diagnosis").text("network", network);
        let record = record.text("cause", cause).number("failed", *failed);
        Some(record.number("arrived", *arrived).text("reason", reason).text("hint", remedy))
    }

    fn of_transfer(transfer: &Transferred<'_>) -> Self {
        let event = match transfer.direction {
            Direction::Upload => "upload",
            Direction::Download => "download",
        };
        let record = Self::new(Level::Info, event)
            .path("path", transfer.path)
            .number("bytes", transfer.bytes)
            .seconds(transfer.took)
            .boolean("complete", transfer.is_complete)
            .boolean("ascii", transfer.is_ascii)
            .boolean("tls", transfer.is_tls);
        let record =
            if transfer.is_complete { record } else { record.text("reason", transfer.reason) };
        if transfer.note.is_empty() { record } else { record.text("note", transfer.note) }
    }
}

/// What would help somebody whose login failed. The name is not in it: it is the client's choice,
/// and whoever reads this runs it in a shell.
fn login_help(reason: &str) -> &'static str {
    match reason {
        "no such account" => "wharf user list shows the names; wharf user add NAME makes one",
        "wrong password" | "the account has no usable password" => {
            "wharf user passwd NAME sets a new one; that of a share is shown at its start"
        }
        "a password without TLS, which tls.require refuses" => {
            "choose FTPS (explicit TLS) in the client, or lower tls.require"
        }
        "the account is disabled" => "wharf user enable NAME",
        _ if reason.starts_with("the accounts cannot be read") => "wharf check users",
        _ => "wharf why NAME / login --ip ADDRESS shows what decides",
    }
}
