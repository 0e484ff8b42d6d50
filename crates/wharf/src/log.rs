//! The log: events become lines, and a thread of its own writes them.
//!
//! [`record`] makes fields of an event, [`mod@line`] a line of the fields, [`xferlog`] the classic
//! transfer log; [`writer`] has the thread, and [`target`] the files. No session ever waits for
//! those. Only what goes to the [`audit`] log is written at once. [`tail`] keeps the last lines in
//! memory.

pub(crate) mod audit;
pub(crate) mod catalog;
#[cfg(test)]
mod forgery_tests;
pub(crate) mod journal;
pub(crate) mod line;
pub(crate) mod record;
pub(crate) mod rotation;
pub(crate) mod tail;
pub(crate) mod target;
#[cfg(test)]
mod tests;
pub(crate) mod writer;
pub(crate) mod xferlog;

use std::sync::{PoisonError, RwLock};

use jiff::Zoned;
use wharf_core::event::{ClientInfo, Event, Events};

use crate::outcome::Failure;
use audit::{Audit, WriteOutcome, is_audited};
use line::Style;
use record::{Level, Record};
use tail::Tail;
use target::Target;
use writer::{Writer, WriterNote};

/// Which lines are written, how, and where to.
#[derive(Debug)]
pub(crate) struct Log {
    styles: Vec<Style>,
    filter: RwLock<LogFilter>,
    /// The number of the transfer log among the writer's targets.
    transfers: Option<usize>,
    audit: Option<Audit>,
    tail: Tail,
    writer: Writer,
}

/// What a log needs to know at the start.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where lines go, and what they look like there.
    pub(crate) outputs: Vec<Output>,
    /// The least important line that is written.
    pub(crate) level_max: Level,
    /// Whether commands are lines too.
    pub(crate) has_commands: bool,
    /// The transfer log, if there is one.
    pub(crate) transfer_log: Option<Target>,
    /// The audit log, if there is one.
    pub(crate) audit: Option<Audit>,
}

/// Which lines are wanted. It may change while the log is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogFilter {
    /// The least important line that is written.
    pub(crate) level_max: Level,
    /// Whether commands are lines too.
    pub(crate) has_commands: bool,
}

/// One place for lines.
#[derive(Debug)]
pub(crate) struct Output {
    /// What a line looks like there.
    pub(crate) style: Style,
    /// The place.
    pub(crate) target: Target,
}

impl Log {
    /// Makes everything ready. Lines wait until [`Log::begin`], except those of the audit log.
    pub(crate) fn prepare(options: Options) -> Self {
        let styles: Vec<_> = options.outputs.iter().map(|output| output.style).collect();
        let mut targets: Vec<_> = options.outputs.into_iter().map(|output| output.target).collect();
        let transfer_log = options.transfer_log.as_ref().map(|_| targets.len());
        targets.extend(options.transfer_log);
        let style = styles.first().copied().unwrap_or(Style::Text);
        let note_line = move |note: &WriterNote| rendered(style, &Zoned::now(), &note_record(note));
        Self {
            styles,
            filter: RwLock::new(LogFilter {
                level_max: options.level_max,
                has_commands: options.has_commands,
            }),
            transfers: transfer_log,
            audit: options.audit,
            tail: Tail::default(),
            writer: Writer::prepare(targets, Box::new(note_line)),
        }
    }

    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        self.writer.begin().map_err(|error| Failure::io("cannot start the log", &error))
    }

    /// Writes a record, wherever it is wanted.
    pub(crate) fn note(&self, record: &Record) {
        let now = Zoned::now();
        if let Some(audit) = self.audit.as_ref().filter(|_| is_audited(record.event)) {
            self.tell_kept(&now, audit.write(&line::render(Style::Json, &now, record)));
            if let Some(reason) = audit.take_problem() {
                self.hand_over(&now, &note_record(&WriterNote::NotRotated(reason)));
            }
        }
        self.hand_over(&now, record);
    }

    fn hand_over(&self, now: &Zoned, record: &Record) {
        if record.level > self.filter().level_max {
            return;
        }
        let text = line::render(Style::Text, now, record);
        self.tail.push(record.session.as_ref().map(|session| session.number), &text);
        for (number, style) in self.styles.iter().enumerate() {
            match style {
                Style::Text => self.writer.write(number, text.clone()),
                style if style.shows(record) => {
                    self.writer.write(number, rendered(*style, now, record));
                }
                _ => {}
            }
        }
    }

    /// The last lines, and those that come.
    pub(crate) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Writes these lines from now on.
    pub(crate) fn want(&self, filter: LogFilter) {
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = filter;
    }

    fn filter(&self) -> LogFilter {
        *self.filter.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_kept(&self, now: &Zoned, kept: WriteOutcome) {
        let record = match kept {
            WriteOutcome::Whole | WriteOutcome::LostToo => return,
            WriteOutcome::Lost => {
                let reason = "the disk takes no more; look for room";
                Record::new(Level::Error, "audit-failed").text("reason", reason)
            }
            WriteOutcome::After(count) => {
                Record::new(Level::Error, "audit-lines-lost").number("count", count)
            }
        };
        self.hand_over(now, &record);
    }

    /// Opens all files anew, after they were renamed.
    pub(crate) fn reopen(&self) {
        self.writer.reopen();
        if let Some(Err(reason)) = self.audit.as_ref().map(Audit::reopen) {
            self.note(&note_record(&WriterNote::NotReopened(reason)));
        }
    }

    /// Waits until everything up to now is written, but not for ever.
    pub(crate) fn flush(&self) {
        self.writer.flush();
    }
}

/// The line, or for the journal the entry.
fn rendered(style: Style, now: &Zoned, record: &Record) -> Vec<u8> {
    match style {
        Style::Entry => journal::entry(record),
        style => line::render(style, now, record).into_bytes(),
    }
}

fn note_record(note: &WriterNote) -> Record {
    match note {
        WriterNote::Dropped(count) => {
            Record::new(Level::Warn, "lines-dropped").number("count", *count)
        }
        WriterNote::NotReopened(reason) => {
            Record::new(Level::Error, "log-not-reopened").text("reason", reason)
        }
        WriterNote::NotRotated(reason) => {
            Record::new(Level::Error, "log-not-rotated").text("reason", reason)
        }
    }
}

impl Events for Log {
    fn emit(&self, who: &ClientInfo, event: &Event<'_>) {
        if let Event::Transferred(transfer) = event
            && let Some(target) = self.transfers
        {
            self.writer.write(target, xferlog::line(&Zoned::now(), who, transfer));
        }
        if let Some(record) = Record::of(who, event) {
            self.note(&record);
        }
    }

    fn wants_commands(&self) -> bool {
        let filter = self.filter();
        filter.has_commands && filter.level_max >= Level::Info
    }
}
