//! Leases of passive data ports.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use crate::net::{Listener, Net, Socket, at_port};

/// The ports of the passive range, and which of them are out on lease.
pub(crate) struct Ports {
    range: RangeInclusive<u16>,
    leased: Mutex<HashSet<u16>>,
}

/// One listening data port. Dropping it closes the listener and frees the port.
pub(crate) struct Lease {
    listener: Box<dyn Listener>,
    port: u16,
    ports: Arc<Ports>,
}

impl Ports {
    pub(crate) fn new(range: RangeInclusive<u16>) -> Arc<Self> {
        Arc::new(Self { range, leased: Mutex::new(HashSet::new()) })
    }

    /// Listens at the address of `at` on a free port of the range, chosen by chance so that nobody
    /// can wait for it.
    ///
    /// A port that the system does not give (another program has it, Windows has reserved it) is
    /// passed over. Nothing is returned when the whole range was tried: never a port outside it.
    pub(crate) async fn lease(self: &Arc<Self>, net: &dyn Net, at: SocketAddr) -> Option<Lease> {
        let (first, last) = (u32::from(*self.range.start()), u32::from(*self.range.end()));
        let count = last.checked_sub(first)? + 1;
        let mut chance = [0; 4];
        net.random(&mut chance);
        let start = u32::from_ne_bytes(chance) % count;
        for step in 0..count {
            let port = u16::try_from(first + (start + step) % count).ok()?;
            if !self.reserve(port) {
                continue;
            }
            match net.listen_data(at_port(at, port)).await {
                Ok(listener) => return Some(Lease { listener, port, ports: Arc::clone(self) }),
                Err(_) => self.free(port),
            }
        }
        None
    }

    fn reserve(&self, port: u16) -> bool {
        self.leased.lock().unwrap_or_else(PoisonError::into_inner).insert(port)
    }

    fn free(&self, port: u16) {
        self.leased.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
    }

    /// How many ports are out on lease.
    pub(crate) fn leased(&self) -> usize {
        self.leased.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Lease {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The next connection to this port, whoever it is. Cancel safe.
    pub(crate) async fn accept(&self) -> std::io::Result<Socket> {
        self.listener.accept().await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ports.free(self.port);
    }
}
