//! Checks of the action: settings of the server, permissions of the account, and the file system.

use std::path::{Path, PathBuf};

use wharf_core::error::ErrorKind;
use wharf_core::permission::Permissions;
use wharf_core::storage::{Entries, LastLink, ListDetail, Storage};
use wharf_proto::entry::{Entry, Kind as FileKind};
use wharf_proto::path::VPath;
use wharf_runtime::os;
use wharf_runtime::sandbox::identity::current_name;
use wharf_runtime::sandbox::own_files::{named, own_files, server_files};
use wharf_users::permissions::format_permissions;

use super::act::Action;
use super::subject::AccountSubject;
use super::{DecidingFact, FactKind, Query, real_path};

/// The fact that decides: the permission that allows it, or the first denial.
pub(super) async fn decide(
    case: &Query<'_>,
    subject: &AccountSubject,
    storage: &dyn Storage,
) -> Result<DecidingFact, DecidingFact> {
    commands(case)?;
    if case.act == Action::Login {
        return Ok(DecidingFact::new(
            FactKind::Account,
            "login with the correct password is allowed",
        )
        .origin(subject.place("password")));
    }
    own(case, storage)?;
    let allowed = permission(case, subject, storage, &case.at, case.act.needs())?;
    let at = linked(case, subject, storage).await?;
    if case.act == Action::Rename {
        fixed(&case.at, subject, storage)?;
        fixed(&at, subject, storage)?;
    }
    let question = Question { at, case, subject, storage };
    question.disk().await?;
    Ok(allowed)
}

/// Whether its command is enabled.
fn commands(case: &Query<'_>) -> Result<(), DecidingFact> {
    let off = &case.config.compat.disable_commands.0;
    let is_off = |verb: &&&str| off.iter().any(|known| known == **verb);
    match case.act.verbs().iter().find(is_off) {
        // Only the usual command is checked; others have the same effect.
        Some(verb) if Some(verb) == case.act.verbs().first() => Err(case.setting(
            FactKind::Setting,
            "compat.disable_commands",
            format!("[… \"{verb}\" …]"),
        )),
        _ => Ok(()),
    }
}

/// Whether it is one of wharf's own files, or a parent folder of one.
fn own(case: &Query<'_>, storage: &dyn Storage) -> Result<(), DecidingFact> {
    let Some(path) = storage.real_path(&case.at) else { return Ok(()) };
    let file = case.file.as_deref().map(Path::new);
    let files = server_files(case.config, file, &[], &case.homes);
    let (what, place) = if files.contains(&path) {
        let all = own_files(case.config, file, &[], &case.homes);
        let own = named(&all, &path).unwrap_or_else(|| "one of its own files".to_owned());
        (format!("access to {own} is not permitted"), path)
    } else if matches!(case.act, Action::Rename | Action::Rmdir | Action::Delete)
        && files.is_above(&path)
    {
        ("it contains files of wharf itself".to_owned(), path)
    } else {
        return Ok(());
    };
    Err(DecidingFact::new(FactKind::Permission, format!("`none` for every account: {what}"))
        .origin(shown(&place))
        .hint("move it outside of served folders; wharf check lists all of them"))
}

