//! What we ship for other programs of a system, read by those: logrotate, fail2ban, shells.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::TestFolder;

/// A shipped file.
fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(name)
}

fn output(command: &mut Command) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    command.output().unwrap_or_else(|error| {
        panic!("{name} does not start ({error}); `cargo xtask setup` installs it")
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shared() -> TestFolder {
    let place = TestFolder::new();
    fs::create_dir(place.path("share")).unwrap();
    place
}

const SHARE: &[&str] = &["-w", "share", "-u", "me", "-P", "secret"];

#[test]
fn logrotate_moves_the_log_and_wharf_continues_in_a_new_one() {
    let place = shared();
    for folder in ["log", "bin"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    let words = ["--set", "log.file=log/wharf.log", "serve"];
    let server = place.serve_quietly(&[&words[..], SHARE].concat(), "log/wharf.log");
    server.tries("me", "before");
    // This is how systemd would hand the signal on.
    place.write(
        "bin/systemctl",
        &format!("#!/bin/sh\necho \"$@\" >called\nkill -USR1 {}\n", server.pid()),
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(place.path("bin/systemctl"), mode).unwrap();
    let ours = fs::read_to_string(shipped("logrotate/wharf")).unwrap();
    let folder = place.path("log");
    let config = ours
        .replace("/var/log/wharf", folder.to_str().unwrap())
        .replace("    su wharf wharf\n", "");
    assert_ne!(config, ours);
    place.write("rotate.conf", &config);
    let path = format!("{}:{}", place.path("bin").display(), std::env::var("PATH").unwrap());
    let mut rotate = Command::new("/usr/sbin/logrotate");
    rotate.args(["--force", "--state", "state.logrotate", "rotate.conf"]);
    let ran = output(rotate.current_dir(place.path("")).env("PATH", path));
    assert!(ran.status.success() && ran.stderr.is_empty(), "{}", text(&ran.stderr));
    let called = place.read("called");
    assert_eq!(called, "kill --kill-who=main --signal=USR1 wharf.service\n");
    // Another thread writes the log.
    while !place.read("log/wharf.log.1").contains("event=login-failed") {
        std::thread::yield_now();
    }
    // The signal has been sent; when it is handled is up to the server.
    while !place.path("log/wharf.log").exists() {
        std::thread::yield_now();
    }
    server.tries("me", "behind");
    let (code, _) = server.stop();
    assert_eq!(code, Some(0));
    let fresh = place.read("log/wharf.log");
    assert!(fresh.contains("event=login-failed") && fresh.contains("event=stopped"), "{fresh}");
}

/// How many lines of a log fail2ban counts as failed logins, and its other output.
fn banned_lines(place: &TestFolder, log: &str) -> (usize, String) {
    // It needs its own folder of filters, for the included ones.
    let filters = place.path("filters");
    let own = Path::new("/etc/fail2ban/filter.d/common.conf");
    fs::create_dir_all(&filters).unwrap();
    fs::copy(own, filters.join("common.conf")).expect("`cargo xtask setup` installs fail2ban");
    fs::copy(shipped("fail2ban/filter.d/wharf.conf"), filters.join("wharf.conf")).unwrap();
    let mut command = Command::new("fail2ban-regex");
    command.arg("--print-all-matched").arg(place.path(log)).arg(filters.join("wharf.conf"));
    let printed = text(&output(&mut command).stdout);
    let line = printed.lines().find(|line| line.starts_with("Lines: ")).expect(&printed);
    let matched = line.split(", ").find_map(|part| part.strip_suffix(" matched"));
    let count = matched.unwrap().parse().unwrap();
    (count, printed)
}

/// Names chosen to have another address banned.
const FORGED: &[&str] = &[
    "x\" session_id=1 ip=192.0.2.1 event=login-failed attempted_user=",
    "WARN session_id=1 ip=9.9.9.9 event=login-failed attempted_user=",
];
/// The same for a log of JSON; colons cannot be in a name.
const FORGED_JSON: &str = "\",\"level\":\"warn\",\"session_id\":1,\"ip\":\"192.0.2.1\",\
     \"user\":null,\"event\":\"login-failed\",\"";

#[test]
fn fail2ban_counts_failed_logins_and_nothing_that_a_client_forges() {
    for format in ["text", "json"] {
        let place = shared();
        let log = format!("log.format={format}");
        let words = ["--set", "log.file=wharf.log", "--set", &log, "--set", "log.commands=true"];
        let words = [&words[..], &["serve"], SHARE].concat();
        let server = place.serve_quietly(&words, "wharf.log");
        server.tries("me", "wrong");
        for name in FORGED {
            server.tries(name, "wrong");
        }
        // A user who is logged in can write such text into other lines.
        let mut client = server.login("me", "secret");
        for name in FORGED.iter().chain(&[FORGED_JSON]) {
            client.command(&format!("MKD {name}"));
            client.command(&format!("CLNT {name}"));
        }
        server.stop();
        let (count, printed) = banned_lines(&place, "wharf.log");
        assert_eq!(count, 1 + FORGED.len(), "{format}: {printed}");
        let matched = printed.split("Matched line(s)").nth(1).unwrap_or_default();
        assert!(matched.contains("127.0.0.1"), "{format}: {printed}");
        let is_forged = |line: &&str| line.contains("192.0.2.1") || line.contains("9.9.9.9");
        for line in place.read("wharf.log").lines().filter(is_forged) {
            assert!(line.contains("127.0.0.1") || !line.contains("login-failed"), "{line}");
        }
    }
}

#[test]
fn fail2ban_reads_the_journal_and_both_kinds_of_addresses() {
    let place = TestFolder::new();
    let line = |ip: &str| {
        format!(
            "Nov 23 03:15:41 host wharf[812]: session_id=7 ip={ip} event=login-failed \
             attempted_user=\"a\" reason=\"wrong password\" tls=true\n"
        )
    };
    let other = "Nov 23 03:15:41 host other[1]: session_id=7 ip=192.0.2.7 event=login-failed \
                 attempted_user=\n";
    let harmless =
        "Nov 23 03:15:41 host wharf[812]: session_id=7 ip=192.0.2.7 event=login tls=true\n";
    // Only wrong passwords: an unavailable accounts store must not ban the users.
    let failed = |reason: &str| line("192.0.2.8").replace("wrong password", reason);
    let mut lines = [&line("192.0.2.7"), &line("2001:db8::7"), other, harmless].concat();
    lines += &failed("unknown account");
    for reason in [
        "the accounts cannot be read: PostgreSQL at db: \\\"wrong password\\\"",
        "too many logins at once",
        "the account is disabled",
        "the account may log in from 10.0.0.0/8 only",
    ] {
        lines += &failed(reason);
    }
    place.write("journal", &lines);
    let (count, printed) = banned_lines(&place, "journal");
    assert_eq!(count, 3, "{printed}");
}

#[test]
fn shells_understand_their_completions() {
    let place = TestFolder::new();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let ran = place.run(&["completions", shell]).exits(0);
        place.write(shell, &ran.out);
        let judged = output(Command::new(shell).arg(check).arg(place.path(shell)));
        assert!(judged.status.success(), "{shell}: {}", text(&judged.stderr));
    }
    // fish prints the completions.
    let mut fish = Command::new("fish");
    fish.args(["--no-config", "-c"]);
    fish.arg("source $argv[1]; complete --do-complete 'wharf service '").arg(place.path("fish"));
    let offered = text(&output(&mut fish).stdout);
    for word in ["install", "uninstall", "start", "stop", "status", "unit"] {
        assert!(offered.lines().any(|line| line.starts_with(word)), "{word}: {offered}");
    }
}
