//! The log: events are formatted as lines, which a separate thread gathers and writes.
//!
//! [`record`] converts an event to fields, [`mod@line`] formats the fields, [`xferlog`] formats the
//! transfer log, and [`time`] the time; [`pending`] decides when lines are written, [`writer`]
//! contains the thread, [`flushing`] waits for it at the end, and [`target`] has the files.
//! Sessions never wait for them, except for lines of the [`audit`] log, which are written
//! synchronously. [`tail`] keeps the last lines in memory. [`diagnostics`] receives what is
//! reported through `tracing`.

pub(crate) mod audit;
pub(crate) mod diagnostics;
#[cfg(test)]
mod diagnostics_tests;
pub(crate) mod flushing;
#[cfg(test)]
mod forgery_tests;
pub(crate) mod journal;
pub(crate) mod line;
mod pending;
pub(crate) mod record;
pub(crate) mod rotation;
pub(crate) mod tail;
pub(crate) mod target;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod time;
pub(crate) mod writer;
pub(crate) mod xferlog;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use wharf_config::outcome::Failure;
use wharf_core::event::{ClientInfo, Event, Events};

use audit::{Audit, WriteOutcome, is_audited};
use diagnostics::DiagnosticLevels;
use line::LineFormat;
use record::{Level, LogRecord};
use tail::Tail;
use target::LogTarget;
use time::LogTime;
use writer::{Writer, WriterNote};

