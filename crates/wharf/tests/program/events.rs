//! Hook programs that are started after events, and one that checks uploads before they are
//! published. The server is sandboxed in all of these, as far as this computer supports it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::Value;

use crate::support::{Client, Serving, TestFolder, names};

/// Twenty milliseconds each.
const REPORT_POLLS_MAX: usize = 3_000;

/// A share, and programs that record their input.
struct Bench {
    place: TestFolder,
}

/// Writes its arguments, each followed by NUL, and its input, line by line.
const NOTE: &str = "#!/bin/sh\nhere=$(dirname \"$0\")\nfor word; do printf '%s\\0' \"$word\" \
                    >> \"$here/words\"; done\n{ cat; echo; } >> \"$here/reported\"\n";

/// Finds EICAR, as a scanner for viruses does.
const SCAN: &str = "#!/bin/sh\necho \"$WHARF_ID\" >> \"$(dirname \"$0\")/ids\"\n\
                    if grep -q EICAR \"$1\"; then\n  echo \"$1: Eicar-Test-Signature \
                    FOUND\"\n  exit 1\nfi\n";

impl Bench {
    fn new() -> Self {
        let place = TestFolder::new();
        for folder in ["share", "aside"] {
            fs::create_dir(place.path(folder)).unwrap();
        }
        let bench = Self { place };
        bench.program("note", NOTE);
        bench.program("scan", SCAN);
        bench
    }

    fn program(&self, name: &str, text: &str) {
        self.place.write(name, text);
        let permissions = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.place.path(name), permissions).unwrap();
    }

    /// A key whose value is a test program with these arguments.
    fn hook(&self, key: &str, program: &str, words: &[&str]) -> String {
        let mut all = vec![self.place.path(program).to_str().unwrap().to_owned()];
        all.extend(words.iter().map(|word| (*word).to_owned()));
        format!("{key}={}", serde_json::to_string(&all).unwrap())
    }

    fn serve(&self, settings: &[&str]) -> Serving {
        let mut words = vec!["-w", "share", "-u", "me", "-P", "secret"];
        for setting in settings {
            words.extend(["--set", setting]);
        }
        self.place.serve(&words)
    }

    /// Waits until the programs have received this many events.
    fn received(&self, count: usize) -> Vec<Value> {
        for _ in 0..REPORT_POLLS_MAX {
            let text = fs::read_to_string(self.place.path("reported")).unwrap_or_default();
            if text.lines().count() >= count && text.ends_with('\n') {
                return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!(
            "fewer than {count} were reported: {:?}",
            fs::read_to_string(self.place.path("reported"))
        );
    }
}

fn is_confined(server: &Serving) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    status.contains("Seccomp:\t2")
}

#[test]
fn row_21_a_program_gets_the_json_of_an_upload_and_any_name_byte_for_byte() {
    let bench = Bench::new();
    let upload = bench.hook("events.on_upload", "note", &["--", "{file}", "{user}", "{bytes}"]);
    let server = bench.serve(&[&upload]);
    assert!(is_confined(&server));
    let mut client = server.login("me", "secret");
    let name = "a  b\"$(touch pwned)`id`';*\u{2028}&é.txt";
    assert!(client.stores(name, "hello").starts_with("226 "));
    let reported = bench.received(1);
    let file = bench.place.path("share").join(name);
    assert_eq!(reported[0]["event"], "upload");
    assert_eq!(reported[0]["path"], format!("/{name}"));
    assert_eq!(reported[0]["file"], file.to_str().unwrap());
    assert_eq!(reported[0]["user"], "me");
    assert_eq!(reported[0]["ip"], "127.0.0.1");
    assert_eq!(reported[0]["protocol"], "ftp");
    assert_eq!(reported[0]["bytes"], 5);
    assert_eq!(reported[0]["complete"], true);
    assert!(reported[0]["duration_seconds"].is_number() && reported[0]["session_id"].is_u64());
    let words = bench.place.read("words");
    let words: Vec<_> = words.split_terminator('\0').collect();
    assert_eq!(words, ["--", file.to_str().unwrap(), "me", "5"]);
    assert!(!names(&bench.place.path("")).contains(&"pwned".to_owned()));
}

