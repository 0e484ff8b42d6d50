//! Sessions that have a passive port and no connection on it yet.
//!
//! Sessions of one address without TLS cannot share a port. If the range is in use, a port on which
//! no connection arrives is taken from its session for another one of that address, so that a
//! client that never connects does not stop the others behind the same address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use wharf_core::lock;

use super::Ports;
use crate::admission::ClientPrefix;

/// How long a session has a port without a connection, although others of its address wait. Several
/// round trips of a slow network, and one TCP retransmission.
const UNCONNECTED_MAX: Duration = Duration::from_secs(3);

/// The sessions whose data connection has not arrived, by session number.
#[derive(Default)]
pub(super) struct Unconnected(Mutex<BTreeMap<u64, PortHolder>>);

struct PortHolder {
    prefix: ClientPrefix,
    since: Instant,
    revoked: Arc<Notify>,
}

/// Registers a session as one without a data connection while it lives.
pub(crate) struct AwaitedConn {
    session: u64,
    revoked: Arc<Notify>,
    ports: Weak<Ports>,
}

impl Unconnected {
    /// Revokes the port of the session of this address that has been without a connection longest,
    /// if it has had its time.
    pub(super) fn revoke_oldest(&self, peer: IpAddr) {
        let (prefix, now) = (ClientPrefix::from(peer), Instant::now());
        let mut holders = lock(&self.0);
        let alike = holders.iter().filter(|(_, holder)| holder.prefix == prefix);
        let oldest = alike.min_by_key(|(_, holder)| holder.since);
        let due = oldest.filter(|(_, holder)| now >= holder.since + UNCONNECTED_MAX);
        if let Some(holder) = due.map(|(session, _)| *session).and_then(|key| holders.remove(&key))
        {
            holder.revoked.notify_one();
        }
    }
}

impl Ports {
    /// Registers a session that has announced its port, until the result is dropped.
    pub(crate) fn await_connection(self: &Arc<Self>, session: u64, peer: IpAddr) -> AwaitedConn {
        let revoked = Arc::new(Notify::new());
        let holder = PortHolder {
            prefix: ClientPrefix::from(peer),
            since: Instant::now(),
            revoked: Arc::clone(&revoked),
        };
        lock(&self.unconnected.0).insert(session, holder);
        AwaitedConn { session, revoked, ports: Arc::downgrade(self) }
    }
}

impl AwaitedConn {
    /// Waits until another session needs the port. Once only. Cancel safe.
    pub(crate) async fn revoked(&self) {
        self.revoked.notified().await;
    }
}

impl Drop for AwaitedConn {
    fn drop(&mut self) {
        let Some(ports) = self.ports.upgrade() else { return };
        let mut holders = lock(&ports.unconnected.0);
        // The session may have announced another port meanwhile.
        if holders
            .get(&self.session)
            .is_some_and(|holder| Arc::ptr_eq(&holder.revoked, &self.revoked))
        {
            holders.remove(&self.session);
        }
    }
}
