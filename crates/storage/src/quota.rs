//! Counting the usage of a home as it changes, and enforcing the quotas of accounts.
//!
//! Every change of files goes through [`LimitedHome`]. Bytes are reserved before they are written,
//! so no number of concurrent uploads exceeds a limit. A storage reserves quota where it changes
//! files, not in a layer above: only there it is known what a rename replaced and how an abandoned
//! upload ended.

mod change;
mod credit;
mod reservation;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use wharf_core::account::{Account, Count, Size};
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::lock;
use wharf_core::storage::{Usage, UsedSpace};
use wharf_proto::path::VPath;

pub(crate) use self::change::QuotaChange;
use self::credit::Credits;
pub(crate) use self::credit::{FileId, Replaced};
pub(crate) use self::reservation::QuotaReservation;

/// How long an operation waits for the initial count. Longer than most counts take, and shorter
/// than clients wait for a reply.
const COUNT_WAIT_MAX: Duration = Duration::from_secs(10);

/// The limits of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Bytes in files, including unfinished uploads.
    pub bytes: Size,
    /// Files and directories, including unfinished uploads.
    pub files: Count,
}

impl Quota {
    /// No limits.
    pub const UNLIMITED: Self = Self { bytes: Size::Unlimited, files: Count::Unlimited };

    /// The account's own limits, and `default_quota` for those that it does not set.
    pub fn of(account: &Account, default_quota: Self) -> Self {
        Self {
            bytes: account.limits.quota.unwrap_or(default_quota.bytes),
            files: account.limits.quota_files.unwrap_or(default_quota.files),
        }
    }

    /// Whether it limits anything.
    pub fn is_limited(self) -> bool {
        self != Self::UNLIMITED
    }

    fn admits(self, used: UsedSpace) -> bool {
        self.bytes.bytes().is_none_or(|most| used.bytes <= most)
            && self.files.number().is_none_or(|most| used.files <= u64::from(most))
    }
}

/// A mark that is set before the first change, so that a saved count is not trusted after a crash.
pub(crate) trait DirtyMark: Send + Sync {
    /// Whether it is set already.
    fn is_set(&self) -> bool;

    /// Sets it; may block. If this fails, nothing may be added.
    fn set(&self) -> Result<()>;
}

/// The usage of one home.
pub(crate) struct QuotaCounter {
    counts: Mutex<Counts>,
    /// Held while a file is created, renamed or removed, so that the counted state of its name is
    /// certain.
    names: Mutex<()>,
    /// Inner homes of other accounts, by path: what is removed there was not, or not only, counted
    /// here.
    inner: Mutex<Vec<(VPath, Weak<Self>)>>,
    /// Outer homes that contain this one: changes here also change them, unnoticed by their counts.
    outer: Mutex<Vec<Weak<Self>>>,
    /// Notified when a count ends.
    counted: Notify,
    dirty_mark: Option<Arc<dyn DirtyMark>>,
}

/// The state of a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CountState {
    /// The usage is unknown; the reason, if the last count failed.
    Uncounted(Option<Arc<str>>),
    Counting,
    Counted,
    /// Saved for the next start: nothing may change any more.
    Closed,
}

struct Counts {
    state: CountState,
    used: UsedSpace,
    /// The part of `used` that is freed when uploads in progress replace existing files.
    credits: Credits,
    /// Changes and uploads in progress.
    running: u64,
    /// Incremented with every change.
    changes: u64,
    /// When it was counted, in seconds since 1970.
    counted_at: u64,
    /// Whether the dirty mark was set before the count began. If not, another server may have
    /// changed files during it, so the count is valid until the end of this run and is never saved.
    was_marked_dirty: bool,
    /// Whether something was removed that may have been counted in another home: the count is an
    /// upper bound, and is repeated at the next login.
    is_stale: bool,
    /// Incremented when uncounted files may have been added.
    unaccounted: u64,
    /// Its value when the current count began.
    unaccounted_known: u64,
}

impl QuotaCounter {
    /// A counter for a home with known usage.
    pub(crate) fn counted(
        used: UsedSpace,
        counted_at: u64,
        dirty_mark: Option<Arc<dyn DirtyMark>>,
    ) -> Self {
        Self::with(CountState::Counted, used, counted_at, dirty_mark)
    }

    /// A counter for a home that must be counted before anything may change.
    pub(crate) fn uncounted(dirty_mark: Option<Arc<dyn DirtyMark>>) -> Self {
        Self::with(CountState::Uncounted(None), UsedSpace::default(), 0, dirty_mark)
    }

