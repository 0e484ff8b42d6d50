//! One listening data port, and the sessions that wait there.
//!
//! Sessions of different addresses are told apart by the address from which a connection comes,
//! sessions of one address by the TLS session that it resumes. While a port belongs to one session
//! alone, that session accepts its own connections. As soon as a second one joins, a task of the
//! port accepts for all of them, so that none can hold up the others, whatever it does.

mod accept_task;
mod waiters;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use ipnet::IpNet;
use tokio_rustls::server::TlsStream;

use self::accept_task::AcceptTask;
use self::waiters::Waiters;
use super::Reserved;
use crate::net::{Listener, Socket};
use crate::tls::{Acceptor, BindingId};

/// What waits to be accepted when another session joins, at most.
const BACKLOG_MAX: usize = 1024;

/// Whose data connection is waited for, and how it is told from others.
#[derive(Clone, Debug)]
pub(crate) struct DataConnIdentity {
    /// The session's number.
    pub(crate) session: u64,
    /// The client's address.
    pub(crate) peer: IpAddr,
    /// With PROT P: what TLS sessions of this client carry.
    pub(crate) binding_id: Option<BindingId>,
    /// Whether its data connections have resumed its TLS session, as far as any came.
    pub(crate) resumes: Option<bool>,
    /// The proxies through which its control connection may have come; none if it came itself.
    pub(crate) proxies: Arc<[IpNet]>,
}

/// How sessions on one port are told apart, from the best way to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sharing {
    /// All have different addresses.
    Addresses,
    /// Some have the same, and their clients are known to resume.
    ProvenTls,
    /// Some have the same, and it is not known yet whether their clients resume.
    UnprovenTls,
}

/// A data connection that came for a session.
pub(crate) enum AcceptedConn {
    /// As it came.
    Plain(Socket),
    /// TLS has shown whose it is, and is done.
    Authenticated(Box<TlsStream<Socket>>),
}

/// What came to a port.
pub(crate) enum PortEvent {
    /// For the session that waited.
    Accepted(AcceptedConn),
    /// From an address for which no session waits. It is closed.
    Unexpected(IpAddr),
}

/// A listening port. It closes when the last of its sessions leaves.
pub(super) struct PassiveListener {
    /// First, so that the listener is closed when the port is free again.
    task: Mutex<Option<AcceptTask>>,
    listener: Arc<dyn Listener>,
    waiters: Arc<Waiters>,
    /// Last, so that the port is free again only when the listener is closed.
    pub(super) reserved: Reserved,
}

impl PassiveListener {
    pub(super) fn new(
        listener: Box<dyn Listener>,
        tls: Option<Arc<Acceptor>>,
        reserved: Reserved,
        identity: DataConnIdentity,
    ) -> Self {
        // A proxy must be read before it is known for which client it comes.
        let is_shared = !identity.proxies.is_empty();
        let waiters = Arc::new(Waiters::new(tls, identity, is_shared));
        let port = Self { task: Mutex::default(), listener: listener.into(), waiters, reserved };
        if is_shared {
            port.start_task();
        }
        port
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.reserved.address
    }

    /// How one more session would be told from those who are here, and how many they are; nothing
    /// if it could not be.
    pub(super) fn sharing(&self, identity: &DataConnIdentity) -> Option<(Sharing, usize)> {
        self.waiters.sharing(identity)
    }

    /// Lets one more session in if it can be told from the others.
    pub(super) fn join(&self, identity: &DataConnIdentity) -> bool {
        // What came for one who has left must not be taken for that of the one who joins.
        let joined = self.dispatch_backlog() && self.waiters.join(identity);
        if joined {
            self.start_task();
        }
        joined
    }

    /// Has a task accept from now on, although the port may be of one session alone: what the
    /// system keeps for us cannot fill up while the session waits for a command.
    pub(super) fn watch(&self) {
        self.waiters.share();
        self.start_task();
    }

    fn start_task(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_none() {
            let (listener, waiters) = (Arc::clone(&self.listener), Arc::clone(&self.waiters));
            *task = Some(AcceptTask::spawn(listener, waiters));
        }
    }

    /// Hands over what waits to be accepted, and closes what is for no session. Says whether
    /// nothing waits any more: not where the system does not let us accept.
    fn dispatch_backlog(&self) -> bool {
        for _ in 0..BACKLOG_MAX {
            match self.poll_listener() {
                Poll::Ready(Ok(socket)) => drop(self.waiters.dispatch(socket, false)),
                Poll::Ready(Err(_)) => {}
                Poll::Pending => return true,
            }
        }
        false
    }

    /// One connection that waits already.
    fn poll_listener(&self) -> Poll<io::Result<Socket>> {
        pin!(self.listener.accept()).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Whether no peer has connected that was not accepted yet. For a port with one session alone.
    pub(super) fn is_untouched(&self) -> bool {
        self.poll_listener().is_pending()
    }

    /// Whether a connection has come that is, or may be, a session's, and was not taken.
    pub(super) fn has_arrived(&self, session: u64) -> bool {
        self.dispatch_backlog();
        self.waiters.has_arrived(session)
    }

    /// Keeps the port from others, for the one session that is here; not where it was shared.
    pub(super) fn retain(&self) -> bool {
        self.waiters.retain()
    }

    /// Gives a port that was kept to its session again.
    pub(super) fn reuse(&self, identity: DataConnIdentity) {
        self.waiters.reuse(identity);
    }

    pub(super) fn leave(&self, session: u64) {
        self.waiters.leave(session);
    }

    /// How many sessions are here.
    #[cfg(test)]
    pub(super) fn sessions(&self) -> usize {
        self.waiters.sessions()
    }

    /// How many connections of the session's address resumed no TLS session where they had to.
    pub(super) fn unproven(&self, session: u64) -> usize {
        self.waiters.unproven(session)
    }

    /// The next connection for a session, or of an unexpected peer. Cancel safe.
    pub(super) async fn next(&self, session: u64) -> io::Result<PortEvent> {
        self.waiters.next(session, &*self.listener).await
    }
}

impl Drop for PassiveListener {
    fn drop(&mut self) {
        // Each holds the list that it is on.
        drop(self.waiters.take_pending());
    }
}
