//! Replaces PostgreSQL in a program that is built without it.

#![expect(clippy::unused_async, reason = "as with the driver")]

use wharf_users::admin::StoreError;

use crate::address::Postgres;
use crate::bounds::missing;
use crate::value::{SqlRow, SqlValue};

pub(crate) const IS_BUILT: bool = false;

pub(crate) enum PgServer {}

pub(crate) struct PgConnection;

impl PgServer {
    pub(crate) fn new(address: &Postgres, _password: Option<&str>) -> Result<Self, StoreError> {
        Err(missing(address.url()))
    }

    pub(crate) fn is_unencrypted(&self) -> bool {
        match *self {}
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        match *self {}
    }

    pub(crate) async fn connect(&self) -> Result<PgConnection, StoreError> {
        Err(missing(""))
    }
}

impl PgConnection {
    pub(crate) async fn run(&mut self, _: &str, _: &[SqlValue]) -> Result<Vec<SqlRow>, StoreError> {
        Err(missing(""))
    }
}
