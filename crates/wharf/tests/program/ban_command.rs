//! `wharf ban`, with and without a server that runs.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::{Serving, TestFolder};

/// A loopback address, treated like any other.
const NO_FRIENDS: &[&str] = &["--set", "ban.allow=[]"];

fn shared() -> TestFolder {
    let place = TestFolder::new();
    std::fs::create_dir(place.path("share")).unwrap();
    place
}

fn serve(place: &TestFolder) -> Serving {
    let words = ["share", "-u", "me", "-P", "secret", "--set", "login.failure_delay=0"];
    place.serve(&[&words[..], NO_FRIENDS].concat())
}

/// What a new connection is greeted with.
fn greeting(address: SocketAddr) -> String {
    let mut line = String::new();
    let _ = BufReader::new(TcpStream::connect(address).unwrap()).read_line(&mut line);
    line
}

/// Sends requests until the reply has this prefix: the server checks its file once a second.
fn comes_to(address: SocketAddr, start: &str) {
    for _ in 0..600 {
        if greeting(address).starts_with(start) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("never {start}");
}

#[test]
fn row_17_a_manual_ban_applies_immediately_ends_sessions_and_is_lifted() {
    let place = shared();
    let server = serve(&place);
    let mut client = server.login("me", "secret");
    place
        .run(&["ban", "add", "127.0.0.1", "--reason", "a test", "--set", "ban.allow=[]"])
        .exits(0)
        .reports("banned 127.0.0.1 until it is removed");
    let goodbye = client.reply();
    assert!(goodbye.starts_with("421 Your address is banned"), "{goodbye}");
    comes_to(server.address, "421 Your address is banned");
    let list = place.run(&["ban", "list"]).exits(0).out;
    assert!(list.contains("127.0.0.1  unlimited  manual  a test"), "{list}");
    place.run(&["ban", "del", "127.0.0.1"]).exits(0).reports("removed the ban of 127.0.0.1");
    comes_to(server.address, "220 ");
    let (_, rest) = server.stop();
    for part in [
        "event=ban-added network=\"127.0.0.1/32\"",
        "event=ban-removed",
        "event=connection-rejected",
    ] {
        assert!(rest.contains(part), "{part} is not in {rest}");
    }
}

#[test]
fn row_17_guesses_lead_to_a_ban_that_survives_a_restart() {
    let place = shared();
    let server = serve(&place);
    for _ in 0..4 {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let _ =
            stream.write_all(b"USER me\r\nPASS a\r\nUSER me\r\nPASS b\r\nUSER me\r\nPASS c\r\n");
        // To its end: 421 after three tries, or after the ban.
        let _ = BufReader::new(stream).lines().last();
    }
    assert!(greeting(server.address).starts_with("421 Your address is banned"));
    let (_, rest) = server.stop();
    assert_eq!(rest.matches("event=login-failed").count(), 10, "{rest}");
    let json = place.run(&["ban", "list", "--json"]).exits(0).out;
    assert!(json.starts_with("{\"network\":\"127.0.0.1\",\"reason\":\"too many"), "{json}");
    assert!(json.contains("\"manual\":false"), "{json}");
    let server = serve(&place);
    assert!(greeting(server.address).starts_with("421 Your address is banned"));
    place.run(&["ban", "clear"]).exits(2).reports("add --yes");
    place.run(&["ban", "clear", "--yes"]).exits(0).reports("removed all bans (1)");
    comes_to(server.address, "220 ");
}

#[cfg(unix)]
#[test]
fn bans_of_a_running_server_are_listed_and_changed_immediately() {
    let place = shared();
    let server = serve(&place);
    // Access to the control socket does not allow writing the file.
    let words = ["ban", "add", "127.0.0.1", "203.0.113.0/24", "--for", "1h", "--reason", "a test"];
    place.run(&words).exits(0).reports("banned 203.0.113.0/24 for 1h");
    assert!(greeting(server.address).starts_with("421 Your address is banned"));
    let json = place.run(&["ban", "list", "--json"]).exits(0).out;
    let bans: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The same objects as those of GET /v1/bans.
    assert_eq!(bans[0]["network"], "127.0.0.1");
    assert_eq!((&bans[1]["manual"], &bans[1]["reason"]), (&true.into(), &"a test".into()));
    place.run(&["ban", "del", "192.0.2.1"]).exits(4).reports("192.0.2.1 is not banned");
    place.run(&["ban", "del", "--user", "anna"]).exits(4).reports("`anna` is not locked");
    place.run(&["ban", "del", "127.0.0.1"]).exits(0);
    assert!(greeting(server.address).starts_with("220 "));
    place.run(&["ban", "clear", "--yes"]).exits(0);
    place.run(&["ban", "list"]).exits(0).reports("no bans");
    // Another configuration is another server's, with a file of its own.
    place.write("other.toml", "config_version = 1\n");
    let other = |words: &[&str]| place.run(&[&["-c", "other.toml", "ban"], words].concat());
    other(&["add", "192.0.2.9"]).exits(0);
    let missing = place.path("missing.sock");
    let named = ["list", "--socket", missing.to_str().unwrap()];
    other(&named).exits(3).reports("no server is running");
    let (_, log) = server.stop();
    assert!(log.contains("method=\"POST\" path=\"/v1/bans\""), "{log}");
}

#[test]
fn bans_are_changed_without_a_server_and_invalid_input_has_a_hint() {
    let place = TestFolder::new();
    place.run(&["ban", "list"]).exits(0).reports("no bans");
    let words = ["ban", "add", "203.0.113.7/24", "2001:db8:1:2::7", "--for", "12h"];
    let ran = place.run(&words).exits(0);
    assert_eq!(ran.err, "banned 203.0.113.0/24 for 12h\nbanned 2001:db8:1:2::/64 for 12h\n");
    for (words, code, part) in [
        (&["ban", "add"][..], 2, "ADDRESS"),
        (&["ban", "add", "anna"], 2, "invalid address `anna`: not an address or network"),
        (&["ban", "add", "0.0.0.0/0"], 2, "contains all addresses"),
        (&["ban", "add", "127.0.0.1"], 1, "127.0.0.0/8 is in ban.allow"),
        (&["ban", "add", "192.0.2.1", "--for", "soon"], 2, "write a time such as 30m"),
        (&["ban", "add", "192.0.2.1", "--reason", "a\nb"], 2, "one line"),
        (&["ban", "del"], 2, "ADDRESS"),
        (&["ban", "del", "192.0.2.1"], 4, "192.0.2.1 is not banned"),
        (&["ban", "del", "203.0.113.9"], 4, "it is part of 203.0.113.0/24"),
        (&["ban", "del", "--user", "anna"], 4, "`anna` is not locked"),
    ] {
        place.run(words).exits(code).reports(part);
    }
    place.run(&["ban", "del", "203.0.113.0/24", "2001:db8:1:2::9"]).exits(0);
    place.run(&["ban", "list"]).exits(0).reports("no bans");
}

/// Whatever is requested: no reply contains a local path, the version, or another client.
#[test]
fn row_51_no_reply_reveals_the_computer_or_the_version() {
    let place = shared();
    place.write("share/a.txt", "hello");
    let server = place.serve(&["share", "-w", "-u", "me", "-P", "secret"]);
    let mut client = server.login("me", "secret");
    let folder = place.path("").display().to_string();
    for line in [
        "HELP", "SYST", "FEAT", "STAT", "STAT a.txt", "SITE HELP", "PWD", "CWD nowhere",
        "CWD a.txt", "MKD share/../../x", "RMD nowhere", "DELE ../../etc/passwd", "SIZE nowhere",
        "MDTM nowhere", "MLST nowhere", "RNFR nowhere", "RNTO x", "RETR nowhere", "STOR nowhere/x",
        "REST 99999", "SITE CHMOD 644 nowhere", "OPTS UTF8 ON", "TYPE X", "XYZZY",
        "PORT 1,2,3,4,5,6", "AUTH X",
    ] {
        let reply = client.command_lines(line);
        for word in [folder.as_str(), "/share", env!("CARGO_PKG_VERSION"), "os error", "anna"] {
            assert!(!reply.contains(word), "{line}: {word} is in {reply}");
        }
    }
}

/// Lists the bans until they are as expected: the server checks its file once a second.
fn list_comes_to(place: &TestFolder, is_wanted: impl Fn(&str) -> bool) {
    for _ in 0..600 {
        if is_wanted(&place.run(&["ban", "list"]).exits(0).out) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{}", place.run(&["ban", "list"]).out);
}

#[test]
fn row_17_an_incomplete_ban_file_lifts_none_and_a_complete_one_lifts_what_it_omits() {
    let place = shared();
    let server = serve(&place);
    place.run(&["ban", "add", "192.0.2.7"]).exits(0);
    place.run(&["ban", "add", "192.0.2.8"]).exits(0);
    let file = place.path("state/bans");
    let whole = || -> String {
        for _ in 0..600 {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if text.contains("192.0.2.8") && text.contains("# end of revision") {
                return text;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("never whole: {:?}", std::fs::read_to_string(&file));
    };
    let text = whole();
    for half in ["", "wharf-bans 1", text.split_inclusive("192.0").next().unwrap()] {
        std::fs::write(&file, half).unwrap();
        whole();
        let list = place.run(&["ban", "list"]).exits(0).out;
        assert!(list.contains("192.0.2.7") && list.contains("192.0.2.8"), "{half:?} {list}");
    }
    assert!(place.path("state/bans.rejected").exists());
    // A complete file is applied.
    let kept: Vec<_> =
        whole().lines().filter(|line| !line.contains(".7/")).map(str::to_owned).collect();
    std::fs::write(&file, kept.join("\n") + "\n").unwrap();
    list_comes_to(&place, |list| !list.contains("192.0.2.7") && list.contains("192.0.2.8"));
    let (_, rest) = server.stop();
    assert!(rest.contains("event=bans-not-saved"), "{rest}");
}

#[test]
fn row_17_an_editor_that_saves_an_old_file_changes_only_what_it_edited() {
    let place = shared();
    let server = serve(&place);
    place.run(&["ban", "add", "192.0.2.7"]).exits(0);
    let file = place.path("state/bans");
    list_comes_to(&place, |_| {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains("# end of revision"))
    });
    let opened = std::fs::read_to_string(&file).unwrap();
    // The server learns of another one while the editor is open.
    place.run(&["ban", "add", "192.0.2.8"]).exits(0);
    list_comes_to(&place, |_| {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains("192.0.2.8"))
    });
    let added = opened.replace("192.0.2.7/32", "192.0.2.9/32");
    let fresh = place.path("state/.bans.swp");
    std::fs::write(&fresh, added).unwrap();
    std::fs::rename(&fresh, &file).unwrap();
    list_comes_to(&place, |list| {
        let has = |address| list.contains(address);
        has("192.0.2.9") && has("192.0.2.8") && !has("192.0.2.7")
    });
    drop(server.stop());
}
