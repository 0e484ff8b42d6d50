//! curl: files, ranges, resumes and single commands, over every kind of connection.

use std::fs;

use crate::support::program::{Outcome, Program};
use crate::support::server::{PASSWORD, Server, Setup, USER};
use crate::support::tree::{Random, Tree};

/// The connection modes: name, URL prefix, and options.
fn modes(server: &Server) -> Vec<(String, String, Vec<&'static str>)> {
    let (port, implicit) = (server.port(), server.ports().implicit());
    let securities = [
        ("plain", "ftp", port, vec![]),
        ("explicit TLS 1.2", "ftp", port, vec!["--ssl-reqd", "-k", "--tls-max", "1.2"]),
        ("explicit TLS 1.3", "ftp", port, vec!["--ssl-reqd", "-k", "--tlsv1.3"]),
        ("implicit TLS 1.2", "ftps", implicit, vec!["-k", "--tls-max", "1.2"]),
        ("implicit TLS 1.3", "ftps", implicit, vec!["-k", "--tlsv1.3"]),
    ];
    let mut modes = Vec::new();
    for (security, scheme, port, options) in securities {
        for (network, address, more) in [
            ("EPSV", "127.0.0.1", vec![]),
            ("PASV", "127.0.0.1", vec!["--disable-epsv"]),
            ("EPRT", "127.0.0.1", vec!["--ftp-port", "-"]),
            ("PORT", "127.0.0.1", vec!["--ftp-port", "-", "--disable-eprt"]),
            ("EPSV over IPv6", "[::1]", vec![]),
            ("EPRT over IPv6", "[::1]", vec!["--ftp-port", "-"]),
        ] {
            // curl 7.88 of Debian 12 does not support active mode with TLS (fixed in curl 8.0.0);
            // lftp and wget test that.
            if !security.starts_with("plain") && more.contains(&"--ftp-port") {
                continue;
            }
            let name = format!("{security}, {network}");
            let options = options.iter().copied().chain(more).collect();
            modes.push((name, format!("{scheme}://{address}:{port}"), options));
        }
    }
    modes
}

fn curl(options: &[&str]) -> Program {
    Program::new("curl")
        .args(["-q", "-sS", "-g", "--max-time", "50", "-u"])
        .arg(format!("{USER}:{PASSWORD}"))
        .args(options)
}

fn plain(server: &Server, path: &str) -> String {
    format!("ftp://127.0.0.1:{}/{path}", server.port())
}

fn asserted(outcome: &Outcome, bytes: &[u8], what: &str) {
    assert!(outcome.output == bytes, "{what}: {} bytes came", outcome.output.len());
}

#[test]
fn curl_uploads_and_downloads_in_every_mode() {
    let server = Server::with_one_account();
    let bytes = Random::new(10).bytes(1_000_001);
    for (name, url, options) in modes(&server) {
        let file = format!("{url}/dir%20{}/file", name.replace(' ', "_"));
        curl(&options).args(["--ftp-create-dirs", "-T", "-", &file]).input(&*bytes).succeed();
        let outcome = curl(&options).arg(&file).succeed();
        asserted(&outcome, &bytes, &name);
    }
}

#[test]
fn curl_downloads_ranges_in_every_mode() {
    let server = Server::with_one_account();
    let bytes = Random::new(11).bytes(400_000);
    fs::write(server.home().join("file"), &bytes).unwrap();
    for (name, url, options) in modes(&server) {
        let file = format!("{url}/file");
        let ranges = [
            ("100-199", &bytes[100..200]),
            ("-50", &bytes[399_950..]),
            ("399999-", &bytes[399_999..]),
            ("0-0", &bytes[..1]),
            // It ends in the middle: curl closes the data connection when it has enough.
            ("5-300000", &bytes[5..=300_000]),
        ];
        for (range, expected) in ranges {
            let outcome = curl(&options).args(["-r", range, &file]).succeed();
            asserted(&outcome, expected, &format!("{name}, {range}"));
        }
    }
}

