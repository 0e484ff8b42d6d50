//! Diagnostics: what the engine, the stores and libraries report through `tracing` and `log`.
//!
//! They are lines of the log like all others. Which are written depends on their target, the module
//! that reports; below level debug, none is, unless `log.filter` names its target.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::sync::{Arc, OnceLock, Weak};

use tracing::field::{Field as FieldName, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber, set_global_default};
use tracing::{Event, Metadata, callsite};
use tracing_core::span::Current;

use super::Log;
use super::record::{Field, Level, LogRecord, SessionFields};

/// The event of every diagnostic line.
pub(crate) const DIAGNOSTIC: &str = "diagnostic";

/// The field of a span that contains the number of the session.
const SESSION_ID: &str = "session_id";

/// The most detailed level of targets that report more than may be in a log: parameters of SQL
/// statements, which can be password hashes; TLS session tickets; paths of URLs, which can be
/// tokens.
const DETAIL_MAX: &[(&str, Level)] = &[
    ("tokio_postgres::query", Level::Info),
    ("tokio_postgres::simple_query", Level::Info),
    ("rustls", Level::Debug),
    ("ureq", Level::Debug),
    ("ureq_proto", Level::Debug),
];

thread_local! {
    /// The session that this thread is running; 0 for none.
    static SESSION: Cell<u64> = const { Cell::new(0) };
}

/// The most detailed level that is written, by target.
#[derive(Clone, Debug)]
pub(crate) struct DiagnosticLevels {
    others: Level,
    /// The longest targets first.
    targets: Vec<(String, Level)>,
}

impl DiagnosticLevels {
    /// Those of `targets`, and for all others the level of the log.
    pub(crate) fn new(level_max: Level, mut targets: Vec<(String, Level)>) -> Self {
        targets.sort_by_key(|(target, _)| std::cmp::Reverse(target.len()));
        let others = if level_max >= Level::Debug { level_max } else { Level::Nothing };
        Self { others, targets }
    }

    /// Whether diagnostics of this target and level are written.
    pub(super) fn accept(&self, target: &str, level: Level) -> bool {
        let named = self.targets.iter().find(|(known, _)| is_in(target, known));
        let detail_max = DETAIL_MAX.iter().find(|(known, _)| is_in(target, known));
        level <= named.map_or(self.others, |(_, level)| *level)
            && detail_max.is_none_or(|(_, most)| level <= *most)
    }

    fn most(&self) -> Level {
        let targets = self.targets.iter().map(|(_, level)| *level);
        targets.max().unwrap_or(self.others).max(self.others)
    }
}

/// Whether a target is a module or one of its submodules.
fn is_in(target: &str, module: &str) -> bool {
    target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The session that this thread is running, for a record.
pub(super) fn current_session() -> Option<SessionFields> {
    let number = SESSION.get();
    (number != 0).then_some(SessionFields { number, peer: None, user: None })
}

/// Writes diagnostics to the log from now on.
pub(crate) fn install(log: &Arc<Log>) {
    let subscriber = DiagnosticSubscriber::new(log);
    if set_global_default(subscriber).is_ok() && LOG.set(Arc::downgrade(log)).is_ok() {
        let _ = log::set_logger(&LogBridge);
        let levels = log.filter().diagnostics.clone();
        adapt(&levels);
    }
}

/// Applies new levels to the places that report.
pub(super) fn adapt(levels: &DiagnosticLevels) {
    callsite::rebuild_interest_cache();
    log::set_max_level(match levels.most() {
        Level::Nothing => log::LevelFilter::Off,
        Level::Error => log::LevelFilter::Error,
        Level::Warn => log::LevelFilter::Warn,
        Level::Info => log::LevelFilter::Info,
        Level::Debug => log::LevelFilter::Debug,
        Level::Trace => log::LevelFilter::Trace,
    });
}

/// Receives what is reported through `tracing`.
///
/// Its only spans are those of sessions. Their number is the ID, so that nothing is stored.
pub(super) struct DiagnosticSubscriber {
    log: Weak<Log>,
    /// The description of the spans.
    session_span: OnceLock<&'static Metadata<'static>>,
}

impl DiagnosticSubscriber {
    pub(super) fn new(log: &Arc<Log>) -> Self {
        Self { log: Arc::downgrade(log), session_span: OnceLock::new() }
    }

    fn accepts(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            return metadata.fields().field(SESSION_ID).is_some();
        }
        let log = self.log.upgrade();
        log.is_some_and(|log| log.accepts_from(metadata.target(), level_of(*metadata.level())))
    }
}

