//! The log: events become lines, and a thread of its own writes them.
//!
//! [`record`] makes fields of an event, [`mod@line`] a line of the fields, [`xferlog`] the classic
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
    styles: Vec<Style>,
    level_max: Level,
    has_commands: bool,
    /// The number of the transfer log among the writer's targets.
    transfers: Option<usize>,
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
    /// Starts the log.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(options: Options) -> Result<Self, Failure> {
        let styles: Vec<_> = options.outputs.iter().map(|output| output.style).collect();
        let mut targets: Vec<_> = options.outputs.into_iter().map(|output| output.target).collect();
        let transfer_log = options.transfer_log.as_ref().map(|_| targets.len());
        targets.extend(options.transfer_log);
        let style = styles.first().copied().unwrap_or(Style::Text);
        let dropped = move |count: u64| {
            let record = Record::new(Level::Warn, "lines-dropped").number("count", count);
            line::render(style, &Zoned::now(), &record)
        };
        let writer = Writer::start(targets, Box::new(dropped))
            .map_err(|error| Failure::io("cannot start the log", &error))?;
        Ok(Self {
            styles,
            level_max: options.level_max,
            has_commands: options.has_commands,
            transfers: transfer_log,
            writer,
        })
    }

    /// Writes a record, wherever it is wanted.
    pub(crate) fn note(&self, record: &Record) {
        if record.level > self.level_max {
            return;
        }
        let now = Zoned::now();
        for (number, style) in self.styles.iter().enumerate() {
            if style.shows(record) {
                self.writer.write(number, line::render(*style, &now, record));
            }
        }
    }

    /// Waits until everything up to now is written, but not for ever.
    pub(crate) fn flush(&self) {
        self.writer.flush();
    }
}

impl Events for Log {
    fn emit(&self, who: &Who, event: &Event<'_>) {
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
        self.has_commands && self.level_max >= Level::Info
    }
}
