//! The subject `users`: whether each account can log in and use its permissions.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use wharf_accounts_sql::Creation;
use wharf_config::Config;
use wharf_config::account_error::{AccountError, open_failure};
use wharf_config::login_sources::LoginSource;
use wharf_config::outcome::{Failure, plain};
use wharf_core::permission::Permissions;
use wharf_runtime::accounts::{self, AccountStoreKind, all_records, database, file, shown};
use wharf_runtime::os::{FolderAccess, file_system, may};
use wharf_runtime::sandbox::identity::current_name;
use wharf_runtime::wire::{anonymous_home, anonymous_permission_set};
use wharf_users::admin::{AdminError, UserAdmin as _};
use wharf_users::anonymous::ANONYMOUS_NAMES;
use wharf_users::file::{UserFile, UserRecord};

use super::Subjects;
use super::page::CheckPage;
use crate::user_command::waits;

/// Weak hashes, each with its prefix.
const WEAK_HASHES: &[(&str, &str)] = &[
    ("$1$", "MD5-crypt"),
    ("{SSHA}", "salted SHA-1"),
    ("{SSHA256}", "one round of salted SHA-256"),
    ("{SSHA512}", "one round of salted SHA-512"),
];

/// The home of an account, or one of its virtual folders.
struct AccountFolder {
    name: String,
    /// The consequence if the folder cannot be used.
    loses: String,
    is_home: bool,
    home: PathBuf,
    permissions: Permissions,
    is_enabled: bool,
}

pub(super) fn inspect(subjects: &Subjects<'_>, page: &mut CheckPage) -> Result<(), Failure> {
    let config = subjects.config;
    let shown = shown(config);
    let mut tenants = Vec::new();
    if let Some((records, folder)) = stored_users(subjects, page)? {
        let disabled = records.iter().filter(|record| !record.is_enabled()).count();
        page.row("accounts", &format!("{} in {shown}, {disabled} disabled", records.len()));
        for record in &records {
            inspect_record(record, config, page);
        }
        inspect_names(&records, page);
        tenants.extend(records.iter().flat_map(|record| folders(record, &folder)));
    } else {
        page.row("accounts", &format!("none: {shown} does not exist"));
        if !config.login.anonymous {
            page.note("no accounts exist", "wharf user add NAME --home DIR --create-home");
        }
    }
    if let Some(home) = anonymous_home(config) {
        tenants.push(AccountFolder {
            name: "anonymous".to_owned(),
            loses: "anonymous cannot log in".to_owned(),
            is_home: true,
            home: home.to_owned(),
            permissions: anonymous_permission_set(config.login.anonymous_permissions),
            is_enabled: true,
        });
    }
    let identity = subjects.identity()?;
    let numbers = identity.as_ref().map(wharf_runtime::sandbox::identity::SystemUser::numbers);
    let server = identity.as_ref().map_or_else(current_name, |identity| identity.name().to_owned());
    let mut sound = 0;
    for tenant in &tenants {
        match inspect_home(tenant, numbers, &server) {
            None => sound += 1,
            Some((what, hint)) if tenant.is_enabled => page.fail(what, hint),
            Some((what, hint)) => page.note(what, hint),
        }
    }
    page.row("homes", &format!("{sound} of {} are accessible to {server}", tenants.len()));
    inspect_nesting(&tenants, page);
    Ok(())
}

/// All accounts, and the base of relative homes; none if the store does not exist yet.
fn stored_users(
    subjects: &Subjects<'_>,
    page: &mut CheckPage,
) -> Result<Option<(Vec<UserRecord>, PathBuf)>, Failure> {
    let config = subjects.config;
    if !file(config).is_none_or(Path::exists) {
        return Ok(None);
    }
    if let AccountStoreKind::Database(address) = &config.accounts.store.0 {
        let store = database(address, config, Creation::No)?;
        let read = waits(async { Ok((all_records(&store).await?, store.faults().await?)) })?;
        let (records, faults) = read.map_err(|error: AdminError| {
            AccountError::from(error).into_failure(subjects.is_coloured)
        })?;
        for warning in accounts::warnings(&address.to_string(), &faults) {
            page.fail(warning, "fix the row, or:  wharf user edit NAME …; wharf user del NAME");
        }
        return Ok(Some((records, PathBuf::new())));
    }
    let failed = |error| open_failure(&error, subjects.is_coloured);
    let file = UserFile::read(&config.server.users_file.0).map_err(failed)?;
    Ok(Some((file.records().to_vec(), file.folder().to_owned())))
}

/// Its home and its virtual folders.
fn folders(record: &UserRecord, folder: &Path) -> Vec<AccountFolder> {
    let account = record.account(folder, Timestamp::now());
    let is_enabled = record.is_enabled();
    let name = account.name;
    let home = AccountFolder {
        loses: format!("{name} cannot log in"),
        name: name.clone(),
        is_home: true,
        permissions: account.rules.anywhere(),
        home: account.home,
        is_enabled,
    };
    let others = account.folders.into_iter().map(|other| AccountFolder {
        loses: format!("{name} cannot use {}", other.at),
        name: name.clone(),
        is_home: false,
        permissions: account.rules.at(&other.at),
        home: other.target,
        is_enabled,
    });
    std::iter::once(home).chain(others).collect()
}

