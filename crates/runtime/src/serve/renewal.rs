//! Watches the certificate files: a renewed certificate is used without a reload.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::Builder as Thread;
use std::time::Duration;

use wharf_config::Config;
use wharf_users::file::{Stamp, stamp};

use super::reload::{CertificateReload, Reloader};
use crate::certificate::CertificateSummary;
use crate::log::record::{Level, LogRecord};

/// How often the files are checked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Two files cannot be renewed at the same moment, and some programs write slowly: a certificate
/// and key that do not match are reported only after this many checks.
const CHECKS_BEFORE_WARNING: u32 = 5;

/// Checks the files on a separate thread, until it is dropped.
pub(super) struct Renewal {
    _end: Sender<()>,
}

impl Renewal {
    /// Starts the thread.
    pub(super) fn start(reloader: Arc<Reloader>) -> Self {
        let (end, ended) = channel();
        let mut watch = Watch::default();
        let poll = move || {
            while ended.recv_timeout(POLL_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                watch.poll(&reloader);
            }
        };
        // Without the thread a reload is needed.
        let _ = Thread::new().name("renewal".to_owned()).spawn(poll);
        Self { _end: end }
    }
}

/// The stamps of chain and key; `None` for a missing file.
type FileStamps = [Option<Stamp>; 2];

/// The state of the checks.
#[derive(Debug, Default)]
struct Watch {
    /// The stamps of the last valid pair.
    good: Option<FileStamps>,
    /// The number of failed checks since.
    failed_checks: u32,
}

impl Watch {
    fn poll(&mut self, reloader: &Reloader) {
        let Some(stamps) = stamps(&reloader.in_force().config) else { return };
        if self.good == Some(stamps) {
            return;
        }
        match reloader.renew_certificate() {
            // The stamps are taken before reading, so that concurrent changes are found next time.
            Ok(renewed) => {
                if let CertificateReload::Served(facts) = renewed {
                    reloader.log.note(&record_of(&facts));
                }
                *self = Self { good: Some(stamps), failed_checks: 0 };
            }
            Err(failure) => {
                self.failed_checks = self.failed_checks.saturating_add(1);
                if self.failed_checks == CHECKS_BEFORE_WARNING {
                    let record = LogRecord::new(Level::Error, "certificate-reload-failed")
                        .text("reason", &failure.message)
                        .text("hint", failure.hint.as_deref().unwrap_or_default());
                    reloader.log.note(&record);
                }
            }
        }
    }
}

/// The stamps of the files, following symbolic links, if any are configured.
fn stamps(config: &Config) -> Option<FileStamps> {
    let files = [config.tls.certificate.0.as_ref()?, config.tls.private_key.0.as_ref()?];
    Some(files.map(|file| stamp(file).ok()))
}

fn record_of(facts: &CertificateSummary) -> LogRecord {
    let record =
        LogRecord::new(Level::Info, "certificate-reloaded").text("names", facts.names.join(" "));
    let record = record.text("fingerprint", facts.shown_fingerprint());
    match facts.not_after {
        Some(end) => record.text("not_after", end),
        None => record,
    }
}
