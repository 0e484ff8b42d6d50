//! An account's folder, as blocking calls.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use wharf_core::error::{ErrorKind, Result};
use wharf_core::storage::{Change, Replace, Source, Space, Wanted};
use wharf_proto::entry::{Entry, Kind};
use wharf_proto::path::VPath;

use super::fault::fault;
use super::leftover::{
    is_hidden, is_ours, leads_to_hidden, partial_name, remove_if_unused, resumable,
};
use super::pace::Pace;
use super::space;
use super::system::read_at_once;
use super::system::{Directory, Own, Reader, Root, check_name, real_name};
use super::{DiskOptions, Durability};
use crate::meter::{Change as Counting, Metered};
use crate::name::check_new;

/// A file up to this size is read in one go when it is opened.
const WHOLE_BYTES_MAX: usize = 64 * 1024;

/// The open root, whose it is, and how it behaves.
pub(super) struct Tree {
    pub(super) root: Root,
    /// By which path it was opened.
    pub(super) folder: PathBuf,
    pub(super) account: String,
    pub(super) options: DiskOptions,
    pub(super) pace: Pace,
    /// Set where what is kept is counted.
    pub(super) metered: Option<Metered>,
    pub(super) ignores_case: bool,
}

/// A directory and a name in it.
pub(super) struct Place<'a> {
    pub(super) dir: Directory,
    pub(super) name: &'a [u8],
}

