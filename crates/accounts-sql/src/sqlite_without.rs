//! Replaces SQLite in a program that is built without it.

#![expect(clippy::unused_async, reason = "as with the driver")]

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use wharf_users::admin::StoreError;

use crate::bounds::missing;
use crate::value::{SqlRow, SqlValue};

pub(crate) const IS_BUILT: bool = false;

pub(crate) struct SqliteConnection;

impl SqliteConnection {
    pub(crate) async fn open(
        path: Arc<PathBuf>,
        _create: bool,
        _permit: OwnedSemaphorePermit,
    ) -> Result<Self, StoreError> {
        Err(missing(&path.to_string_lossy()))
    }

    pub(crate) fn with_permit(self, _permit: OwnedSemaphorePermit) -> Self {
        self
    }

    pub(crate) fn without_permit(self) -> (Self, Option<Arc<OwnedSemaphorePermit>>) {
        (self, None)
    }

    pub(crate) async fn run(&mut self, _: &str, _: &[SqlValue]) -> Result<Vec<SqlRow>, StoreError> {
        Err(missing(""))
    }
}
