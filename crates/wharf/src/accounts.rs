//! Which store keeps the accounts, and how to get at it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::runtime::Builder;
use wharf_accounts_sql::{Address, Creation, SqlUsers};
use wharf_proto::path::VPath;
use wharf_users::admin::{AdminError, Holder, StoreError, StoreErrorKind, UserAdmin};
use wharf_users::file::{Fault, FileAdmin, FileUsers, UserRecord};
use wharf_users::hasher::Hasher;

use crate::config::Config;
pub(crate) use crate::config::store::Kept;
use crate::outcome::{Exit, Failure};
use crate::share::read_password_file;

/// The file that accounts are kept in, whatever kind of file it is; none for a server.
pub(crate) fn file(config: &Config) -> Option<&Path> {
    match &config.accounts.store.0 {
        Kept::File => Some(&config.server.users_file.0),
        Kept::Database(Address::Sqlite(path)) => Some(path),
        Kept::Database(Address::Postgres(_)) => None,
    }
}

/// A store that is looked at while serving.
#[derive(Clone)]
pub(crate) enum Watched {
    /// A file.
    File(FileUsers),
    /// A database.
    Database(SqlUsers),
}

/// What the store of this configuration is called in messages.
pub(crate) fn shown(config: &Config) -> String {
    match &config.accounts.store.0 {
        Kept::File => config.server.users_file.0.display().to_string(),
        Kept::Database(address) => address.to_string(),
    }
}

/// The store of this configuration, to look into and to change.
///
/// # Errors
/// Its address cannot be used, or its password cannot be read.
pub(crate) fn admin(config: &Config, creation: Creation) -> Result<Box<dyn UserAdmin>, Failure> {
    admin_of(&config.accounts.store.0, config, creation)
}

/// The same for any store.
pub(crate) fn admin_of(
    kept: &Kept,
    config: &Config,
    creation: Creation,
) -> Result<Box<dyn UserAdmin>, Failure> {
    Ok(match kept {
        Kept::File => Box::new(FileAdmin::new(&config.server.users_file.0)),
        Kept::Database(address) => Box::new(database(address, config, creation)?),
    })
}

/// A database. Nothing is connected yet.
///
/// # Errors
/// As [`admin`].
pub(crate) fn database(
    address: &Address,
    config: &Config,
    creation: Creation,
) -> Result<SqlUsers, Failure> {
    let password = match address {
        Address::Sqlite(_) => None,
        Address::Postgres(_) => password(config.accounts.password_file.0.as_deref())?,
    };
    let hasher = Arc::new(Hasher::default());
    SqlUsers::new(address, password.as_deref(), creation, hasher).map_err(|error| failure(&error))
}

/// The password of a server: from the file, else from the variable that all programs of PostgreSQL
/// read; an address may hold one, too.
fn password(file: Option<&Path>) -> Result<Option<String>, Failure> {
    match file {
        Some(file) => read_password_file(file).map(Some).map_err(|failure| Failure {
            message: format!("accounts.password_file: {}", failure.message),
            ..failure
        }),
        None => Ok(std::env::var("PGPASSWORD").ok().filter(|password| !password.is_empty())),
    }
}

/// A store that cannot be used, with the number for scripts.
pub(crate) fn failure(error: &StoreError) -> Failure {
    let exit = match error.kind {
        StoreErrorKind::Forbidden => Exit::Forbidden,
        StoreErrorKind::Unusable | StoreErrorKind::Invalid => Exit::ConfigInvalid,
        StoreErrorKind::Missing
        | StoreErrorKind::Unreachable
        | StoreErrorKind::Conflict
        | StoreErrorKind::Busy => Exit::Failed,
    };
    Failure { exit, help: error.help.clone(), ..Failure::new(error.what.clone()) }
}

/// Every account of a store, page by page, with what it takes from its groups.
///
/// # Errors
/// As [`UserAdmin::page`].
pub(crate) async fn everyone(store: &dyn UserAdmin) -> Result<Vec<UserRecord>, AdminError> {
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

/// The same for whoever must not miss an account, such as a copy of all of them.
///
/// # Errors
/// As [`UserAdmin::page`]; besides, what is invalid in the store.
pub(crate) async fn everyone_or_fault(
    store: &dyn UserAdmin,
) -> Result<Vec<UserRecord>, AdminError> {
    refuse_faults(store).await?;
    everyone(store).await
}

/// An error where some accounts or groups cannot be used.
///
/// # Errors
/// As [`UserAdmin::faults`]; besides, what is invalid in the store.
pub(crate) async fn refuse_faults(store: &dyn UserAdmin) -> Result<(), AdminError> {
    let faults = store.faults().await?;
    if faults.is_empty() {
        return Ok(());
    }
    let place = store.place();
    let lines: Vec<_> = faults.iter().map(|fault| format!("{place}: {fault}")).collect();
    Err(StoreError::new(StoreErrorKind::Invalid, lines.join("\n")).into())
}

/// What is invalid in a store, as warnings, and what it means; a few of many.
pub(crate) fn warnings(place: &str, faults: &[Fault]) -> Vec<String> {
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

/// The most invalid accounts and groups that are named at once.
const FAULTS_SHOWN_MAX: usize = 50;

/// Waits for `act` on a thread that ends with it, and with all that it started: a server that is
/// yet to be confined keeps no thread from before.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn alone<T: Send>(act: impl Future<Output = T> + Send) -> Result<T, Failure> {
    let failed = |error: &std::io::Error| Failure::io("the system gives no thread", error);
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

/// For whom a folder of this computer is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// As the home of this account.
    Home(String),
    /// As the folder that this account sees at a path.
    Folder(String, VPath),
}

impl Use {
    /// Whose it is.
    pub(crate) fn account(&self) -> &str {
        match self {
            Self::Home(name) | Self::Folder(name, _) => name,
        }
    }

    /// What does not work without it.
    pub(crate) fn lost(&self) -> String {
        match self {
            Self::Home(name) => format!("{name} cannot log in"),
            Self::Folder(name, path) => format!("{name} does not see {path}"),
        }
    }
}

/// The homes of accounts and their folders that lie elsewhere.
pub(crate) fn homes(records: &[UserRecord], folder: &Path) -> Vec<(Use, PathBuf)> {
    let now = Timestamp::now();
    let accounts = records.iter().map(|record| record.account(folder, now));
    let homes = accounts.flat_map(|account| {
        let name = account.name;
        let home = (Use::Home(name.clone()), account.home);
        let folders = account.folders.into_iter();
        let folders =
            folders.map(move |folder| (Use::Folder(name.clone(), folder.at), folder.target));
        std::iter::once(home).chain(folders)
    });
    homes.collect()
}
