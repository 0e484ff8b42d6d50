//! An account's view of its files, and the only access to the store. Every operation checks its
//! right here, so no command can omit the check.

mod perms;
mod upload_target;

use std::sync::Arc;

use wharf_core::error::ErrorKind;
use wharf_core::event::AccountFiles;
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::{
    Change, Entries, LastLink, ListDetail, Replace, Sink, Source, Start, Storage, Usage, Write,
};
use wharf_proto::entry::{Entry, Kind, Perm};
use wharf_proto::path::VPath;

pub(crate) use self::perms::DirectoryPerms;
use self::perms::perm;
use crate::refusal::Refusal;
use crate::settings::Files;

/// One account's files and permissions. Cheap to clone: it is a handle.
#[derive(Clone)]
pub(crate) struct SessionFiles {
    store: Arc<dyn Storage>,
    rules: Arc<Rules>,
    ignores_case: bool,
    /// Whether links are resolved before permissions are checked: if they differ by path.
    has_rules: bool,
    makes_parents: bool,
    may_overwrite: bool,
}

impl SessionFiles {
    pub(crate) fn new(store: Arc<dyn Storage>, rules: Rules, settings: &Files) -> Self {
        Self {
            ignores_case: store.caps().ignores_case,
            has_rules: rules.differ() || store.mount_at_or_below(&VPath::root()).is_some(),
            store,
            rules: Arc::new(rules),
            makes_parents: settings.create_parent_dirs,
            may_overwrite: settings.overwrite,
        }
    }

    /// Maps paths to those of the operating system, for consumers of events.
    pub(crate) fn tree(&self) -> AccountFiles {
        AccountFiles::of(Arc::clone(&self.store))
    }

    /// Whether the account has these permissions anywhere.
    pub(crate) fn may_ever(&self, permissions: Permissions) -> bool {
        let anywhere = self.rules.anywhere();
        permissions.is_empty() || anywhere.contains(permissions)
    }

    /// The facts of a path, with what the account may do there.
    pub(crate) async fn stat(&self, at: &VPath) -> Result<Entry, Refusal> {
        let real = self.authorize(at, Permissions::LIST).await?;
        self.stat_real(at, &real).await
    }

    /// The facts of `at`, which leads to `real`.
    async fn stat_real(&self, at: &VPath, real: &VPath) -> Result<Entry, Refusal> {
        let mut entry = self.hide_existence(at, self.store.stat(real).await)?;
        if let (Some(name), true) = (at.name(), at != real) {
            entry.name = name.to_vec();
        }
        entry.perm = self.perm_through(at, real, entry.kind);
        Ok(entry)
    }

    /// The facts of a file as RETR would send it (RFC 3659 §4). If there is none, the size of this
    /// account's partial upload, so that a client can resume it.
    pub(crate) async fn size(&self, at: &VPath) -> Result<Entry, Refusal> {
        let real = self.authorize(at, Permissions::LIST).await?;
        let missing = match self.stat_real(at, &real).await {
            Ok(entry) => return Ok(entry),
            Err(refusal) => refusal,
        };
        if !self.permissions(at).contains(Permissions::UPLOAD) {
            return Err(missing);
        }
        let named = self.resolve(at, LastLink::Keep).await?;
        let size = self.store.partial(&named).await?.ok_or(missing)?;
        let mut entry = Entry::new(at.name().unwrap_or_default(), Kind::File, size);
        entry.perm = self.perm(at, Kind::File);
        Ok(entry)
    }

    /// Whether a path exists and the account may know it. Without the permission to list or read
    /// this is always false, so that the interpretation of a name does not reveal what exists.
    pub(crate) async fn exists(&self, at: &VPath) -> bool {
        let may_list = self.may_list(at) || self.permissions(at).contains(Permissions::READ);
        if !may_list {
            return false;
        }
        match self.resolve(at, LastLink::Follow).await {
            Ok(real) => self.store.stat(&real).await.is_ok(),
            Err(_) => false,
        }
    }

