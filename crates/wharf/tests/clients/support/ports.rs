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

/// Blocks of ports in a row, held until dropped, by locks on files that all test processes use.
pub(crate) struct Ports {
    first: u16,
    size: u16,
    _locks: Vec<File>,
}

impl Ports {
    /// Takes the first so many blocks in a row that are free.
    pub(crate) fn take(blocks: u16) -> Self {
        let folder = std::env::temp_dir().join("wharf-test-ports");
        std::fs::create_dir_all(&folder).expect("the folder for locks can be made");
        let lock = |block: u16| {
            let first = FIRST + block * SIZE;
            let file = File::create(folder.join(first.to_string())).expect("a lock can be made");
            let is_ours = file.try_lock().is_ok() && (first..first + SIZE).all(is_free);
            is_ours.then_some(file)
        };
        for start in 0..=BLOCKS - blocks {
            if let Some(locks) = (start..start + blocks).map(lock).collect() {
                return Self { first: FIRST + start * SIZE, size: blocks * SIZE, _locks: locks };
            }
        }
        panic!("no {blocks} blocks of {SIZE} ports in a row are free");
    }

    /// One of the first eight ports, which are not for data.
    pub(crate) fn nth(&self, number: u16) -> u16 {
        assert!(number < OTHERS);
        self.first + number
    }

    /// What the server may use for data.
    pub(crate) fn passive(&self) -> RangeInclusive<u16> {
        self.first + OTHERS..=self.first + self.size - 1
    }
}

/// Leading ports that are not for data.
const OTHERS: u16 = 8;

fn is_free(port: u16) -> bool {
    ["127.0.0.1", "::1"].iter().all(|&address| TcpListener::bind((address, port)).is_ok())
}
