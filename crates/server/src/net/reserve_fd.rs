//! A descriptor that is saved for the time when there are no others.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Clients that are turned away at a time.
const REJECTED_MAX: usize = 64;

/// A second descriptor of a listener. When the system gives no more, it is given up for a moment,
/// so that those who wait can be accepted, told why, and closed: else they would wait without a
/// word until they give up.
pub(super) struct ReserveFd(Mutex<ReserveState>);

struct ReserveState {
    listener: TcpListener,
    spare: Option<TcpListener>,
}

impl ReserveFd {
    /// Over a listener that is nonblocking.
    pub(super) fn new(listener: &TcpListener) -> io::Result<Self> {
        // One to accept with and one to give up: whoever accepts otherwise has its own.
        let (listener, spare) = (listener.try_clone()?, Some(listener.try_clone()?));
        Ok(Self(Mutex::new(ReserveState { listener, spare })))
    }

    /// Turns away who waits, if nothing else can be opened; says who they were.
    pub(super) fn reject_pending(&self, words: &[u8]) -> Vec<SocketAddr> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut peers = Vec::new();
        // As long as a descriptor can be had the failure was another one, and will pass.
        if state.listener.try_clone().is_ok() {
            return peers;
        }
        drop(state.spare.take());
        while peers.len() < REJECTED_MAX {
            let Ok((mut stream, peer)) = state.listener.accept() else { break };
            // A new connection has room for one line; nobody is waited for.
            let _ = stream.set_nonblocking(true).and_then(|()| stream.write_all(words));
            peers.push(peer);
        }
        state.spare = state.listener.try_clone().ok();
        peers
    }
}
