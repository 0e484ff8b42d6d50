//! The format of log lines.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Zoned;
use proptest::prelude::*;
use wharf_config::raw::Raw;
use wharf_core::event::{AccountFiles, Direction, Transferred};
use wharf_proto::path::VPath;
use wharf_proto::reply::Code;

use super::*;
use forgery_tests::decoded;
use rotation::RotationRules;

fn now() -> LogTime {
    let now: Zoned = "2026-11-22T15:07:41+01:00[Europe/Berlin]".parse().unwrap();
    LogTime::from(&now)
}

pub(crate) fn client(user: Option<&str>) -> ClientInfo {
    ClientInfo {
        session: 42,
        peer: "[::ffff:192.0.2.7]:50000".parse::<SocketAddr>().unwrap(),
        local: "192.0.2.1:21".parse::<SocketAddr>().unwrap(),
        user: user.map(str::to_owned),
        is_tls: true,
        client: Some("lftp".into()),
        tree: AccountFiles::default(),
    }
}

fn path(text: &[u8]) -> VPath {
    VPath::root().resolve(text).unwrap()
}

fn upload<'a>(path: &'a VPath, reason: &'a str) -> Transferred<'a> {
    Transferred {
        direction: Direction::Upload,
        path,
        bytes: 4_299_161,
        took: Duration::from_millis(108),
        is_complete: reason.is_empty(),
        is_ascii: false,
        is_tls: true,
        reason,
        note: "",
    }
}

fn rendered(style: LineFormat, event: &Event<'_>) -> String {
    render_for(style, &client(Some("anna")), event)
}

fn render_for(style: LineFormat, client: &ClientInfo, event: &Event<'_>) -> String {
    line::render(style, &now(), &LogRecord::of(client, event).unwrap())
}

#[test]
fn a_transfer_in_every_format() {
    let name = path("/照片 1.jpg".as_bytes());
    let transfer = upload(&name, "");
    let event = Event::Transferred(&transfer);
    assert_eq!(
        rendered(LineFormat::Text, &event),
        "2026-11-22T15:07:41+01:00 INFO session_id=42 ip=192.0.2.7 user=\"anna\" event=upload \
         path=\"/照片 1.jpg\" bytes=4299161 duration_seconds=0.108 complete=true ascii=false \
         tls=true\n"
    );
    assert_eq!(
        rendered(LineFormat::Json, &event),
        "{\"time\":\"2026-11-22T15:07:41.000+01:00\",\"level\":\"info\",\"session_id\":42,\
         \"ip\":\"192.0.2.7\",\"user\":\"anna\",\"event\":\"upload\",\"path\":\"/照片 1.jpg\",\
         \"bytes\":4299161,\"duration_seconds\":0.108,\"complete\":true,\"ascii\":false,\"tls\":true}\n"
    );
    assert_eq!(
        rendered(LineFormat::Journal, &event),
        "<6>session_id=42 ip=192.0.2.7 user=\"anna\" event=upload path=\"/照片 1.jpg\" \
         bytes=4299161 duration_seconds=0.108 complete=true ascii=false tls=true\n"
    );
    assert_eq!(
        rendered(LineFormat::Panel, &event),
        "15:07  anna 192.0.2.7  upload  /照片 1.jpg  4.1 MiB  38 MiB/s\n"
    );
}

