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

use super::{AcceptedConn, DataConnIdentity, PortEvent, Sharing};
use crate::net::{Listener, Socket, read_proxy_header};
use crate::tls::{Acceptor, BindingId};

/// Sessions on one port at a time. Each may have connections that wait for it.
const SESSIONS_MAX: usize = 256;
/// Connections that wait for one session: it needs one, and a client may have tried before.
const ARRIVED_MAX: usize = 4;
/// Addresses of unexpected peers of which a session has not heard yet. More are not told.
const UNEXPECTED_MAX: usize = 16;
/// Connections of which it is not known yet whose they are. More are closed.
const PENDING_MAX: usize = 64;

/// All sessions that have a place at a port.
pub(super) struct Waiters {
    tls: Option<Arc<Acceptor>>,
    state: Mutex<WaitersState>,
    /// Wakes the port's task: something is to be sorted.
    pending: Notify,
}

struct WaitersState {
    waiters: Vec<Waiter>,
    /// Kept for the one session that is here, which does not know its port yet.
    is_retained: bool,
    /// Whether a task accepts for all. It stays so as long as the port is open.
    is_shared: bool,
    /// For the task to begin.
    pending: Vec<PendingMatch>,
    /// How many connections are being sorted, or are to be.
    pending_count: usize,
}

struct Waiter {
    identity: DataConnIdentity,
    /// Others of the same address are here or were: its connections must resume its own TLS
    /// session.
    must_resume: bool,
    arrived: VecDeque<AcceptedConn>,
    /// Peers that came meanwhile and were closed.
    unexpected: VecDeque<IpAddr>,
    /// Connections of its address that might have been its own and did not resume any session.
    unproven: usize,
    /// Set while it waits.
    waker: Option<Waker>,
}

/// Finds out whose a connection is, and hands it over.
pub(super) type PendingMatch = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What became of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dispatched {
    HandedOver,
    /// That is found out beside everything else.
    Pending,
    /// No session waits for this address.
    Unexpected(IpAddr),
    /// It broke before its address was known.
    Gone,
}

impl Waiters {
    pub(super) fn new(
        tls: Option<Arc<Acceptor>>,
        identity: DataConnIdentity,
        is_shared: bool,
    ) -> Self {
        let state = WaitersState {
            waiters: vec![Waiter::new(identity)],
            is_retained: false,
            is_shared,
            pending: Vec::new(),
            pending_count: 0,
        };
        Self { tls, state: Mutex::new(state), pending: Notify::new() }
    }

    pub(super) fn sharing(&self, identity: &DataConnIdentity) -> Option<(Sharing, usize)> {
        self.state().sharing(identity)
    }

    /// Adds a session if it can be told from the others; from then on the port is shared.
    pub(super) fn join(&self, identity: &DataConnIdentity) -> bool {
        let mut state = self.state();
        let Some((sharing, _)) = state.sharing(identity) else { return false };
        let mut waiter = Waiter::new(identity.clone());
        if sharing != Sharing::Addresses {
            waiter.must_resume = true;
            state.of_peer(identity.peer).for_each(|other| other.must_resume = true);
        }
        state.waiters.push(waiter);
        drop(state);
        // Whoever accepted for itself leaves that to the task.
        self.share();
        true
    }

