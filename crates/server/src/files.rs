//! An account's view of its files: the only door to the store. Every act asks for its right here,
//! so no command can forget to.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use wharf_core::error::ErrorKind;
use wharf_core::event::Tree;
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::{
    Change, Entries, Replace, Sink, Source, Start, Storage, Usage, Wanted, Write,
};
use wharf_proto::entry::{Entry, Kind, Perm};
use wharf_proto::path::VPath;

use crate::refusal::Refusal;
use crate::settings::Files as FilesSettings;

/// One account's files and rights. Cheap to clone: it is a handle.
#[derive(Clone)]
pub(crate) struct Files {
    store: Arc<dyn Storage>,
    rules: Arc<Rules>,
    ignores_case: bool,
    makes_parents: bool,
    may_overwrite: bool,
}

impl Files {
    pub(crate) fn new(store: Arc<dyn Storage>, rules: Rules, settings: &FilesSettings) -> Self {
        Self {
            ignores_case: store.caps().ignores_case,
            store,
            rules: Arc::new(rules),
            makes_parents: settings.makes_parents,
            may_overwrite: settings.may_overwrite,
        }
    }

    /// Where the operating system has them, for those who are told of events.
    pub(crate) fn tree(&self) -> Tree {
        Tree::of(Arc::clone(&self.store))
    }

    /// Whether the account may ever do this, anywhere.
    pub(crate) fn may_ever(&self, rights: Permissions) -> bool {
        let anywhere = self.rules.anywhere();
        rights.is_empty() || anywhere.contains(rights)
    }

    /// The facts of a path, with what the account may do there.
    pub(crate) async fn stat(&self, at: &VPath) -> Result<Entry, Refusal> {
        self.require(at, Permissions::LIST)?;
        let mut entry = self.told(at, self.store.stat(at).await)?;
        entry.perm = self.perm(at, entry.kind);
        Ok(entry)
    }

    /// How long a file is for somebody who means to go on with an upload: as long as what this
    /// account left unfinished, if it did.
    pub(crate) async fn size(&self, at: &VPath) -> Result<Entry, Refusal> {
        self.require(at, Permissions::LIST)?;
        let partial = if self.rights(at).contains(Permissions::UPLOAD) {
            self.store.partial(at).await?
        } else {
            None
        };
        match (self.stat(at).await, partial) {
            (Ok(entry), Some(size)) if entry.kind == Kind::File => Ok(Entry { size, ..entry }),
            (Err(_), Some(size)) => {
                let mut entry = Entry::new(at.name().unwrap_or_default(), Kind::File, size);
                entry.perm = self.perm(at, Kind::File);
                Ok(entry)
            }
            (entry, _) => entry,
        }
    }

    /// Whether something is there, as far as the account may know: where it may neither list nor
    /// read, nothing is, so that the meaning of a name does not depend on what exists.
    pub(crate) async fn exists(&self, at: &VPath) -> bool {
        let may_know = self.may_know(at) || self.rights(at).contains(Permissions::READ);
        may_know && self.store.stat(at).await.is_ok()
    }

    /// Whether the account may know what exists at a path: it may list the folder, or what is
    /// there. Else every command answers alike for what exists and for what does not.
    fn may_know(&self, at: &VPath) -> bool {
        let Some(folder) = at.parent() else { return true };
        self.rights(at).union(self.rights(&folder)).contains(Permissions::LIST)
    }

    /// Whether an upload to `at` makes the folders on the way: always where the account may not
    /// know whether they exist, since an error would tell.
    fn makes_folders_for(&self, at: &VPath) -> bool {
        self.makes_parents || at.parent().is_some_and(|folder| !self.may_know(&folder))
    }

    /// Checks that a directory can be entered. Where the account may not know whether it exists,
    /// any name can be: cameras go to their folder before they upload.
    pub(crate) async fn enter(&self, at: &VPath) -> Result<(), Refusal> {
        self.require(at, Permissions::ENTER)?;
        if !self.may_know(at) {
            return Ok(());
        }
        match self.told(at, self.store.stat(at).await)?.kind {
            Kind::Dir => Ok(()),
            Kind::Link => Err(self.not_followed(at).await),
            _ => Err(ErrorKind::NotADirectory.into_refusal()),
        }
    }