#[test]
fn curl_resumes_interrupted_transfers_in_both_directions() {
    let server = Server::with_one_account();
    let client_dir = server.client_dir("curl");
    let mut random = Random::new(12);
    for (index, (name, url, options)) in modes(&server).into_iter().enumerate() {
        let bytes = random.bytes(150_000);
        let cut = 1 + random.below(bytes.len() - 1);
        let (whole, part) = (client_dir.join("whole"), client_dir.join("part"));
        fs::write(&whole, &bytes).unwrap();
        let file = format!("{url}/up{index}");
        server.wire().cut_store(&format!("STOR up{index}"), &bytes[..cut]);

        let upload = curl(&options).args(["-C", "-", "-T"]).arg(&whole).arg(&file).succeed();
        let stored = fs::read(server.home().join(format!("up{index}"))).unwrap();
        assert!(stored == bytes, "{name}: {} bytes of {cut}: {}", stored.len(), upload.output());

        fs::write(&part, &bytes[..cut]).unwrap();
        curl(&options).args(["-C", "-", "-o"]).arg(&part).arg(&file).succeed();
        assert!(fs::read(&part).unwrap() == bytes, "{name}");
    }
}

#[test]
fn curl_appends_to_a_file_that_is_there() {
    let server = Server::with_one_account();
    fs::write(server.home().join("log"), "one\n").unwrap();
    curl(&["-a", "-T", "-"]).arg(plain(&server, "log")).input("two\n").succeed();
    assert_eq!(fs::read_to_string(server.home().join("log")).unwrap(), "one\ntwo\n");
}

#[test]
fn curl_downloads_files_with_awkward_names() {
    let server = Server::with_one_account();
    // Once each: in every folder there are the same names.
    let tree = Tree::awkward(13).without(|path| path.contains('/') && !path.starts_with("long/"));
    tree.write(&server.home());
    for (path, content) in &tree.0 {
        let outcome = curl(&[&plain(&server, &escaped(path))]).succeed();
        asserted(&outcome, content, &String::from_utf8_lossy(path));
    }
}

/// A path as a URL spells it.
fn escaped(path: &[u8]) -> String {
    let escape = |&byte: &u8| {
        if byte.is_ascii_alphanumeric() || byte == b'/' {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    path.iter().map(escape).collect()
}

#[test]
fn curl_finds_a_file_by_each_of_its_methods() {
    let server = Server::with_one_account();
    let folder = server.home().join("a/b c/深");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), "found").unwrap();
    let url = plain(&server, "a/b%20c/%E6%B7%B1/file");
    for method in ["multicwd", "nocwd", "singlecwd"] {
        let outcome = curl(&["--ftp-method", method, &url]).succeed();
        assert_eq!(outcome.text(), "found", "{method}");
    }
    // An absolute path starts with a second slash.
    let absolute = plain(&server, "/a/b%20c/%E6%B7%B1/file");
    assert_eq!(curl(&[&absolute]).succeed().text(), "found");
}

#[test]
fn curl_lists_names_and_facts() {
    let server = Server::with_one_account();
    let home = server.home();
    for name in ["b.txt", "a b", "中文"] {
        fs::write(home.join(name), "12345").unwrap();
    }
    fs::create_dir(home.join("dir")).unwrap();
    fs::create_dir(home.join("empty")).unwrap();

    let mut names: Vec<_> =
        curl(&["-l", &plain(&server, "")]).succeed().text().lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["a b", "b.txt", "dir", "empty", "中文"]);
    assert_eq!(curl(&["-l", &plain(&server, "empty/")]).succeed().text(), "");

    let listing = curl(&[&plain(&server, "")]).succeed().text();
    let line = listing.lines().find(|line| line.ends_with(" b.txt")).expect(&listing);
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!((words[0], words[1], words[4]), ("-rw-r--r--", "1", "5"), "{line}");
    let line = listing.lines().find(|line| line.ends_with(" dir")).expect(&listing);
    assert!(line.starts_with("drwxr-xr-x"), "{line}");
}

#[test]
fn curl_sends_single_commands() {
    let server = Server::with_one_account();
    let home = server.home();
    fs::write(home.join("file"), "text").unwrap();
    let commands = [
        "MKD dir",
        "RNFR file",
        "RNTO dir/other name",
        "MFMT 20010909014640 dir/other name",
        "SITE CHMOD 600 dir/other name",
        "MKD gone",
        "RMD gone",
        "*DELE missing",
    ];
    let quotes: Vec<_> = commands.iter().flat_map(|command| ["-Q", command]).collect();
    curl(&quotes).arg("-I").arg(plain(&server, "")).succeed();

    let path = home.join("dir/other name");
    let facts = fs::metadata(&path).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    assert_eq!(facts.modified().unwrap(), time);
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&facts.permissions()) & 0o777, 0o600);
    assert!(!home.join("gone").exists());

    let head = curl(&["-I", &plain(&server, "dir/other%20name")]).succeed().text();
    let expected = "Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\nContent-Length: 4\r\n\
                    Accept-ranges: bytes\r\n";
    assert_eq!(head, expected);

    // After the transfer, on the same connection.
    let url = plain(&server, "dir/other%20name");
    let outcome = curl(&["-Q", "-DELE other name", &url]).succeed();
    assert_eq!(outcome.text(), "text");
    assert!(!path.exists());
}

