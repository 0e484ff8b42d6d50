//! A connection to a PostgreSQL server.
//!
//! The driver future of the client library is polled together with each statement, not in a
//! separate task: dropping a statement cancels it completely, and nothing runs between statements.

mod tls;

use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Config, Error, NoTls};
use wharf_core::io_error_text::plain_text;
use wharf_users::admin::{StoreError, StoreErrorKind};

use self::tls::PgTls;
use crate::address::Postgres;
use crate::value::{ROWS_MAX, STATEMENT_TIME_MAX, SqlRow, SqlValue, TOO_MANY};

/// How long it may take to reach the server and log in.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Session settings, so that an abandoned statement ends on the server, too.
const SETTINGS: [&str; 5] = [
    "SET statement_timeout = '5s'",
    "SET lock_timeout = '4s'",
    "SET idle_in_transaction_session_timeout = '10s'",
    "SET client_min_messages = error",
    // A database with the encoding `SQL_ASCII` stores any bytes. Asked for UTF-8, the server would
    // reject each query that finds a row with others.
    "SELECT set_config('client_encoding', 'SQL_ASCII', false) \
     WHERE current_setting('server_encoding') = 'SQL_ASCII'",
];
/// The application name in `pg_stat_activity`.
const APPLICATION: &str = "wharf";

/// Whether this program contains the driver.
pub(crate) const IS_BUILT: bool = true;

/// A server to connect to.
pub(crate) struct PgServer {
    config: Config,
    tls: Option<PgTls>,
    shown: String,
}

/// One connection.
pub(crate) struct PgConnection {
    client: Client,
    driver: Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>,
    shown: String,
}

impl PgServer {
    /// From an address; reads the certificate of the authority, if it is set.
    ///
    /// # Errors
    /// `Unusable`: the address is invalid.
    pub(crate) fn new(address: &Postgres, password: Option<&str>) -> Result<Self, StoreError> {
        let shown = address.to_string();
        let unusable = |reason: &str| {
            StoreError::new(
                StoreErrorKind::Unusable,
                format!("invalid database URL {shown}: {reason}"),
            )
        };
        let mut config: Config = address.url().parse().map_err(|error: Error| {
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            let reason = reason.unwrap_or_else(|| error.to_string());
            unusable(&match reason.as_str() {
                "invalid value for option `port`" => {
                    "the port is not a number from 1 to 65535".to_owned()
                }
                _ => reason,
            })
            .hint("write it as postgres://user@host:5432/database")
        })?;
        let is_empty = config.get_hosts().is_empty() && config.get_hostaddrs().is_empty();
        if is_empty || config.get_user().is_none() {
            let hint = "write it as postgres://user@host:5432/database";
            return Err(unusable("the user or the host is missing").hint(hint));
        }
        match password {
            Some(password) => config.password(password),
            // A server that requires a password then returns its own error, which has a hint.
            None if config.get_password().is_none() => config.password(""),
            None => &mut config,
        };
        config.application_name(APPLICATION).connect_timeout(CONNECT_TIME_MAX);
        let tls = match address.root() {
            Some(root) => Some(PgTls::new(root).map_err(|reason| {
                unusable(&reason)
                    .hint("set sslrootcert to a PEM file with the authority of the server")
            })?),
            None => None,
        };
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        Ok(Self { config, tls, shown })
    }

    /// Whether the connection is unencrypted across a network: a remote host without TLS.
    pub(crate) fn is_unencrypted(&self) -> bool {
        let is_here = |name: &str| {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        };
        let is_far = |host: &Host| matches!(host, Host::Tcp(name) if !is_here(name));
        self.tls.is_none() && self.config.get_hosts().iter().any(is_far)
    }

    /// The ports that are connected to; none for a socket of Unix.
    pub(crate) fn ports(&self) -> Vec<u16> {
        let is_tcp = self.config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
        match self.config.get_ports() {
            _ if !is_tcp && self.config.get_hostaddrs().is_empty() => Vec::new(),
            [] => vec![PORT],
            ports => ports.to_vec(),
        }
    }

    /// Connects and logs in.
    pub(crate) async fn connect(&self) -> Result<PgConnection, StoreError> {
        match timeout(CONNECT_TIME_MAX, self.log_in()).await {
            Ok(connection) => connection,
            Err(_) => Err(slow(&self.shown, CONNECT_TIME_MAX)),
        }
    }

    async fn log_in(&self) -> Result<PgConnection, StoreError> {
        let failed = |error: Error| store_error(&self.shown, &error);
        let shown = self.shown.clone();
        let mut connection = if let Some(tls) = &self.tls {
            let (client, driver) = self.config.connect(tls.clone()).await.map_err(failed)?;
            PgConnection { client, driver: Box::pin(driver), shown }
        } else {
            let (client, driver) = self.config.connect(NoTls).await.map_err(failed)?;
            PgConnection { client, driver: Box::pin(driver), shown }
        };
        for setting in SETTINGS {
            connection.run(setting, &[]).await?;
        }
        Ok(connection)
    }
}

/// The default port of PostgreSQL.
const PORT: u16 = 5432;

