//! Changes of a running server while clients are busy: limits, certificates, accounts; and its
//! status output.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use wharf_load::{
    Content, DownloadMode, LoadCase, Pattern, Plan, RunProgress, TargetServer, TlsOptions, prepare,
};

use crate::support::{Serving, TestFolder};

/// A configuration that allows many sessions, with `more` appended.
fn config(more: &str) -> String {
    format!(
        "config_version = 1\n[log]\nfile = \"log.txt\"\n[limits]\nconnections_per_ip = 0\n\
         sessions_per_user = 0\n{more}"
    )
}

/// The account anna, with the password `secret`.
fn place() -> TestFolder {
    let place = TestFolder::new();
    place.write("wharf.toml", &config(""));
    let words = ["user", "add", "anna", "--home", "home", "--create-home", "--permissions", "full"];
    place.run_with(&[&words[..], &["--password-file", "-"]].concat(), "secret\n").exits(0);
    place
}

fn serve(place: &TestFolder) -> Serving {
    place.serve_quietly(&["serve"], "log.txt")
}

fn json(place: &TestFolder, words: &[&str]) -> Vec<Value> {
    let ran = place.run(words).exits(0);
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn reload(place: &TestFolder, more: &str) {
    place.write("wharf.toml", &config(more));
    place.run(&["reload"]).exits(0);
}

/// Waits until the log has a line with this in it.
fn logged(place: &TestFolder, part: &str) -> String {
    for _ in 0..POLLS_MAX {
        let log = std::fs::read_to_string(place.path("log.txt")).unwrap();
        if let Some(line) = log.lines().find(|line| line.contains(part)) {
            return line.to_owned();
        }
        place.run(&["version"]).exits(0);
    }
    panic!("{part:?} is not in {}", place.read("log.txt"));
}

/// As often as a condition is looked at: minutes.
const POLLS_MAX: usize = 5000;

/// Clients that continue until they are stopped.
struct Busy {
    progress: Arc<RunProgress>,
    thread: JoinHandle<wharf_load::RunOutcome>,
}

impl Busy {
    fn begin(server: &Serving, has_tls: bool, sessions: usize, case: LoadCase) -> Self {
        let mut target = TargetServer::new(server.address, "anna", "secret");
        target.tls =
            has_tls.then(|| TlsOptions::accepting_any_certificate("localhost".try_into().unwrap()));
        let plan = Plan { sessions, count: u64::MAX, ..Plan::new(case) };
        let mut prepared = prepare(&target, &plan).unwrap();
        let progress = Arc::<RunProgress>::default();
        let watched = Arc::clone(&progress);
        let thread = std::thread::spawn(move || prepared.run(&watched));
        Self { progress, thread }
    }

    /// Stops them. Nothing may have failed.
    fn end(self) -> u64 {
        self.progress.stop();
        let outcome = self.thread.join().unwrap();
        assert_eq!(outcome.errors, 0, "{:?}", outcome.error_list);
        outcome.operations
    }
}

fn download(path: &str) -> LoadCase {
    let reading = DownloadMode::Compare(Content::Pattern);
    LoadCase::Retrieve { path: path.into(), length: None, reading }
}

fn upload(path: &str, length: u64) -> LoadCase {
    LoadCase::Store { path: path.into(), length, content: Content::Pattern, is_deleted: false }
}

/// Creates a file as clients expect it.
fn make(place: &TestFolder, name: &str, length: u64) {
    let mut file = std::fs::File::create(place.path(name)).unwrap();
    Pattern::new().write(&mut file, length).unwrap();
}

/// A certificate and its key, for this name, as PEM.
fn pair(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Writes a key that only its owner may read.
fn write_key(path: &Path, key: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.unwrap().write_all(key.as_bytes()).unwrap();
}

#[test]
fn two_hundred_reloads_under_load_drop_no_session() {
    let place = place();
    make(&place, "home/small", 3000);
    make(&place, "home/large", 3 << 20);
    let tls = "[tls]\ncertificate = \"own.pem\"\nprivate_key = \"own.key\"\n";
    let pairs = [pair("one.example"), pair("two.example")];
    let put = |number: usize| {
        let (certificate, key) = &pairs[number % 2];
        place.write("own.pem", certificate);
        write_key(&place.path("own.key"), key);
    };
    put(0);
    place.write("wharf.toml", &config(tls));
    let server = place.serve_quietly(&["serve"], "log.txt");
    let mut idle = server.login("anna", "secret");
    let busy: Vec<_> = [false, true]
        .into_iter()
        .flat_map(|has_tls| {
            let path = if has_tls { "sealed-{s}" } else { "plain-{s}" };
            let cases = [download("small"), download("large"), upload(path, 2 << 20)];
            cases.map(|case| Busy::begin(&server, has_tls, 2, case))
        })
        .collect();
    let limits = [
        "",
        "upload_rate = \"40MiB/s\"\n",
        "user_download_rate = \"30MiB/s\"\nip_upload_rate = \"20MiB/s\"\n",
        "transfer_upload_rate = \"5MiB/s\"\ntransfer_download_rate = \"8MiB/s\"\n",
        "idle_timeout = \"1m\"\ntransfer_stall_timeout = \"30s\"\ntransfer_min_rate = \"1KiB/s\"\n",
    ];
    for number in 0..200 {
        if number % 3 == 0 {
            put(number);
        }
        let greeting = format!("[server]\ngreeting = \"{number}\"\n");
        reload(&place, &[limits[number % limits.len()], tls, &greeting].concat());
    }
    let done: Vec<_> = busy.into_iter().map(Busy::end).collect();
    assert!(done.iter().all(|operations| *operations > 0), "{done:?}");
    assert!(idle.command("NOOP").starts_with("200 "));
    let mut log = place.read("log.txt");
    // Another thread writes the log.
    while log.matches("event=reloaded ").count() < 200 {
        std::thread::yield_now();
        log = place.read("log.txt");
    }
    assert_eq!(log.matches("event=reloaded ").count(), 200);
    assert!(!log.contains("event=reload-failed") && !log.contains("event=storage-failed"), "{log}");
}

/// The rate of each running transfer, by path and command, as reported by the server.
fn moved(place: &TestFolder) -> Vec<u64> {
    let mut transfers: Vec<_> = json(place, &["who", "--json"])
        .into_iter()
        .filter(|one| one["state"] == "upload" || one["state"] == "download")
        .map(|one| (one["session_id"].as_u64().unwrap(), one["bytes"].as_u64().unwrap()))
        .collect();
    transfers.sort_unstable();
    transfers.into_iter().map(|(_, bytes)| bytes).collect()
}

/// Waits until the rates of all transfers between two checks are as expected.
fn until_each(place: &TestFolder, count: usize, is_right: impl Fn(u64) -> bool) {
    let mut before = moved(place);
    for _ in 0..POLLS_MAX {
        let now = moved(place);
        let steps = before.iter().zip(&now).map(|(before, now)| now.saturating_sub(*before));
        if now.len() == count && before.len() == count && steps.into_iter().all(&is_right) {
            return;
        }
        before = now;
    }
    panic!("{before:?}, {:?}", moved(place));
}

/// At 16 KiB a second this takes half a minute, and a check takes a fraction of a second.
fn is_fast(step: u64) -> bool {
    step >= 512 << 10
}

fn is_slow(step: u64) -> bool {
    step <= 128 << 10
}

/// Sends until the server is gone, a piece at a time.
fn sends(server: &Serving, name: &str) -> (crate::support::Client, JoinHandle<()>) {
    let mut client = server.login("anna", "secret");
    let mut data = client.data();
    assert!(client.command(&format!("STOR {name}")).starts_with("150 "));
    let piece = vec![b'x'; 64 << 10];
    (client, std::thread::spawn(move || while data.write_all(&piece).is_ok() {}))
}

#[test]
fn every_new_limit_applies_to_running_transfers_and_can_be_removed() {
    let place = place();
    // Holes: nothing of it is on the disk.
    let large = std::fs::File::create(place.path("home/large")).unwrap();
    large.set_len(1 << 42).unwrap();
    let server = serve(&place);
    let reading = || LoadCase::Retrieve {
        path: "large".into(),
        length: Some(1 << 42),
        reading: DownloadMode::Decrypt,
    };
    let busy = [false, true].map(|has_tls| Busy::begin(&server, has_tls, 1, reading()));
    let store = || upload("sealed", 1 << 42);
    let sealed = Busy::begin(&server, true, 1, store());
    let (client, sender) = sends(&server, "plain");
    until_each(&place, 4, is_fast);
    // The progress of a download is known; the size of an upload is known only to its client.
    let sizes = |state| json(&place, &["who", "--json", "--state", state]);
    assert!(sizes("down").iter().all(|one| one["size"] == 1_u64 << 42));
    assert!(sizes("up").iter().all(|one| one["size"].is_null()));
    for keys in [["upload_rate", "download_rate"], ["ip_upload_rate", "ip_download_rate"]] {
        reload(&place, &keys.map(|key| format!("{key} = \"32KiB/s\"\n")).concat());
        until_each(&place, 4, is_slow);
        reload(&place, "");
        until_each(&place, 4, is_fast);
    }
    for keys in [
        ["user_upload_rate", "user_download_rate"],
        ["transfer_upload_rate", "transfer_download_rate"],
    ] {
        reload(&place, &keys.map(|key| format!("{key} = \"16KiB/s\"\n")).concat());
        until_each(&place, 4, is_slow);
    }
    reload(&place, "");
    until_each(&place, 4, is_fast);
    let edit = |rate: &str| {
        place
            .run(&["user", "edit", "anna", "--upload-rate", rate, "--download-rate", rate])
            .exits(0);
    };
    edit("16KiB/s");
    until_each(&place, 4, is_slow);
    edit("0");
    until_each(&place, 4, is_fast);
    // It would wait for transfers that never end.
    drop(server);
    sender.join().unwrap();
    drop(client);
    for one in busy.into_iter().chain([sealed]) {
        one.progress.stop();
        one.thread.join().unwrap();
    }
}

#[test]
fn a_session_idle_for_longer_than_a_new_limit_is_disconnected() {
    let place = place();
    let server = serve(&place);
    let mut anna = server.login("anna", "secret");
    assert!(anna.command("NOOP").starts_with("200 "));
    reload(&place, "idle_timeout = \"1s\"\n");
    assert_eq!(anna.reply(), "421 Idle timeout.\r\n");
}

fn fingerprint(place: &TestFolder) -> Value {
    json(place, &["status", "--json"]).remove(0)["certificate"]["fingerprint"].clone()
}

/// As certbot lays it out: names in `live` lead to numbered files in `archive`.
#[test]
fn a_renewed_certificate_is_served_automatically_and_half_a_pair_is_not() {
    let place = place();
    std::fs::create_dir_all(place.path("le/live/example")).unwrap();
    std::fs::create_dir_all(place.path("le/archive/example")).unwrap();
    let put = |number: usize, (certificate, key): &(String, String)| {
        place.write(&format!("le/archive/example/chain{number}.pem"), certificate);
        write_key(&place.path(&format!("le/archive/example/key{number}.pem")), key);
    };
    let point = |what: &str, number: usize| {
        let fresh = place.path("le/fresh");
        symlink(format!("../../archive/example/{what}{number}.pem"), &fresh).unwrap();
        std::fs::rename(fresh, place.path(&format!("le/live/example/{what}.pem"))).unwrap();
    };
    put(1, &pair("one.example"));
    point("chain", 1);
    point("key", 1);
    let more = "[tls]\ncertificate = \"le/live/example/chain.pem\"\n\
                private_key = \"le/live/example/key.pem\"\n";
    place.write("wharf.toml", &config(more));
    let server = serve(&place);
    make(&place, "home/large", 1 << 20);
    let busy = Busy::begin(&server, true, 2, download("large"));
    let first = fingerprint(&place);
    // An incomplete file: the old one stays in use, which is reported once.
    put(2, &pair("two.example"));
    point("chain", 2);
    let reported = logged(&place, "event=certificate-reload-failed");
    assert!(reported.contains("does not match tls.certificate"), "{reported}");
    assert_eq!(fingerprint(&place), first);
    point("key", 2);
    let reported = logged(&place, "event=certificate-reloaded names=\"two.example\"");
    assert!(reported.contains("not_after=\"") && reported.contains("fingerprint=\""), "{reported}");
    let second = fingerprint(&place);
    assert_ne!(second, first);
    // As acme.sh does it: in place, one file after the other.
    put(2, &pair("three.example"));
    logged(&place, "event=certificate-reloaded names=\"three.example\"");
    assert_ne!(fingerprint(&place), second);
    assert_eq!(place.read("log.txt").matches("event=certificate-reload-failed").count(), 1);
    // Clients of before, and new ones, are served.
    server.login("anna", "secret");
    assert!(busy.end() > 0);
}

#[test]
fn a_signal_writes_the_status_to_the_log() {
    let place = place();
    let server = serve(&place);
    let mut anna = server.login("anna", "secret");
    anna.stores("a.txt", "hello");
    server.signal("USR2");
    let line = logged(&place, "event=status ");
    for part in ["sessions=1 logged_in=1", "logins=1", "uploads=1", "uploaded_bytes=5"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

/// The response at a TCP address, with its head.
fn request(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn metrics_are_read_over_tcp_and_have_counted_what_was_done() {
    let place = place();
    place.run(&["user", "edit", "anna", "--quota", "1MiB"]).exits(0);
    place.write("wharf.toml", &config("[metrics]\nlisten = \"127.0.0.1:0\"\n"));
    let server = serve(&place);
    let line = logged(&place, "event=metrics-listening ");
    let address = line.split('"').nth(1).unwrap().to_owned();
    let mut anna = server.login("anna", "secret");
    anna.stores("a.txt", "hello");
    server.tries("anna", "wrong");
    let page = || request(&address, "GET /metrics HTTP/1.1\r\nHost: wharf\r\n\r\n");
    let mut text = page();
    // The quota is looked up now and then.
    for _ in 0..POLLS_MAX {
        if text.contains("wharf_quota_used_bytes{user=\"anna\"} 5\n") {
            break;
        }
        place.run(&["version"]).exits(0);
        text = page();
    }
    assert!(
        text.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"),
        "{text}"
    );
    for part in [
        "wharf_logins_total 1\n",
        "wharf_login_failures_total{cause=\"wrong-password\"} 1\n",
        "wharf_login_duration_seconds_count 1\n",
        "wharf_data_connection_open_seconds_count 1\n",
        "wharf_transfer_duration_seconds_count{direction=\"upload\"} 1\n",
        "wharf_transfers_total{direction=\"upload\",result=\"complete\"} 1\n",
        "wharf_quota_used_bytes{user=\"anna\"} 5\n",
        "wharf_quota_bytes{user=\"anna\"} 1048576\n",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    // These stay readable however the process is confined.
    for name in ["process_open_fds ", "process_resident_memory_bytes ", "wharf_disk_free_bytes{"] {
        let line = text.lines().find(|line| line.starts_with(name)).expect(name);
        assert!(line.rsplit(' ').next().unwrap().parse::<u64>().unwrap() > 10, "{line}");
    }
    let reference = include_str!("../../../../docs/reference/metrics.md");
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = name.split(' ').next().unwrap();
        assert!(reference.contains(&format!("| `{name}` |")), "{name} is not documented");
    }
    // No other path exists, and nothing can be changed.
    assert!(request(&address, "GET /v1/status HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(request(&address, "POST /v1/stop HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 405 "));
    // A page of another site that leads its own name here reads nothing.
    let foreign = "GET /metrics HTTP/1.1\r\nHost: evil.example:9121\r\n\r\n";
    assert!(request(&address, foreign).starts_with("HTTP/1.1 421 "));
    assert!(request(&address, "HELO a\r\n\r\n").starts_with("HTTP/1.1 400 "));
    // Idle connections do not delay responses to others.
    let _silent: Vec<_> = (0..200).map(|_| TcpStream::connect(&address).unwrap()).collect();
    assert!(anna.command("NOOP").starts_with("200 "));
    assert!(page().starts_with("HTTP/1.1 200 "));
}
