//! Leases of passive data ports.

mod passive_listener;
mod unexpected;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};

use ipnet::IpNet;

use self::passive_listener::{PassiveListener, Sharing};
use crate::admission::ClientPrefix;
use crate::net::{Net, at_port};
use crate::tls::Acceptor;

pub(crate) use self::passive_listener::{AcceptedConn, DataConnIdentity, PortEvent};
pub(crate) use self::unexpected::UnexpectedPeers;

/// Each port that is kept is a descriptor that nobody uses.
const RETAINED_MAX: usize = 256;
/// Ports that one address may have to itself, unless it is of a near network. Its sessions have one
/// each; more of them can only share a port, told apart by TLS.
const PER_ADDRESS_MAX: usize = 64;

/// The ports of the passive range, and which of them are out on lease.
pub(crate) struct Ports {
    range: RangeInclusive<u16>,
    config: RwLock<PassiveConfig>,
    open: Mutex<OpenPorts>,
    /// What a session's last transfer left for its next one, by the session's number. Whoever finds
    /// no other port takes one from here.
    retained: Mutex<BTreeMap<u64, Lease>>,
}

/// What may change while serving.
struct PassiveConfig {
    local_networks: Vec<IpNet>,
    tls: Option<Arc<Acceptor>>,
}

#[derive(Default)]
struct OpenPorts {
    /// Where we listen, or are about to.
    listeners: BTreeMap<SocketAddr, Weak<PassiveListener>>,
    per_address: HashMap<ClientPrefix, usize>,
}

/// A place at a listening data port, for one session. The port is closed when the last one who has
/// a place there drops it.
pub(crate) struct Lease {
    session: u64,
    peer: IpAddr,
    listener: Arc<PassiveListener>,
    _counted: Option<AddressSlot>,
}

/// A port that is open, or about to be, as long as this lives.
struct Reserved {
    address: SocketAddr,
    ports: Weak<Ports>,
}

/// One of the ports that an address may have to itself.
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
        Arc::new(Self { range, config, open: Mutex::default(), retained: Mutex::default() })
    }

    /// Ports that open from now on are on these terms. Those that are in use stay as they are.
    pub(crate) fn adopt(&self, local_networks: Vec<IpNet>, tls: Option<Arc<Acceptor>>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) =
            PassiveConfig { local_networks, tls };
        self.all_retained().clear();
    }

    /// A place at the address of `at`, on a free port of the range, chosen by chance so that nobody
    /// can wait for it.
    ///
    /// A port that the system does not give (another program has it, Windows has reserved it) is
    /// passed over. When the range is used up, a port is shared with sessions from which this one
    /// can be told: by its address, or by TLS. Nothing is returned where there is none: never a
    /// port outside the range.
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
            // A port that a session keeps for later is free for one that needs it now.
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

    /// A place beside others, where this session is told from them best and they are fewest.
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

    /// Keeps a port for the next transfer of the same session, which saves making another. One
    /// that others have too is left to them.
    pub(crate) fn retain(&self, lease: Lease) {
        let mut retained = self.all_retained();
        if retained.len() < RETAINED_MAX && lease.listener.retain() {
            retained.insert(lease.session, lease);
        }
    }

    /// The port that was kept for a session, or another one. It was told to nobody meanwhile, so
    /// if anyone has connected to it, somebody tries ports, and another is taken if there is one.
    pub(crate) async fn lease_retained(
        self: &Arc<Self>,
        net: &dyn Net,
        at: SocketAddr,
        identity: &DataConnIdentity,
    ) -> Option<Lease> {
        let retained = self.all_retained().remove(&identity.session);
        match retained {
            Some(retained) if retained.listener.is_untouched() => {
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

    /// Forgets what was kept for a session.
    pub(crate) fn release_retained(&self, session: u64) {
        drop(self.all_retained().remove(&session));
    }

    /// Closes one port that is kept for a session of this address.
    fn drop_retained_of(&self, peer: IpAddr) -> bool {
        let mut retained = self.all_retained();
        let alike = |lease: &Lease| ClientPrefix::from(lease.peer) == ClientPrefix::from(peer);
        let session = retained.iter().find(|(_, lease)| alike(lease)).map(|(session, _)| *session);
        let lease = session.and_then(|session| retained.remove(&session));
        drop(retained);
        lease.is_some()
    }

    fn all_retained(&self) -> MutexGuard<'_, BTreeMap<u64, Lease>> {
        self.retained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(self: &Arc<Self>, address: SocketAddr) -> Option<Reserved> {
        let mut open = self.all_open();
        if open.listeners.contains_key(&address) {
            return None;
        }
        open.listeners.insert(address, Weak::new());
        Some(Reserved { address, ports: Arc::downgrade(self) })
    }

    /// One more port for this address alone, if it may have it.
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
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many ports are out on lease, those apart that are only kept.
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
        Self { session: identity.session, peer: identity.peer, listener, _counted: slot }
    }

    /// Lets others find the port.
    fn listed(self, ports: &Ports) -> Self {
        let listener = Arc::downgrade(&self.listener);
        ports.all_open().listeners.insert(self.listener.address(), listener);
        self
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.address().port()
    }

    /// How many sessions have a place at this port.
    #[cfg(test)]
    pub(crate) fn sessions(&self) -> usize {
        self.listener.sessions()
    }

    /// How many connections might have been this session's, but resumed no TLS session although
    /// the port is shared.
    pub(crate) fn unproven(&self) -> usize {
        self.listener.unproven(self.session)
    }

    /// Has a task of the port accept from now on: see [`PassiveListener::watch`].
    pub(crate) fn watch(&self) {
        self.listener.watch();
    }

    /// Whether a connection has come for this session and was not taken.
    pub(crate) fn has_arrived(&self) -> bool {
        self.listener.has_arrived(self.session)
    }

    /// The next connection for this session, or of an unexpected peer. Cancel safe.
    pub(crate) async fn next(&self) -> std::io::Result<PortEvent> {
        self.listener.next(self.session).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.listener.leave(self.session);
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