    /// Whether the account may know what exists at a path: it may list the directory or the path
    /// itself. Otherwise, replies are alike for existing and missing paths.
    fn may_list(&self, at: &VPath) -> bool {
        let Some(folder) = at.parent() else { return true };
        self.permissions(at).union(self.permissions(&folder)).contains(Permissions::LIST)
    }

    /// Whether an upload to `at` creates missing parent directories: always if the account may not
    /// know whether they exist, since an error would reveal it.
    fn creates_parents_for(&self, at: &VPath) -> bool {
        self.makes_parents || at.parent().is_some_and(|folder| !self.may_list(&folder))
    }

    /// Checks that a directory can be entered. If the account may not know whether it exists, any
    /// name succeeds: cameras change to their directory before they upload.
    pub(crate) async fn enter(&self, at: &VPath) -> Result<(), Refusal> {
        self.require(at, Permissions::ENTER)?;
        if !self.may_list(at) {
            return Ok(());
        }
        let real = self.authorize(at, Permissions::ENTER).await?;
        match self.hide_existence(at, self.store.stat(&real).await)?.kind {
            Kind::Dir => Ok(()),
            Kind::Link => Err(self.link_error(at).await),
            _ => Err(ErrorKind::NotADirectory.into_refusal()),
        }
    }

    /// The error for a link that is not followed: it is broken, circular, or leads out of the home.
    pub(crate) async fn link_error(&self, at: &VPath) -> Refusal {
        match self.store.list(at, ListDetail::Names).await {
            Ok(_) => ErrorKind::NotADirectory.into_refusal(),
            Err(error) => error.into(),
        }
    }

    /// The entries of a directory.
    pub(crate) async fn list(&self, at: &VPath, wanted: ListDetail) -> Result<Entries, Refusal> {
        let real = self.authorize(at, Permissions::LIST).await?;
        self.hide_existence(at, self.store.list(&real, wanted).await)
    }

    /// The entries of a directory for a tree walk; `None` without `needed`. Errors: the store's.
    pub(crate) async fn list_for(
        &self,
        at: &VPath,
        needed: Permissions,
    ) -> Option<wharf_core::error::Result<Entries>> {
        let real = self.authorize(at, needed).await.ok()?;
        Some(self.store.list(&real, ListDetail::Facts).await)
    }

    /// Removes a directory if it is empty, and returns whether it was. A link to a directory does
    /// not count as one.
    pub(crate) async fn remove_if_empty(&self, at: &VPath) -> Result<bool, Refusal> {
        self.may_remove(at, true)?;
        if at.is_root() {
            return Err(Refusal::unavailable("The root directory cannot be removed."));
        }
        let real = self.authorize_name(at, Permissions::RMDIR).await?;
        match self.store.remove_dir(&real).await {
            Err(error) if error.kind == ErrorKind::NotEmpty => Ok(false),
            removed => self.hide_existence(at, removed).map(|()| true),
        }
    }

    /// Checks that the account may remove something of this kind.
    pub(crate) fn may_remove(&self, at: &VPath, is_dir: bool) -> Result<(), Refusal> {
        self.require(at, if is_dir { Permissions::RMDIR } else { Permissions::DELETE })
    }

    pub(crate) async fn read(&self, at: &VPath, from: u64) -> Result<Source, Refusal> {
        let real = self.authorize(at, Permissions::READ).await?;
        self.hide_existence(at, self.store.read(&real, from).await)
    }

    /// The size of a file, for a checksum.
    pub(crate) async fn stat_to_digest(&self, at: &VPath) -> Result<u64, Refusal> {
        let real = self.may_digest(at).await?;
        let entry = self.hide_existence(at, self.store.stat(&real).await)?;
        self.hide_existence(at, regular(entry.kind))?;
        Ok(entry.size)
    }

    pub(crate) async fn read_to_digest(&self, at: &VPath, from: u64) -> Result<Source, Refusal> {
        self.may_digest(at).await?;
        self.read(at, from).await
    }

