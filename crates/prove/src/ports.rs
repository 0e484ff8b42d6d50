//! Ports that no other test or proof uses, also when each is a process of its own.

use std::fs::File;
use std::net::TcpListener;
use std::ops::RangeInclusive;

/// Below the range from which Linux takes the ports of outgoing connections (32768), else a client
/// could sit on a port that a server needs.
const FIRST: u16 = 26_000;
/// Ports of one block.
const SIZE: u16 = 80;
const BLOCKS: u16 = 40;

/// A block of ports, held until dropped, by a lock on a file that all such processes know.
#[derive(Debug)]
pub(crate) struct Ports {
    first: u16,
    _lock: File,
}

impl Ports {
    /// Takes the first block that is free.
    ///
    /// # Errors
    /// When all are taken.
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
        Err(format!("no {SIZE} ports in a row are free from {FIRST} on"))
    }

    /// Where the server listens.
    pub(crate) fn control(&self) -> u16 {
        self.first
    }

    /// What the server may use for data.
    pub(crate) fn passive(&self) -> RangeInclusive<u16> {
        self.first + 8..=self.first + SIZE - 1
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
