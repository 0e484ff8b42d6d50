//! Leases of passive data ports.

mod passive_listener;
mod unexpected;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::debug;

use self::passive_listener::{PassiveListener, Sharing};
use wharf_core::lock;

use crate::admission::ClientPrefix;
use crate::net::{Net, at_port};
use crate::tls::Acceptor;

pub(crate) use self::passive_listener::{AcceptedConn, DataConnIdentity, PortEvent};
pub(crate) use self::unexpected::UnexpectedPeers;

/// Each retained port costs an unused file descriptor.
const RETAINED_MAX: usize = 256;
/// Unshared ports per client address, except for local networks. Each session has one; further
/// sessions can only share a port, distinguished by TLS.
const PER_ADDRESS_MAX: usize = 64;
/// How long a session waits for a port that another one releases.
const LEASE_WAIT_MAX: Duration = Duration::from_secs(5);
/// How often it tries in any case: a release may have woken a session that could not use the port.
const LEASE_RETRY: Duration = Duration::from_millis(250);

/// The ports of the passive range, and which of them are in use.
pub(crate) struct Ports {
    range: RangeInclusive<u16>,
    config: RwLock<PassiveConfig>,
    open: Mutex<OpenPorts>,
    /// Ports retained for the next transfer of a session, by session number. They are released if
    /// no other port is free.
    retained: Mutex<BTreeMap<u64, Lease>>,
    /// Sessions that wait for a port, in order of arrival.
    queue: LeaseQueue,
}

#[derive(Default)]
struct LeaseQueue {
    released: Notify,
    waiting: AtomicUsize,
}

/// Settings that may change while serving.
struct PassiveConfig {
    local_networks: Vec<IpNet>,
    tls: Option<Arc<Acceptor>>,
}

#[derive(Default)]
struct OpenPorts {
    /// Open ports, and those that are being opened.
    listeners: BTreeMap<SocketAddr, Weak<PassiveListener>>,
    per_address: HashMap<ClientPrefix, usize>,
}

/// The use of a passive port by one session. The port is closed when the last lease is dropped.
pub(crate) struct Lease {
    session: u64,
    peer: IpAddr,
    listener: Arc<PassiveListener>,
    _counted: Option<AddressSlot>,
    /// Last, so that the port is free or can be shared.
    _wakes_first: WakesFirst,
}

/// Wakes the first waiting session when it is dropped.
struct WakesFirst(Weak<Ports>);

/// Marks a port as in use while it lives.
struct Reserved {
    address: SocketAddr,
    ports: Weak<Ports>,
}

/// Counts one unshared port of a client address.
struct AddressSlot {
    prefix: ClientPrefix,
    ports: Weak<Ports>,
}

impl Ports {
    pub(crate) fn new(
        range: RangeInclusive<u16>,
        local_networks: Vec<IpNet>,
        tls: Option<Arc<Acceptor>>,
    ) -> Arc<Self> {
        let config = RwLock::new(PassiveConfig { local_networks, tls });
        Arc::new(Self {
            range,
            config,
            open: Mutex::default(),
            retained: Mutex::default(),
            queue: LeaseQueue::default(),
        })
    }

