//! Webhooks: events kept on disk until a web server has accepted them.
//!
//! A session appends its event to a file (`spool`), which is quick and survives a crash of this
//! process. A thread reads the events in order, signs each (`sign`), and sends it (`send`), with
//! growing pauses, until it is accepted. An event accepted just before a crash may be sent twice,
//! with the same id.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wharf_core::lock;

use crate::Notice;
use crate::clock::unix_millis;

#[cfg_attr(feature = "webhooks", path = "webhook/send.rs")]
#[cfg_attr(not(feature = "webhooks"), path = "webhook/send_disabled.rs")]
mod send;
pub mod sign;
mod spool;

use send::{DeliveryResult, Sender};
use spool::{Appended, AtEnd, Spool, SpoolHead, Spooled, has_events};

/// The longest pause between two attempts.
const RETRY_PAUSE_MAX: Duration = Duration::from_mins(5);
/// Attempts for an event that the server rejects as invalid, before it is given up.
const REJECTIONS_MAX: u32 = 5;
/// The longest pause before an unreadable spool is read again: the cause, such as too many open
/// files, may be over soon.
const READ_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Spools of one web server: one for each serving process, and those left by ended processes.
const SPOOLS_MAX: usize = 8;
/// The interval of checks for events left by other processes.
const ORPHAN_CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Where and how events are sent.
#[derive(Clone)]
pub struct WebhookSettings {
    /// `https://…` or `http://…`.
    pub url: String,
    /// The secret that signs requests; empty for none.
    pub secret: Vec<u8>,
    /// CA certificates to trust instead of the system's, as PEM.
    pub authorities: Option<Vec<u8>>,
    /// From the start of a request to its response.
    pub time_max: Duration,
    /// The pause before the second attempt; it doubles up to five minutes.
    pub pause: Duration,
    /// The age after which an event is given up at its next failure. It counts from the event, also
    /// across restarts.
    pub give_up_after: Duration,
    /// The most bytes that wait; further events are dropped.
    pub spool_bytes_max: u64,
    /// The folder of all spools; each has a subfolder named after its address.
    pub folder: PathBuf,
    /// The `User-Agent` of requests.
    pub agent: String,
}

impl std::fmt::Debug for WebhookSettings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("WebhookSettings").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Reports for the administrator.
#[derive(Debug)]
pub enum WebhookReport<'a> {
    /// An event was not accepted and will be sent again. Reported for the first of consecutive
    /// failures.
    Failing {
        /// The web server.
        url: &'a str,
        /// The reason.
        reason: &'a str,
    },
    /// Events are accepted again.
    Recovered {
        /// The web server.
        url: &'a str,
    },
    /// Events on disk cannot be read now; they are kept and read again later. Reported for the
    /// first of consecutive failures.
    Unreadable {
        /// The web server.
        url: &'a str,
        /// The error.
        reason: &'a str,
    },
    /// Events on disk can be read again.
    Readable {
        /// The web server.
        url: &'a str,
    },
    /// The spool has invalid or missing data; events may have been lost.
    Damaged {
        /// The web server.
        url: &'a str,
        /// What is damaged.
        reason: &'a str,
    },
    /// An event was given up.
    GivenUp {
        /// The web server.
        url: &'a str,
        /// The id of the event.
        id: &'a str,
        /// The reason.
        reason: &'a str,
    },
    /// Events cannot be kept; reported for the first of consecutive ones.
    Full {
        /// The web server.
        url: &'a str,
        /// The reason.
        reason: &'a str,
    },
    /// Events can be kept again; this many were dropped.
    Dropped {
        /// The web server.
        url: &'a str,
        /// The number of dropped events.
        count: u64,
    },
}

/// Receives reports. It is called on a thread of this crate or of a session, and must not block.
pub type WebhookReportFn = Arc<dyn Fn(&WebhookReport<'_>) + Send + Sync>;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhookCounts {
    /// Events accepted by the server.
    pub delivered: u64,
    /// Failed attempts.
    pub retried: u64,
    /// Events given up.
    pub given_up: u64,
    /// Events dropped because the spool was full.
    pub dropped: u64,
    /// Failures to read the spool; it was read again later.
    pub read_errors: u64,
    /// Damaged parts of the spool that were skipped.
    pub damaged: u64,
    /// Bytes that wait on disk.
    pub spooled_bytes: u64,
}

/// One web server that gets events.
#[derive(Clone)]
pub struct Webhook {
    shared: Arc<WebhookState>,
}

struct WebhookState {
    settings: WebhookSettings,
    sender: Sender,
    spool: Spool,
    /// Spools of ended processes, while their events are sent.
    orphaned: Mutex<Vec<Arc<Spool>>>,
    on_report: WebhookReportFn,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Webhook").field("settings", &self.shared.settings).finish()
    }
}

