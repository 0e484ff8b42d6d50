//! `wharf reload --binary`: a new process takes over without any interruption.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::support::{Client, Ran, Serving, TestFolder};

/// The user ID of `nobody` on every Linux.
const NOBODY: u32 = 65_534;

fn place() -> TestFolder {
    let place = TestFolder::new();
    fs::create_dir(place.path("files")).unwrap();
    place.write("wharf.toml", "");
    let words = ["user", "add", "anna", "--home", "files", "--permissions", "full"];
    place.run_with(&[&words[..], &["--password-file", "-"]].concat(), "secret\n").exits(0);
    place
}

fn upgrade(place: &TestFolder) -> Ran {
    place.run(&["reload", "--binary"])
}

/// The process that serves the control socket.
fn answering(place: &TestFolder) -> u32 {
    let status = place.run(&["status", "--json"]).exits(0);
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    u32::try_from(status["pid"].as_u64().unwrap()).unwrap()
}

/// Stops the process that serves the control socket, which is not a child process, and waits for
/// its end.
fn stop(place: &TestFolder) {
    let pid = answering(place);
    place.run(&["stop", "--grace", "0s"]).exits(0);
    while fs::exists(format!("/proc/{pid}/exe")).unwrap() && !is_dead(pid) {
        std::thread::yield_now();
    }
}

/// A zombie process is still listed.
fn is_dead(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// One upgrade with an existing client and a new one.
fn continues(place: &TestFolder, mut server: Serving) {
    let mut before = server.login("anna", "secret");
    let ran = upgrade(place).exits(0);
    let new = answering(place);
    assert_ne!(new, server.pid());
    let begin = format!("process {new} accepts new connections; 1 session continues");
    assert!(ran.out.starts_with(&begin), "{ran:?}");
    // The existing session is served by the old process, a new one by the new process.
    assert!(before.stores("old.txt", "old").starts_with("226 "));
    let mut behind = server.login("anna", "secret");
    assert!(behind.stores("new.txt", "new").starts_with("226 "));
    assert_eq!(before.downloads("RETR new.txt"), "new");
    assert!(before.command("QUIT").starts_with("221 "));
    assert_eq!(server.leaves(), Some(0), "the old process ends with its last session");
    // What took over can be taken over from.
    upgrade(place).exits(0);
    assert_ne!(answering(place), new);
    assert!(behind.command("NOOP").starts_with("200 "));
    behind.command("QUIT");
    server.login("anna", "secret");
    stop(place);
    assert!(TcpStream::connect(server.address).is_err(), "nobody has the socket any more");
}

#[test]
fn a_new_process_takes_clients_and_the_old_one_ends_with_its_last() {
    let place = place();
    let server = place.serve(&["serve"]);
    continues(&place, server);
}

#[test]
fn a_server_that_dropped_root_and_is_sandboxed_can_be_upgraded_too() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root can change to another user");
        return;
    }
    let place = for_user_nobody();
    let server = place.serve(&["serve"]);
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    assert!(status.contains("Seccomp:\t2"), "{status}");
    continues(&place, server);
}

/// A test folder whose server runs as `nobody`, which may change the accounts and not the
/// configuration.
fn for_user_nobody() -> TestFolder {
    let place = place();
    let config = "[server]\nuser = \"nobody\"\nusers_file = \"own/users.toml\"\nsandbox = \"on\"\n";
    place.write("wharf.toml", config);
    fs::create_dir(place.path("own")).unwrap();
    fs::rename(place.path("users.toml"), place.path("own/users.toml")).unwrap();
    for name in ["own", "files", "own/users.toml"] {
        chown(place.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    place
}

#[test]
fn row_54_a_server_that_dropped_root_regains_nothing_by_a_config_that_it_can_change() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root can change to another user");
        return;
    }
    let place = for_user_nobody();
    let mut server = place.serve(&["serve"]);
    // Write access to the folder allows replacing the configuration.
    chown(place.path(""), Some(NOBODY), Some(NOBODY)).unwrap();
    upgrade(&place).exits(1).reports("the new program failed to start");
    server.waits_for("event=upgrade-failed");
    assert_eq!(answering(&place), server.pid());
    chown(place.path(""), Some(0), Some(0)).unwrap();
    continues(&place, server);
}

