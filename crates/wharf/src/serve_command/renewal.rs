//! The files of the certificate, looked at while clients are served: whoever renews them need not
//! tell anybody.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::Builder as Thread;
use std::time::Duration;

use wharf_users::file::{Stamp, stamp};

use super::reload::{Reloader, Renewed};
use crate::certificate::Facts;
use crate::config::Config;
use crate::log::record::{Level, Record};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Two files are never renewed at the same moment, and some programs write slowly: a pair that does
/// not fit together is told of only when it has stayed so for this many looks.
const LOOKS_BEFORE_TELLING: u32 = 5;

/// Looks at the files on a thread of its own, until it is dropped.
pub(super) struct Renewal {
    _end: Sender<()>,
}

impl Renewal {
    /// Begins to look.
    pub(super) fn start(reloader: Arc<Reloader>) -> Self {
        let (end, ended) = channel();
        let mut watch = Watch::default();
        let look = move || {
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                watch.look(&reloader);
            }
        };
        // Without a thread a reload is needed, as it is where the files have other names.
        let _ = Thread::new().name("renewal".to_owned()).spawn(look);
        Self { _end: end }
    }
}

/// Of the chain and of the key; nothing for one that is not there.
type Stamps = [Option<Stamp>; 2];

/// What was seen of the files.
#[derive(Debug, Default)]
struct Watch {
    /// When they were last found to be a pair, or to be what is served already.
    good: Option<Stamps>,
    /// How often they have not been, since.
    bad_looks: u32,
}

impl Watch {
    fn look(&mut self, reloader: &Reloader) {
        let Some(stamps) = stamps(&reloader.in_force().config) else { return };
        if self.good == Some(stamps) {
            return;
        }
        match reloader.renew_certificate() {
            // The stamps are from before the reading: what changes meanwhile is seen next time.
            Ok(renewed) => {
                if let Renewed::Served(facts) = renewed {
                    reloader.log.note(&told(&facts));
                }
                *self = Self { good: Some(stamps), bad_looks: 0 };
            }
            Err(failure) => {
                self.bad_looks = self.bad_looks.saturating_add(1);
                if self.bad_looks == LOOKS_BEFORE_TELLING {
                    let record = Record::new(Level::Error, "certificate-unusable")
                        .text("reason", &failure.message)
                        .text("hint", failure.help.as_deref().unwrap_or_default());
                    reloader.log.note(&record);
                }
            }
        }
    }
}

/// Of the files behind all links, if the configuration names any.
fn stamps(config: &Config) -> Option<Stamps> {
    let files = [config.tls.certificate.0.as_ref()?, config.tls.private_key.0.as_ref()?];
    Some(files.map(|file| stamp(file).ok()))
}

fn told(facts: &Facts) -> Record {
    let record =
        Record::new(Level::Info, "certificate-renewed").text("names", facts.names.join(" "));
    let record = record.text("fingerprint", facts.shown_fingerprint());
    match facts.not_after {
        Some(end) => record.text("not_after", end),
        None => record,
    }
}
