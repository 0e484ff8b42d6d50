//! One connection to a database, and what travels over it: the same for both kinds.

use crate::postgres;
use crate::sqlite;
use crate::value::{SqlRow, SqlValue};
use wharf_users::admin::StoreError;

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
        match self {
            Self::Sqlite(connection) => connection.run(sql, values).await,
            Self::Postgres(connection) => connection.run(sql, values).await,
        }
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
