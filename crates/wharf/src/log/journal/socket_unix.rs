//! The journald socket.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::split;

/// A connection to journald.
#[derive(Debug)]
pub(crate) struct JournalSocket {
    path: PathBuf,
    socket: UnixDatagram,
}

impl JournalSocket {
    /// The path of the socket.
    pub(crate) const PLACE: &'static str = "/run/systemd/journal/socket";

    /// Connects to the socket at a path; `None` if no process listens there.
    pub(crate) fn open(path: &Path) -> Option<Self> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(path).ok()?;
        Some(Self { path: path.to_owned(), socket })
    }

    /// Sends entries, and returns how many were lost.
    pub(crate) fn write(&mut self, entries: &[u8]) -> u64 {
        let mut lost = 0;
        for entry in split(entries) {
            // journald may have been restarted with a new socket at the same path.
            let is_sent = self.socket.send(entry).is_ok()
                || (self.socket.connect(&self.path).is_ok() && self.socket.send(entry).is_ok());
            lost += u64::from(!is_sent);
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::record::{Level, LogRecord};
    use super::super::entry;
    use super::*;

    #[test]
    fn one_datagram_per_entry_also_after_journald_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert!(JournalSocket::open(&path).is_none());
        let taker = UnixDatagram::bind(&path).unwrap();
        let mut journal = JournalSocket::open(&path).unwrap();
        let entries: Vec<u8> = ["ready", "stopping"]
            .iter()
            .flat_map(|event| entry(&LogRecord::new(Level::Info, event)))
            .collect();
        assert_eq!(journal.write(&entries), 0);
        let mut buffer = [0; 4096];
        for event in ["ready", "stopping"] {
            let length = taker.recv(&mut buffer).unwrap();
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            assert!(text.contains(&format!("\nEVENT={event}\n")), "{text}");
        }
        drop(taker);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(journal.write(&entries), 2);
        let taker = UnixDatagram::bind(&path).unwrap();
        assert_eq!(journal.write(&entries), 0);
        assert!(taker.recv(&mut buffer).is_ok());
    }
}
