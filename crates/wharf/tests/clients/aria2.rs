//! aria2, which waits a minute for a final reply that arrived together with the first one.

use std::fmt::Write as _;
use std::fs;

use crate::support::program::Program;
use crate::support::server::{PASSWORD, Server, USER};

/// Small files of different sizes, each its own download.
const FILES: usize = 1000;
/// What it writes into its log where it has timed out.
const WAITED: &str = "Timeout before receiving transfer complete";

fn content(file: usize) -> Vec<u8> {
    format!("this is of file {file}\n").repeat(1 + file * 7 % 3000).into_bytes()
}

#[test]
fn aria2_downloads_a_thousand_small_files_without_waiting_for_replies() {
    let server = Server::with_one_account();
    let client_dir = server.client_dir("aria2");
    let mut wanted = String::new();
    for file in 0..FILES {
        fs::write(server.home().join(format!("file-{file}")), content(file)).unwrap();
        let (port, name) = (server.port(), format!("file-{file}"));
        writeln!(wanted, "ftp://{USER}:{PASSWORD}@127.0.0.1:{port}/{name}").unwrap();
    }
    fs::write(client_dir.join("wanted"), wanted).unwrap();
    let log = ["--log", "log", "--log-level", "info"];
    Program::new("aria2c")
        .args(["--quiet", "-i", "wanted"])
        .args(log)
        .folder(&client_dir)
        .succeed();
    for file in 0..FILES {
        let got = fs::read(client_dir.join(format!("file-{file}"))).unwrap();
        assert!(got == content(file), "file {file}");
    }
    let printed = fs::read(client_dir.join("log")).unwrap();
    let printed = String::from_utf8_lossy(&printed);
    assert!(printed.contains("226"), "the log shows its dialogue");
    assert_eq!(printed.matches(WAITED).count(), 0);
}
