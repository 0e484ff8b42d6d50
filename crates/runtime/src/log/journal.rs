//! The native protocol of systemd-journald: an entry consists of fields.
//!
//! A field is `NAME=value` and a line feed; a value with line feeds is `NAME`, a line feed, its
//! length as eight bytes, the lowest first, the value, and a line feed. One datagram is one entry.
//! Names are those of the JSON lines in capitals: `EVENT`, `SESSION`, `IP`, `USER`, `PATH` …

use super::line::{address, message, priority};
use super::record::{Field, LogRecord};

#[cfg_attr(unix, path = "journal/socket_unix.rs")]
#[cfg_attr(not(unix), path = "journal/socket_other.rs")]
mod socket;

pub(crate) use socket::JournalSocket;

/// Maximum length of a value; longer ones are cut. Ten of them fit into a datagram.
const VALUE_BYTES_MAX: usize = 8192;
/// Bytes of the length prefix of queued entries.
const PREFIX: usize = 4;

/// Formats an entry with its length prefix.
pub(super) fn entry(record: &LogRecord) -> Vec<u8> {
    let mut out = vec![0; PREFIX];
    field(&mut out, "MESSAGE", message(record).as_bytes());
    field(&mut out, "PRIORITY", priority(record.level).to_string().as_bytes());
    field(&mut out, "SYSLOG_IDENTIFIER", b"wharf");
    field(&mut out, "EVENT", record.event.as_bytes());
    if let Some(session) = &record.session {
        field(&mut out, "SESSION_ID", session.number.to_string().as_bytes());
        if let Some(peer) = session.peer {
            field(&mut out, "IP", address(peer.ip()).to_string().as_bytes());
        }
        if let Some(user) = &session.user {
            field(&mut out, "USER", user.as_bytes());
        }
    }
    for (name, value) in &record.fields {
        let value = match value {
            Field::Text(text) => text.as_bytes().to_vec(),
            Field::Path(path) => path.as_bytes().to_vec(),
            Field::Number(number) => number.to_string().into_bytes(),
            Field::Seconds(time) => {
                format!("{}.{:03}", time.as_secs(), time.subsec_millis()).into_bytes()
            }
            Field::Boolean(is_true) => is_true.to_string().into_bytes(),
        };
        field(&mut out, &name.to_ascii_uppercase(), &value);
    }
    let length = u32::try_from(out.len().saturating_sub(PREFIX)).unwrap_or(u32::MAX);
    for (place, byte) in out.iter_mut().zip(length.to_le_bytes()) {
        *place = byte;
    }
    out
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    let value = value.get(..VALUE_BYTES_MAX).unwrap_or(value);
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
        out.push(b'\n');
        out.extend_from_slice(&length.to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Iterates over queued entries.
fn split(mut entries: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = entries.split_at_checked(PREFIX)?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        let (one, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        entries = rest;
        Some(one)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use proptest::prelude::*;
    use wharf_proto::path::VPath;

    use super::super::record::{Level, SessionFields};
    use super::*;

    /// Parses a datagram as journald does.
    fn read_back(mut entry: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut fields = BTreeMap::new();
        while !entry.is_empty() {
            let end = entry.iter().position(|byte| matches!(byte, b'=' | b'\n')).unwrap();
            let name = String::from_utf8(entry[..end].to_vec()).unwrap();
            assert!(name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'));
            let is_plain = entry[end] == b'=';
            entry = &entry[end + 1..];
            let length = if is_plain {
                entry.iter().position(|byte| *byte == b'\n').unwrap()
            } else {
                let (length, rest) = entry.split_at(8);
                entry = rest;
                usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap()
            };
            fields.insert(name, entry[..length].to_vec());
            assert_eq!(entry[length], b'\n');
            entry = &entry[length + 1..];
        }
        fields
    }

    fn record(path: &[u8], user: &str) -> LogRecord {
        let session = SessionFields {
            number: 42,
            peer: Some("[::ffff:192.0.2.7]:5000".parse::<SocketAddr>().unwrap()),
            user: Some(user.to_owned()),
        };
        let path = VPath::root().resolve(path).unwrap();
        let mut record = LogRecord::new(Level::Warn, "upload").text("reason", "a\nPRIORITY=0");
        record.fields.push(("path", Field::Path(path)));
        record.session = Some(session);
        record
    }

    #[test]
    fn values_with_line_feeds_cannot_add_fields() {
        let one = entry(&record(b"/a\nUSER=root", "anna"));
        let entries = [one.clone(), one].concat();
        assert_eq!(split(&entries).count(), 2);
        let fields = read_back(split(&entries).next().unwrap());
        let text = |name: &str| String::from_utf8(fields[name].clone()).unwrap();
        assert_eq!(text("PRIORITY"), "4");
        assert_eq!(text("EVENT"), "upload");
        assert_eq!(text("SESSION_ID"), "42");
        assert_eq!(text("IP"), "192.0.2.7");
        assert_eq!(text("USER"), "anna");
        assert_eq!(text("PATH"), "/a\nUSER=root");
        assert_eq!(text("REASON"), "a\nPRIORITY=0");
        assert!(
            text("MESSAGE").starts_with("session_id=42 ip=192.0.2.7 user=\"anna\" event=upload")
        );
    }

    proptest! {
        #[test]
        fn any_name_reads_back_and_entries_are_bounded(
            path in proptest::collection::vec(1u8..=255, 0..250),
            user in any::<String>(),
        ) {
            let record = record(&path, &user);
            let bytes = entry(&record);
            prop_assert!(bytes.len() < 64 * 1024);
            let fields = read_back(split(&bytes).next().unwrap());
            prop_assert_eq!(fields["USER"].clone(), user.into_bytes());
            prop_assert_eq!(fields.len(), 9);
        }
    }
}
