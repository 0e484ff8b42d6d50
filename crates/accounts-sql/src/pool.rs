//! A bounded number of connections, opened when they are needed and again when they broke.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use wharf_users::admin::{StoreError, StoreErrorKind};

use crate::bounds::{CONNECTIONS_MAX, News, WAITING_MAX};
use crate::link::Link;
use crate::schema;

/// How long one waits for a connection before giving up.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);
/// After a failure to connect, how long nobody tries again: a dead server must not make every
/// login wait until it times out.
const REST: Duration = Duration::from_secs(1);
/// The most news that are kept for whoever asks.
const NEWS_MAX: usize = 16;

/// Where connections lead.
pub(crate) enum Place {
    /// To a file, which is made if it is missing and that is wanted.
    #[cfg(feature = "sqlite")]
    File { path: Arc<std::path::PathBuf>, is_made: bool },
    /// To a server.
    #[cfg(feature = "postgres")]
    Server(Box<crate::postgres::Server>),
}

/// The connections of one store.
pub(crate) struct Pool {
    place: Place,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Link>,
    /// The last failure to connect, and when.
    failure: Option<(StoreError, Instant)>,
    is_lost: bool,
    news: VecDeque<News>,
    /// The most connections that have been in use at once.
    busy_most: usize,
}

/// A connection that is in use; dropped, it is closed.
pub(crate) struct Borrowed {
    link: Link,
    /// For a server; the threads of a file hold its turn themselves.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "held until dropped"))]
    turn: Option<OwnedSemaphorePermit>,
    is_used: bool,
}

/// What is done over a connection.
pub(crate) type Act<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Which connection will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Any,
    /// One that has just been made.
    New,
}

/// A turn that ends here.
#[expect(dead_code, reason = "held until dropped")]
enum Turn {
    #[cfg(feature = "sqlite")]
    Shared(Option<Arc<OwnedSemaphorePermit>>),
    #[cfg(feature = "postgres")]
    Own(Option<OwnedSemaphorePermit>),
}

