//! Peers that connect to a data port on which the server does not expect them.

use std::net::IpAddr;
use std::time::Duration;

/// So many are closed in a row; then accepting pauses.
const AT_ONCE: usize = 64;
/// The pause. With `AT_ONCE` this bounds the rate to 6,400 a second: a flood costs a small part of
/// a processor, and the backlog does not fill up, so that the connection of the client is accepted
/// in the middle of it.
const PAUSE: Duration = Duration::from_millis(10);
/// Addresses that are stored; all peers are counted.
const ADDRESSES_MAX: usize = 16;

/// The unexpected peers of one transfer.
#[derive(Debug, Default)]
pub(crate) struct UnexpectedPeers {
    addresses: Vec<IpAddr>,
    count: usize,
}

impl UnexpectedPeers {
    /// Records a peer. Returns how long to wait before the next accept.
    pub(crate) fn note(&mut self, address: IpAddr) -> Option<Duration> {
        if self.addresses.len() < ADDRESSES_MAX {
            self.addresses.push(address);
        }
        self.count = self.count.saturating_add(1);
        self.count.is_multiple_of(AT_ONCE).then_some(PAUSE)
    }

    /// The addresses of the first peers.
    pub(crate) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The number of peers.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}
