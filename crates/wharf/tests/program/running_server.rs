//! Commands that inspect and control a running server.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{Client, Serving, TestFolder};

/// The accounts anna and ben, each with the password `secret`, and a config of its own.
fn place() -> TestFolder {
    let place = TestFolder::new();
    place.write("wharf.toml", "config_version = 1\n");
    for name in ["anna", "ben"] {
        let home = format!("home/{name}");
        let words =
            ["user", "add", name, "--home", &home, "--create-home", "--permissions", "full"];
        place.run_with(&[&words[..], &["--password-file", "-"]].concat(), "secret\n").exits(0);
    }
    place
}

fn serve(place: &TestFolder) -> Serving {
    place.serve(&["serve"])
}

fn json(place: &TestFolder, words: &[&str]) -> Vec<Value> {
    let ran = place.run(words).exits(0);
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn status(place: &TestFolder) -> Value {
    json(place, &["status", "--json"]).remove(0)
}

/// Lists sessions until they are as expected: an action becomes visible a moment later.
fn who(place: &TestFolder, words: &[&str], is_right: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let words = [&["who", "--json"][..], words].concat();
    for _ in 0..1000 {
        let sessions = json(place, &words);
        if is_right(&sessions) {
            return sessions;
        }
    }
    panic!("{:?}", json(place, &words));
}

/// An upload in progress: 4000 bytes have arrived, and more may follow.
fn uploads(client: &mut Client, name: &str) -> std::net::TcpStream {
    let mut data = client.data();
    assert!(client.command(&format!("STOR {name}")).starts_with("150 "));
    data.write_all(&[b'x'; 4000]).unwrap();
    data
}

#[test]
fn status_reports_what_was_done_and_what_is_in_progress() {
    let place = place();
    let server = serve(&place);
    let mut anna = server.login("anna", "secret");
    assert!(anna.stores("a.txt", "hello").starts_with("226 "));
    assert_eq!(anna.downloads("RETR a.txt"), "hello");
    server.tries("ben", "wrong");
    let _data = uploads(&mut anna, "big.bin");
    who(&place, &["--state", "upload"], |up| up.len() == 1);
    let status = status(&place);
    assert_eq!(status["state"], "serving");
    assert_eq!(status["pid"], server.pid());
    assert_eq!(status["config"], "wharf.toml");
    assert_eq!(status["listeners"][0]["address"], server.address.to_string());
    assert_eq!(status["sessions"]["transferring"], 1);
    assert_eq!(status["sessions"]["connections_max"], 512);
    assert_eq!(status["passive"]["ports"], place.range());
    let totals = &status["totals"];
    assert_eq!((&totals["logins"], &totals["failed_logins"]), (&1.into(), &1.into()));
    assert_eq!((&totals["uploads"], &totals["downloads"]), (&1.into(), &1.into()));
    assert_eq!(totals["downloaded_bytes"], 5);
    let certificate = &status["certificate"];
    assert_eq!(certificate["is_self_signed"], true);
    assert!(certificate["days_left"].as_i64().unwrap() > 3000, "{certificate}");
    assert!(certificate["names"].to_string().contains("localhost"), "{certificate}");
    let screen = place.run(&["status"]).exits(0).out;
    assert!(screen.contains("2 logins") || screen.contains("1 login (1 failed)"), "{screen}");
}

#[test]
fn a_hundred_running_transfers_are_listed() {
    let place = place();
    place.write(
        "wharf.toml",
        "config_version = 1\n[limits]\nconnections_per_ip = 0\nsessions_per_user = 0\n\
         connections_before_login = 200\n",
    );
    let server = place.serve(&["serve"]);
    let mut kept: Vec<_> = (0..100)
        .map(|number| {
            let mut anna = server.login("anna", "secret");
            let data = uploads(&mut anna, &format!("{number}.bin"));
            (anna, data)
        })
        .collect();
    let ben = server.login("ben", "secret");
    let has_all = |up: &[Value]| up.iter().filter(|one| one["bytes"] == 4000).count() == 100;
    let up = who(&place, &["--state", "up"], has_all);
    let mut paths: Vec<_> = up.iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect();
    paths.sort();
    let mut expected: Vec<_> = (0..100).map(|number| format!("/{number}.bin")).collect();
    expected.sort();
    assert_eq!(paths, expected);
    assert!(up.iter().all(|one| one["user"] == "anna" && one["ip"] == "127.0.0.1"));
    assert_eq!(who(&place, &[], |all| all.len() == 101).len(), 101);
    let idle = who(&place, &["--user", "ben"], |ben| ben.len() == 1);
    assert_eq!(idle[0]["state"], "idle");
    // Listing has not disturbed any session.
    for (client, data) in kept.drain(..) {
        drop(data);
        let mut client = client;
        assert!(client.reply().starts_with("226 "));
    }
    drop(ben);
}

#[test]
fn a_kick_ends_a_session_with_its_reason() {
    let place = place();
    let server = serve(&place);
    let mut anna = server.login("anna", "secret");
    let mut ben = server.login("ben", "secret");
    let _data = uploads(&mut anna, "cut.bin");
    let ran = place.run(&["kick", "--user", "anna", "--reason", "Backup begins."]).exits(0);
    assert!(ran.out.starts_with("disconnected session "), "{ran:?}");
    assert!(anna.reply().starts_with("426 "));
    assert_eq!(anna.reply(), "421 Backup begins.\r\n");
    assert!(ben.command("NOOP").starts_with("200 "));
    place.run(&["kick", "4711"]).exits(4).reports("unknown session 4711");
    let ran = place.run(&["kick", "--user", "carl"]).exits(4);
    ran.reports("error: no session matches --user carl\n")
        .reports("hint: list sessions:  wharf who");
}

#[test]
fn a_kick_after_the_transfer_lets_it_end_and_bans_the_next_connection() {
    let place = place();
    place.write("wharf.toml", "config_version = 1\n[ban]\nallow = []\n");
    let server = serve(&place);
    let mut anna = server.login("anna", "secret");
    let data = uploads(&mut anna, "whole.bin");
    let words = ["kick", "--user", "anna", "--after-transfer", "--ban", "1h", "--json"];
    let kicked = json(&place, &words);
    assert_eq!(kicked[0]["banned"], serde_json::json!(["127.0.0.1"]));
    drop(data);
    assert!(anna.reply().starts_with("226 "));
    assert!(anna.reply().starts_with("421 "));
    assert_eq!(std::fs::metadata(place.path("home/anna/whole.bin")).unwrap().len(), 4000);
    // It is the same ban as any other.
    let mut late = BufReader::new(std::net::TcpStream::connect(server.address).unwrap());
    let mut greeting = String::new();
    late.read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("421 "), "{greeting}");
    assert_eq!(status(&place)["bans"], 1);
    server.stop();
    let listed = place.run(&["ban", "list"]).exits(0).out;
    assert!(listed.contains("127.0.0.1") && listed.contains("manual"), "{listed}");
}

