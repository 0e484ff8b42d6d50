//! What is kept in one home, counted as it changes, and the limits of accounts on it.
//!
//! Every change of the files goes through [`LimitedHome`]. What is to be written is charged before it
//! is written, byte by byte, so no number of uploads at a time gets over a limit. A store charges
//! where it acts, not in a layer above it: only there is known what a rename replaced and what
//! became of an upload that nobody waited for.

mod change;
mod credit;
mod reservation;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use wharf_core::account::{Account, Count, Size};
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{Kept, Usage};
use wharf_proto::path::VPath;

pub(crate) use self::change::Change;
use self::credit::Credits;
pub(crate) use self::credit::{FileId, Replaced};
pub(crate) use self::reservation::QuotaReservation;

/// How long an act waits for the count of what is there. Longer than most counts take, and shorter
/// than clients wait for an answer.
const COUNT_WAIT_MAX: Duration = Duration::from_secs(10);

/// How much an account may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Bytes in files, unfinished uploads among them.
    pub bytes: Size,
    /// Files and directories, unfinished uploads among them.
    pub files: Count,
}

impl Quota {
    /// No limit at all.
    pub const UNLIMITED: Self = Self { bytes: Size::Unlimited, files: Count::Unlimited };

    /// The account's own, and `default_quota` for what it does not say.
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

    fn admits(self, kept: Kept) -> bool {
        self.bytes.bytes().is_none_or(|most| kept.bytes <= most)
            && self.files.number().is_none_or(|most| kept.files <= u64::from(most))
    }
}

/// Who must know before the first change, so that a count on disk is not believed after a crash.
pub(crate) trait DirtyMark: Send + Sync {
    /// Whether it knows already.
    fn is_set(&self) -> bool;

    /// Lets it know; may block. Where this fails nothing may be added.
    fn set(&self) -> Result<()>;
}

/// What is kept in one home.
pub(crate) struct QuotaCounter {
    counts: Mutex<Counts>,
    /// Held while a name gets or loses its file, so that what it stood for is known for certain.
    names: Mutex<()>,
    /// Homes of others that lie in this one, below which paths: what is removed there was not, or
    /// not only, counted here.
    inner: Mutex<Vec<(VPath, Weak<Self>)>>,
    /// Homes of others in which this one lies: what changes here changes there, and their counts
    /// do not see it.
    outer: Mutex<Vec<Weak<Self>>>,
    /// Told when a count ends.
    counted: Notify,
    dirty_mark: Option<Arc<dyn DirtyMark>>,
}

/// The state of a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CountState {
    /// Nobody knows; the reason, if the last count failed.
    Uncounted(Option<Arc<str>>),
    Counting,
    Counted,
    /// Written down for the next start: nothing may change any more.
    Closed,
}

struct Counts {
    state: CountState,
    kept: Kept,
    /// The part of `kept` that goes when uploads under way take the place of what is there.
    credits: Credits,
    /// Changes and uploads under way.
    running: u64,
    /// Grows with every change.
    changes: u64,
    /// When it was counted, in seconds since 1970.
    counted_at: u64,
    /// Whether the witness knew before the count began. If not, another server may have changed
    /// files during it, so the count holds until the end of this run and is never written down.
    was_marked_dirty: bool,
    /// Whether something was removed that may have been counted elsewhere: the count is at least
    /// what is there, and is made again at the next login.
    is_stale: bool,
    /// Grows when something may have come here that is not counted.
    unaccounted: u64,
    /// As it was when the count began that holds now.
    unaccounted_known: u64,
}

impl QuotaCounter {
    /// One that knows what is there.
    pub(crate) fn counted(
        kept: Kept,
        counted_at: u64,
        dirty_mark: Option<Arc<dyn DirtyMark>>,
    ) -> Self {
        Self::with(CountState::Counted, kept, counted_at, dirty_mark)
    }

    /// One whose home must be counted before anything may change.
    pub(crate) fn uncounted(dirty_mark: Option<Arc<dyn DirtyMark>>) -> Self {
        Self::with(CountState::Uncounted(None), Kept::default(), 0, dirty_mark)
    }