#[test]
fn each_kind_of_event_has_its_program_and_ids_differ() {
    let bench = Bench::new();
    let keys = [
        "login", "login_failed", "logout", "download", "upload_failed", "delete", "rename",
        "mkdir", "rmdir",
    ];
    let hooks: Vec<_> =
        keys.iter().map(|key| bench.hook(&format!("events.on_{key}"), "note", &[])).collect();
    let mut settings: Vec<_> = hooks.iter().map(String::as_str).collect();
    settings.push("events.workers=1");
    bench.place.write("share/a.txt", "hello");
    let server = bench.serve(&settings);
    assert!(server.tries("me", "wrong").starts_with("530 "));
    let mut client = server.login("me", "secret");
    client.downloads("RETR a.txt");
    client.command("MKD d");
    client.command("RNFR a.txt");
    client.command("RNTO b.txt");
    client.command("DELE b.txt");
    client.command("RMD d");
    client.command("QUIT");
    drop(client);
    let reported = bench.received(8);
    let events: Vec<_> = reported.iter().map(|one| one["event"].as_str().unwrap()).collect();
    assert_eq!(
        events,
        [
            "login-failed", "login", "download", "mkdir", "rename", "delete", "rmdir",
            "session-ended"
        ]
    );
    assert_eq!(reported[4]["path"], "/a.txt");
    assert_eq!(reported[4]["to"], "/b.txt");
    assert_eq!(reported[4]["to_file"], bench.place.path("share/b.txt").to_str().unwrap());
    let mut ids: Vec<_> = reported.iter().map(|one| one["id"].as_str().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 8);
}

#[test]
fn a_program_that_fails_is_started_again_and_the_log_reports_it() {
    let bench = Bench::new();
    bench.program("flaky", "#!/bin/sh\ncat >> \"$0.reported\"\necho again >&2\nexit 3\n");
    let hook = bench.hook("events.on_mkdir", "flaky", &[]);
    let settings = [hook.as_str(), "events.retries=2", "events.retry_pause=1ms"];
    let mut server = bench.serve(&settings);
    server.login("me", "secret").command("MKD d");
    let failed = "event=hook-failed hook=\"on_mkdir\" trigger=\"mkdir\"";
    for is_final in ["false", "false", "true"] {
        let line = server.waits_for(failed);
        assert!(line.contains("reason=\"exit code 3\" output=\"again\""), "{line}");
        assert!(line.contains(&format!("final={is_final}")), "{line}");
    }
    assert_eq!(bench.place.read("flaky.reported").matches("\"mkdir\"").count(), 3);
}

#[test]
fn pending_events_are_delivered_before_the_server_ends_and_programs_end_with_it() {
    let bench = Bench::new();
    let hook = bench.hook("events.on_mkdir", "note", &[]);
    let server = bench.serve(&[&hook, "events.workers=1"]);
    let mut client = server.login("me", "secret");
    for number in 0..20 {
        client.command(&format!("MKD d{number}"));
    }
    drop(client);
    assert_eq!(server.stop().0, Some(0));
    assert_eq!(bench.received(20).len(), 20);

    let bench = Bench::new();
    bench.program("hang", "#!/bin/sh\necho $$ > \"$0.pid\"\nsleep 1000\n");
    let hook = bench.hook("events.on_mkdir", "hang", &[]);
    let server = bench.serve(&[&hook]);
    server.login("me", "secret").command("MKD d");
    let pid = loop {
        match fs::read_to_string(bench.place.path("hang.pid"))
            .ok()
            .and_then(|t| t.trim().parse::<u32>().ok())
        {
            Some(pid) => break pid,
            None => std::thread::yield_now(),
        }
    };
    // They end with a server that is killed.
    drop(server);
    while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::yield_now();
    }
}

#[test]
fn signals_to_the_whole_service_do_not_end_the_program_starter() {
    let bench = Bench::new();
    let hook = bench.hook("events.on_mkdir", "note", &[]);
    let server = bench.serve(&[&hook]);
    let pid = server.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let worker = children.split_whitespace().next().unwrap();
    let asleep = format!("/proc/{worker}/status");
    // Its handlers are in place: TERM is the bit 14, INT the bit 1.
    let caught = || {
        let status = fs::read_to_string(&asleep).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & 0x4002 == 0x4002
    };
    while !caught() {
        std::thread::yield_now();
    }
    let ended = Command::new("kill").args(["-TERM", worker]).status().unwrap();
    assert!(ended.success());
    server.login("me", "secret").command("MKD d");
    assert_eq!(bench.received(1)[0]["event"], "mkdir");
}

