//! What an upload is until it is published: a hidden temporary beside its target.

use std::fs::File;
use std::io::{self, ErrorKind as Io, IoSlice, Read, Seek, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{Loan, Replace, Start, Stored, Write};
use wharf_proto::entry::Kind;
use wharf_proto::path::VPath;

use super::fault::fault;
use super::leftover::{
    Claim, claim, leads_to_hidden, partial_name, remove_if_unused, resumable, throwaway_name,
};
use super::loan::{Borrowed, Borrower};
use super::space::Headroom;
use super::system::{Directory, Own, real_name};
use super::tree::{Place, Tree, check_replaceable, refuse_hidden};
use crate::meter::{Charge, Metered};
use crate::name::check_new;

/// How often a name for a temporary is tried.
const TRIES_MAX: usize = 10;
/// The most pieces in one call; the system takes 1024 at most.
const PIECES_MAX: usize = 512;

/// A temporary that is ours alone. Dropping it keeps or removes it, which may block.
pub(super) struct Draft {
    dir: Directory,
    target: Vec<u8>,
    file: File,
    /// How many bytes were in it when it was claimed; none if it was made then.
    found: Option<u64>,
    /// Whether something stood at the target when the upload began.
    is_there: bool,
    name: Vec<u8>,
    /// Whether `name` is the one under which this account finds it again.
    is_findable: bool,
    /// What others call the folder in which it is.
    folder: PathBuf,
    /// The name of this account's unfinished upload to the target, which publishing forgets.
    partial: Vec<u8>,
    keep: Duration,
    is_durable: bool,
    replace: Replace,
    /// Permission bits of a file that replaces none.
    mode: u32,
    /// How many bytes an earlier upload left that this one goes on with.
    resumed: u64,
    /// How many bytes there are now.
    length: u64,
    /// Whether somebody else writes to the file.
    is_lent: bool,
    /// Who wrote to it last.
    borrower: Option<Borrower>,
    /// How many there were when they were last synced.
    synced: Option<u64>,
    state: State,
    /// The room on the file system.
    headroom: Headroom,
    /// Its part in what the account keeps, where that is counted.
    charge: Option<Arc<Charge>>,
}

/// How a draft ends when it is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No byte was written: what was resumed stays, else it is removed.
    Untouched,
    /// It is kept if it can be found again.
    Written,
    /// A write failed: it is cut to what was resumed, or removed.
    Torn,
    /// It is removed: published as it is it would lie, or nobody could use it.
    Spoilt,
    /// It has its final name.
    Published,
}

impl Draft {
    /// Claims a temporary and brings it to the state in which the first byte can be written.
    pub(super) fn begin(tree: &Tree, at: &VPath, how: Write) -> Result<Self> {
        refuse_hidden(at, ErrorKind::Forbidden)?;
        let place = tree.place(at, ErrorKind::IsADirectory)?;
        Self::begin_in(tree, place, at, how)
    }

    /// The same for a new file, if that takes no time worth a thread; none if it may.
    pub(super) fn begin_at_once(tree: &Tree, at: &VPath, how: Write) -> Option<Result<Self>> {
        let is_known = tree.metered.as_ref().is_none_or(Metered::is_ready);
        let is_small = how.start == Start::Fresh && tree.changes_at_once() && is_known;
        if !is_small || leads_to_hidden(at) {
            return None;
        }
        tree.pace.timed(|| {
            let place = tree.place_at_once(at)?;
            Some(Self::begin_in(tree, place, at, how))
        })
    }

    fn begin_in(tree: &Tree, place: Place<'_>, at: &VPath, how: Write) -> Result<Self> {
        let is_there = match tree.what_stands(&place, at)? {
            None => {
                check_new(place.name)?;
                false
            }
            Some(kind) => {
                check_replaceable(kind)?;
                how.replace.check(true)?;
                true
            }
        };
        // What was made just now and is not counted yet must not be taken for something old, and
        // counted as gone.
        let counting = tree.counting()?;
        let mut draft = Self::claim(tree, place, how.replace)?;
        draft.folder = tree.real_path(&at.parent().unwrap_or_else(VPath::root));
        draft.is_there = is_there;
        draft.charge_for(tree)?;
        drop(counting);
        draft.prepare(tree, at, how.start)?;
        draft.headroom.take(&draft.file, 0)?;
        if let Some(charge) = &draft.charge {
            charge.check_room()?;
        }
        Ok(draft)
    }

