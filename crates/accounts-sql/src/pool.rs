//! A bounded number of connections, opened when they are needed and again when they broke.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tracing::debug;
use wharf_core::lock;
use wharf_users::admin::{StoreError, StoreErrorKind};

use crate::bounds::{CONNECTIONS_MAX, StoreEvent, WAITING_MAX};
use crate::connection::DbConnection;
use crate::schema;

/// How long one waits for a connection before giving up.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long no new attempt is made after a failure to connect: with a dead server, not every login
/// may wait for a timeout.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// The most events that are queued until the next call of `take_events`.
const EVENTS_MAX: usize = 16;

/// Where connections lead.
pub(crate) enum StoreLocation {
    /// A file; `create`: it is created if missing.
    File { path: Arc<std::path::PathBuf>, create: bool },
    /// To a server.
    Server(Box<crate::postgres::PgServer>),
}

/// The connections of one store.
pub(crate) struct ConnectionPool {
    location: StoreLocation,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    idle: Vec<DbConnection>,
    /// The last failure to connect, and when.
    failure: Option<(StoreError, Instant)>,
    is_lost: bool,
    events: VecDeque<StoreEvent>,
    /// The most connections that have been in use at the same time.
    in_use_max: usize,
}

/// A connection in use; it is closed when dropped.
pub(crate) struct PooledConnection {
    connection: DbConnection,
    /// For a server; for a file the blocking threads hold the permit.
    permit: Option<OwnedSemaphorePermit>,
    is_reused: bool,
}

/// What is done over a connection.
pub(crate) type SqlOperation<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Which connection will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ConnectionChoice {
    Any,
    /// A new one.
    New,
}

/// A permit that is released when dropped.
#[expect(dead_code, reason = "held until dropped")]
enum ReleasedPermit {
    Shared(Option<Arc<OwnedSemaphorePermit>>),
    Own(Option<OwnedSemaphorePermit>),
}

impl ConnectionPool {
    /// No connection yet.
    pub(crate) fn new(location: StoreLocation) -> Self {
        Self {
            location,
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            waiting: AtomicUsize::new(0),
            state: Mutex::default(),
        }
    }

