//! Log lines about the delivery of events.

use wharf_events::programs;
use wharf_events::worker::{ProgramEnd, ProgramOutcome};
use wharf_events::{check, webhook};
use wharf_proto::path::escaped;

use crate::log::record::{Level, LogRecord};

/// Hint for events on the disk that cannot be read.
const UNREADABLE_HELP: &str = "the events stay on disk and are read again; the files below \
                               server.state_dir/webhooks must belong to the user that runs wharf \
                               (chown)";
/// Maximum length of a program's output in the log.
const OUTPUT_BYTES_MAX: usize = 1000;

/// About a program.
pub(super) fn of_program(report: &programs::ProgramReport<'_>) -> LogRecord {
    match report {
        programs::ProgramReport::Failed { program, notice, outcome, is_final } => {
            LogRecord::new(Level::Warn, "hook-failed")
                .text("hook", program)
                .text("trigger", notice.event())
                .text("id", notice.id())
                .text("reason", ending(&outcome.end))
                .text("output", output(outcome))
                .flag("final", *is_final)
        }
        programs::ProgramReport::Output { program, notice, outcome } => {
            LogRecord::new(Level::Info, "hook-output")
                .text("hook", program)
                .text("trigger", notice.event())
                .text("id", notice.id())
                .text("output", output(outcome))
        }
        programs::ProgramReport::Dropped(count) => {
            LogRecord::new(Level::Warn, "hook-events-dropped").number("count", *count)
        }
        programs::ProgramReport::Lost => LogRecord::new(Level::Error, "hook-worker-lost").text(
            "reason",
            "the process that starts programs has ended; restart wharf to run programs again",
        ),
    }
}

/// About a webhook; `url` is the part of its address that may be shown.
pub(super) fn of_webhook(url: &str, report: &webhook::WebhookReport<'_>) -> LogRecord {
    match report {
        webhook::WebhookReport::Failing { reason, .. } => {
            LogRecord::new(Level::Warn, "webhook-failing").text("url", url).text("reason", reason)
        }
        webhook::WebhookReport::Recovered { .. } => {
            LogRecord::new(Level::Info, "webhook-recovered").text("url", url)
        }
        webhook::WebhookReport::Unreadable { reason, .. } => {
            LogRecord::new(Level::Error, "webhook-spool-unreadable")
                .text("url", url)
                .text("reason", reason)
                .text("hint", UNREADABLE_HELP)
        }
        webhook::WebhookReport::Readable { .. } => {
            LogRecord::new(Level::Info, "webhook-spool-recovered").text("url", url)
        }
        webhook::WebhookReport::Damaged { reason, .. } => {
            LogRecord::new(Level::Error, "webhook-spool-damaged")
                .text("url", url)
                .text("reason", reason)
        }
        webhook::WebhookReport::GivenUp { id, reason, .. } => {
            LogRecord::new(Level::Error, "webhook-expired")
                .text("url", url)
                .text("id", id)
                .text("reason", reason)
        }
        webhook::WebhookReport::Full { reason, .. } => {
            LogRecord::new(Level::Error, "webhook-spool-full")
                .text("url", url)
                .text("reason", reason)
        }
        webhook::WebhookReport::Dropped { count, .. } => {
            LogRecord::new(Level::Error, "webhook-events-dropped")
                .text("url", url)
                .number("count", *count)
        }
    }
}

/// About the upload check.
pub(super) fn of_check(report: &check::UploadCheckReport<'_>) -> LogRecord {
    match report {
        check::UploadCheckReport::Failed { upload, id, reason, is_allowed } => {
            LogRecord::new(Level::Error, "upload-check-failed")
                .text("user", upload.user)
                .text("path", upload.path)
                .text("id", id)
                .text("reason", reason)
                .flag("published", *is_allowed)
        }
        check::UploadCheckReport::Quarantined { upload, id, place } => {
            let record = LogRecord::new(Level::Warn, "upload-quarantined")
                .text("user", upload.user)
                .text("path", upload.path)
                .text("id", id);
            match place {
                Ok(file) => record.text("file", escaped(file.as_os_str().as_encoded_bytes())),
                Err(reason) => record.text(
                    "reason",
                    format!("cannot move it to the quarantine, so it was removed: {reason}"),
                ),
            }
        }
    }
}

fn ending(end: &ProgramEnd) -> String {
    match end {
        ProgramEnd::Exited(code) => format!("exit code {code}"),
        ProgramEnd::Killed => "killed by a signal".to_owned(),
        ProgramEnd::TimedOut => "timed out".to_owned(),
        ProgramEnd::NotStarted(why) => format!("cannot start it: {why}"),
    }
}

/// Standard output and standard error, escaped.
fn output(outcome: &ProgramOutcome) -> String {
    let all = [outcome.out.trim_ascii(), outcome.err.trim_ascii()];
    let all: Vec<_> = all.into_iter().filter(|part| !part.is_empty()).collect();
    let all = all.join(&b'\n');
    escaped(all.get(..OUTPUT_BYTES_MAX).unwrap_or(&all))
}
