//! An event as it is delivered: one JSON object, and environment variables.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Zoned;
use wharf_config::outcome::Failure;
use wharf_config::raw::quoted;
use wharf_config::standard_paths::host_name;
use wharf_core::event::ClientInfo;
use wharf_core::hex;
use wharf_events::Notice;
use wharf_events::check::UncheckedUpload;
use wharf_proto::path::{VPath, escaped};

use crate::log::line::address;
use crate::log::record::{Field, LogRecord};

/// Maximum length of texts other than paths, in characters.
const TEXT_CHARS_MAX: usize = 2500;

/// Builds messages with unique ids.
pub(super) struct MessageFactory {
    /// Random, different at each start.
    origin: String,
    count: AtomicU64,
    host: String,
}

impl MessageFactory {
    pub(super) fn new() -> Result<Self, Failure> {
        let origin = getrandom::u64()
            .map_err(|error| Failure::new(format!("cannot read random bytes: {error}")))?;
        let host = host_name().unwrap_or_else(|| "localhost".to_owned());
        Ok(Self { origin: format!("{origin:016x}"), count: AtomicU64::new(0), host })
    }

    /// Builds the message of an event.
    pub(super) fn of_event(&self, client: &ClientInfo, record: &LogRecord) -> Notice {
        // An id assigned by the upload check is kept.
        let given = match record.field("id") {
            Some(Field::Text(id)) => Some(id.clone()),
            _ => None,
        };
        let mut message = self.begin(record.event, given);
        message.number("session_id", client.session);
        message.text("ip", &address(client.peer.ip()).to_string());
        message.number("port", client.peer.port().into());
        message.maybe("user", client.user.as_deref());
        message.text("protocol", if client.is_tls { "ftps" } else { "ftp" });
        for (name, field) in record.fields.iter().filter(|(name, _)| *name != "id") {
            match field {
                Field::Text(text) => message.text(name, text),
                Field::Number(number) => message.number(name, *number),
                Field::Seconds(time) => {
                    let text = format!("{}.{:03}", time.as_secs(), time.subsec_millis());
                    message.bare(name, &text);
                }
                Field::Boolean(is_true) => message.bare(name, &is_true.to_string()),
                Field::Path(path) => {
                    message.path(name, path);
                    let file = if *name == "path" { "file" } else { "to_file" };
                    if let Some(real) = client.tree.real_path(path) {
                        message.file(file, &real);
                    }
                }
            }
        }
        message.end()
    }

    /// Builds the message for the upload check.
    pub(super) fn of_upload(&self, upload: &UncheckedUpload<'_>) -> Notice {
        let mut message = self.begin("check-upload", None);
        message.text("user", upload.user);
        message.path("path", upload.path);
        if let Some(file) = upload.file {
            message.file("file", file);
        }
        message.file("partial_file", upload.partial_file);
        message.end()
    }

    fn begin(&self, event: &'static str, given: Option<String>) -> MessageBuilder {
        let id = given.unwrap_or_else(|| {
            let number = self.count.fetch_add(1, Ordering::Relaxed);
            format!("{}-{number}", self.origin)
        });
        let mut message =
            MessageBuilder { id: id.clone(), event, body: "{".to_owned(), variables: Vec::new() };
        message.text("id", &id);
        message.text("time", &Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string());
        message.text("host", &self.host);
        message.text("event", event);
        message
    }
}

/// A message under construction.
struct MessageBuilder {
    id: String,
    event: &'static str,
    body: String,
    variables: Vec<(String, Vec<u8>)>,
}

impl MessageBuilder {
    fn text(&mut self, name: &str, text: &str) {
        // Some reasons contain text of clients or programs.
        let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
        self.member(name, &quoted(&text));
        self.variables.push((name.to_owned(), text.into_bytes()));
    }

