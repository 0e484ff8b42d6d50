//! tnftp, the `ftp` of Debian, NetBSD and macOS: its dialogue by script, and its URLs.

use std::fs;
use std::path::Path;

use crate::support::program::Program;
use crate::support::server::{PASSWORD, Server, USER};
use crate::support::tree::Random;

/// Runs commands of tnftp; it prints its actions, and its exit code is always 0.
fn tnftp(
    server: &Server,
    client_dir: &Path,
    options: &[&str],
    address: &str,
    commands: &str,
) -> String {
    let script = format!("user {USER} {PASSWORD}\nbinary\n{commands}\nbye\n");
    let outcome = Program::new("tnftp")
        .args(["-n", "-v", "-i"])
        .args(options)
        .args([address, &server.port().to_string()])
        .folder(client_dir)
        .input(script)
        .run();
    outcome.output()
}

const MODES: [(&str, &str, &str); 4] = [
    ("passive", "-p", "127.0.0.1"),
    ("active", "-A", "127.0.0.1"),
    ("passive over IPv6", "-p", "::1"),
    ("active over IPv6", "-A", "::1"),
];

#[test]
fn tnftp_uploads_and_downloads_in_every_mode() {
    let server = Server::with_one_account();
    let bytes = Random::new(20).bytes(123_457);
    for (name, option, address) in MODES {
        let client_dir = server.client_dir(name);
        fs::write(client_dir.join("local file"), &bytes).unwrap();
        let commands = "put \"local file\" \"远 程.bin\"\nget \"远 程.bin\" back";
        let printed = tnftp(&server, &client_dir, &[option], address, commands);
        let stored = server.home().join("远 程.bin");
        assert!(fs::read(&stored).is_ok_and(|stored| stored == bytes), "{name}: {printed}");
        assert!(
            fs::read(client_dir.join("back")).is_ok_and(|back| back == bytes),
            "{name}: {printed}"
        );
        fs::remove_file(stored).unwrap();
    }
}

#[test]
fn tnftp_resumes_an_interrupted_download_and_upload_in_every_mode() {
    let server = Server::with_one_account();
    let mut random = Random::new(21);
    for (name, option, address) in MODES {
        let client_dir = server.client_dir(name);
        let bytes = random.bytes(200_000);
        let cut = 1 + random.below(bytes.len() - 1);
        fs::write(client_dir.join("whole"), &bytes).unwrap();
        server.wire().cut_store("STOR up", &bytes[..cut]);
        fs::write(client_dir.join("up"), &bytes[..cut]).unwrap();
        let commands = format!("restart {cut}\nput whole up\nreget up");
        let printed = tnftp(&server, &client_dir, &[option], address, &commands);
        let stored = server.home().join("up");
        assert!(fs::read(&stored).is_ok_and(|stored| stored == bytes), "{name}: {printed}");
        assert!(
            fs::read(client_dir.join("up")).is_ok_and(|back| back == bytes),
            "{name}: {printed}"
        );
        fs::remove_file(stored).unwrap();
    }
}

#[test]
fn tnftp_lists_renames_deletes_and_makes_directories() {
    let server = Server::with_one_account();
    let home = server.home();
    let client_dir = server.client_dir("tnftp");
    for name in ["one", "two", "doomed"] {
        fs::write(home.join(name), name).unwrap();
    }
    let commands = "mkdir dir\nrename one dir/eins\ndelete doomed\nmkdir gone\nrmdir gone\n\
                    cd dir\npwd\ncdup\nsize two\nmodtime two\nchmod 640 two\nappend two two\n\
                    nlist . names\nmlsd\nfeatures\nremotehelp\nsystem\nrstatus\n\
                    ls t* found";
    fs::write(client_dir.join("two"), "more").unwrap();
    let printed = tnftp(&server, &client_dir, &["-p"], "127.0.0.1", commands);

    assert_eq!(fs::read_to_string(home.join("dir/eins")).expect(&printed), "one");
    assert_eq!(fs::read_to_string(home.join("two")).unwrap(), "twomore", "{printed}");
    assert!(!home.join("doomed").exists() && !home.join("gone").exists(), "{printed}");
    let mut names: Vec<_> = fs::read_to_string(client_dir.join("names"))
        .expect(&printed)
        .lines()
        .map(str::to_owned)
        .collect();
    names.sort();
    assert_eq!(names, ["dir", "two"], "{printed}");
    assert!(
        printed.lines().any(|line| line.starts_with("type=") && line.ends_with("; two")),
        "{printed}"
    );
    let found = fs::read_to_string(client_dir.join("found")).expect(&printed);
    assert!(found.starts_with("-rw-r-----") && found.lines().count() == 1, "{found}");
}

#[test]
fn tnftp_moves_many_files_with_mput_and_mget() {
    let server = Server::with_one_account();
    let client_dir = server.client_dir("tnftp");
    let other = server.client_dir("other");
    let mut random = Random::new(22);
    let files: Vec<_> =
        (0..30).map(|index| (format!("文件 {index}.txt"), random.bytes(index * 500))).collect();
    for (name, bytes) in &files {
        fs::write(client_dir.join(name), bytes).unwrap();
    }
    let up = tnftp(&server, &client_dir, &["-p"], "127.0.0.1", "mkdir d\ncd d\nmput 文件*");
    let down = tnftp(&server, &other, &["-A"], "127.0.0.1", "cd d\nmget 文件*");
    for (name, bytes) in &files {
        assert!(fs::read(server.home().join("d").join(name)).expect(&up) == *bytes, "{name}");
        assert!(fs::read(other.join(name)).expect(&down) == *bytes, "{name}");
    }
}

#[test]
fn tnftp_converts_line_ends_in_ascii() {
    let server = Server::with_one_account();
    let client_dir = server.client_dir("tnftp");
    fs::write(client_dir.join("text"), "one\ntwo\n\nlast").unwrap();
    let printed =
        tnftp(&server, &client_dir, &["-p"], "127.0.0.1", "ascii\nput text\nget text back");
    assert_eq!(fs::read_to_string(server.home().join("text")).expect(&printed), "one\ntwo\n\nlast");
    assert_eq!(fs::read_to_string(client_dir.join("back")).expect(&printed), "one\ntwo\n\nlast");
}

#[test]
fn tnftp_uploads_and_downloads_urls() {
    let server = Server::with_one_account();
    let client_dir = server.client_dir("tnftp");
    let url = |path: &str| format!("ftp://{USER}:{PASSWORD}@127.0.0.1:{}/{path}", server.port());
    fs::write(client_dir.join("file"), "by url").unwrap();
    // For an upload it takes the path as it is.
    Program::new("tnftp").args(["-u", &url("文"), "file"]).folder(&client_dir).succeed();
    assert_eq!(fs::read_to_string(server.home().join("文")).unwrap(), "by url");
    Program::new("tnftp").args(["-o", "back", &url("%E6%96%87")]).folder(&client_dir).succeed();
    assert_eq!(fs::read_to_string(client_dir.join("back")).unwrap(), "by url");
}
