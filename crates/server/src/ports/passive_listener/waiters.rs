//! The sessions of one port, and which connection is whose.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio_rustls::server::TlsStream;

use super::{Arrived, Came, Claim, Sharing};
use crate::net::{Listener, Socket, introduced};
use crate::tls::{Acceptor, Tie};

/// Sessions on one port at a time. Each may have connections that wait for it.
const SESSIONS_MAX: usize = 256;
/// Connections that wait for one session: it needs one, and a client may have tried before.
const ARRIVED_MAX: usize = 4;
/// Addresses of unexpected peers of which a session has not heard yet. More are not told.
const UNEXPECTED_MAX: usize = 16;
/// Connections of which it is not known yet whose they are. More are closed.
const UNSORTED_MAX: usize = 64;

/// All sessions that have a place at a port.
pub(super) struct Waiters {
    tls: Option<Arc<Acceptor>>,
    here: Mutex<Here>,
    /// Wakes the port's task: something is to be sorted.
    unsorted: Notify,
}

struct Here {
    waiters: Vec<Waiter>,
    /// Kept for the one session that is here, which does not know its port yet.
    is_kept: bool,
    /// Whether a task accepts for all. It stays so as long as the port is open.
    is_shared: bool,
    /// For the task to begin.
    unsorted: Vec<Unsorted>,
    /// How many connections are being sorted, or are to be.
    unsorted_count: usize,
}

struct Waiter {
    claim: Claim,
    /// Others of the same address are here or were: its connections must resume its own TLS
    /// session.
    must_resume: bool,
    arrived: VecDeque<Arrived>,
    /// Peers that came meanwhile and were closed.
    unexpected: VecDeque<IpAddr>,
    /// Connections of its address that might have been its own and did not resume any session.
    unproven: usize,
    /// Set while it waits.
    waker: Option<Waker>,
}

/// Finds out whose a connection is, and hands it over.
pub(super) type Unsorted = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What became of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sorted {
    HandedOver,
    /// That is found out beside everything else.
    NotYet,
    /// No session waits for this address.
    Unexpected(IpAddr),
    /// It broke before its address was known.
    Gone,
}

impl Waiters {
    pub(super) fn new(tls: Option<Arc<Acceptor>>, claim: Claim, is_shared: bool) -> Self {
        let here = Here {
            waiters: vec![Waiter::new(claim)],
            is_kept: false,
            is_shared,
            unsorted: Vec::new(),
            unsorted_count: 0,
        };
        Self { tls, here: Mutex::new(here), unsorted: Notify::new() }
    }

    pub(super) fn sharing(&self, claim: &Claim) -> Option<(Sharing, usize)> {
        self.here().sharing(claim)
    }

    /// Adds a session if it can be told from the others; from then on the port is shared.
    pub(super) fn join(&self, claim: &Claim) -> bool {
        let mut here = self.here();
        let Some((sharing, _)) = here.sharing(claim) else { return false };
        let mut waiter = Waiter::new(claim.clone());
        if sharing != Sharing::Addresses {
            waiter.must_resume = true;
            here.of(claim.peer).for_each(|other| other.must_resume = true);
        }
        here.waiters.push(waiter);
        drop(here);
        // Whoever accepted for itself leaves that to the task.
        self.share();
        true
    }