#[test]
fn row_43_no_line_of_either_process_is_lost_in_the_log_that_they_share() {
    let place = place();
    let log = format!("log.file={}", place.path("wharf.log").display());
    let words = ["serve", "--set", &log, "--set", "log.commands=true"];
    let mut server = place.serve_quietly(&words, "wharf.log");
    let old = server.pid();
    let mut before = server.login("anna", "secret");
    let exchange = |client: &mut Client, line: &str| {
        for _ in 0..500 {
            assert!(client.command(line).starts_with("200 "));
        }
    };
    // Lines of the old process that are gathered when the new one starts.
    exchange(&mut before, "NOOP before");
    upgrade(&place).exits(0);
    let mut behind = server.login("anna", "secret");
    exchange(&mut behind, "NOOP new");
    exchange(&mut before, "NOOP old");
    assert!(before.command("QUIT").starts_with("221 "));
    assert_eq!(server.leaves(), Some(0));
    exchange(&mut behind, "NOOP after");
    stop(&place);
    let text = place.read("wharf.log");
    let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
    for line in ["before", "new", "old", "after"] {
        assert_eq!(count(&format!("event=command line=\"NOOP {line}\"")), 500, "{line}");
    }
    for event in ["ready ", "stopped"] {
        assert_eq!(count(&format!("event={event}")), 2, "{event} of {old}: {text}");
    }
    let at = |part: &str| text.find(part).unwrap();
    let (last, first) = (text.rfind("NOOP before").unwrap(), at("event=upgrade-completed"));
    assert!(last < first && first < at("NOOP new"), "{text}");
}

#[test]
fn a_new_process_that_cannot_serve_leaves_the_old_one_in_place() {
    let place = place();
    let mut server = place.serve(&["serve"]);
    place.write("wharf.toml", "[limits]\nconnections = \"many\"\n");
    let ran = upgrade(&place).exits(1).reports("the new program failed to start");
    assert!(ran.err.contains("the old server continues"), "{ran:?}");
    assert_eq!(answering(&place), server.pid());
    server.waits_for("event=upgrade-failed");
    server.login("anna", "secret");
    place.write("wharf.toml", "");
    upgrade(&place).exits(0);
    assert_eq!(server.leaves(), Some(0));
    stop(&place);
}

#[test]
fn a_file_that_is_not_a_program_is_named_as_the_reason() {
    let place = place();
    let usual = place.command(&[]);
    let program = place.path("wharf");
    fs::copy(usual.get_program(), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["serve", "-i", "127.0.0.1", "-p", "0"]).current_dir(place.path(""));
    for (name, value) in usual.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains("event=ready")).expect("it serves");
    fs::remove_file(&program).unwrap();
    upgrade(&place).exits(1).reports("no such file");
    place.write("wharf", "this is text\n");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    upgrade(&place).exits(1).reports("exec format error");
    assert_eq!(answering(&place), child.id());
    place.run(&["stop"]).exits(0);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_share_has_no_successor() {
    let place = place();
    let server = place.serve(&["-d", "files", "-u", "me", "-P", "secret"]);
    upgrade(&place).exits(1).reports("a share cannot be upgraded");
    server.tries("me", "secret");
}

#[test]
fn no_client_that_connects_meanwhile_is_lost() {
    let place = place();
    let server = place.serve(&["--set", "limits.connections_per_ip=0", "serve"]);
    let (is_over, count) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert!(server.connect().command("QUIT").starts_with("221 "));
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..5 {
            let before = count.load(Ordering::Relaxed);
            upgrade(&place).exits(0);
            while count.load(Ordering::Relaxed) < before + 20 {
                std::thread::yield_now();
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    stop(&place);
}

#[test]
fn systemd_is_notified_of_the_new_main_process() {
    let place = place();
    let socket = place.path("notify");
    let received = UnixDatagram::bind(&socket).unwrap();
    received.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let mut command = place.command(&["serve", "-i", "127.0.0.1", "-p", "0"]);
    command.env("NOTIFY_SOCKET", &socket).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let next = || {
        let mut bytes = [0; 256];
        let count = received.recv(&mut bytes).expect("systemd is notified");
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    assert_eq!(next().trim(), "READY=1");
    upgrade(&place).exits(0);
    let new = answering(&place);
    let reported =
        std::iter::repeat_with(next).find(|reported| reported.contains("MAINPID")).unwrap();
    assert!(
        reported.contains(&format!("MAINPID={new}\n")) && reported.contains("READY=1"),
        "{reported}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
    stop(&place);
}
