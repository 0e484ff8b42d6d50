//! A connection to a server of PostgreSQL.
//!
//! The half of the library that moves the bytes is polled beside each statement, not in a task of
//! its own: dropping a statement drops all of it, and nothing runs between statements.

mod tls;

use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Config, Error, NoTls};
use wharf_users::admin::{StoreError, StoreErrorKind};

use self::tls::Verified;
use crate::address::Postgres;
use crate::link::{ROWS_MAX, Row, STATEMENT_TIME_MAX, TOO_MANY, Value};

/// How long it may take to reach the server and log in.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// What the server is told, so that a statement that nobody waits for any more ends there too.
const SETTINGS: [&str; 4] = [
    "SET statement_timeout = '5s'",
    "SET lock_timeout = '4s'",
    "SET idle_in_transaction_session_timeout = '10s'",
    "SET client_min_messages = error",
];
/// The name under which an administrator finds us in `pg_stat_activity`.
const APPLICATION: &str = "wharf";

/// A server to connect to.
pub(crate) struct Server {
    config: Config,
    tls: Option<Verified>,
    shown: String,
}

/// One connection.
pub(crate) struct Link {
    client: Client,
    moving: Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>,
    shown: String,
}

impl Server {
    /// From its address; reads the certificate of its authority, if it names one.
    ///
    /// # Errors
    /// `Unusable`: what is wrong with the address.
    pub(crate) fn new(address: &Postgres, password: Option<&str>) -> Result<Self, StoreError> {
        let shown = address.to_string();
        let unusable =
            |reason: &str| StoreError::new(StoreErrorKind::Unusable, format!("{shown}: {reason}"));
        let mut config: Config = address.url().parse().map_err(|error: Error| {
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            unusable(&reason.unwrap_or_else(|| error.to_string()))
                .help("write it as postgres://user@host:5432/database")
        })?;
        let is_empty = config.get_hosts().is_empty() && config.get_hostaddrs().is_empty();
        if is_empty || config.get_user().is_none() {
            let help = "write it as postgres://user@host:5432/database";
            return Err(unusable("the address names no user or no host").help(help));
        }
        match password {
            Some(password) => config.password(password),
            // A server that wants one says so itself then, and how it is to be mended is told.
            None if config.get_password().is_none() => config.password(""),
            None => &mut config,
        };
        config.application_name(APPLICATION).connect_timeout(CONNECT_TIME_MAX);
        let tls = match address.root() {
            Some(root) => Some(Verified::new(root).map_err(|reason| {
                unusable(&reason)
                    .help("sslrootcert names a PEM file with the authority of the server")
            })?),
            None => None,
        };
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        Ok(Self { config, tls, shown })
    }

    /// Whether what is said to it can be heard on the way: it is on another computer, without TLS.
    pub(crate) fn is_overheard(&self) -> bool {
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
    pub(crate) async fn connect(&self) -> Result<Link, StoreError> {
        match timeout(CONNECT_TIME_MAX, self.log_in()).await {
            Ok(link) => link,
            Err(_) => Err(slow(&self.shown, CONNECT_TIME_MAX)),
        }
    }

    async fn log_in(&self) -> Result<Link, StoreError> {
        let failed = |error: Error| told(&self.shown, &error);
        let shown = self.shown.clone();
        let mut link = if let Some(tls) = &self.tls {
            let (client, moving) = self.config.connect(tls.clone()).await.map_err(failed)?;
            Link { client, moving: Box::pin(moving), shown }
        } else {
            let (client, moving) = self.config.connect(NoTls).await.map_err(failed)?;
            Link { client, moving: Box::pin(moving), shown }
        };
        for setting in SETTINGS {
            link.run(setting, &[]).await?;
        }
        Ok(link)
    }
}

/// Where PostgreSQL listens by custom.
const PORT: u16 = 5432;

impl Link {
    /// See [`crate::link::Link::run`].
    pub(crate) async fn run(
        &mut self,
        sql: &str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let sql = sql.replace('?', "$");
        let values: Vec<(&(dyn ToSql + Sync), Type)> = values.iter().map(parameter).collect();
        let asked = async {
            tokio::select! {
                // The answer first: the other half may end as soon as it has brought it.
                biased;
                found = self.client.query_typed(&sql, &values) => found,
                ended = &mut self.moving => match ended {
                    Err(error) => Err(error),
                    Ok(()) => self.client.query_typed("", &[]).await,
                },
            }
        };
        let found = match timeout(STATEMENT_TIME_MAX, asked).await {
            Ok(found) => found.map_err(|error| told(&self.shown, &error))?,
            Err(_) => return Err(slow(&self.shown, STATEMENT_TIME_MAX)),
        };
        if found.len() > ROWS_MAX {
            let what = format!("PostgreSQL at {}: {TOO_MANY}", self.shown);
            return Err(StoreError::new(StoreErrorKind::Unusable, what));
        }
        found.iter().map(|row| self.row(row)).collect()
    }

