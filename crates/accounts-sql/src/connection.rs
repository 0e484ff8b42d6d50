//! One connection to a database, and what travels over it: the same for both kinds.

use wharf_users::admin::StoreError;

#[cfg(feature = "postgres")]
use crate::postgres;
#[cfg(feature = "sqlite")]
use crate::sqlite;

/// A column value or a parameter. An absent value still has a type, which PostgreSQL requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SqlValue {
    /// Text.
    Text(Option<String>),
    /// An integer.
    Number(Option<i64>),
    /// A boolean. SQLite stores it as 1 or 0.
    Bool(Option<bool>),
    /// Bytes in place of text, as another program may have written them.
    Bytes(Vec<u8>),
}

/// The values of one row, in the order of the columns.
pub(crate) type SqlRow = Vec<SqlValue>;

/// What differs between the databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite, a file.
    #[cfg(feature = "sqlite")]
    Sqlite,
    /// PostgreSQL, a server.
    #[cfg(feature = "postgres")]
    Postgres,
}

/// One connection. A statement that was dropped halfway leaves it unusable: it is then closed.
pub(crate) enum DbConnection {
    /// To a file.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlite::SqliteConnection),
    /// To a server.
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::PgConnection>),
}

impl DbConnection {
    /// The database behind the connection.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Runs one statement and returns its rows. Parameters are `?1`, `?2` and so on, and are
    /// never put into the text.
    ///
    /// Dropping it halfway leaves the connection unusable.
    ///
    /// # Errors
    /// The database refuses, is gone, or takes longer than [`STATEMENT_TIME_MAX`].
    pub(crate) async fn run(
        &mut self,
        sql: &str,
        values: &[SqlValue],
    ) -> Result<Vec<SqlRow>, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => connection.run(sql, values).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => connection.run(sql, values).await,
        }
    }

    /// Starts a read transaction; everything up to [`DbConnection::commit`] sees one snapshot.
    pub(crate) async fn begin_reading(&mut self) -> Result<(), StoreError> {
        let sql = match self.dialect() {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => "BEGIN",
            #[cfg(feature = "postgres")]
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.run(sql, &[]).await.map(drop)
    }

    /// Starts a write transaction; other writers wait until [`DbConnection::commit`].
    pub(crate) async fn begin_changing(&mut self) -> Result<(), StoreError> {
        match self.dialect() {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => self.run("BEGIN IMMEDIATE", &[]).await.map(drop),
            #[cfg(feature = "postgres")]
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

/// How long one statement may take.
pub(crate) const STATEMENT_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(5);
/// The most rows of one statement; larger results are read page by page.
pub(crate) const ROWS_MAX: usize = 50_000;
/// The error for more rows.
pub(crate) const TOO_MANY: &str = "too many rows";
/// The key of wharf's advisory lock in PostgreSQL: "wharf" in ASCII.
#[cfg(feature = "postgres")]
const CHANGE_LOCK: i64 = 0x77_68_61_72_66;

impl SqlValue {
    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => text.as_deref(),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Number(_) | Self::Bool(_) => None,
        }
    }

    /// The number, if it is one.
    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => *number,
            Self::Text(_) | Self::Bool(_) | Self::Bytes(_) => None,
        }
    }

    /// Yes or no, if it is one of both.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self {
            Self::Bool(boolean) => *boolean,
            Self::Number(Some(0)) => Some(false),
            Self::Number(Some(1)) => Some(true),
            Self::Number(_) | Self::Text(_) | Self::Bytes(_) => None,
        }
    }
}

impl From<&str> for SqlValue {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<i64> for SqlValue {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<bool> for SqlValue {
    fn from(boolean: bool) -> Self {
        Self::Bool(Some(boolean))
    }
}