#[test]
fn programs_run_as_the_server_and_not_as_root() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root can change to another user");
        return;
    }
    let bench = Bench::new();
    let place = &bench.place;
    fs::create_dir(place.path("out")).unwrap();
    bench.program("user", "#!/bin/sh\nid -u > \"$(dirname \"$0\")/out/user\"\n");
    place.write("wharf.toml", "[server]\nuser = \"nobody\"\n");
    let words =
        ["user", "add", "anna", "--home", "share", "--permissions", "full", "--password-file", "-"];
    place.run_with(&words, "secret\n").exits(0);
    for name in ["", "share", "out", "users.toml"] {
        chown(place.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let hook = bench.hook("events.on_login", "user", &[]);
    let server = place.serve(&["--set", &hook]);
    let client = server.login("anna", "secret");
    let user = place.path("out/user");
    while !fs::metadata(&user).is_ok_and(|facts| facts.len() > 0) {
        std::thread::yield_now();
    }
    assert_eq!(place.read("out/user"), "65534\n");
    assert_eq!(fs::metadata(&user).unwrap().uid(), NOBODY);
    drop(client);
}

#[test]
fn a_rejected_upload_is_not_published_and_the_client_gets_the_reason() {
    let bench = Bench::new();
    let check = bench.hook("events.check_upload", "scan", &["{partial_file}"]);
    let failed = bench.hook("events.on_upload_failed", "note", &[]);
    let all = bench.hook("events.on_upload", "note", &[]);
    let aside = format!("events.quarantine={}", bench.place.path("aside").display());
    let audit = format!("log.audit_file={}", bench.place.path("audit.log").display());
    let mut server = bench.serve(&[&check, &failed, &all, &aside, &audit]);
    assert!(is_confined(&server));
    let mut client = server.login("me", "secret");
    assert!(client.stores("good.txt", "hello").starts_with("226 "));
    bench.place.write("share/old.txt", "what was there");
    let reply = client.stores("old.txt", "X5O!P%@AP EICAR");
    assert_eq!(reply, "552 Rejected: old.txt: Eicar-Test-Signature FOUND\r\n");
    let quarantined = server.waits_for("event=upload-quarantined user=\"me\" path=\"/old.txt\"");
    let rejected = server.waits_for("event=upload-check-rejected path=\"/old.txt\" bytes=15");
    assert!(rejected.contains("Eicar-Test-Signature"), "{rejected}");
    assert_eq!(bench.place.read("share/old.txt"), "what was there");
    assert_eq!(names(&bench.place.path("share")), ["good.txt", "old.txt"]);
    let aside = names(&bench.place.path("aside"));
    assert_eq!(aside.len(), 1);
    assert!(aside[0].ends_with("-old.txt"), "{aside:?}");
    assert_eq!(bench.place.read(&format!("aside/{}", aside[0])), "X5O!P%@AP EICAR");
    // The same ID in the input of the program, in the log and in the name of the quarantined file.
    let ids = bench.place.read("ids");
    let id = ids.lines().last().unwrap();
    assert_eq!(aside[0], format!("{id}-old.txt"));
    for line in [&quarantined, &rejected] {
        assert!(line.contains(&format!(" id=\"{id}\"")), "{id}: {line}");
    }
    let reported = bench.received(2);
    assert_eq!(reported[1]["id"], id);
    assert_ne!(reported[0]["id"], id);
    assert_eq!((&reported[0]["event"], &reported[0]["complete"]), (&"upload".into(), &true.into()));
    assert_eq!(
        (&reported[1]["event"], &reported[1]["bytes"]),
        (&"upload-check-rejected".into(), &15.into())
    );
    assert!(bench.place.read("audit.log").contains("\"event\":\"upload-check-rejected\""));
    // An append has all of the file looked at.
    assert!(appends(&mut client, "good.txt", " EICAR").starts_with("552 "));
    assert_eq!(bench.place.read("share/good.txt"), "hello");
    assert!(client.command("NOOP").starts_with("200 "));
}

fn appends(client: &mut Client, name: &str, text: &str) -> String {
    let mut data = client.data();
    assert!(client.command(&format!("APPE {name}")).starts_with("150 "));
    data.write_all(text.as_bytes()).unwrap();
    drop(data);
    client.reply()
}

#[test]
fn no_226_before_the_check_and_an_aborted_upload_leaves_nothing() {
    let bench = Bench::new();
    bench.program(
        "wait",
        "#!/bin/sh\necho $$ >> \"$0.pid\"\nwhile ! test -e \"$0.go\"; do sleep 0.01; done\n",
    );
    let check = bench.hook("events.check_upload", "wait", &["{partial_file}"]);
    let server = bench.serve(&[&check]);
    let mut client = server.login("me", "secret");
    let sends = |client: &mut Client, name: &str| {
        let mut data = client.data();
        assert!(client.command(&format!("STOR {name}")).starts_with("150 "));
        data.write_all(b"hello").unwrap();
    };
    let begun = |count: usize| {
        while fs::read_to_string(bench.place.path("wait.pid"))
            .map_or(0, |text| text.lines().count())
            < count
        {
            std::thread::yield_now();
        }
    };
    sends(&mut client, "a.txt");
    begun(1);
    // The control connection is served meanwhile, and the file is not visible yet.
    assert!(client.command("NOOP").starts_with("200 "));
    assert!(!bench.place.path("share/a.txt").exists());
    assert!(client.command("ABOR").starts_with("426 "));
    assert!(client.reply().starts_with("226 "));
    assert!(!bench.place.path("share/a.txt").exists());
    sends(&mut client, "b.txt");
    begun(2);
    bench.place.write("wait.go", "");
    assert!(client.reply().starts_with("226 "));
    assert_eq!(names(&bench.place.path("share")).last().unwrap(), "b.txt");
    assert!(!bench.place.path("share/a.txt").exists());
}

#[test]
fn a_check_that_fails_rejects_unless_configured_to_allow() {
    let bench = Bench::new();
    bench.program("broken", "#!/bin/sh\necho no database >&2\nexit 9\n");
    bench.program("slow", "#!/bin/sh\nsleep 1000\n");
    // Only the second one may run out of time.
    for (program, reason, limit) in
        [("broken", "exited with code 9: no database", "1m"), ("slow", "timed out", "50ms")]
    {
        let limit = format!("events.check_timeout={limit}");
        let check = bench.hook("events.check_upload", program, &["{partial_file}"]);
        let mut server = bench.serve(&[&check, &limit]);
        let mut client = server.login("me", "secret");
        let reply = client.stores("a.txt", "hello");
        assert!(reply.starts_with("451 Upload check failed"), "{reply}");
        let line = server.waits_for("event=upload-check-failed user=\"me\" path=\"/a.txt\"");
        assert!(line.contains(reason) && line.contains("published=false"), "{line}");
        assert!(!bench.place.path("share/a.txt").exists());
        drop(client);
        let server = bench.serve(&[&check, &limit, "events.check_on_error=allow"]);
        let mut client = server.login("me", "secret");
        assert!(client.stores("b.txt", "hello").starts_with("226 "));
    }
}

#[test]
fn many_uploads_wait_for_few_checks() {
    let bench = Bench::new();
    // Two at a time would meet in the folder.
    bench.program(
        "alone",
        "#!/bin/sh\nmkdir \"$0.lock\" || exit 1\nsleep 0.01\nrmdir \"$0.lock\"\n",
    );
    let check = bench.hook("events.check_upload", "alone", &["{partial_file}"]);
    let server = bench.serve(&[&check, "events.check_workers=1"]);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.login("me", "secret");
                let reply = client.stores(&format!("{number}.txt"), "hello");
                assert!(reply.starts_with("226 "), "{reply}");
            });
        }
    });
    assert_eq!(names(&bench.place.path("share")).len(), 6);
    let mut socket = UnixStream::connect(bench.place.path("run/control.sock")).unwrap();
    socket.write_all(b"GET /metrics HTTP/1.0\r\nHost: wharf\r\n\r\n").unwrap();
    let mut page = String::new();
    socket.read_to_string(&mut page).unwrap();
    assert!(page.contains("\nwharf_upload_checks_total 6\n"), "{page}");
    assert!(page.contains("\nwharf_hook_queue_length 0\n"), "{page}");
}