    fn row(&self, row: &tokio_postgres::Row) -> Result<Row, StoreError> {
        let value = |(at, column): (usize, &tokio_postgres::Column)| match *column.type_() {
            Type::BOOL => row.try_get(at).map(Value::Truth),
            Type::INT2 => {
                row.try_get::<_, Option<i16>>(at).map(|n| Value::Number(n.map(i64::from)))
            }
            Type::INT4 => {
                row.try_get::<_, Option<i32>>(at).map(|n| Value::Number(n.map(i64::from)))
            }
            Type::INT8 => row.try_get(at).map(Value::Number),
            Type::VOID => Ok(Value::Text(None)),
            _ => row.try_get::<_, Option<Raw<'_>>>(at).map(|raw| match raw {
                None => Value::Text(None),
                Some(Raw(bytes)) => match std::str::from_utf8(bytes) {
                    Ok(text) => Value::Text(Some(text.to_owned())),
                    Err(_) => Value::Bytes(bytes.to_vec()),
                },
            }),
        };
        let values: Result<Row, Error> = row.columns().iter().enumerate().map(value).collect();
        values.map_err(|error| told(&self.shown, &error))
    }
}

/// Text as it came: a database whose encoding is SQL_ASCII keeps any bytes, and one such row must
/// not make the others unreadable.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(kind: &Type) -> bool {
        <&str as FromSql>::accepts(kind) || *kind == Type::BYTEA
    }
}

fn parameter(value: &Value) -> (&(dyn ToSql + Sync), Type) {
    match value {
        Value::Text(text) => (text, Type::TEXT),
        Value::Number(number) => (number, Type::INT8),
        Value::Truth(truth) => (truth, Type::BOOL),
        Value::Bytes(bytes) => (bytes, Type::BYTEA),
    }
}

/// What a failure of PostgreSQL means, and what would help.
fn told(shown: &str, error: &Error) -> StoreError {
    let Some(refused) = error.as_db_error() else {
        let reason = innermost(error);
        let what = format!("PostgreSQL at {shown} cannot be reached: {reason}");
        let help = "is it running, and is this its address? look at accounts.store";
        return StoreError::new(StoreErrorKind::Unreachable, what).help(help);
    };
    let reason = refused.message();
    let (kind, help) = match refused.code() {
        &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => (
            StoreErrorKind::Forbidden,
            "accounts.password_file names a file with the password; pg_hba.conf of the server \
             says who may come from where",
        ),
        &SqlState::INVALID_CATALOG_NAME => {
            (StoreErrorKind::Unusable, "make it:  createdb --owner USER DATABASE")
        }
        &SqlState::INSUFFICIENT_PRIVILEGE => (
            StoreErrorKind::Forbidden,
            "the user of accounts.store needs to own the database, or to make and change tables",
        ),
        &SqlState::UNIQUE_VIOLATION
        | &SqlState::FOREIGN_KEY_VIOLATION
        | &SqlState::CHECK_VIOLATION
        | &SqlState::NOT_NULL_VIOLATION => {
            (StoreErrorKind::Conflict, "somebody else changed it meanwhile; try again")
        }
        &SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN | &SqlState::DUPLICATE_TABLE => (
            StoreErrorKind::Unusable,
            "its tables are not those of wharf; give wharf a database of its own",
        ),
        _ => (StoreErrorKind::Unreachable, "the log of PostgreSQL says more"),
    };
    StoreError::new(kind, format!("PostgreSQL at {shown} says: {reason}")).help(help)
}

/// The last cause, without the words of the libraries around it.
fn innermost(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    let end = text.rfind(" (os error ").unwrap_or(text.len());
    lower_first(text.get(..end).unwrap_or(&text))
}

fn slow(shown: &str, waited: Duration) -> StoreError {
    let what = format!("PostgreSQL at {shown} gives no answer within {} s", waited.as_secs());
    StoreError::new(StoreErrorKind::Unreachable, what)
        .help("is it running, and is this its address? look at accounts.store")
}

/// The first letter in lower case where an ordinary word begins; names and paths keep theirs.
fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}
