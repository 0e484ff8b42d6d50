//! Ports that no other test or proof uses, even in other processes.

use std::fs::File;
use std::net::TcpListener;
use std::ops::RangeInclusive;

/// Below the ephemeral port range of Linux (32768 on), so that no client uses a port of a server.
const FIRST: u16 = 26_000;
/// Ports per block.
const SIZE: u16 = 80;
const BLOCKS: u16 = 40;

/// A block of ports, reserved until it is dropped, by a lock on a file shared by all processes.
#[derive(Debug)]
pub(crate) struct PortBlock {
    first: u16,
    _lock: File,
}

impl PortBlock {
    /// Reserves the first free block.
    pub(crate) fn take() -> Result<Self, String> {
        let folder = std::env::temp_dir().join("wharf-prove-ports");
        crate::prove::folder::make(&folder)?;
        for block in 0..BLOCKS {
            let first = FIRST + block * SIZE;
            let path = folder.join(first.to_string());
            let lock = File::create(&path)
                .map_err(|error| format!("cannot make {}: {error}", path.display()))?;
            if lock.try_lock().is_ok() && (first..first + SIZE).all(is_free) {
                return Ok(Self { first, _lock: lock });
            }
        }
        Err(format!("no {SIZE} consecutive free ports from {FIRST} on"))
    }

    /// The control port of the server.
    pub(crate) fn control(&self) -> u16 {
        self.first
    }

    /// The passive ports of the server.
    pub(crate) fn passive(&self) -> RangeInclusive<u16> {
        self.first + 8..=self.first + SIZE - 1
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
