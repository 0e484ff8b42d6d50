//! The last commands of a session, in little memory: most sessions are idle, and have many of them.

use std::collections::VecDeque;
use std::time::Duration;

use wharf_proto::reply::Code;

/// Entries that are kept.
const ENTRIES_MAX: usize = 50;
/// Bytes that are kept of each line.
const LINE_BYTES_MAX: usize = 256;
/// An entry begins with its time in milliseconds, the reply code and the length of the line.
const TIME_BYTES: usize = 5;
const HEADER_BYTES: usize = TIME_BYTES + 2 + 2;

/// Entries, the oldest first, each a header and a line.
#[derive(Debug, Default)]
pub(crate) struct CommandLog {
    bytes: VecDeque<u8>,
    entries: usize,
}

/// One entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LoggedCommand {
    /// Since the session began, in whole milliseconds.
    pub(crate) at: Duration,
    pub(crate) line: Vec<u8>,
    pub(crate) code: Code,
}

impl CommandLog {
    /// Adds an entry; the oldest one is removed if there are too many.
    pub(crate) fn push(&mut self, at: Duration, line: &[u8], code: Code) {
        if self.entries >= ENTRIES_MAX {
            let length = usize::from(u16::from_be_bytes(self.field(TIME_BYTES + 2)));
            self.bytes.drain(..(HEADER_BYTES + length).min(self.bytes.len()));
            self.entries -= 1;
        }
        let line = line.get(..LINE_BYTES_MAX).unwrap_or(line);
        let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX).to_be_bytes();
        let length = u16::try_from(line.len()).unwrap_or(u16::MAX);
        // The first bytes are zero for the next 34 years.
        self.bytes.extend(millis.iter().skip(millis.len() - TIME_BYTES));
        self.bytes.extend(code.number().to_be_bytes());
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(line);
        self.entries += 1;
    }

    /// Two bytes of the header of the oldest entry.
    fn field(&self, from: usize) -> [u8; 2] {
        let byte = |at: usize| self.bytes.get(at).copied().unwrap_or_default();
        [byte(from), byte(from + 1)]
    }

    /// The entries, the oldest first.
    pub(crate) fn entries(&self) -> Vec<LoggedCommand> {
        let mut bytes = self.bytes.iter().copied();
        let mut number = |count: usize| {
            bytes.by_ref().take(count).fold(0_u64, |number, byte| number << 8 | u64::from(byte))
        };
        let mut entries = Vec::with_capacity(self.entries);
        for _ in 0..self.entries {
            let at = Duration::from_millis(number(TIME_BYTES));
            let code = u16::try_from(number(2)).ok().and_then(Code::from_number);
            let length = number(2);
            let line = (0..length).filter_map(|_| u8::try_from(number(1)).ok()).collect();
            if let Some(code) = code {
                entries.push(LoggedCommand { at, line, code });
            }
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_returned_as_they_were_added() {
        let mut log = CommandLog::default();
        assert_eq!(log.entries(), []);
        let added = |at: u64, line: &str, code| LoggedCommand {
            at: Duration::from_millis(at),
            line: line.into(),
            code,
        };
        let all = [
            added(0, "", Code::NOT_UNDERSTOOD),
            added(7, "NOOP", Code::OK),
            added((1 << 40) - 1, "STOR x", Code::TRANSFER_DONE),
        ];
        for entry in &all {
            log.push(entry.at, &entry.line, entry.code);
        }
        assert_eq!(log.entries(), all);
    }

    #[test]
    fn only_the_last_lines_are_kept_and_only_their_beginning() {
        let mut log = CommandLog::default();
        for number in 0..60 {
            let line = format!("NOOP {number} {}", "x".repeat(1000));
            log.push(Duration::from_secs(number), line.as_bytes(), Code::OK);
        }
        let entries = log.entries();
        assert_eq!(entries.len(), ENTRIES_MAX);
        assert!(entries[0].line.starts_with(b"NOOP 10 "));
        assert_eq!(entries[49].line.len(), LINE_BYTES_MAX);
        assert_eq!(entries[49].at, Duration::from_secs(59));
    }

    #[test]
    fn fifty_short_commands_take_a_kibibyte() {
        let mut log = CommandLog::default();
        for _ in 0..500 {
            log.push(Duration::from_secs(1), b"STOR a.txt", Code::TRANSFER_DONE);
        }
        assert!(log.bytes.capacity() <= 1024, "{} bytes", log.bytes.capacity());
    }
}