    /// Runs a query on a connection, and again on a new one if an idle connection turns out to be
    /// dead.
    pub(crate) async fn run<T: Send>(
        &self,
        operation: impl for<'a> Fn(&'a mut DbConnection) -> SqlOperation<'a, T> + Send + Sync,
    ) -> Result<T, StoreError> {
        let mut pooled = self.acquire(ConnectionChoice::Any).await?;
        let mut done = operation(&mut pooled.connection).await;
        let is_dead = done.as_ref().is_err_and(|error| error.kind == StoreErrorKind::Unreachable);
        if is_dead && pooled.is_reused {
            // The other idle connections are most likely dead as well.
            drop(pooled);
            self.close_idle();
            pooled = self.acquire(ConnectionChoice::New).await?;
            done = operation(&mut pooled.connection).await;
        }
        self.finish(pooled, done)
    }

    /// Changes something over a new connection: whatever fails, it was not done twice.
    pub(crate) async fn change<T: Send>(
        &self,
        operation: impl for<'a> FnOnce(&'a mut DbConnection) -> SqlOperation<'a, T> + Send,
    ) -> Result<T, StoreError> {
        let mut pooled = self.acquire(ConnectionChoice::New).await?;
        let done = operation(&mut pooled.connection).await;
        self.finish(pooled, done)
    }

    /// Returns the connection to the pool after a success, and records whether the store responds.
    fn finish<T>(
        &self,
        pooled: PooledConnection,
        done: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.record_result(done.as_ref().err());
        if done.is_ok() {
            self.release(pooled);
        }
        done
    }

    /// Closes what is not in use.
    pub(crate) fn close_idle(&self) {
        let idle = std::mem::take(&mut self.state().idle);
        drop(idle);
    }

    /// The events since the last call.
    pub(crate) fn take_events(&self) -> Vec<StoreEvent> {
        self.state().events.drain(..).collect()
    }

    /// Whether the store was unavailable at the last request.
    pub(crate) fn is_lost(&self) -> bool {
        self.state().is_lost
    }

    /// The most connections that have been in use at the same time.
    pub(crate) fn in_use_max(&self) -> usize {
        self.state().in_use_max
    }

    async fn acquire(&self, choice: ConnectionChoice) -> Result<PooledConnection, StoreError> {
        let permit = self.permit().await?;
        let idle = if choice == ConnectionChoice::New { None } else { self.state().idle.pop() };
        let pooled = match idle {
            Some(DbConnection::Sqlite(connection)) => {
                let connection = DbConnection::Sqlite(connection.with_permit(permit));
                PooledConnection { connection, permit: None, is_reused: true }
            }
            Some(connection @ DbConnection::Postgres(_)) => {
                PooledConnection { connection, permit: Some(permit), is_reused: true }
            }
            None => {
                self.connect(permit).await.inspect_err(|error| self.record_result(Some(error)))?
            }
        };
        let mut state = self.state();
        let busy = CONNECTIONS_MAX.saturating_sub(self.permits.available_permits());
        state.in_use_max = state.in_use_max.max(busy);
        Ok(pooled)
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let busy = |what: &str| StoreError::new(StoreErrorKind::Busy, what);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(busy("too many requests wait for the accounts database"));
        }
        let _waiting = WaitingGuard(&self.waiting);
        match timeout(CONNECTION_WAIT_MAX, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(busy("the accounts database is busy")),
        }
    }

    /// A new connection, with the tables in the version of this program.
    async fn connect(&self, permit: OwnedSemaphorePermit) -> Result<PooledConnection, StoreError> {
        let recent = self.state().failure.clone().filter(|(_, at)| at.elapsed() < RECONNECT_DELAY);
        if let Some((failure, _)) = recent {
            return Err(failure);
        }
        let connected = match &self.location {
            StoreLocation::File { path, create } => {
                let opened =
                    crate::sqlite::SqliteConnection::open(Arc::clone(path), *create, permit).await;
                opened.map(|connection| PooledConnection {
                    connection: DbConnection::Sqlite(connection),
                    permit: None,
                    is_reused: false,
                })
            }
            StoreLocation::Server(server) => server.connect().await.map(|connection| {
                let connection = DbConnection::Postgres(Box::new(connection));
                PooledConnection { connection, permit: Some(permit), is_reused: false }
            }),
        };
        match &connected {
            Ok(_) => debug!("connected to the database of accounts"),
            Err(error) => debug!(%error, "cannot connect to the database of accounts"),
        }
        let ready = match connected {
            Ok(mut pooled) => schema::migrate(&mut pooled.connection).await.map(|()| pooled),
            Err(error) => Err(error),
        };
        let failure = ready.as_ref().err().map(|error| (error.clone(), Instant::now()));
        self.state().failure = failure;
        ready
    }

    fn release(&self, pooled: PooledConnection) {
        let (connection, _permit) = match pooled.connection {
            DbConnection::Sqlite(connection) => {
                let (connection, permit) = connection.without_permit();
                (DbConnection::Sqlite(connection), ReleasedPermit::Shared(permit))
            }
            DbConnection::Postgres(connection) => {
                (DbConnection::Postgres(connection), ReleasedPermit::Own(pooled.permit))
            }
        };
        // Before the permit is released: its next holder finds this connection.
        let mut state = self.state();
        if state.idle.len() < CONNECTIONS_MAX {
            state.idle.push(connection);
        }
    }

    /// Records whether the store responds.
    fn record_result(&self, failure: Option<&StoreError>) {
        let is_answer = |error: &StoreError| {
            matches!(error.kind, StoreErrorKind::Conflict | StoreErrorKind::Busy)
        };
        let failure = failure.filter(|error| !is_answer(error));
        let mut state = self.state();
        let events = match failure {
            Some(error) if !state.is_lost => StoreEvent::Lost(error.to_string()),
            None if state.is_lost => StoreEvent::Back,
            _ => return,
        };
        state.is_lost = failure.is_some();
        if state.events.len() == EVENTS_MAX {
            state.events.pop_front();
        }
        state.events.push_back(events);
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        // No code under this lock panics halfway.
        lock(&self.state)
    }
}

/// A waiting request; counted until dropped.
struct WaitingGuard<'a>(&'a AtomicUsize);

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
