//! Log lines cannot be forged by clients, and parse back to the event.
//!
//! `WHARF_LOG_EVENTS=1000000` runs the long version.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use wharf_core::event::{AccountFiles, Direction, Transferred};
use wharf_proto::path::{VPath, escaped};
use wharf_proto::reply::Code;

use super::*;

/// A line of the classic transfer log, read back.
#[derive(Debug, PartialEq)]
struct Xfer {
    seconds: u64,
    client: IpAddr,
    bytes: u64,
    path: Vec<u8>,
    is_ascii: bool,
    is_upload: bool,
    is_anonymous: bool,
    user: Vec<u8>,
    is_complete: bool,
}

/// As in wu-ftpd's xferlog(5): 18 columns separated by single spaces, five of them the time.
fn parse(line: &str) -> Option<Xfer> {
    let columns: Vec<&str> = line.strip_suffix('\n')?.split(' ').collect();
    // A day below ten is padded with a space.
    let columns: Vec<&str> = columns
        .iter()
        .enumerate()
        .filter(|(at, text)| !(*at == 2 && text.is_empty()))
        .map(|(_, text)| *text)
        .collect();
    let time = columns.get(..5)?.join(" ");
    jiff::fmt::strtime::parse("%a %b %d %H:%M:%S %Y", time).ok()?;
    let [seconds, client, bytes, path, kind, "_", direction, access, user, "ftp", "0", "*", end] =
        columns.get(5..)?
    else {
        return None;
    };
    let either = |text: &str, yes: &str, no: &str| match text {
        _ if text == yes => Some(true),
        _ if text == no => Some(false),
        _ => None,
    };
    Some(Xfer {
        seconds: seconds.parse().ok()?,
        client: client.parse().ok()?,
        bytes: bytes.parse().ok()?,
        path: decoded(path)?,
        is_ascii: either(kind, "a", "b")?,
        is_upload: either(direction, "i", "o")?,
        is_anonymous: either(access, "a", "r")?,
        user: decoded(user)?,
        is_complete: either(end, "c", "i")?,
    })
}

pub(super) fn decoded(name: &str) -> Option<Vec<u8>> {
    let mut bytes = name.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            byte.is_ascii_graphic().then_some(())?;
            out.push(byte);
        }
    }
    Some(out)
}

/// Number of generated events; a million in manual runs.
fn events() -> u32 {
    let filter = std::env::var("WHARF_LOG_EVENTS").ok();
    filter.and_then(|filter| filter.parse().ok()).unwrap_or(2_000)
}

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: events(), failure_persistence: None, ..Config::default() })
}

