//! Logins, and what an administrator does.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use wharf_core::account::Account;
use wharf_core::async_trait;
use wharf_core::users::{AccountStatus, Attempt, Denied, Users};
use wharf_users::admin::{AdminError, StoreError, StoreErrorKind, UserAdmin};
use wharf_users::file::{Fault, Holder, StoreChange, StoredHash, UserRecord};
use wharf_users::hasher::Hasher;
use wharf_users::password::Verified;

use crate::address::DatabaseAddress;
use crate::bounds::{Creation, StoreEvent, missing};
use crate::pool::StoreLocation;
use crate::store::{Lookup, SqlStore};
use crate::{postgres, sqlite};

/// The accounts of a database. Each login queries it, so every change takes effect at once.
///
/// If the database is unavailable, logins fail; sessions continue, and it is reconnected
/// automatically.
#[derive(Clone)]
pub struct SqlUsers {
    store: Arc<SqlStore>,
    hasher: Arc<Hasher>,
    /// The ports of the server, for the sandbox of the process.
    ports: Vec<u16>,
    is_unencrypted: bool,
}

impl SqlUsers {
    /// For this database; nothing is connected yet. Reads the certificate that the address names,
    /// which blocks. `hasher` is shared with the other stores.
    ///
    /// # Errors
    /// The address cannot be used, or this program was built without that kind of database.
    pub fn new(
        address: &DatabaseAddress,
        password: Option<&str>,
        creation: Creation,
        hasher: Arc<Hasher>,
    ) -> Result<Self, StoreError> {
        let shown = address.to_string();
        let is_built = match address {
            DatabaseAddress::Sqlite(_) => sqlite::IS_BUILT,
            DatabaseAddress::Postgres(_) => postgres::IS_BUILT,
        };
        if !is_built {
            return Err(missing(&shown));
        }
        match address {
            DatabaseAddress::Sqlite(path) => {
                let create = creation == Creation::Wanted;
                let location = StoreLocation::File { path: Arc::new(path.clone()), create };
                let store = Arc::new(SqlStore::new(location, shown));
                Ok(Self { store, hasher, ports: Vec::new(), is_unencrypted: false })
            }
            // Databases on a server are created by their administrator.
            DatabaseAddress::Postgres(server) => {
                let server = postgres::PgServer::new(server, password)?;
                let (ports, is_unencrypted) = (server.ports(), server.is_unencrypted());
                let store = Arc::new(SqlStore::new(StoreLocation::Server(Box::new(server)), shown));
                Ok(Self { store, hasher, ports, is_unencrypted })
            }
        }
    }

    /// Checks the connection; creates or migrates the tables.
    ///
    /// # Errors
    /// The database is unavailable or unusable.
    pub async fn check_connection(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    /// Which of these accounts may not log in any more: removed or disabled. Call it about once a
    /// second, for accounts with sessions. Also detects that an unavailable database is back.
    ///
    /// # Errors
    /// The database does not respond; [`SqlUsers::take_events`] reports it once.
    pub async fn ended(&self, names: &[String]) -> Result<BTreeSet<String>, StoreError> {
        if names.is_empty() && self.store.pool.is_lost() {
            self.store.ping().await?;
        }
        self.store.ended(names).await
    }

    /// The events since the last call.
    pub fn take_events(&self) -> Vec<StoreEvent> {
        self.store.pool.take_events()
    }

    /// Closes idle connections; new ones are opened on demand.
    pub fn close_idle(&self) {
        self.store.pool.close_idle();
    }

    /// The most connections that have been in use at the same time. For tests and metrics.
    pub fn connections_most(&self) -> usize {
        self.store.pool.in_use_max()
    }

    /// The ports that are connected to; none for a file or a socket of Unix.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Whether the password hashes cross a network in the clear.
    pub fn is_unencrypted(&self) -> bool {
        self.is_unencrypted
    }

    /// The account with this name, if there is one and it can be used.
    async fn valid(&self, name: &str) -> Result<Option<UserRecord>, Denied> {
        match self.store.look_up_account(name).await.map_err(denied)? {
            Lookup::Valid(record) => Ok(record.map(|record| *record)),
            Lookup::Invalid(fault) => Err(rejected(&fault)),
        }
    }

    /// Replaces a weak hash, if the machine is idle. A failure does not fail the login: the next
    /// login tries again, and the pool reports an unavailable database.
    async fn renew(&self, record: &UserRecord, secret: &[u8]) {
        let Some(old) = &record.password else { return };
        if let Some(new) = self.hasher.hash_if_idle(secret).await {
            let _ = self.store.renew(&record.name, old.as_str(), &new).await;
        }
    }
}

#[async_trait]
impl Users for SqlUsers {
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        let found = self.store.look_up_account(attempt.user).await;
        if let Err(error) = &found
            && error.kind != StoreErrorKind::Unusable
        {
            return Err(denied(error.clone()));
        }
        let opens = match &found {
            Ok(Lookup::Valid(Some(record))) => {
                record.is_open() && record.admits(attempt, Timestamp::now()).is_ok()
            }
            _ => false,
        };
        let stored = match &found {
            Ok(Lookup::Valid(record)) => {
                record.as_ref().and_then(|record| record.password.as_ref())
            }
            Ok(Lookup::Invalid(fault)) => fault.password.as_ref(),
            Err(_) => None,
        };
        // Before any result is returned: an unknown name must take as long as a wrong password.
        let verified = if opens {
            Verified::Right
        } else {
            self.hasher.verify(stored.map(StoredHash::as_str), attempt.secret).await?
        };
        let checked = match found.map_err(denied)? {
            Lookup::Valid(record) => record.ok_or(Denied::UnknownUser)?,
            Lookup::Invalid(_) if matches!(verified, Verified::Wrong) => {
                return Err(Denied::WrongPassword);
            }
            Lookup::Invalid(fault) => return Err(rejected(&fault)),
        };
        if !checked.is_enabled() {
            return Err(Denied::Disabled);
        }
        match verified {
            Verified::Right => {}
            Verified::RightButOld => self.renew(&checked, attempt.secret).await,
            Verified::Wrong => return Err(Denied::WrongPassword),
            Verified::Unreadable if checked.is_open() => {}
            Verified::Unreadable => return Err(Denied::NoPassword),
        }
        // Waiting for a permit may have taken seconds. An account that was disabled meanwhile had
        // no session to end, so the login must fail here.
        let record = self.valid(attempt.user).await?.ok_or(Denied::UnknownUser)?;
        let now = Timestamp::now();
        record.admits(attempt, now)?;
        Ok(record.account(Path::new(""), now))
    }