/// The rule of a path: that with the longest prefix.
fn permission(
    case: &Query<'_>,
    subject: &AccountSubject,
    storage: &dyn Storage,
    at: &VPath,
    needed: Permissions,
) -> Result<DecidingFact, DecidingFact> {
    let rules = &subject.account.rules;
    let ignores_case = storage.caps().ignores_case;
    let permissions = if ignores_case { rules.at_any_case(at) } else { rules.at(at) };
    let prefix = rules
        .each()
        .filter(|(prefix, _)| at.is_within(prefix))
        .max_by_key(|(prefix, _)| prefix.as_bytes().len())
        .map_or_else(VPath::root, |(prefix, _)| prefix.clone());
    let shown = format_permissions(permissions);
    let (what, place) = if prefix.is_root() {
        (format!("permissions = \"{shown}\""), subject.place("permissions"))
    } else {
        (format!("paths.\"{prefix}\" = \"{shown}\""), subject.place_of_path(&prefix))
    };
    let fact = DecidingFact::new(FactKind::Permission, what).origin(place);
    if permissions.contains(needed) {
        return Ok(fact);
    }
    let missing = Permissions::EACH
        .iter()
        .filter(|(permission, ..)| {
            needed.contains(*permission) && !permissions.contains(*permission)
        })
        .map(|(.., name)| *name)
        .collect::<Vec<_>>()
        .join(",");
    let user = case.user;
    Err(DecidingFact { what: format!("{}, without `{missing}`", fact.what), ..fact }.hint(
        if subject.is_anonymous {
            "permissions of anonymous users are set by login.anonymous_permissions".to_owned()
        } else {
            format!("wharf user edit {user} --path {prefix}={shown},{missing}")
        },
    ))
}

/// Resolves the path. If links lead elsewhere, the rule there applies, too.
async fn linked(
    case: &Query<'_>,
    subject: &AccountSubject,
    storage: &dyn Storage,
) -> Result<VPath, DecidingFact> {
    if !subject.account.rules.differ() {
        return Ok(case.at.clone());
    }
    let last = match case.act {
        Action::Delete | Action::Rmdir | Action::Mkdir | Action::Rename => LastLink::Keep,
        _ => LastLink::Follow,
    };
    // Paths that cannot be resolved are reported by the check of the file system.
    let Ok(real) = storage.resolve(&case.at, last).await else { return Ok(case.at.clone()) };
    if real != case.at {
        permission(case, subject, storage, &real, case.act.needs()).map_err(|fact| {
            DecidingFact {
                what: format!("a symbolic link leads to {real}, where {}", fact.what),
                ..fact
            }
        })?;
    }
    Ok(real)
}

/// A path with a rule or a virtual folder, at or below it, cannot be renamed.
fn fixed(at: &VPath, subject: &AccountSubject, storage: &dyn Storage) -> Result<(), DecidingFact> {
    let rules = &subject.account.rules;
    if let Some((prefix, permissions)) = rules.at_or_below(at, storage.caps().ignores_case) {
        let what = format!(
            "a permission rule is at or below it: paths.\"{prefix}\" = \"{}\"",
            format_permissions(permissions)
        );
        let hint = "rename it on the server, and change the rule";
        return Err(DecidingFact::new(FactKind::Permission, what)
            .origin(subject.place_of_path(prefix))
            .hint(hint));
    }
    let Some(place) = storage.mount_at_or_below(at) else { return Ok(()) };
    let what = format!("a virtual folder is at or below it: folders.\"{place}\"");
    Err(DecidingFact::new(FactKind::Permission, what).origin(subject.place_of_path(&place)))
}

struct Question<'a> {
    /// The path with links resolved.
    at: VPath,
    case: &'a Query<'a>,
    subject: &'a AccountSubject,
    storage: &'a dyn Storage,
}

