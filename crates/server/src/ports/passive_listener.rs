//! One passive port, and the sessions that wait on it.
//!
//! Sessions of different addresses are distinguished by the source address of a connection,
//! sessions of one address by the TLS session that it resumes. While a port belongs to one session,
//! that session accepts its own connections. When a second one joins, a task of the port accepts
//! for all of them, so that no session can block the others.

mod accept_task;
mod waiters;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use ipnet::IpNet;
use tokio_rustls::server::TlsStream;

use self::accept_task::AcceptTask;
use self::waiters::Waiters;
use wharf_core::lock;

use super::Reserved;
use crate::net::{Listener, Socket, TlsTransport};
use crate::tls::{Acceptor, BindingId};

/// Pending connections that are accepted when another session joins, at most.
const BACKLOG_MAX: usize = 1024;

/// The session that waits for a data connection, and how to recognise that connection.
#[derive(Clone, Debug)]
pub(crate) struct DataConnIdentity {
    /// The session's number.
    pub(crate) session: u64,
    /// The client's address.
    pub(crate) peer: IpAddr,
    /// With PROT P: the binding that TLS sessions of this client carry.
    pub(crate) binding_id: Option<BindingId>,
    /// Whether its data connections have resumed its TLS session; `None` before the first.
    pub(crate) resumes: Option<bool>,
    /// The proxies through which its control connection may have come; empty for a direct one.
    pub(crate) proxies: Arc<[IpNet]>,
}

/// How sessions on one port are distinguished, the most reliable way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sharing {
    /// All have different addresses.
    Addresses,
    /// Some have the same, and their clients are known to resume.
    ProvenTls,
    /// Some have the same, and it is not known yet whether their clients resume.
    UnprovenTls,
}

/// A data connection accepted for a session.
pub(crate) enum AcceptedConn {
    /// As it came.
    Plain(Socket),
    /// Identified by the TLS session that it resumed; the handshake is complete.
    Authenticated(Box<TlsStream<TlsTransport>>),
}

/// An event on a passive port.
pub(crate) enum PortEvent {
    /// A connection for the waiting session.
    Accepted(AcceptedConn),
    /// A connection from an address for which no session waits. It was closed.
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
        // The header of a proxy must be read before the client is known.
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

    /// How one more session could be distinguished from the present ones, and their number; `None`
    /// if it could not.
    pub(super) fn sharing(&self, identity: &DataConnIdentity) -> Option<(Sharing, usize)> {
        self.waiters.sharing(identity)
    }

    /// Adds a session if it can be distinguished from the others.
    pub(super) fn join(&self, identity: &DataConnIdentity) -> bool {
        // A connection for a session that has left must not be given to the one that joins.
        let joined = self.dispatch_backlog() && self.waiters.join(identity);
        if joined {
            self.start_task();
        }
        joined
    }

    /// Starts the accept task even for a single session, so that the backlog cannot fill up while
    /// the session waits for a command.
    pub(super) fn watch(&self) {
        self.waiters.share();
        self.start_task();
    }

    fn start_task(&self) {
        let mut task = lock(&self.task);
        if task.is_none() {
            let (listener, waiters) = (Arc::clone(&self.listener), Arc::clone(&self.waiters));
            *task = Some(AcceptTask::spawn(listener, waiters));
        }
    }

    /// Dispatches pending connections, and closes unexpected ones. Returns whether the backlog is
    /// empty; false if accepting fails.
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

    /// Accepts a pending connection without waiting.
    fn poll_listener(&self) -> Poll<io::Result<Socket>> {
        pin!(self.listener.accept()).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Whether no connection is pending. For a port with a single session.
    pub(super) fn is_untouched(&self) -> bool {
        self.poll_listener().is_pending()
    }

    /// Whether a connection has arrived that is, or may be, for a session, and was not used.
    pub(super) fn has_arrived(&self, session: u64) -> bool {
        self.dispatch_backlog();
        self.waiters.has_arrived(session)
    }

    /// Retains the port for its only session; not if it was shared.
    pub(super) fn retain(&self) -> bool {
        self.waiters.retain()
    }

    /// Assigns a retained port to its session again.
    pub(super) fn reuse(&self, identity: DataConnIdentity) {
        self.waiters.reuse(identity);
    }

    pub(super) fn leave(&self, session: u64) {
        self.waiters.leave(session);
    }

    /// The number of sessions.
    #[cfg(test)]
    pub(super) fn sessions(&self) -> usize {
        self.waiters.sessions()
    }

    /// Connections of the session's address that resumed no TLS session although they had to.
    pub(super) fn unproven(&self, session: u64) -> usize {
        self.waiters.unproven(session)
    }

    /// Waits for the next connection for a session, or of an unexpected peer. Cancel safe.
    pub(super) async fn next(&self, session: u64) -> io::Result<PortEvent> {
        self.waiters.next(session, &*self.listener).await
    }
}

impl Drop for PassiveListener {
    fn drop(&mut self) {
        // Each future holds an `Arc` to the list that contains it.
        drop(self.waiters.take_pending());
    }
}