/// Follows the log until a line with this in it.
fn read_until(lines: &mut impl BufRead, part: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended without {part}");
        if line.contains(part) {
            return line;
        }
    }
}

#[test]
fn the_log_shows_its_last_lines_and_continues_until_the_server_stops() {
    let place = place();
    let server = serve(&place);
    let mut anna = server.login("anna", "secret");
    anna.stores("one.txt", "1");
    let id = who(&place, &["--user", "anna"], |all| all.len() == 1)[0]["session_id"].to_string();
    let all = place.run(&["log", "-n", "100"]).exits(0).out;
    assert!(all.contains("event=ready ") && all.contains("event=upload "), "{all}");
    let last = place.run(&["log", "-n", "1"]).exits(0).out;
    assert_eq!(last.lines().count(), 1);
    let own = place.run(&["log", "-n", "100", "--session", &id]).exits(0).out;
    assert!(own.lines().all(|line| line.contains(&format!("session_id={id} "))), "{own}");
    let mut follower: Child = place
        .command(&["log", "--follow", "-n", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap());
    // The first line shows that it follows.
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    anna.stores("two.txt", "2");
    assert!(read_until(&mut lines, "event=upload ").contains("/two.txt"));
    place.run(&["stop"]).exits(0);
    read_until(&mut lines, "event=control ");
    read_until(&mut lines, "event=stopped");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    assert_eq!(server.ends().0, Some(0));
}

#[test]
fn a_stop_lets_a_transfer_end_and_takes_the_socket_away() {
    let place = place();
    let server = serve(&place);
    let mut anna = server.login("anna", "secret");
    let data = uploads(&mut anna, "last.bin");
    assert!(place.path("run/control.sock").exists());
    place.run(&["stop", "--grace", "1h"]).exits(0);
    assert_eq!(status(&place)["state"], "stopping");
    drop(data);
    assert!(anna.reply().starts_with("226 "));
    let (code, log) = server.ends();
    assert_eq!(code, Some(0));
    assert!(
        log.contains("event=control peer=\"uid=") && log.contains("path=\"/v1/stop\""),
        "{log}"
    );
    assert!(!place.path("run/control.sock").exists());
}

#[test]
fn without_a_server_the_exit_code_is_3_with_a_hint() {
    let place = place();
    let socket = place.path("run/control.sock");
    let socket = socket.to_str().unwrap();
    for words in [&["status"][..], &["who"], &["log"], &["stop"], &["reload"], &["kick", "1"]] {
        let words = [words, &["--socket", socket]].concat();
        let ran = place.run(&words).exits(3).reports("no server is running: cannot connect to ");
        ran.reports("hint: start it:  wharf serve");
    }
    place.run(&["top", "-b", "-n", "1", "--socket", socket]).exits(3);
    for command in ["status", "who"] {
        let missing = "note: configuration file not found: nope.toml\n";
        place.run(&["-c", "nope.toml", command]).reports(missing);
        let ran = place.run(&["-c", "nope.toml", command, "--socket", socket]).exits(3);
        assert!(!ran.err.contains(missing), "{ran:?}");
    }
}

#[test]
fn a_server_serves_although_its_control_socket_is_in_use() {
    let place = place();
    let first = serve(&place);
    let second = place.serve(&["serve"]);
    assert!(second.before.contains("another wharf uses "), "{}", second.before);
    second.login("anna", "secret");
    assert_eq!(status(&place)["pid"], first.pid());
    second.stop();
    assert_eq!(status(&place)["pid"], first.pid());
}

#[test]
fn only_the_owner_may_use_the_socket() {
    let place = place();
    let _server = serve(&place);
    let mode =
        |name: &str| std::fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run"), mode("run/control.sock")), (0o700, 0o600));
}

#[cfg(target_os = "linux")]
#[test]
fn another_user_gets_an_error_about_the_socket() {
    use std::os::unix::process::CommandExt;
    if !std::process::Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n") {
        return;
    }
    let place = place();
    let _server = serve(&place);
    // The folder of the socket is accessible; the socket is not.
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path("."), open.clone()).unwrap();
    std::fs::set_permissions(place.path("run"), open).unwrap();
    let socket = place.path("run/control.sock");
    let socket = socket.to_str().unwrap();
    // The binary may be in a folder that other users cannot access.
    let program = place.path("wharf");
    std::fs::copy(env!("CARGO_BIN_EXE_wharf"), &program).unwrap();
    let ran = std::process::Command::new(&program)
        .args(["status", "--socket", socket])
        .current_dir("/")
        .env_clear()
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(77), "{ran:?}");
    let reported = String::from_utf8(ran.stderr).unwrap();
    assert!(
        reported.contains("permission denied: cannot open") && reported.contains("control.group"),
        "{reported}"
    );
}

