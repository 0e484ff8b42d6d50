//! Leases of passive data ports.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};

use crate::net::{Listener, Net, Socket, at_port};

/// Each port that is kept is a descriptor that nobody uses.
const KEPT_MAX: usize = 256;

/// The ports of the passive range, and which of them are out on lease.
pub(crate) struct Ports {
    range: RangeInclusive<u16>,
    leased: Mutex<HashSet<u16>>,
    /// What a session's last transfer left for its next one, by the session's number. Whoever finds
    /// no other port takes one from here.
    kept: Mutex<BTreeMap<u64, Lease>>,
}

/// One listening data port. Dropping it closes the listener and frees the port.
pub(crate) struct Lease {
    listener: Box<dyn Listener>,
    reserved: Reserved,
}

/// A port that nobody else gets as long as this lives.
struct Reserved {
    port: u16,
    ports: Weak<Ports>,
}

impl Ports {
    pub(crate) fn new(range: RangeInclusive<u16>) -> Arc<Self> {
        Arc::new(Self { range, leased: Mutex::default(), kept: Mutex::default() })
    }

    /// Listens at the address of `at` on a free port of the range, chosen by chance so that nobody
    /// can wait for it.
    ///
    /// A port that the system does not give (another program has it, Windows has reserved it) is
    /// passed over. Nothing is returned when the whole range was tried: never a port outside it.
    pub(crate) async fn lease(self: &Arc<Self>, net: &dyn Net, at: SocketAddr) -> Option<Lease> {
        loop {
            if let Some(lease) = self.try_lease(net, at).await {
                return Some(lease);
            }
            // A port that a session keeps for later is free for one that needs it now.
            self.all_kept().pop_first()?;
        }
    }

    async fn try_lease(self: &Arc<Self>, net: &dyn Net, at: SocketAddr) -> Option<Lease> {
        let (first, last) = (u32::from(*self.range.start()), u32::from(*self.range.end()));
        let count = last.checked_sub(first)? + 1;
        let mut chance = [0; 4];
        net.random(&mut chance);
        let start = u32::from_ne_bytes(chance) % count;
        for step in 0..count {
            let port = u16::try_from(first + (start + step) % count).ok()?;
            let Some(reserved) = self.reserve(port) else { continue };
            if let Ok(listener) = net.listen_data(at_port(at, port)).await {
                return Some(Lease { listener, reserved });
            }
        }
        None
    }

    /// Keeps a port for the next transfer of the same session, which saves making another.
    pub(crate) fn keep(&self, session: u64, lease: Lease) {
        let mut kept = self.all_kept();
        if kept.len() < KEPT_MAX {
            kept.insert(session, lease);
        }
    }

    /// The port that was kept for a session, or another one. It was told to nobody meanwhile, so
    /// if anyone has connected to it, somebody tries ports, and another is taken if there is one.
    pub(crate) async fn lease_again(
        self: &Arc<Self>,
        session: u64,
        net: &dyn Net,
        at: SocketAddr,
    ) -> Option<Lease> {
        let kept = self.all_kept().remove(&session);
        match kept {
            Some(kept) if kept.is_untouched() => Some(kept),
            Some(touched) => {
                if let Some(other) = self.lease(net, at).await {
                    return Some(other);
                }
                drop(touched);
                self.lease(net, at).await
            }
            None => self.lease(net, at).await,
        }
    }

    /// Forgets what was kept for a session.
    pub(crate) fn forget(&self, session: u64) {
        drop(self.all_kept().remove(&session));
    }

    fn all_kept(&self) -> MutexGuard<'_, BTreeMap<u64, Lease>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(self: &Arc<Self>, port: u16) -> Option<Reserved> {
        let is_new = self.all_leased().insert(port);
        is_new.then(|| Reserved { port, ports: Arc::downgrade(self) })
    }

    fn all_leased(&self) -> MutexGuard<'_, HashSet<u16>> {
        self.leased.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many ports are out on lease, those apart that are only kept.
    pub(crate) fn leased(&self) -> usize {
        let kept = self.all_kept().len();
        self.all_leased().len().saturating_sub(kept)
    }
}

impl Lease {
    pub(crate) fn port(&self) -> u16 {
        self.reserved.port
    }

    /// Whether nobody has connected that was not accepted yet.
    fn is_untouched(&self) -> bool {
        pin!(self.accept()).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// The next connection to this port, whoever it is. Cancel safe.
    pub(crate) async fn accept(&self) -> std::io::Result<Socket> {
        self.listener.accept().await
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(ports) = self.ports.upgrade() {
            ports.all_leased().remove(&self.port);
        }
    }
}
