//! Logs that are slow, full, renamed, or whose path is not a log file.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use crate::support::TestFolder;

fn shared() -> TestFolder {
    let place = TestFolder::new();
    fs::create_dir(place.path("share")).unwrap();
    place.write("share/a.txt", "hello");
    place
}

fn set(key: &str, place: &TestFolder, name: &str) -> String {
    format!("{key}={}", place.path(name).display())
}

const SHARE: &[&str] = &["-w", "share", "-u", "me", "-P", "secret"];

#[test]
fn row_43_a_log_without_a_reader_loses_lines_and_never_a_session() {
    let place = shared();
    let pipe = place.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Opened for reading and writing, so that neither end waits for the other; it buffers 64 KiB
    // and then blocks.
    let reader = File::options().read(true).write(true).open(&pipe).unwrap();
    let transfers = set("log.transfer_log", &place, "pipe");
    let words = [SHARE, &["--set", &transfers]].concat();
    let server = place.serve(&words);
    let mut client = server.login("me", "secret");
    // More lines than the pipe and the queue take: 8192 wait at most.
    for _ in 0..12_000 {
        client.command("NOOP");
    }
    for round in 0..1_000 {
        assert_eq!(client.downloads("RETR a.txt"), "hello", "{round}");
    }
    assert!(client.stores("b.txt", "new").starts_with("226 "));
    drop(client);
    drop(server);
    drop(reader);
}

#[test]
fn row_43_a_full_disk_under_the_log_does_not_stop_anything() {
    if !fs::exists("/dev/full").unwrap() {
        eprintln!("not run: there is no /dev/full");
        return;
    }
    let place = shared();
    let words = [SHARE, &["--set", "log.transfer_log=/dev/full"]].concat();
    let mut server = place.serve(&words);
    let mut client = server.login("me", "secret");
    assert_eq!(client.downloads("RETR a.txt"), "hello");
    // The working log reports the failed one.
    server.waits_for("event=log-lines-dropped count=1");
    assert_eq!(client.downloads("RETR a.txt"), "hello");
}

