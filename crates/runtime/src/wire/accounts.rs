//! Builds the accounts from a configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wharf_accounts_sql::{Creation, DatabaseAddress, SqlUsers};
use wharf_config::Config;
use wharf_config::account_error::{AccountError, open_failure};
use wharf_config::choice::AnonymousPermissions;
use wharf_config::login_sources::LoginSource;
use wharf_config::outcome::Failure;
use wharf_core::account::{Account, AccountLimits, Count};
use wharf_core::permission::{Permissions, Rules};
use wharf_core::users::Users;
use wharf_users::admin::{AdminError, StoreErrorKind, UserAdmin as _};
use wharf_users::anonymous::WithAnonymous;
use wharf_users::file::{Fault, FileUsers, Holder, UserFile, UserRecord};
use wharf_users::hasher::Hasher;
use wharf_users::single::{NoUsers, Single};

use crate::accounts::{
    self, AccountStoreKind, FolderUse, WatchedStore, all_records, alone, database,
};
use crate::logins::Sources;
use crate::sandbox::reach::StoreAccess;
use crate::share::{Share, ShareAccess};

/// The accounts and their folders.
pub struct Accounts {
    /// For the engine.
    pub(crate) users: Arc<dyn Users>,
    /// The store, to be checked periodically.
    pub(crate) watched: Option<WatchedStore>,
    /// The files and ports that the store needs.
    pub reached: StoreAccess,
    /// The number of accounts.
    pub(crate) count: usize,
    /// All served folders and their accounts.
    pub homes: Vec<(FolderUse, PathBuf)>,
    /// Warnings for the administrator.
    pub(crate) warnings: Vec<String>,
}

/// The accounts of the store, and the anonymous user if enabled.
pub fn accounts(
    config: &Config,
    is_coloured: bool,
    creation: Creation,
) -> Result<Accounts, Failure> {
    let path = &config.server.users_file.0;
    let needs_file =
        anonymous_home(config).is_none() && config.accounts.auth_backends.has(LoginSource::File);
    let mut accounts = match &config.accounts.store.0 {
        AccountStoreKind::File if !needs_file && !path.exists() => nobody(),
        AccountStoreKind::File => of_file(path, is_coloured)?,
        AccountStoreKind::Database(address) => of_database(config, address, creation)?,
    };
    accounts.users = users(config, accounts.watched.as_ref(), None);
    accounts.homes.extend(anonymous_folder(config));
    Ok(accounts)
}

/// Combines the store, external authentication, and the anonymous user, as configured.
pub(crate) fn users(
    config: &Config,
    watched: Option<&WatchedStore>,
    sources: Option<&Sources>,
) -> Arc<dyn Users> {
    let users: Arc<dyn Users> = match watched {
        Some(WatchedStore::File(file)) => Arc::new(file.clone()),
        Some(WatchedStore::Database(database)) => Arc::new(database.clone()),
        None => Arc::new(NoUsers),
    };
    let users = match sources {
        Some(sources) => sources.before(users),
        None => users,
    };
    match anonymous_home(config) {
        Some(home) => Arc::new(with_anonymous(users, config, home)),
        None => users,
    }
}

/// All served folders and their accounts.
pub(crate) fn homes(
    config: &Config,
    watched: Option<&WatchedStore>,
    is_coloured: bool,
) -> Result<Vec<(FolderUse, PathBuf)>, Failure> {
    let mut homes = match watched {
        Some(WatchedStore::File(_)) => {
            let file = UserFile::read(&config.server.users_file.0)
                .map_err(|error| open_failure(&error, is_coloured))?;
            accounts::homes(file.records(), file.folder())
        }
        // An unreachable database does not prevent other changes.
        Some(WatchedStore::Database(users)) => {
            let (records, _) = all_of(users)?.unwrap_or_default();
            accounts::homes(&records, Path::new(""))
        }
        None => Vec::new(),
    };
    homes.extend(anonymous_folder(config));
    Ok(homes)
}

fn anonymous_folder(config: &Config) -> Option<(FolderUse, PathBuf)> {
    anonymous_home(config).map(|home| (FolderUse::Home("anonymous".to_owned()), home.to_owned()))
}

/// The accounts of a database, and its invalid entries.
type All = (Vec<UserRecord>, Vec<Fault>);

/// Reads all accounts of a database.
fn all_of(users: &SqlUsers) -> Result<Result<All, AdminError>, Failure> {
    alone(async {
        let all = async { Ok((all_records(users).await?, users.faults().await?)) }.await;
        // The connections cannot outlive the thread that waits here.
        users.close_idle();
        all
    })
}