/// Bytes for names: any, with those that are problematic in logs more frequent.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => (1u8..=255).prop_map(|byte| vec![byte]),
        1 => prop::sample::select(vec![
            &b"\r\n"[..], b"\n{\"event\":\"login\"}", b"\x1b[2J", b"%0A", b"%", b"\\x0a", b"\\",
            b"\"", b" ", b" c\n", "\u{202e}".as_bytes(), "\u{2028}".as_bytes(), b"\xff\xfe",
            "\u{85}".as_bytes(), "照片".as_bytes(), b"event=login", b"=", b"\xc3\x28", b"\x7f",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn paths() -> impl Strategy<Value = VPath> {
    hostile_bytes()
        .prop_map(|bytes| VPath::root().resolve(&bytes).unwrap_or_else(|_| VPath::root()))
}

fn client(user: Option<String>, port: u16) -> ClientInfo {
    ClientInfo {
        session: 42,
        peer: SocketAddr::new("::ffff:192.0.2.7".parse().unwrap(), port),
        local: "192.0.2.1:21".parse().unwrap(),
        user,
        is_tls: true,
        client: Some("lftp".into()),
        tree: AccountFiles::default(),
    }
}

#[test]
fn row_42_every_line_of_the_transfer_log_parses_back_to_its_event() {
    let transfers =
        (paths(), "[^\\x00/]{1,12}", any::<(u64, u32, bool, bool, bool)>(), 0i64..4_000_000_000);
    let read_back =
        |(path, user, facts, at): (VPath, String, (u64, u32, bool, bool, bool), i64)| {
            let (bytes, seconds, is_upload, is_ascii, is_complete) = facts;
            let transfer = Transferred {
                direction: if is_upload { Direction::Upload } else { Direction::Download },
                path: &path,
                bytes,
                took: Duration::from_secs(seconds.into()),
                is_complete,
                is_ascii,
                is_tls: true,
                reason: "",
                note: "",
            };
            let now = jiff::Timestamp::from_second(at).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            let line =
                xferlog::line(&LogTime::from(&now), &client(Some(user.clone()), 4000), &transfer);
            prop_assert!(line.len() <= 8192 || path.as_bytes().len() > 2500);
            let is_anonymous = ["anonymous", "ftp"].contains(&user.to_ascii_lowercase().as_str());
            let reported = Xfer {
                seconds: u64::from(seconds).max(1),
                client: "192.0.2.7".parse().unwrap(),
                bytes,
                path: path.as_bytes().to_vec(),
                is_ascii,
                is_upload,
                is_anonymous,
                user: user.into_bytes(),
                is_complete,
            };
            prop_assert_eq!(parse(&line), Some(reported), "{}", line);
            Ok(())
        };
    runner().run(&transfers, read_back).unwrap();
}

#[test]
fn row_42_every_json_line_is_one_object_and_names_cannot_forge_another() {
    let all = (paths(), paths(), hostile_bytes(), any::<u16>());
    let read_back = |(from, to, typed, port): (VPath, VPath, Vec<u8>, u16)| {
        let typed = escaped(&typed);
        let client = client(Some(typed.clone()), port);
        for event in [
            Event::Renamed { from: &from, to: &to },
            Event::Command { line: &typed, code: Code::FILE_DONE, text: &typed },
            Event::LoginFailed { user: &typed, reason: "wrong password" },
            Event::FileRemoved(&from),
        ] {
            let record = LogRecord::of(&client, &event).unwrap();
            for style in
                [LineFormat::Json, LineFormat::Text, LineFormat::Journal, LineFormat::Panel]
            {
                let line = line::render(style, &LogTime::now(), &record);
                let body = line.strip_suffix('\n').unwrap();
                prop_assert!(line.len() <= 8192);
                let is_harmless = !body.contains(char::is_control)
                    && !body.contains(['\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}', '\u{200f}']);
                prop_assert!(is_harmless, "{:?} {:?}", style, line);
            }
            let line = line::render(LineFormat::Json, &LogTime::now(), &record);
            let read: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&read["event"], record.event);
            prop_assert_eq!(&read["ip"], "192.0.2.7");
            for (name, field) in &record.fields {
                if let record::Field::Text(text) = field {
                    prop_assert_eq!(&read[*name], text);
                }
            }
        }
        Ok(())
    };
    runner().run(&all, read_back).unwrap();
}

fn log_with(targets: Vec<Output>, audit: Option<Audit>) -> Log {
    let log = Log::prepare(LogOptions {
        outputs: targets,
        filter: LogFilter::of(Level::Info, false, Vec::new()),
        transfer_log: None,
        audit,
    });
    log.begin().unwrap();
    log
}

#[test]
fn row_43_a_full_disk_splits_no_line_and_lost_lines_are_counted() {
    let disk = Arc::new(Mutex::new((Vec::new(), 1_000)));
    let output = || Output { style: LineFormat::Json, target: LogTarget::full(&disk) };
    let log = log_with(vec![output()], None);
    let lines = 50;
    for _ in 0..lines {
        log.emit(&client(None, 1), &Event::Connected);
        log.flush();
    }
    disk.lock().unwrap().1 = 1 << 20;
    log.emit(&client(None, 1), &Event::Connected);
    log.flush();
    log.emit(&client(None, 1), &Event::Connected);
    drop(log);
    let text = String::from_utf8(disk.lock().unwrap().0.clone()).unwrap();
    let (mut whole, mut torn, mut reported) = (0, 0, 0);
    for line in text.lines() {
        match serde_json::from_str::<Value>(line) {
            Ok(value) if value["event"] == "connected" => whole += 1,
            Ok(value) => reported += value["count"].as_u64().unwrap(),
            Err(_) => torn += 1,
        }
    }
    assert_eq!(whole + reported, lines + 2, "{text}");
    assert!(reported > 0 && torn <= 1, "{text}");
}

#[test]
fn row_43_audit_lines_are_not_queued_and_a_full_disk_is_reported_once() {
    let disk = Arc::new(Mutex::new((Vec::new(), 600)));
    let memory = Arc::default();
    let output = Output { style: LineFormat::Text, target: LogTarget::memory(&memory) };
    let log = log_with(vec![output], Some(Audit::at(LogTarget::full(&disk))));
    let path = VPath::root().resolve(b"/a").unwrap();
    for _ in 0..20 {
        let before = disk.lock().unwrap().0.len();
        log.emit(&client(None, 1), &Event::FileRemoved(&path));
        let after = disk.lock().unwrap();
        assert!(after.0.len() > before || after.1 == 0, "written before emit returns");
    }
    disk.lock().unwrap().1 = 1 << 20;
    log.emit(&client(None, 1), &Event::FileRemoved(&path));
    drop(log);
    let text = String::from_utf8(memory.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("event=audit-log-failed").count(), 1, "{text}");
    assert_eq!(text.matches("event=audit-log-lines-lost count=").count(), 1, "{text}");
    let audit = String::from_utf8(disk.lock().unwrap().0.clone()).unwrap();
    let last: Value = serde_json::from_str(audit.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "delete");
}