#[test]
fn a_reload_changes_what_it_can_and_names_what_needs_a_restart() {
    let place = place();
    let server = serve(&place);
    let mut anna = server.login("anna", "secret");
    let data = uploads(&mut anna, "during.bin");
    place.write(
        "wharf.toml",
        "config_version = 1\n[server]\ngreeting = \"Fresh.\"\nhomes = [\"/srv\"]\n[limits]\n\
         sessions_per_user = 1\n",
    );
    let reloaded = json(&place, &["reload", "--json"]).remove(0);
    let expected = serde_json::json!(["limits.sessions_per_user", "server.greeting"]);
    assert_eq!(reloaded["changed"], expected);
    assert_eq!(reloaded["needs_restart"], serde_json::json!(["server.homes"]));
    drop(data);
    assert!(anna.reply().starts_with("226 "));
    let mut ben = BufReader::new(std::net::TcpStream::connect(server.address).unwrap());
    let mut greeting = String::new();
    ben.read_line(&mut greeting).unwrap();
    assert_eq!(greeting, "220 Fresh.\r\n");
    assert!(!server.tries("anna", "secret").starts_with("230"), "one session is the most now");
    assert_eq!(status(&place)["reload"]["is_in_force"], true);
    let again = json(&place, &["reload", "--json"]).remove(0);
    assert_eq!(again["changed"], serde_json::json!([]));
}