    /// Why a link is not followed: it is broken, leads in a circle, or out of the home.
    pub(crate) async fn not_followed(&self, at: &VPath) -> Refusal {
        match self.store.list(at, Wanted::Names).await {
            Ok(_) => ErrorKind::NotADirectory.into_refusal(),
            Err(error) => error.into(),
        }
    }

    /// What a directory holds.
    pub(crate) async fn list(&self, at: &VPath, wanted: Wanted) -> Result<Entries, Refusal> {
        self.require(at, Permissions::LIST)?;
        self.told(at, self.store.list(at, wanted).await)
    }

    /// What a directory holds, for a walk through a tree that needs this right in each folder;
    /// none where the account lacks it. The error is the store's own.
    pub(crate) async fn list_for(
        &self,
        at: &VPath,
        right: Permissions,
    ) -> Option<wharf_core::error::Result<Entries>> {
        if !self.rights(at).contains(right) {
            return None;
        }
        Some(self.store.list(at, Wanted::Facts).await)
    }

    /// Removes a directory if it is empty; whether it was. A link is no directory here.
    pub(crate) async fn remove_if_empty(&self, at: &VPath) -> Result<bool, Refusal> {
        self.may_remove(at, true)?;
        if at.is_root() {
            return Err(Refusal::unavailable("The top directory cannot be removed."));
        }
        match self.store.remove_dir(at).await {
            Err(error) if error.kind == ErrorKind::NotEmpty => Ok(false),
            removed => self.told(at, removed).map(|()| true),
        }
    }

    /// Checks that the account may remove something of this kind.
    pub(crate) fn may_remove(&self, at: &VPath, is_dir: bool) -> Result<(), Refusal> {
        self.require(at, if is_dir { Permissions::RMDIR } else { Permissions::DELETE })
    }

    pub(crate) async fn read(&self, at: &VPath, from: u64) -> Result<Source, Refusal> {
        self.require(at, Permissions::READ)?;
        self.told(at, self.store.read(at, from).await)
    }

    /// How long a file is whose check sum is wanted.
    pub(crate) async fn stat_to_digest(&self, at: &VPath) -> Result<u64, Refusal> {
        self.may_digest(at)?;
        let entry = self.told(at, self.store.stat(at).await)?;
        self.told(at, regular(entry.kind))?;
        Ok(entry.size)
    }

    pub(crate) async fn read_to_digest(&self, at: &VPath, from: u64) -> Result<Source, Refusal> {
        self.may_digest(at)?;
        self.read(at, from).await
    }

    fn may_digest(&self, at: &VPath) -> Result<(), Refusal> {
        self.require(at, Permissions::READ)?;
        self.require(at, Permissions::HASH)
    }

    /// Checks that a file can be copied, for SITE CPFR.
    pub(crate) async fn may_copy(&self, from: &VPath) -> Result<(), Refusal> {
        self.require(from, Permissions::COPY)?;
        self.require(from, Permissions::READ)?;
        let kind = self.told(from, self.store.stat(from).await)?.kind;
        self.told(from, regular(kind))
    }

    /// Begins to copy a file: it is read with the rights of RETR and written with those of STOR.
    pub(crate) async fn copy(
        &self,
        from: &VPath,
        to: &VPath,
    ) -> Result<(Source, Box<dyn Sink>), Refusal> {
        self.require(to, Permissions::COPY)?;
        self.may_copy(from).await?;
        let source = self.read(from, 0).await?;
        Ok((source, self.store(to, Start::Fresh).await?))
    }

    /// Begins to store a file; a file that is there is replaced only with the right to.
    pub(crate) async fn store(&self, at: &VPath, start: Start) -> Result<Box<dyn Sink>, Refusal> {
        self.require(at, Permissions::UPLOAD)?;
        if let Start::At(from) = start
            && !self.may_know(at)
            && from > self.store.partial(at).await?.unwrap_or(0)
        {
            // How long a file is shows in which restart points it takes.
            return Err(ErrorKind::BadOffset.into_refusal());
        }
        self.write(at, Write { start, replace: self.replace(at) }).await
    }