    fn with(
        state: CountState,
        used: UsedSpace,
        counted_at: u64,
        dirty_mark: Option<Arc<dyn DirtyMark>>,
    ) -> Self {
        let credits = Credits::default();
        let was_marked_dirty = state == CountState::Counted;
        let (running, changes) = (0, 0);
        let counts = Counts {
            state,
            used,
            credits,
            running,
            changes,
            counted_at,
            was_marked_dirty,
            is_stale: false,
            unaccounted: 0,
            unaccounted_known: 0,
        };
        Self {
            counts: Mutex::new(counts),
            names: Mutex::new(()),
            inner: Mutex::default(),
            outer: Mutex::default(),
            counted: Notify::new(),
            dirty_mark,
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Lock holders change numbers only, and cannot fail half-way.
        lock(&self.counts)
    }

    fn names(&self) -> MutexGuard<'_, ()> {
        lock(&self.names)
    }

    /// Registers a home at `at` within this one.
    pub(crate) fn add_inner(self: &Arc<Self>, at: VPath, counter: &Arc<Self>) {
        counter.outer().push(Arc::downgrade(self));
        let mut inner = lock(&self.inner);
        inner.retain(|(known, counter)| *known != at && counter.strong_count() > 0);
        inner.push((at, Arc::downgrade(counter)));
    }

    /// The counters of the inner homes that contain a path.
    fn inner_at(&self, at: &VPath) -> Vec<Arc<Self>> {
        let inner = lock(&self.inner);
        let around = inner.iter().filter(|(home, _)| at.is_within(home));
        around.filter_map(|(_, counter)| counter.upgrade()).collect()
    }

