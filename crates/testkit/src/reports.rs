//! What is reported through `tracing`, as lines.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Collects reports of wharf's crates as `LEVEL session message field=value …`. Clones share the
/// lines. The number of the session is 0 outside of sessions.
#[derive(Clone, Debug)]
pub struct Reports {
    level: Level,
    lines: Arc<Mutex<Vec<String>>>,
    session: Arc<AtomicU64>,
}

impl Reports {
    /// Collects reports up to this level.
    pub fn new(level: Level) -> Self {
        Self { level, lines: Arc::default(), session: Arc::default() }
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The fields of a report, and the last number among them.
#[derive(Default)]
struct ReportedFields {
    text: String,
    number: u64,
}

impl Visit for ReportedFields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number = value;
        self.record_debug(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.text.insert_str(0, &format!("{value:?}")),
            name => drop(write!(self.text, " {name}={value:?}")),
        }
    }
}

impl Subscriber for Reports {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wharf_") && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.into())
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = ReportedFields::default();
        span.record(&mut fields);
        Id::from_u64(fields.number.max(1))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = ReportedFields::default();
        event.record(&mut fields);
        let session = self.session.load(Ordering::Relaxed);
        let line = format!("{} {session} {}", event.metadata().level(), fields.text);
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn enter(&self, span: &Id) {
        self.session.store(span.into_u64(), Ordering::Relaxed);
    }

    fn exit(&self, _: &Id) {
        self.session.store(0, Ordering::Relaxed);
    }
}
