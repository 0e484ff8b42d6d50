//! Replaces the stores in a program without database support.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use wharf_core::account::Account;
use wharf_core::async_trait;
use wharf_core::users::{Attempt, Denied, Users};
use wharf_users::admin::{AdminError, StoreError, UserAdmin};
use wharf_users::file::{Fault, StoreChange, UserRecord};
use wharf_users::hasher::Hasher;

use crate::address::DatabaseAddress;
use crate::bounds::{Creation, StoreEvent, missing};

/// The accounts of a database. There is none.
#[derive(Clone)]
pub struct SqlUsers {
    never: NoDriver,
}

#[derive(Clone, Copy)]
enum NoDriver {}

impl SqlUsers {
    /// Fails in any case.
    ///
    /// # Errors
    /// This program was built without databases.
    pub fn new(
        address: &DatabaseAddress,
        _password: Option<&str>,
        _creation: Creation,
        _hasher: Arc<Hasher>,
    ) -> Result<Self, StoreError> {
        Err(missing(&address.to_string()))
    }

    /// Checks the connection.
    #[expect(clippy::unused_async, reason = "as where there are databases")]
    pub async fn check_connection(&self) -> Result<(), StoreError> {
        match self.never {}
    }

    /// Which of these may not log in any more.
    #[expect(clippy::unused_async, reason = "as where there are databases")]
    pub async fn ended(&self, _names: &[String]) -> Result<BTreeSet<String>, StoreError> {
        match self.never {}
    }

    /// The events since the last call.
    pub fn take_events(&self) -> Vec<StoreEvent> {
        match self.never {}
    }

    /// Closes the connections that are not in use.
    pub fn close_idle(&self) {
        match self.never {}
    }

    /// The most connections that have been in use at the same time.
    pub fn connections_most(&self) -> usize {
        match self.never {}
    }

    /// The ports that are connected to.
    pub fn ports(&self) -> &[u16] {
        match self.never {}
    }

    /// Whether the password hashes cross a network in the clear.
    pub fn is_unencrypted(&self) -> bool {
        match self.never {}
    }
}

#[async_trait]
impl Users for SqlUsers {
    async fn login(&self, _attempt: &Attempt<'_>) -> Result<Account, Denied> {
        match self.never {}
    }
}

#[async_trait]
impl UserAdmin for SqlUsers {
    fn place(&self) -> String {
        match self.never {}
    }

    fn folder(&self) -> &Path {
        match self.never {}
    }

    async fn groups(&self) -> Result<Vec<UserRecord>, AdminError> {
        match self.never {}
    }

    async fn page(&self, _after: Option<&str>) -> Result<Vec<UserRecord>, AdminError> {
        match self.never {}
    }

    async fn find(&self, _name: &str) -> Result<Option<UserRecord>, AdminError> {
        match self.never {}
    }

    async fn own(&self, _name: &str) -> Result<Option<UserRecord>, AdminError> {
        match self.never {}
    }

    async fn faults(&self) -> Result<Vec<Fault>, AdminError> {
        match self.never {}
    }

    async fn change(&self, _changes: &[StoreChange]) -> Result<(), AdminError> {
        match self.never {}
    }
}