    /// Whether an upload may replace a file at a path.
    fn replace(&self, at: &VPath) -> Replace {
        Replace::when(self.may_overwrite && self.rights(at).contains(Permissions::OVERWRITE))
    }

    /// The permission bits that new files and directories of this session do not get.
    pub(crate) fn umask(&self) -> Option<u32> {
        self.store.umask()
    }

    /// Sets them. Without the right to change modes, new files may only get fewer bits.
    pub(crate) fn set_umask(&self, umask: u32) -> Result<(), Refusal> {
        let now = self.store.umask().unwrap_or(0);
        if now & !umask != 0 && !self.may_ever(Permissions::CHMOD) {
            return Err(Refusal::Denied(Permissions::CHMOD));
        }
        self.store.set_umask(umask);
        Ok(())
    }

    /// What the account keeps and may keep, as far as anybody counts.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.store.usage()
    }

    /// Refuses a size that could not be stored even if nothing else were. What there is room for
    /// now depends on the upload: it may replace a file, or go on with what was left. An account
    /// that may not write at `at` learns nothing of the room there.
    pub(crate) async fn check_size(&self, at: &VPath, bytes: u64) -> Result<(), Refusal> {
        let rights = self.rights(at);
        if !rights.contains(Permissions::UPLOAD) && !rights.contains(Permissions::APPEND) {
            return Ok(());
        }
        let most = self.store.usage_at(at).and_then(|usage| usage.bytes_max.bytes());
        if most.is_some_and(|most| bytes > most) {
            return Err(ErrorKind::OverQuota.into_refusal());
        }
        match self.store.space_at(at).await? {
            Some(space) if bytes > space.total => Err(ErrorKind::NoSpace.into_refusal()),
            _ => Ok(()),
        }
    }

    /// Refuses an upload of an announced size for which there is no room. Gives how many bytes
    /// are there already that the upload goes on with.
    ///
    /// Clients announce the whole file or what they are about to send of it; whichever asks for
    /// less is believed, and what is written is checked in any case.
    ///
    /// The right comes first, and a file counts as room only for an upload that may replace it by
    /// an account that may know of it: else the sizes that are refused would tell its length.
    pub(crate) async fn check_room(
        &self,
        at: &VPath,
        start: Start,
        announced: u64,
    ) -> Result<u64, Refusal> {
        let appends = start == Start::End;
        self.require(at, if appends { Permissions::APPEND } else { Permissions::UPLOAD })?;
        let may_replace = appends || self.replace(at) == Replace::Allowed;
        if may_replace && !self.may_know(at) {
            return Ok(0);
        }
        let partial = self.store.partial(at).await?;
        let old = match self.store.stat(at).await {
            Ok(entry) if may_replace && entry.kind == Kind::File => entry.size,
            _ => 0,
        };
        let before = match start {
            Start::Fresh => 0,
            Start::At(at) => at,
            Start::End => partial.unwrap_or(old),
        };
        let more = announced.saturating_sub(before);
        if self.store.space_at(at).await?.is_some_and(|space| more > space.free) {
            return Err(ErrorKind::NoSpace.into_refusal());
        }
        if let Some(Usage { kept: Some(kept), bytes_max, .. }) = self.store.usage_at(at) {
            let others = kept.bytes.saturating_sub(old).saturating_sub(partial.unwrap_or(0));
            let whole = others.saturating_add(announced.max(before));
            if bytes_max.bytes().is_some_and(|most| whole > most) {
                return Err(ErrorKind::OverQuota.into_refusal());
            }
        }
        Ok(before)
    }

    /// Begins to store a file under a name that nothing has; none if something has it.
    pub(crate) async fn store_new(&self, at: &VPath) -> Result<Option<Box<dyn Sink>>, Refusal> {
        self.require(at, Permissions::UPLOAD)?;
        if self.store.stat(at).await.is_ok() {
            return Ok(None);
        }
        let how = Write { start: Start::Fresh, replace: Replace::Forbidden };
        self.write(at, how).await.map(Some)
    }

    pub(crate) async fn append(&self, at: &VPath) -> Result<Box<dyn Sink>, Refusal> {
        self.require(at, Permissions::APPEND)?;
        self.write(at, Write { start: Start::End, replace: Replace::Allowed }).await
    }

    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>, Refusal> {
        let mut begun = self.store.write(at, how).await;
        if is_missing(&begun) && self.makes_folders_for(at) {
            self.make_parents(at).await?;
            begun = self.store.write(at, how).await;
        }
        begun.map_err(|error| match error.kind {
            ErrorKind::IsADirectory | ErrorKind::NotADirectory if !self.may_know(at) => {
                ErrorKind::Exists.into_refusal()
            }
            _ => error.into(),
        })
    }

    pub(crate) async fn remove_file(&self, at: &VPath) -> Result<(), Refusal> {
        self.require(at, Permissions::DELETE)?;
        self.told(at, self.store.remove_file(at).await)
    }

    pub(crate) async fn remove_dir(&self, at: &VPath) -> Result<(), Refusal> {
        self.require(at, Permissions::RMDIR)?;
        if at.is_root() {
            return Err(Refusal::unavailable("The top directory cannot be removed."));
        }
        self.told(at, self.store.remove_dir(at).await)
    }

    /// Makes a directory, and says whether it did: where the account may not know what exists, a
    /// name that is taken is no error.
    pub(crate) async fn make_dir(&self, at: &VPath) -> Result<bool, Refusal> {
        self.require(at, Permissions::MKDIR)?;
        let mut made = self.store.make_dir(at).await;
        if is_missing(&made) && self.makes_folders_for(at) {
            self.make_parents(at).await?;
            made = self.store.make_dir(at).await;
        }
        match made {
            Ok(()) => Ok(true),
            Err(error) if error.kind == ErrorKind::Exists && !self.may_know(at) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the folders on the way to `at` that are missing. In a folder that the account may not
    /// list, the right to store files there is enough.
    async fn make_parents(&self, at: &VPath) -> Result<(), Refusal> {
        let mut parent = VPath::root();
        let names: Vec<_> = at.names().collect();
        for name in names.iter().take(names.len().saturating_sub(1)) {
            parent = parent.join(name)?;
            if self.store.stat(&parent).await.is_err() {
                let is_blind = !self.may_know(&parent);
                if !is_blind || !self.rights(&parent).contains(Permissions::UPLOAD) {
                    self.require(&parent, Permissions::MKDIR)?;
                }
                match self.store.make_dir(&parent).await {
                    // Another session was faster.
                    Err(error) if error.kind == ErrorKind::Exists => {}
                    made => made?,
                }
            }
        }
        Ok(())
    }

    /// Checks that something can be renamed, for RNFR.
    pub(crate) async fn may_rename(&self, from: &VPath) -> Result<(), Refusal> {
        self.require(from, Permissions::RENAME)?;
        if from.is_root() {
            return Err(Refusal::unavailable("The top directory cannot be renamed."));
        }
        if self.may_know(from) {
            self.told(from, self.store.stat(from).await)?;
        }
        Ok(())
    }

    pub(crate) async fn rename(&self, from: &VPath, to: &VPath) -> Result<(), Refusal> {
        self.require(from, Permissions::RENAME)?;
        self.require(to, Permissions::RENAME)?;
        self.told(from, self.store.rename(from, to, self.replace(to)).await)
    }

    pub(crate) async fn set(&self, at: &VPath, change: Change) -> Result<(), Refusal> {
        match change {
            Change::Mode(_) => {
                self.require(at, Permissions::CHMOD)?;
            }
            Change::Modified(_) => {
                self.require(at, Permissions::MTIME)?;
            }
        }
        self.told(at, self.store.set(at, change).await)
    }

    /// The facts of something that may not exist, with what the account may do there. Who may not
    /// look is told the same whether it exists or not.
    pub(crate) async fn find(&self, at: &VPath) -> Result<Option<Entry>, Refusal> {
        self.require(at, Permissions::LIST)?;
        let Ok(mut entry) = self.store.stat(at).await else { return Ok(None) };
        entry.perm = self.perm(at, entry.kind);
        Ok(Some(entry))
    }

    /// What the store said, for an account that may know what exists there. To any other, what is
    /// forbidden, of another kind, not empty or shorter is missing.
    fn told<T>(&self, at: &VPath, said: wharf_core::error::Result<T>) -> Result<T, Refusal> {
        said.map_err(|error| match error.kind {
            ErrorKind::Forbidden
            | ErrorKind::Exists
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::NotEmpty
            | ErrorKind::BadOffset
            | ErrorKind::CrossesDevices
                if !self.may_know(at) =>
            {
                ErrorKind::NotFound.into_refusal()
            }
            _ => error.into(),
        })
    }

    /// The letters of the `perm` fact for something of this kind at this path.
    fn perm(&self, at: &VPath, kind: Kind) -> Perm {
        perm(self.rights(at), kind)
    }

    /// The letters of the `perm` fact for whatever lies in this directory.
    pub(crate) fn perms_in(&self, directory: &VPath) -> PermsIn {
        if self.rules.reach_below(directory) {
            return PermsIn::Each(self.clone(), directory.clone());
        }
        let rights = self.rights(directory);
        PermsIn::All { files: perm(rights, Kind::File), directories: perm(rights, Kind::Dir) }
    }

    fn rights(&self, at: &VPath) -> Permissions {
        // Else `/SECRET` would have the rights of `/`, and lead to `/secret`.
        if self.ignores_case { self.rules.at_any_case(at) } else { self.rules.at(at) }
    }

    fn require(&self, at: &VPath, right: Permissions) -> Result<(), Refusal> {
        if self.rights(at).contains(right) { Ok(()) } else { Err(Refusal::Denied(right)) }
    }
}

/// An error unless it is a regular file.
fn regular(kind: Kind) -> wharf_core::error::Result<()> {
    match kind {
        Kind::File => Ok(()),
        Kind::Dir => Err(ErrorKind::IsADirectory.into()),
        // Nothing is read through a link that is not followed, nor from a device.
        Kind::Link | Kind::Other => Err(ErrorKind::Forbidden.into()),
    }
}

/// Whether an act failed because a folder on the way is missing.
fn is_missing<T>(ended: &wharf_core::error::Result<T>) -> bool {
    ended.as_ref().is_err_and(|error| error.kind == ErrorKind::NotFound)
}

/// What the `perm` fact shows of the entries of one directory.
pub(crate) enum PermsIn {
    /// The same for each, as long as no rule is about one of them.
    All {
        files: Perm,
        directories: Perm,
    },
    Each(Files, VPath),
}

impl PermsIn {
    pub(crate) fn of(&self, name: &[u8], kind: Kind) -> Perm {
        match self {
            Self::All { directories, .. } if kind == Kind::Dir => *directories,
            Self::All { files, .. } => *files,
            Self::Each(owner, directory) => {
                directory.join(name).map(|path| owner.perm(&path, kind)).unwrap_or_default()
            }
        }
    }
}

/// The letters of the `perm` fact.
fn perm(rights: Permissions, kind: Kind) -> Perm {
    const OF_A_FILE: &[(Permissions, u8)] = &[
        (Permissions::APPEND, b'a'),
        (Permissions::DELETE, b'd'),
        (Permissions::RENAME, b'f'),
        (Permissions::READ, b'r'),
        (Permissions::OVERWRITE, b'w'),
    ];
    const OF_A_DIRECTORY: &[(Permissions, u8)] = &[
        (Permissions::UPLOAD, b'c'),
        (Permissions::RMDIR, b'd'),
        (Permissions::ENTER, b'e'),
        (Permissions::RENAME, b'f'),
        (Permissions::LIST, b'l'),
        (Permissions::MKDIR, b'm'),
        (Permissions::DELETE, b'p'),
    ];
    let letters = if kind == Kind::Dir { OF_A_DIRECTORY } else { OF_A_FILE };
    letters
        .iter()
        .filter(|(right, _)| rights.contains(*right))
        .fold(Perm::default(), |perm, (_, letter)| perm.with(*letter))
}

trait IntoRefusal {
    fn into_refusal(self) -> Refusal;
}

impl IntoRefusal for ErrorKind {
    fn into_refusal(self) -> Refusal {
        wharf_core::error::Error::from(self).into()
    }
}
