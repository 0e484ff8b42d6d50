//! The account, and the origins of its settings.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use wharf_accounts_sql::{Creation, DatabaseAddress};
use wharf_config::account_error::{AccountError, no_such_user, open_failure};
use wharf_config::login_sources::LoginSource;
use wharf_config::outcome::{Exit, Failure};
use wharf_config::show::origin_of;
use wharf_core::account::Account;
use wharf_proto::path::VPath;
use wharf_runtime::accounts::{AccountStoreKind, all_records, database};
use wharf_runtime::wire;
use wharf_users::admin::UserAdmin;
use wharf_users::anonymous::ANONYMOUS_NAMES;
use wharf_users::file::{SettingOrigin, StoredHash, UserFile, UserRecord};

use super::Query;
use crate::user_command::waits;

/// An account of a store.
pub(super) struct AccountSubject {
    /// The account as used by the engine.
    pub(super) account: Account,
    pub(super) is_anonymous: bool,
    pub(super) is_enabled: bool,
    /// Whether it has a usable password.
    pub(super) has_password: bool,
    /// Its record; none for anonymous users.
    pub(super) record: Option<UserRecord>,
    origin: SubjectOrigin,
}

/// The origin of its settings.
enum SubjectOrigin {
    /// The accounts file: its path, its content, the account's name.
    File(PathBuf, UserFile, String),
    /// A database, with the name of the account.
    Database(String),
    /// The configuration: where permissions and folder of anonymous users are set.
    Anonymous { permissions: String, home: String },
}

/// The error for a name without an account.
fn unknown<'a>(known: impl Iterator<Item = &'a str>, name: &str) -> Failure {
    if ANONYMOUS_NAMES.contains(&name) {
        let failure = Failure { exit: Exit::NotFound, ..Failure::new("anonymous access is off") };
        return failure.hint("to allow it, set login.anonymous = true");
    }
    no_such_user(known, name)
}

impl AccountSubject {
    /// Finds the account.
    pub(super) fn find(case: &Query<'_>, is_coloured: bool) -> Result<Self, Failure> {
        let config = case.config;
        let path = &config.server.users_file.0;
        if let Some(account) = wire::anonymous_account(config, case.user) {
            return Ok(Self {
                account,
                is_anonymous: true,
                is_enabled: true,
                has_password: true,
                record: None,
                origin: SubjectOrigin::Anonymous {
                    permissions: origin_of(case.layers, "login.anonymous_permissions"),
                    home: origin_of(case.layers, "login.anonymous_home"),
                },
            });
        }
        if let AccountStoreKind::Database(address) = &config.accounts.store.0 {
            return Self::in_database(case, address, is_coloured);
        }
        let order = &config.accounts.auth_backends;
        if order.has_others() && !path.exists() {
            return Err(elsewhere(case));
        }
        let file = UserFile::read(path).map_err(|error| open_failure(&error, is_coloured))?;
        let record = file.record(case.user).ok_or_else(|| {
            if order.has_others() {
                return elsewhere(case);
            }
            unknown(file.records().iter().map(|record| record.name.as_str()), case.user)
        })?;
        // Without a password here, another backend authenticates.
        let is_authenticated_elsewhere = order.has_others() && record.password.is_none();
        Ok(Self {
            account: record.account(file.folder(), Timestamp::now()),
            is_anonymous: false,
            is_enabled: record.is_enabled(),
            has_password: is_authenticated_elsewhere
                || record.is_open()
                || record.password.as_ref().is_some_and(StoredHash::is_usable),
            record: Some(record.clone()),
            origin: SubjectOrigin::File(path.clone(), file, case.user.to_owned()),
        })
    }

    fn in_database(
        case: &Query<'_>,
        address: &DatabaseAddress,
        is_coloured: bool,
    ) -> Result<Self, Failure> {
        let store = database(address, case.config, Creation::No)?;
        let failed = |error| AccountError::from(error).into_failure(is_coloured);
        let found = waits(async {
            match store.find(case.user).await {
                Ok(Some(record)) => Ok(Ok(record)),
                Ok(None) => all_records(&store).await.map(Err),
                Err(error) => Err(error),
            }
        })?;
        let record = found.map_err(failed)?.map_err(|others| {
            unknown(others.iter().map(|record| record.name.as_str()), case.user)
        })?;
        Ok(Self {
            account: record.account(Path::new(""), Timestamp::now()),
            is_anonymous: false,
            is_enabled: record.is_enabled(),
            has_password: record.is_open()
                || record.password.as_ref().is_some_and(StoredHash::is_usable),
            origin: SubjectOrigin::Database(format!("{address}, account {}", record.name)),
            record: Some(record),
        })
    }

    /// Where a key of the account is set, or that it has its default.
    pub(super) fn place(&self, key: &str) -> String {
        match &self.origin {
            SubjectOrigin::Anonymous { permissions, home } => match key {
                "home" => home.clone(),
                _ => permissions.clone(),
            },
            SubjectOrigin::Database(shown) => format!("{shown}, column {key}"),
            SubjectOrigin::File(path, file, name) => place_of_setting(path, file, name, key, None)
                .unwrap_or_else(|| {
                    let path = path.display();
                    match file.line_of(name) {
                        Some(line) => format!("{path}:{line} (not set: default)"),
                        None => path.to_string(),
                    }
                }),
        }
    }

    /// Where the permissions of a path are set.
    pub(super) fn place_of_path(&self, prefix: &VPath) -> String {
        match &self.origin {
            SubjectOrigin::Anonymous { permissions, .. } => permissions.clone(),
            SubjectOrigin::Database(shown) => format!("{shown}, its paths and folders"),
            SubjectOrigin::File(path, file, name) => ["paths", "folders"]
                .iter()
                .find_map(|key| place_of_setting(path, file, name, key, Some(prefix)))
                .unwrap_or_else(|| self.place("paths")),
        }
    }
}

/// The error for an account that is not in the store, but may be known to another backend.
fn elsewhere(case: &Query<'_>) -> Failure {
    let order = &case.config.accounts.auth_backends.0;
    let others: Vec<_> = order
        .iter()
        .filter(|source| **source != LoginSource::File)
        .map(|source| source.word())
        .collect();
    let (name, others) = (case.user.escape_debug(), others.join(", "));
    Failure {
        exit: Exit::NotFound,
        ..Failure::new(format!(
            "account {name} is not in the account store; it may exist in {others}"
        ))
    }
    .hint("its permissions are known after its login, or if the account is in users_file")
}

/// The file and line where a key of an account is set, with the group if it is set there.
fn place_of_setting(
    path: &Path,
    file: &UserFile,
    name: &str,
    key: &str,
    inner: Option<&VPath>,
) -> Option<String> {
    let line = file.line_of_setting(name, key, inner)?;
    let path = path.display();
    Some(match file.origin_of(name, key, inner) {
        SettingOrigin::Group(group) => format!("{path}:{line} (group {group})"),
        SettingOrigin::Own | SettingOrigin::Unset => format!("{path}:{line}"),
    })
}
