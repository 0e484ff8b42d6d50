//! The `NcFTP` programs: ncftpput, ncftpget and ncftpls.

use std::fs;

use crate::support::program::Program;
use crate::support::server::{PASSWORD, Server, USER};
use crate::support::tree::{Random, Tree};

fn ncftp(server: &Server, program: &str) -> Program {
    Program::new(program)
        .args(["-u", USER, "-p", PASSWORD, "-P", &server.port().to_string()])
        .folder(&server.client_dir("ncftp"))
}

/// Passive and active.
const MODES: [&str; 2] = ["-F", "-E"];

/// `NcFTP` writes names to its terminal and its disk unchanged, but splits links off, and
/// interprets a leading dash as an option and a pattern as a pattern; names that start with two
/// dots are never uploaded.
fn is_unsupported(path: &str) -> bool {
    path.contains(" -> ")
        || path.contains(['*', '?', '[', '{', '\\', '~', '$', '`'])
        || path.split('/').any(|name| {
            name.starts_with([' ', '-']) || name.starts_with("..") || name.ends_with(' ')
        })
}

#[test]
fn ncftp_uploads_and_downloads_a_tree() {
    let server = Server::with_one_account();
    let client_dir = server.client_dir("ncftp");
    for mode in MODES {
        let up = format!("up{mode}");
        let tree = Tree::awkward(30).without(is_unsupported);
        tree.write(&client_dir.join(&up));
        ncftp(&server, "ncftpput").args([mode, "-R", "127.0.0.1", "/", &up]).succeed();
        tree.assert_at(&server.home().join(&up));
        fs::rename(client_dir.join(&up), client_dir.join("away")).unwrap();
        ncftp(&server, "ncftpget").args([mode, "-R", "127.0.0.1", ".", &up]).succeed();
        tree.assert_at(&client_dir.join(&up));
        fs::rename(client_dir.join("away"), client_dir.join(format!("away{mode}"))).unwrap();
    }
}

#[test]
fn ncftp_resumes_interrupted_transfers_in_both_directions() {
    let server = Server::with_one_account();
    let client_dir = server.client_dir("ncftp");
    let mut random = Random::new(31);
    for mode in MODES {
        let bytes = random.bytes(180_000);
        let cut = 1 + random.below(bytes.len() - 1);
        fs::write(client_dir.join("file"), &bytes).unwrap();
        server.wire().cut_store("STOR file", &bytes[..cut]);
        ncftp(&server, "ncftpput").args([mode, "-z", "127.0.0.1", "/", "file"]).succeed();
        assert!(fs::read(server.home().join("file")).unwrap() == bytes, "{mode}, cut at {cut}");

        fs::write(client_dir.join("file"), &bytes[..cut]).unwrap();
        ncftp(&server, "ncftpget").args([mode, "-z", "127.0.0.1", ".", "/file"]).succeed();
        assert!(fs::read(client_dir.join("file")).unwrap() == bytes, "{mode}, cut at {cut}");
        fs::remove_file(server.home().join("file")).unwrap();
    }
}

#[test]
fn ncftp_makes_the_directory_and_removes_what_it_sent() {
    let server = Server::with_one_account();
    let client_dir = server.client_dir("ncftp");
    fs::write(client_dir.join("文件.txt"), "text").unwrap();
    ncftp(&server, "ncftpput").args(["-m", "-DD", "127.0.0.1", "/new/dir", "文件.txt"]).succeed();
    assert_eq!(fs::read_to_string(server.home().join("new/dir/文件.txt")).unwrap(), "text");
    assert!(!client_dir.join("文件.txt").exists());
}

#[test]
fn ncftpls_lists_names() {
    let server = Server::with_one_account();
    for name in ["b", "a b", "中文"] {
        fs::write(server.home().join(name), "").unwrap();
    }
    for mode in MODES {
        let url = format!("ftp://127.0.0.1:{}/", server.port());
        let outcome = ncftp(&server, "ncftpls").args([mode, "-1", &url]).succeed();
        let text = outcome.text();
        let mut names: Vec<_> = text.lines().collect();
        names.sort_unstable();
        assert_eq!(names, ["a b", "b", "中文"]);
    }
}