    /// Which permission bits it does not get if it is a new file.
    pub(super) fn set_umask(&mut self, umask: u32) {
        self.mode = 0o666 & !umask;
    }

    /// Counts it as something that the account keeps.
    fn charge_for(&mut self, tree: &Tree) -> Result<()> {
        let Some(metered) = &tree.metered else { return Ok(()) };
        let there = if self.is_there { self.dir.measure(&self.target)? } else { None };
        let replaces = there.and_then(|(kind, bytes)| (kind == Kind::File).then_some(bytes));
        match Charge::begin(metered, self.found, replaces) {
            Ok(charge) => self.charge = Some(Arc::new(charge)),
            Err(error) => {
                // What was left there is counted already, and stays.
                self.resumed = self.found.unwrap_or(0);
                self.length = self.resumed;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Brings it to the state in which the first byte can be written.
    fn prepare(&mut self, tree: &Tree, at: &VPath, start: Start) -> Result<()> {
        if start == Start::Fresh {
            // Mostly it was made just now.
            if self.found.is_some_and(|found| found > 0) {
                self.truncate(0)?;
            }
            return Ok(());
        }
        match (self.resume()?, self.is_there) {
            (Some(length), _) => self.cut(start, length)?,
            (None, true) => {
                let (old, length) = tree.root.open_file(at)?;
                self.copy(&old, kept(start, length)?)?;
            }
            (None, false) => {
                kept(start, 0)?;
            }
        }
        Ok(())
    }

    /// The account's own temporary for this target; another one if that is in use or odd.
    fn claim(tree: &Tree, place: Place<'_>, replace: Replace) -> Result<Self> {
        let partial = partial_name(&tree.account, place.name);
        let keep = tree.options.keep_partials;
        let found = if keep.is_zero() { None } else { claim_partial(&place.dir, &partial)? };
        let is_findable = found.is_some();
        let (file, found, name) = if let Some((file, length)) = found {
            (file, length, partial.clone())
        } else {
            let (file, name) = claim_throwaway(&place.dir)?;
            (file, None, name)
        };
        Ok(Self {
            target: place.name.to_vec(),
            dir: place.dir,
            file,
            found,
            is_there: false,
            name,
            is_findable,
            folder: PathBuf::new(),
            partial,
            keep,
            is_durable: tree.is_durable(),
            replace,
            mode: 0o666 & !tree.options.umask,
            resumed: 0,
            length: 0,
            is_lent: false,
            borrower: None,
            synced: None,
            state: State::Untouched,
            headroom: Headroom::of(tree.options.reserve),
            charge: None,
        })
    }

    /// What an earlier upload left, if that can be resumed; else an empty draft.
    fn resume(&mut self) -> Result<Option<u64>> {
        let found = resumable(&self.file, self.keep).map_err(fault)?;
        match found {
            Some(length) => {
                self.resumed = length;
                self.length = length;
            }
            None => self.truncate(0)?,
        }
        Ok(found)
    }

    fn cut(&mut self, start: Start, length: u64) -> Result<()> {
        let keep = kept(start, length)?;
        self.truncate(keep)?;
        self.resumed = keep;
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        self.file.set_len(length).map_err(fault)?;
        self.file.seek(SeekFrom::Start(length)).map_err(fault)?;
        self.length = length;
        self.synced = None;
        if let Some(charge) = &self.charge {
            charge.set(length);
        }
        Ok(())
    }

    /// Asks whether so many bytes may be added.
    fn take_room(&mut self, bytes: u64) -> Result<()> {
        self.headroom.take(&self.file, bytes)?;
        self.charge.as_ref().map_or(Ok(()), |charge| charge.grow(bytes))
    }

    /// Begins with the first bytes of a file that is there.
    fn copy(&mut self, old: &File, keep: u64) -> Result<()> {
        self.take_room(keep)?;
        let copied = io::copy(&mut old.take(keep), &mut self.file);
        match copied {
            Ok(copied) if copied == keep => {
                self.length = keep;
                Ok(())
            }
            Ok(_) => Err(Error::new(ErrorKind::Busy, "the file shrank while it was copied")),
            Err(error) => Err(fault(error)),
        }
    }

    /// Writes the next bytes. After an error the draft must be dropped.
    pub(super) fn write(&mut self, pieces: &[Bytes]) -> Result<()> {
        for pieces in pieces.chunks(PIECES_MAX) {
            let bytes = pieces.iter().fold(0, |sum: usize, piece| sum.saturating_add(piece.len()));
            self.take_room(u64::try_from(bytes).unwrap_or(u64::MAX)).inspect_err(|_| {
                self.state = State::Torn;
            })?;
            let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            self.write_all(&mut slices).map_err(|error| {
                self.state = State::Torn;
                fault(error)
            })?;
        }
        Ok(())
    }

    fn write_all(&mut self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        while !slices.is_empty() {
            match self.file.write_vectored(slices) {
                Ok(0) => return Err(Io::WriteZero.into()),
                Ok(written) => {
                    self.state = State::Written;
                    let more = u64::try_from(written).map_err(io::Error::other)?;
                    self.length = self.length.saturating_add(more);
                    IoSlice::advance_slices(&mut slices, written);
                }
                Err(error) if error.kind() == Io::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The file at the place of the next byte, for somebody who writes to it without us.
    pub(super) fn lend(&mut self) -> Result<Loan> {
        let file = self.file.try_clone().map_err(fault)?;
        self.is_lent = true;
        let borrowed = Borrowed::new(self.headroom, self.charge.clone());
        self.borrower = Some(borrowed.borrower());
        Ok(Loan { file, allowance: Some(Box::new(borrowed)) })
    }

    /// Counts what was written to the lent file. After a failed write the draft must be dropped.
    pub(super) fn take_back(&mut self, failed: bool) -> Result<()> {
        let was_lent = std::mem::take(&mut self.is_lent);
        if was_lent {
            let length = self.file.metadata().map_err(fault)?.len();
            if length > self.length {
                self.state = State::Written;
                self.length = length;
            }
            if let Some(charge) = &self.charge {
                charge.set(length);
            }
        }
        if failed {
            self.state = State::Torn;
        }
        Ok(())
    }

    /// Makes what was written survive a power failure, where that is wanted.
    pub(super) fn sync(&mut self) -> Result<()> {
        if self.needs_sync() && self.synced != Some(self.length) {
            let state = std::mem::replace(&mut self.state, State::Spoilt);
            // An error is final: a second call could succeed without the bytes being there.
            self.file.sync_all().map_err(fault)?;
            self.state = state;
            self.synced = Some(self.length);
        }
        Ok(())
    }

    /// Where programs beside the server find it.
    pub(super) fn real_path(&self) -> PathBuf {
        self.folder.join(real_name(&self.name))
    }

    /// Nothing of it may be resumed.
    pub(super) fn spoil(&mut self) {
        self.state = State::Spoilt;
    }

    /// Whether syncing does anything.
    pub(super) fn needs_sync(&self) -> bool {
        self.is_durable
    }

    /// Gives the draft its final name. On an error it is gone and nothing is published, except
    /// where syncing the directory fails: then the new content stands, but may not last.
    pub(super) fn publish(mut self) -> Result<Stored> {
        self.state = State::Spoilt;
        // What came there since the upload began keeps nothing.
        let stands = if self.is_there { self.dir.mode(&self.target)? } else { None };
        self.dir.set_mode(&self.file, stands.unwrap_or(self.mode)).map_err(fault)?;
        self.sync()?;
        self.take_place()?;
        if self.is_durable {
            self.dir.sync().map_err(fault)?;
        }
        Ok(Stored { size: self.length })
    }

    /// Renames the draft, and counts what is gone by that.
    fn take_place(&mut self) -> Result<()> {
        let rename = || self.dir.rename(&self.name, &self.dir, &self.target, self.replace);
        // What an earlier upload to this name left is older than what stands there now.
        let forget = || {
            let forgets = !self.is_findable;
            forgets.then(|| remove_if_unused(&self.dir, &self.partial, Duration::ZERO))
        };
        let Some(charge) = &self.charge else {
            rename()?;
            let _ = forget();
            self.state = State::Published;
            return Ok(());
        };
        let counting = charge.metered().change()?;
        let there = self.dir.measure(&self.target)?;
        let replaced = there.and_then(|(kind, bytes)| (kind == Kind::File).then_some(bytes));
        charge.check_publish(self.length, replaced)?;
        rename()?;
        charge.published();
        if let Some(Ok(Some(bytes))) = forget() {
            counting.freed(bytes, 1);
        }
        drop(counting);
        self.state = State::Published;
        Ok(())
    }

    /// Whether the draft stays for its account, brought to the state in which it is resumed.
    fn stays(&mut self) -> bool {
        let is_kept = match self.state {
            State::Untouched => self.resumed > 0,
            State::Written => true,
            State::Torn => self.resumed > 0 && self.truncate(self.resumed).is_ok(),
            State::Spoilt | State::Published => false,
        };
        is_kept
            && self.is_findable
            && self.length > 0
            && self.charge.as_ref().is_none_or(|charge| charge.may_stay(self.length))
            && (!self.is_durable || self.file.sync_all().is_ok())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Whoever writes to it has been stopped, or is just about to.
        if let (Some(borrower), true) = (self.borrower.take(), self.is_lent) {
            borrower.await_return();
        }
        let _ = self.take_back(false);
        if self.state == State::Published {
            return;
        }
        // Where removing fails, the sweep comes back to it.
        let is_left = self.stays() || self.dir.unlink(&self.name).is_err();
        if let Some(charge) = &self.charge {
            charge.end(is_left.then_some(self.length));
        }
    }
}

/// How many bytes of `length` a write keeps.
fn kept(start: Start, length: u64) -> Result<u64> {
    match start {
        Start::Fresh => Ok(0),
        Start::End => Ok(length),
        Start::At(keep) if keep <= length => Ok(keep),
        Start::At(_) => Err(ErrorKind::BadOffset.into()),
    }
}

/// The temporary under the account's own name and its length, or none if it cannot be had.
fn claim_partial(dir: &Directory, name: &[u8]) -> Result<Option<(File, Option<u64>)>> {
    let mut is_new = false;
    for _ in 0..TRIES_MAX {
        let file = match dir.create(name) {
            Ok(file) => {
                is_new = true;
                file
            }
            Err(error) if error.kind() != Io::AlreadyExists => return Err(fault(error)),
            Err(_) => match dir.open_own(name).map_err(fault)? {
                Own::Found(file) => file,
                Own::Foreign => return Ok(None),
                Own::Missing => continue,
            },
        };
        match claim(dir, name, &file) {
            Claim::Held(length) => return Ok(Some((file, (!is_new).then_some(length)))),
            // Someone who only asks for its length is done at once.
            Claim::Taken => std::thread::yield_now(),
            Claim::Impossible => return Ok(None),
        }
    }
    Ok(None)
}

fn claim_throwaway(dir: &Directory) -> Result<(File, Vec<u8>)> {
    for _ in 0..TRIES_MAX {
        let name = throwaway_name().map_err(fault)?;
        match dir.create(&name) {
            // Without locks its name alone makes it ours. A sweep may have taken it meanwhile.
            Ok(file) if !matches!(claim(dir, &name, &file), Claim::Taken) => {
                return Ok((file, name));
            }
            Ok(_) => {}
            Err(error) if error.kind() == Io::AlreadyExists => {}
            Err(error) => return Err(fault(error)),
        }
    }
    Err(Error::new(ErrorKind::Busy, "no name for a temporary is free"))
}
