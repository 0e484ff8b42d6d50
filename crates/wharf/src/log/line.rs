//! Formats a record as a line: text, JSON, for journald, or for the start panel.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Zoned;
use wharf_proto::path::is_deceptive;

use super::record::{Field, Level, LogRecord};
use crate::config::units::show_size;

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineFormat {
    /// `2026-11-22T15:07:41+01:00 INFO session=42 ip=192.0.2.7 user="anna" event=upload …`
    Text,
    /// One JSON object.
    Json,
    /// Text with a syslog priority prefix and without a time, which journald adds.
    Journal,
    /// An entry of systemd's journal in the native protocol; its message is that of `Journal`.
    Entry,
    /// `15:07  anna 192.0.2.7  upload  /photo.jpg  4.1 MiB  38 MiB/s`
    Panel,
}

impl LineFormat {
    /// Whether an event is shown in this format: the start panel shows what happened to files, not
    /// every connection.
    pub(crate) fn shows(self, record: &LogRecord) -> bool {
        self != Self::Panel
            || !matches!(
                record.event,
                "connected" | "secured" | "session-ended" | "ready" | "stopping" | "stopped"
            )
    }
}

/// Maximum length of a value in a line; three of them and the rest stay below 8 KiB.
const VALUE_BYTES_MAX: usize = 2500;

/// Formats a line, with its line end.
pub(crate) fn render(style: LineFormat, now: &Zoned, record: &LogRecord) -> String {
    let mut line = match style {
        LineFormat::Text => {
            let time = now.strftime("%Y-%m-%dT%H:%M:%S%:z");
            format!("{time} {}{}", level(record.level).to_uppercase(), pairs(record))
        }
        LineFormat::Journal => format!("<{}>{}", priority(record.level), message(record)),
        LineFormat::Entry => message(record),
        LineFormat::Json => json(now, record),
        LineFormat::Panel => panel(now, record),
    };
    line.push('\n');
    line
}

/// The syslog severity.
pub(super) fn priority(level: Level) -> u8 {
    match level {
        Level::Nothing | Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
    }
}

/// Formats a line without time and level.
pub(super) fn message(record: &LogRecord) -> String {
    pairs(record).trim_start().to_owned()
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Nothing | Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
    }
}

fn pairs(record: &LogRecord) -> String {
    let mut out = String::new();
    if let Some(session) = &record.session {
        let _ = write!(out, " session={} ip={}", session.number, address(session.peer.ip()));
        if let Some(user) = &session.user {
            let _ = write!(out, " user={}", bounded(user));
        }
    }
    let _ = write!(out, " event={}", record.event);
    for (name, field) in &record.fields {
        let _ = write!(out, " {name}={}", value(field));
    }
    out
}

fn json(now: &Zoned, record: &LogRecord) -> String {
    let mut out = format!(
        "{{\"time\":\"{}\",\"level\":\"{}\"",
        now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z"),
        level(record.level)
    );
    if let Some(session) = &record.session {
        let (number, ip) = (session.number, address(session.peer.ip()));
        let user = session.user.as_deref().map_or_else(|| "null".to_owned(), bounded);
        let _ = write!(out, ",\"session\":{number},\"ip\":\"{ip}\",\"user\":{user}");
    }
    let _ = write!(out, ",\"event\":\"{}\"", record.event);
    for (name, field) in &record.fields {
        let _ = write!(out, ",\"{name}\":{}", value(field));
    }
    out.push('}');
    out
}

fn panel(now: &Zoned, record: &LogRecord) -> String {
    let mut parts = vec![now.strftime("%H:%M").to_string()];
    let tried = text(record, "tried");
    if let Some(session) = &record.session {
        let user = session.user.as_deref().or(tried).unwrap_or("-");
        parts.push(format!("{user} {}", address(session.peer.ip())));
    }
    parts.push(record.event.replace('-', " "));
    for name in ["path", "to", "addresses", "line"] {
        let arrow = if name == "to" { "-> " } else { "" };
        parts.extend(shown(record, name).map(|text| format!("{arrow}{text}")));
    }
    if let Some(Field::Number(bytes)) = record.field("bytes") {
        parts.push(show_size(*bytes));
        if let Some(Field::Seconds(took)) = record.field("seconds") {
            parts.extend(speed(*bytes, *took));
        }
    }
    for name in ["code", "count"] {
        if let Some(Field::Number(number)) = record.field(name) {
            parts.push(number.to_string());
        }
    }
    if record.field("complete") == Some(&Field::Boolean(false)) {
        parts.push("incomplete".to_owned());
    }
    parts.extend(text(record, "reason").filter(|reason| !reason.is_empty()).map(str::to_owned));
    parts.extend(text(record, "hint").map(|hint| format!("hint: {hint}")));
    // Text of a session was escaped by the engine; this also protects the terminal.
    let line = parts.join("  ");
    line.chars().map(|letter| if is_deceptive(letter) { '?' } else { letter }).collect()
}

fn text<'a>(record: &'a LogRecord, name: &str) -> Option<&'a str> {
    match record.field(name) {
        Some(Field::Text(text)) => Some(text),
        _ => None,
    }
}

fn shown(record: &LogRecord, name: &str) -> Option<String> {
    match record.field(name) {
        Some(Field::Path(path)) => Some(path.to_string()),
        _ => text(record, name).map(str::to_owned),
    }
}

/// The rate to display; `None` if the duration is too short to be meaningful.
fn speed(bytes: u64, took: Duration) -> Option<String> {
    const SHORTEST: Duration = Duration::from_millis(10);
    if bytes == 0 || took < SHORTEST {
        return None;
    }
    let per_second = u128::from(bytes) * 1000 / took.as_millis();
    Some(format!("{}/s", show_size(u64::try_from(per_second).ok()?)))
}

/// Converts an IPv4-mapped IPv6 address to IPv4.
pub(crate) fn address(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

fn value(field: &Field) -> String {
    match field {
        Field::Text(text) => bounded(text),
        Field::Path(path) => bounded(&path.to_string()),
        Field::Number(number) => number.to_string(),
        Field::Seconds(time) => format!("{}.{:03}", time.as_secs(), time.subsec_millis()),
        Field::Boolean(is_true) => is_true.to_string(),
    }
}

/// Formats text as a JSON string of bounded length; `…` marks truncation.
fn bounded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            letter if is_deceptive(letter) => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
        if out.len() > VALUE_BYTES_MAX {
            out.push('…');
            break;
        }
    }
    out.push('"');
    out
}
