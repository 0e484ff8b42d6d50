//! Connections without any command: port checks, stray signals, and what a stop must not wait for.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::support::{Serving, TestFolder};

fn serve(place: &TestFolder) -> Serving {
    std::fs::create_dir_all(place.path("share")).unwrap();
    place.write("share/a.txt", "hello");
    place.serve(&["-w", "share", "-u", "me", "-P", "secret"])
}

/// One account, anna, and a configuration with these lines.
fn with_an_account(config: &str) -> TestFolder {
    let place = TestFolder::new();
    place.write("wharf.toml", &format!("config_version = 1\n{config}"));
    let words = ["-c", "wharf.toml", "user", "add", "anna", "--home", "home", "--create-home"];
    place.run_with(&[&words[..], &["--password-file", "-"]].concat(), "secret\n").exits(0);
    place
}

#[test]
fn row_44_a_signal_without_a_meaning_does_not_end_the_server() {
    let place = TestFolder::new();
    let server = serve(&place);
    for name in UNRELATED {
        server.signal(name);
        assert_eq!(server.login("me", "secret").downloads("RETR a.txt"), "hello", "{name}");
    }
    // The counterparts: a signal with a meaning takes effect, and the stop signal stops gracefully.
    let mut server = server;
    server.signal("USR2");
    server.waits_for("event=status");
    server.signal("QUIT");
    assert_eq!(server.ends().0, Some(0));
}

#[test]
fn row_44_a_signal_without_a_meaning_does_not_end_the_start_and_a_stop_signal_does() {
    let place = TestFolder::new();
    std::fs::create_dir_all(place.path("share")).unwrap();
    place.write("share/a.txt", "hello");
    let fifo = place.path("password");
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&fifo).status().unwrap().success());
    // Opening waits for the program, which then waits for the password.
    let start = || {
        let words = ["-w", "share", "-u", "me", "--password-file", "password"];
        let child = place.spawn(&words);
        (child, File::options().write(true).open(&fifo).unwrap())
    };
    let signal = |child: &Child, name: &str| {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    };
    let (child, mut password) = start();
    for name in UNRELATED.iter().chain(&["HUP", "USR1", "USR2"]) {
        signal(&child, name);
    }
    password.write_all(b"secret\n").unwrap();
    drop(password);
    let mut server = Serving::start(child);
    assert_eq!(server.login("me", "secret").downloads("RETR a.txt"), "hello");
    // What the server handles takes effect once it has started.
    server.waits_for("event=status");
    assert_eq!(server.stop().0, Some(0));
    for (name, number) in [("TERM", 15), ("INT", 2)] {
        let (mut child, _password) = start();
        signal(&child, name);
        assert_eq!(child.wait().unwrap().signal(), Some(number), "{name}");
    }
}

/// From the first instruction of `main` on. Before it, the system loads the program.
#[cfg(target_os = "linux")]
#[test]
fn row_44_no_signal_with_another_meaning_ends_a_process_that_has_just_begun() {
    const HUP_USR1_USR2_ALRM: u64 = 1 << 0 | 1 << 9 | 1 << 11 | 1 << 13;
    let place = TestFolder::new();
    std::fs::create_dir_all(place.path("share")).unwrap();
    place.write("share/a.txt", "hello");
    for delay in [0, 1, 3, 7, 15, 50] {
        let child = place.spawn(&["-w", "share", "-u", "me", "-P", "secret"]);
        let status = format!("/proc/{}/status", child.id());
        let is_caught = || {
            let status = std::fs::read_to_string(&status).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap();
            let caught = u64::from_str_radix(caught, 16).unwrap();
            caught & HUP_USR1_USR2_ALRM == HUP_USR1_USR2_ALRM
        };
        while !is_caught() {
            std::thread::sleep(Duration::from_micros(100));
        }
        std::thread::sleep(Duration::from_millis(delay));
        for name in ["HUP", "USR1", "USR2", "ALRM"] {
            let pid = child.id().to_string();
            assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
        }
        let server = Serving::start(child);
        assert_eq!(server.login("me", "secret").downloads("RETR a.txt"), "hello", "{delay} ms");
        assert_eq!(server.stop().0, Some(0), "{delay} ms");
    }
}

/// A program that is not a server keeps the default actions.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_a_program_that_is_not_a_server() {
    let place = TestFolder::new();
    for (name, number) in [("HUP", 1), ("USR1", 10), ("ALRM", 14)] {
        let fifo = place.path("words");
        assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&fifo).status().unwrap().success());
        // It waits for its input.
        let mut command = place.command(&["hash", "--password-file", "words"]);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let input = File::options().write(true).open(&fifo).unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().signal(), Some(number), "{name}");
        drop(input);
        std::fs::remove_file(&fifo).unwrap();
    }
}