#[test]
fn row_43_the_audit_line_is_there_before_the_reply() {
    let place = shared();
    let audit = set("log.audit_file", &place, "audit.log");
    let words = [SHARE, &["--set", &audit, "--set", "log.level=error"]].concat();
    let server = place.serve_quietly(&words, "audit.log");
    let mut client = server.login("me", "secret");
    let mut seen = 0;
    let mut command = |part: &str| {
        // The log grows by the actions of other sessions: any line since the last check counts.
        let text = place.read("audit.log");
        let new = &text[seen..];
        seen = text.len();
        let line = new.lines().find(|line| line.contains(part));
        let line = line.unwrap_or_else(|| panic!("{part} is not in {new}"));
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    };
    command("\"event\":\"login\"");
    assert!(client.command("MFMT 20200101000000 a.txt").starts_with("213 "));
    command("\"event\":\"attributes-changed\",\"path\":\"/a.txt\"");
    assert!(client.command("RNFR a.txt").starts_with("350 "));
    assert!(client.command("RNTO b.txt").starts_with("250 "));
    command("\"event\":\"rename\",\"path\":\"/a.txt\",\"to\":\"/b.txt\"");
    assert!(client.command("DELE b.txt").starts_with("250 "));
    command("\"event\":\"delete\",\"path\":\"/b.txt\"");
    assert!(server.tries("me", "guess").starts_with("530 "));
    command("\"event\":\"login-failed\",\"attempted_user\":\"me\"");
    assert!(!place.read("audit.log").contains("guess"));
    assert_eq!(fs::metadata(place.path("audit.log")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn row_43_an_audit_log_that_could_block_is_rejected() {
    let place = shared();
    assert!(Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
    let audit = set("log.audit_file", &place, "pipe");
    place.run(&[SHARE, &["--set", &audit]].concat()).exits(78).reports("not a regular file");
}

#[test]
fn row_44_logs_are_reopened_after_a_rotation_and_no_line_is_lost() {
    let place = shared();
    let (transfers, audit) =
        (set("log.transfer_log", &place, "xferlog"), set("log.audit_file", &place, "audit.log"));
    let log = set("log.file", &place, "wharf.log");
    let words = [SHARE, &["--set", &transfers, "--set", &audit, "--set", &log]].concat();
    let server = place.serve_quietly(&words, "wharf.log");
    let mut client = server.login("me", "secret");
    let mut downloaded = 0;
    for round in 0..20 {
        client.downloads("RETR a.txt");
        downloaded += 1;
        for name in ["xferlog", "audit.log", "wharf.log"] {
            fs::rename(place.path(name), place.path(&format!("{name}.{round}"))).unwrap();
        }
        server.signal(if round % 2 == 0 { "USR1" } else { "HUP" });
        // Complete once the new file exists; a concurrent transfer must not be lost either.
        client.downloads("RETR a.txt");
        downloaded += 1;
        // The reload is logged in the new file, after all other lines.
        let is_reported = || round % 2 == 0 || place.read("wharf.log").contains("event=reloaded ");
        while !["xferlog", "audit.log", "wharf.log"].iter().all(|name| place.path(name).exists())
            || !is_reported()
        {
            std::thread::yield_now();
        }
    }
    drop(client);
    let (code, _) = server.stop();
    assert_eq!(code, Some(0));
    let count = |name: &str, part: &str| -> usize {
        let rotated = (0..20).map(|round| format!("{name}.{round}"));
        let all = rotated.chain([name.to_owned()]).map(|name| place.read(&name));
        all.map(|text| text.lines().filter(|line| line.contains(part)).count()).sum()
    };
    assert_eq!(count("xferlog", " /a.txt "), downloaded);
    assert_eq!(count("wharf.log", "event=download"), downloaded);
    assert_eq!(count("wharf.log", "event=reloaded "), 10);
    assert_eq!(count("audit.log", "\"event\":\"login\""), 1);
    assert_eq!(count("audit.log", "\"event\":\"stopped\""), 1);
}

#[test]
fn row_43_no_line_is_lost_when_a_second_signal_ends_the_server() {
    let place = shared();
    let log = set("log.file", &place, "wharf.log");
    for signal in ["TERM", "INT"] {
        let words = [SHARE, &["--set", &log, "--set", "log.commands=true"]].concat();
        let server = place.serve_quietly(&words, "wharf.log");
        let mut client = server.login("me", "secret");
        let _data = client.data();
        assert!(client.command("STOR b.txt").starts_with("150 "));
        server.signal(signal);
        while !place.read("wharf.log").contains("event=stopping ") {
            std::thread::yield_now();
        }
        // While the transfer runs, the session answers; the last lines are not yet written when the
        // signal arrives.
        for _ in 0..500 {
            assert!(client.command("NOOP").starts_with("200 "));
        }
        server.signal(signal);
        let (code, rest) = server.ends();
        assert_eq!(code, Some(if signal == "INT" { 130 } else { 0 }), "{rest}");
        let text = place.read("wharf.log");
        let commands = text.lines().filter(|line| line.contains(" event=command line=\"NOOP\""));
        assert_eq!(commands.count(), 500, "{text}");
        assert!(text.ends_with('\n') && text.contains("event=stopped\n"), "{text}");
        fs::remove_file(place.path("wharf.log")).unwrap();
    }
}

/// Input at the wrong moment, and what follows mistyped input.
const SLIPS: &[&str] = &[
    "PASS hunter2", "pass hunter2", "PaSs hunter2", "ACCT hunter2", " PASS hunter2",
    "PASS\thunter2", "PASShunter2", "PAS hunter2", "PASSW hunter2", "PSAS hunter2",
    "PASSWORD hunter2", "\u{feff}PASS hunter2", "PASS: hunter2", "SITE PSWD old hunter2",
    "SITE PASS hunter2", "LOGIN me hunter2", "me:hunter2", "hunter2", "XYZZY hunter2",
];

#[test]
fn row_42_no_line_of_any_log_holds_a_secret() {
    let place = shared();
    let (audit, transfers) =
        (set("log.audit_file", &place, "audit.log"), set("log.transfer_log", &place, "xferlog"));
    let share = ["-w", "share", "-u", "me", "-P", "hunter2", "-vv"];
    let sets = ["--set", &audit, "--set", &transfers, "--set", "log.commands=true"];
    let words = [&share[..], &sets].concat();
    let server = place.serve(&words);
    for slip in SLIPS {
        let mut client = server.connect();
        client.command(slip);
        let mut named = server.connect();
        named.command("USER me");
        named.command(slip);
    }
    let mut client = server.login("me", "hunter2");
    for slip in SLIPS {
        client.command(slip);
    }
    client.downloads("RETR a.txt");
    drop(client);
    let before = server.before.clone();
    let (_, rest) = server.stop();
    let lines = format!("{before}{rest}{}{}", place.read("audit.log"), place.read("xferlog"));
    assert!(lines.contains("event=command"), "{lines}");
    assert!(lines.contains("message=\"command\" line=\"PASS ***\""), "{lines}");
    let reported: Vec<_> = lines.lines().filter(|line| line.contains("hunter2")).collect();
    assert!(reported.is_empty(), "{reported:#?}");
}

#[test]
fn row_42_json_lines_of_hostile_names_read_back() {
    let place = shared();
    let log = set("log.file", &place, "wharf.log");
    let words = [SHARE, &["--set", &log, "--set", "log.format=json", "-vv"]].concat();
    let server = place.serve_quietly(&words, "wharf.log");
    let mut client = server.login("me", "secret");
    let names = ["\u{202e}gpj.exe", "a\u{1b}[2Jb", "q\"uote\\", "\u{2028}new", "\u{85}next"];
    for name in names {
        client.command(&format!("DELE {name}"));
        client.command(&format!("MKD {name}"));
    }
    drop(client);
    server.stop();
    let lines = BufReader::new(File::open(place.path("wharf.log")).unwrap()).lines();
    let mut count = 0;
    for line in lines {
        let line = line.unwrap();
        assert!(line.len() <= 8192 && !line.contains(['\u{1b}', '\u{202e}', '\u{2028}', '\u{85}']));
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
        count += 1;
    }
    assert!(count > 2 * names.len());
}

#[test]
fn diagnostics_follow_the_options_and_the_variable() {
    let place = shared();
    let log = set("log.file", &place, "wharf.log");
    let run = |variable: &str, options: &[&str]| {
        let _ = fs::remove_file(place.path("wharf.log"));
        let words = [SHARE, &["--set", &log], options].concat();
        let server = place.serve_quietly_with(&words, "wharf.log", &[("WHARF_LOG", variable)]);
        let mut client = server.login("me", "secret");
        assert_eq!(client.downloads("RETR a.txt"), "hello");
        assert!(client.stores("b.txt", "new").starts_with("226 "));
        drop(client);
        server.stop();
        let text = place.read("wharf.log");
        text.lines().filter(|line| line.contains("event=diagnostic ")).map(str::to_owned).collect()
    };
    let (none, debug): (Vec<String>, Vec<String>) = (run("", &[]), run("", &["-v"]));
    assert_eq!(none, [""; 0]);
    for part in [
        "DEBUG session_id=1 event=diagnostic target=\"wharf_server::ports\" \
         message=\"passive port leased\"",
        "message=\"command\" line=\"RETR a.txt\"",
        "message=\"reply\" code=226",
        "message=\"data connection established\" tls=false",
        "message=\"sending\" method=\"memory\"",
        "message=\"data connection closed\" bytes=5",
        "message=\"passive port released\"",
        "session_id=1 event=diagnostic target=\"wharf_storage::disk::partial_upload\" \
         message=\"upload published\"",
    ] {
        assert!(debug.iter().any(|line| line.contains(part)), "{part}: {debug:#?}");
    }
    let storage: Vec<String> = run("wharf_storage=debug", &[]);
    assert!(!storage.is_empty(), "the variable names a target");
    assert!(storage.iter().all(|line| line.contains("target=\"wharf_storage::")), "{storage:#?}");
    let trace: Vec<String> = run("", &["-vv"]);
    assert!(trace.iter().any(|line| line.contains(" TRACE ")), "{trace:#?}");
    let quiet: Vec<String> = run("debug", &["--set", "log.level=info"]);
    assert_eq!(quiet, [""; 0]);
}

#[test]
fn row_44_logs_are_rotated_while_the_server_is_sandboxed() {
    let place = shared();
    fs::create_dir(place.path("logs")).unwrap();
    let (log, audit) = (
        set("log.file", &place, "logs/wharf.log"),
        set("log.audit_file", &place, "logs/audit.log"),
    );
    let rules = ["log.rotate_size=3000", "log.rotate_keep=500", "log.rotate_compress=true"];
    let mut words = [SHARE, &["--set", &log, "--set", &audit]].concat();
    words.extend(rules.iter().flat_map(|rule| ["--set", rule]));
    let server = place.serve_quietly(&words, "logs/wharf.log");
    let mut client = server.login("me", "secret");
    for number in 0..120 {
        assert!(client.stores(&format!("{number}.txt"), "new").starts_with("226 "));
    }
    drop(client);
    assert_eq!(server.stop().0, Some(0));
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    let mut compressed = 0;
    for name in crate::support::names(&place.path("logs")) {
        let path = place.path("logs").join(&name);
        let text = if path.extension().is_some_and(|end| end == "gz") {
            compressed += 1;
            let out = Command::new("gzip").arg("-dc").arg(&path).output().unwrap();
            String::from_utf8(out.stdout).unwrap()
        } else {
            fs::read_to_string(&path).unwrap()
        };
        let uploads = text
            .lines()
            .filter(|line| line.contains("event=upload ") || line.contains("\"event\":\"upload\""));
        *seen.entry(name.split('.').next().unwrap().to_owned()).or_default() += uploads.count();
    }
    assert!(compressed > 0 && seen.len() == 2, "{compressed}");
    assert_eq!(seen["wharf"], 120);
    assert_eq!(seen["audit"], 120);
}
