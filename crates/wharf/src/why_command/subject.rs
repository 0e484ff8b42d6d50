//! The account that is asked about, and where each of its settings stands.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use wharf_accounts_sql::{Address, Creation};
use wharf_core::account::Account;
use wharf_proto::path::VPath;
use wharf_users::admin::UserAdmin;
use wharf_users::file::{Origin as Said, StoredHash, UserFile, UserRecord};

use super::Case;
use crate::accounts::{Kept, database, everyone};
use crate::config::login_sources::LoginSource;
use crate::config::show::origin_of;
use crate::outcome::{Exit, Failure};
use crate::user_command::{Trouble, no_such_user, open_failure, waits};
use crate::wire;

/// An account, as it stands in its store.
pub(super) struct Subject {
    /// As the engine has it.
    pub(super) account: Account,
    pub(super) is_anonymous: bool,
    pub(super) is_enabled: bool,
    /// Whether any password could be right.
    pub(super) has_password: bool,
    /// What its store says of it; nothing of a visitor.
    pub(super) record: Option<UserRecord>,
    origin: Origin,
}

/// From where its settings are.
enum Origin {
    /// The file of accounts: its path, its content, the account's name.
    File(PathBuf, UserFile, String),
    /// A database: what it and the account are called.
    Database(String),
    /// The configuration: where the visitor's rights and folder are said.
    Visitor { rights: String, home: String },
}

impl Subject {
    /// Finds the account.
    ///
    /// # Errors
    /// There is none of this name, or its store cannot be read.
    pub(super) fn find(case: &Case<'_>, is_coloured: bool) -> Result<Self, Failure> {
        let config = case.config;
        let path = &config.server.users_file.0;
        if let Some(account) = wire::anonymous_account(config, case.user) {
            return Ok(Self {
                account,
                is_anonymous: true,
                is_enabled: true,
                has_password: true,
                record: None,
                origin: Origin::Visitor {
                    rights: origin_of(case.layers, "login.anonymous_permissions"),
                    home: origin_of(case.layers, "login.anonymous_home"),
                },
            });
        }
        if let Kept::Database(address) = &config.accounts.store.0 {
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
            no_such_user(file.records().iter().map(|record| record.name.as_str()), case.user)
        })?;
        // What is not said here, others prove.
        let is_proven_elsewhere = order.has_others() && record.password.is_none();
        Ok(Self {
            account: record.account(file.folder(), Timestamp::now()),
            is_anonymous: false,
            is_enabled: record.is_enabled(),
            has_password: is_proven_elsewhere
                || record.is_open()
                || record.password.as_ref().is_some_and(StoredHash::is_usable),
            record: Some(record.clone()),
            origin: Origin::File(path.clone(), file, case.user.to_owned()),
        })
    }

    fn in_database(case: &Case<'_>, address: &Address, is_coloured: bool) -> Result<Self, Failure> {
        let store = database(address, case.config, Creation::No)?;
        let failed = |error| Trouble::from(error).into_failure(is_coloured);
        let found = waits(async {
            match store.find(case.user).await {
                Ok(Some(record)) => Ok(Ok(record)),
                Ok(None) => everyone(&store).await.map(Err),
                Err(error) => Err(error),
            }
        })?;
        let record = found.map_err(failed)?.map_err(|others| {
            no_such_user(others.iter().map(|record| record.name.as_str()), case.user)
        })?;
        Ok(Self {
            account: record.account(Path::new(""), Timestamp::now()),
            is_anonymous: false,
            is_enabled: record.is_enabled(),
            has_password: record.is_open()
                || record.password.as_ref().is_some_and(StoredHash::is_usable),
            origin: Origin::Database(format!("{address}, account {}", record.name)),
            record: Some(record),
        })
    }

    /// Where a key of the account is said; where nobody says it, so.
    pub(super) fn place(&self, key: &str) -> String {
        match &self.origin {
            Origin::Visitor { rights, home } => match key {
                "home" => home.clone(),
                _ => rights.clone(),
            },
            Origin::Database(shown) => format!("{shown}, column {key}"),
            Origin::File(path, file, name) => {
                said_at(path, file, name, key, None).unwrap_or_else(|| {
                    let path = path.display();
                    match file.line_of(name) {
                        Some(line) => format!("{path}:{line} (says nothing; the default)"),
                        None => path.to_string(),
                    }
                })
            }
        }
    }

    /// Where the rights below a path are said.
    pub(super) fn place_of_path(&self, prefix: &VPath) -> String {
        match &self.origin {
            Origin::Visitor { rights, .. } => rights.clone(),
            Origin::Database(shown) => format!("{shown}, its paths and folders"),
            Origin::File(path, file, name) => ["paths", "folders"]
                .iter()
                .find_map(|key| said_at(path, file, name, key, Some(prefix)))
                .unwrap_or_else(|| self.place("paths")),
        }
    }
}

/// No account of this name is kept here, and somebody else may know it.
fn elsewhere(case: &Case<'_>) -> Failure {
    let order = &case.config.accounts.auth_backends.0;
    let others: Vec<_> = order
        .iter()
        .filter(|source| **source != LoginSource::File)
        .map(|source| source.word())
        .collect();
    let (name, others) = (case.user.escape_debug(), others.join(", "));
    Failure {
        exit: Exit::NoSuchUser,
        ..Failure::new(format!("no account {name} is kept here; only {others} may know the name"))
    }
    .help("what it may do is known once it logs in; an account in users_file would decide it")
}

/// The file and line where an account's key is said, and the group that says it.
fn said_at(
    path: &Path,
    file: &UserFile,
    name: &str,
    key: &str,
    inner: Option<&VPath>,
) -> Option<String> {
    let line = file.line_said(name, key, inner)?;
    let path = path.display();
    Some(match file.origin_of(name, key, inner) {
        Said::Group(group) => format!("{path}:{line} (group {group})"),
        Said::Own | Said::Unset => format!("{path}:{line}"),
    })
}