    /// Leaves accepting to a task.
    pub(super) fn share(&self) {
        let mut here = self.here();
        here.is_shared = true;
        let wakers: Vec<_> =
            here.waiters.iter_mut().filter_map(|waiter| waiter.waker.take()).collect();
        drop(here);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn keep(&self) -> bool {
        let mut here = self.here();
        here.is_kept = here.waiters.len() == 1 && !here.is_shared;
        here.is_kept
    }

    pub(super) fn take_again(&self, claim: Claim) {
        let mut here = self.here();
        here.is_kept = false;
        here.waiters = vec![Waiter::new(claim)];
    }

    pub(super) fn leave(&self, session: u64) {
        let mut here = self.here();
        let at = here.waiters.iter().position(|waiter| waiter.claim.session == session);
        let waiter = at.map(|at| here.waiters.swap_remove(at));
        // What waited for it is closed where nothing is locked.
        drop(here);
        drop(waiter);
    }

    #[cfg(test)]
    pub(super) fn sessions(&self) -> usize {
        self.here().waiters.len()
    }

    pub(super) fn unproven(&self, session: u64) -> usize {
        self.here().waiter(session).map_or(0, |waiter| waiter.unproven)
    }

    pub(super) fn has_come(&self, session: u64) -> bool {
        let mut here = self.here();
        let may_be = here.unsorted_count > 0;
        let waiter = here.waiter(session);
        waiter.is_some_and(|waiter| may_be || waiter.unproven > 0 || !waiter.arrived.is_empty())
    }

    /// What comes for a session. As long as the port is its own it accepts for itself.
    pub(super) async fn next(
        self: &Arc<Self>,
        session: u64,
        listener: &dyn Listener,
    ) -> io::Result<Came> {
        let _waiting = Waiting { waiters: self, session };
        let mut accepting = None;
        poll_fn(|context| {
            loop {
                let is_shared = match self.poll_taken(session, context)? {
                    Taken::Came(came) => return Poll::Ready(Ok(came)),
                    Taken::Nothing { is_shared } => is_shared,
                };
                if is_shared {
                    accepting = None;
                    return Poll::Pending;
                }
                match accepting.get_or_insert_with(|| listener.accept()).as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(accepted) => {
                        accepting = None;
                        self.sort(accepted?, false);
                    }
                }
            }
        })
        .await
    }

    /// What was handed over to a session already; else it is woken when something is.
    fn poll_taken(&self, session: u64, context: &Context<'_>) -> io::Result<Taken> {
        let mut here = self.here();
        let is_shared = here.is_shared;
        let waiter = here.waiter(session).ok_or(io::ErrorKind::NotConnected)?;
        // A few at most, which came before it or beside it: they are told of in any case.
        if let Some(address) = waiter.unexpected.pop_front() {
            return Ok(Taken::Came(Came::Unexpected(address)));
        }
        if let Some(arrived) = waiter.arrived.pop_front() {
            return Ok(Taken::Came(Came::Mine(arrived)));
        }
        waiter.waker = Some(context.waker().clone());
        Ok(Taken::Nothing { is_shared })
    }

    /// Connections for the port's task to sort.
    pub(super) fn take_unsorted(&self) -> Vec<Unsorted> {
        std::mem::take(&mut self.here().unsorted)
    }

    /// Waits until there may be such connections. Cancel safe.
    pub(super) async fn has_unsorted(&self) {
        self.unsorted.notified().await;
    }

    /// Gives a connection to the session for which it came.
    pub(super) fn sort(self: &Arc<Self>, socket: Socket, is_introduced: bool) -> Sorted {
        let Ok(from) = socket.peer_address().map(|address| address.ip()) else {
            return Sorted::Gone;
        };
        let mut here = self.here();
        if !is_introduced && here.is_proxy(from) {
            let waiters = Arc::clone(self);
            return self.find_out(&mut here, async move {
                if let Ok(introduced) = introduced(socket).await
                    && let Some(socket) = introduced.into_socket()
                {
                    waiters.sort(socket, true);
                }
            });
        }
        let mut ties = Vec::new();
        let mut only = None;
        for waiter in here.of(from) {
            ties.extend(waiter.claim.tie.filter(|_| waiter.must_resume));
            only = Some(waiter);
        }
        if let (Some(tls), false) = (&self.tls, ties.is_empty()) {
            let (handshake, waiters) = (tls.data_of_one(socket, ties), Arc::clone(self));
            return self.find_out(&mut here, async move {
                if let Ok((stream, tie)) = handshake.await {
                    waiters.hand_over_secured(Box::new(stream), tie, from);
                }
            });
        }
        if let Some(waiter) = only {
            waiter.hand_over(Arrived::Plain(socket));
            return Sorted::HandedOver;
        }
        here.tell_unexpected(from);
        // It is closed where nothing is locked.
        drop(here);
        drop(socket);
        Sorted::Unexpected(from)
    }