    fn maybe(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            return self.text(name, text);
        }
        self.member(name, "null");
        self.variables.push((name.to_owned(), Vec::new()));
    }

    fn number(&mut self, name: &str, number: u64) {
        self.bare(name, &number.to_string());
    }

    /// Adds a value that needs no quotes, such as a number.
    fn bare(&mut self, name: &str, value: &str) {
        self.member(name, value);
        self.variables.push((name.to_owned(), value.as_bytes().to_vec()));
    }

    fn path(&mut self, name: &str, path: &VPath) {
        self.bytes(name, path.as_bytes());
    }

    fn file(&mut self, name: &str, path: &Path) {
        self.bytes(name, path.as_os_str().as_encoded_bytes());
    }

    /// Never shortened: a program must find the file.
    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        if let Ok(text) = std::str::from_utf8(bytes) {
            self.member(name, &quoted(text));
        } else {
            self.member(name, &quoted(&escaped(bytes)));
            self.member(&format!("{name}_hex"), &quoted(&hex(bytes)));
        }
        self.variables.push((name.to_owned(), bytes.to_vec()));
    }

    fn member(&mut self, name: &str, value: &str) {
        let comma = if self.body.len() > 1 { "," } else { "" };
        let _ = write!(self.body, "{comma}\"{name}\":{value}");
    }

    fn end(mut self) -> Notice {
        self.body.push('}');
        Notice::new(self.id, self.event, self.body, self.variables)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use wharf_core::event::{AccountFiles, Event};
    use wharf_storage::{Disk, DiskOptions};

    use super::*;

    fn client(tree: AccountFiles, user: Option<&str>) -> ClientInfo {
        ClientInfo {
            session: 42,
            peer: "[::ffff:192.0.2.7]:50000".parse().unwrap(),
            local: "192.0.2.1:21".parse().unwrap(),
            user: user.map(str::to_owned),
            is_tls: true,
            client: None,
            tree,
        }
    }

    fn made(client: &ClientInfo, event: &Event<'_>) -> Notice {
        MessageFactory::new().unwrap().of_event(client, &LogRecord::of(client, event).unwrap())
    }

    fn variable<'a>(notice: &'a Notice, name: &str) -> &'a [u8] {
        &notice.variables().iter().find(|(known, _)| known == name).unwrap().1
    }

    #[tokio::test]
    async fn a_message_contains_user_event_and_system_path() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), "anna", &DiskOptions::default()).unwrap();
        let client = client(AccountFiles::of(Arc::new(disk)), Some("anna"));
        let path = VPath::root().resolve(b"/a b\n\"$(x)").unwrap();
        let notice = made(&client, &Event::FileRemoved(&path));
        let json: serde_json::Value = serde_json::from_str(notice.body()).unwrap();
        assert_eq!(json["event"], "delete");
        assert_eq!(json["user"], "anna");
        assert_eq!(json["ip"], "192.0.2.7");
        assert_eq!(json["protocol"], "ftps");
        assert_eq!(json["path"], "/a b\n\"$(x)");
        let file = folder.path().join("a b\n\"$(x)");
        assert_eq!(json["file"], file.to_str().unwrap());
        assert_eq!(variable(&notice, "file"), file.to_str().unwrap().as_bytes());
        assert_eq!(variable(&notice, "session_id"), b"42");
        assert_eq!(json["id"], notice.id());
    }

    #[test]
    fn a_rejected_upload_keeps_the_id_of_its_check_and_other_events_get_their_own() {
        let client = client(AccountFiles::default(), Some("anna"));
        let path = VPath::root().resolve(b"/a").unwrap();
        let rejected =
            |id| Event::UploadCheckRejected { path: &path, bytes: 1, reason: "a virus", id };
        let notice = made(&client, &rejected(Some("1f-7")));
        assert_eq!(notice.id(), "1f-7");
        let json: serde_json::Value = serde_json::from_str(notice.body()).unwrap();
        assert_eq!((&json["id"], variable(&notice, "id")), (&"1f-7".into(), &b"1f-7"[..]));
        assert_eq!(notice.body().matches("\"id\":").count(), 1);
        let (first, second) = (made(&client, &rejected(None)), made(&client, &rejected(None)));
        assert!(first.id().ends_with("-0") && second.id().ends_with("-0"), "of other makers");
        assert_ne!(first.id(), second.id());
    }

    proptest! {
        #[test]
        fn every_name_is_passed_byte_for_byte_and_the_json_is_one_line(
            name in proptest::collection::vec(1u8..=255, 1..200),
            user in any::<Option<String>>(),
        ) {
            let path = VPath::root().resolve(&name).unwrap();
            let client = client(AccountFiles::default(), user.as_deref());
            let notice = made(&client, &Event::Renamed { from: &path, to: &path });
            prop_assert!(!notice.body().contains('\n'));
            let json: serde_json::Value = serde_json::from_str(notice.body()).unwrap();
            prop_assert_eq!(json["user"].as_str(), user.as_deref());
            prop_assert_eq!(variable(&notice, "path"), path.as_bytes());
            let hex = json["to_hex"].as_str().map(|hex| {
                let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
                (0..hex.len()).step_by(2).map(digits).collect::<Vec<u8>>()
            });
            let reported = hex.unwrap_or_else(|| json["to"].as_str().unwrap().as_bytes().to_vec());
            prop_assert_eq!(reported, path.as_bytes());
        }
    }
}
