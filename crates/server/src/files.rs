//! An account's view of its files: the only door to the store. Every act asks for its right here,
//! so no command can forget to.

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
        self.require(at, Permissions::LIST, "You may not look here.")?;
        let mut entry = self.told(at, self.store.stat(at).await)?;
        entry.perm = self.perm(at, entry.kind);
        Ok(entry)
    }

    /// How long a file is for somebody who means to go on with an upload: as long as what this
    /// account left unfinished, if it did.
    pub(crate) async fn size(&self, at: &VPath) -> Result<Entry, Refusal> {
        self.require(at, Permissions::LIST, "You may not look here.")?;
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

    /// Whether something is there. Says nothing to accounts that may not look.
    pub(crate) async fn exists(&self, at: &VPath) -> bool {
        self.store.stat(at).await.is_ok()
    }

    /// The size of the file that is there, if one is. For decisions about an upload that the
    /// account may make; nothing of it reaches the client.
    pub(crate) async fn size_of_target(&self, at: &VPath) -> Result<Option<u64>, Refusal> {
        match self.store.stat(at).await {
            Ok(entry) if entry.kind == Kind::File => Ok(Some(entry.size)),
            Ok(_) => Err(ErrorKind::IsADirectory.into_refusal()),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Refusal::from(error)),
        }
    }

    /// Checks that a directory can be entered.
    pub(crate) async fn enter(&self, at: &VPath) -> Result<(), Refusal> {
        self.require(at, Permissions::ENTER, "You may not enter that directory.")?;
        match self.told(at, self.store.stat(at).await)?.kind {
            Kind::Dir => Ok(()),
            _ => Err(ErrorKind::NotADirectory.into_refusal()),
        }
    }

    /// What a directory holds.
    pub(crate) async fn list(&self, at: &VPath, wanted: Wanted) -> Result<Entries, Refusal> {
        self.require(at, Permissions::LIST, "You may not list that directory.")?;
        self.told(at, self.store.list(at, wanted).await)
    }

    pub(crate) async fn read(&self, at: &VPath, from: u64) -> Result<Source, Refusal> {
        self.require(at, Permissions::READ, "You may not fetch files here.")?;
        self.told(at, self.store.read(at, from).await)
    }

    /// How long a file is whose check sum is wanted.
    pub(crate) async fn stat_to_digest(&self, at: &VPath) -> Result<u64, Refusal> {
        self.may_digest(at)?;
        let entry = self.told(at, self.store.stat(at).await)?;
        match entry.kind {
            Kind::File => Ok(entry.size),
            Kind::Dir => Err(ErrorKind::IsADirectory.into_refusal()),
            _ => Err(Refusal::unavailable("That is not a file.")),
        }
    }

    pub(crate) async fn read_to_digest(&self, at: &VPath, from: u64) -> Result<Source, Refusal> {
        self.may_digest(at)?;
        self.read(at, from).await
    }

    fn may_digest(&self, at: &VPath) -> Result<(), Refusal> {
        self.require(at, Permissions::READ, "You may not fetch files here.")?;
        self.require(at, Permissions::HASH, "You may not ask for check sums here.")
    }

    /// Checks that a file can be copied, for SITE CPFR.
    pub(crate) async fn may_copy(&self, from: &VPath) -> Result<(), Refusal> {
        self.require(from, Permissions::COPY, "You may not copy files here.")?;
        self.require(from, Permissions::READ, "You may not fetch files here.")?;
        match self.told(from, self.store.stat(from).await)?.kind {
            Kind::File => Ok(()),
            Kind::Dir => Err(ErrorKind::IsADirectory.into_refusal()),
            _ => Err(Refusal::unavailable("That is not a file.")),
        }
    }

    /// Begins to copy a file: it is read with the rights of RETR and written with those of STOR.
    pub(crate) async fn copy(
        &self,
        from: &VPath,
        to: &VPath,
    ) -> Result<(Source, Box<dyn Sink>), Refusal> {
        self.require(to, Permissions::COPY, "You may not copy files there.")?;
        self.may_copy(from).await?;
        let source = self.read(from, 0).await?;
        Ok((source, self.store(to, Start::Fresh).await?))
    }

    /// Begins to store a file; a file that is there is replaced only with the right to.
    pub(crate) async fn store(&self, at: &VPath, start: Start) -> Result<Box<dyn Sink>, Refusal> {
        self.require(at, Permissions::UPLOAD, "You may not store files here.")?;
        let may = self.may_overwrite && self.rights(at).contains(Permissions::OVERWRITE);
        self.write(at, Write { start, replace: Replace::when(may) }).await
    }

    /// What the account keeps and may keep, as far as anybody counts.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.store.usage()
    }

    /// Refuses a size that could not be stored even if nothing else were. What there is room for
    /// now depends on the upload: it may replace a file, or go on with what was left.
    pub(crate) async fn check_size(&self, at: &VPath, bytes: u64) -> Result<(), Refusal> {
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
    pub(crate) async fn check_room(
        &self,
        at: &VPath,
        start: Start,
        announced: u64,
    ) -> Result<u64, Refusal> {
        let partial = self.store.partial(at).await?;
        let old = match self.store.stat(at).await {
            Ok(entry) if entry.kind == Kind::File => entry.size,
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

    /// Begins to store a file under a name that nothing has.
    pub(crate) async fn store_new(&self, at: &VPath) -> Result<Box<dyn Sink>, Refusal> {
        self.require(at, Permissions::UPLOAD, "You may not store files here.")?;
        if self.exists(at).await {
            return Err(ErrorKind::Exists.into_refusal());
        }
        self.write(at, Write { start: Start::Fresh, replace: Replace::Forbidden }).await
    }

    pub(crate) async fn append(&self, at: &VPath) -> Result<Box<dyn Sink>, Refusal> {
        self.require(at, Permissions::APPEND, "You may not append to files here.")?;
        self.write(at, Write { start: Start::End, replace: Replace::Allowed }).await
    }

    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>, Refusal> {
        match self.store.write(at, how).await {
            Err(error) if error.kind == ErrorKind::NotFound && self.makes_parents => {
                self.make_parents(at).await?;
                Ok(self.store.write(at, how).await?)
            }
            sink => Ok(sink?),
        }
    }

    pub(crate) async fn remove_file(&self, at: &VPath) -> Result<(), Refusal> {
        self.require(at, Permissions::DELETE, "You may not remove files here.")?;
        self.told(at, self.store.remove_file(at).await)
    }

    pub(crate) async fn remove_dir(&self, at: &VPath) -> Result<(), Refusal> {
        self.require(at, Permissions::RMDIR, "You may not remove directories here.")?;
        if at.is_root() {
            return Err(Refusal::unavailable("The top directory cannot be removed."));
        }
        self.told(at, self.store.remove_dir(at).await)
    }

    pub(crate) async fn make_dir(&self, at: &VPath) -> Result<(), Refusal> {
        self.require(at, Permissions::MKDIR, "You may not make directories here.")?;
        match self.store.make_dir(at).await {
            Err(error) if error.kind == ErrorKind::NotFound && self.makes_parents => {
                self.make_parents(at).await?;
                Ok(self.store.make_dir(at).await?)
            }
            made => Ok(made?),
        }
    }

    async fn make_parents(&self, at: &VPath) -> Result<(), Refusal> {
        let mut parent = VPath::root();
        let names: Vec<_> = at.names().collect();
        for name in names.iter().take(names.len().saturating_sub(1)) {
            parent = parent.join(name)?;
            if !self.exists(&parent).await {
                self.require(&parent, Permissions::MKDIR, "You may not make directories here.")?;
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
        self.require(from, Permissions::RENAME, "You may not rename here.")?;
        if from.is_root() {
            return Err(Refusal::unavailable("The top directory cannot be renamed."));
        }
        self.told(from, self.store.stat(from).await)?;
        Ok(())
    }

    pub(crate) async fn rename(&self, from: &VPath, to: &VPath) -> Result<(), Refusal> {
        self.require(from, Permissions::RENAME, "You may not rename here.")?;
        self.require(to, Permissions::RENAME, "You may not give names there.")?;
        let may = self.may_overwrite && self.rights(to).contains(Permissions::OVERWRITE);
        self.told(from, self.store.rename(from, to, Replace::when(may)).await)
    }

    pub(crate) async fn set(&self, at: &VPath, change: Change) -> Result<(), Refusal> {
        match change {
            Change::Mode(_) => {
                self.require(at, Permissions::CHMOD, "You may not change modes here.")?;
            }
            Change::Modified(_) => {
                self.require(at, Permissions::MTIME, "You may not change times here.")?;
            }
        }
        self.told(at, self.store.set(at, change).await)
    }

    /// The facts of something that may not exist, with what the account may do there. Who may not
    /// look is told the same whether it exists or not.
    pub(crate) async fn find(&self, at: &VPath) -> Result<Option<Entry>, Refusal> {
        self.require(at, Permissions::LIST, "You may not look here.")?;
        let Ok(mut entry) = self.store.stat(at).await else { return Ok(None) };
        entry.perm = self.perm(at, entry.kind);
        Ok(Some(entry))
    }

    /// What the store said, for whoever may know. An account that may not list a directory is not
    /// told what is forbidden there and what is missing: both are the same to it.
    fn told<T>(&self, at: &VPath, said: wharf_core::error::Result<T>) -> Result<T, Refusal> {
        said.map_err(|error| {
            let directory = at.parent().unwrap_or_else(VPath::root);
            let may_know = self.rights(&directory).contains(Permissions::LIST);
            match error.kind {
                ErrorKind::Forbidden if !may_know => ErrorKind::NotFound.into_refusal(),
                _ => error.into(),
            }
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

    fn require(&self, at: &VPath, right: Permissions, text: &'static str) -> Result<(), Refusal> {
        if self.rights(at).contains(right) { Ok(()) } else { Err(Refusal::unavailable(text)) }
    }
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

#[cfg(test)]
mod tests {
    use wharf_core::async_trait;
    use wharf_core::error::Result as StoreResult;
    use wharf_core::storage::Caps;

    use super::*;

    /// Has a file under every name, and says whether it ignores case.
    struct Everything {
        ignores_case: bool,
    }

    #[async_trait]
    impl Storage for Everything {
        fn caps(&self) -> Caps {
            Caps {
                resumes: false,
                appends: false,
                sets_times: false,
                sets_mode: false,
                ignores_case: self.ignores_case,
            }
        }

        async fn stat(&self, at: &VPath) -> StoreResult<Entry> {
            Ok(Entry::new(at.name().unwrap_or_default(), Kind::File, 0))
        }

        async fn list(&self, _: &VPath, _: Wanted) -> StoreResult<Entries> {
            Err(ErrorKind::Unsupported.into())
        }

        async fn read(&self, _: &VPath, _: u64) -> StoreResult<Source> {
            Err(ErrorKind::Unsupported.into())
        }

        async fn write(&self, _: &VPath, _: Write) -> StoreResult<Box<dyn Sink>> {
            Err(ErrorKind::Unsupported.into())
        }

        async fn remove_file(&self, _: &VPath) -> StoreResult<()> {
            Err(ErrorKind::Unsupported.into())
        }

        async fn remove_dir(&self, _: &VPath) -> StoreResult<()> {
            Err(ErrorKind::Unsupported.into())
        }

        async fn make_dir(&self, _: &VPath) -> StoreResult<()> {
            Err(ErrorKind::Unsupported.into())
        }

        async fn rename(&self, _: &VPath, _: &VPath, _: Replace) -> StoreResult<()> {
            Err(ErrorKind::Unsupported.into())
        }

        async fn set(&self, _: &VPath, _: Change) -> StoreResult<()> {
            Err(ErrorKind::Unsupported.into())
        }
    }

    #[test]
    fn the_perms_of_a_directory_are_those_of_each_path_in_it() {
        let path = |text: &[u8]| VPath::root().resolve(text).unwrap();
        for ignores_case in [true, false] {
            let rules = Rules::everywhere(Permissions::READ_ONLY)
                .with(path(b"a"), Permissions::ALL)
                .with(path(b"a/B"), Permissions::NONE);
            let settings = FilesSettings {
                makes_parents: false,
                may_overwrite: true,
                checks_announced_size: true,
            };
            let files = Files::new(Arc::new(Everything { ignores_case }), rules, &settings);
            for directory in [b"/".as_slice(), b"a", b"A", b"a/b", b"a/B", b"c"] {
                let perms = files.perms_in(&path(directory));
                for (name, kind) in [(b"b", Kind::Dir), (b"B", Kind::File), (b"a", Kind::Link)] {
                    let each = files.perm(&path(directory).join(name).unwrap(), kind);
                    assert_eq!(perms.of(name, kind), each, "{directory:?} {name:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn row_30_rights_hold_for_each_spelling_that_the_store_takes() {
        let path = |text: &[u8]| VPath::root().resolve(text).unwrap();
        for ignores_case in [true, false] {
            let rules = Rules::everywhere(Permissions::ALL).with(path(b"in"), Permissions::NONE);
            let settings = FilesSettings {
                makes_parents: false,
                may_overwrite: true,
                checks_announced_size: true,
            };
            let files = Files::new(Arc::new(Everything { ignores_case }), rules, &settings);
            assert!(files.stat(&path(b"in/a")).await.is_err());
            assert_eq!(files.stat(&path(b"IN/a")).await.is_err(), ignores_case);
            assert!(files.stat(&path(b"a")).await.is_ok());
        }
    }
}