    async fn account_status(&self, attempt: &Attempt<'_>) -> Result<AccountStatus, Denied> {
        let Some(record) = self.valid(attempt.user).await? else {
            return Ok(AccountStatus::Unknown);
        };
        let now = Timestamp::now();
        record.admits(attempt, now)?;
        let has_password = record.password.is_some() || record.no_password == Some(true);
        let account = Box::new(record.account(Path::new(""), now));
        Ok(AccountStatus::Known { account, has_password })
    }
}

/// The login error for an invalid account; the store itself works.
fn rejected(fault: &Fault) -> Denied {
    Denied::ByRule(format!("the account is invalid: {fault}"))
}

fn denied(error: StoreError) -> Denied {
    match error.kind {
        StoreErrorKind::Busy => Denied::Busy,
        _ => Denied::Broken(error.into()),
    }
}

#[async_trait]
impl UserAdmin for SqlUsers {
    fn place(&self) -> String {
        self.store.shown.clone()
    }

    /// Homes in a database are absolute paths.
    fn folder(&self) -> &Path {
        Path::new("")
    }

    async fn groups(&self) -> Result<Vec<UserRecord>, AdminError> {
        Ok(self.store.groups().await?.file.groups().to_vec())
    }

    async fn page(&self, after: Option<&str>) -> Result<Vec<UserRecord>, AdminError> {
        let (mut parsed, mut last) = self.store.page(after).await?;
        // A page on which nothing is valid is not the last.
        while parsed.file.own_records().is_empty()
            && let Some(name) = last
        {
            (parsed, last) = self.store.page(Some(&name)).await?;
        }
        Ok(parsed.file.own_records().to_vec())
    }

    async fn faults(&self) -> Result<Vec<Fault>, AdminError> {
        let is_group = |fault: &Fault| matches!(fault.holder, Holder::Group(_));
        let mut faults = self.store.groups().await?.faults;
        let mut after = None;
        loop {
            let (parsed, last) = self.store.page(after.as_deref()).await?;
            faults.extend(parsed.faults.into_iter().filter(|fault| !is_group(fault)));
            if last.is_none() {
                break;
            }
            after = last;
        }
        faults.extend(self.store.nameless().await?);
        // SQLite sorts blobs after all text, so each page may have found the same ones.
        let mut seen = HashSet::new();
        faults.retain(|fault| seen.insert(fault.to_string()));
        Ok(faults)
    }

    async fn find(&self, name: &str) -> Result<Option<UserRecord>, AdminError> {
        Ok(self.store.find(name).await?)
    }

    async fn own(&self, name: &str) -> Result<Option<UserRecord>, AdminError> {
        Ok(self.store.own(name).await?)
    }

    async fn change(&self, changes: &[StoreChange]) -> Result<(), AdminError> {
        self.store.change(changes).await
    }
}