impl Question<'_> {
    async fn disk(&self) -> Result<(), DecidingFact> {
        let at = &self.at;
        let found = self.stat(at).await?;
        match self.case.act {
            Action::Login => Ok(()),
            Action::List | Action::Chmod | Action::Mtime => self.present(found).map(drop),
            // Any name can be entered if the account must not learn what exists.
            Action::Enter if self.is_blind(at) => Ok(()),
            Action::Enter => self.folder(found).map(drop),
            Action::Read | Action::Hash | Action::Copy => self.readable(found).await,
            Action::Upload | Action::Append => self.storable(found).await,
            Action::Delete => {
                self.file(found)?;
                self.folder_changes(at)
            }
            Action::Rmdir => {
                self.folder(found)?;
                self.not_top()?;
                self.empty(at).await?;
                self.folder_changes(at)
            }
            Action::Rename => {
                self.present(found)?;
                self.not_top()?;
                self.folder_changes(at)
            }
            Action::Mkdir => {
                if found.is_some() && !self.is_blind(at) {
                    return Err(self.fact("file exists"));
                }
                self.space_for_file()?;
                self.parent(at).await
            }
        }?;
        self.owned()
    }

    /// Whether the account may list neither the path nor its parent folder.
    fn is_blind(&self, at: &VPath) -> bool {
        let Some(folder) = at.parent() else { return false };
        let rules = &self.subject.account.rules;
        let ignores_case = self.storage.caps().ignores_case;
        let permissions = |at| if ignores_case { rules.at_any_case(at) } else { rules.at(at) };
        !permissions(at).union(permissions(&folder)).contains(Permissions::LIST)
    }

    /// A fact about the file system, with the real path.
    fn fact(&self, what: &str) -> DecidingFact {
        let path = self.real_path(&self.at);
        DecidingFact::new(FactKind::File, what).origin(shown(&path))
    }

    async fn stat(&self, at: &VPath) -> Result<Option<Entry>, DecidingFact> {
        match self.storage.stat(at).await {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.fact(&error.to_string()).hint(hint(error.kind))),
        }
    }

    fn present(&self, found: Option<Entry>) -> Result<Entry, DecidingFact> {
        found.ok_or_else(|| self.fact("no such file or directory"))
    }

    fn file(&self, found: Option<Entry>) -> Result<Entry, DecidingFact> {
        let entry = self.present(found)?;
        if entry.kind == FileKind::Dir {
            return Err(self.fact("is a folder, not a file"));
        }
        Ok(entry)
    }

    fn folder(&self, found: Option<Entry>) -> Result<Entry, DecidingFact> {
        let entry = self.present(found)?;
        if entry.kind != FileKind::Dir {
            return Err(self.fact("not a folder"));
        }
        Ok(entry)
    }

    fn not_top(&self) -> Result<(), DecidingFact> {
        if self.at.is_root() {
            return Err(self.fact("the home itself cannot be changed"));
        }
        Ok(())
    }

    async fn readable(&self, found: Option<Entry>) -> Result<(), DecidingFact> {
        self.file(found)?;
        match self.storage.read(&self.at, 0).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.fact(&error.to_string()).hint(hint(error.kind))),
        }
    }

    async fn storable(&self, found: Option<Entry>) -> Result<(), DecidingFact> {
        let at = &self.at;
        match found {
            Some(entry) if entry.kind == FileKind::Dir => {
                return Err(self.fact("is a folder, not a file"));
            }
            Some(_) if self.case.act == Action::Upload => {
                if !self.case.config.files.overwrite {
                    return Err(self.case.setting(
                        FactKind::Setting,
                        "files.overwrite",
                        "false, and the file exists",
                    ));
                }
                let needed = Permissions::OVERWRITE;
                permission(self.case, self.subject, self.storage, at, needed)?;
            }
            Some(_) => {}
            None => self.space_for_file()?,
        }
        self.space().await?;
        self.parent(at).await
    }

    /// Whether quota and free space permit more bytes.
    async fn space(&self) -> Result<(), DecidingFact> {
        if let Some(usage) = self.storage.usage(&self.at)
            && let (Some(used), Some(most)) = (usage.used, usage.bytes_max.bytes())
            && used.bytes >= most
        {
            return Err(self.quota("quota", used.bytes, most));
        }
        match self.storage.space(&self.at).await {
            Ok(Some(space)) if space.free == 0 => {
                Err(self.fact("no free disk space besides files.min_free_space"))
            }
            _ => Ok(()),
        }
    }

    fn space_for_file(&self) -> Result<(), DecidingFact> {
        if let Some(usage) = self.storage.usage(&self.at)
            && let (Some(used), Some(most)) = (usage.used, usage.files_max.number())
            && used.files >= u64::from(most)
        {
            return Err(self.quota("quota_files", used.files, u64::from(most)));
        }
        Ok(())
    }

    fn quota(&self, key: &str, used: u64, most: u64) -> DecidingFact {
        let value = format!("{most}, and {used} are in use");
        let folders = self.subject.account.folders.iter().filter(|it| self.at.is_within(&it.at));
        // One can be mounted in another.
        if let Some(folder) = folders.max_by_key(|it| it.at.names().count()) {
            // It has a quota of its own, or none.
            let fact =
                DecidingFact::new(FactKind::Quota, format!("{key} of {} = {value}", folder.at));
            return fact.origin(self.subject.place_of_path(&folder.at)).hint(format!(
                "wharf user edit {} --folder {}=DIR:{key}=LIMIT, or delete files",
                self.case.user, folder.at
            ));
        }
        let limits = &self.subject.account.limits;
        let is_own =
            if key == "quota" { limits.quota.is_some() } else { limits.quota_files.is_some() };
        let fact = if is_own {
            DecidingFact::new(FactKind::Quota, format!("{key} = {value}"))
                .origin(self.subject.place(key))
        } else {
            self.case.setting(FactKind::Quota, &format!("limits.user_{key}"), value)
        };
        fact.hint(format!("wharf user edit {} --quota SIZE, or delete files", self.case.user))
    }

    async fn empty(&self, at: &VPath) -> Result<(), DecidingFact> {
        let is_empty = match self.storage.list(at, ListDetail::Names).await {
            Ok(Entries::Blocking(mut entries)) => entries.next().is_none(),
            // All stores of this server are blocking; others are not checked.
            Ok(Entries::Stream(_)) => true,
            Err(error) => {
                return Err(self.fact(&error.to_string()).hint(hint(error.kind)));
            }
        };
        if is_empty { Ok(()) } else { Err(self.fact("directory not empty")) }
    }

    /// Whether the parent folder of a new name exists, or may be created.
    async fn parent(&self, at: &VPath) -> Result<(), DecidingFact> {
        let parent = at.parent().unwrap_or_else(VPath::root);
        match self.stat(&parent).await? {
            Some(entry) if entry.kind == FileKind::Dir => self.folder_changes(at),
            Some(_) => Err(self.fact("its parent is not a folder")),
            None if self.is_blind(&parent) => {
                let needed = Permissions::UPLOAD;
                permission(self.case, self.subject, self.storage, &parent, needed).map(drop)
            }
            None if self.case.config.files.create_parent_dirs => {
                let needed = Permissions::MKDIR;
                permission(self.case, self.subject, self.storage, &parent, needed).map(drop)
            }
            None => Err(self
                .fact("its parent folder does not exist")
                .hint("create it, or let uploads create it:  files.create_parent_dirs = true")),
        }
    }

    /// The path in the file system: below the home, or in a virtual folder.
    fn real_path(&self, at: &VPath) -> PathBuf {
        self.storage.real_path(at).unwrap_or_else(|| real_path(self.subject, at))
    }

    /// Whether the server has write permission for the parent folder of `at`.
    fn folder_changes(&self, at: &VPath) -> Result<(), DecidingFact> {
        let parent = at.parent().unwrap_or_else(VPath::root);
        let folder = self.real_path(&parent);
        os::can_change(&folder).map_err(|error| {
            let user = current_name();
            let what = format!("{user} has no write permission for this folder: {error}");
            DecidingFact::new(FactKind::File, what)
                .origin(shown(&folder))
                .hint(format!("chown {user} {0}, or chmod it", folder.display()))
        })
    }

    /// Only the owner of a file may change its mode and its time.
    fn owned(&self) -> Result<(), DecidingFact> {
        if !matches!(self.case.act, Action::Chmod | Action::Mtime) {
            return Ok(());
        }
        let path = self.real_path(&self.at);
        if os::is_owner(&path) {
            return Ok(());
        }
        let user = current_name();
        Err(self.fact(&format!("it is not owned by {user}, the user of the server")))
    }
}

/// A path of the file system that contains text of clients, escaped.
fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

/// The hint for an error of the file system.
fn hint(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::Forbidden => format!(
            "permission denied for {}, or a symbolic link leads out of the home \
             (files.follow_symlinks)",
            current_name()
        ),
        _ => "check the path on the server".to_owned(),
    }
}