/// Without a meaning to a server that has no terminal. The default action of each ends or stops a
/// process.
const UNRELATED: &[&str] = &[
    "ALRM",
    "VTALRM",
    "PROF",
    "IO",
    "PIPE",
    "XFSZ",
    "TTIN",
    "TTOU",
    #[cfg(target_os = "linux")]
    "PWR",
    #[cfg(target_os = "linux")]
    "STKFLT",
    #[cfg(target_os = "linux")]
    "36",
    #[cfg(target_os = "linux")]
    "64",
];

#[test]
fn row_44_a_stop_does_not_wait_for_a_data_connection_that_never_comes() {
    let place = TestFolder::new();
    let mut server = serve(&place);
    let mut waiting: Vec<_> = ["LIST", "RETR a.txt", "STOR b.txt"]
        .into_iter()
        .map(|line| {
            let mut client = server.login("me", "secret");
            assert!(client.command("EPSV").starts_with("229 "));
            assert!(client.command(line).starts_with("150 "));
            client
        })
        .collect();
    let mut silent = server.connect();
    server.signal("TERM");
    // Each receives the end, which the grace period of half a minute would delay.
    for client in &mut waiting {
        assert!(client.reply().starts_with("426 "));
        assert!(client.reply().starts_with("421 "));
    }
    assert!(silent.reply().starts_with("421 "));
    let ended = server.waits_for("event=stopped");
    assert!(!ended.contains("cut off"), "{ended}");
    assert_eq!(server.ends().0, Some(0));
}

#[test]
fn a_check_of_the_port_leaves_no_line_and_a_session_does() {
    let place = TestFolder::new();
    let server = serve(&place);
    for _ in 0..5 {
        drop(TcpStream::connect(server.address).unwrap());
        // One that waits for the greeting, as most do.
        let mut greeted = TcpStream::connect(server.address).unwrap();
        let _ = greeted.read(&mut [0; 64]).unwrap();
    }
    assert!(server.connect().command("NOOP").starts_with("200 "));
    let (_, log) = server.stop();
    assert_eq!(log.matches("event=connected").count(), 1, "{log}");
    assert_eq!(log.matches("event=session-ended").count(), 1, "{log}");
    assert!(!log.contains("WARN"), "{log}");
}

#[test]
fn row_05_the_log_names_the_limit_of_each_421() {
    for key in ["connections_per_ip", "sessions_per_user"] {
        let place = with_an_account(&format!("[limits]\n{key} = 1\n"));
        let mut server = place.serve(&["-c", "wharf.toml", "serve"]);
        let mut first = server.login("anna", "secret");
        if key == "sessions_per_user" {
            assert!(server.tries("anna", "secret").starts_with("421 "));
        } else {
            let mut reply = String::new();
            let mut second = TcpStream::connect(server.address).unwrap();
            second.read_to_string(&mut reply).unwrap();
            assert!(reply.starts_with("421 "), "{reply}");
        }
        assert!(server.waits_for("event=connection-rejected").contains(&format!("limits.{key}")));
        assert!(first.command("NOOP").starts_with("200 "));
    }
}

/// Linux lets a program connect from any address of 127.0.0.0/8.
fn from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))).unwrap();
    connect(&socket, &to).unwrap();
    TcpStream::from(socket)
}

#[test]
fn a_kick_with_a_ban_spares_the_address_that_is_never_banned_and_ends_the_others() {
    let place = with_an_account("[ban]\nallow = [\"127.0.0.1\"]\n");
    let server = place.serve(&["-c", "wharf.toml", "serve"]);
    let mut allowed = server.connect();
    let mut others = [2, 3].map(|last| from(last, server.address));
    for other in &mut others {
        let _ = other.read(&mut [0; 64]).unwrap();
    }
    let words = ["-c", "wharf.toml", "kick", "--all", "--ban", "1h"];
    let reported = place.run(&words).exits(0).out;
    for part in
        ["banned 127.0.0.2", "banned 127.0.0.3", "did not ban 127.0.0.1: it is in ban.allow"]
    {
        assert!(reported.contains(part), "{part} is not in {reported}");
    }
    for mut other in others {
        let mut rest = String::new();
        other.read_to_string(&mut rest).unwrap();
        assert!(rest.starts_with("421 "), "{rest}");
    }
    assert!(allowed.command("NOOP").starts_with("200 "));
    // If all connections are of this kind, nothing is done, and the reply names the setting.
    let rejected = place.run(&words);
    assert_ne!(rejected.code, Some(0), "{rejected:?}");
    rejected.reports("is in ban.allow");
    assert!(allowed.command("NOOP").starts_with("200 "));
    let banned = place.run(&["-c", "wharf.toml", "ban", "list"]).exits(0).out;
    assert_eq!(banned.matches("127.0.0.").count(), 2, "{banned}");
}
