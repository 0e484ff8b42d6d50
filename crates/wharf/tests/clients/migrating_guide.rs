//! The settings of the widespread pyftpdlib script, row by row of the table in
//! docs/guide/migrating.md; each test is named after its row. That a speed limit holds exactly is
//! tested in the engine, where the clock can be paused; Explorer and ftp.exe have their own file.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use crate::support::program::Program;
use crate::support::server::{PASSWORD, Server, Setup, USER};
use crate::support::wire::Wire;

/// `add_user(name, password, home, perm='elradfmwMT')`
#[test]
fn add_user_with_name_password_home_and_perm() {
    let server = Setup::new()
        .account("anna", "elradfmwMT", &[])
        .account("leser", "elr", &[])
        .account("王小明", "read-write", &[])
        .start();
    for user in ["anna", "leser", "王小明"] {
        fs::write(server.home_of(user).join("owner"), user).unwrap();
        let mut wire = server.wire_as(user);
        assert_eq!(wire.download("RETR owner"), user.as_bytes());
        assert_eq!(wire.expect("PWD", 257).quoted(), "/");
        wire.expect("CWD ../../..", 250);
        assert_eq!(wire.expect("PWD", 257).quoted(), "/");
    }
    let mut wire = server.connect();
    wire.expect("USER anna", 331);
    wire.expect("PASS wrong", 530);
    wire.expect("USER nobody", 331);
    wire.expect("PASS secret", 530);
}

#[test]
fn a_user_that_is_disabled_while_the_server_runs_is_disconnected() {
    let server = Server::with_one_account();
    let mut wire = server.wire();
    server.wharf().args(["user", "disable", USER]).succeed();
    assert_eq!(wire.reply().code(), 421);
    assert!(wire.is_closed());
    let mut wire = server.connect();
    wire.expect(&format!("USER {USER}"), 331);
    wire.expect(&format!("PASS {PASSWORD}"), 530);
}

#[test]
fn a_user_that_is_added_while_the_server_runs_can_log_in_and_be_disabled_immediately() {
    let server = Server::with_one_account();
    let home = server.client_dir("late");
    let add = ["user", "add", "late", "--permissions", "elr", "--password-file", "-", "--home"];
    server.wharf().args(add).arg(home).input(PASSWORD).succeed();
    let mut wire = server.wire_as("late");
    server.wharf().args(["user", "disable", "late"]).succeed();
    assert_eq!(wire.reply().code(), 421);
    assert!(wire.is_closed());
}

/// Commands, and the reply code of the last one.
type Gated = (&'static [&'static str], u16);

/// The letters, with the commands that each gates.
const LETTERS: [(char, &[Gated]); 10] = [
    ('e', &[(&["CWD dir"], 250), (&["CDUP"], 200), (&["XCWD dir"], 250), (&["XCUP"], 200)]),
    (
        'l',
        &[
            (&["LIST"], 226),
            (&["NLST"], 226),
            (&["MLSD"], 226),
            (&["MLST file"], 250),
            (&["STAT file"], 213),
            (&["SIZE file"], 213),
            (&["MDTM file"], 213),
        ],
    ),
    ('r', &[(&["RETR file"], 226)]),
    ('a', &[(&["APPE file"], 226)]),
    ('d', &[(&["DELE file"], 250), (&["RMD empty"], 250), (&["XRMD empty"], 250)]),
    ('f', &[(&["RNFR file", "RNTO renamed"], 250)]),
    ('m', &[(&["MKD made"], 257), (&["XMKD made"], 257)]),
    ('w', &[(&["STOR new"], 226), (&["STOR file"], 226), (&["STOU"], 226)]),
    ('M', &[(&["SITE CHMOD 600 file"], 200)]),
    ('T', &[(&["MFMT 20200101000000 file"], 213)]),
];

/// Without a letter its commands are rejected and all others work; with only this letter, the
/// reverse.
#[test]
fn each_letter_of_perm_gates_its_commands() {
    let mut setup = Setup::new();
    for (letter, _) in LETTERS {
        let others: String = LETTERS.iter().map(|(l, _)| *l).filter(|l| *l != letter).collect();
        setup = setup.account(&without(letter), &others, &[]);
        setup = setup.account(&only(letter), &letter.to_string(), &[]);
    }
    let server = setup.start();
    for (letter, _) in LETTERS {
        for (user, has) in [(without(letter), false), (only(letter), true)] {
            let mut wire = server.wire_as(&user);
            for (gate, commands) in LETTERS {
                for (lines, code) in commands {
                    let answer = answer(&mut wire, &server.home_of(&user), lines);
                    if (gate == letter) == has {
                        assert_eq!(answer, *code, "{user}: {lines:?}");
                    } else {
                        assert!(
                            [450, 501, 550, 553].contains(&answer),
                            "{user}: {lines:?} {answer}"
                        );
                    }
                }
            }
        }
    }
}

/// Two names that differ in case alone could be one home.
fn without(letter: char) -> String {
    format!("without-{letter}-{}", u32::from(letter))
}

fn only(letter: char) -> String {
    format!("only-{letter}-{}", u32::from(letter))
}

