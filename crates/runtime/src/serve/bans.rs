//! Stores the bans and counters of the login throttle in a file, which `wharf ban` may change
//! concurrently.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use ipnet::IpNet;
use wharf_config::outcome::plain;
use wharf_server::Handle;
use wharf_server::auth_throttle::{Ban, ThrottleSnapshot};
use wharf_users::file::Stamp;

use crate::ban_file::{BanFile, Locked, sort};
use crate::log::Log;
use crate::log::record::{Level, LogRecord};

/// How often the file is checked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Minimum number of checks between writes: a flood of login attempts must not cause a flood of
/// writes.
const POLLS_BEFORE_WRITING: u32 = 5;

/// An invalid file is renamed after this many checks: an editor has finished by then.
const POLLS_BEFORE_REJECTING: u32 = 5;
/// Number of written versions that are remembered, for editors that started from one of them.
const WRITINGS_MAX: usize = 16;

/// Synchronises the file on a separate thread. Dropping it writes the file a last time.
pub(super) struct BanFileWriter {
    sender: Sender<BanFileRequest>,
    thread: Option<JoinHandle<()>>,
}

/// A request to the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BanFileRequest {
    /// Write changes immediately.
    Write,
    /// Write a last time and exit.
    End,
}

/// Writes bans without delay: manual bans must survive a crash.
pub(super) struct BanFileHandle(Sender<BanFileRequest>);

impl BanFileHandle {
    pub(super) fn write(&self) {
        // Without the thread, bans are not stored.
        let _ = self.0.send(BanFileRequest::Write);
    }
}

impl BanFileWriter {
    /// Loads the file, and synchronises it from then on.
    pub(super) fn start(file: BanFile, handle: Handle, log: Arc<Log>) -> Self {
        let mut sync = BanFileSync::new(file, handle, log);
        sync.begin();
        let (sender, wishes) = channel();
        let keep = move || loop {
            let wish = wishes.recv_timeout(POLL_INTERVAL);
            let is_last =
                matches!(wish, Ok(BanFileRequest::End) | Err(RecvTimeoutError::Disconnected));
            sync.poll(is_last || wish == Ok(BanFileRequest::Write), is_last);
            if is_last {
                return;
            }
        };
        // Without the thread, bans are not stored.
        let thread = Builder::new().name("bans".into()).spawn(keep).ok();
        Self { sender, thread }
    }

    /// A handle for manual bans.
    pub(super) fn ban_file(&self) -> BanFileHandle {
        BanFileHandle(self.sender.clone())
    }
}