fn inspect_record(record: &UserRecord, config: &Config, page: &mut CheckPage) {
    let name = &record.name;
    let is_rejected = |denied: &String| denied.to_lowercase() == name.to_lowercase();
    if record.is_enabled() && config.login.deny_users.iter().any(is_rejected) {
        page.warn(
            format!("{name} cannot log in: it is in login.deny_users"),
            "remove it there, or disable the account",
        );
    }
    if config.login.anonymous && ANONYMOUS_NAMES.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        page.warn(
            format!("{name} cannot log in: the name is used by anonymous users"),
            "use another name, or write anonymous = false in [login]",
        );
    }
    if record.is_open() {
        let from = record.allowed_addresses.iter().flatten();
        let from: Vec<_> = from.map(wharf_users::file::shown_network).collect();
        page.note(
            format!("{name} needs no password from {}", from.join(", ")),
            format!("no_password = true; to set a password:  wharf user passwd {name}"),
        );
        return;
    }
    let Some(hash) = record.password.as_ref().filter(|hash| hash.is_usable()) else {
        // With other authentication backends, no password is stored here.
        let others = [LoginSource::Pam, LoginSource::Ldap, LoginSource::Http];
        if !others.into_iter().any(|source| config.accounts.auth_backends.has(source)) {
            no_password(record, page);
        }
        return;
    };
    let weak = WEAK_HASHES.iter().find(|(start, _)| hash.as_str().starts_with(start));
    if let Some((_, kind)) = weak {
        page.note(
            format!("the password hash of {name} is weak: {kind}"),
            format!("it becomes Argon2id at the next login; at once:  wharf user passwd {name}"),
        );
    }
}

fn no_password(record: &UserRecord, page: &mut CheckPage) {
    if record.is_enabled() {
        let name = &record.name;
        page.note(
            format!("{name} cannot log in: it has no password"),
            format!("wharf user passwd {name}"),
        );
    }
}

/// Names that are easily confused, such as names that differ only in case.
fn inspect_names(records: &[UserRecord], page: &mut CheckPage) {
    let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for record in records {
        let folded = record.name.to_lowercase();
        alike.entry(folded).or_default().push(&record.name);
    }
    for names in alike.values().filter(|names| names.len() > 1) {
        page.warn(
            format!("similar account names: {}", names.join(", ")),
            "they are different accounts; rename one of them to avoid confusion",
        );
    }
}

/// The problem of a home, and the hint.
fn inspect_home(
    tenant: &AccountFolder,
    identity: Option<(u32, u32)>,
    server: &str,
) -> Option<(String, String)> {
    let AccountFolder { name, loses, home, permissions, .. } = tenant;
    let shown = home.display();
    match std::fs::metadata(home) {
        Ok(facts) if facts.is_dir() => {}
        Ok(_) => {
            let hint = format!("set a folder:  wharf user edit {name} --home DIR");
            return Some((format!("{loses}: {shown} is not a folder"), hint));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let hint = format!("create it:  mkdir -p '{shown}' && chown {server} '{shown}'");
            return Some((format!("{loses}: folder not found: {shown}"), hint));
        }
        Err(error) => {
            let what = format!("cannot access the home of {name}, {shown}: {}", plain(&error));
            return Some((
                what,
                format!("allow {server} to enter the folders above it (chmod +x)"),
            ));
        }
    }
    let above = home.ancestors().find(|folder| {
        !folder.as_os_str().is_empty() && !may(folder, identity, FolderAccess::Enter)
    });
    if let Some(folder) = above {
        let what = format!("{loses}: {server} has no permission to enter {}", folder.display());
        let hint = format!("chown {server} '{0}', or chmod +x '{0}'", folder.display());
        return Some((what, hint));
    }
    let lists = Permissions::LIST.union(Permissions::READ);
    if !permissions.intersection(lists).is_empty() && !may(home, identity, FolderAccess::Read) {
        let what = format!("{name} may list and download, but {server} cannot read {shown}");
        return Some((what, format!("chown {server} '{shown}', or chmod +r '{shown}'")));
    }
    if permissions.intersection(CHANGES).is_empty() {
        return None;
    }
    if file_system(home).is_some_and(|system| system.is_read_only) {
        let what = format!("{name} may change files, but {shown} is mounted read-only");
        return Some((what, "mount it read-write, or remove these permissions".to_owned()));
    }
    let is_writable = may(home, identity, FolderAccess::Write);
    let what = || format!("{name} may change files, but {server} cannot write to {shown}");
    (!is_writable).then(|| (what(), format!("chown {server} '{shown}', or chmod +w '{shown}'")))
}

/// Permissions that change a folder.
const CHANGES: Permissions = Permissions::UPLOAD
    .union(Permissions::APPEND)
    .union(Permissions::RENAME)
    .union(Permissions::DELETE)
    .union(Permissions::MKDIR);

/// Accounts with access to the files of another one.
fn inspect_nesting(tenants: &[AccountFolder], page: &mut CheckPage) {
    let mut homes: BTreeMap<PathBuf, Vec<&str>> = BTreeMap::new();
    for tenant in tenants.iter().filter(|tenant| tenant.is_home) {
        if let Ok(home) = std::fs::canonicalize(&tenant.home) {
            homes.entry(home).or_default().push(&tenant.name);
        }
    }
    for (home, names) in &homes {
        if names.len() > 1 {
            let shown = home.display();
            page.note(
                format!("{} share the home {shown}", names.join(", ")),
                "this is correct only if they may access each other's files",
            );
        }
        let above = home.ancestors().skip(1).find_map(|folder| homes.get(folder));
        if let (Some(above), Some(name)) = (above.and_then(|above| above.first()), names.first()) {
            page.note(
                format!(
                    "the home of {name} is inside that of {above}, which has access to its files"
                ),
                "this is correct only if intended; otherwise move one of them",
            );
        }
    }
}