/// A webhook with its certificates, before privileges are dropped.
pub struct PreparedWebhook {
    settings: WebhookSettings,
    sender: Sender,
    on_report: WebhookReportFn,
}

impl std::fmt::Debug for PreparedWebhook {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("PreparedWebhook")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl PreparedWebhook {
    /// Reads the CA certificates.
    ///
    /// # Errors
    /// What cannot be read, in a sentence.
    pub fn new(settings: WebhookSettings, on_report: WebhookReportFn) -> Result<Self, String> {
        let sender = Sender::new(&settings)?;
        Ok(Self { settings, sender, on_report })
    }

    /// Opens the spool. Privileges must have been dropped before: the server's user opens the
    /// spool's files again later. Events are kept from now on, and sent from [`Webhook::begin`] on.
    ///
    /// # Errors
    /// The spool cannot be opened; in a sentence.
    pub fn open(self) -> Result<Webhook, String> {
        let Self { settings, sender, on_report } = self;
        for folder in settings.spool_folders() {
            let spool = match Spool::open(&folder, settings.spool_bytes_max, AtEnd::Wait) {
                Ok(spool) => spool,
                // The previous server may still serve its last sessions.
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => {
                    return Err(format!("cannot use the folder {}: {error}", folder.display()));
                }
            };
            let orphaned = Mutex::default();
            return Ok(Webhook {
                shared: Arc::new(WebhookState { settings, sender, spool, orphaned, on_report }),
            });
        }
        Err(format!("{SPOOLS_MAX} other processes use its folders"))
    }
}

impl Webhook {
    /// Starts the thread that sends.
    ///
    /// # Errors
    /// The system gives none.
    pub fn begin(&self) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        start(move || shared.send_all(&shared.spool))?;
        let shared = Arc::clone(&self.shared);
        start(move || send_orphaned(&shared))
    }

    /// Stores an event until it is accepted. The operating system has it when this returns.
    pub fn store(&self, notice: &Notice) {
        let WebhookState { spool, on_report, settings, .. } = &*self.shared;
        let url = settings.url.as_str();
        let line =
            format!("{} {} {} {}\n", unix_millis(), notice.id(), notice.event(), notice.body());
        match spool.append(line.as_bytes()) {
            Appended::Whole | Appended::Lost(None) => {}
            Appended::After(count) => on_report(&WebhookReport::Dropped { url, count }),
            Appended::Lost(Some(reason)) => {
                on_report(&WebhookReport::Full { url, reason: &reason });
            }
        }
    }

    /// Counts since the start.
    pub fn counts(&self) -> WebhookCounts {
        let mut counts = self.shared.spool.counts();
        for spool in &*self.shared.orphaned() {
            counts.spooled_bytes =
                counts.spooled_bytes.saturating_add(spool.counts().spooled_bytes);
        }
        counts
    }

    /// The folder of its spool.
    pub fn folder(&self) -> &Path {
        self.shared.spool.folder()
    }

    /// Gives running requests a moment to finish; the rest stays on disk for the next start.
    pub fn close(&self, within: Duration) {
        let count = self.shared.spool.close(within);
        for spool in &*self.shared.orphaned() {
            spool.close(Duration::ZERO);
        }
        if count > 0 {
            (self.shared.on_report)(&WebhookReport::Dropped {
                url: &self.shared.settings.url,
                count,
            });
        }
    }
}

impl WebhookSettings {
    /// The possible spool folders; the first that no other process has locked is used.
    fn spool_folders(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let first = self.folder.join(sign::folder_name(&self.url));
        let others = (2..=SPOOLS_MAX).map({
            let first = first.clone();
            move |number| {
                let mut name = first.clone().into_os_string();
                name.push(format!("-{number}"));
                PathBuf::from(name)
            }
        });
        std::iter::once(first).chain(others)
    }
}

fn start(act: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name("webhook".to_owned()).spawn(act).map(drop)
}

/// Sends the events left by ended processes, until this one ends.
fn send_orphaned(shared: &Arc<WebhookState>) {
    loop {
        for folder in shared.settings.spool_folders() {
            if folder == shared.spool.folder() || !has_events(&folder) {
                continue;
            }
            // A spool that is locked, or cannot be opened now, is tried again later.
            let bytes_max = shared.settings.spool_bytes_max;
            let Ok(spool) = Spool::open(&folder, bytes_max, AtEnd::Close) else { continue };
            let spool = Arc::new(spool);
            shared.orphaned().push(Arc::clone(&spool));
            let sharing = Arc::clone(shared);
            let sent = Arc::clone(&spool);
            let begun = start(move || {
                sharing.send_all(&sent);
                sharing.orphaned().retain(|one| !Arc::ptr_eq(one, &sent));
            });
            if begun.is_err() {
                shared.orphaned().retain(|one| !Arc::ptr_eq(one, &spool));
            }
        }
        if !shared.spool.stays_open(ORPHAN_CHECK_INTERVAL) {
            return;
        }
    }
}