impl Drop for BanFileWriter {
    fn drop(&mut self) {
        let _ = self.sender.send(BanFileRequest::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Merges the throttle's state and the file.
struct BanFileSync {
    file: BanFile,
    handle: Handle,
    log: Arc<Log>,
    /// The stamp of the file when it was last read.
    stamp: Option<Stamp>,
    /// The version of the throttle's state when it was last written.
    version: u64,
    /// The common content at that time.
    base: ThrottleSnapshot,
    /// The number of the last write, and the content of the last few.
    revision: u64,
    written: VecDeque<(u64, ThrottleSnapshot)>,
    /// The stamp of the file at the last check, and how often it has been invalid since.
    seen: Option<Stamp>,
    failed_checks: u32,
    polls: u32,
    has_complained: bool,
}

impl BanFileSync {
    fn new(file: BanFile, handle: Handle, log: Arc<Log>) -> Self {
        let base = ThrottleSnapshot::default();
        Self {
            file,
            handle,
            log,
            stamp: None,
            version: 0,
            base,
            revision: 0,
            written: VecDeque::new(),
            seen: None,
            failed_checks: 0,
            polls: 0,
            has_complained: false,
        }
    }

    fn begin(&mut self) {
        match self.file.read_stamped() {
            Ok((found, stamp)) => {
                self.stamp = stamp;
                if found.bad_lines > 0 {
                    self.complain(&format!("invalid lines were ignored: {}", found.bad_lines));
                }
                self.handle.restore_throttle(found.memory.clone());
                self.revision = found.revision.unwrap_or_default();
                self.note_written(self.revision, found.memory.clone());
                self.base = found.memory;
                self.version = self.handle.throttle_version();
            }
            Err(error) => self.complain(&plain(&error)),
        }
    }

    /// Merges both if either has changed.
    fn poll(&mut self, is_urgent: bool, is_last: bool) {
        self.handle.sweep_bans();
        self.polls += 1;
        let stamp = self.file.stamp();
        // An editor may be writing: a file that changes at each check is not complete.
        let is_settled = std::mem::replace(&mut self.seen, stamp) == stamp || stamp == self.stamp;
        let is_edited = stamp != self.stamp && (is_settled || is_last);
        let has_learnt = self.handle.throttle_version() != self.version && stamp == self.stamp;
        if is_edited || (has_learnt && (is_urgent || self.polls >= POLLS_BEFORE_WRITING)) {
            self.polls = 0;
            match self.meet(is_settled, is_last) {
                Ok(()) => self.has_complained = false,
                Err(error) => self.complain(&plain(&error)),
            }
        }
    }

    /// Applies changes of the file since it was last read, then writes everything.
    fn meet(&mut self, is_settled: bool, is_last: bool) -> io::Result<()> {
        let file = self.file.clone();
        let locked = file.lock()?;
        let (read, stamp) = file.read_stamped()?;
        // The file did not exist: it is created now.
        let is_new = self.stamp.is_none() && stamp.is_none();
        let is_whole = read.is_whole && (is_settled || read.revision.is_some());
        if !is_new && (!is_whole || read.bad_lines > 0) {
            return self.pass_over(&locked, (read.bad_lines, stamp), is_last);
        }
        self.failed_checks = 0;
        let found = read.memory;
        // An editor may have started from an earlier version: only its changes are applied. Of a
        // version that is no longer known, only additions are.
        let known = |revision| self.written.iter().find(|(number, _)| *number == revision);
        let base = match read.revision {
            None => self.base.clone(),
            Some(revision) => known(revision).map(|(_, base)| base.clone()).unwrap_or_default(),
        };
        let (before, after) = (by_network(&base), by_network(&found));
        for (network, ban) in &after {
            if before.get(network) != Some(ban) {
                // If there are too many, the server keeps its current ones.
                let _ = self.handle.ban((*ban).clone());
            }
        }
        for network in before.keys().filter(|network| !after.contains_key(*network)) {
            self.handle.lift_ban(*network);
        }
        let is_locked = |user: &String| found.locks.iter().any(|lock| lock.user == *user);
        for lock in base.locks.iter().filter(|lock| !is_locked(&lock.user)) {
            self.handle.unlock_account(&lock.user);
        }
        let (version, mut memory) = self.handle.throttle_snapshot();
        sort(&mut memory);
        if memory == found && read.revision == Some(self.revision) {
            self.stamp = stamp;
        } else if is_last || file.stamp() == stamp {
            self.write(&locked, &memory)?;
        } else {
            // The file was changed since it was read: the next check reads it.
            return Ok(());
        }
        (self.version, self.base) = (version, memory);
        Ok(())
    }

    /// Ignores an invalid file, and removes no bans because of it. If it stays invalid, it is
    /// renamed, and the server's state is written.
    fn pass_over(
        &mut self,
        locked: &Locked<'_>,
        (bad_lines, stamp): (usize, Option<Stamp>),
        is_last: bool,
    ) -> io::Result<()> {
        self.failed_checks = self.failed_checks.saturating_add(1);
        let is_early = self.failed_checks < POLLS_BEFORE_REJECTING || self.file.stamp() != stamp;
        if is_early && !is_last {
            return Ok(());
        }
        self.failed_checks = 0;
        let rejected = locked.put_rejected_beside()?;
        let (version, mut memory) = self.handle.throttle_snapshot();
        sort(&mut memory);
        self.write(locked, &memory)?;
        (self.version, self.base) = (version, memory);
        let Some(rejected) = rejected else { return Ok(()) };
        let why = match bad_lines {
            0 => "the file is incomplete".to_owned(),
            number => format!("{number} lines are invalid"),
        };
        let kept = rejected.display();
        Err(io::Error::other(format!(
            "changes were ignored: {why}; the file was renamed to {kept}"
        )))
    }

    fn write(&mut self, locked: &Locked<'_>, memory: &ThrottleSnapshot) -> io::Result<()> {
        self.revision = self.revision.saturating_add(1);
        // The stamp of the open file, not of the path: an editor may have changed it since.
        self.stamp = Some(locked.write_revision(memory, self.revision)?);
        self.note_written(self.revision, memory.clone());
        Ok(())
    }

    fn note_written(&mut self, revision: u64, memory: ThrottleSnapshot) {
        if self.written.len() >= WRITINGS_MAX {
            self.written.pop_front();
        }
        self.written.push_back((revision, memory));
    }

    /// Logged once, until it works again.
    fn complain(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.has_complained, true) {
            let record = LogRecord::new(Level::Error, "bans-not-saved");
            let record = record.text("path", self.file.path().display());
            self.log.note(&record.text("reason", reason));
        }
    }
}

fn by_network(memory: &ThrottleSnapshot) -> BTreeMap<IpNet, &Ban> {
    memory.bans.iter().map(|ban| (ban.network, ban)).collect()
}