impl Tree {
    pub(super) fn open(root: &Path, account: &str, options: &DiskOptions) -> io::Result<Self> {
        let opened = Root::open(root, options.follow_symlinks).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot open {}: {error}", root.display()))
        })?;
        Ok(Self::over(opened, root, account, options))
    }

    /// The same if the folder is at hand; anything odd is for `open` to tell.
    pub(super) fn open_at_once(root: &Path, account: &str, options: &DiskOptions) -> Option<Self> {
        let opened = Root::open_at_once(root, options.follow_symlinks)?;
        Some(Self::over(opened, root, account, options))
    }

    fn over(root: Root, folder: &Path, account: &str, options: &DiskOptions) -> Self {
        let pace = Pace::new(root.medium());
        let ignores_case = root.ignores_case();
        let (account, options) = (account.to_owned(), options.clone());
        let folder = folder.to_owned();
        Self { root, folder, account, options, pace, metered: None, ignores_case }
    }

    /// What others call a path of this tree.
    pub(super) fn real_path(&self, at: &VPath) -> PathBuf {
        at.names().fold(self.folder.clone(), |path, name| path.join(real_name(name)))
    }

    /// Whether a path is at hand and leads to the root of this tree.
    pub(super) fn is_still_at(&self, path: &Path) -> bool {
        self.root.is_still_at(path)
    }

    /// Does without the kernel's help in staying below the root.
    pub(super) fn walk(&mut self) {
        self.root.walk();
        self.pace = Pace::new(self.root.medium());
    }

    /// Whether small changes may be made where they are asked for: not where they wait for a disk.
    pub(super) fn changes_at_once(&self) -> bool {
        !self.is_durable() && self.pace.is_quick()
    }

    /// The right to change names, where that is counted.
    pub(super) fn counting(&self) -> Result<Option<Counting<'_>>> {
        self.metered.as_ref().map(Metered::change).transpose()
    }

    /// The room for new content; none where the system does not say.
    pub(super) fn space(&self) -> Result<Option<Space>> {
        let top = self.root.top().map_err(fault)?;
        let space = space::of(&top).map_err(fault)?;
        Ok(space.map(|space| self.options.reserve.left_of(space)))
    }

    pub(super) fn is_durable(&self) -> bool {
        self.options.durability == Durability::Full
    }

    pub(super) fn stat(&self, at: &VPath) -> Result<Entry> {
        refuse_hidden(at, ErrorKind::NotFound)?;
        self.root.stat(at)
    }

    /// The facts of a path, if they are at hand; anything odd is for `stat` to tell.
    pub(super) fn stat_at_once(&self, at: &VPath) -> Option<Entry> {
        if leads_to_hidden(at) || !self.pace.is_quick() {
            return None;
        }
        self.pace.timed(|| self.root.stat_at_once(at))
    }

    /// A file's content, if it is at hand; anything odd is for `read` to tell.
    pub(super) fn read_at_once(&self, at: &VPath, from: u64) -> Option<Source> {
        if leads_to_hidden(at) || !self.pace.is_quick() {
            return None;
        }
        self.pace.timed(|| {
            let (file, size) = self.root.open_file_at_once(at)?;
            let len = size.checked_sub(from)?;
            match usize::try_from(len) {
                Ok(few) if few <= WHOLE_BYTES_MAX => {
                    let bytes = read_at_once(&file, from, few, self.pace.medium)?;
                    Some(Source::Bytes(Bytes::from(bytes)))
                }
                _ => Some(Source::File { file, from, len }),
            }
        })
    }

    pub(super) fn list(&self, at: &VPath, wanted: Wanted) -> Result<Reader> {
        refuse_hidden(at, ErrorKind::NotFound)?;
        Reader::new(self.root.directory(at)?, at.clone(), wanted)
    }

    pub(super) fn read(&self, at: &VPath, from: u64) -> Result<Source> {
        refuse_hidden(at, ErrorKind::NotFound)?;
        let (file, size) = self.root.open_file(at)?;
        let len = size.checked_sub(from).ok_or(ErrorKind::BadOffset)?;
        Ok(Source::File { file, from, len })
    }

    pub(super) fn partial(&self, at: &VPath) -> Result<Option<u64>> {
        if leads_to_hidden(at) {
            return Ok(None);
        }
        let place = match self.place(at, ErrorKind::IsADirectory) {
            Ok(place) => place,
            Err(error) if error.kind == ErrorKind::Broken => return Err(error),
            Err(_) => return Ok(None),
        };
        let name = partial_name(&self.account, place.name);
        let Own::Found(file) = place.dir.open_own(&name).map_err(fault)? else { return Ok(None) };
        // Shared, so that two who ask do not hinder one another.
        if file.try_lock_shared().is_err() || place.dir.length_if_same(&name, &file).is_none() {
            return Ok(None);
        }
        resumable(&file, self.options.keep_partials).map_err(fault)
    }

    pub(super) fn remove_file(&self, at: &VPath) -> Result<()> {
        refuse_hidden(at, ErrorKind::NotFound)?;
        let place = self.place(at, ErrorKind::IsADirectory)?;
        let counting = self.counting()?;
        match place.dir.measure(place.name)? {
            None => return Err(ErrorKind::NotFound.into()),
            Some((Kind::Dir, _)) => return Err(ErrorKind::IsADirectory.into()),
            Some((kind, bytes)) => {
                place.dir.unlink(place.name).map_err(fault)?;
                if let (Some(counting), Kind::File) = (&counting, kind) {
                    counting.freed(bytes, 1);
                }
            }
        }
        drop(counting);
        self.sync(&place.dir)
    }

    pub(super) fn remove_dir(&self, at: &VPath) -> Result<()> {
        refuse_hidden(at, ErrorKind::NotFound)?;
        let place = self.place(at, ErrorKind::Forbidden)?;
        match place.dir.look(place.name)? {
            None => return Err(ErrorKind::NotFound.into()),
            Some(Kind::Dir) => {}
            Some(_) => return Err(ErrorKind::NotADirectory.into()),
        }
        let counting = self.counting()?;
        if let Err(error) = place.dir.remove_dir(place.name) {
            if error.kind != ErrorKind::NotEmpty {
                return Err(error);
            }
            let leftovers = place.dir.subdirectory(place.name).map_err(fault)?;
            remove_leftovers(&leftovers, counting.as_ref())?;
            place.dir.remove_dir(place.name)?;
        }
        if let Some(counting) = &counting {
            counting.freed(0, 1);
        }
        drop(counting);
        self.sync(&place.dir)
    }

    pub(super) fn make_dir(&self, at: &VPath, umask: u32) -> Result<()> {
        refuse_hidden(at, ErrorKind::Forbidden)?;
        let place = self.place(at, ErrorKind::Exists)?;
        if place.dir.look(place.name)?.is_some() {
            return Err(ErrorKind::Exists.into());
        }
        check_new(place.name)?;
        let counting = self.counting()?;
        if let Some(counting) = &counting {
            counting.check_one_more()?;
        }
        place.dir.make_dir(place.name, 0o777 & !umask)?;
        if let Some(counting) = &counting {
            counting.added_one();
        }
        drop(counting);
        self.sync(&place.dir)
    }

    pub(super) fn rename(&self, from: &VPath, to: &VPath, replace: Replace) -> Result<()> {
        refuse_hidden(from, ErrorKind::NotFound)?;
        refuse_hidden(to, ErrorKind::Forbidden)?;
        let old = self.place(from, ErrorKind::Forbidden)?;
        let kind = old.dir.look(old.name)?.ok_or(ErrorKind::NotFound)?;
        if from == to {
            return Ok(());
        }
        let is_dir = kind == Kind::Dir;
        if is_dir && to.is_within(from) {
            return Err(ErrorKind::Forbidden.into());
        }
        let new = self.place(to, ErrorKind::Exists)?;
        let counting = self.counting()?;
        let mut replaced = None;
        match self.what_stands(&new, to)? {
            // It stands in its own way: `readme` becomes `README`.
            Some(_) if old.dir.is_respelling(old.name, &new.dir, new.name) => check_new(new.name)?,
            None => check_new(new.name)?,
            Some(there) => {
                replace.check(true)?;
                match (is_dir, there) {
                    (true, Kind::Dir) => return Err(ErrorKind::Exists.into()),
                    (true, _) => return Err(ErrorKind::NotADirectory.into()),
                    (false, there) => check_replaceable(there)?,
                }
                // A link is replaced itself, and holds nothing.
                if counting.is_some()
                    && let Some((Kind::File, bytes)) = new.dir.measure(new.name)?
                {
                    replaced = Some(bytes);
                }
            }
        }
        // The system would replace an empty directory by a directory: it must not.
        let replace = if is_dir { Replace::Forbidden } else { replace };
        old.dir.rename(old.name, &new.dir, new.name, replace)?;
        if let (Some(counting), Some(bytes)) = (&counting, replaced) {
            counting.freed(bytes, 1);
        }
        drop(counting);
        self.sync(&new.dir)?;
        self.sync(&old.dir)
    }

    pub(super) fn set(&self, at: &VPath, change: Change) -> Result<()> {
        refuse_hidden(at, ErrorKind::NotFound)?;
        self.root.set(at, change)
    }

    /// The same as `place` if the parent is at hand.
    pub(super) fn place_at_once<'a>(&self, at: &'a VPath) -> Option<Place<'a>> {
        let (parent, name) = (at.parent()?, at.name()?);
        check_name(name).ok()?;
        Some(Place { dir: self.root.directory_at_once(&parent)?, name })
    }

    /// The open parent of a path, and its last name. `of_root` is what the root fails with.
    pub(super) fn place<'a>(&self, at: &'a VPath, of_root: ErrorKind) -> Result<Place<'a>> {
        let (Some(parent), Some(name)) = (at.parent(), at.name()) else {
            return Err(of_root.into());
        };
        check_name(name)?;
        Ok(Place { dir: self.root.directory(&parent)?, name })
    }

    /// What stands at a place: for a link what it leads to, or a link if it leads nowhere that
    /// may be reached.
    pub(super) fn what_stands(&self, place: &Place<'_>, at: &VPath) -> Result<Option<Kind>> {
        match place.dir.look(place.name)? {
            Some(Kind::Link) => Ok(Some(self.root.stat(at)?.kind)),
            known => Ok(known),
        }
    }

    /// Makes changes of a directory last, where that is wanted.
    pub(super) fn sync(&self, dir: &Directory) -> Result<()> {
        if self.is_durable() { dir.sync().map_err(fault) } else { Ok(()) }
    }
}