/// The anonymous user for the name `user`, if the configuration allows anonymous logins with it.
pub fn anonymous_account(config: &Config, user: &str) -> Option<Account> {
    let anonymous = with_anonymous(Arc::new(NoUsers), config, anonymous_home(config)?);
    anonymous.is_anonymous(user).then(|| anonymous.account().clone())
}

fn with_anonymous(users: Arc<dyn Users>, config: &Config, home: &Path) -> WithAnonymous<dyn Users> {
    let permissions = anonymous_permission_set(config.login.anonymous_permissions);
    WithAnonymous::new(users, home, permissions).with_limits(for_many())
}

fn nobody() -> Accounts {
    Accounts {
        users: Arc::new(NoUsers),
        watched: None,
        reached: StoreAccess::default(),
        count: 0,
        homes: Vec::new(),
        warnings: Vec::new(),
    }
}

fn of_file(path: &Path, is_coloured: bool) -> Result<Accounts, Failure> {
    let failed = |error| open_failure(&error, is_coloured);
    let file = UserFile::read(path).map_err(failed)?;
    let users = FileUsers::open(path, Arc::new(Hasher::default())).map_err(failed)?;
    Ok(Accounts {
        users: Arc::new(users.clone()),
        watched: Some(WatchedStore::File(users)),
        reached: StoreAccess { file: Some(path.to_owned()), ports: Vec::new() },
        count: file.records().len(),
        homes: accounts::homes(file.records(), file.folder()),
        warnings: Vec::new(),
    })
}

/// A database that does not answer may be starting too: wharf serves, and connects automatically.
/// One that denies access or is not a wharf database is a configuration error, which fails the
/// start.
fn of_database(
    config: &Config,
    address: &DatabaseAddress,
    creation: Creation,
) -> Result<Accounts, Failure> {
    let users = database(address, config, creation)?;
    let mut warnings = Vec::new();
    let mut invalid = 0;
    let records = match all_of(&users)? {
        Ok((records, faults)) => {
            warnings.extend(accounts::warnings(&address.to_string(), &faults));
            let is_account = |fault: &&Fault| matches!(fault.holder, Holder::User(_));
            invalid = faults.iter().filter(is_account).count();
            records
        }
        Err(AdminError::Store(error)) if error.kind == StoreErrorKind::Unreachable => {
            warnings.push(format!(
                "logins are not possible yet: {error}; wharf reconnects automatically, and \
                 homes must be below server.homes until the next start"
            ));
            Vec::new()
        }
        Err(error) => return Err(AccountError::from(error).into_failure(false)),
    };
    if users.is_unencrypted() {
        warnings.push(format!(
            "password hashes are read from {address} over an unencrypted connection; add \
             ?sslrootcert=FILE to accounts.store"
        ));
    }
    let file = match address {
        DatabaseAddress::Sqlite(path) => Some(path.clone()),
        DatabaseAddress::Postgres(_) => None,
    };
    Ok(Accounts {
        users: Arc::new(users.clone()),
        reached: StoreAccess { file, ports: users.ports().to_vec() },
        watched: Some(WatchedStore::Database(users)),
        count: records.len() + invalid,
        homes: accounts::homes(&records, Path::new("")),
        warnings,
    })
}

/// The folder of anonymous users, if they are enabled.
pub fn anonymous_home(config: &Config) -> Option<&Path> {
    config.login.anonymous_home.0.as_deref().filter(|_| config.login.anonymous)
}

/// The account of a share.
pub(crate) fn shared(share: &Share) -> Accounts {
    let users: Arc<dyn Users> = match &share.access {
        ShareAccess::Anonymous(permissions) => {
            let permissions = anonymous_permission_set(*permissions);
            let users = WithAnonymous::new(Arc::new(NoUsers), &share.folder, permissions);
            Arc::new(users.with_limits(for_many()))
        }
        ShareAccess::Account { user, password, permissions } => {
            let mut account = Account::new(user, &share.folder, Rules::everywhere(*permissions));
            account.limits = for_many();
            Arc::new(Single::new(account, password.text.as_bytes()))
        }
    };
    let homes = vec![(FolderUse::Home(String::new()), share.folder.clone())];
    Accounts { users, count: 1, homes, ..nobody() }
}

/// The sessions of a shared account are limited only by those of the server.
pub(super) fn for_many() -> AccountLimits {
    AccountLimits { sessions: Some(Count::Unlimited), ..AccountLimits::default() }
}

/// The permissions of anonymous users.
pub fn anonymous_permission_set(permissions: AnonymousPermissions) -> Permissions {
    // The presets have equal names in both; none grants less than reading.
    Permissions::parse(&permissions.to_string()).unwrap_or(Permissions::NONE)
}