impl Pool {
    /// No connection yet.
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            turns: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            waiting: AtomicUsize::new(0),
            state: Mutex::default(),
        }
    }

    /// Asks something over a connection, and once more over a new one if that had lain idle and
    /// was found dead.
    pub(crate) async fn ask<T: Send>(
        &self,
        act: impl for<'a> Fn(&'a mut Link) -> Act<'a, T> + Send + Sync,
    ) -> Result<T, StoreError> {
        let mut borrowed = self.borrow(Wanted::Any).await?;
        let mut done = act(&mut borrowed.link).await;
        let is_dead = done.as_ref().is_err_and(|error| error.kind == StoreErrorKind::Unreachable);
        if is_dead && borrowed.is_used {
            // Those that lay beside it are most likely dead as well.
            drop(borrowed);
            self.close_idle();
            borrowed = self.borrow(Wanted::New).await?;
            done = act(&mut borrowed.link).await;
        }
        self.settle(borrowed, done)
    }

    /// Changes something over a new connection: whatever fails, it was not done twice.
    pub(crate) async fn change<T: Send>(
        &self,
        act: impl for<'a> FnOnce(&'a mut Link) -> Act<'a, T> + Send,
    ) -> Result<T, StoreError> {
        let mut borrowed = self.borrow(Wanted::New).await?;
        let done = act(&mut borrowed.link).await;
        self.settle(borrowed, done)
    }

    /// Keeps a connection that is as it was before, and notes whether the store answers.
    fn settle<T>(&self, borrowed: Borrowed, done: Result<T, StoreError>) -> Result<T, StoreError> {
        self.note(done.as_ref().err());
        if done.is_ok() {
            self.give_back(borrowed);
        }
        done
    }

    /// Closes what is not in use.
    pub(crate) fn close_idle(&self) {
        let idle = std::mem::take(&mut self.state().idle);
        drop(idle);
    }

    /// What happened since this was last asked.
    pub(crate) fn take_news(&self) -> Vec<News> {
        self.state().news.drain(..).collect()
    }

    /// Whether the store answered when it was last asked.
    pub(crate) fn is_lost(&self) -> bool {
        self.state().is_lost
    }

    /// The most connections that have been in use at once.
    pub(crate) fn busy_most(&self) -> usize {
        self.state().busy_most
    }

    async fn borrow(&self, wanted: Wanted) -> Result<Borrowed, StoreError> {
        let turn = self.turn().await?;
        let idle = if wanted == Wanted::New { None } else { self.state().idle.pop() };
        let borrowed = match idle {
            #[cfg(feature = "sqlite")]
            Some(Link::Sqlite(link)) => {
                let link = Link::Sqlite(link.with_turn(turn));
                Borrowed { link, turn: None, is_used: true }
            }
            #[cfg(feature = "postgres")]
            Some(link @ Link::Postgres(_)) => Borrowed { link, turn: Some(turn), is_used: true },
            None => self.connect(turn).await.inspect_err(|error| self.note(Some(error)))?,
        };
        let mut state = self.state();
        let busy = CONNECTIONS_MAX.saturating_sub(self.turns.available_permits());
        state.busy_most = state.busy_most.max(busy);
        Ok(borrowed)
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let busy = |what: &str| StoreError::new(StoreErrorKind::Busy, what);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(busy("too many wait for the store of accounts"));
        }
        let _waiting = Waiting(&self.waiting);
        match timeout(TURN_WAIT_MAX, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(busy("the store of accounts is busy")),
        }
    }

    /// A new connection, over which the tables are as this program knows them.
    async fn connect(&self, turn: OwnedSemaphorePermit) -> Result<Borrowed, StoreError> {
        let resting = self.state().failure.clone().filter(|(_, at)| at.elapsed() < REST);
        if let Some((failure, _)) = resting {
            return Err(failure);
        }
        let connected = match &self.place {
            #[cfg(feature = "sqlite")]
            Place::File { path, is_made } => {
                let opened = crate::sqlite::Link::open(Arc::clone(path), *is_made, turn).await;
                opened.map(|link| Borrowed { link: Link::Sqlite(link), turn: None, is_used: false })
            }
            #[cfg(feature = "postgres")]
            Place::Server(server) => server.connect().await.map(|link| {
                let link = Link::Postgres(Box::new(link));
                Borrowed { link, turn: Some(turn), is_used: false }
            }),
        };
        let ready = match connected {
            Ok(mut borrowed) => schema::bring_up(&mut borrowed.link).await.map(|()| borrowed),
            Err(error) => Err(error),
        };
        let failure = ready.as_ref().err().map(|error| (error.clone(), Instant::now()));
        self.state().failure = failure;
        ready
    }

    fn give_back(&self, borrowed: Borrowed) {
        let (link, _turn) = match borrowed.link {
            #[cfg(feature = "sqlite")]
            Link::Sqlite(link) => {
                let (link, turn) = link.without_turn();
                (Link::Sqlite(link), Turn::Shared(turn))
            }
            #[cfg(feature = "postgres")]
            Link::Postgres(link) => (Link::Postgres(link), Turn::Own(borrowed.turn)),
        };
        // Before the turn is free: whoever gets it finds this connection.
        let mut state = self.state();
        if state.idle.len() < CONNECTIONS_MAX {
            state.idle.push(link);
        }
    }

    /// Writes down whether the store answers.
    fn note(&self, failure: Option<&StoreError>) {
        let is_answer = |error: &StoreError| {
            matches!(error.kind, StoreErrorKind::Conflict | StoreErrorKind::Busy)
        };
        let failure = failure.filter(|error| !is_answer(error));
        let mut state = self.state();
        let news = match failure {
            Some(error) if !state.is_lost => News::Lost(error.to_string()),
            None if state.is_lost => News::Back,
            _ => return,
        };
        state.is_lost = failure.is_some();
        if state.news.len() == NEWS_MAX {
            state.news.pop_front();
        }
        state.news.push_back(news);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can fall halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits; counted until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
