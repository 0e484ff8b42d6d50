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
    use super::super::super::line::LineFormat;
    use super::super::super::record::{Level, LogRecord};
    use super::super::super::target::LogTarget;
    use super::super::super::{Log, LogFilter, LogOptions, Output};
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

    /// The number of an entry, and whether it is the one at the end.
    fn received(taker: &UnixDatagram) -> (u64, bool) {
        let mut buffer = [0; 4096];
        let length = taker.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        let (_, number) = text.split_once("\nNUMBER=").unwrap();
        (number.trim_end().parse().unwrap(), text.contains("\nEVENT=stopped\n"))
    }

    #[test]
    fn row_43_gathered_entries_all_arrive_in_order_also_if_journald_reads_late() {
        const ENTRIES: u64 = 3_000;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let taker = UnixDatagram::bind(&path).unwrap();
        let journal = LogTarget::journal(JournalSocket::open(&path).unwrap());
        let log = Log::prepare(LogOptions {
            outputs: vec![Output { style: LineFormat::Entry, target: journal }],
            filter: LogFilter::of(Level::Info, false, Vec::new()),
            transfer_log: None,
            audit: None,
        });
        // The first entries wait for the start, and a rotation of other logs divides the rest.
        let note = |event: &'static str, number: u64| {
            log.note(&LogRecord::new(Level::Info, event).number("number", number));
        };
        note("ready", 0);
        log.begin().unwrap();
        for number in 1..ENTRIES {
            if number % 1_000 == 0 {
                log.reopen();
            }
            note("ready", number);
        }
        note("stopped", ENTRIES);
        // The socket buffers a few datagrams, so nearly all entries still wait.
        let reader = std::thread::spawn(move || {
            let mut numbers = Vec::new();
            loop {
                let (number, is_last) = received(&taker);
                numbers.push(number);
                if is_last {
                    return (numbers, taker);
                }
            }
        });
        drop(log);
        let (numbers, taker) = reader.join().unwrap();
        assert_eq!(numbers, (0..=ENTRIES).collect::<Vec<_>>());
        taker.set_nonblocking(true).unwrap();
        assert!(taker.recv(&mut [0; 16]).is_err(), "no entry is sent twice, and none was lost");
    }
}