    async fn may_digest(&self, at: &VPath) -> Result<VPath, Refusal> {
        self.authorize(at, Permissions::READ).await?;
        self.authorize(at, Permissions::HASH).await
    }

    /// Checks that a file can be copied, for SITE CPFR.
    pub(crate) async fn may_copy(&self, from: &VPath) -> Result<(), Refusal> {
        self.authorize(from, Permissions::COPY).await?;
        let real = self.authorize(from, Permissions::READ).await?;
        let kind = self.hide_existence(from, self.store.stat(&real).await)?.kind;
        self.hide_existence(from, regular(kind))
    }

    /// Begins to copy a file: needs the permissions of RETR for the source, of STOR for the target.
    pub(crate) async fn copy(
        &self,
        from: &VPath,
        to: &VPath,
    ) -> Result<(Source, Box<dyn Sink>), Refusal> {
        self.authorize(to, Permissions::COPY).await?;
        self.may_copy(from).await?;
        let source = self.read(from, 0).await?;
        Ok((source, self.store(to, Start::Fresh).await?))
    }

    /// Begins an upload; an existing file is replaced only with the permission `overwrite`.
    pub(crate) async fn store(&self, at: &VPath, start: Start) -> Result<Box<dyn Sink>, Refusal> {
        let real = self.authorize(at, Permissions::UPLOAD).await?;
        if let Start::At(from) = start
            && !self.may_list(at)
            && !self.permissions(at).contains(Permissions::READ)
        {
            // The accepted restart points would reveal the size of the file.
            let named = self.resolve(at, LastLink::Keep).await?;
            if from > self.store.partial(&named).await?.unwrap_or(0) {
                return Err(ErrorKind::BadOffset.into_refusal());
            }
        }
        self.write(at, Write { start, replace: self.replace(at, &real) }).await
    }

    /// Whether an upload may replace a file at a path that resolves to `real`.
    fn replace(&self, at: &VPath, real: &VPath) -> Replace {
        let granted = self.permissions(at).intersection(self.permissions(real));
        Replace::when(self.may_overwrite && granted.contains(Permissions::OVERWRITE))
    }

    /// The umask of this session.
    pub(crate) fn umask(&self) -> Option<u32> {
        self.store.umask()
    }

    /// Sets the umask. Without the permission `chmod`, it may only remove more permission bits.
    pub(crate) fn set_umask(&self, umask: u32) -> Result<(), Refusal> {
        let now = self.store.umask().unwrap_or(0);
        if now & !umask != 0 && !self.may_ever(Permissions::CHMOD) {
            return Err(Refusal::Denied(Permissions::CHMOD));
        }
        self.store.set_umask(umask);
        Ok(())
    }

