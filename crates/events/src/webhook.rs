//! Events for web servers: kept on disk until they are taken.
//!
//! A session appends its event to a file (`spool`), which is quick and outlives a crash of this
//! process; a thread takes the events out in their order, signs each (`sign`), and sends it
//! (`send`), again and again with growing pauses until it is taken. What was taken just before a
//! crash may be sent twice, under the same number.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Notice;
use crate::clock::unix_millis;

#[cfg_attr(feature = "webhooks", path = "webhook/send.rs")]
#[cfg_attr(not(feature = "webhooks"), path = "webhook/send_never.rs")]
mod send;
pub mod sign;
mod spool;

use send::{Answer, Sender};
use spool::{AtEnd, Kept, Next, Spool, Spooled, has_events};

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// How often an event is sent to a server that says it is wrong, before it is given up.
const WRONG_MAX: u32 = 5;
/// The longest pause before a spool that could not be read is read again: the cause, such as too
/// many open files, is one of this computer and may be over soon.
const READ_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Spools of one web server at most: that of each process that serves, and those left behind.
const SPOOLS_MAX: usize = 8;
/// How often it is looked whether another process has left events behind.
const ADOPT_EVERY: Duration = Duration::from_secs(30);

/// Where events go.
#[derive(Clone)]
pub struct Settings {
    /// `https://…` or `http://…`.
    pub url: String,
    /// What requests are signed with; empty: they are not.
    pub secret: Vec<u8>,
    /// Certificates of authorities to trust instead of the system's, as PEM.
    pub authorities: Option<Vec<u8>>,
    /// From the start of a request to its answer.
    pub time_max: Duration,
    /// The pause before the second try; each further one is twice as long, five minutes at most.
    pub pause: Duration,
    /// How old an event is that is given up after one more failure. It counts from the event, also
    /// through restarts.
    pub patience: Duration,
    /// Bytes that wait at most; what comes then is dropped.
    pub spool_bytes_max: u64,
    /// The folder of all spools; each has one in it, named after its address.
    pub folder: PathBuf,
    /// What the program calls itself in requests.
    pub agent: String,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Settings").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What the operator should know.
#[derive(Debug)]
pub enum Report<'a> {
    /// An event was not taken; it will be sent again. Told for the first failure in a row.
    Failing {
        /// Where it was to go.
        url: &'a str,
        /// Why not.
        reason: &'a str,
    },
    /// Events are taken again: reported at the first that is.
    Recovered {
        /// By whom.
        url: &'a str,
    },
    /// Events on the disk cannot be read now; they are kept and read again later. Reported for
    /// the first failure in a row.
    Unreadable {
        /// Where they are to go.
        url: &'a str,
        /// What the system says.
        reason: &'a str,
    },
    /// Events on the disk can be read again.
    Readable {
        /// Where they are to go.
        url: &'a str,
    },
    /// Something on the disk is no event any more, or is gone; events may have been lost with it.
    Damaged {
        /// Where they were to go.
        url: &'a str,
        /// What it is.
        reason: &'a str,
    },
    /// An event was given up.
    GivenUp {
        /// Where it was to go.
        url: &'a str,
        /// Its number.
        id: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// There is no room for events; told for the first in a row.
    Full {
        /// Where they were to go.
        url: &'a str,
        /// Why there is none.
        reason: &'a str,
    },
    /// There is room again, and so many were dropped.
    Dropped {
        /// Where they were to go.
        url: &'a str,
        /// How many.
        count: u64,
    },
}

/// Who takes reports. It is called on a thread of ours, or that of a session, and may not wait.
pub type Tell = Arc<dyn Fn(&Report<'_>) + Send + Sync>;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that were taken.
    pub delivered: u64,
    /// Tries that failed.
    pub retried: u64,
    /// Events that were given up.
    pub given_up: u64,
    /// Events that found no room.
    pub dropped: u64,
    /// Times that events on the disk could not be read; they were read again later.
    pub read_errors: u64,
    /// Times that something on the disk was no event any more.
    pub damaged: u64,
    /// Bytes that wait on the disk.
    pub spooled_bytes: u64,
}

/// One web server that is told of events.
#[derive(Clone)]
pub struct Webhook {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    sender: Sender,
    spool: Spool,
    /// Spools of processes that have ended, while their events are sent.
    adopted: Mutex<Vec<Arc<Spool>>>,
    tell: Tell,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Webhook").field("settings", &self.shared.settings).finish()
    }
}

