//! The sessions of one port, and the assignment of connections to them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_rustls::server::TlsStream;

use wharf_core::lock;

use super::{AcceptedConn, DataConnIdentity, PortEvent, Sharing};
use crate::net::{Listener, Socket, TlsTransport, read_proxy_header};
use crate::regression::Regression;
use crate::tls::{Acceptor, BindingId};

/// Sessions on one port at a time.
const SESSIONS_MAX: usize = 256;
/// Connections queued for one session: it needs one, and a client may have tried before.
const ARRIVED_MAX: usize = 4;
/// Unexpected peers queued for a session; more are not reported.
const UNEXPECTED_MAX: usize = 16;
/// Connections not assigned to a session yet. More are closed.
const PENDING_MAX: usize = 64;
/// How often [`Waiters::first_waits`] checks.
const FIRST_POLLED_EVERY: Duration = Duration::from_millis(10);

/// All sessions of one port.
pub(super) struct Waiters {
    tls: Option<Arc<Acceptor>>,
    state: Mutex<WaitersState>,
    /// Wakes the task of the port: a connection is to be assigned.
    pending: Notify,
}

struct WaitersState {
    waiters: Vec<Waiter>,
    /// Retained for its only session, which has not announced it again yet.
    is_retained: bool,
    /// Whether a task accepts for all. Never reset while the port is open.
    is_shared: bool,
    /// Futures that the task is to poll.
    pending: Vec<PendingMatch>,
    /// Connections that are being assigned.
    pending_count: usize,
}

struct Waiter {
    identity: DataConnIdentity,
    /// Other sessions of the same address use or used the port: its connections must resume its own
    /// TLS session.
    must_resume: bool,
    arrived: VecDeque<AcceptedConn>,
    /// Unexpected peers that were closed meanwhile.
    unexpected: VecDeque<IpAddr>,
    /// Connections of its address that may have been its own and did not resume any session.
    unproven: usize,
    /// Set while it waits.
    waker: Option<Waker>,
}

/// Identifies the session of a connection, and hands the connection over.
pub(super) type PendingMatch = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The result of dispatching a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dispatched {
    HandedOver,
    /// It is being identified concurrently.
    Pending,
    /// No session waits for this address.
    Unexpected(IpAddr),
    /// It was reset before its address was known.
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

    /// Adds a session if it can be distinguished from the others; from then on the port is shared.
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
        // A session that accepted for itself leaves that to the task.
        self.share();
        true
    }

    /// Switches to accepting in a task.
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
        // Queued connections are closed without a lock held.
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

    /// The next event for a session. While it is the only session, it accepts for itself.
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

    /// The next queued event; otherwise registers the waker.
    fn poll_event(&self, session: u64, context: &Context<'_>) -> io::Result<NextEvent> {
        let mut state = self.state();
        let is_shared = state.is_shared;
        let waiter = state.waiter(session).ok_or(io::ErrorKind::NotConnected)?;
        // Only a few, which arrived before or with it; they are reported in any case.
        if let Some(address) = waiter.unexpected.pop_front() {
            return Ok(NextEvent::PortEvent(PortEvent::Unexpected(address)));
        }
        if let Some(arrived) = waiter.arrived.pop_front() {
            return Ok(NextEvent::PortEvent(PortEvent::Accepted(arrived)));
        }
        waiter.waker = Some(context.waker().clone());
        Ok(NextEvent::Nothing { is_shared })
    }

    /// Waits until the first session waits for a connection: only with the fault put back.
    pub(super) async fn first_waits(&self) {
        let has_waker = || self.state().waiters.first().is_none_or(|first| first.waker.is_some());
        while Regression::FirstSessionAccepts.is_present() && !has_waker() {
            sleep(FIRST_POLLED_EVERY).await;
        }
    }

    /// Futures for the task of the port.
    pub(super) fn take_pending(&self) -> Vec<PendingMatch> {
        std::mem::take(&mut self.state().pending)
    }

    /// Waits until there may be such futures. Cancel safe.
    pub(super) async fn has_pending(&self) {
        self.pending.notified().await;
    }

    /// Assigns a connection to its session.
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
        // The socket is closed without a lock held.
        drop(state);
        drop(socket);
        Dispatched::Unexpected(from)
    }

    fn hand_over_secured(
        &self,
        stream: Box<TlsStream<TlsTransport>>,
        binding_id: Option<BindingId>,
        from: IpAddr,
    ) {
        let mut state = self.state();
        let Some(binding_id) = binding_id else {
            // It may belong to any of them, so it is assigned to none.
            state.of_peer(from).for_each(|waiter| waiter.unproven += 1);
            return;
        };
        let own = state.of_peer(from).find(|waiter| waiter.identity.binding_id == Some(binding_id));
        if let Some(own) = own {
            own.hand_over(AcceptedConn::Authenticated(stream));
        }
    }

    /// Identifies a connection in the task of the port.
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
        lock(&self.state)
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
        // All sessions of a port use the same proxies.
        let proxies = self.waiters.first().map(|waiter| &waiter.identity.proxies);
        proxies.is_some_and(|proxies| proxies.iter().any(|network| network.contains(&peer)))
    }

    fn sharing(&self, identity: &DataConnIdentity) -> Option<(Sharing, usize)> {
        let count = self.waiters.len();
        if Regression::PortNotShared.is_present() {
            return None;
        }
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

    /// Reports an unexpected peer to one session: one that waits, which can then explain a timeout,
    /// or the only one.
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
    /// Deregisters the socket, for the runtime of another task. With TLS it stays registered.
    fn unregistered(self) -> Option<Self> {
        match self {
            Self::Plain(socket) => socket.deregister().ok().map(Self::Plain),
            own @ Self::Authenticated(_) => Some(own),
        }
    }
}

/// A waiting session. Dropping it removes its waker.
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

/// Counts one connection that is being assigned.
struct PendingCount(Arc<Waiters>);

impl Drop for PendingCount {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.pending_count = state.pending_count.saturating_sub(1);
    }
}
