//! Formats a record as a line: text, JSON, for journald, or for the start panel.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use wharf_config::units::show_size;
use wharf_proto::path::is_deceptive;

use super::diagnostics::DIAGNOSTIC;
use super::record::{Field, Level, LogRecord};
use super::time::LogTime;

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineFormat {
    /// `2026-11-22T15:07:41+01:00 INFO session_id=42 ip=192.0.2.7 user="anna" event=upload …`
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
                "connected"
                    | "tls-established"
                    | "session-ended"
                    | "ready"
                    | "sandbox"
                    | "stopping"
                    | "stopped"
            )
    }
}

/// Maximum length of a value in a line; three of them and the rest stay below 8 KiB.
const VALUE_BYTES_MAX: usize = 2500;

/// Formats a line, with its line end.
pub(crate) fn render(style: LineFormat, now: &LogTime, record: &LogRecord) -> String {
    let mut line = String::new();
    render_into(&mut line, style, now, record);
    line
}

/// Appends a line, with its line end.
pub(super) fn render_into(out: &mut String, style: LineFormat, now: &LogTime, record: &LogRecord) {
    match style {
        LineFormat::Text => {
            now.write_seconds(out);
            out.push(' ');
            out.push_str(level_in_capitals(record.level));
            out.push(' ');
            pairs(out, record);
        }
        LineFormat::Journal => {
            // Writing to a String never fails.
            let _ = write!(out, "<{}>", priority(record.level));
            pairs(out, record);
        }
        LineFormat::Entry => pairs(out, record),
        LineFormat::Json => json(out, now, record),
        LineFormat::Panel => out.push_str(&panel(now, record)),
    }
    out.push('\n');
}

/// The syslog severity.
pub(super) fn priority(level: Level) -> u8 {
    match level {
        Level::Nothing | Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Formats a line without time and level.
pub(super) fn message(record: &LogRecord) -> String {
    let mut out = String::new();
    pairs(&mut out, record);
    out
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Nothing | Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

fn level_in_capitals(level: Level) -> &'static str {
    match level {
        Level::Nothing | Level::Error => "ERROR",
        Level::Warn => "WARN",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

fn pairs(out: &mut String, record: &LogRecord) {
    if let Some(session) = &record.session {
        let _ = write!(out, "session_id={} ", session.number);
        if let Some(peer) = session.peer {
            let _ = write!(out, "ip={} ", address(peer.ip()));
        }
        if let Some(user) = &session.user {
            out.push_str("user=");
            quote(out, user);
            out.push(' ');
        }
    }
    out.push_str("event=");
    out.push_str(record.event);
    for (name, field) in &record.fields {
        out.push(' ');
        out.push_str(name);
        out.push('=');
        value(out, field);
    }
}

fn json(out: &mut String, now: &LogTime, record: &LogRecord) {
    out.push_str("{\"time\":\"");
    now.write_milliseconds(out);
    let _ = write!(out, "\",\"level\":\"{}\"", level(record.level));
    if let Some(session) = &record.session {
        let _ = write!(out, ",\"session_id\":{}", session.number);
        if let Some(peer) = session.peer {
            let _ = write!(out, ",\"ip\":\"{}\",\"user\":", address(peer.ip()));
            match &session.user {
                Some(user) => quote(out, user),
                None => out.push_str("null"),
            }
        }
    }
    let _ = write!(out, ",\"event\":\"{}\"", record.event);
    for (name, field) in &record.fields {
        let _ = write!(out, ",\"{name}\":");
        value(out, field);
    }
    out.push('}');
}

fn panel(now: &LogTime, record: &LogRecord) -> String {
    let mut parts = vec![now.minute().to_owned()];
    if record.event == DIAGNOSTIC {
        parts.push(level(record.level).to_owned());
        let mut rest = String::new();
        pairs(&mut rest, record);
        parts.push(rest.replacen("event=diagnostic ", "", 1));
        return parts.join("  ");
    }
    let tried = text(record, "attempted_user");
    if let Some(session) = &record.session {
        let user = session.user.as_deref().or(tried).unwrap_or("-");
        let ip = session.peer.map(|peer| address(peer.ip()).to_string());
        parts.push(format!("{user} {}", ip.unwrap_or_default()));
    }
    parts.push(record.event.replace('-', " "));
    for name in ["path", "folder", "to", "addresses", "line"] {
        let arrow = if name == "to" { "-> " } else { "" };
        parts.extend(shown(record, name).map(|text| format!("{arrow}{text}")));
    }
    if let Some(Field::Number(bytes)) = record.field("bytes") {
        parts.push(show_size(*bytes));
        if let Some(Field::Seconds(took)) = record.field("duration_seconds") {
            parts.extend(speed(*bytes, *took));
        }
    }
    for name in ["code", "count"] {
        if let Some(Field::Number(number)) = record.field(name) {
            parts.push(number.to_string());
        }
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

fn value(out: &mut String, field: &Field) {
    let _ = match field {
        Field::Text(text) => {
            quote(out, text);
            Ok(())
        }
        Field::Path(path) => {
            quote(out, path);
            Ok(())
        }
        Field::Number(number) => write!(out, "{number}"),
        Field::Seconds(time) => write!(out, "{}.{:03}", time.as_secs(), time.subsec_millis()),
        Field::Boolean(is_true) => write!(out, "{is_true}"),
    };
}

/// Appends text as a JSON string of bounded length; `…` marks truncation.
fn quote(out: &mut String, text: impl fmt::Display) {
    out.push('"');
    let length_max = out.len() + VALUE_BYTES_MAX;
    // Fails only to stop at the bound.
    let _ = write!(Quoted { out, length_max }, "{text}");
    out.push('"');
}

/// Escapes what is written to it, until the text has its maximum length.
struct Quoted<'a> {
    out: &'a mut String,
    length_max: usize,
}

impl fmt::Write for Quoted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Most values need no escape and are short.
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if self.out.len() + text.len() < self.length_max && text.bytes().all(is_plain) {
            self.out.push_str(text);
            return Ok(());
        }
        text.chars().try_for_each(|letter| self.write_char(letter))
    }

    fn write_char(&mut self, letter: char) -> fmt::Result {
        match letter {
            '"' => self.out.push_str("\\\""),
            '\\' => self.out.push_str("\\\\"),
            letter if is_deceptive(letter) => {
                write!(self.out, "\\u{:04x}", u32::from(letter))?;
            }
            letter => self.out.push(letter),
        }
        if self.out.len() < self.length_max {
            return Ok(());
        }
        self.out.push('…');
        Err(fmt::Error)
    }
}
