//! Leases of passive data ports.

mod passive_listener;
mod unexpected;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};

use ipnet::IpNet;

use self::passive_listener::{PassiveListener, Sharing};
use crate::admission::Neighbour;
use crate::net::{Net, at_port};
use crate::tls::Acceptor;

pub(crate) use self::passive_listener::{Arrived, Came, Claim};
pub(crate) use self::unexpected::UnexpectedPeers;

/// Each port that is kept is a descriptor that nobody uses.
const KEPT_MAX: usize = 256;
/// Ports that one address may have to itself, unless it is of a near network. Its sessions have one
/// each; more of them can only share a port, told apart by TLS.
const OF_ADDRESS_MAX: usize = 64;

/// The ports of the passive range, and which of them are out on lease.
pub(crate) struct Ports {
    range: RangeInclusive<u16>,
    terms: RwLock<Terms>,
    open: Mutex<Open>,
    /// What a session's last transfer left for its next one, by the session's number. Whoever finds
    /// no other port takes one from here.
    kept: Mutex<BTreeMap<u64, Lease>>,
}

/// What may change while serving.
struct Terms {
    near: Vec<IpNet>,
    tls: Option<Arc<Acceptor>>,
}

#[derive(Default)]
struct Open {
    /// Where we listen, or are about to.
    listeners: BTreeMap<SocketAddr, Weak<PassiveListener>>,
    of_address: HashMap<Neighbour, usize>,
}

/// A place at a listening data port, for one session. The port is closed when the last one who has
/// a place there drops it.
pub(crate) struct Lease {
    session: u64,
    peer: IpAddr,
    listener: Arc<PassiveListener>,
    _counted: Option<Counted>,
}

/// A port that is open, or about to be, as long as this lives.
struct Reserved {
    address: SocketAddr,
    ports: Weak<Ports>,
}

/// One of the ports that an address may have to itself.
struct Counted {
    neighbour: Neighbour,
    ports: Weak<Ports>,
}

impl Ports {
    pub(crate) fn new(
        range: RangeInclusive<u16>,
        near: Vec<IpNet>,
        tls: Option<Arc<Acceptor>>,
    ) -> Arc<Self> {
        let terms = RwLock::new(Terms { near, tls });
        Arc::new(Self { range, terms, open: Mutex::default(), kept: Mutex::default() })
    }

    /// Ports that open from now on are on these terms. Those that are in use stay as they are.
    pub(crate) fn adopt(&self, near: Vec<IpNet>, tls: Option<Arc<Acceptor>>) {
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = Terms { near, tls };
        self.all_kept().clear();
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
        claim: &Claim,
    ) -> Option<Lease> {
        let mut counted = self.count(claim.peer);
        if counted.is_none() && self.drop_kept_of(claim.peer) {
            counted = self.count(claim.peer);
        }
        let Some(counted) = counted else { return self.share(at, claim, None) };
        loop {
            if let Some(listener) = self.open_listener(net, at, claim).await {
                return Some(Lease::new(claim, Arc::new(listener), Some(counted)).listed(self));
            }
            // A port that a session keeps for later is free for one that needs it now.
            let kept = self.all_kept().pop_first();
            if kept.is_none() {
                return self.share(at, claim, Some(counted));
            }
        }
    }

