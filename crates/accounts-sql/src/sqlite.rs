//! A connection to an SQLite file. Its calls block, so each runs on a blocking thread.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, params_from_iter};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use wharf_core::io_error_text::plain;
use wharf_core::trusted_file;
use wharf_users::admin::{StoreError, StoreErrorKind};
use wharf_users::file::{create_private, open_to_others};

use crate::value::{ROWS_MAX, STATEMENT_TIME_MAX, SqlRow, SqlValue, TOO_MANY};

/// Whether this program contains the driver.
pub(crate) const IS_BUILT: bool = true;

/// One connection.
pub(crate) struct SqliteConnection {
    path: Arc<PathBuf>,
    /// `None` while a statement runs, and for ever after one that timed out.
    connection: Option<Connection>,
    /// Held by the blocking thread until its statement ends; `None` while idle.
    permit: Option<Arc<OwnedSemaphorePermit>>,
}

/// How long to wait for the lock of another process; less than the time of a statement.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(4);

impl SqliteConnection {
    /// Opens the file; creates it if `create` is set.
    pub(crate) async fn open(
        path: Arc<PathBuf>,
        create: bool,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, StoreError> {
        let opened = Arc::clone(&path);
        let permit = Some(Arc::new(permit));
        let held = permit.clone();
        let work = spawn_blocking(move || {
            let _permit = held;
            open(&opened, create)
        });
        let connection = match timeout(STATEMENT_TIME_MAX, work).await {
            Ok(Ok(opened)) => Some(opened?),
            Ok(Err(_)) => None,
            Err(_) => return Err(slow(&path)),
        };
        Ok(Self { path, connection, permit })
    }

    /// Attaches a new permit.
    pub(crate) fn with_permit(self, permit: OwnedSemaphorePermit) -> Self {
        Self { permit: Some(Arc::new(permit)), ..self }
    }

    /// Detaches the permit, for an idle connection.
    pub(crate) fn without_permit(mut self) -> (Self, Option<Arc<OwnedSemaphorePermit>>) {
        let permit = self.permit.take();
        (self, permit)
    }

    /// See `DbConnection::run`.
    pub(crate) async fn run(
        &mut self,
        sql: &str,
        values: &[SqlValue],
    ) -> Result<Vec<SqlRow>, StoreError> {
        let closed = || failed(&self.path, "the connection was closed after a timeout");
        let connection = self.connection.take().ok_or_else(closed)?;
        let interrupt = connection.get_interrupt_handle();
        let (sql, values, permit) = (sql.to_owned(), values.to_vec(), self.permit.clone());
        let work = spawn_blocking(move || {
            let _permit = permit;
            let rows = query(&connection, &sql, &values);
            (connection, rows)
        });
        match timeout(STATEMENT_TIME_MAX, work).await {
            Ok(Ok((connection, rows))) => {
                self.connection = Some(connection);
                rows.map_err(|error| store_error(&self.path, &error))
            }
            Ok(Err(_)) => Err(failed(&self.path, "the server is shutting down")),
            Err(_) => {
                interrupt.interrupt();
                Err(slow(&self.path))
            }
        }
    }
}

/// Opens the file and configures the connection. Blocks.
fn open(path: &Path, create: bool) -> Result<Connection, StoreError> {
    if create {
        create_private(path).map_err(|error| unreadable(path, "create", &error))?;
    }
    match open_to_others(path) {
        Ok(None) => {}
        Ok(Some(mode)) => {
            let shown = path.display();
            let what = format!(
                "{shown} is accessible to other users (mode {mode:04o}), and contains \
                 password hashes"
            );
            let error = StoreError::new(StoreErrorKind::Unusable, what);
            return Err(error.hint(format!("chmod 600 '{shown}'")));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = format!("account database not found: {}", path.display());
            let hint =
                "check the path; the first account creates it:  wharf user add NAME --home DIR";
            return Err(StoreError::new(StoreErrorKind::Missing, what).hint(hint));
        }
        Err(error) => return Err(unreadable(path, "open", &error)),
    }
    reject_text(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(LOCK_WAIT_MAX)?;
        // A committed change survives a power failure. Readers and the writer do not block each
        // other.
        connection.execute_batch(
            "PRAGMA trusted_schema = OFF; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA foreign_keys = ON;",
        )?;
        Ok(connection)
    });
    opened.map_err(|error| store_error(path, &error))
}