    fn hand_over_secured(&self, stream: Box<TlsStream<Socket>>, tie: Option<Tie>, from: IpAddr) {
        let mut here = self.here();
        let Some(tie) = tie else {
            // It may be of any of them, so it is of none.
            here.of(from).for_each(|waiter| waiter.unproven += 1);
            return;
        };
        let own = here.of(from).find(|waiter| waiter.claim.tie == Some(tie));
        if let Some(own) = own {
            own.hand_over(Arrived::Own(stream));
        }
    }

    /// Has the port's task find out whose a connection is.
    fn find_out(
        self: &Arc<Self>,
        here: &mut Here,
        finding: impl Future<Output = ()> + Send + 'static,
    ) -> Sorted {
        if here.unsorted_count < UNSORTED_MAX {
            here.unsorted_count += 1;
            let counted = Counted(Arc::clone(self));
            here.unsorted.push(Box::pin(async move {
                let _counted = counted;
                finding.await;
            }));
            self.unsorted.notify_one();
        }
        Sorted::NotYet
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Taken {
    Came(Came),
    Nothing { is_shared: bool },
}

impl Here {
    fn waiter(&mut self, session: u64) -> Option<&mut Waiter> {
        self.waiters.iter_mut().find(|waiter| waiter.claim.session == session)
    }

    fn of(&mut self, peer: IpAddr) -> impl Iterator<Item = &mut Waiter> {
        self.waiters.iter_mut().filter(move |waiter| waiter.claim.peer == peer)
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        // All who are here came through the same proxies.
        let proxies = self.waiters.first().map(|waiter| &waiter.claim.proxies);
        proxies.is_some_and(|proxies| proxies.iter().any(|network| network.contains(&peer)))
    }

    fn sharing(&self, claim: &Claim) -> Option<(Sharing, usize)> {
        let count = self.waiters.len();
        let fits = |waiter: &Waiter| waiter.claim.proxies == claim.proxies;
        if self.is_kept || count >= SESSIONS_MAX || !self.waiters.iter().all(fits) {
            return None;
        }
        let alike = || self.waiters.iter().map(|waiter| &waiter.claim).chain([claim]);
        let alike = || alike().filter(|other| other.peer == claim.peer);
        if alike().count() == 1 {
            return Some((Sharing::Addresses, count));
        }
        if alike().any(|other| other.tie.is_none() || other.resumes == Some(false)) {
            return None;
        }
        let are_proven = alike().all(|other| other.resumes == Some(true));
        Some((if are_proven { Sharing::ProvenTls } else { Sharing::UnprovenTls }, count))
    }

    /// Tells one session of an unexpected peer: one that waits, for it may want to know why
    /// nothing comes, or the only one.
    fn tell_unexpected(&mut self, from: IpAddr) {
        let is_only_one = self.waiters.len() == 1;
        let waits = |waiter: &&mut Waiter| waiter.waker.is_some() || is_only_one;
        let Some(waiter) = self.waiters.iter_mut().find(waits) else { return };
        if waiter.unexpected.len() < UNEXPECTED_MAX {
            waiter.unexpected.push_back(from);
        }
        if let Some(waker) = waiter.waker.take() {
            waker.wake();
        }
    }
}

impl Waiter {
    fn new(claim: Claim) -> Self {
        Self {
            claim,
            must_resume: false,
            arrived: VecDeque::new(),
            unexpected: VecDeque::new(),
            unproven: 0,
            waker: None,
        }
    }

    fn hand_over(&mut self, arrived: Arrived) {
        if self.arrived.len() < ARRIVED_MAX {
            self.arrived.extend(arrived.unwatched());
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Arrived {
    /// For another task, whose own reactor is to watch it. With TLS it stays where it is.
    fn unwatched(self) -> Option<Self> {
        match self {
            Self::Plain(socket) => socket.unwatch().ok().map(Self::Plain),
            own @ Self::Own(_) => Some(own),
        }
    }
}

/// A session that waits. Dropping it says that it no longer does.
struct Waiting<'a> {
    waiters: &'a Waiters,
    session: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiters.here().waiter(self.session) {
            waiter.waker = None;
        }
    }
}

/// One more connection that is being sorted, as long as it lives.
struct Counted(Arc<Waiters>);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut here = self.0.here();
        here.unsorted_count = here.unsorted_count.saturating_sub(1);
    }
}