impl PgConnection {
    /// See `DbConnection::run`.
    pub(crate) async fn run(
        &mut self,
        sql: &str,
        values: &[SqlValue],
    ) -> Result<Vec<SqlRow>, StoreError> {
        let sql = sql.replace('?', "$");
        let values: Vec<(&(dyn ToSql + Sync), Type)> = values.iter().map(parameter).collect();
        let query = async {
            tokio::select! {
                // The result first: the driver may end as soon as it has delivered it.
                biased;
                found = self.client.query_typed(&sql, &values) => found,
                ended = &mut self.driver => match ended {
                    Err(error) => Err(error),
                    Ok(()) => self.client.query_typed("", &[]).await,
                },
            }
        };
        let found = match timeout(STATEMENT_TIME_MAX, query).await {
            Ok(found) => found.map_err(|error| store_error(&self.shown, &error))?,
            Err(_) => return Err(slow(&self.shown, STATEMENT_TIME_MAX)),
        };
        if found.len() > ROWS_MAX {
            let what = format!("PostgreSQL at {}: {TOO_MANY}", self.shown);
            return Err(StoreError::new(StoreErrorKind::Unusable, what));
        }
        found.iter().map(|row| self.row(row)).collect()
    }

    fn row(&self, row: &tokio_postgres::Row) -> Result<SqlRow, StoreError> {
        let value = |(at, column): (usize, &tokio_postgres::Column)| match *column.type_() {
            Type::BOOL => row.try_get(at).map(SqlValue::Bool),
            Type::INT2 => {
                row.try_get::<_, Option<i16>>(at).map(|n| SqlValue::Number(n.map(i64::from)))
            }
            Type::INT4 => {
                row.try_get::<_, Option<i32>>(at).map(|n| SqlValue::Number(n.map(i64::from)))
            }
            Type::INT8 => row.try_get(at).map(SqlValue::Number),
            Type::VOID => Ok(SqlValue::Text(None)),
            _ => row.try_get::<_, Option<RawText<'_>>>(at).map(|raw| match raw {
                None => SqlValue::Text(None),
                Some(RawText(bytes)) => match std::str::from_utf8(bytes) {
                    Ok(text) => SqlValue::Text(Some(text.to_owned())),
                    Err(_) => SqlValue::Bytes(bytes.to_vec()),
                },
            }),
        };
        let values: Result<SqlRow, Error> = row.columns().iter().enumerate().map(value).collect();
        values.map_err(|error| store_error(&self.shown, &error))
    }
}

/// Unvalidated text: a database with the encoding `SQL_ASCII` stores any bytes, and one such row
/// must not make the others unreadable.
struct RawText<'a>(&'a [u8]);

impl<'a> FromSql<'a> for RawText<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(kind: &Type) -> bool {
        <&str as FromSql>::accepts(kind) || *kind == Type::BYTEA
    }
}

fn parameter(value: &SqlValue) -> (&(dyn ToSql + Sync), Type) {
    match value {
        SqlValue::Text(text) => (text, Type::TEXT),
        SqlValue::Number(number) => (number, Type::INT8),
        SqlValue::Bool(boolean) => (boolean, Type::BOOL),
        SqlValue::Bytes(bytes) => (bytes, Type::BYTEA),
    }
}

/// Converts an error of PostgreSQL, with a hint.
fn store_error(shown: &str, error: &Error) -> StoreError {
    let Some(rejected) = error.as_db_error() else {
        let reason = innermost(error);
        let what = format!("cannot connect to PostgreSQL at {shown}: {reason}");
        let hint = "check that it runs, and its address in accounts.store";
        return StoreError::new(StoreErrorKind::Unreachable, what).hint(hint);
    };
    let reason = rejected.message();
    let (kind, hint) = match rejected.code() {
        &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => (
            StoreErrorKind::Forbidden,
            "accounts.password_file names a file with the password; pg_hba.conf of the server \
             lists the permitted clients",
        ),
        &SqlState::INVALID_CATALOG_NAME => {
            (StoreErrorKind::Unusable, "create it:  createdb --owner USER DATABASE")
        }
        &SqlState::INSUFFICIENT_PRIVILEGE => (
            StoreErrorKind::Forbidden,
            "the user in accounts.store must own the database, or be allowed to create and \
             alter tables",
        ),
        &SqlState::UNIQUE_VIOLATION
        | &SqlState::FOREIGN_KEY_VIOLATION
        | &SqlState::CHECK_VIOLATION
        | &SqlState::NOT_NULL_VIOLATION => {
            (StoreErrorKind::Conflict, "another client changed it at the same time; try again")
        }
        &SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN | &SqlState::DUPLICATE_TABLE => (
            StoreErrorKind::Unusable,
            "its tables are not those of wharf; use a separate database for wharf",
        ),
        _ => (StoreErrorKind::Unreachable, "see the log of PostgreSQL"),
    };
    StoreError::new(kind, format!("PostgreSQL at {shown}: {reason}")).hint(hint)
}

/// The innermost error, without the texts of the libraries around it.
fn innermost(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    plain_text(&cause.to_string())
}

fn slow(shown: &str, waited: Duration) -> StoreError {
    let what = format!("no response from PostgreSQL at {shown} within {} s", waited.as_secs());
    StoreError::new(StoreErrorKind::Unreachable, what)
        .hint("check that it runs, and its address in accounts.store")
}