    /// Leaves accepting to a task.
    pub(super) fn share(&self) {
        let mut state = self.state();
        state.is_shared = true;
        let wakers: Vec<_> =
            state.waiters.iter_mut().filter_map(|waiter| waiter.waker.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn retain(&self) -> bool {
        let mut state = self.state();
        state.is_retained = state.waiters.len() == 1 && !state.is_shared;
        state.is_retained
    }

    pub(super) fn reuse(&self, identity: DataConnIdentity) {
        let mut state = self.state();
        state.is_retained = false;
        state.waiters = vec![Waiter::new(identity)];
    }

    pub(super) fn leave(&self, session: u64) {
        let mut state = self.state();
        let at = state.waiters.iter().position(|waiter| waiter.identity.session == session);
        let waiter = at.map(|at| state.waiters.swap_remove(at));
        // What waited for it is closed where nothing is locked.
        drop(state);
        drop(waiter);
    }

    #[cfg(test)]
    pub(super) fn sessions(&self) -> usize {
        self.state().waiters.len()
    }

    pub(super) fn unproven(&self, session: u64) -> usize {
        self.state().waiter(session).map_or(0, |waiter| waiter.unproven)
    }

    pub(super) fn has_arrived(&self, session: u64) -> bool {
        let mut state = self.state();
        let may_be = state.pending_count > 0;
        let waiter = state.waiter(session);
        waiter.is_some_and(|waiter| may_be || waiter.unproven > 0 || !waiter.arrived.is_empty())
    }

    /// What comes for a session. As long as the port is its own it accepts for itself.
    pub(super) async fn next(
        self: &Arc<Self>,
        session: u64,
        listener: &dyn Listener,
    ) -> io::Result<PortEvent> {
        let _waiting = Waiting { waiters: self, session };
        let mut accepting = None;
        poll_fn(|context| {
            loop {
                let is_shared = match self.poll_event(session, context)? {
                    NextEvent::PortEvent(came) => return Poll::Ready(Ok(came)),
                    NextEvent::Nothing { is_shared } => is_shared,
                };
                if is_shared {
                    accepting = None;
                    return Poll::Pending;
                }
                match accepting.get_or_insert_with(|| listener.accept()).as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(accepted) => {
                        accepting = None;
                        self.dispatch(accepted?, false);
                    }
                }
            }
        })
        .await
    }

    /// What was handed over to a session already; else it is woken when something is.
    fn poll_event(&self, session: u64, context: &Context<'_>) -> io::Result<NextEvent> {
        let mut state = self.state();
        let is_shared = state.is_shared;
        let waiter = state.waiter(session).ok_or(io::ErrorKind::NotConnected)?;
        // A few at most, which came before it or beside it: they are told of in any case.
        if let Some(address) = waiter.unexpected.pop_front() {
            return Ok(NextEvent::PortEvent(PortEvent::Unexpected(address)));
        }
        if let Some(arrived) = waiter.arrived.pop_front() {
            return Ok(NextEvent::PortEvent(PortEvent::Accepted(arrived)));
        }
        waiter.waker = Some(context.waker().clone());
        Ok(NextEvent::Nothing { is_shared })
    }

    /// Connections for the port's task to sort.
    pub(super) fn take_pending(&self) -> Vec<PendingMatch> {
        std::mem::take(&mut self.state().pending)
    }

    /// Waits until there may be such connections. Cancel safe.
    pub(super) async fn has_pending(&self) {
        self.pending.notified().await;
    }

    /// Gives a connection to the session for which it came.
    pub(super) fn dispatch(
        self: &Arc<Self>,
        socket: Socket,
        is_proxy_header_read: bool,
    ) -> Dispatched {
        let Ok(from) = socket.peer_address().map(|address| address.ip()) else {
            return Dispatched::Gone;
        };
        let mut state = self.state();
        if !is_proxy_header_read && state.is_proxy(from) {
            let waiters = Arc::clone(self);
            return self.match_later(&mut state, async move {
                if let Ok(read_proxy_header) = read_proxy_header(socket).await
                    && let Some(socket) = read_proxy_header.into_socket()
                {
                    waiters.dispatch(socket, true);
                }
            });
        }
        let mut binding_ids = Vec::new();
        let mut only = None;
        for waiter in state.of_peer(from) {
            binding_ids.extend(waiter.identity.binding_id.filter(|_| waiter.must_resume));
            only = Some(waiter);
        }
        if let (Some(tls), false) = (&self.tls, binding_ids.is_empty()) {
            let (handshake, waiters) = (tls.data_of_any(socket, binding_ids), Arc::clone(self));
            return self.match_later(&mut state, async move {
                if let Ok((stream, binding_id)) = handshake.await {
                    waiters.hand_over_secured(Box::new(stream), binding_id, from);
                }
            });
        }
        if let Some(waiter) = only {
            waiter.hand_over(AcceptedConn::Plain(socket));
            return Dispatched::HandedOver;
        }
        state.report_unexpected(from);
        // It is closed where nothing is locked.
        drop(state);
        drop(socket);
        Dispatched::Unexpected(from)
    }

    fn hand_over_secured(
        &self,
        stream: Box<TlsStream<Socket>>,
        binding_id: Option<BindingId>,
        from: IpAddr,
    ) {
        let mut state = self.state();
        let Some(binding_id) = binding_id else {
            // It may be of any of them, so it is of none.
            state.of_peer(from).for_each(|waiter| waiter.unproven += 1);
            return;
        };
        let own = state.of_peer(from).find(|waiter| waiter.identity.binding_id == Some(binding_id));
        if let Some(own) = own {
            own.hand_over(AcceptedConn::Authenticated(stream));
        }
    }

    /// Has the port's task find out whose a connection is.
    fn match_later(
        self: &Arc<Self>,
        state: &mut WaitersState,
        finding: impl Future<Output = ()> + Send + 'static,
    ) -> Dispatched {
        if state.pending_count < PENDING_MAX {
            state.pending_count += 1;
            let counted = PendingCount(Arc::clone(self));
            state.pending.push(Box::pin(async move {
                let _counted = counted;
                finding.await;
            }));
            self.pending.notify_one();
        }
        Dispatched::Pending
    }

    fn state(&self) -> MutexGuard<'_, WaitersState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum NextEvent {
    PortEvent(PortEvent),
    Nothing { is_shared: bool },
}

impl WaitersState {
    fn waiter(&mut self, session: u64) -> Option<&mut Waiter> {
        self.waiters.iter_mut().find(|waiter| waiter.identity.session == session)
    }