    async fn open_listener(
        self: &Arc<Self>,
        net: &dyn Net,
        at: SocketAddr,
        claim: &Claim,
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
                let tls = self.terms().tls.clone();
                return Some(PassiveListener::new(listener, tls, reserved, claim.clone()));
            }
        }
        None
    }

    /// A place beside others, where this session is told from them best and they are fewest.
    fn share(
        self: &Arc<Self>,
        at: SocketAddr,
        claim: &Claim,
        counted: Option<Counted>,
    ) -> Option<Lease> {
        let listeners: Vec<_> =
            self.all_open().listeners.values().filter_map(Weak::upgrade).collect();
        let near = |listener: &&Arc<PassiveListener>| at_port(listener.address(), at.port()) == at;
        let ranked = listeners.iter().filter(near).filter_map(|listener| {
            let (sharing, sessions) = listener.sharing(claim)?;
            let is_open = counted.is_some() || sharing != Sharing::Addresses;
            is_open.then_some((sharing, sessions, listener))
        });
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by_key(|(sharing, sessions, _)| (*sharing, *sessions));
        let listener = ranked
            .into_iter()
            .find_map(|(.., listener)| listener.join(claim).then_some(listener))?;
        Some(Lease::new(claim, Arc::clone(listener), counted))
    }

    /// Keeps a port for the next transfer of the same session, which saves making another. One
    /// that others have too is left to them.
    pub(crate) fn keep(&self, lease: Lease) {
        let mut kept = self.all_kept();
        if kept.len() < KEPT_MAX && lease.listener.keep() {
            kept.insert(lease.session, lease);
        }
    }

    /// The port that was kept for a session, or another one. It was told to nobody meanwhile, so
    /// if anyone has connected to it, somebody tries ports, and another is taken if there is one.
    pub(crate) async fn lease_again(
        self: &Arc<Self>,
        net: &dyn Net,
        at: SocketAddr,
        claim: &Claim,
    ) -> Option<Lease> {
        let kept = self.all_kept().remove(&claim.session);
        match kept {
            Some(kept) if kept.listener.is_untouched() => {
                kept.listener.take_again(claim.clone());
                Some(kept)
            }
            Some(touched) => {
                if let Some(other) = self.lease(net, at, claim).await {
                    return Some(other);
                }
                drop(touched);
                self.lease(net, at, claim).await
            }
            None => self.lease(net, at, claim).await,
        }
    }

    /// Forgets what was kept for a session.
    pub(crate) fn forget(&self, session: u64) {
        drop(self.all_kept().remove(&session));
    }

    /// Closes one port that is kept for a session of this address.
    fn drop_kept_of(&self, peer: IpAddr) -> bool {
        let mut kept = self.all_kept();
        let alike = |lease: &Lease| Neighbour::from(lease.peer) == Neighbour::from(peer);
        let session = kept.iter().find(|(_, lease)| alike(lease)).map(|(session, _)| *session);
        let lease = session.and_then(|session| kept.remove(&session));
        drop(kept);
        lease.is_some()
    }

    fn all_kept(&self) -> MutexGuard<'_, BTreeMap<u64, Lease>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn count(self: &Arc<Self>, peer: IpAddr) -> Option<Counted> {
        let is_near = self.terms().near.iter().any(|network| network.contains(&peer));
        let neighbour = Neighbour::from(peer);
        let mut open = self.all_open();
        let count = open.of_address.entry(neighbour).or_default();
        if *count >= OF_ADDRESS_MAX && !is_near {
            return None;
        }
        *count += 1;
        Some(Counted { neighbour, ports: Arc::downgrade(self) })
    }

    fn terms(&self) -> RwLockReadGuard<'_, Terms> {
        self.terms.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many ports are out on lease, those apart that are only kept.
    pub(crate) fn leased(&self) -> usize {
        let kept = self.all_kept().len();
        self.all_open().listeners.len().saturating_sub(kept)
    }
}

impl Lease {
    fn new(claim: &Claim, listener: Arc<PassiveListener>, counted: Option<Counted>) -> Self {
        Self { session: claim.session, peer: claim.peer, listener, _counted: counted }
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
    pub(crate) fn has_come(&self) -> bool {
        self.listener.has_come(self.session)
    }

    /// The next connection for this session, or of an unexpected peer. Cancel safe.
    pub(crate) async fn next(&self) -> std::io::Result<Came> {
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

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(ports) = self.ports.upgrade() else { return };
        let mut open = ports.all_open();
        match open.of_address.get_mut(&self.neighbour) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.of_address.remove(&self.neighbour);
            }
        }
    }
}

#[cfg(test)]
mod tests;
