//! How a draft begins: what it claims, what it goes on with, and what it may not.

use std::fs::File;
use std::io::ErrorKind as Io;
use std::path::PathBuf;
use std::sync::Arc;

use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{Replace, Start, Write};
use wharf_proto::entry::Kind;
use wharf_proto::path::VPath;

use super::{Draft, State};
use crate::disk::copying::Copying;
use crate::disk::fault::fault;
use crate::disk::leftover::{
    Claim, claim, forget_base, is_for, is_in_time, leads_to_hidden, partial_name, throwaway_name,
};
use crate::disk::space::Headroom;
use crate::disk::system::{Directory, Own};
use crate::disk::tree::{Place, Tree, check_replaceable, refuse_hidden};
use crate::meter::{Charge, Metered, Replaced};
use crate::name::check_new;

/// How often a name for a temporary is tried.
const TRIES_MAX: usize = 10;

/// Bytes of an unfinished upload by which a client is known that sends the whole file again behind
/// REST, as ncftpput does where the old file has another time than the new one.
pub(super) struct Overlap {
    head: Vec<u8>,
    next: Next,
}

/// What is known of the bytes that are to come.
enum Next {
    /// They came once already.
    Here(Vec<u8>),
    /// They are new. These came last: where a file repeats itself, its first bytes say nothing.
    New(Vec<u8>),
}

/// Bytes that are compared, and as few that say nothing.
const OVERLAP_BYTES_MAX: u64 = 1024;
const OVERLAP_BYTES_MIN: usize = 32;
/// Bytes in which a repetition is looked for.
const REPEATED_BYTES_MAX: u64 = 64 * 1024;

impl Overlap {
    /// What an upload of `length` bytes has at its beginning and at `keep`.
    fn of(file: &mut File, keep: u64, length: u64) -> std::io::Result<Option<Self>> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        if keep == 0 {
            return Ok(None);
        }
        let mut read = |from: u64, most: u64| {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(from))?;
            (&*file).take(most).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        let head = read(0, OVERLAP_BYTES_MAX.min(length))?;
        let next = if keep == length {
            let from = length.saturating_sub(REPEATED_BYTES_MAX).max(1);
            Next::New(read(from, REPEATED_BYTES_MAX)?)
        } else {
            Next::Here(read(keep, OVERLAP_BYTES_MAX)?)
        };
        Ok(Some(Self { head, next }))
    }

    /// Refuses bytes that are those of the beginning and not those that were to come: the file
    /// would hold its first part twice.
    pub(super) fn check(&self, pieces: &[bytes::Bytes]) -> Result<()> {
        let count = match &self.next {
            Next::Here(here) => self.head.len().min(here.len()),
            Next::New(_) => self.head.len(),
        };
        let came: Vec<u8> = pieces.iter().flatten().copied().take(count).collect();
        if came.len() < OVERLAP_BYTES_MIN || !self.head.starts_with(&came) {
            return Ok(());
        }
        let is_expected = match &self.next {
            Next::Here(here) => here.starts_with(&came),
            Next::New(last) => last.windows(came.len()).any(|bytes| bytes == came),
        };
        if is_expected {
            return Ok(());
        }
        let told = "the client sent the file from its beginning to be added to its first part";
        Err(Error::new(ErrorKind::BadOffset, told))
    }
}

/// What a write turns out to be.
pub(in crate::disk) enum Begun {
    /// A new content, which takes the name when it is whole.
    Upload(Draft),
    /// Bytes to be added to the file of that name in that directory.
    Append(Draft, Directory, Vec<u8>),
}

/// What an account left unfinished over what stands there now.
pub(in crate::disk) enum Left {
    Nothing,
    /// An upload that runs.
    InUse,
    /// Something that cannot go on, over what is by all signs still the old content.
    Outdated,
    /// So many bytes.
    Bytes(u64),
}

impl Draft {
    /// Claims a temporary and brings it to the state in which the first byte can be written, as
    /// soon as what it begins with was copied.
    pub(in crate::disk) fn begin(tree: &Tree, at: &VPath, how: Write) -> Result<Begun> {
        refuse_hidden(at, ErrorKind::Forbidden)?;
        let place = tree.place(at, ErrorKind::IsADirectory)?;
        if how.start == Start::End && place.dir.look(place.name)? == Some(Kind::File) {
            let (dir, name) = (place.dir.again().map_err(fault)?, place.name.to_vec());
            return Ok(Begun::Append(Self::begin_append(tree, place, at)?, dir, name));
        }
        Self::begin_in(tree, place, at, how).map(Begun::Upload)
    }