    /// The usage and quota of the account, if counted.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.store.usage(&VPath::root())
    }

    /// Rejects a size that could not be stored even in an empty home; `check_space` checks it for
    /// a specific upload. Without a permission to write, nothing is revealed.
    pub(crate) async fn check_size(&self, at: &VPath, bytes: u64) -> Result<(), Refusal> {
        let granted = self.permissions(at);
        if !granted.contains(Permissions::UPLOAD) && !granted.contains(Permissions::APPEND) {
            return Ok(());
        }
        let at = &self.resolve(at, LastLink::Keep).await?;
        let most = self.store.usage(at).and_then(|usage| usage.bytes_max.bytes());
        if most.is_some_and(|most| bytes > most) {
            return Err(ErrorKind::OverQuota.into_refusal());
        }
        match self.store.space(at).await? {
            Some(space) if bytes > space.total => Err(ErrorKind::NoSpace.into_refusal()),
            _ => Ok(()),
        }
    }

    /// Rejects an upload of an announced size for which there is no space. Returns the number of
    /// stored bytes that the upload continues. Clients announce the size of the whole file or of
    /// the remaining part; the one that needs less is assumed, and writing checks the space again.
    ///
    /// The permission is checked first, and an existing file counts as space only if the upload may
    /// replace it and the account may know of it: otherwise rejected sizes would reveal its size.
    pub(crate) async fn check_space(
        &self,
        at: &VPath,
        start: Start,
        announced: u64,
    ) -> Result<u64, Refusal> {
        let appends = start == Start::End;
        self.require(at, if appends { Permissions::APPEND } else { Permissions::UPLOAD })?;
        let real = &self.resolve(at, LastLink::Keep).await?;
        let may_replace = appends || self.replace(at, real) == Replace::Allowed;
        if may_replace && !self.may_list(at) {
            return Ok(0);
        }
        let at = real;
        let partial = self.store.partial(at).await?;
        let existing = match self.store.stat(at).await {
            Ok(entry) if may_replace && entry.kind == Kind::File => Some(entry.size),
            _ => None,
        };
        let old = existing.unwrap_or(0);
        let before = match start {
            Start::Fresh => 0,
            Start::At(at) => at,
            // Appends to an existing file; without one, continues a partial upload.
            Start::End => existing.or(partial).unwrap_or(0),
        };
        let more = announced.saturating_sub(before);
        if self.store.space(at).await?.is_some_and(|space| more > space.free) {
            return Err(ErrorKind::NoSpace.into_refusal());
        }
        if let Some(Usage { used: Some(used), bytes_max, .. }) = self.store.usage(at) {
            let others = used.bytes.saturating_sub(old).saturating_sub(partial.unwrap_or(0));
            let whole = others.saturating_add(announced.max(before));
            if bytes_max.bytes().is_some_and(|most| whole > most) {
                return Err(ErrorKind::OverQuota.into_refusal());
            }
        }
        Ok(before)
    }

    /// Begins an upload to an unused name; `None` if the name is in use.
    pub(crate) async fn store_new(&self, at: &VPath) -> Result<Option<Box<dyn Sink>>, Refusal> {
        let real = self.authorize(at, Permissions::UPLOAD).await?;
        if self.store.stat(&real).await.is_ok() {
            return Ok(None);
        }
        let how = Write { start: Start::Fresh, replace: Replace::Forbidden };
        self.write(at, how).await.map(Some)
    }

    /// Begins to append. A file that takes the name meanwhile is only replaced with `overwrite`.
    pub(crate) async fn append(&self, at: &VPath) -> Result<Box<dyn Sink>, Refusal> {
        let real = self.authorize(at, Permissions::APPEND).await?;
        self.write(at, Write { start: Start::End, replace: self.replace(at, &real) }).await
    }

    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>, Refusal> {
        let at = &self.resolve(at, LastLink::Keep).await?;
        let mut begun = self.store.write(at, how).await;
        if is_missing(&begun) && self.creates_parents_for(at) {
            self.create_parent_dirs(at).await?;
            begun = self.store.write(at, how).await;
        }
        begun.map_err(|error| match error.kind {
            ErrorKind::IsADirectory | ErrorKind::NotADirectory if !self.may_list(at) => {
                ErrorKind::Exists.into_refusal()
            }
            _ => error.into(),
        })
    }

    pub(crate) async fn remove_file(&self, at: &VPath) -> Result<(), Refusal> {
        let real = self.authorize_name(at, Permissions::DELETE).await?;
        self.hide_existence(at, self.store.remove_file(&real).await)
    }

    pub(crate) async fn remove_dir(&self, at: &VPath) -> Result<(), Refusal> {
        let real = self.authorize_name(at, Permissions::RMDIR).await?;
        if at.is_root() {
            return Err(Refusal::unavailable("The root directory cannot be removed."));
        }
        self.hide_existence(at, self.store.remove_dir(&real).await)
    }

    /// Creates a directory, and returns whether it did. If the account may not know what exists, an
    /// existing name is not an error.
    pub(crate) async fn make_dir(&self, at: &VPath) -> Result<bool, Refusal> {
        let at = &self.authorize_name(at, Permissions::MKDIR).await?;
        let mut made = self.store.make_dir(at).await;
        if is_missing(&made) && self.creates_parents_for(at) {
            self.create_parent_dirs(at).await?;
            made = self.store.make_dir(at).await;
        }
        match made {
            Ok(()) => Ok(true),
            Err(error) if error.kind == ErrorKind::Exists && !self.may_list(at) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates the missing parent directories of `at`. If the account may not list a directory, the
    /// permission `upload` is enough there.
    async fn create_parent_dirs(&self, at: &VPath) -> Result<(), Refusal> {
        let mut parent = VPath::root();
        let names: Vec<_> = at.names().collect();
        for name in names.iter().take(names.len().saturating_sub(1)) {
            parent = parent.join(name)?;
            if self.store.stat(&parent).await.is_err() {
                let is_blind = !self.may_list(&parent);
                if !is_blind || !self.permissions(&parent).contains(Permissions::UPLOAD) {
                    self.require(&parent, Permissions::MKDIR)?;
                }
                match self.store.make_dir(&parent).await {
                    // Another session created it meanwhile.
                    Err(error) if error.kind == ErrorKind::Exists => {}
                    made => made?,
                }
            }
        }
        Ok(())
    }

    /// Checks that something can be renamed, for RNFR.
    pub(crate) async fn may_rename(&self, from: &VPath) -> Result<(), Refusal> {
        let real = self.authorize_name(from, Permissions::RENAME).await?;
        if from.is_root() {
            return Err(Refusal::unavailable("The root directory cannot be renamed."));
        }
        if self.may_list(from) {
            self.hide_existence(from, self.store.stat(&real).await)?;
        }
        self.check_movable(from, &real)
    }

    pub(crate) async fn rename(&self, from: &VPath, to: &VPath) -> Result<(), Refusal> {
        let old = self.authorize_name(from, Permissions::RENAME).await?;
        let new = self.authorize_name(to, Permissions::RENAME).await?;
        self.check_movable(from, &old)?;
        self.check_movable(to, &new)?;
        self.check_permission_gain(&old, &new)?;
        self.hide_existence(from, self.store.rename(&old, &new, self.replace(to, &new)).await)
    }

    /// Rejects a rename of a path with a rule or a virtual folder at or below it, to keep it valid.
    fn check_movable(&self, at: &VPath, real: &VPath) -> Result<(), Refusal> {
        for path in [at, real] {
            if let Some((prefix, granted)) = self.rules.at_or_below(path, self.ignores_case) {
                let reason =
                    format!("a rule, paths.\"{prefix}\" = \"{granted}\", is at or below it");
                return Err(Refusal::by_rule(at, reason));
            }
            if let Some(place) = self.store.mount_at_or_below(path) {
                let reason = format!("a virtual folder, {place}, is at or below it");
                return Err(Refusal::by_rule(at, reason));
            }
        }
        Ok(())
    }

    /// Rejects a rename of an unreadable file to a path with more permissions.
    fn check_permission_gain(&self, from: &VPath, to: &VPath) -> Result<(), Refusal> {
        let (old, new) = (self.permissions(from), self.permissions(to));
        if old.contains(new) || old.contains(Permissions::READ) {
            return Ok(());
        }
        let reason = format!("no permission `read`: only \"{old}\", and \"{new}\" at {to}");
        Err(Refusal::by_rule(from, reason))
    }

    pub(crate) async fn set(&self, at: &VPath, change: Change) -> Result<(), Refusal> {
        let needed = match change {
            Change::Mode(_) => Permissions::CHMOD,
            Change::Modified(_) => Permissions::MTIME,
        };
        let real = self.authorize(at, needed).await?;
        self.hide_existence(at, self.store.set(&real, change).await)
    }

    /// The facts of a path, or `None` if it does not exist. Without `list`, an error in both cases.
    pub(crate) async fn find(&self, at: &VPath) -> Result<Option<Entry>, Refusal> {
        let real = self.authorize(at, Permissions::LIST).await?;
        Ok(self.stat_real(at, &real).await.ok())
    }

    /// Maps errors of the store. If the account may not know what exists at `at`, errors that would
    /// reveal it become `NotFound`.
    fn hide_existence<T>(
        &self,
        at: &VPath,
        result: wharf_core::error::Result<T>,
    ) -> Result<T, Refusal> {
        result.map_err(|error| match error.kind {
            ErrorKind::Forbidden
            | ErrorKind::Exists
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::NotEmpty
            | ErrorKind::BadOffset
            | ErrorKind::Outdated
            | ErrorKind::CrossesDevices
                if !self.may_list(at) =>
            {
                ErrorKind::NotFound.into_refusal()
            }
            _ => error.into(),
        })
    }

    /// The `perm` fact of an entry of this kind at this path.
    fn perm(&self, at: &VPath, kind: Kind) -> Perm {
        perm(self.permissions(at), kind)
    }

    /// The `perm` facts of the entries of a directory.
    pub(crate) fn perms_in(&self, directory: &VPath) -> DirectoryPerms {
        if self.rules.reach_below(directory) {
            return DirectoryPerms::Each(self.clone(), directory.clone());
        }
        let granted = self.permissions(directory);
        DirectoryPerms::All {
            files: perm(granted, Kind::File),
            directories: perm(granted, Kind::Dir),
        }
    }

    /// The same for a path that resolves to another one.
    fn perm_through(&self, at: &VPath, real: &VPath, kind: Kind) -> Perm {
        perm(self.permissions(at).intersection(self.permissions(real)), kind)
    }

    /// Resolves links in a path; returns it unchanged if no rules depend on paths.
    async fn resolve(&self, at: &VPath, last: LastLink) -> Result<VPath, Refusal> {
        if !self.has_rules {
            return Ok(at.clone());
        }
        self.hide_existence(at, self.store.resolve(at, last).await)
    }

    /// Requires a permission at a path and at the path to which its links resolve. Returns the
    /// resolved path, which every operation must use.
    async fn authorize(&self, at: &VPath, needed: Permissions) -> Result<VPath, Refusal> {
        self.require(at, needed)?;
        let real = self.resolve(at, LastLink::Follow).await?;
        self.require_real(at, &real, needed)?;
        Ok(real)
    }

    /// The same for operations on the name: the last link is not followed.
    async fn authorize_name(&self, at: &VPath, needed: Permissions) -> Result<VPath, Refusal> {
        self.require(at, needed)?;
        let real = self.resolve(at, LastLink::Keep).await?;
        self.require_real(at, &real, needed)?;
        Ok(real)
    }

    fn require_real(&self, at: &VPath, real: &VPath, needed: Permissions) -> Result<(), Refusal> {
        let granted = self.permissions(real);
        if at == real || granted.contains(needed) {
            return Ok(());
        }
        let reason =
            format!("a link leads to {real}: no permission `{needed}`, only \"{granted}\"");
        Err(Refusal::by_rule(at, reason))
    }

    fn permissions(&self, at: &VPath) -> Permissions {
        // Otherwise `/SECRET` would have the permissions of `/`, and refer to `/secret`.
        if self.ignores_case { self.rules.at_any_case(at) } else { self.rules.at(at) }
    }

    fn require(&self, at: &VPath, needed: Permissions) -> Result<(), Refusal> {
        if self.permissions(at).contains(needed) { Ok(()) } else { Err(Refusal::Denied(needed)) }
    }
}

/// An error unless it is a regular file.
fn regular(kind: Kind) -> wharf_core::error::Result<()> {
    match kind {
        Kind::File => Ok(()),
        Kind::Dir => Err(ErrorKind::IsADirectory.into()),
        // Links that are not followed and devices cannot be read.
        Kind::Link | Kind::Other => Err(ErrorKind::Forbidden.into()),
    }
}

/// Whether an operation failed because a parent directory is missing.
fn is_missing<T>(ended: &wharf_core::error::Result<T>) -> bool {
    ended.as_ref().is_err_and(|error| error.kind == ErrorKind::NotFound)
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
#[cfg(unix)]
mod rules_tests;
#[cfg(test)]
mod tests;