#[test]
fn an_invalid_configuration_changes_nothing_and_is_shown_as_by_check() {
    let place = place();
    let server = serve(&place);
    place.write(
        "wharf.toml",
        "config_version = 1\n[server]\ngreeting = \"Fresh.\"\n[limits]\nconnections = \"many\"\n\
         idle_timeout = 7\n",
    );
    let ran = place.run(&["reload"]).exits(78);
    let checked = place.run(&["check"]).exits(78);
    for part in ["error: ", "`limits.connections`", "wharf.toml:5"] {
        assert!(ran.err.contains(part), "{part} is not in {}", ran.err);
        assert!(checked.err.contains(part), "{part} is not in {}", checked.err);
    }
    let greeted = server.connect();
    drop(greeted);
    let reload = status(&place)["reload"].clone();
    assert_eq!(reload["is_in_force"], false);
    assert!(place.run(&["log"]).exits(0).out.contains("event=reload-failed "));
}

#[test]
fn a_hang_up_reloads_too_and_a_new_certificate_is_served() {
    let place = place();
    let mut server = serve(&place);
    let before = status(&place)["certificate"]["fingerprint"].clone();
    std::fs::remove_file(place.path("state/self-signed.pem")).unwrap();
    server.signal("HUP");
    server.waits_for("event=reloaded changed=\"tls.certificate\"");
    assert_ne!(status(&place)["certificate"]["fingerprint"], before);
    server.login("anna", "secret");
}

#[test]
fn two_hundred_reloads_drop_no_session() {
    let place = place();
    let server = serve(&place);
    let mut anna = server.login("anna", "secret");
    let mut data = uploads(&mut anna, "long.bin");
    for number in 0..200 {
        let text = format!("config_version = 1\n[server]\ngreeting = \"{number}\"\n");
        place.write("wharf.toml", &text);
        place.run(&["reload"]).exits(0);
        data.write_all(b"more").unwrap();
    }
    drop(data);
    assert!(anna.reply().starts_with("226 "));
    assert!(anna.command("NOOP").starts_with("200 "));
    assert_eq!(std::fs::metadata(place.path("home/anna/long.bin")).unwrap().len(), 4800);
}

#[test]
fn top_prints_tables_without_a_terminal() {
    let place = place();
    let server = serve(&place);
    let _anna = server.login("anna", "secret");
    let ran = place.run(&["top", "-b", "-n", "2"]).exits(0);
    assert_eq!(ran.out.matches("anna").count(), 2, "{}", ran.out);
    place.run(&["top"]).exits(2).reports("standard output is not a terminal");
}

/// A terminal of 80 columns in which `wharf top` runs.
#[cfg(target_os = "linux")]
struct Screen<'a> {
    place: &'a TestFolder,
    socket: String,
}

#[cfg(target_os = "linux")]
impl<'a> Screen<'a> {
    fn open(place: &'a TestFolder) -> Self {
        let socket = place.path("tmux").to_str().unwrap().to_owned();
        let program = env!("CARGO_BIN_EXE_wharf");
        let control = place.path("run/control.sock");
        let top = format!("{program} top --socket {}", control.display());
        let mut command = std::process::Command::new("tmux");
        command.args(["-S", &socket, "-f", "/dev/null", "new-session", "-d", "-x", "80"]);
        let begun = command.args(["-y", "24", &top]).env("TERM", "xterm").status();
        let is_begun = begun.is_ok_and(|begun| begun.success());
        assert!(is_begun, "tmux does not run; install it with:  cargo xtask setup");
        Self { place, socket }
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut command = std::process::Command::new("tmux");
        let output = command.args(["-S", &self.socket]).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn types(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"][..], keys].concat());
    }

    /// The screen, once this is on it.
    fn shows(&self, part: &str) -> String {
        for _ in 0..2000 {
            let text = self.tmux(&["capture-pane", "-p"]);
            if text.contains(part) {
                return text;
            }
        }
        panic!("{part:?} is not on {}", self.tmux(&["capture-pane", "-p"]));
    }
}

#[cfg(target_os = "linux")]
impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
        let _ = self.place;
    }
}

#[cfg(target_os = "linux")]
#[test]
fn top_is_controlled_by_keys_at_80_columns() {
    let place = place();
    let server = serve(&place);
    let mut anna = server.login("anna", "secret");
    let mut ben = server.login("ben", "secret");
    let screen = Screen::open(&place);
    let text = screen.shows("anna");
    assert!(text.contains("ben") && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    screen.types(&["s"]);
    screen.shows("by user");
    screen.types(&["/", "b", "e", "n", "Enter"]);
    screen.shows("ben");
    screen.types(&["Enter"]);
    screen.shows("USER ben");
    screen.types(&["k", "y"]);
    assert!(ben.reply().starts_with("421 "));
    assert!(anna.command("NOOP").starts_with("200 "));
    screen.shows("disconnected");
    screen.types(&["q"]);
}