    /// Applies settings to ports opened from now on. Ports in use stay as they are.
    pub(crate) fn adopt(&self, local_networks: Vec<IpNet>, tls: Option<Arc<Acceptor>>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) =
            PassiveConfig { local_networks, tls };
        self.all_retained().clear();
    }

    /// Leases a free port of the range at the address of `at`, chosen at random so that it cannot
    /// be predicted.
    ///
    /// A port that cannot be bound (in use by another program, reserved by Windows) is skipped.
    /// When the range is exhausted, a port is shared with sessions that can be distinguished from
    /// this one by address or TLS. Otherwise `None`: never a port outside the range.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        net: &dyn Net,
        at: SocketAddr,
        identity: &DataConnIdentity,
    ) -> Option<Lease> {
        let mut slot = self.count(identity.peer);
        if slot.is_none() && self.drop_retained_of(identity.peer) {
            slot = self.count(identity.peer);
        }
        let Some(slot) = slot else { return self.share(at, identity, None) };
        loop {
            if let Some(listener) = self.open_listener(net, at, identity).await {
                return Some(Lease::new(identity, Arc::new(listener), Some(slot)).listed(self));
            }
            // A retained port is released for a session that needs one now.
            let retained = self.all_retained().pop_first();
            if retained.is_none() {
                return self.share(at, identity, Some(slot));
            }
        }
    }

    async fn open_listener(
        self: &Arc<Self>,
        net: &dyn Net,
        at: SocketAddr,
        identity: &DataConnIdentity,
    ) -> Option<PassiveListener> {
        let (first, last) = (u32::from(*self.range.start()), u32::from(*self.range.end()));
        let count = last.checked_sub(first)? + 1;
        let mut chance = [0; 4];
        net.random(&mut chance);
        let start = u32::from_ne_bytes(chance) % count;
        for step in 0..count {
            let port = u16::try_from(first + (start + step) % count).ok()?;
            let Some(reserved) = self.reserve(at_port(at, port)) else { continue };
            if let Ok(listener) = net.listen_data(reserved.address).await {
                let tls = self.config().tls.clone();
                return Some(PassiveListener::new(listener, tls, reserved, identity.clone()));
            }
        }
        None
    }

    /// Shares a port: the one where sessions are distinguished most reliably, then the one with the
    /// fewest sessions.
    fn share(
        self: &Arc<Self>,
        at: SocketAddr,
        identity: &DataConnIdentity,
        slot: Option<AddressSlot>,
    ) -> Option<Lease> {
        let listeners: Vec<_> =
            self.all_open().listeners.values().filter_map(Weak::upgrade).collect();
        let local_networks =
            |listener: &&Arc<PassiveListener>| at_port(listener.address(), at.port()) == at;
        let ranked = listeners.iter().filter(local_networks).filter_map(|listener| {
            let (sharing, sessions) = listener.sharing(identity)?;
            let is_open = slot.is_some() || sharing != Sharing::Addresses;
            is_open.then_some((sharing, sessions, listener))
        });
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by_key(|(sharing, sessions, _)| (*sharing, *sessions));
        let listener = ranked
            .into_iter()
            .find_map(|(.., listener)| listener.join(identity).then_some(listener))?;
        Some(Lease::new(identity, Arc::clone(listener), slot))
    }

    /// Retains a port for the next transfer of the session, which saves opening another. A shared
    /// port is not retained.
    pub(crate) fn retain(&self, lease: Lease) {
        if self.queue.waiting.load(Ordering::Relaxed) > 0 {
            return;
        }
        let mut retained = self.all_retained();
        if retained.len() < RETAINED_MAX && lease.listener.retain() {
            retained.insert(lease.session, lease);
        }
    }

    /// As [`Self::lease_retained`], and waits a bounded time while there is no port. Cancel safe.
    pub(crate) async fn lease_in_turn(
        self: &Arc<Self>,
        net: &dyn Net,
        at: SocketAddr,
        identity: &DataConnIdentity,
    ) -> Option<Lease> {
        if let Some(lease) = self.lease_retained(net, at, identity).await {
            return Some(lease);
        }
        let _queued = self.queue.enter();
        let wait = async {
            loop {
                let released = self.queue.released.notified();
                if let Some(lease) = self.lease(net, at, identity).await {
                    return lease;
                }
                // A timeout only repeats the attempt.
                let _ = timeout(LEASE_RETRY, released).await;
            }
        };
        timeout(LEASE_WAIT_MAX, wait).await.ok()
    }

    /// The port retained for a session, or another one. It was not announced meanwhile, so a
    /// connection to it is a port scan; then another port is taken if one is free.
    async fn lease_retained(
        self: &Arc<Self>,
        net: &dyn Net,
        at: SocketAddr,
        identity: &DataConnIdentity,
    ) -> Option<Lease> {
        let retained = self.all_retained().remove(&identity.session);
        match retained {
            Some(retained) if retained.listener.is_untouched() => {
                debug!(address = %retained.listener.address(), "passive port reused");
                retained.listener.reuse(identity.clone());
                Some(retained)
            }
            Some(touched) => {
                if let Some(other) = self.lease(net, at, identity).await {
                    return Some(other);
                }
                drop(touched);
                self.lease(net, at, identity).await
            }
            None => self.lease(net, at, identity).await,
        }
    }

    /// Releases the retained port of a session.
    pub(crate) fn release_retained(&self, session: u64) {
        drop(self.all_retained().remove(&session));
    }

    /// Closes one port that is retained for a session of this address.
    fn drop_retained_of(&self, peer: IpAddr) -> bool {
        let mut retained = self.all_retained();
        let alike = |lease: &Lease| ClientPrefix::from(lease.peer) == ClientPrefix::from(peer);
        let session = retained.iter().find(|(_, lease)| alike(lease)).map(|(session, _)| *session);
        let lease = session.and_then(|session| retained.remove(&session));
        drop(retained);
        lease.is_some()
    }

    fn all_retained(&self) -> MutexGuard<'_, BTreeMap<u64, Lease>> {
        lock(&self.retained)
    }

    fn reserve(self: &Arc<Self>, address: SocketAddr) -> Option<Reserved> {
        let mut open = self.all_open();
        if open.listeners.contains_key(&address) {
            return None;
        }
        open.listeners.insert(address, Weak::new());
        Some(Reserved { address, ports: Arc::downgrade(self) })
    }

    /// Counts one more unshared port of this address, within its limit.
    fn count(self: &Arc<Self>, peer: IpAddr) -> Option<AddressSlot> {
        let is_local = self.config().local_networks.iter().any(|network| network.contains(&peer));
        let prefix = ClientPrefix::from(peer);
        let mut open = self.all_open();
        let count = open.per_address.entry(prefix).or_default();
        if *count >= PER_ADDRESS_MAX && !is_local {
            return None;
        }
        *count += 1;
        Some(AddressSlot { prefix, ports: Arc::downgrade(self) })
    }

    fn config(&self) -> RwLockReadGuard<'_, PassiveConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_open(&self) -> MutexGuard<'_, OpenPorts> {
        lock(&self.open)
    }

    /// The number of ports in use, without retained ones.
    pub(crate) fn leased(&self) -> usize {
        let retained = self.all_retained().len();
        self.all_open().listeners.len().saturating_sub(retained)
    }
}

