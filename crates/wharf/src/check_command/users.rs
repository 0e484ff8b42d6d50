//! The subject `users`: whether each account could log in, and do what it may.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use wharf_accounts_sql::Creation;
use wharf_core::permission::Permissions;
use wharf_users::admin::{AdminError, UserAdmin as _};
use wharf_users::anonymous::ANONYMOUS_NAMES;
use wharf_users::file::{UserFile, UserRecord};

use super::Subjects;
use super::page::Page;
use crate::accounts::{self, Kept, database, everyone, file, shown};
use crate::config::Config;
use crate::config::login_sources::LoginSource;
use crate::os::{FolderAccess, file_system, may};
use crate::outcome::{Failure, plain};
use crate::protection::identity::current_name;
use crate::user_command::{Trouble, open_failure, waits};
use crate::wire::{anonymous_home, anonymous_rights};

/// Kinds of hashes that are guessed too fast, each with its beginning.
const WEAK_HASHES: &[(&str, &str)] = &[
    ("$1$", "MD5-crypt"),
    ("{SSHA}", "salted SHA-1"),
    ("{SSHA256}", "one round of salted SHA-256"),
    ("{SSHA512}", "one round of salted SHA-512"),
];

/// An account, as far as its home goes, or one of its other folders.
struct Tenant {
    name: String,
    /// What it loses if the folder cannot be used.
    loses: String,
    is_home: bool,
    home: PathBuf,
    rights: Permissions,
    is_enabled: bool,
}

pub(super) fn look(subjects: &Subjects<'_>, page: &mut Page) -> Result<(), Failure> {
    let config = subjects.config;
    let shown = shown(config);
    let mut tenants = Vec::new();
    if let Some((records, folder)) = kept(subjects, page)? {
        let disabled = records.iter().filter(|record| !record.is_enabled()).count();
        page.row("accounts", &format!("{} in {shown}, {disabled} disabled", records.len()));
        for record in &records {
            look_at_record(record, config, page);
        }
        look_at_names(&records, page);
        tenants.extend(records.iter().flat_map(|record| folders(record, &folder)));
    } else {
        page.row("accounts", &format!("none: there is no {shown}"));
        if !config.login.anonymous {
            page.note("nobody can log in yet", "wharf user add NAME --home DIR --create-home");
        }
    }
    if let Some(home) = anonymous_home(config) {
        tenants.push(Tenant {
            name: "anonymous".to_owned(),
            loses: "anonymous cannot log in".to_owned(),
            is_home: true,
            home: home.to_owned(),
            rights: anonymous_rights(config.login.anonymous_permissions),
            is_enabled: true,
        });
    }
    let identity = subjects.identity()?;
    let numbers = identity.as_ref().map(crate::protection::identity::Identity::numbers);
    let server = identity.as_ref().map_or_else(current_name, |identity| identity.name().to_owned());
    let mut sound = 0;
    for tenant in &tenants {
        match look_at_home(tenant, numbers, &server) {
            None => sound += 1,
            Some((what, remedy)) if tenant.is_enabled => page.fail(what, remedy),
            Some((what, remedy)) => page.note(what, remedy),
        }
    }
    page.row("homes", &format!("{sound} of {} can be used by {server}", tenants.len()));
    look_at_nesting(&tenants, page);
    Ok(())
}

/// Everyone in the store, and where relative homes begin; nothing where there is no store yet.
fn kept(
    subjects: &Subjects<'_>,
    page: &mut Page,
) -> Result<Option<(Vec<UserRecord>, PathBuf)>, Failure> {
    let config = subjects.config;
    if !file(config).is_none_or(Path::exists) {
        return Ok(None);
    }
    if let Kept::Database(address) = &config.accounts.store.0 {
        let store = database(address, config, Creation::No)?;
        let read = waits(async { Ok((everyone(&store).await?, store.faults().await?)) })?;
        let (records, faults) = read
            .map_err(|error: AdminError| Trouble::from(error).into_failure(subjects.is_coloured))?;
        for warning in accounts::warnings(&address.to_string(), &faults) {
            page.fail(warning, "mend the row, or:  wharf user edit NAME …; wharf user del NAME");
        }
        return Ok(Some((records, PathBuf::new())));
    }
    let failed = |error| open_failure(&error, subjects.is_coloured);
    let file = UserFile::read(&config.server.users_file.0).map_err(failed)?;
    Ok(Some((file.records().to_vec(), file.folder().to_owned())))
}

/// Its home, and what else it is shown.
fn folders(record: &UserRecord, folder: &Path) -> Vec<Tenant> {
    let account = record.account(folder, Timestamp::now());
    let is_enabled = record.is_enabled();
    let name = account.name;
    let home = Tenant {
        loses: format!("{name} cannot log in"),
        name: name.clone(),
        is_home: true,
        rights: account.rules.anywhere(),
        home: account.home,
        is_enabled,
    };
    let others = account.folders.into_iter().map(|other| Tenant {
        loses: format!("{name} cannot use {}", other.at),
        name: name.clone(),
        is_home: false,
        rights: account.rules.at(&other.at),
        home: other.target,
        is_enabled,
    });
    std::iter::once(home).chain(others).collect()
}