    fn with(
        state: CountState,
        kept: Kept,
        counted_at: u64,
        dirty_mark: Option<Arc<dyn DirtyMark>>,
    ) -> Self {
        let credits = Credits::default();
        let was_marked_dirty = state == CountState::Counted;
        let (running, changes) = (0, 0);
        let counts = Counts {
            state,
            kept,
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
        // Each holder changes numbers only, and cannot fail in the middle.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns that the home of another meter lies in this one, below `at`.
    pub(crate) fn add_inner(self: &Arc<Self>, at: VPath, counter: &Arc<Self>) {
        counter.outer().push(Arc::downgrade(self));
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.retain(|(known, counter)| *known != at && counter.strong_count() > 0);
        inner.push((at, Arc::downgrade(counter)));
    }

    /// The meters of the homes in this one in which a path lies.
    fn inner_at(&self, at: &VPath) -> Vec<Arc<Self>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let around = inner.iter().filter(|(home, _)| at.is_within(home));
        around.filter_map(|(_, counter)| counter.upgrade()).collect()
    }

    fn outer(&self) -> MutexGuard<'_, Vec<Weak<Self>>> {
        self.outer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether homes of others lie in this one.
    fn has_inner(&self) -> bool {
        !self.inner.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Something came here that may not be counted: until the next count nothing lowers this one.
    fn mark_uncertain(&self) {
        let mut counts = self.counts();
        counts.unaccounted = counts.unaccounted.wrapping_add(1);
        counts.is_stale = true;
    }

    /// Lets the homes in which this one lies be counted again. No numbers may be held.
    fn mark_outer_stale(&self) {
        let outer: Vec<_> = self.outer().iter().filter_map(Weak::upgrade).collect();
        for counter in outer {
            counter.counts().is_stale = true;
        }
    }

    fn state(&self) -> CountState {
        self.counts().state.clone()
    }

    /// What is kept; none while nobody knows.
    pub(crate) fn kept(&self) -> Option<Kept> {
        let counts = self.counts();
        matches!(counts.state, CountState::Counted | CountState::Closed).then_some(counts.kept)
    }

    /// Whether it must be counted: at once, or when there is time for it.
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

    /// Says that a count is on its way.
    pub(crate) fn await_count(&self) {
        let mut counts = self.counts();
        if matches!(counts.state, CountState::Uncounted(_)) {
            counts.state = CountState::Counting;
        }
    }

    /// Counts with `walk`. What was counted before goes on in the meantime; a count during which
    /// something changed is then worth nothing. Says whether it was taken.
    pub(crate) fn count(&self, now: u64, walk: impl FnOnce() -> std::io::Result<Kept>) -> bool {
        // Before the first file is looked at: a count is worth writing down only if no other
        // server could change anything from here on, also where this one never does.
        let was_marked_dirty =
            self.dirty_mark.as_ref().is_none_or(|dirty_mark| dirty_mark.set().is_ok());
        let (before, was_stale, unaccounted) = {
            let mut counts = self.counts();
            let unaccounted = counts.unaccounted;
            // What is removed from here on is not seen for certain.
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
        // Where nothing may change, not even the sweep may.
        let names = before.is_none().then(|| self.names());
        let walked = walk();
        let mut counts = self.counts();
        let is_undisturbed = before.is_none_or(|changes| {
            counts.state == CountState::Counted && counts.running == 0 && counts.changes == changes
        });
        let is_taken = match (walked, before) {
            (Ok(kept), _) if is_undisturbed => {
                counts.kept = kept;
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
        // Only now: what is removed from here on is missing in what was walked over.
        drop(names);
        self.counted.notify_waiters();
        is_taken
    }

    /// Whether anything changes at this moment.
    pub(crate) fn is_changing(&self) -> bool {
        self.counts().running > 0
    }

    /// What is to be written down for the next start; nothing changes from here on. None if that
    /// cannot be said for certain, or nothing is known.
    pub(crate) fn close(&self) -> Option<(Kept, u64)> {
        let mut counts = self.counts();
        if counts.state != CountState::Counted || counts.running > 0 {
            return None;
        }
        counts.state = CountState::Closed;
        if !counts.was_marked_dirty || counts.is_stale {
            return None;
        }
        Some((counts.kept, counts.counted_at))
    }

    /// Takes away something of ours that no upload uses, and what it was out of the count. `act`
    /// gives the bytes that went with it.
    pub(crate) fn sweep<E>(
        &self,
        act: impl FnOnce() -> Result<Option<u64>, E>,
    ) -> Result<Option<u64>, E> {
        let removed = self.free_by(|| {
            let removed = act()?;
            let gone = removed.map(|bytes| Kept { bytes, files: 1 });
            Ok((removed, gone.unwrap_or_default()))
        });
        removed.map(Option::flatten)
    }

    /// Cuts a file to what it was. `act` gives the bytes that went by that.
    pub(crate) fn shrink<T: Default, E>(
        &self,
        act: impl FnOnce() -> Result<(T, u64), E>,
    ) -> Result<T, E> {
        let shrunk = self.free_by(|| act().map(|(done, bytes)| (done, Kept { bytes, files: 0 })));
        shrunk.map(Option::unwrap_or_default)
    }

    /// Does an act by which something is gone, and takes that out of the count. None where nothing
    /// may change any more.
    fn free_by<T, E>(&self, act: impl FnOnce() -> Result<(T, Kept), E>) -> Result<Option<T>, E> {
        if let (Some(dirty_mark), CountState::Counted) = (&self.dirty_mark, self.state()) {
            // Where this fails a crash leaves a count that is too high: nobody gains by that.
            let _ = dirty_mark.set();
        }
        {
            let mut counts = self.counts();
            if counts.state == CountState::Closed {
                return Ok(None);
            }
            counts.running += 1;
        }
        // Where it was is not known here, and it may have been in the home of another account.
        let has_inner = self.has_inner();
        let names = self.names();
        let done = act();
        let mut counts = self.counts();
        let mut is_less = false;
        let done = done.map(|(done, gone)| {
            is_less = gone != Kept::default();
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
    /// Whether something is there that may not be counted.
    fn is_uncertain(&self) -> bool {
        self.unaccounted != self.unaccounted_known
    }

    /// Something that was counted is gone. Where it may not have been, nothing is lowered.
    fn free(&mut self, gone: Kept) {
        if self.is_uncertain() { self.leave() } else { self.lower(gone) }
    }

    /// Something is gone of which nobody knows in which count it was.
    fn leave(&mut self) {
        self.is_stale = true;
        self.changes = self.changes.wrapping_add(1);
    }

    /// Something is gone that was counted for certain.
    fn lower(&mut self, gone: Kept) {
        self.kept.bytes = self.kept.bytes.saturating_sub(gone.bytes);
        self.kept.files = self.kept.files.saturating_sub(gone.files);
        self.changes = self.changes.wrapping_add(1);
    }

    fn add(&mut self, more: Kept) {
        self.kept.bytes = self.kept.bytes.saturating_add(more.bytes);
        self.kept.files = self.kept.files.saturating_add(more.files);
        self.changes = self.changes.wrapping_add(1);
    }

    /// What counts against a limit.
    fn lasting(&self) -> Kept {
        self.credits.without(self.kept)
    }

    fn check_counted(&self) -> Result<()> {
        match &self.state {
            CountState::Counted => Ok(()),
            CountState::Uncounted(Some(why)) => {
                let message = format!("what is kept there cannot be counted: {why}");
                Err(Error::new(ErrorKind::Broken, message))
            }
            CountState::Uncounted(None) | CountState::Counting | CountState::Closed => {
                Err(ErrorKind::Uncounted.into())
            }
        }
    }
}

/// A home with the limits of one account on it.
#[derive(Clone)]
pub(crate) struct LimitedHome {
    pub(crate) counter: Arc<QuotaCounter>,
    pub(crate) quota: Quota,
    /// The homes of others in this one in which something is done, told by [`LimitedHome::at`].
    inner: Vec<Arc<QuotaCounter>>,
}

impl LimitedHome {
    pub(crate) fn new(counter: Arc<QuotaCounter>, quota: Quota) -> Self {
        Self { counter, quota, inner: Vec::new() }
    }

    /// The same for what is done at a path.
    pub(crate) fn at(&self, at: &VPath) -> Self {
        Self { inner: self.counter.inner_at(at), ..self.clone() }
    }

    /// A file that goes where it stands, if it is counted here for certain. In the home of another
    /// account it may be counted there: its place gives no room here.
    pub(crate) fn credited(&self, file: Option<Replaced>) -> Option<Replaced> {
        file.filter(|_| self.inner.is_empty() && !self.counter.counts().is_uncertain())
    }

    /// Lets everybody count again in whose home something is done. No numbers may be held.
    fn mark_others_stale(&self) {
        for counter in &self.inner {
            counter.mark_uncertain();
        }
        if !self.inner.is_empty() {
            self.counter.counts().is_stale = true;
        }
        self.counter.mark_outer_stale();
    }

    /// Whether something that gets another name leaves the home of another account, so that it may
    /// not be counted here.
    pub(crate) fn leaves_inner_home(&self, from: &VPath, to: &VPath) -> bool {
        !self.counter.inner_at(from).is_empty() && self.counter.inner_at(to).is_empty()
    }

    /// Waits until something may change, for a while.
    ///
    /// # Errors
    /// `Uncounted` if the count takes longer, `Broken` if it failed.
    pub(crate) async fn ready(&self) -> Result<()> {
        let waited = timeout(COUNT_WAIT_MAX, async {
            loop {
                // Before the look, so that no end of a count is missed.
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

    /// Whether a change may begin without waiting for anything.
    pub(crate) fn is_ready(&self) -> bool {
        self.counter.dirty_mark.as_ref().is_none_or(|dirty_mark| dirty_mark.is_set())
            && self.counter.counts().state == CountState::Counted
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            kept: self.counter.kept(),
            bytes_max: self.quota.bytes,
            files_max: self.quota.files,
        }
    }

    /// The right to change names, until it is dropped; nobody else has it meanwhile.
    ///
    /// # Errors
    /// As for [`LimitedHome::ready`]; and where what is kept cannot be marked as changing.
    pub(crate) fn change(&self) -> Result<Change<'_>> {
        if let Some(dirty_mark) = &self.counter.dirty_mark {
            dirty_mark.set()?;
        }
        {
            let mut counts = self.counter.counts();
            counts.check_counted()?;
            counts.running += 1;
        }
        Ok(Change::begun(&self.counter, self.quota))
    }
}