impl Lease {
    fn new(
        identity: &DataConnIdentity,
        listener: Arc<PassiveListener>,
        slot: Option<AddressSlot>,
    ) -> Self {
        debug!(address = %listener.address(), "passive port leased");
        let wakes_first = WakesFirst(Weak::clone(&listener.reserved.ports));
        Self {
            session: identity.session,
            peer: identity.peer,
            listener,
            _counted: slot,
            _wakes_first: wakes_first,
        }
    }

    /// Makes the port available for sharing.
    fn listed(self, ports: &Ports) -> Self {
        let listener = Arc::downgrade(&self.listener);
        ports.all_open().listeners.insert(self.listener.address(), listener);
        self
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.address().port()
    }

    /// The number of sessions on this port.
    #[cfg(test)]
    pub(crate) fn sessions(&self) -> usize {
        self.listener.sessions()
    }

    /// Connections that may have been for this session, but resumed no TLS session on a shared
    /// port.
    pub(crate) fn unproven(&self) -> usize {
        self.listener.unproven(self.session)
    }

    /// Starts the accept task of the port: see [`PassiveListener::watch`].
    pub(crate) fn watch(&self) {
        self.listener.watch();
    }

    /// Whether a connection has arrived for this session and was not used.
    pub(crate) fn has_arrived(&self) -> bool {
        self.listener.has_arrived(self.session)
    }

    /// Waits for the next connection for this session, or of an unexpected peer. Cancel safe.
    pub(crate) async fn next(&self) -> std::io::Result<PortEvent> {
        self.listener.next(self.session).await
    }
}

impl LeaseQueue {
    fn enter(&self) -> QueuedSession<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        QueuedSession(&self.waiting)
    }

    /// Wakes the session that has waited longest.
    fn wake_first(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.released.notify_one();
        }
    }
}

/// Counts one session in the queue while it lives.
struct QueuedSession<'a>(&'a AtomicUsize);

impl Drop for QueuedSession<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        debug!(address = %self.listener.address(), owner = self.session, "passive port released");
        self.listener.leave(self.session);
    }
}

impl Drop for WakesFirst {
    fn drop(&mut self) {
        if let Some(ports) = self.0.upgrade() {
            ports.queue.wake_first();
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(ports) = self.ports.upgrade() {
            ports.all_open().listeners.remove(&self.address);
        }
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let Some(ports) = self.ports.upgrade() else { return };
        let mut open = ports.all_open();
        match open.per_address.get_mut(&self.prefix) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.per_address.remove(&self.prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests;