fn look_at_record(record: &UserRecord, config: &Config, page: &mut Page) {
    let name = &record.name;
    let is_refused = |denied: &String| denied.to_lowercase() == name.to_lowercase();
    if record.is_enabled() && config.login.deny_users.iter().any(is_refused) {
        page.warn(
            format!("{name} cannot log in: login.deny_users names it"),
            "take it out there, or disable the account",
        );
    }
    if config.login.anonymous && ANONYMOUS_NAMES.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        page.warn(
            format!("nobody can log in to the account {name}: visitors have that name"),
            "give it another name, or write anonymous = false in [login]",
        );
    }
    if record.is_open() {
        let from = record.allowed_addresses.iter().flatten();
        let from: Vec<_> = from.map(wharf_users::file::shown_network).collect();
        page.note(
            format!("{name} needs no password from {}", from.join(", ")),
            format!("no_password = true says so; for one:  wharf user passwd {name}"),
        );
        return;
    }
    let Some(hash) = record.password.as_ref().filter(|hash| hash.is_usable()) else {
        // Where others prove passwords, none is kept here.
        let others = [LoginSource::Pam, LoginSource::Ldap, LoginSource::Http];
        if !others.into_iter().any(|source| config.accounts.auth_backends.has(source)) {
            no_password(record, page);
        }
        return;
    };
    let weak = WEAK_HASHES.iter().find(|(start, _)| hash.as_str().starts_with(start));
    if let Some((_, kind)) = weak {
        page.note(
            format!(
                "the password of {name} is kept as {kind}, which is guessed fast if it is stolen"
            ),
            format!("it becomes Argon2id with the next login; at once:  wharf user passwd {name}"),
        );
    }
}

fn no_password(record: &UserRecord, page: &mut Page) {
    if record.is_enabled() {
        let name = &record.name;
        page.note(
            format!("{name} cannot log in: it has no password"),
            format!("wharf user passwd {name}"),
        );
    }
}

/// Names that people, or phones that write the first letter large, take for the same.
fn look_at_names(records: &[UserRecord], page: &mut Page) {
    let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for record in records {
        let folded = record.name.to_lowercase();
        alike.entry(folded).or_default().push(&record.name);
    }
    for names in alike.values().filter(|names| names.len() > 1) {
        page.warn(
            format!("the accounts {} look alike", names.join(" and ")),
            "they are different ones; give one of them another name before somebody mixes them up",
        );
    }
}

/// What is wrong with a home, and what would help.
fn look_at_home(
    tenant: &Tenant,
    who: Option<(u32, u32)>,
    server: &str,
) -> Option<(String, String)> {
    let Tenant { name, loses, home, rights, .. } = tenant;
    let shown = home.display();
    match std::fs::metadata(home) {
        Ok(facts) if facts.is_dir() => {}
        Ok(_) => {
            let remedy = format!("name a folder:  wharf user edit {name} --home DIR");
            return Some((format!("{loses}: {shown} is no folder"), remedy));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let remedy = format!("make it:  mkdir -p '{shown}' && chown {server} '{shown}'");
            return Some((format!("{loses}: there is no folder {shown}"), remedy));
        }
        Err(error) => {
            let what =
                format!("the home of {name}, {shown}, cannot be looked at: {}", plain(&error));
            return Some((what, format!("let {server} enter the folders above it (chmod +x)")));
        }
    }
    let above = home
        .ancestors()
        .find(|folder| !folder.as_os_str().is_empty() && !may(folder, who, FolderAccess::Enter));
    if let Some(folder) = above {
        let what = format!("{loses}: {server} may not enter {}", folder.display());
        let remedy = format!("chown {server} '{0}', or chmod +x '{0}'", folder.display());
        return Some((what, remedy));
    }
    let lists = Permissions::LIST.union(Permissions::READ);
    if !rights.intersection(lists).is_empty() && !may(home, who, FolderAccess::Read) {
        let what = format!("{name} may look and fetch, but {server} may not read {shown}");
        return Some((what, format!("chown {server} '{shown}', or chmod +r '{shown}'")));
    }
    if rights.intersection(CHANGES).is_empty() {
        return None;
    }
    if file_system(home).is_some_and(|system| system.is_read_only) {
        let what = format!("{name} may change files, but {shown} is mounted read-only");
        return Some((what, "mount it for writing, or take those rights away".to_owned()));
    }
    let is_writable = may(home, who, FolderAccess::Write);
    let what = || format!("{name} may change files, but {server} may not write to {shown}");
    (!is_writable).then(|| (what(), format!("chown {server} '{shown}', or chmod +w '{shown}'")))
}

/// Rights that change something in a folder.
const CHANGES: Permissions = Permissions::UPLOAD
    .union(Permissions::APPEND)
    .union(Permissions::RENAME)
    .union(Permissions::DELETE)
    .union(Permissions::MKDIR);

/// Accounts that see the files of another one.
fn look_at_nesting(tenants: &[Tenant], page: &mut Page) {
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
                "that is fine if they are meant to see each other's files",
            );
        }
        let above = home.ancestors().skip(1).find_map(|folder| homes.get(folder));
        if let (Some(above), Some(name)) = (above.and_then(|above| above.first()), names.first()) {
            page.note(
                format!("the home of {name} lies in that of {above}, who can reach its files"),
                "that is fine if it is meant so; else move one of them",
            );
        }
    }
}
