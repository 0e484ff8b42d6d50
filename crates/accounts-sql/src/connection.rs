//! One connection to a database, and what travels over it: the same for both kinds.

use tokio::time::Instant;
use tracing::{debug, trace};
use wharf_users::admin::StoreError;

use crate::postgres;
use crate::sqlite;
use crate::value::{SqlRow, SqlValue};

/// What differs between the databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite, a file.
    Sqlite,
    /// PostgreSQL, a server.
    Postgres,
}

/// One connection. A statement that was dropped halfway leaves it unusable: it is then closed.
pub(crate) enum DbConnection {
    /// To a file.
    Sqlite(sqlite::SqliteConnection),
    /// To a server.
    Postgres(Box<postgres::PgConnection>),
}

impl DbConnection {
    /// The database behind the connection.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Runs one statement and returns its rows. Parameters are `?1`, `?2` and so on, and are
    /// never put into the text.
    ///
    /// Dropping it halfway leaves the connection unusable.
    ///
    /// # Errors
    /// The database rejects, is gone, or takes longer than `STATEMENT_TIME_MAX`.
    pub(crate) async fn run(
        &mut self,
        sql: &str,
        values: &[SqlValue],
    ) -> Result<Vec<SqlRow>, StoreError> {
        let began = Instant::now();
        let done = match self {
            Self::Sqlite(connection) => connection.run(sql, values).await,
            Self::Postgres(connection) => connection.run(sql, values).await,
        };
        // Without the values, which may be hashes of passwords.
        let duration_us = || u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        match &done {
            Ok(rows) => {
                let rows = rows.len();
                trace!(statement = sql, rows, duration_us = duration_us(), "statement executed");
            }
            Err(error) => {
                debug!(statement = sql, %error, duration_us = duration_us(), "statement failed");
            }
        }
        done
    }

    /// Starts a read transaction; everything up to [`DbConnection::commit`] sees one snapshot.
    pub(crate) async fn begin_reading(&mut self) -> Result<(), StoreError> {
        let sql = match self.dialect() {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.run(sql, &[]).await.map(drop)
    }

    /// Starts a write transaction; other writers wait until [`DbConnection::commit`].
    pub(crate) async fn begin_changing(&mut self) -> Result<(), StoreError> {
        match self.dialect() {
            Dialect::Sqlite => self.run("BEGIN IMMEDIATE", &[]).await.map(drop),
            Dialect::Postgres => {
                self.run("BEGIN", &[]).await?;
                let lock = "SELECT pg_advisory_xact_lock(?1)";
                self.run(lock, &[SqlValue::from(CHANGE_LOCK)]).await.map(drop)
            }
        }
    }

    /// Commits the transaction.
    pub(crate) async fn commit(&mut self) -> Result<(), StoreError> {
        self.run("COMMIT", &[]).await.map(drop)
    }
}

/// The key of wharf's advisory lock in PostgreSQL: "wharf" in ASCII.
const CHANGE_LOCK: i64 = 0x77_68_61_72_66;