    /// The same for a new file, if that takes no time worth a thread; none if it may.
    pub(in crate::disk) fn begin_at_once(
        tree: &Tree,
        at: &VPath,
        how: Write,
    ) -> Option<Result<Self>> {
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
        match tree.what_stands(&place, at)? {
            None => check_new(place.name)?,
            Some(kind) => {
                check_replaceable(kind)?;
                how.replace.check(true)?;
            }
        }
        let base = tree.base(&place, at)?;
        if base.is_some() && how.start == Start::End {
            check_left(tree, &place, base.as_deref())?;
        }
        // What was made just now and is not counted yet must not be taken for something old, and
        // counted as gone.
        let counting = tree.counting()?;
        let mut draft = match Self::claim(tree, place, how.replace)? {
            // An upload of this account runs, or the server has not seen yet that it was cut: what
            // is sent on its behalf must not be added to the old file.
            (_, true) if base.is_some() && !matches!(how.start, Start::Fresh | Start::At(0)) => {
                return Err(Error::new(ErrorKind::Busy, "another upload to it is under way"));
            }
            (draft, _) => draft,
        };
        draft.folder = tree.real_path(&at.parent().unwrap_or_else(VPath::root));
        draft.base = base;
        draft.charge_for(tree, at)?;
        drop(counting);
        draft.prepare(tree, at, how.start)?;
        draft.headroom.take(&draft.file, 0)?;
        if let Some(charge) = &draft.charge {
            charge.check_room()?;
        }
        draft.keeps_empty = draft.base.is_some() && how.start == Start::Fresh;
        Ok(draft)
    }

    /// A temporary for bytes that are to be added to a file.
    fn begin_append(tree: &Tree, place: Place<'_>, at: &VPath) -> Result<Self> {
        let base = tree.base(&place, at)?;
        check_left(tree, &place, base.as_deref())?;
        // Who may not write to it hears that before sending anything.
        drop(place.dir.open_to_append(place.name)?);
        let counting = tree.counting()?;
        let (file, name) = claim_throwaway(&place.dir)?;
        let mut draft = Self::with(tree, place, Replace::Allowed, (file, None, name));
        draft.folder = tree.real_path(&at.parent().unwrap_or_else(VPath::root));
        draft.base = base;
        // It is no file of its own once it is done.
        let stage = draft.as_stage()?;
        draft.charge_by(tree, at, stage)?;
        drop(counting);
        draft.headroom.take(&draft.file, 0)?;
        if let Some(charge) = &draft.charge {
            charge.check_room()?;
        }
        Ok(draft)
    }

    /// Counts it as something that the account keeps.
    fn charge_for(&mut self, tree: &Tree, at: &VPath) -> Result<()> {
        let Some(metered) = &tree.metered else { return Ok(()) };
        let replaces = if self.base.is_some() { self.dir.file(&self.target)? } else { None };
        self.charge_by(tree, at, metered.at(at).credited(replaces))
    }

