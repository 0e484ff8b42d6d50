//! What became of events, as lines of the log.

use wharf_events::programs;
use wharf_events::worker::{End, Outcome};
use wharf_events::{check, webhook};
use wharf_proto::path::escaped;

use crate::log::record::{Level, Record};

/// What to do about events on the disk that cannot be read.
const UNREADABLE_HELP: &str = "the events stay on disk and are read again; the files below \
     server.state_dir/webhooks must belong to the user that serves (chown)";
/// What is shown of a program's words.
const OUTPUT_BYTES_MAX: usize = 1000;

/// Of a program.
pub(super) fn of_program(report: &programs::Report<'_>) -> Record {
    match report {
        programs::Report::Failed { program, notice, outcome, is_final } => {
            Record::new(Level::Warn, "program-failed")
                .text("program", program)
                .text("told", notice.event())
                .text("id", notice.id())
                .text("reason", ending(&outcome.end))
                .text("output", output(outcome))
                .flag("final", *is_final)
        }
        programs::Report::Said { program, notice, outcome } => {
            Record::new(Level::Info, "program-said")
                .text("program", program)
                .text("told", notice.event())
                .text("id", notice.id())
                .text("output", output(outcome))
        }
        programs::Report::Dropped(count) => {
            Record::new(Level::Warn, "events-dropped").number("count", *count)
        }
        programs::Report::Lost => Record::new(Level::Error, "programs-lost").text(
            "reason",
            "the process that starts programs is gone; no program is started until a restart",
        ),
    }
}

/// Of a web server, by what of its address may be shown.
pub(super) fn of_webhook(url: &str, report: &webhook::Report<'_>) -> Record {
    match report {
        webhook::Report::Failing { reason, .. } => {
            Record::new(Level::Warn, "webhook-failing").text("url", url).text("reason", reason)
        }
        webhook::Report::Recovered { .. } => {
            Record::new(Level::Info, "webhook-recovered").text("url", url)
        }
        webhook::Report::Unreadable { reason, .. } => {
            Record::new(Level::Error, "webhook-unreadable")
                .text("url", url)
                .text("reason", reason)
                .text("hint", UNREADABLE_HELP)
        }
        webhook::Report::Readable { .. } => {
            Record::new(Level::Info, "webhook-readable").text("url", url)
        }
        webhook::Report::Damaged { reason, .. } => {
            Record::new(Level::Error, "webhook-damaged").text("url", url).text("reason", reason)
        }
        webhook::Report::GivenUp { id, reason, .. } => Record::new(Level::Error, "webhook-gave-up")
            .text("url", url)
            .text("id", id)
            .text("reason", reason),
        webhook::Report::Full { reason, .. } => {
            Record::new(Level::Error, "webhook-full").text("url", url).text("reason", reason)
        }
        webhook::Report::Dropped { count, .. } => {
            Record::new(Level::Error, "webhook-dropped").text("url", url).number("count", *count)
        }
    }
}

/// Of a check before publishing.
pub(super) fn of_check(report: &check::Report<'_>) -> Record {
    match report {
        check::Report::Failed { upload, id, reason, is_allowed } => {
            Record::new(Level::Error, "upload-unchecked")
                .text("user", upload.user)
                .text("path", upload.path)
                .text("id", id)
                .text("reason", reason)
                .flag("allowed", *is_allowed)
        }
        check::Report::Aside { upload, id, place } => {
            let record = Record::new(Level::Warn, "quarantined")
                .text("user", upload.user)
                .text("path", upload.path)
                .text("id", id);
            match place {
                Ok(file) => record.text("file", escaped(file.as_os_str().as_encoded_bytes())),
                Err(reason) => record.text("reason", format!("it was removed instead: {reason}")),
            }
        }
    }
}

fn ending(end: &End) -> String {
    match end {
        End::Exited(code) => format!("it ended with {code}"),
        End::Killed => "it was killed".to_owned(),
        End::TimedOut => "it took too long".to_owned(),
        End::NotStarted(why) => format!("it cannot be started: {why}"),
    }
}

/// Both outputs, escaped.
fn output(outcome: &Outcome) -> String {
    let all = [outcome.out.trim_ascii(), outcome.err.trim_ascii()];
    let all: Vec<_> = all.into_iter().filter(|part| !part.is_empty()).collect();
    let all = all.join(&b'\n');
    escaped(all.get(..OUTPUT_BYTES_MAX).unwrap_or(&all))
}