/// One of each event.
fn with_every_event(mut act: impl FnMut(&Event<'_>)) {
    let (a, b) = (path(b"/a"), path(b"/b"));
    let complete = Transferred { note: "ended without TLS close_notify", ..upload(&a, "") };
    let broken = upload(&a, "the connection was lost");
    let downloaded = Transferred { direction: Direction::Download, ..complete };
    let interrupted = Transferred { direction: Direction::Download, ..broken };
    for event in [
        Event::Connected,
        Event::ConnectionRejected { reason: "too many sessions" },
        Event::BanAdded {
            network: "192.0.2.7/32",
            reason: "too many failed logins",
            time: Some(Duration::from_mins(10)),
            is_manual: false,
        },
        Event::BanRemoved { network: "192.0.2.7/32", reason: "expired" },
        Event::AccountLocked { user: "anna", time: Duration::from_mins(10) },
        Event::TlsEstablished { version: "TLSv1.3", cipher: "TLS13_AES_256_GCM_SHA384" },
        Event::LoggedIn,
        Event::LoginFailed { user: "root", reason: "unknown account" },
        Event::Transferred(&complete),
        Event::Transferred(&broken),
        Event::Transferred(&downloaded),
        Event::Transferred(&interrupted),
        Event::UploadDenied {
            path: &a,
            reason: "permission denied: missing permission `upload`",
            hint: "wharf why NAME PATH upload",
        },
        Event::UploadCheckRejected {
            path: &a,
            bytes: 68,
            reason: "rejected (a virus)",
            id: Some("1f-7"),
        },
        Event::CommandDenied { command: "RNTO", path: &a, reason: "missing permission `rename`" },
        Event::FileRemoved(&a),
        Event::DirectoryMade(&a),
        Event::DirectoryRemoved(&a),
        Event::Renamed { from: &a, to: &b },
        Event::Copied { from: &a, to: &b },
        Event::AttributesChanged(&a),
        Event::DataConnectionFailed { reason: "no data connection arrived within 20s" },
        Event::DataConnectionTlsNotResumed,
        Event::CharsetDetected { charset: "GBK", is_certain: true },
        Event::DataConnectionDiagnosis {
            network: "203.0.113.0/24",
            cause: "no-connection",
            reason: "no data connection arrived",
            failed: 14,
            established: 0,
            hint: "open TCP 30000-30999 in the firewall",
        },
        Event::DataConnectionUnexpectedPeers { first: [198, 51, 100, 7].into(), count: 2 },
        Event::StorageFailed { reason: "write /a: input/output error" },
        Event::Command { line: "PASS ***", code: Code::FILE_DONE, text: "Removed." },
        Event::SessionEnded { reason: "quit", after: Duration::from_secs(61) },
    ] {
        act(&event);
    }
}

#[test]
fn every_event_has_its_line() {
    let mut page = String::new();
    for style in [LineFormat::Text, LineFormat::Json, LineFormat::Panel] {
        with_every_event(|event| page.push_str(&rendered(style, event)));
        page.push('\n');
    }
    wharf_testkit::assert_same("crates/runtime/snapshots/log-lines.txt", &page);
}

#[test]
fn the_catalog_lists_exactly_all_events_and_fields() {
    let mut seen = std::collections::BTreeMap::<_, std::collections::BTreeSet<_>>::new();
    with_every_event(|event| {
        let record = LogRecord::of(&client(None), event).unwrap();
        let names = record.fields.iter().map(|(name, _)| *name);
        seen.entry(record.event).or_default().extend(names);
    });
    let listed: std::collections::BTreeMap<_, std::collections::BTreeSet<_>> =
        wharf_core::event::catalog::KINDS
            .iter()
            .map(|kind| (kind.name, kind.fields.iter().map(|(name, _)| *name).collect()))
            .collect();
    assert_eq!(seen, listed);
}

#[test]
fn the_guide_lists_every_event_and_field() {
    let guide = include_str!("../../../../docs/guide/logging.md");
    with_every_event(|event| {
        let record = LogRecord::of(&client(None), event).unwrap();
        let name = format!("`{}`", record.event);
        let has_name = |line: &str| line.split('|').nth(1).is_some_and(|cell| cell.contains(&name));
        let row = guide.lines().find(|line| line.starts_with("| `") && has_name(line));
        let row = row.unwrap_or_else(|| panic!("{} is missing", record.event));
        for (name, _) in &record.fields {
            assert!(row.contains(&format!("`{name}`")), "{name} of {} is missing", record.event);
        }
    });
}

#[test]
fn the_transfer_log_has_the_columns_of_wu_ftpd() {
    let name = path("/照片 100%.jpg".as_bytes());
    let line = xferlog::line(&now(), &client(Some("anna")), &upload(&name, ""));
    assert_eq!(
        line,
        "Sun Nov 22 15:07:41 2026 1 192.0.2.7 4299161 /%E7%85%A7%E7%89%87%20100%25.jpg b _ i r \
         anna ftp 0 * c\n"
    );
    let line = xferlog::line(&now(), &client(Some("anonymous")), &upload(&name, "cut"));
    assert!(line.ends_with(" i a anonymous ftp 0 * i\n"), "{line}");
}

proptest! {
    #[test]
    fn row_42_any_name_round_trips_through_the_transfer_log(
        name in proptest::collection::vec(1u8..=255, 1..60),
        user in "[^\\x00-\\x1f/]{1,20}",
    ) {
        let name = path(&name);
        let line = xferlog::line(&now(), &client(Some(&user)), &upload(&name, ""));
        let columns: Vec<_> = line.trim_end_matches('\n').split(' ').collect();
        prop_assert_eq!(columns.len(), 18);
        prop_assert_eq!(decoded(columns[8]).unwrap(), name.as_bytes());
        prop_assert_eq!(decoded(columns[13]).unwrap(), user.as_bytes());
    }

    #[test]
    fn row_42_clients_cannot_forge_or_lengthen_a_line(
        text in any::<String>(),
        name in proptest::collection::vec(1u8..=255, 1..250),
        repeats in 1usize..12,
    ) {
        let mut from = VPath::root();
        for _ in 0..repeats {
            from = name.split(|byte| *byte == b'/').fold(from.clone(), |path, name| {
                path.join(name).unwrap_or(path)
            });
        }
        let to = from.clone();
        let long = text.repeat(20);
        for event in [
            Event::Renamed { from: &from, to: &to },
            Event::Command { line: &long, code: Code::FILE_DONE, text: &long },
            Event::LoginFailed { user: &text, reason: "wrong password" },
        ] {
            for style in [LineFormat::Text, LineFormat::Json, LineFormat::Journal] {
                let line = render_for(style, &client(Some(&text)), &event);
                prop_assert!(line.ends_with('\n'));
                prop_assert!(line.len() <= 8192 && line.matches('\n').count() == 1);
                prop_assert!(!line.trim_end_matches('\n').contains(char::is_control));
            }
        }
    }
}

#[test]
fn row_42_a_quoted_value_round_trips() {
    let event = Event::LoginFailed { user: "a \"b\" \\ \u{202e}c", reason: "unknown account" };
    let line = rendered(LineFormat::Text, &event);
    let (_, rest) = line.split_once("attempted_user=").unwrap();
    let (value, _) = rest.split_once(" reason=").unwrap();
    assert_eq!(Raw::parse_toml(value), Some(Raw::Text("a \"b\" \\ \u{202e}c".into())));
}

fn log_to(memory: &Arc<Mutex<Vec<u8>>>, level_max: Level) -> Log {
    started(LogOptions {
        outputs: vec![Output { style: LineFormat::Text, target: LogTarget::memory(memory) }],
        filter: LogFilter::of(level_max, false, Vec::new()),
        transfer_log: None,
        audit: None,
    })
}

fn started(options: LogOptions) -> Log {
    let log = Log::prepare(options);
    log.begin().unwrap();
    log
}

#[test]
fn everything_is_written_when_the_log_ends() {
    let memory = Arc::default();
    let log = log_to(&memory, Level::Info);
    for _ in 0..100 {
        log.emit(&client(None), &Event::Connected);
    }
    drop(log);
    let text = String::from_utf8(memory.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("event=connected")).count(), 100);
}

