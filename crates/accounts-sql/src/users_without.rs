//! What stands in the place of databases in a program that was built with none.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use wharf_core::account::Account;
use wharf_core::async_trait;
use wharf_core::users::{Attempt, Denied, Users};
use wharf_users::admin::{AdminError, Change, StoreError, UserAdmin};
use wharf_users::file::UserRecord;
use wharf_users::hasher::Hasher;

use crate::address::Address;
use crate::bounds::{Creation, News, missing};

/// The accounts of a database. There is none.
#[derive(Clone)]
pub enum SqlUsers {}

impl SqlUsers {
    /// Fails in any case.
    ///
    /// # Errors
    /// This program was built without databases.
    pub fn new(
        address: &Address,
        _password: Option<&str>,
        _creation: Creation,
        _hasher: Arc<Hasher>,
    ) -> Result<Self, StoreError> {
        Err(missing(&address.to_string()))
    }

    /// Whether it answers.
    #[expect(clippy::unused_async, reason = "as where there are databases")]
    pub async fn look(&self) -> Result<(), StoreError> {
        match *self {}
    }

    /// Which of these may not log in any more.
    #[expect(clippy::unused_async, reason = "as where there are databases")]
    pub async fn ended(&self, _names: &[String]) -> Result<BTreeSet<String>, StoreError> {
        match *self {}
    }

    /// What happened to the database since this was last asked.
    pub fn take_news(&self) -> Vec<News> {
        match *self {}
    }

    /// Closes the connections that are not in use.
    pub fn close_idle(&self) {
        match *self {}
    }

    /// The most connections that have been in use at once.
    pub fn connections_most(&self) -> usize {
        match *self {}
    }

    /// The ports that are connected to.
    pub fn ports(&self) -> &[u16] {
        match *self {}
    }

    /// Whether the password hashes cross a network in the clear.
    pub fn is_overheard(&self) -> bool {
        match *self {}
    }
}

#[async_trait]
impl Users for SqlUsers {
    async fn login(&self, _attempt: &Attempt<'_>) -> Result<Account, Denied> {
        match *self {}
    }
}

#[async_trait]
impl UserAdmin for SqlUsers {
    fn place(&self) -> String {
        match *self {}
    }

    fn folder(&self) -> &Path {
        match *self {}
    }

    async fn page(&self, _after: Option<&str>) -> Result<Vec<UserRecord>, AdminError> {
        match *self {}
    }

    async fn find(&self, _name: &str) -> Result<Option<UserRecord>, AdminError> {
        match *self {}
    }

    async fn change(&self, _changes: &[Change]) -> Result<(), AdminError> {
        match *self {}
    }
}
