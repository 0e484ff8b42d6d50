//! Ports that no other test uses, also when each test is a process of its own.

use std::fs::File;
use std::net::TcpListener;
use std::ops::RangeInclusive;

/// Below the range from which systems take the ports of outgoing connections (Linux: 32768, Windows
/// and macOS: 49152), else a client could sit on a port that a server needs.
const FIRST: u16 = 10_000;
/// Ports of one block.
const SIZE: u16 = 40;
const BLOCKS: u16 = 400;

/// A block of ports, held until dropped, by a lock on a file that all test processes know.
pub(crate) struct Ports {
    first: u16,
    _lock: File,
}

impl Ports {
    /// Takes the first block that is free.
    pub(crate) fn take() -> Self {
        let folder = std::env::temp_dir().join("wharf-test-ports");
        std::fs::create_dir_all(&folder).expect("the folder for locks can be made");
        for block in 0..BLOCKS {
            let first = FIRST + block * SIZE;
            let lock = File::create(folder.join(first.to_string())).expect("a lock can be made");
            if lock.try_lock().is_ok() && (first..first + SIZE).all(is_free) {
                return Self { first, _lock: lock };
            }
        }
        panic!("no {SIZE} ports in a row are free");
    }

    /// Where the server listens.
    pub(crate) fn control(&self) -> u16 {
        self.first
    }

    /// Where the server listens for implicit TLS.
    pub(crate) fn implicit(&self) -> u16 {
        self.first + 1
    }

    /// Where a second server, or a second listener, may listen.
    pub(crate) fn spare(&self) -> u16 {
        self.first + 2
    }

    /// What the server may use for data.
    pub(crate) fn passive(&self) -> RangeInclusive<u16> {
        self.first + 8..=self.first + SIZE - 1
    }
}

fn is_free(port: u16) -> bool {
    ["127.0.0.1", "::1"].iter().all(|&address| TcpListener::bind((address, port)).is_ok())
}