/// Waits until the target has this text.
fn wait_for(memory: &Mutex<Vec<u8>>, text: &str) {
    let has_text = || String::from_utf8_lossy(&memory.lock().unwrap()).contains(text);
    for _ in 0..10_000 {
        if has_text() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("not written: {text}");
}

#[test]
fn lines_are_written_without_another_one_after_them() {
    let memory = Arc::default();
    let log = log_to(&memory, Level::Info);
    log.emit(&client(None), &Event::Connected);
    wait_for(&memory, "event=connected");
    log.emit(&client(None), &Event::StorageFailed { reason: "z" });
    wait_for(&memory, "event=storage-failed");
    // The thread sleeps by now, and is woken again.
    std::thread::sleep(Duration::from_millis(200));
    log.emit(&client(None), &Event::LoggedIn);
    wait_for(&memory, "event=login");
}

#[test]
fn flush_waits_for_all_lines_so_far() {
    let memory: Arc<Mutex<Vec<u8>>> = Arc::default();
    let log = log_to(&memory, Level::Info);
    for count in 1..50 {
        log.emit(&client(None), &Event::Connected);
        log.flush();
        let text = String::from_utf8(memory.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), count);
    }
}

#[test]
fn a_reopened_log_has_later_lines_in_the_new_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("wharf.log"), folder.path().join("old.log"));
    let log = started(LogOptions {
        outputs: vec![Output { style: LineFormat::Text, target: LogTarget::file(&path).unwrap() }],
        filter: LogFilter::of(Level::Info, false, Vec::new()),
        transfer_log: None,
        audit: None,
    });
    log.note(&LogRecord::new(Level::Info, "ready"));
    std::fs::rename(&path, &rotated).unwrap();
    log.reopen();
    log.note(&LogRecord::new(Level::Info, "stopping"));
    log.flush();
    let (old, new) = (std::fs::read_to_string(rotated), std::fs::read_to_string(path));
    let (old, new) = (old.unwrap(), new.unwrap());
    assert!(old.contains("event=ready") && !old.contains("event=stopping"), "{old}");
    assert!(new.contains("event=stopping") && !new.contains("event=ready"), "{new}");
}