    fn of_peer(&mut self, peer: IpAddr) -> impl Iterator<Item = &mut Waiter> {
        self.waiters.iter_mut().filter(move |waiter| waiter.identity.peer == peer)
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        // All who are here came through the same proxies.
        let proxies = self.waiters.first().map(|waiter| &waiter.identity.proxies);
        proxies.is_some_and(|proxies| proxies.iter().any(|network| network.contains(&peer)))
    }

    fn sharing(&self, identity: &DataConnIdentity) -> Option<(Sharing, usize)> {
        let count = self.waiters.len();
        let fits = |waiter: &Waiter| waiter.identity.proxies == identity.proxies;
        if self.is_retained || count >= SESSIONS_MAX || !self.waiters.iter().all(fits) {
            return None;
        }
        let alike = || self.waiters.iter().map(|waiter| &waiter.identity).chain([identity]);
        let alike = || alike().filter(|other| other.peer == identity.peer);
        if alike().count() == 1 {
            return Some((Sharing::Addresses, count));
        }
        if alike().any(|other| other.binding_id.is_none() || other.resumes == Some(false)) {
            return None;
        }
        let are_proven = alike().all(|other| other.resumes == Some(true));
        Some((if are_proven { Sharing::ProvenTls } else { Sharing::UnprovenTls }, count))
    }

    /// Tells one session of an unexpected peer: one that waits, for it may want to know why
    /// nothing comes, or the only one.
    fn report_unexpected(&mut self, from: IpAddr) {
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
    fn new(identity: DataConnIdentity) -> Self {
        Self {
            identity,
            must_resume: false,
            arrived: VecDeque::new(),
            unexpected: VecDeque::new(),
            unproven: 0,
            waker: None,
        }
    }

    fn hand_over(&mut self, arrived: AcceptedConn) {
        if self.arrived.len() < ARRIVED_MAX {
            self.arrived.extend(arrived.unregistered());
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl AcceptedConn {
    /// For another task, whose own reactor is to watch it. With TLS it stays where it is.
    fn unregistered(self) -> Option<Self> {
        match self {
            Self::Plain(socket) => socket.deregister().ok().map(Self::Plain),
            own @ Self::Authenticated(_) => Some(own),
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
        if let Some(waiter) = self.waiters.state().waiter(self.session) {
            waiter.waker = None;
        }
    }
}

/// One more connection that is being sorted, as long as it lives.
struct PendingCount(Arc<Waiters>);

impl Drop for PendingCount {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.pending_count = state.pending_count.saturating_sub(1);
    }
}