thread_local! {
    /// The memory for one line, which is used again for the next.
    static SCRATCH: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Filters, formats and writes log lines.
#[derive(Debug)]
pub(crate) struct Log {
    styles: Vec<LineFormat>,
    filter: RwLock<LogFilter>,
    /// The index of the transfer log in the writer's targets.
    transfers: Option<usize>,
    audit: Option<Audit>,
    tail: Tail,
    writer: Writer,
    panics: AtomicU64,
}

/// Options of a log.
#[derive(Debug)]
pub(crate) struct LogOptions {
    /// The outputs, each with its format.
    pub(crate) outputs: Vec<Output>,
    /// Which lines are written.
    pub(crate) filter: LogFilter,
    /// The transfer log, if configured.
    pub(crate) transfer_log: Option<LogTarget>,
    /// The audit log, if configured.
    pub(crate) audit: Option<Audit>,
}

/// Which lines are written. It can change on a reload.
#[derive(Clone, Debug)]
pub(crate) struct LogFilter {
    /// The least severe level that is written.
    pub(crate) level_max: Level,
    /// Whether commands are logged.
    pub(crate) has_commands: bool,
    /// The levels of diagnostics.
    pub(crate) diagnostics: DiagnosticLevels,
}

impl LogFilter {
    /// From the level, whether commands are logged, and levels of targets.
    pub(crate) fn of(level_max: Level, has_commands: bool, targets: Vec<(String, Level)>) -> Self {
        Self { level_max, has_commands, diagnostics: DiagnosticLevels::new(level_max, targets) }
    }
}

/// An output of the log.
#[derive(Debug)]
pub(crate) struct Output {
    /// The format.
    pub(crate) style: LineFormat,
    /// The target.
    pub(crate) target: LogTarget,
}

impl Log {
    /// Prepares the log. Lines are queued until [`Log::begin`], except those of the audit log.
    pub(crate) fn prepare(options: LogOptions) -> Self {
        let styles: Vec<_> = options.outputs.iter().map(|output| output.style).collect();
        let mut targets: Vec<_> = options.outputs.into_iter().map(|output| output.target).collect();
        let transfer_log = options.transfer_log.as_ref().map(|_| targets.len());
        targets.extend(options.transfer_log);
        let style = styles.first().copied().unwrap_or(LineFormat::Text);
        let note_line =
            move |note: &WriterNote| rendered(style, &LogTime::now(), &note_record(note));
        Self {
            styles,
            filter: RwLock::new(options.filter),
            transfers: transfer_log,
            audit: options.audit,
            tail: Tail::default(),
            writer: Writer::prepare(targets, Box::new(note_line)),
            panics: AtomicU64::new(0),
        }
    }

    /// Starts the writer thread.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        self.writer.begin().map_err(|error| Failure::io("cannot start the log", &error))
    }

    /// Writes a record to all outputs, if the filter accepts it.
    pub(crate) fn note(&self, record: &LogRecord) {
        let audit = self.audit.as_ref().filter(|_| is_audited(record.event));
        if audit.is_none() && !self.accepts(record) {
            return;
        }
        let now = LogTime::now();
        if let Some(audit) = audit {
            self.report_lost(&now, audit.write(&line::render(LineFormat::Json, &now, record)));
            if let Some(reason) = audit.take_problem() {
                self.enqueue(&now, &note_record(&WriterNote::NotRotated(reason)));
            }
        }
        self.enqueue(&now, record);
    }

    /// Writes a diagnostic that was accepted.
    fn diagnose(&self, record: &LogRecord) {
        self.write(&LogTime::now(), record);
    }

    /// Whether diagnostics of this target and level are written.
    fn accepts_from(&self, target: &str, level: Level) -> bool {
        self.filter().diagnostics.accept(target, level)
    }

    /// Logs a panic, and counts it.
    fn note_panic(&self, reason: &str, location: &str) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        let thread = std::thread::current();
        let record = LogRecord::new(Level::Error, "panic").text("reason", reason);
        let mut record = record.text("location", location);
        record.session = diagnostics::current_session();
        self.note(&record.text("thread", thread.name().unwrap_or("unnamed")));
    }

    /// Panics since the start.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    fn accepts(&self, record: &LogRecord) -> bool {
        record.level <= self.filter().level_max
    }

    fn enqueue(&self, now: &LogTime, record: &LogRecord) {
        if self.accepts(record) {
            self.write(now, record);
        }
    }

    fn write(&self, now: &LogTime, record: &LogRecord) {
        // An administrator who watches the log sees errors without delay.
        let is_urgent = record.level == Level::Error;
        let mut text = SCRATCH.take();
        text.clear();
        line::render_into(&mut text, LineFormat::Text, now, record);
        self.tail.push(record.session.as_ref().map(|session| session.number), &text);
        for (number, style) in self.styles.iter().enumerate() {
            match style {
                LineFormat::Text => self.writer.write(number, text.as_bytes(), is_urgent),
                style if style.shows(record) => {
                    self.writer.write(number, &rendered(*style, now, record), is_urgent);
                }
                _ => {}
            }
        }
        SCRATCH.set(text);
    }

    /// The last lines, and new ones.
    pub(crate) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Replaces the filter.
    pub(crate) fn want(&self, filter: LogFilter) {
        let levels = filter.diagnostics.clone();
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = filter;
        diagnostics::adapt(&levels);
    }

    fn filter(&self) -> RwLockReadGuard<'_, LogFilter> {
        self.filter.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn report_lost(&self, now: &LogTime, kept: WriteOutcome) {
        let record = match kept {
            WriteOutcome::Whole | WriteOutcome::LostToo => return,
            WriteOutcome::Lost => {
                let reason = "the disk is full or has failed; free disk space";
                LogRecord::new(Level::Error, "audit-log-failed").text("reason", reason)
            }
            WriteOutcome::After(count) => {
                LogRecord::new(Level::Error, "audit-log-lines-lost").number("count", count)
            }
        };
        self.enqueue(now, &record);
    }

    /// Reopens all files, after they were renamed.
    pub(crate) fn reopen(&self) {
        self.writer.reopen();
        if let Some(Err(reason)) = self.audit.as_ref().map(Audit::reopen) {
            self.note(&note_record(&WriterNote::NotReopened(reason)));
        }
    }

    /// Waits until all lines so far are written, for a limited time.
    pub(crate) fn flush(&self) {
        self.writer.flush();
    }
}

/// Formats a line, or an entry of the journal.
fn rendered(style: LineFormat, now: &LogTime, record: &LogRecord) -> Vec<u8> {
    match style {
        LineFormat::Entry => journal::entry(record),
        style => line::render(style, now, record).into_bytes(),
    }
}

fn note_record(note: &WriterNote) -> LogRecord {
    match note {
        WriterNote::Dropped(count) => {
            LogRecord::new(Level::Warn, "log-lines-dropped").number("count", *count)
        }
        WriterNote::NotReopened(reason) => {
            LogRecord::new(Level::Error, "log-reopen-failed").text("reason", reason)
        }
        WriterNote::NotRotated(reason) => {
            LogRecord::new(Level::Error, "log-rotation-failed").text("reason", reason)
        }
    }
}

impl Events for Log {
    fn emit(&self, client: &ClientInfo, event: &Event<'_>) {
        if let Event::Transferred(transfer) = event
            && let Some(target) = self.transfers
        {
            let line = xferlog::line(&LogTime::now(), client, transfer);
            self.writer.write(target, line.as_bytes(), false);
        }
        if let Some(record) = LogRecord::of(client, event) {
            self.note(&record);
        }
    }

    fn wants_commands(&self) -> bool {
        let filter = self.filter();
        filter.has_commands && filter.level_max >= Level::Info
    }
}
