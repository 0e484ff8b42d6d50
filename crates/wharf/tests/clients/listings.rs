//! Listings of missing folders and of whole trees, with clients at their defaults.

use std::fs;

use crate::support::program::Program;
use crate::support::server::{PASSWORD, Server, Setup, USER};

/// A server that logs each command, and the folder `tree/a/b` with a file in each level.
fn server() -> Server {
    let setup = Setup::new();
    let log = setup.folder().join("log").display().to_string();
    let server = setup
        .account(USER, "full", &["--path", "/closed=none"])
        .set("log", &format!("file = {log:?}"))
        .set("log", "commands = true")
        .start_quietly();
    fs::create_dir_all(server.home().join("tree/a/b")).expect("the home is there");
    fs::create_dir(server.home().join("closed")).expect("the home is there");
    for file in ["tree/top", "tree/a/middle", "tree/a/b/deep", "closed/secret"] {
        fs::write(server.home().join(file), "x").expect("the folder is there");
    }
    server
}

/// How many commands with this verb the server received, once the session is over: the log is
/// written by a separate thread.
fn count(server: &Server, verb: &str) -> usize {
    let read = || fs::read_to_string(server.folder().join("log")).expect("there is a log");
    let mut log = read();
    while !log.contains("event=session-ended") {
        std::thread::yield_now();
        log = read();
    }
    let is_it = |line: &&str| line.contains(&format!("line=\"{verb}"));
    log.lines().filter(is_it).count()
}

/// lftp retries for ever after a 450 reply, by its default settings.
#[test]
fn lftp_reports_a_listing_that_is_rejected_at_once() {
    for path in ["nothing", "closed", "nothing/below"] {
        for (command, verb) in [("ls", "LIST"), ("nlist", "NLST"), ("rels", "LIST")] {
            let server = server();
            let script = format!(
                "set ftp:ssl-allow false; open -u {USER},{PASSWORD} ftp://127.0.0.1:{}; \
                 {command} {path}",
                server.port()
            );
            let outcome = Program::new("lftp").arg("-c").arg(script).run();
            assert_ne!(outcome.code, Some(0), "{command} {path}");
            assert!(outcome.output().contains("Access failed: 550 "), "{}", outcome.output());
            assert_eq!(count(&server, verb), 1, "{command} {path}");
        }
    }
    let server = server();
    let script = format!(
        "set ftp:ssl-allow false; open -u {USER},{PASSWORD} ftp://127.0.0.1:{}; \
         ls tree; ls -R tree",
        server.port()
    );
    let outcome = Program::new("lftp").arg("-c").arg(script).succeed();
    let listed = outcome.text();
    assert!(listed.contains("top") && listed.contains("tree/a/b:"), "{listed}");
    assert!(listed.contains("deep"), "{listed}");
}

#[test]
fn rclone_reports_a_missing_folder_and_creates_it_to_copy_into() {
    let server = server();
    let obscured = Program::new("rclone").args(["obscure", PASSWORD]).succeed().text();
    for options in ["", ",disable_mlsd=true"] {
        let at = |path: &str| {
            let (port, secret) = (server.port(), obscured.trim());
            format!(":ftp,host=127.0.0.1,port={port},user={USER},pass={secret}{options}:{path}")
        };
        let rclone = |words: &[&str]| {
            Program::new("rclone")
                .args(["--config", "/dev/null", "--retries", "1"])
                .args(words)
                .run()
        };
        let outcome = rclone(&["lsf", &at("nothing")]);
        assert!(outcome.output().contains("directory not found"), "{}", outcome.output());
        let new = format!("new{}", options.len());
        let from = server.home().join("tree").display().to_string();
        let outcome = rclone(&["copy", &from, &at(&format!("{new}/sub"))]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.output());
        assert!(server.home().join(new).join("sub/a/b/deep").exists());
    }
}