    fn charge_by(&mut self, tree: &Tree, at: &VPath, replaces: Option<Replaced>) -> Result<()> {
        let Some(metered) = &tree.metered else { return Ok(()) };
        match Charge::begin(&metered.at(at), self.found, replaces) {
            Ok(charge) => self.charge = Some(Arc::new(charge)),
            Err(error) => {
                // What was left there is counted already.
                self.leave_found();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Brings it to the state in which the first byte can be written.
    fn prepare(&mut self, tree: &Tree, at: &VPath, start: Start) -> Result<()> {
        let left = if start == Start::Fresh { None } else { self.resumable()? };
        let is_there = self.base.is_some();
        match (left, start) {
            // What is sent could be meant for either, also before the first byte of the new one.
            (Some(length), Start::End) if is_there => {
                self.leave_found();
                return Err(ErrorKind::Unfinished(length).into());
            }
            (Some(0), Start::End) => {}
            (Some(length), start) => {
                self.leave_found();
                return self.cut(start, length);
            }
            // The client goes on with what it sent for another file.
            (None, Start::At(1..))
                if self.found.is_some() && (is_there || self.is_in_time()?) =>
            {
                self.leave_found();
                let kind = if is_there { ErrorKind::Outdated } else { ErrorKind::BadOffset };
                return Err(kind.into());
            }
            (None, _) => {}
        }
        self.forget_found()?;
        match (start, is_there) {
            (Start::Fresh, _) => {}
            (start, true) => {
                tree.recover(at);
                let (old, length) = tree.root.open_file(at)?;
                let keep = kept(start, length)?;
                self.take_room(keep)?;
                self.copying = Copying::of(old, keep)?;
            }
            (start, false) => {
                kept(start, 0)?;
            }
        }
        Ok(())
    }

    /// How many bytes an earlier upload left that this one may go on with, none if it may not: it
    /// is too old, or was made for something else than what stands there now.
    fn resumable(&self) -> Result<Option<u64>> {
        let Some(length) = self.found else { return Ok(None) };
        if !self.is_in_time()? {
            return Ok(None);
        }
        let is_valid = is_for(&self.dir, &self.name, &self.target, self.base.as_deref());
        Ok(is_valid.map_err(fault)?.then_some(length))
    }

    fn is_in_time(&self) -> Result<bool> {
        is_in_time(&self.file, self.keep).map_err(fault)
    }

    /// What was found stays as it is if nothing is written, and what it was made for with it.
    fn leave_found(&mut self) {
        self.resumed = self.found;
        self.length = self.found.unwrap_or(0);
        self.is_noted = true;
    }

    /// Empties what was found.
    fn forget_found(&mut self) -> Result<()> {
        if let Some(found) = self.found {
            if found > 0 {
                self.truncate(0)?;
            }
            forget_base(&self.dir, &self.name);
        }
        Ok(())
    }

    /// The account's own temporary for this target; another one if that is in use or odd. Says
    /// whether it is in use.
    fn claim(tree: &Tree, place: Place<'_>, replace: Replace) -> Result<(Self, bool)> {
        let partial = partial_name(&tree.account, place.name);
        let keep = tree.options.partial_upload_retention;
        let claimed =
            if keep.is_zero() { Claimed::Not } else { claim_partial(&place.dir, &partial)? };
        let is_in_use = matches!(claimed, Claimed::InUse);
        let (parts, is_findable) = match claimed {
            Claimed::Held(file, found) => ((file, found, partial), true),
            Claimed::InUse | Claimed::Not => {
                let (file, name) = claim_throwaway(&place.dir)?;
                ((file, None, name), false)
            }
        };
        let mut draft = Self::with(tree, place, replace, parts);
        draft.is_findable = is_findable;
        Ok((draft, is_in_use))
    }

    fn with(
        tree: &Tree,
        place: Place<'_>,
        replace: Replace,
        (file, found, name): (File, Option<u64>, Vec<u8>),
    ) -> Self {
        Self {
            target: place.name.to_vec(),
            partial: partial_name(&tree.account, place.name),
            dir: place.dir,
            file,
            found,
            base: None,
            is_noted: false,
            made_mark: false,
            copying: None,
            name,
            is_findable: false,
            folder: PathBuf::new(),
            keep: tree.options.partial_upload_retention,
            is_durable: tree.is_durable(),
            replace,
            mode: 0o666 & !tree.options.umask,
            resumed: None,
            overlap: None,
            keeps_empty: false,
            length: 0,
            is_lent: false,
            borrower: None,
            synced: None,
            state: State::Untouched,
            headroom: Headroom::of(tree.options.min_free_space),
            charge: None,
        }
    }

    fn cut(&mut self, start: Start, length: u64) -> Result<()> {
        let keep = kept(start, length)?;
        self.overlap = Overlap::of(&mut self.file, keep, length).map_err(fault)?;
        self.truncate(keep)?;
        self.resumed = Some(keep);
        Ok(())
    }
}

/// Refuses to add to a file over which the account left an upload unfinished. What comes may be the
/// rest of that one, from a client that takes the length of the old file for what it has sent.
fn check_left(tree: &Tree, place: &Place<'_>, base: Option<&str>) -> Result<()> {
    match tree.find_left(place, base)? {
        Left::Nothing => Ok(()),
        Left::InUse => Err(Error::new(ErrorKind::Busy, "another upload to it is under way")),
        Left::Outdated => Err(ErrorKind::Outdated.into()),
        Left::Bytes(bytes) => Err(ErrorKind::Unfinished(bytes).into()),
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

/// The temporary under the account's own name.
enum Claimed {
    /// It is ours; its length if it was there before.
    Held(File, Option<u64>),
    /// Another upload of this account uses it.
    InUse,
    /// It cannot be had.
    Not,
}

fn claim_partial(dir: &Directory, name: &[u8]) -> Result<Claimed> {
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
                Own::Foreign => return Ok(Claimed::Not),
                Own::Missing => continue,
            },
        };
        match claim(dir, name, &file) {
            Claim::Held(length) => {
                return Ok(Claimed::Held(file, (!is_new).then_some(length)));
            }
            // One that only asks for its length is done at once.
            Claim::Taken => std::thread::yield_now(),
            Claim::Impossible => return Ok(Claimed::Not),
        }
    }
    Ok(Claimed::InUse)
}

pub(in crate::disk) fn claim_throwaway(dir: &Directory) -> Result<(File, Vec<u8>)> {
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
