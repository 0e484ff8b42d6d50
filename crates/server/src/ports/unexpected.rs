//! Peers that connect to a data port at which the server does not wait for them.

use std::net::IpAddr;
use std::time::Duration;

/// So many are closed one right after the other; then accepting pauses.
const AT_ONCE: usize = 64;
/// The pause. With `AT_ONCE` this bounds the rate to 6,400 a second: a flood costs a small part of
/// a processor, and the backlog of the system does not fill up, so that the client whose
/// connection waits in the middle of it has its turn.
const PAUSE: Duration = Duration::from_millis(10);
/// Addresses that are remembered; all are counted.
const ADDRESSES_MAX: usize = 16;

/// Who came unexpectedly to the data port of one transfer.
#[derive(Debug, Default)]
pub(crate) struct UnexpectedPeers {
    addresses: Vec<IpAddr>,
    count: usize,
}

impl UnexpectedPeers {
    /// One more. Says how long to wait before the next one is accepted.
    pub(crate) fn note(&mut self, address: IpAddr) -> Option<Duration> {
        if self.addresses.len() < ADDRESSES_MAX {
            self.addresses.push(address);
        }
        self.count = self.count.saturating_add(1);
        self.count.is_multiple_of(AT_ONCE).then_some(PAUSE)
    }

    /// The addresses of the first ones.
    pub(crate) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}