impl Subscriber for DiagnosticSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.accepts(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.accepts(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let most = self.log.upgrade().map_or(Level::Nothing, |log| log.filter().diagnostics.most());
        Some(match most {
            // Sessions that began at this level may be diagnosed later.
            Level::Nothing | Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        })
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let _ = self.session_span.set(span.metadata());
        let mut number = SessionNumber(None);
        span.record(&mut number);
        Id::from_u64(number.0.filter(|number| *number != 0).unwrap_or(u64::MAX))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(log) = self.log.upgrade() else { return };
        let mut fields = RecordedFields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        log.diagnose(&fields.into_record(level_of(*metadata.level()), metadata.target()));
    }

    fn current_span(&self) -> Current {
        match (SESSION.get(), self.session_span.get()) {
            (number @ 1.., Some(metadata)) => Current::new(Id::from_u64(number), metadata),
            _ => Current::none(),
        }
    }

    fn enter(&self, session: &Id) {
        SESSION.set(session.into_u64());
    }

    fn exit(&self, _: &Id) {
        SESSION.set(0);
    }
}

/// Receives what libraries report through `log`.
struct LogBridge;

static LOG: OnceLock<Weak<Log>> = OnceLock::new();

impl log::Log for LogBridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let log = LOG.get().and_then(Weak::upgrade);
        log.is_some_and(|log| log.accepts_from(metadata.target(), level_of_log(metadata.level())))
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let Some(log) = LOG.get().and_then(Weak::upgrade) else { return };
        let fields = RecordedFields { message: record.args().to_string(), others: Vec::new() };
        log.diagnose(&fields.into_record(level_of_log(record.level()), record.target()));
    }

    fn flush(&self) {}
}

fn level_of(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}

fn level_of_log(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    }
}

struct SessionNumber(Option<u64>);

impl Visit for SessionNumber {
    fn record_u64(&mut self, field: &FieldName, value: u64) {
        if field.name() == SESSION_ID {
            self.0 = Some(value);
        }
    }

    fn record_debug(&mut self, _: &FieldName, _: &dyn fmt::Debug) {}
}

/// The message and the other fields of an event.
#[derive(Default)]
struct RecordedFields {
    message: String,
    others: Vec<(&'static str, Field)>,
}

impl RecordedFields {
    fn into_record(self, level: Level, target: &str) -> LogRecord {
        let record = LogRecord::new(level, DIAGNOSTIC).text("target", target);
        let mut record = record.text("message", self.message);
        record.fields.extend(self.others);
        record.session = current_session();
        record
    }

    fn add(&mut self, name: &'static str, field: Field, text: fmt::Arguments<'_>) {
        let is_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if name == "message" {
            // Writing to a String never fails.
            let _ = self.message.write_fmt(text);
        } else if RESERVED.contains(&name) || !name.bytes().all(is_name) {
            // Of a library: it could be mistaken for a field of the line.
            let _ = write!(self.message, " {name}={text}");
        } else {
            self.others.push((name, field));
        }
    }
}

/// Names of fields that every line has, or lines of a session.
const RESERVED: &[&str] = &["time", "level", "session_id", "ip", "user", "event", "target"];

impl Visit for RecordedFields {
    fn record_u64(&mut self, name: &FieldName, value: u64) {
        self.add(name.name(), Field::Number(value), format_args!("{value}"));
    }

    fn record_bool(&mut self, name: &FieldName, value: bool) {
        self.add(name.name(), Field::Boolean(value), format_args!("{value}"));
    }

    fn record_str(&mut self, name: &FieldName, value: &str) {
        self.add(name.name(), Field::Text(value.to_owned()), format_args!("{value}"));
    }

    fn record_debug(&mut self, name: &FieldName, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.add(name.name(), Field::Text(text.clone()), format_args!("{text}"));
    }
}