/// Whether a file may take the place of what stands there.
pub(super) fn check_replaceable(there: Kind) -> Result<()> {
    match there {
        Kind::File => Ok(()),
        Kind::Dir => Err(ErrorKind::IsADirectory.into()),
        Kind::Link | Kind::Other => Err(ErrorKind::Forbidden.into()),
    }
}

pub(super) fn refuse_hidden(at: &VPath, kind: ErrorKind) -> Result<()> {
    if leads_to_hidden(at) { Err(kind.into()) } else { Ok(()) }
}

/// Empties a directory that holds nothing but temporaries of ours. `NotEmpty`, with nothing
/// removed, if it holds anything else; `Busy` if an upload is under way there.
fn remove_leftovers(dir: &Directory, counting: Option<&Counting<'_>>) -> Result<()> {
    for entry in dir.names().map_err(fault)? {
        let name = entry.map_err(fault)?.name;
        if !is_hidden(&name) || !is_ours(&name) {
            return Err(ErrorKind::NotEmpty.into());
        }
    }
    for entry in dir.names().map_err(fault)? {
        let name = entry.map_err(fault)?.name;
        let removed = remove_if_unused(dir, &name, std::time::Duration::ZERO).map_err(fault)?;
        let bytes = removed.ok_or(ErrorKind::Busy)?;
        if let Some(counting) = counting {
            counting.freed(bytes, 1);
        }
    }
    Ok(())
}