/// A web server that will be told of events: all of it that takes the rights of the start.
pub struct Prepared {
    settings: Settings,
    sender: Sender,
    tell: Tell,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Prepared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Prepared {
    /// Reads certificates.
    ///
    /// # Errors
    /// What cannot be read, in a sentence.
    pub fn new(settings: Settings, tell: Tell) -> Result<Self, String> {
        let sender = Sender::new(&settings)?;
        Ok(Self { settings, sender, tell })
    }

    /// Opens the spool. The process must have become the user that serves: that user opens the
    /// spool's files again and again. Events are kept from now on, and sent from
    /// [`Webhook::begin`] on.
    ///
    /// # Errors
    /// The spool cannot be opened; in a sentence.
    pub fn open(self) -> Result<Webhook, String> {
        let Self { settings, sender, tell } = self;
        for folder in settings.spool_folders() {
            let spool = match Spool::open(&folder, settings.spool_bytes_max, AtEnd::Wait) {
                Ok(spool) => spool,
                // A server that was there before still serves its last sessions.
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => {
                    return Err(format!("cannot use the folder {}: {error}", folder.display()));
                }
            };
            let adopted = Mutex::default();
            return Ok(Webhook {
                shared: Arc::new(Shared { settings, sender, spool, adopted, tell }),
            });
        }
        Err(format!("{SPOOLS_MAX} other processes keep events for it"))
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
        start(move || adopt_all(&shared))
    }

    /// Keeps an event until it is taken. It is with the operating system when this returns.
    pub fn keep(&self, notice: &Notice) {
        let Shared { spool, tell, settings, .. } = &*self.shared;
        let url = settings.url.as_str();
        let line =
            format!("{} {} {} {}\n", unix_millis(), notice.id(), notice.event(), notice.body());
        match spool.append(line.as_bytes()) {
            Kept::Whole | Kept::Lost(None) => {}
            Kept::After(count) => tell(&Report::Dropped { url, count }),
            Kept::Lost(Some(reason)) => tell(&Report::Full { url, reason: &reason }),
        }
    }

    /// Counts since the start.
    pub fn counts(&self) -> Counts {
        let mut counts = self.shared.spool.counts();
        for spool in &*self.shared.adopted() {
            counts.spooled_bytes =
                counts.spooled_bytes.saturating_add(spool.counts().spooled_bytes);
        }
        counts
    }

    /// Where its spool is.
    pub fn folder(&self) -> &Path {
        self.shared.spool.folder()
    }

    /// Waits a moment for what is being sent; the rest stays on disk for the next start.
    pub fn close(&self, within: Duration) {
        let count = self.shared.spool.close(within);
        for spool in &*self.shared.adopted() {
            spool.close(Duration::ZERO);
        }
        if count > 0 {
            (self.shared.tell)(&Report::Dropped { url: &self.shared.settings.url, count });
        }
    }
}

impl Settings {
    /// Where a process may keep events for it: in the first folder that no other one has.
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

/// Sends what processes that have ended left behind, until the end of this one.
fn adopt_all(shared: &Arc<Shared>) {
    loop {
        for folder in shared.settings.spool_folders() {
            if folder == shared.spool.folder() || !has_events(&folder) {
                continue;
            }
            // One that a process still has, or that cannot be opened now, is tried again later.
            let bytes_max = shared.settings.spool_bytes_max;
            let Ok(spool) = Spool::open(&folder, bytes_max, AtEnd::Close) else { continue };
            let spool = Arc::new(spool);
            shared.adopted().push(Arc::clone(&spool));
            let sharing = Arc::clone(shared);
            let sent = Arc::clone(&spool);
            let begun = start(move || {
                sharing.send_all(&sent);
                sharing.adopted().retain(|one| !Arc::ptr_eq(one, &sent));
            });
            if begun.is_err() {
                shared.adopted().retain(|one| !Arc::ptr_eq(one, &spool));
            }
        }
        if !shared.spool.stays_open(ADOPT_EVERY) {
            return;
        }
    }
}

/// What was reported last.
#[derive(Default)]
struct Reported {
    is_failing: bool,
    /// How often in a row the spool could not be read.
    unread: u32,
}

impl Shared {
    fn adopted(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Spool>>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_all(&self, spool: &Spool) {
        let url = self.settings.url.as_str();
        let mut reported = Reported::default();
        loop {
            match spool.next() {
                Next::Event(spooled) => {
                    if std::mem::take(&mut reported.unread) > 0 {
                        (self.tell)(&Report::Readable { url });
                    }
                    if !self.deliver(spool, &spooled, &mut reported) {
                        return;
                    }
                }
                Next::Unreadable(reason) => {
                    self.spool.count(|counts| counts.read_errors += 1);
                    if reported.unread == 0 {
                        (self.tell)(&Report::Unreadable { url, reason: &reason });
                    }
                    reported.unread = reported.unread.saturating_add(1);
                    let pause = pause(self.settings.pause, reported.unread).min(READ_PAUSE_MAX);
                    if !spool.rest(pause) {
                        return;
                    }
                }
                Next::Damaged(reason) => {
                    self.spool.count(|counts| counts.damaged += 1);
                    (self.tell)(&Report::Damaged { url, reason: &reason });
                }
                Next::Closed => return,
            }
        }
    }

    /// Sends one event until it is taken or given up; whether the spool is still open then.
    fn deliver(&self, spool: &Spool, spooled: &Spooled, reported: &mut Reported) -> bool {
        let url = self.settings.url.as_str();
        let (mut failures, mut wrong) = (0, 0);
        while let Err(failed) = self.attempt(spooled) {
            failures += 1;
            wrong = if failed.is_wrong { wrong + 1 } else { 0 };
            if self.is_hopeless(spooled, wrong, unix_millis()) {
                let (id, reason) = (spooled.id.as_str(), failed.reason.as_str());
                (self.tell)(&Report::GivenUp { url, id, reason });
                self.spool.count(|counts| counts.given_up += 1);
                spool.done(spooled);
                return true;
            }
            if !std::mem::replace(&mut reported.is_failing, true) {
                (self.tell)(&Report::Failing { url, reason: &failed.reason });
            }
            self.spool.count(|counts| counts.retried += 1);
            if !spool.rest(pause(self.settings.pause, failures)) {
                return false;
            }
        }
        spool.done(spooled);
        if std::mem::take(&mut reported.is_failing) {
            (self.tell)(&Report::Recovered { url });
        }
        true
    }

    fn attempt(&self, spooled: &Spooled) -> Result<(), Failed> {
        let time = unix_millis() / 1000;
        let signature = (!self.settings.secret.is_empty())
            .then(|| sign::header(&self.settings.secret, time, &spooled.body));
        match self.sender.send(spooled, signature.as_deref()) {
            Answer::Taken => {
                self.spool.count(|counts| counts.delivered += 1);
                Ok(())
            }
            Answer::Wrong(reason) => Err(Failed { reason, is_wrong: true }),
            Answer::Later(reason) => Err(Failed { reason, is_wrong: false }),
        }
    }

    /// `wrong`: how often in a row the server said that the event is wrong.
    fn is_hopeless(&self, spooled: &Spooled, wrong: u32, millis: u64) -> bool {
        let age = Duration::from_millis(millis.saturating_sub(spooled.millis));
        wrong >= WRONG_MAX || age >= self.settings.patience
    }
}

/// A try that failed.
struct Failed {
    reason: String,
    /// The server says that the event itself is wrong.
    is_wrong: bool,
}

/// Half of it is left to chance, so that many servers do not come back at once.
fn pause(first: Duration, failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(20));
    let whole = first.saturating_mul(factor).min(PAUSE_MAX);
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