    fn outer(&self) -> MutexGuard<'_, Vec<Weak<Self>>> {
        lock(&self.outer)
    }

    /// Whether there are inner homes of other accounts.
    fn has_inner(&self) -> bool {
        !lock(&self.inner).is_empty()
    }

    /// Uncounted files may have been added: until the next count, removals do not lower this one.
    fn mark_uncertain(&self) {
        let mut counts = self.counts();
        counts.unaccounted = counts.unaccounted.wrapping_add(1);
        counts.is_stale = true;
    }

    /// Schedules a new count of the outer homes. The caller must not hold the lock on counts.
    fn mark_outer_stale(&self) {
        let outer: Vec<_> = self.outer().iter().filter_map(Weak::upgrade).collect();
        for counter in outer {
            counter.counts().is_stale = true;
        }
    }

    fn state(&self) -> CountState {
        self.counts().state.clone()
    }

    /// The usage; `None` while it is unknown.
    pub(crate) fn used(&self) -> Option<UsedSpace> {
        let counts = self.counts();
        matches!(counts.state, CountState::Counted | CountState::Closed).then_some(counts.used)
    }

    /// Whether it must be counted, at once or in the background.
    pub(crate) fn wants_count(&self, now: u64, old: Duration) -> bool {
        let counts = self.counts();
        match counts.state {
            CountState::Uncounted(_) => true,
            CountState::Counted => {
                !counts.was_marked_dirty
                    || counts.is_stale
                    || now.saturating_sub(counts.counted_at) > old.as_secs()
            }
            CountState::Counting | CountState::Closed => false,
        }
    }

    /// Notes that a count is about to start.
    pub(crate) fn await_count(&self) {
        let mut counts = self.counts();
        if matches!(counts.state, CountState::Uncounted(_)) {
            counts.state = CountState::Counting;
        }
    }

    /// Counts with `walk`. An existing count stays in use in the meantime; a new count during which
    /// something changed is discarded. Returns whether the new count was accepted.
    pub(crate) fn count(
        &self,
        now: u64,
        walk: impl FnOnce() -> std::io::Result<UsedSpace>,
    ) -> bool {
        // Before the first file is read: a count is worth saving only if no other server could
        // change anything from here on, even if this server changes nothing.
        let was_marked_dirty =
            self.dirty_mark.as_ref().is_none_or(|dirty_mark| dirty_mark.set().is_ok());
        let (before, was_stale, unaccounted) = {
            let mut counts = self.counts();
            let unaccounted = counts.unaccounted;
            // Removals from here on may be missed by the count.
            let was_stale = std::mem::take(&mut counts.is_stale);
            match counts.state {
                CountState::Counted if counts.running == 0 => {
                    (Some(counts.changes), was_stale, unaccounted)
                }
                CountState::Counted | CountState::Closed => {
                    counts.is_stale = was_stale;
                    return false;
                }
                CountState::Counting | CountState::Uncounted(_) => (None, was_stale, unaccounted),
            }
        };
        // While nothing may change, the sweep must not change anything either.
        let names = before.is_none().then(|| self.names());
        let walked = walk();
        let mut counts = self.counts();
        let is_undisturbed = before.is_none_or(|changes| {
            counts.state == CountState::Counted && counts.running == 0 && counts.changes == changes
        });
        let is_taken = match (walked, before) {
            (Ok(used), _) if is_undisturbed => {
                counts.used = used;
                counts.unaccounted_known = unaccounted;
                counts.counted_at = now;
                counts.was_marked_dirty = was_marked_dirty;
                counts.state = CountState::Counted;
                true
            }
            (Err(error), None) => {
                counts.state = CountState::Uncounted(Some(error.to_string().into()));
                false
            }
            _ => {
                counts.is_stale |= was_stale;
                false
            }
        };
        drop(counts);
        // Only now: removals from here on are missing in the count.
        drop(names);
        self.counted.notify_waiters();
        is_taken
    }

    /// Whether a change is in progress.
    pub(crate) fn is_changing(&self) -> bool {
        self.counts().running > 0
    }

    /// The count to save for the next start; nothing may change from here on. `None` if the usage
    /// is unknown or not exact.
    pub(crate) fn close(&self) -> Option<(UsedSpace, u64)> {
        let mut counts = self.counts();
        if counts.state != CountState::Counted || counts.running > 0 {
            return None;
        }
        counts.state = CountState::Closed;
        if !counts.was_marked_dirty || counts.is_stale {
            return None;
        }
        Some((counts.used, counts.counted_at))
    }

    /// Removes an unused temporary file and subtracts it from the count. `act` returns its size.
    pub(crate) fn sweep<E>(
        &self,
        act: impl FnOnce() -> Result<Option<u64>, E>,
    ) -> Result<Option<u64>, E> {
        let removed = self.free_by(|| {
            let removed = act()?;
            let gone = removed.map(|bytes| UsedSpace { bytes, files: 1 });
            Ok((removed, gone.unwrap_or_default()))
        });
        removed.map(Option::flatten)
    }

    /// Truncates a file to its earlier length. `act` returns the number of bytes removed.
    pub(crate) fn shrink<T: Default, E>(
        &self,
        act: impl FnOnce() -> Result<(T, u64), E>,
    ) -> Result<T, E> {
        let shrunk =
            self.free_by(|| act().map(|(done, bytes)| (done, UsedSpace { bytes, files: 0 })));
        shrunk.map(Option::unwrap_or_default)
    }

    /// Runs an operation that frees something, and subtracts that from the count. `None` if nothing
    /// may change any more.
    fn free_by<T, E>(
        &self,
        act: impl FnOnce() -> Result<(T, UsedSpace), E>,
    ) -> Result<Option<T>, E> {
        if let (Some(dirty_mark), CountState::Counted) = (&self.dirty_mark, self.state()) {
            // If this fails, a crash leaves a count that is too high, which gives no account an
            // advantage.
            let _ = dirty_mark.set();
        }
        {
            let mut counts = self.counts();
            if counts.state == CountState::Closed {
                return Ok(None);
            }
            counts.running += 1;
        }
        // The path is not known here, and may be in an inner home of another account.
        let has_inner = self.has_inner();
        let names = self.names();
        let done = act();
        let mut counts = self.counts();
        let mut is_less = false;
        let done = done.map(|(done, gone)| {
            is_less = gone != UsedSpace::default();
            if is_less && has_inner {
                counts.leave();
            } else if is_less {
                counts.free(gone);
            }
            Some(done)
        });
        counts.running = counts.running.saturating_sub(1);
        drop((counts, names));
        if is_less {
            self.mark_outer_stale();
        }
        done
    }
}

impl Counts {
    /// Whether uncounted files may exist.
    fn is_uncertain(&self) -> bool {
        self.unaccounted != self.unaccounted_known
    }

    /// Subtracts something that was removed, unless it may not have been counted.
    fn free(&mut self, gone: UsedSpace) {
        if self.is_uncertain() { self.leave() } else { self.lower(gone) }
    }

    /// Something was removed, and it is unknown in which count it was included.
    fn leave(&mut self) {
        self.is_stale = true;
        self.changes = self.changes.wrapping_add(1);
    }