#[test]
fn curl_reports_what_went_wrong() {
    let server = Server::with_one_account();
    let missing = curl(&[&plain(&server, "missing")]).run();
    assert_eq!(missing.code, Some(78), "{}", missing.output());
    let nowhere = curl(&[&plain(&server, "missing/dir/file")]).run();
    assert_eq!(nowhere.code, Some(9), "{}", nowhere.output());
    let wrong = curl(&["-u", "anna:wrong", &plain(&server, "")]).run();
    assert_eq!(wrong.code, Some(67), "{}", wrong.output());
    let rejected = curl(&["-T", "-", &plain(&server, "missing/file")]).input("x").run();
    assert_eq!(rejected.code, Some(9), "{}", rejected.output());
}

#[test]
fn curl_transfers_where_data_must_resume_the_tls_session() {
    let server = Setup::new().set("tls", "session_reuse = \"require\"").start();
    let bytes = Random::new(14).bytes(90_000);
    for (name, url, options) in modes(&server) {
        if name.starts_with("plain") {
            continue;
        }
        // Two transfers over one control connection: the session serves more than once.
        let (first, second) = (format!("{url}/a"), format!("{url}/b"));
        curl(&options).args(["-T", "-", &first]).input(&*bytes).succeed();
        fs::write(server.home().join("b"), "b").unwrap();
        let outcome = curl(&options).args([&first, &second]).succeed();
        asserted(&outcome, &[&*bytes, b"b"].concat(), &name);
    }
}

/// It uses a session once, and reads the next one before it ends an upload.
#[test]
fn curl_uploads_several_files_where_data_must_resume_in_tls_1_3() {
    let server = Setup::new()
        .set("tls", "session_reuse = \"require\"")
        .set("tls", "min_version = \"1.3\"")
        .start();
    let sizes = [3_000, 900_000, 0, 90_000, 5, 400_000];
    let client_dir = server.client_dir("curl");
    let mut random = Random::new(15);
    let contents: Vec<_> = sizes.iter().map(|size| random.bytes(*size)).collect();
    let names: Vec<_> = (0..sizes.len()).map(|number| number.to_string()).collect();
    for (name, content) in names.iter().zip(&contents) {
        fs::write(client_dir.join(name), content).unwrap();
    }
    for version in [&[][..], &["--tlsv1.2"], &["--tlsv1.3"]] {
        let uploads = names.iter().fold(curl(version).folder(&client_dir), |curl, name| {
            curl.args(["-T", name.as_str(), &plain(&server, name)])
        });
        uploads.args(["--ssl-reqd", "-k"]).succeed();
        for (name, content) in names.iter().zip(&contents) {
            let stored = fs::read(server.home().join(name)).unwrap();
            assert!(stored == *content, "{version:?} {name}");
            fs::remove_file(server.home().join(name)).unwrap();
        }
    }
}

#[test]
fn row_33_curl_that_is_killed_in_the_middle_of_an_upload_leaves_no_file() {
    /// More than the pipe, the sockets and the server's memory hold, so that some of it is on the
    /// disk by the time that curl has taken all of it.
    const SENT: usize = 20_000_000;
    const TRIES: usize = 100_000;
    let server = Server::with_one_account();
    let final_name = server.home().join("killed");
    let mut wire = server.wire();
    let sent = vec![b'x'; SENT];
    for (name, url, options) in modes(&server) {
        let file = format!("{url}/killed");
        let (mut child, _) = curl(&options).args(["-T", "-", &file]).start();
        let stdin = child.stdin.as_mut().expect("it is piped");
        std::io::Write::write_all(stdin, &sent).unwrap();
        assert!(!final_name.exists(), "{name}");
        child.kill().unwrap();
        child.wait().unwrap();
        // A complete upload is visible to its account, once the server has finished it.
        let is_kept = (0..TRIES).any(|_| wire.ask("SIZE killed").code() == 213);
        assert!(!final_name.exists(), "{name}");
        assert!(is_kept, "{name}");
        wire.store("STOR killed", b"");
        wire.expect("DELE killed", 250);
    }
}
