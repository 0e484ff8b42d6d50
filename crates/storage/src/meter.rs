//! What is kept in one home, counted as it changes, and the limits of accounts on it.
//!
//! Every change of the files goes through [`Metered`]. What is to be written is charged before it
//! is written, byte by byte, so no number of uploads at a time gets over a limit. A store charges
//! where it acts, not in a layer above it: only there is known what a rename replaced and what
//! became of an upload that nobody waited for.

mod change;
mod charge;
mod credit;
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
pub(crate) use self::charge::Charge;
use self::credit::Credits;
pub(crate) use self::credit::{FileId, Replaced};

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

    /// The account's own, and `otherwise` for what it does not say.
    pub fn of(account: &Account, otherwise: Self) -> Self {
        Self {
            bytes: account.limits.quota.unwrap_or(otherwise.bytes),
            files: account.limits.quota_files.unwrap_or(otherwise.files),
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
pub(crate) trait Witness: Send + Sync {
    /// Whether it knows already.
    fn knows(&self) -> bool;

    /// Lets it know; may block. Where this fails nothing may be added.
    fn tell(&self) -> Result<()>;
}

/// What is kept in one home.
pub(crate) struct Meter {
    numbers: Mutex<Numbers>,
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
    witness: Option<Arc<dyn Witness>>,
}

/// The state of a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Nobody knows; the reason, if the last count failed.
    Uncounted(Option<Arc<str>>),
    Counting,
    Counted,
    /// Written down for the next start: nothing may change any more.
    Closed,
}

struct Numbers {
    state: State,
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
    is_witnessed: bool,
    /// Whether something was removed that may have been counted elsewhere: the count is at least
    /// what is there, and is made again at the next login.
    is_stale: bool,
    /// Grows when something may have come here that is not counted.
    strange: u64,
    /// As it was when the count began that holds now.
    strange_known: u64,
}

impl Meter {
    /// One that knows what is there.
    pub(crate) fn counted(kept: Kept, counted_at: u64, witness: Option<Arc<dyn Witness>>) -> Self {
        Self::with(State::Counted, kept, counted_at, witness)
    }

    /// One whose home must be counted before anything may change.
    pub(crate) fn uncounted(witness: Option<Arc<dyn Witness>>) -> Self {
        Self::with(State::Uncounted(None), Kept::default(), 0, witness)
    }

    fn with(state: State, kept: Kept, counted_at: u64, witness: Option<Arc<dyn Witness>>) -> Self {
        let credits = Credits::default();
        let is_witnessed = state == State::Counted;
        let (running, changes) = (0, 0);
        let numbers = Numbers {
            state,
            kept,
            credits,
            running,
            changes,
            counted_at,
            is_witnessed,
            is_stale: false,
            strange: 0,
            strange_known: 0,
        };
        Self {
            numbers: Mutex::new(numbers),
            names: Mutex::new(()),
            inner: Mutex::default(),
            outer: Mutex::default(),
            counted: Notify::new(),
            witness,
        }
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        // Each holder changes numbers only, and cannot fail in the middle.
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns that the home of another meter lies in this one, below `at`.
    pub(crate) fn add_inner(self: &Arc<Self>, at: VPath, meter: &Arc<Self>) {
        meter.outer().push(Arc::downgrade(self));
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.retain(|(known, meter)| *known != at && meter.strong_count() > 0);
        inner.push((at, Arc::downgrade(meter)));
    }

    /// The meters of the homes in this one in which a path lies.
    fn inner_at(&self, at: &VPath) -> Vec<Arc<Self>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let around = inner.iter().filter(|(home, _)| at.is_within(home));
        around.filter_map(|(_, meter)| meter.upgrade()).collect()
    }

    fn outer(&self) -> MutexGuard<'_, Vec<Weak<Self>>> {
        self.outer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether homes of others lie in this one.
    fn has_inner(&self) -> bool {
        !self.inner.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Something came here that may not be counted: until the next count nothing lowers this one.
    fn suspect(&self) {
        let mut numbers = self.numbers();
        numbers.strange = numbers.strange.wrapping_add(1);
        numbers.is_stale = true;
    }

    /// Lets the homes in which this one lies be counted again. No numbers may be held.
    fn tell_outer(&self) {
        let outer: Vec<_> = self.outer().iter().filter_map(Weak::upgrade).collect();
        for meter in outer {
            meter.numbers().is_stale = true;
        }
    }

    fn state(&self) -> State {
        self.numbers().state.clone()
    }

    /// What is kept; none while nobody knows.
    pub(crate) fn kept(&self) -> Option<Kept> {
        let numbers = self.numbers();
        matches!(numbers.state, State::Counted | State::Closed).then_some(numbers.kept)
    }

    /// Whether it must be counted: at once, or when there is time for it.
    pub(crate) fn wants_count(&self, now: u64, old: Duration) -> bool {
        let numbers = self.numbers();
        match numbers.state {
            State::Uncounted(_) => true,
            State::Counted => {
                !numbers.is_witnessed
                    || numbers.is_stale
                    || now.saturating_sub(numbers.counted_at) > old.as_secs()
            }
            State::Counting | State::Closed => false,
        }
    }

    /// Says that a count is on its way.
    pub(crate) fn await_count(&self) {
        let mut numbers = self.numbers();
        if matches!(numbers.state, State::Uncounted(_)) {
            numbers.state = State::Counting;
        }
    }

    /// Counts with `walk`. What was counted before goes on in the meantime; a count during which
    /// something changed is then worth nothing. Says whether it was taken.
    pub(crate) fn count(&self, now: u64, walk: impl FnOnce() -> std::io::Result<Kept>) -> bool {
        // Before the first file is looked at: a count is worth writing down only if no other
        // server could change anything from here on, also where this one never does.
        let is_witnessed = self.witness.as_ref().is_none_or(|witness| witness.tell().is_ok());
        let (before, was_stale, strange) = {
            let mut numbers = self.numbers();
            let strange = numbers.strange;
            // What is removed from here on is not seen for certain.
            let was_stale = std::mem::take(&mut numbers.is_stale);
            match numbers.state {
                State::Counted if numbers.running == 0 => {
                    (Some(numbers.changes), was_stale, strange)
                }
                State::Counted | State::Closed => {
                    numbers.is_stale = was_stale;
                    return false;
                }
                State::Counting | State::Uncounted(_) => (None, was_stale, strange),
            }
        };
        // Where nothing may change, not even the sweep may.
        let names = before.is_none().then(|| self.names());
        let walked = walk();
        let mut numbers = self.numbers();
        let is_undisturbed = before.is_none_or(|changes| {
            numbers.state == State::Counted && numbers.running == 0 && numbers.changes == changes
        });
        let is_taken = match (walked, before) {
            (Ok(kept), _) if is_undisturbed => {
                numbers.kept = kept;
                numbers.strange_known = strange;
                numbers.counted_at = now;
                numbers.is_witnessed = is_witnessed;
                numbers.state = State::Counted;
                true
            }
            (Err(error), None) => {
                numbers.state = State::Uncounted(Some(error.to_string().into()));
                false
            }
            _ => {
                numbers.is_stale |= was_stale;
                false
            }
        };
        drop(numbers);
        // Only now: what is removed from here on is missing in what was walked over.
        drop(names);
        self.counted.notify_waiters();
        is_taken
    }

    /// Whether anything changes at this moment.
    pub(crate) fn is_changing(&self) -> bool {
        self.numbers().running > 0
    }

    /// What is to be written down for the next start; nothing changes from here on. None if that
    /// cannot be said for certain, or nothing is known.
    pub(crate) fn close(&self) -> Option<(Kept, u64)> {
        let mut numbers = self.numbers();
        if numbers.state != State::Counted || numbers.running > 0 {
            return None;
        }
        numbers.state = State::Closed;
        if !numbers.is_witnessed || numbers.is_stale {
            return None;
        }
        Some((numbers.kept, numbers.counted_at))
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
        if let (Some(witness), State::Counted) = (&self.witness, self.state()) {
            // Where this fails a crash leaves a count that is too high: nobody gains by that.
            let _ = witness.tell();
        }
        {
            let mut numbers = self.numbers();
            if numbers.state == State::Closed {
                return Ok(None);
            }
            numbers.running += 1;
        }
        // Where it was is not known here, and it may have been in the home of another account.
        let has_inner = self.has_inner();
        let names = self.names();
        let done = act();
        let mut numbers = self.numbers();
        let mut is_less = false;
        let done = done.map(|(done, gone)| {
            is_less = gone != Kept::default();
            if is_less && has_inner {
                numbers.leave();
            } else if is_less {
                numbers.free(gone);
            }
            Some(done)
        });
        numbers.running = numbers.running.saturating_sub(1);
        drop((numbers, names));
        if is_less {
            self.tell_outer();
        }
        done
    }
}

impl Numbers {
    /// Whether something is there that may not be counted.
    fn is_suspect(&self) -> bool {
        self.strange != self.strange_known
    }

    /// Something that was counted is gone. Where it may not have been, nothing is lowered.
    fn free(&mut self, gone: Kept) {
        if self.is_suspect() { self.leave() } else { self.lower(gone) }
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
            State::Counted => Ok(()),
            State::Uncounted(Some(why)) => {
                let told = format!("what is kept there cannot be counted: {why}");
                Err(Error::new(ErrorKind::Broken, told))
            }
            State::Uncounted(None) | State::Counting | State::Closed => {
                Err(ErrorKind::Uncounted.into())
            }
        }
    }
}

/// A home with the limits of one account on it.
#[derive(Clone)]
pub(crate) struct Metered {
    pub(crate) meter: Arc<Meter>,
    pub(crate) quota: Quota,
    /// The homes of others in this one in which something is done, told by [`Metered::at`].
    inner: Vec<Arc<Meter>>,
}

impl Metered {
    pub(crate) fn new(meter: Arc<Meter>, quota: Quota) -> Self {
        Self { meter, quota, inner: Vec::new() }
    }

    /// The same for what is done at a path.
    pub(crate) fn at(&self, at: &VPath) -> Self {
        Self { inner: self.meter.inner_at(at), ..self.clone() }
    }

    /// A file that goes where it stands, if it is counted here for certain. In the home of another
    /// account it may be counted there: its place gives no room here.
    pub(crate) fn credited(&self, file: Option<Replaced>) -> Option<Replaced> {
        file.filter(|_| self.inner.is_empty() && !self.meter.numbers().is_suspect())
    }

    /// Lets everybody count again in whose home something is done. No numbers may be held.
    fn tell(&self) {
        for meter in &self.inner {
            meter.suspect();
        }
        if !self.inner.is_empty() {
            self.meter.numbers().is_stale = true;
        }
        self.meter.tell_outer();
    }

    /// Whether something that gets another name leaves the home of another account, so that it may
    /// not be counted here.
    pub(crate) fn comes_out(&self, from: &VPath, to: &VPath) -> bool {
        !self.meter.inner_at(from).is_empty() && self.meter.inner_at(to).is_empty()
    }

    /// Waits until something may change, for a while.
    ///
    /// # Errors
    /// `Uncounted` if the count takes longer, `Broken` if it failed.
    pub(crate) async fn ready(&self) -> Result<()> {
        let waited = timeout(COUNT_WAIT_MAX, async {
            loop {
                // Before the look, so that no end of a count is missed.
                let mut counted = std::pin::pin!(self.meter.counted.notified());
                counted.as_mut().enable();
                if self.meter.numbers().state != State::Counting {
                    return;
                }
                counted.await;
            }
        });
        let _ = waited.await;
        self.meter.numbers().check_counted()
    }

    /// Whether a change may begin without waiting for anything.
    pub(crate) fn is_ready(&self) -> bool {
        self.meter.witness.as_ref().is_none_or(|witness| witness.knows())
            && self.meter.numbers().state == State::Counted
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage { kept: self.meter.kept(), bytes_max: self.quota.bytes, files_max: self.quota.files }
    }

    /// The right to change names, until it is dropped; nobody else has it meanwhile.
    ///
    /// # Errors
    /// As for [`Metered::ready`]; and where what is kept cannot be marked as changing.
    pub(crate) fn change(&self) -> Result<Change<'_>> {
        if let Some(witness) = &self.meter.witness {
            witness.tell()?;
        }
        {
            let mut numbers = self.meter.numbers();
            numbers.check_counted()?;
            numbers.running += 1;
        }
        Ok(Change::begun(&self.meter, self.quota))
    }
}