/// SQLite overwrites a file that is shorter than its first block, whatever its content.
fn reject_text(path: &Path) -> Result<(), StoreError> {
    let mut begin = Vec::new();
    // SQLite opens it by path, so links that must not be followed are rejected before.
    let read = trusted_file::open(path)
        .and_then(|file| file.take(HEADER.len().try_into().unwrap_or(0)).read_to_end(&mut begin));
    read.map_err(|error| unreadable(path, "open", &error))?;
    if begin.is_empty() || begin == HEADER { Ok(()) } else { Err(not_a_database(path)) }
}

/// The header of every SQLite database.
const HEADER: &[u8] = b"SQLite format 3\0";

fn not_a_database(path: &Path) -> StoreError {
    let what = format!("{} is not an SQLite database", path.display());
    StoreError::new(StoreErrorKind::Unusable, what)
        .hint("set accounts.store to the accounts database, or to a new file, which is created")
}

fn query(connection: &Connection, sql: &str, values: &[SqlValue]) -> rusqlite::Result<Vec<SqlRow>> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut found = statement.query(params_from_iter(values))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        if rows.len() == ROWS_MAX {
            let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_TOOBIG);
            return Err(rusqlite::Error::SqliteFailure(error, Some(TOO_MANY.to_owned())));
        }
        let values = (0..columns).map(|column| row.get_ref(column).map(value));
        rows.push(values.collect::<rusqlite::Result<SqlRow>>()?);
    }
    Ok(rows)
}

fn value(found: ValueRef<'_>) -> SqlValue {
    match found {
        ValueRef::Integer(number) => SqlValue::Number(Some(number)),
        ValueRef::Real(number) => SqlValue::Text(Some(number.to_string())),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => SqlValue::Text(Some(text.to_owned())),
            Err(_) => SqlValue::Bytes(text.to_vec()),
        },
        ValueRef::Null => SqlValue::Text(None),
        ValueRef::Blob(bytes) => SqlValue::Bytes(bytes.to_vec()),
    }
}

impl ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Text(Some(text)) => ToSqlOutput::from(text.as_str()),
            Self::Number(Some(number)) => ToSqlOutput::from(*number),
            Self::Bool(Some(boolean)) => ToSqlOutput::from(*boolean),
            Self::Bytes(bytes) => ToSqlOutput::from(bytes.as_slice()),
            Self::Text(None) | Self::Number(None) | Self::Bool(None) => {
                ToSqlOutput::Borrowed(ValueRef::Null)
            }
        })
    }
}

/// Converts an error of SQLite, with a hint.
fn store_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    let shown = path.display();
    let reason = match error {
        rusqlite::Error::SqliteFailure(_, Some(reason)) => reason.clone(),
        other => other.to_string(),
    };
    let (kind, what, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => return not_a_database(path),
        Some(ErrorCode::ConstraintViolation) => (
            StoreErrorKind::Conflict,
            format!("the database {shown} rejected the change: {reason}"),
            "another client changed it at the same time; try again",
        ),
        Some(ErrorCode::DatabaseCorrupt) => (
            StoreErrorKind::Unusable,
            format!("the database {shown} is damaged: {reason}"),
            "restore a backup, or recover what is readable:  sqlite3 FILE .recover",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => (
            StoreErrorKind::Forbidden,
            format!("cannot open the database {shown} for writing: {reason}"),
            "the user that runs wharf needs write access to the file and its folder",
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            StoreErrorKind::Unreachable,
            format!("the database {shown} is locked by another program"),
            "end its transaction, such as one in sqlite3",
        ),
        Some(ErrorCode::DiskFull) => (
            StoreErrorKind::Unreachable,
            format!("cannot write to the database {shown}: the disk is full"),
            "free space on its disk",
        ),
        _ => (
            StoreErrorKind::Unreachable,
            format!("error of the database {shown}: {reason}"),
            "check the file and its disk",
        ),
    };
    StoreError::new(kind, what).hint(hint)
}

fn unreadable(path: &Path, act: &str, error: &io::Error) -> StoreError {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreErrorKind::Forbidden
        }
        _ => StoreErrorKind::Unusable,
    };
    let reason = plain(error);
    let what = format!("cannot {act} the database {}: {reason}", path.display());
    StoreError::new(kind, what).hint("check the path in accounts.store, and its folder")
}

fn slow(path: &Path) -> StoreError {
    failed(path, &format!("no response within {} s", STATEMENT_TIME_MAX.as_secs()))
}

fn failed(path: &Path, reason: &str) -> StoreError {
    let what = format!("error of the database {}: {reason}", path.display());
    StoreError::new(StoreErrorKind::Unreachable, what)
}
