//! The log: events become lines, and a thread of its own writes them.
//!
//! [`record`] makes fields of an event, [`line`] a line of the fields, [`xferlog`] the classic
//! transfer log; [`writer`] has the thread. No session ever waits for a disk.

pub(crate) mod line;
pub(crate) mod record;
#[cfg(test)]
mod tests;
pub(crate) mod writer;
pub(crate) mod xferlog;

use jiff::Zoned;
use wharf_core::event::{Event, Events, Who};

use crate::outcome::Failure;
use line::Style;
use record::{Level, Record};
use writer::{Target, Writer};

/// Which lines are written, how, and where to.
#[derive(Debug)]
pub(crate) struct Log {
    style: Style,
    level_max: Level,
    has_commands: bool,
    has_transfer_log: bool,
    writer: Writer,
}

/// What a log needs to know at the start.
#[derive(Debug)]
pub(crate) struct Options {
    /// What a line looks like.
    pub(crate) style: Style,
    /// The least important line that is written; none if no line is.
    pub(crate) level_max: Option<Level>,
    /// Whether commands are lines too.
    pub(crate) has_commands: bool,
    /// Where lines go.
    pub(crate) target: Target,
    /// The transfer log, if there is one.
    pub(crate) transfer_log: Option<Target>,
}

impl Log {
    /// Starts the log.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(options: Options) -> Result<Self, Failure> {
        let has_transfer_log = options.transfer_log.is_some();
        let mut targets = vec![options.target];
        targets.extend(options.transfer_log);
        let style = options.style;
        let dropped = move |count: u64| {
            let record = Record::new(Level::Warn, "lines-dropped").number("count", count);
            line::render(style, &Zoned::now(), &record)
        };
        let writer = Writer::start(targets, Box::new(dropped))
            .map_err(|error| Failure::io("cannot start the log", &error))?;
        Ok(Self {
            style,
            level_max: options.level_max.unwrap_or(Level::Nothing),
            has_commands: options.has_commands,
            has_transfer_log,
            writer,
        })
    }

    /// Writes something that no client did.
    pub(crate) fn note(&self, record: &Record) {
        if record.level <= self.level_max && self.style.shows(record) {
            self.writer.write(LOG, line::render(self.style, &Zoned::now(), record));
        }
    }
}

/// The number of each target.
const LOG: usize = 0;
const TRANSFERS: usize = 1;

impl Events for Log {
    fn emit(&self, who: &Who, event: &Event<'_>) {
        if let Event::Transferred(transfer) = event
            && self.has_transfer_log
        {
            self.writer.write(TRANSFERS, xferlog::line(&Zoned::now(), who, transfer));
        }
        if let Some(record) = Record::of(who, event) {
            self.note(&record);
        }
    }

    fn wants_commands(&self) -> bool {
        self.has_commands && self.level_max >= Level::Info
    }
}
