//! Logins, and what an administrator does.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use wharf_core::account::Account;
use wharf_core::async_trait;
use wharf_core::users::{AccountStatus, Attempt, Denied, Users};
use wharf_users::admin::{AdminError, Change, Holder, StoreError, StoreErrorKind, UserAdmin};
use wharf_users::file::{Fault, StoredHash, UserRecord};
use wharf_users::hasher::Hasher;
use wharf_users::password::Verified;

use crate::address::Address;
use crate::bounds::{Creation, News};
use crate::pool::Place;
use crate::store::{LookedUp, Store};

/// The accounts of a database. Each login asks it, so a change counts at once, whoever made it.
///
/// A database that is gone fails logins and nothing else; it is connected to again by itself.
#[derive(Clone)]
pub struct SqlUsers {
    store: Arc<Store>,
    hasher: Arc<Hasher>,
    /// The ports of a server, for whoever confines the process.
    ports: Vec<u16>,
    is_overheard: bool,
}

impl SqlUsers {
    /// For this database; nothing is connected yet. Reads the certificate that the address names,
    /// which blocks. `hasher` is shared with the other stores.
    ///
    /// # Errors
    /// The address cannot be used, or this program was built without that kind of database.
    pub fn new(
        address: &Address,
        password: Option<&str>,
        creation: Creation,
        hasher: Arc<Hasher>,
    ) -> Result<Self, StoreError> {
        let shown = address.to_string();
        match address {
            #[cfg(feature = "sqlite")]
            Address::Sqlite(path) => {
                let _ = password;
                let is_made = creation == Creation::Wanted;
                let place = Place::File { path: Arc::new(path.clone()), is_made };
                let store = Arc::new(Store::new(place, shown));
                Ok(Self { store, hasher, ports: Vec::new(), is_overheard: false })
            }
            #[cfg(feature = "postgres")]
            Address::Postgres(server) => {
                // Who may make a database on a server is not decided here.
                let _ = creation;
                let server = crate::postgres::Server::new(server, password)?;
                let (ports, is_overheard) = (server.ports(), server.is_overheard());
                let store = Arc::new(Store::new(Place::Server(Box::new(server)), shown));
                Ok(Self { store, hasher, ports, is_overheard })
            }
            #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
            _ => Err(crate::bounds::missing(&shown)),
        }
    }

    /// Whether it answers; makes its tables, or brings them up to date.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn look(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    /// Which of these may not log in any more: gone or disabled. Call it about once a second, for
    /// accounts that have sessions. Also finds out whether a database that was gone is back.
    ///
    /// # Errors
    /// The database does not answer; [`SqlUsers::take_news`] tells of it once.
    pub async fn ended(&self, names: &[String]) -> Result<BTreeSet<String>, StoreError> {
        if names.is_empty() && self.store.pool.is_lost() {
            self.store.ping().await?;
        }
        self.store.ended(names).await
    }

    /// What happened to the database since this was last asked.
    pub fn take_news(&self) -> Vec<News> {
        self.store.pool.take_news()
    }

    /// Closes the connections that are not in use; others are made when they are needed.
    pub fn close_idle(&self) {
        self.store.pool.close_idle();
    }

    /// The most connections that have been in use at once. For tests and metrics.
    pub fn connections_most(&self) -> usize {
        self.store.pool.busy_most()
    }

    /// The ports that are connected to; none for a file or a socket of Unix.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Whether the password hashes cross a network in the clear.
    pub fn is_overheard(&self) -> bool {
        self.is_overheard
    }

    /// The account with this name, if there is one and it can be used.
    async fn valid(&self, name: &str) -> Result<Option<UserRecord>, Denied> {
        match self.store.look_up(name).await.map_err(denied)? {
            LookedUp::Valid(record) => Ok(record.map(|record| *record)),
            LookedUp::Invalid(fault) => Err(refused(&fault)),
        }
    }

    /// Stores a hash of today's strength, if the machine is idle. A failure is no reason to refuse
    /// a login: the next one tries again, and the pool tells of a database that is gone.
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
        let found = self.store.look_up(attempt.user).await;
        if let Err(error) = &found
            && error.kind != StoreErrorKind::Unusable
        {
            return Err(denied(error.clone()));
        }
        let opens = match &found {
            Ok(LookedUp::Valid(Some(record))) => {
                record.is_open() && record.admits(attempt, Timestamp::now()).is_ok()
            }
            _ => false,
        };
        let stored = match &found {
            Ok(LookedUp::Valid(record)) => {
                record.as_ref().and_then(|record| record.password.as_ref())
            }
            Ok(LookedUp::Invalid(fault)) => fault.password.as_ref(),
            Err(_) => None,
        };
        // Before any answer: a name that does not exist must cost what a wrong password costs.
        let verified = if opens {
            Verified::Right
        } else {
            self.hasher.verify(stored.map(StoredHash::as_str), attempt.secret).await?
        };
        let checked = match found.map_err(denied)? {
            LookedUp::Valid(record) => record.ok_or(Denied::UnknownUser)?,
            LookedUp::Invalid(_) if matches!(verified, Verified::Wrong) => {
                return Err(Denied::WrongPassword);
            }
            LookedUp::Invalid(fault) => return Err(refused(&fault)),
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
        // Waiting for a turn may have taken seconds. An account that was disabled meanwhile has had
        // no session that could have been ended, so it must be stopped here.
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

/// Why an account that is invalid cannot log in: the fault of its row, not of the store.
fn refused(fault: &Fault) -> Denied {
    Denied::Refused(format!("the account is invalid: {fault}"))
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

    /// Homes in a database are whole paths.
    fn folder(&self) -> &Path {
        Path::new("")
    }

    async fn groups(&self) -> Result<Vec<UserRecord>, AdminError> {
        Ok(self.store.groups().await?.file.groups().to_vec())
    }

    async fn page(&self, after: Option<&str>) -> Result<Vec<UserRecord>, AdminError> {
        let (mut reading, mut last) = self.store.page(after).await?;
        // A page on which nothing is valid is not the last.
        while reading.file.own_records().is_empty()
            && let Some(name) = last
        {
            (reading, last) = self.store.page(Some(&name)).await?;
        }
        Ok(reading.file.own_records().to_vec())
    }

    async fn faults(&self) -> Result<Vec<Fault>, AdminError> {
        let is_group = |fault: &Fault| matches!(fault.holder, Holder::Group(_));
        let mut faults = self.store.groups().await?.faults;
        let mut after = None;
        loop {
            let (reading, last) = self.store.page(after.as_deref()).await?;
            faults.extend(reading.faults.into_iter().filter(|fault| !is_group(fault)));
            if last.is_none() {
                break;
            }
            after = last;
        }
        faults.extend(self.store.nameless().await?);
        // SQLite sorts bytes behind every text, so each page may have found the same ones.
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

    async fn change(&self, changes: &[Change]) -> Result<(), AdminError> {
        self.store.change(changes).await
    }
}