/// What was reported last.
#[derive(Default)]
struct LastReports {
    is_failing: bool,
    /// Consecutive failures to read the spool.
    unread: u32,
}

impl WebhookState {
    fn orphaned(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Spool>>> {
        lock(&self.orphaned)
    }

    fn send_all(&self, spool: &Spool) {
        let url = self.settings.url.as_str();
        let mut reported = LastReports::default();
        loop {
            match spool.next() {
                SpoolHead::Event(spooled) => {
                    if std::mem::take(&mut reported.unread) > 0 {
                        (self.on_report)(&WebhookReport::Readable { url });
                    }
                    if !self.deliver(spool, &spooled, &mut reported) {
                        return;
                    }
                }
                SpoolHead::Unreadable(reason) => {
                    self.spool.count(|counts| counts.read_errors += 1);
                    if reported.unread == 0 {
                        (self.on_report)(&WebhookReport::Unreadable { url, reason: &reason });
                    }
                    reported.unread = reported.unread.saturating_add(1);
                    let pause = pause(self.settings.pause, reported.unread).min(READ_PAUSE_MAX);
                    if !spool.rest(pause) {
                        return;
                    }
                }
                SpoolHead::Damaged(reason) => {
                    self.spool.count(|counts| counts.damaged += 1);
                    (self.on_report)(&WebhookReport::Damaged { url, reason: &reason });
                }
                SpoolHead::Closed => return,
            }
        }
    }

    /// Sends one event until it is accepted or given up; returns whether the spool is still open.
    fn deliver(&self, spool: &Spool, spooled: &Spooled, reported: &mut LastReports) -> bool {
        let url = self.settings.url.as_str();
        let (mut failures, mut rejections) = (0, 0);
        while let Err(failed) = self.attempt(spooled) {
            failures += 1;
            rejections = if failed.is_rejected { rejections + 1 } else { 0 };
            if self.is_given_up(spooled, rejections, unix_millis()) {
                let (id, reason) = (spooled.id.as_str(), failed.reason.as_str());
                (self.on_report)(&WebhookReport::GivenUp { url, id, reason });
                self.spool.count(|counts| counts.given_up += 1);
                spool.done(spooled);
                return true;
            }
            if !std::mem::replace(&mut reported.is_failing, true) {
                (self.on_report)(&WebhookReport::Failing { url, reason: &failed.reason });
            }
            self.spool.count(|counts| counts.retried += 1);
            if !spool.rest(pause(self.settings.pause, failures)) {
                return false;
            }
        }
        spool.done(spooled);
        if std::mem::take(&mut reported.is_failing) {
            (self.on_report)(&WebhookReport::Recovered { url });
        }
        true
    }

    fn attempt(&self, spooled: &Spooled) -> Result<(), FailedAttempt> {
        let time = unix_millis() / 1000;
        let signature = (!self.settings.secret.is_empty())
            .then(|| sign::header(&self.settings.secret, time, &spooled.body));
        match self.sender.send(spooled, signature.as_deref()) {
            DeliveryResult::Accepted => {
                self.spool.count(|counts| counts.delivered += 1);
                Ok(())
            }
            DeliveryResult::Rejected(reason) => Err(FailedAttempt { reason, is_rejected: true }),
            DeliveryResult::Retry(reason) => Err(FailedAttempt { reason, is_rejected: false }),
        }
    }

    /// `rejections`: how often in a row the server rejected the event as invalid.
    fn is_given_up(&self, spooled: &Spooled, rejections: u32, millis: u64) -> bool {
        let age = Duration::from_millis(millis.saturating_sub(spooled.millis));
        rejections >= REJECTIONS_MAX || age >= self.settings.give_up_after
    }
}

/// A failed attempt.
struct FailedAttempt {
    reason: String,
    /// The server rejects the event as invalid.
    is_rejected: bool,
}

/// Half of the pause is random, so that many servers do not retry at the same moment.
fn pause(first: Duration, failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(20));
    let whole = first.saturating_mul(factor).min(RETRY_PAUSE_MAX);
    let chance = getrandom::u32().map_or(0, |number| number % 1000);
    whole / 2 + whole.saturating_mul(chance) / 2000
}

#[cfg(test)]
mod pause_tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes_and_half_of_each_is_chance() {
        let first = Duration::from_secs(1);
        for (failures, seconds) in [(1, 1), (2, 2), (5, 16), (60, 300)] {
            let whole = Duration::from_secs(seconds);
            for _ in 0..50 {
                let pause = pause(first, failures);
                assert!(pause >= whole / 2 && pause <= whole, "{failures}: {pause:?}");
            }
        }
    }
}