#[test]
fn errors_in_the_configuration_are_reported_with_a_hint() {
    let bench = Bench::new();
    for (setting, part) in [
        ("events.on_upload=[\"/no/such/program\"]", "program not found: /no/such/program"),
        ("events.on_upload=[\"/bin/sh\", \"{fiel}\"]", "did you mean {file}?"),
        (
            "events.on_upload=[\"/bin/sh\", \"{partial_file}\"]",
            "{partial_file} is available only in check_upload",
        ),
        ("events.check_reject_exit_codes=[0]", "a list of numbers from 1 to 255"),
        ("events.quarantine=/no/such/folder", "mkdir -m 700 /no/such/folder"),
        ("webhook.0.url=example.com", "https://example.com/wharf"),
        ("webhook.0.events=[\"uplaod\"]", "did you mean `upload`?"),
        ("log.rotate_keep=0", "from 1 to 1000"),
    ] {
        bench.place.run(&["serve", "share", "--set", setting]).exits(78).reports(part);
    }
    fs::set_permissions(bench.place.path("note"), fs::Permissions::from_mode(0o777)).unwrap();
    let open = bench.hook("events.on_upload", "note", &[]);
    bench.place.run(&["serve", "share", "--set", &open]).exits(78).reports("chmod o-w");
    bench.place.run(&["start-programs"]).exits(1).reports("this command is internal to wharf");
}