#[test]
fn the_level_decides_what_is_written() {
    for (level_max, count) in [(Level::Nothing, 0), (Level::Error, 1), (Level::Warn, 2)] {
        let memory = Arc::default();
        let log = log_to(&memory, level_max);
        log.emit(&client(None), &Event::Connected);
        log.emit(&client(None), &Event::LoginFailed { user: "x", reason: "y" });
        log.emit(&client(None), &Event::StorageFailed { reason: "z" });
        drop(log);
        let text = String::from_utf8(memory.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), count, "{level_max:?}: {text}");
    }
}

#[test]
fn row_43_dropped_lines_are_counted_and_reported() {
    let memory: Arc<Mutex<Vec<u8>>> = Arc::default();
    // While this lock is held the writer cannot write a second batch, so the queue fills up.
    let held = memory.lock().unwrap();
    let log = log_to(&memory, Level::Info);
    let lines = 20_000;
    for _ in 0..lines {
        log.emit(&client(None), &Event::Connected);
    }
    drop(held);
    log.emit(&client(None), &Event::Connected);
    drop(log);
    let text = String::from_utf8(memory.lock().unwrap().clone()).unwrap();
    let written = text.lines().filter(|line| line.contains("event=connected")).count();
    let dropped: usize = text
        .lines()
        .filter_map(|line| {
            line.split_once("event=log-lines-dropped count=")?.1.parse::<usize>().ok()
        })
        .sum();
    assert!(dropped > 0);
    assert_eq!(written + dropped, lines + 1);
}

#[test]
fn row_44_rotation_under_many_writers_loses_or_splits_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wharf.log");
    let rules = RotationRules {
        size_max: Some(20_000),
        is_daily: true,
        files_max: 900,
        is_compressed: false,
    };
    let audit = Audit::open(&folder.path().join("audit.log"), rules).unwrap();
    let log = started(LogOptions {
        outputs: vec![Output {
            style: LineFormat::Json,
            target: LogTarget::file(&path).unwrap().rotated(rules),
        }],
        filter: LogFilter::of(Level::Info, false, Vec::new()),
        transfer_log: None,
        audit: Some(audit),
    });
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..1500 {
                    let record = LogRecord::new(Level::Info, "ready");
                    log.note(&record.number("writer", writer).number("number", number));
                }
            });
        }
    });
    drop(log);
    let mut seen = std::collections::BTreeMap::<String, Vec<String>>::new();
    let mut files = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert!(entry.metadata().unwrap().len() <= 20_000);
        files += 1;
        let name = entry.file_name().into_string().unwrap();
        let (kind, _) = name.split_once('.').unwrap();
        let lines = std::fs::read_to_string(entry.path()).unwrap();
        for line in lines.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let key = format!("{} {}", value["writer"], value["number"]);
            seen.entry(kind.to_owned()).or_default().push(key);
        }
    }
    assert!(files > 20, "{files}");
    for kind in ["wharf", "audit"] {
        let lines = seen.get_mut(kind).unwrap();
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 6000, "{kind}");
    }
}