    /// Subtracts something that was certainly counted.
    fn lower(&mut self, gone: UsedSpace) {
        self.used.bytes = self.used.bytes.saturating_sub(gone.bytes);
        self.used.files = self.used.files.saturating_sub(gone.files);
        self.changes = self.changes.wrapping_add(1);
    }

    fn add(&mut self, more: UsedSpace) {
        self.used.bytes = self.used.bytes.saturating_add(more.bytes);
        self.used.files = self.used.files.saturating_add(more.files);
        self.changes = self.changes.wrapping_add(1);
    }

    /// The usage that counts against a limit.
    fn lasting(&self) -> UsedSpace {
        self.credits.without(self.used)
    }

    fn check_counted(&self) -> Result<()> {
        match &self.state {
            CountState::Counted => Ok(()),
            CountState::Uncounted(Some(why)) => {
                let message = format!("cannot count the usage of the home: {why}");
                Err(Error::new(ErrorKind::Broken, message))
            }
            CountState::Uncounted(None) | CountState::Counting | CountState::Closed => {
                Err(ErrorKind::Uncounted.into())
            }
        }
    }
}

/// A home with the limits of one account.
#[derive(Clone)]
pub(crate) struct LimitedHome {
    pub(crate) counter: Arc<QuotaCounter>,
    pub(crate) quota: Quota,
    /// The inner homes that an operation affects, set by [`LimitedHome::at`].
    inner: Vec<Arc<QuotaCounter>>,
}

impl LimitedHome {
    pub(crate) fn new(counter: Arc<QuotaCounter>, quota: Quota) -> Self {
        Self { counter, quota, inner: Vec::new() }
    }

    /// The same home for an operation at a path.
    pub(crate) fn at(&self, at: &VPath) -> Self {
        Self { inner: self.counter.inner_at(at), ..self.clone() }
    }

    /// The replaced file, if it is certainly counted here. In an inner home of another account it
    /// may be counted there, so replacing it frees no quota here.
    pub(crate) fn credited(&self, file: Option<Replaced>) -> Option<Replaced> {
        file.filter(|_| self.inner.is_empty() && !self.counter.counts().is_uncertain())
    }

    /// Schedules a new count of all homes that an operation affects. The caller must not hold the
    /// lock on counts.
    fn mark_others_stale(&self) {
        for counter in &self.inner {
            counter.mark_uncertain();
        }
        if !self.inner.is_empty() {
            self.counter.counts().is_stale = true;
        }
        self.counter.mark_outer_stale();
    }

    /// Whether a rename moves something out of an inner home of another account, so that it may not
    /// be counted here.
    pub(crate) fn leaves_inner_home(&self, from: &VPath, to: &VPath) -> bool {
        !self.counter.inner_at(from).is_empty() && self.counter.inner_at(to).is_empty()
    }

    /// Waits until changes are possible, for a limited time.
    ///
    /// # Errors
    /// `Uncounted` if the count takes longer, `Broken` if it failed.
    pub(crate) async fn ready(&self) -> Result<()> {
        let waited = timeout(COUNT_WAIT_MAX, async {
            loop {
                // Registered before the check, so that the end of a count is not missed.
                let mut counted = std::pin::pin!(self.counter.counted.notified());
                counted.as_mut().enable();
                if self.counter.counts().state != CountState::Counting {
                    return;
                }
                counted.await;
            }
        });
        let _ = waited.await;
        self.counter.counts().check_counted()
    }

    /// Whether a change may begin without waiting.
    pub(crate) fn is_ready(&self) -> bool {
        self.counter.dirty_mark.as_ref().is_none_or(|dirty_mark| dirty_mark.is_set())
            && self.counter.counts().state == CountState::Counted
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            used: self.counter.used(),
            bytes_max: self.quota.bytes,
            files_max: self.quota.files,
        }
    }

    /// The exclusive right to change names, until it is dropped.
    ///
    /// # Errors
    /// As for [`LimitedHome::ready`]; and if the dirty mark cannot be set.
    pub(crate) fn change(&self) -> Result<QuotaChange<'_>> {
        if let Some(dirty_mark) = &self.counter.dirty_mark {
            dirty_mark.set()?;
        }
        {
            let mut counts = self.counter.counts();
            counts.check_counted()?;
            counts.running += 1;
        }
        Ok(QuotaChange::begun(&self.counter, self.quota))
    }
}
