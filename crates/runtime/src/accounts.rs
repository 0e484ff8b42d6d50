//! Opens the account store that the configuration names: a file or a database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::runtime::Builder;
use wharf_accounts_sql::{Creation, DatabaseAddress, SqlUsers};
use wharf_config::Config;
use wharf_config::account_error::store_failure;
use wharf_config::outcome::Failure;
pub use wharf_config::store::AccountStoreKind;
use wharf_proto::path::VPath;
use wharf_users::admin::{AdminError, FileAdmin, StoreError, StoreErrorKind, UserAdmin};
use wharf_users::file::{Fault, FileUsers, Holder, UserRecord};
use wharf_users::hasher::Hasher;

use wharf_config::password::read_password_file;

/// The file of the account store, TOML or SQLite; `None` for a database server.
pub fn file(config: &Config) -> Option<&Path> {
    match &config.accounts.store.0 {
        AccountStoreKind::File => Some(&config.server.users_file.0),
        AccountStoreKind::Database(DatabaseAddress::Sqlite(path)) => Some(path),
        AccountStoreKind::Database(DatabaseAddress::Postgres(_)) => None,
    }
}

/// An account store that is checked for changes while the server runs.
#[derive(Clone)]
pub(crate) enum WatchedStore {
    /// A file.
    File(FileUsers),
    /// A database.
    Database(SqlUsers),
}

/// The name of the configured store in messages.
pub fn shown(config: &Config) -> String {
    match &config.accounts.store.0 {
        AccountStoreKind::File => config.server.users_file.0.display().to_string(),
        AccountStoreKind::Database(address) => address.to_string(),
    }
}

/// The configured store, for reading and changing accounts.
pub fn admin(config: &Config, creation: Creation) -> Result<Box<dyn UserAdmin>, Failure> {
    admin_of(&config.accounts.store.0, config, creation)
}

/// Like [`admin`], for any store.
pub fn admin_of(
    kind: &AccountStoreKind,
    config: &Config,
    creation: Creation,
) -> Result<Box<dyn UserAdmin>, Failure> {
    Ok(match kind {
        AccountStoreKind::File => Box::new(FileAdmin::new(&config.server.users_file.0)),
        AccountStoreKind::Database(address) => Box::new(database(address, config, creation)?),
    })
}

/// The database store. No connection is opened yet.
pub fn database(
    address: &DatabaseAddress,
    config: &Config,
    creation: Creation,
) -> Result<SqlUsers, Failure> {
    let password = match address {
        DatabaseAddress::Sqlite(_) => None,
        DatabaseAddress::Postgres(_) => password(config.accounts.password_file.0.as_deref())?,
    };
    let hasher = Arc::new(Hasher::default());
    SqlUsers::new(address, password.as_deref(), creation, hasher)
        .map_err(|error| store_failure(&error))
}

/// The password for a database server: from the configured file, else from `PGPASSWORD`, which all
/// PostgreSQL clients read. The address may contain one, too.
fn password(file: Option<&Path>) -> Result<Option<String>, Failure> {
    match file {
        Some(file) => read_password_file(file).map(Some).map_err(|failure| Failure {
            message: format!("accounts.password_file: {}", failure.message),
            ..failure
        }),
        None => Ok(std::env::var("PGPASSWORD").ok().filter(|password| !password.is_empty())),
    }
}

/// Reads all accounts of a store page by page, with the settings inherited from groups.
pub async fn all_records(store: &dyn UserAdmin) -> Result<Vec<UserRecord>, AdminError> {
    let groups = store.groups().await?;
    let mut all: Vec<UserRecord> = Vec::new();
    loop {
        let page = store.page(all.last().map(|record| record.name.as_str())).await?;
        if page.is_empty() {
            return Ok(all);
        }
        let of_name = |name: &str| groups.iter().find(|group| group.name == name);
        all.extend(page.into_iter().map(|record| record.with_groups(of_name)));
    }
}

/// Like [`all_records`], but fails if an account is invalid; for copies, which must be complete.
pub async fn all_records_or_fault(store: &dyn UserAdmin) -> Result<Vec<UserRecord>, AdminError> {
    reject_faults(store).await?;
    all_records(store).await
}

/// Fails if any account or group is invalid.
pub async fn reject_faults(store: &dyn UserAdmin) -> Result<(), AdminError> {
    let faults = store.faults().await?;
    if faults.is_empty() {
        return Ok(());
    }
    let place = store.place();
    let lines: Vec<_> = faults.iter().map(|fault| format!("{place}: {fault}")).collect();
    Err(StoreError::new(StoreErrorKind::Invalid, lines.join("\n")).into())
}

/// Invalid accounts and groups of a store as warnings with their effect; at most a few.
pub fn warnings(place: &str, faults: &[Fault]) -> Vec<String> {
    let shown = faults.iter().take(FAULTS_SHOWN_MAX).map(|fault| match &fault.holder {
        Holder::User(name) => format!("{name} cannot log in: {place}: {fault}"),
        Holder::Group(name) => {
            format!("no account in the group {name} can log in: {place}: {fault}")
        }
    });
    let more = faults.len().saturating_sub(FAULTS_SHOWN_MAX);
    let more = (more > 0).then(|| format!("{place}: {more} more accounts and groups are invalid"));
    shown.chain(more).collect()
}

/// Maximum number of invalid accounts and groups named in one message.
const FAULTS_SHOWN_MAX: usize = 50;

/// Runs `act` on a temporary thread with its own runtime. A server that is not yet sandboxed must
/// not keep threads, since they would stay outside of the sandbox.
pub(crate) fn alone<T: Send>(act: impl Future<Output = T> + Send) -> Result<T, Failure> {
    let failed = |error: &std::io::Error| Failure::io("cannot start a thread", error);
    std::thread::scope(|scope| {
        let waited = std::thread::Builder::new().spawn_scoped(scope, || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(act))
        });
        let waited = waited.map_err(|error| failed(&error))?.join();
        waited
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .map_err(|error| failed(&error))
    })
}

/// How an account uses a served folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderUse {
    /// The home of this account.
    Home(String),
    /// A virtual folder of this account at this path.
    Folder(String, VPath),
}

impl FolderUse {
    /// The account's name.
    pub fn account(&self) -> &str {
        match self {
            Self::Home(name) | Self::Folder(name, _) => name,
        }
    }

    /// What fails if the folder is missing.
    pub(crate) fn lost(&self) -> String {
        match self {
            Self::Home(name) => format!("{name} cannot log in"),
            Self::Folder(name, path) => format!("{name} cannot use {path}"),
        }
    }
}

/// The homes and virtual folders of accounts.
pub(crate) fn homes(records: &[UserRecord], folder: &Path) -> Vec<(FolderUse, PathBuf)> {
    let now = Timestamp::now();
    let accounts = records.iter().map(|record| record.account(folder, now));
    let homes = accounts.flat_map(|account| {
        let name = account.name;
        let home = (FolderUse::Home(name.clone()), account.home);
        let folders = account.folders.into_iter();
        let folders =
            folders.map(move |folder| (FolderUse::Folder(name.clone(), folder.at), folder.target));
        std::iter::once(home).chain(folders)
    });
    homes.collect()
}
