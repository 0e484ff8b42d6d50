//! A file descriptor reserved for the case that no others are left (EMFILE).

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;

use wharf_core::lock;

/// Clients that are rejected at a time.
const REJECTED_MAX: usize = 64;

/// A second descriptor of a listener. When no descriptors are left, it is closed for a moment, so
/// that pending clients can be accepted, sent the reason, and closed; otherwise they would wait
/// until their own timeout.
pub(super) struct ReserveFd(Mutex<ReserveState>);

struct ReserveState {
    listener: TcpListener,
    spare: Option<TcpListener>,
}

impl ReserveFd {
    /// Over a listener that is nonblocking.
    pub(super) fn new(listener: &TcpListener) -> io::Result<Self> {
        // One to accept with and one to close; the regular accept loop has its own.
        let (listener, spare) = (listener.try_clone()?, Some(listener.try_clone()?));
        Ok(Self(Mutex::new(ReserveState { listener, spare })))
    }

    /// Rejects pending clients if no descriptor is left; returns their addresses.
    pub(super) fn reject_pending(&self, words: &[u8]) -> Vec<SocketAddr> {
        let mut state = lock(&self.0);
        let mut peers = Vec::new();
        // If a descriptor is available, the failure was another, temporary one.
        if state.listener.try_clone().is_ok() {
            return peers;
        }
        drop(state.spare.take());
        while peers.len() < REJECTED_MAX {
            let Ok((mut stream, peer)) = state.listener.accept() else { break };
            // The send buffer of a new connection holds one line; do not wait.
            let _ = stream.set_nonblocking(true).and_then(|()| stream.write_all(words));
            peers.push(peer);
        }
        state.spare = state.listener.try_clone().ok();
        peers
    }
}
