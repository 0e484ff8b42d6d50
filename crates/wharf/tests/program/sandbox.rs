//! What a running server may no longer do, as the kernel and other programs see it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use crate::support::{Ran, TestFolder};

/// The user and group ID of `nobody` on every Linux.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The values of a name in the status of each thread of a process.
fn of_threads(pid: u32, name: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut values = Vec::new();
    for thread in threads {
        // A thread that waited for work may be gone by now.
        let status = fs::read_to_string(thread.unwrap().path().join("status"));
        let Ok(status) = status else { continue };
        let line = status.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        let (_, value) = line.split_once(':').unwrap();
        values.push(value.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    assert!(!values.is_empty());
    values
}

fn shared() -> TestFolder {
    let place = TestFolder::new();
    fs::create_dir(place.path("share")).unwrap();
    place.write("share/a.txt", "hello");
    place
}

/// The sandbox hides the user database.
#[test]
fn the_log_names_the_user_although_the_sandbox_hides_its_name() {
    let place = shared();
    let log = place.path("audit.log");
    let setting = format!("log.audit_file={}", log.display());
    place.serve(&["share", "-u", "me", "-P", "secret", "--set", &setting]).stop();
    let id = std::process::Command::new("id").arg("-un").output().unwrap();
    let name = String::from_utf8(id.stdout).unwrap();
    let text = fs::read_to_string(&log).unwrap();
    assert!(
        text.contains(&format!("\"event\":\"sandbox\",\"user\":\"{}\"", name.trim())),
        "{text}"
    );
}

/// A place with a file of accounts in which anna's home is `share`.
fn with_anna() -> TestFolder {
    let place = shared();
    place.write("wharf.toml", "");
    add(&place, "anna", "share");
    place
}

fn add(place: &TestFolder, name: &str, home: &str) {
    fs::create_dir_all(place.path(home)).unwrap();
    let words =
        ["user", "add", name, "--home", home, "--permissions", "full", "--password-file", "-"];
    place.run_with(&words, "secret\n").exits(0);
}

#[test]
fn row_46_every_thread_is_confined_and_root_keeps_only_what_files_need() {
    let place = shared();
    let server = place.serve(&["-w", "share", "-u", "me", "-P", "secret"]);
    let mut client = server.login("me", "secret");
    assert!(client.stores("b.txt", "new").starts_with("226 "));
    assert_eq!(client.downloads("RETR a.txt"), "hello");
    let pid = server.pid();
    assert!(of_threads(pid, "Threads").len() > 2, "reactors, the log, and threads for files");
    for (name, value) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
        assert!(of_threads(pid, name).iter().all(|found| found == value), "{name}");
    }
    // CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER and FSETID are the bits 0 to 4.
    for name in ["CapEff", "CapPrm", "CapBnd"] {
        for set in of_threads(pid, name) {
            let kept = u64::from_str_radix(&set, 16).unwrap();
            let is_right = !is_root() && name == "CapBnd" || kept & !0b1_1111 == 0;
            assert!(is_right, "{name} {set}");
        }
    }
    let (_, rest) = server.stop();
    assert!(rest.contains("event=stopped"), "{rest}");
}

/// A test folder whose server runs as `nobody`: the files it needs belong to that user.
fn for_user_nobody() -> TestFolder {
    let place = with_anna();
    place.write("wharf.toml", "[server]\nuser = \"nobody\"\n");
    for name in ["", "share", "share/a.txt", "users.toml"] {
        chown(place.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    place
}

#[test]
fn row_46_a_server_that_root_starts_becomes_its_user_for_good() {
    if !is_root() {
        eprintln!("not run: only root can change to another user");
        return;
    }
    let place = for_user_nobody();
    symlink("/etc/shadow", place.path("share/shadow")).unwrap();
    // The hardest case: links may lead anywhere, so only the user ID protects.
    let server = place.serve(&["--set", "files.follow_symlinks=always"]);
    let pid = server.pid();
    let group = NOBODY;
    for (name, value) in [
        ("Uid", [NOBODY; 4].map(|number| number.to_string()).join(" ")),
        ("Gid", [group; 4].map(|number| number.to_string()).join(" ")),
        ("Groups", String::new()),
        ("CapInh", "0000000000000000".to_owned()),
        ("CapPrm", "0000000000000000".to_owned()),
        ("CapEff", "0000000000000000".to_owned()),
        ("CapAmb", "0000000000000000".to_owned()),
        ("NoNewPrivs", "1".to_owned()),
        ("Seccomp", "2".to_owned()),
    ] {
        assert!(of_threads(pid, name).iter().all(|found| *found == value), "{name}");
    }
    let mut client = server.login("anna", "secret");
    assert_eq!(client.downloads("RETR a.txt"), "hello");
    let data = client.data();
    assert!(client.command("RETR shadow").starts_with("550 "));
    drop(data);
    assert!(client.stores("b.txt", "new").starts_with("226 "));
    let facts = fs::metadata(place.path("share/b.txt")).unwrap();
    assert_eq!((facts.uid(), facts.gid()), (NOBODY, NOBODY));
    // Its state belongs to it, without access for other users.
    let state = fs::metadata(place.path("state")).unwrap();
    assert_eq!((state.uid(), state.mode() & 0o777), (NOBODY, 0o700));
    let kept = fs::metadata(place.path("state/self-signed.pem")).unwrap();
    assert_eq!((kept.uid(), kept.mode() & 0o777), (NOBODY, 0o600));
    let (code, rest) = server.stop();
    assert_eq!(code, Some(0), "{rest}");
}

#[test]
fn row_46_without_a_user_of_its_own_links_reach_files_of_root_and_it_is_reported() {
    if !is_root() {
        eprintln!("not run: this is about root");
        return;
    }
    let place = with_anna();
    symlink("/etc/shadow", place.path("share/shadow")).unwrap();
    let server = place.serve(&["--set", "files.follow_symlinks=always"]);
    let part = "wharf runs as root, without sandbox: files.follow_symlinks";
    assert!(server.before.contains(part), "{}", server.before);
    // What the test above would miss if it did not check.
    assert!(server.login("anna", "secret").downloads("RETR shadow").contains("root:"));
    let server = place.serve(&[]);
    let reported =
        server.before.matches("wharf runs as root, restricted to the served files").count();
    assert_eq!(reported, 1, "{}", server.before);
    let mut client = server.login("anna", "secret");
    let _data = client.data();
    let reply = client.command("RETR shadow");
    assert!(reply.starts_with("550 "), "{reply}");
}

#[test]
fn row_46_a_server_that_cannot_become_its_user_does_not_serve() {
    let place = with_anna();
    let serve = |words: &[&str]| -> Ran {
        place.run(&[words, &["-i", "127.0.0.1", "-p", "0", "--for", "1ms"]].concat())
    };
    serve(&["--set", "server.user=no-such-user"])
        .exits(78)
        .reports("unknown server.user no-such-user");
    serve(&["--set", "server.user=root"]).exits(78).reports("it is root");
    serve(&["--set", "server.group=daemon"])
        .exits(78)
        .reports("`server.user` is missing for `server.group`");
    let low = ["--set", "server.user=nobody", "-r", "1000-1100"];
    serve(&low).exits(78).reports("cannot be opened by `server.user`");
    if is_root() {
        // What it needs belongs to root: reported before any client is served, with a hint.
        let ran = serve(&["--set", "server.user=nobody"]).exits(77);
        ran.reports("server.user nobody cannot read").reports("chown nobody");
    }
}

#[test]
fn row_54_root_reads_no_configuration_key_or_account_through_a_link_that_others_could_have_made() {
    if !is_root() {
        eprintln!("not run: this is about root");
        return;
    }
    let place = with_anna();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    for folder in ["live", "archive", "open"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    fs::set_permissions(place.path("open"), fs::Permissions::from_mode(0o777)).unwrap();
    place.write("archive/whole1.pem", &pem);
    fs::set_permissions(place.path("archive/whole1.pem"), fs::Permissions::from_mode(0o600))
        .unwrap();
    for folder in ["live", "open"] {
        let link = |from: &str, to: &str| {
            symlink(from, place.path(&format!("{folder}/{to}"))).unwrap();
        };
        link("../archive/whole1.pem", "whole.pem");
        link("../users.toml", "users.toml");
        link("../wharf.toml", "wharf.toml");
    }
    let tls = |folder: &str| {
        let file = |key: &str| format!("tls.{key}={}/whole.pem", place.path(folder).display());
        place.run(&["check", "tls", "--set", &file("certificate"), "--set", &file("private_key")])
    };
    let users = |folder: &str| {
        let file = format!("server.users_file={}/users.toml", place.path(folder).display());
        place.run(&["user", "list", "--set", &file])
    };
    let config = |folder: &str| {
        let file = format!("{}/wharf.toml", place.path(folder).display());
        place.run(&["-c", &file, "check", "config"])
    };
    for (what, ran) in [("tls", tls("live")), ("users", users("live")), ("config", config("live"))]
    {
        assert!(!ran.err.contains("rejected for safety"), "{what}: {ran:?}");
        assert!(!ran.out.contains("rejected for safety"), "{what}: {ran:?}");
    }
    for (what, ran) in [("tls", tls("open")), ("users", users("open")), ("config", config("open"))]
    {
        let reported =
            ran.err.contains("rejected for safety") || ran.out.contains("rejected for safety");
        assert!(ran.code != Some(0) && reported, "{what}: {ran:?}");
    }
}

#[test]
fn row_46_a_home_outside_of_the_sandbox_needs_a_restart_and_is_reported() {
    let place = with_anna();
    // The folder of the accounts file is open, and so this test's own folder is.
    let outside = tempfile::tempdir().unwrap();
    let home = |name: &str| outside.path().join(name).display().to_string();
    let mut server = place.serve(&[]);
    add(&place, "ben", &home("elsewhere/ben"));
    let rejected = server.tries("ben", "secret");
    assert!(rejected.starts_with("530 "), "{rejected}");
    server.waits_for("the sandbox does not include it; restart");
    drop(server);
    place.serve(&[]).login("ben", "secret");
    // A named folder is accessible from the start, and so is one that contains only homes.
    let homes = format!("server.homes=[{:?}]", home("more"));
    fs::create_dir(home("more")).unwrap();
    let server = place.serve(&["--set", &homes]);
    add(&place, "carl", &home("more/carl"));
    server.login("carl", "secret");
    add(&place, "dora", &home("elsewhere/dora"));
    server.login("dora", "secret");
}

#[test]
fn row_46_the_sandbox_can_be_demanded_and_left_out() {
    let place = shared();
    let words = ["share", "-u", "me", "-P", "secret"];
    let demanded = place.serve(&[&words[..], &["--set", "server.sandbox=on"]].concat());
    assert!(of_threads(demanded.pid(), "Seccomp").iter().all(|mode| mode == "2"));
    let without = place.serve(&[&words[..], &["--set", "server.sandbox=off"]].concat());
    assert!(of_threads(without.pid(), "Seccomp").iter().all(|mode| mode == "0"));
    assert_eq!(without.login("me", "secret").downloads("RETR a.txt"), "hello");
    let anywhere = ["--set", "server.sandbox=on", "--set", "files.follow_symlinks=always", "share"];
    place.run(&anywhere).exits(78).reports("conflicts with `files.follow_symlinks`");
}

#[test]
fn row_45_files_that_others_may_change_stop_the_start_with_the_command_that_closes_them() {
    let place = with_anna();
    fs::create_dir(place.path("state")).unwrap();
    place.run(&["check"]).exits(0);
    let made = place.serve(&[]).stop();
    assert_eq!(made.0, Some(0));
    let modes =
        [0o400, 0o600, 0o604, 0o620, 0o640, 0o644, 0o660, 0o664, 0o666, 0o602, 0o606, 0o622];
    let others = |mode: u32, bits: u32| mode & bits != 0;
    for mode in modes {
        for (name, is_rejected, usual) in [
            ("wharf.toml", others(mode, 0o002), 0o644),
            ("users.toml", others(mode, 0o066), 0o600),
            ("state/self-signed.pem", others(mode, 0o077), 0o600),
        ] {
            fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
            let ran = place.run(&["-i", "127.0.0.1", "-p", "0", "--for", "1ms"]);
            assert_eq!(ran.code != Some(0), is_rejected, "{name} {mode:o}: {ran:?}");
            if is_rejected {
                let is_reported = ran.err.contains("chmod") && ran.err.contains(name);
                assert!(is_reported, "{name} {mode:o}: {ran:?}");
            }
            fs::set_permissions(place.path(name), fs::Permissions::from_mode(usual)).unwrap();
        }
    }
    for (mode, is_rejected) in [(0o700, false), (0o755, false), (0o770, true), (0o777, true)] {
        fs::set_permissions(place.path("state"), fs::Permissions::from_mode(mode)).unwrap();
        let ran = place.run(&["-i", "127.0.0.1", "-p", "0", "--for", "1ms"]);
        assert_eq!(ran.code == Some(78), is_rejected, "{mode:o}: {ran:?}");
    }
}

#[test]
fn row_45_files_of_the_server_are_accessible_to_their_owner_only() {
    let place = with_anna();
    let log = place.path("wharf.log").display().to_string();
    let audit = place.path("audit.log").display().to_string();
    let server = place.serve(&[
        "--set",
        &format!("log.transfer_log={log}"),
        "--set",
        &format!("log.audit_file={audit}"),
    ]);
    drop(server);
    for (name, mode) in [
        ("state", 0o700),
        ("state/self-signed.pem", 0o600),
        ("users.toml", 0o600),
        ("audit.log", 0o600),
        ("wharf.log", 0o640),
    ] {
        assert_eq!(fs::metadata(place.path(name)).unwrap().mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn row_46_check_reports_the_parts_of_the_sandbox_with_hints() {
    let place = with_anna();
    let ran = place.run(&["check"]).exits(0);
    for part in ["Sandbox\n", "user ", "files ", "ports ", "calls ", "openat2", "synced"] {
        assert!(ran.out.contains(part), "{part} is not in {}", ran.out);
    }
    assert!(ran.out.contains("Landlock ABI ") && ran.out.contains("(seccomp)"), "{}", ran.out);
    assert_eq!(ran.err.contains("server.user"), is_root(), "{}", ran.err);
    place.run(&["check", "config", "--strict"]).exits(0);
    let ran = place.run(&["check", "sandbox", "--set", "server.sandbox=off"]).exits(0);
    ran.reports("warning: access to files is not restricted: server.sandbox is `off`")
        .reports("hint: write");
    let ran = place.run(&["check", "--strict", "--set", "server.sandbox=off"]).exits(78);
    ran.reports("with --strict");
}

#[test]
fn row_29_a_world_writable_home_is_reported_at_the_start_and_rejected_by_strict() {
    let place = with_anna();
    fs::set_permissions(place.path("share"), fs::Permissions::from_mode(0o777)).unwrap();
    let server = place.serve(&[]);
    let part = "is writable by all users of this computer";
    assert!(server.before.contains(part), "{}", server.before);
    place.run(&["check"]).exits(0).reports(part).reports("hint: chmod o-w");
    place.run(&["check", "--strict"]).exits(78);
    // A folder like /tmp, where users cannot change the files of others, causes no warning.
    fs::set_permissions(place.path("share"), fs::Permissions::from_mode(0o1777)).unwrap();
    let server = place.serve(&[]);
    assert!(!server.before.contains(part), "{}", server.before);
}

/// Logs in a folder that the server's user may change, with links to files of root's.
#[test]
fn row_54_root_opens_no_log_through_a_link_that_the_servers_user_made() {
    if !is_root() {
        eprintln!("not run: only root opens files for another user");
        return;
    }
    for key in ["file", "transfer_log", "audit_file"] {
        let place = for_user_nobody();
        fs::create_dir(place.path("logs")).unwrap();
        chown(place.path("logs"), Some(NOBODY), Some(NOBODY)).unwrap();
        let config = format!("[server]\nuser = \"nobody\"\n[log]\n{key} = \"logs/it.log\"\n");
        place.write("wharf.toml", &config);
        place.write("secret", "of root\n");
        fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        for is_hard in [false, true] {
            if is_hard {
                fs::hard_link(place.path("secret"), place.path("logs/it.log")).unwrap();
            } else {
                symlink("../secret", place.path("logs/it.log")).unwrap();
            }
            let words = ["serve", "-i", "127.0.0.1", "-p", "0", "--for", "1ms"];
            let ran = place.run(&words);
            assert!(ran.code != Some(0) && ran.err.contains("rejected for safety"), "{ran:?}");
            let facts = fs::metadata(place.path("secret")).unwrap();
            assert_eq!((facts.uid(), place.read("secret").as_str()), (0, "of root\n"), "{key}");
            fs::remove_file(place.path("logs/it.log")).unwrap();
        }
        // A file of its own is written, and belongs to the user of the server.
        place.run(&["serve", "-i", "127.0.0.1", "-p", "0", "--for", "1ms"]).exits(0);
        assert_eq!(fs::metadata(place.path("logs/it.log")).unwrap().uid(), NOBODY, "{key}");
    }
}

#[test]
fn row_54_the_folder_that_is_made_for_the_control_socket_stays_roots() {
    if !is_root() {
        eprintln!("not run: only root gives sockets away");
        return;
    }
    let place = for_user_nobody();
    let server = place.serve(&["serve"]);
    let folder = fs::metadata(place.path("run")).unwrap();
    assert_eq!((folder.uid(), folder.gid(), folder.mode() & 0o7777), (0, NOBODY, 0o750));
    let socket = fs::symlink_metadata(place.path("run/control.sock")).unwrap();
    assert_eq!((socket.uid(), socket.mode() & 0o7777), (NOBODY, 0o600));
    place.run(&["status"]).exits(0);
    drop(server.stop());
    // What it could not take away is replaced by the next start.
    let server = place.serve(&["serve"]);
    place.run(&["status"]).exits(0);
    drop(server.stop());
}

#[test]
fn row_54_root_opens_no_control_socket_that_the_server_user_can_replace() {
    if !is_root() {
        eprintln!("not run: only root opens sockets for another user");
        return;
    }
    let place = for_user_nobody();
    for name in ["real", "theirs", "run2"] {
        fs::create_dir(place.path(name)).unwrap();
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    chown(place.path("theirs"), Some(NOBODY), Some(NOBODY)).unwrap();
    symlink("../real", place.path("theirs/link")).unwrap();
    for (at, is_open) in
        [("theirs/link", false), ("theirs/link/deep", false), ("theirs", false), ("run2", true)]
    {
        let socket = place.path(at).join("it.sock");
        let set = format!("control.socket={}", socket.display());
        let server = place.serve(&["--set", &set]);
        let is_reported = server.before.contains("chown root");
        assert_eq!(is_reported, !is_open, "{at}: {}", server.before);
        assert_eq!(socket.exists(), is_open, "{at}");
        assert_eq!(fs::read_dir(place.path("real")).unwrap().count(), 0, "{at}");
        drop(server.stop());
    }
}

#[test]
fn row_54_root_keeps_no_state_below_a_link_that_the_servers_user_made() {
    if !is_root() {
        eprintln!("not run: only root makes folders for another user");
        return;
    }
    let place = for_user_nobody();
    for name in ["real", "theirs"] {
        fs::create_dir(place.path(name)).unwrap();
    }
    chown(place.path("theirs"), Some(NOBODY), Some(NOBODY)).unwrap();
    symlink("../real", place.path("theirs/link")).unwrap();
    for (at, code) in [("theirs/link", 78), ("theirs/link/deep", 78), ("theirs/own/deep", 0)] {
        let set = format!("server.state_dir={}", place.path(at).display());
        let words = ["serve", "-i", "127.0.0.1", "-p", "0", "--for", "1ms", "--set", &set];
        let ran = place.run(&words).exits(code);
        assert_eq!(ran.err.contains("rejected for safety"), code != 0, "{at}: {ran:?}");
        assert_eq!(fs::read_dir(place.path("real")).unwrap().count(), 0, "{at}");
    }
    assert!(place.path("theirs/own/deep").is_dir());
}