/// Sends lines in a home as new, and returns the last code.
fn answer(wire: &mut Wire, home: &Path, lines: &[&str]) -> u16 {
    // The folder itself stays: the session has it open.
    for entry in fs::read_dir(home).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        } else {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    for folder in ["dir", "empty"] {
        fs::create_dir(home.join(folder)).unwrap();
    }
    fs::write(home.join("file"), "text").unwrap();
    let mut code = 0;
    for line in lines {
        code = answer_to_line(wire, line);
        if code >= 400 {
            break;
        }
    }
    // Back to the top, for accounts that may.
    wire.ask("CWD /");
    code
}

fn answer_to_line(wire: &mut Wire, line: &str) -> u16 {
    let verb = line.split(' ').next().unwrap_or_default();
    if !["LIST", "NLST", "MLSD", "RETR", "STOR", "STOU", "APPE"].contains(&verb) {
        return wire.ask(line).code();
    }
    let mut data = wire.passive();
    match wire.ask(line).code() {
        150 => {}
        code => return code,
    }
    if ["STOR", "STOU", "APPE"].contains(&verb) {
        data.write_all(b"more").unwrap();
        data.shutdown(Shutdown::Both).unwrap();
    } else {
        data.read_to_end(&mut Vec::new()).unwrap();
    }
    wire.reply().code()
}

/// `enable_anonymous`, `anonymous_path`
#[test]
fn anonymous_on_and_off_with_its_own_folder() {
    let setup = Setup::new();
    let public = setup.folder().join("public folder");
    fs::create_dir(&public).unwrap();
    fs::write(public.join("free"), "for all").unwrap();
    let server = setup
        .account(USER, "full", &[])
        .set("login", "anonymous = true")
        .set("login", &format!("anonymous_home = {:?}", public.display().to_string()))
        .start();
    for (user, password) in [("anonymous", "a@b.c"), ("ftp", "x")] {
        let mut wire = server.connect();
        wire.log_in(user, password);
        wire.expect("TYPE I", 200);
        assert_eq!(wire.download("NLST"), b"free\r\n");
        assert_eq!(wire.download("RETR free"), b"for all");
        drop(wire.passive());
        wire.expect("STOR mine", 553);
        wire.expect("DELE free", 550);
    }
    assert_eq!(server.wire().download("NLST"), b"");

    let server = Server::with_one_account();
    let mut wire = server.connect();
    wire.expect("USER anonymous", 331);
    wire.expect("PASS a@b.c", 530);
}

/// `max_upload`, `max_download`
#[test]
fn max_upload_and_max_download_are_in_force() {
    let server = Setup::new()
        .set("limits", "user_upload_rate = \"300KiB/s\"")
        .set("limits", "user_download_rate = 307200")
        .set("limits", "transfer_upload_rate = \"200KiB/s\"")
        .start();
    let shown = server.wharf().args(["config", "show"]).succeed().text();
    for line in [
        "user_upload_rate = \"300KiB/s\"",
        "user_download_rate = \"300KiB/s\"",
        "transfer_upload_rate = \"200KiB/s\"",
        "transfer_download_rate = 0",
    ] {
        assert!(shown.lines().any(|found| found.trim() == line), "{line}\n{shown}");
    }
    server.wire().store("STOR small", &[7; 1000]);
    assert_eq!(server.wire().download("RETR small"), [7; 1000]);
}

/// `enable_logging`, `logging_name`
#[test]
fn logging_on_to_a_file() {
    let mut server = Setup::new()
        .set("log", "file = \"wharf.log\"")
        .set("log", "transfer_log = \"xferlog\"")
        .start_quietly();
    let mut wire = server.wire();
    wire.store("STOR 日志 test.txt", b"12345");
    wire.expect("QUIT", 221);
    let mut wire = server.connect();
    wire.expect("USER mallory", 331);
    wire.expect("PASS not-the-password", 530);
    drop(wire);
    assert_eq!(server.stop(), Some(0));
    let log = fs::read_to_string(server.folder().join("wharf.log")).unwrap();
    for word in ["ready", "127.0.0.1", USER, "日志 test.txt", "mallory"] {
        assert!(log.contains(word), "{word}:\n{log}");
    }
    assert!(!log.contains(PASSWORD) && !log.contains("not-the-password"), "{log}");
    let transfers = fs::read_to_string(server.folder().join("xferlog")).unwrap();
    let [line] = transfers.lines().collect::<Vec<_>>()[..] else { panic!("{transfers}") };
    assert!(line.contains(" 127.0.0.1 5 ") && line.ends_with(" c"), "{line}");
}

/// `enable_logging` off
#[test]
fn logging_off() {
    let mut server = Setup::new()
        .set("log", "enabled = false")
        .set("log", "file = \"wharf.log\"")
        .start_quietly();
    server.wire().store("STOR file", b"12345");
    assert_eq!(server.stop(), Some(0));
    let log = fs::read_to_string(server.folder().join("wharf.log")).unwrap_or_default();
    assert_eq!(log, "");
}

/// `welcome_msg`
#[test]
fn welcome_text_in_chinese() {
    let server = Setup::new()
        .set("server", "greeting = \"欢迎使用文件服务器\\n请先登录\"")
        .set("server", "login_message = \"你好，{user}！\"")
        .start();
    let mut wire = server.connect();
    assert_eq!(wire.greeting.to_string(), "220-欢迎使用文件服务器\r\n220 请先登录\r\n");
    wire.expect(&format!("USER {USER}"), 331);
    wire.expect_reply(&format!("PASS {PASSWORD}"), "230 你好，anna！");
}

/// `passive_ports`
#[test]
fn passive_ports_both_ends_and_nothing_else() {
    let setup = Setup::new();
    let first = *setup.ports().passive().start();
    let range = first..=first + 3;
    let server = setup.set("passive", &format!("ports = \"{first}-{}\"", first + 3)).start();
    let mut wires: Vec<_> = range.clone().map(|_| server.wire()).collect();
    let used = |command: &str, wire: &mut Wire| match command {
        "PASV" => wire.expect(command, 227).pasv_address().port(),
        _ => wire.expect(command, 229).epsv_port(),
    };
    for command in ["PASV", "EPSV", "PASV"] {
        let ports: BTreeSet<_> = wires.iter_mut().map(|wire| used(command, wire)).collect();
        assert_eq!(ports, range.clone().collect(), "{command}");
        // Never another port without a word.
        server.wire().expect(command, 425);
        // A new command releases the old port.
        for wire in &mut wires {
            wire.expect("ABOR", 226);
        }
    }
}

/// `ip`, `port`
#[test]
fn ip_and_port_to_listen_on() {
    let server = Setup::new()
        .listeners(|ports| {
            format!(
                "\n[[listen]]\naddress = \"127.0.0.1\"\nport = {}\n\
                 \n[[listen]]\naddress = \"::1\"\nport = {}\ntls = \"off\"\n",
                ports.control(),
                ports.spare()
            )
        })
        .start();
    let (first, second) = (server.port(), server.ports().spare());
    for (address, port) in [("127.0.0.1", first), ("::1", second)] {
        let mut wire = Wire::connect(address, port);
        wire.log_in(USER, PASSWORD);
        let has_tls = wire.expect("FEAT", 211).to_string().contains("AUTH TLS");
        assert_eq!(has_tls, port == first);
    }
    for (address, port) in [("127.0.0.1", second), ("::1", first), ("127.0.0.2", first)] {
        assert!(TcpStream::connect((address, port)).is_err(), "{address}:{port}");
    }
}

/// `max_cons`
#[test]
fn max_cons_is_answered_with_421_and_a_reason() {
    let server = Setup::new().set("limits", "connections = 2").start();
    let (mut first, second) = (server.wire(), server.wire());
    // Data connections do not count.
    let data = first.passive();
    assert_full(&mut server.connect());
    drop(data);
    drop(second);
    // The slot is free once the server has seen the end; until then it replies that it is full.
    while server.connect().greeting.code() != 220 {}
}

/// `max_cons_per_ip`
#[test]
fn max_cons_per_ip_is_answered_with_421_and_a_reason() {
    let server = Setup::new().set("limits", "connections_per_ip = 2").start();
    let _both = (server.wire(), server.wire());
    assert_full(&mut server.connect());
    Wire::connect("::1", server.port()).log_in(USER, PASSWORD);
}

fn assert_full(wire: &mut Wire) {
    assert_eq!(wire.greeting.code(), 421, "{}", wire.greeting);
    let reason = wire.greeting.to_string().to_lowercase();
    assert!(reason.contains("too many"), "{reason}");
    assert!(wire.is_closed());
}

/// The start message.
#[test]
fn start_message_has_the_address_to_connect_to() {
    let server = Server::with_one_account();
    let started = server.ready_line();
    assert!(started.contains(&format!("127.0.0.1:{}", server.port())), "{started}");
    assert!(!started.contains(PASSWORD), "{started}");
}

/// Clients of Linux; `curl` and the others have files of their own.
#[test]
fn windows_and_linux_clients_see_the_same_files() {
    let server = Server::with_one_account();
    let mut windows = server.connect();
    windows.expect("OPTS UTF8 ON", 200);
    windows.log_in(USER, PASSWORD);
    windows.expect("TYPE I", 200);
    windows.expect("XMKD 共享", 257);
    windows.store_actively("STOR 共享\\来自 Windows.txt", b"hello");
    let url = format!("ftp://{USER}:{PASSWORD}@127.0.0.1:{}/", server.port());
    let path = "%E5%85%B1%E4%BA%AB/%E6%9D%A5%E8%87%AA%20Windows.txt";
    let downloaded = Program::new("curl").args(["-q", "-sS", &format!("{url}{path}")]).succeed();
    assert_eq!(downloaded.text(), "hello");
    let path = "%E5%85%B1%E4%BA%AB/%E6%9D%A5%E8%87%AA%20Linux.txt";
    let url = format!("{url}{path}");
    Program::new("curl").args(["-q", "-sS", "-T", "-", &url]).input("hi").succeed();
    assert_eq!(windows.download_active("RETR 共享\\来自 Linux.txt"), b"hi");
}
