//! rclone: copy, sync and check with its FTP backend.

use std::fs;

use crate::support::program::Program;
use crate::support::server::{PASSWORD, Server, Setup, USER};
use crate::support::tree::{Random, Tree};

/// The options of each connection mode.
fn modes(server: &Server) -> [(String, Vec<&'static str>); 4] {
    let (port, implicit) = (server.port().to_string(), server.ports().implicit().to_string());
    [
        (port.clone(), vec!["--ftp-host=127.0.0.1"]),
        (port.clone(), vec!["--ftp-host=[::1]"]),
        (port, vec!["--ftp-host=127.0.0.1", "--ftp-explicit-tls", "--ftp-no-check-certificate"]),
        (implicit, vec!["--ftp-host=127.0.0.1", "--ftp-tls", "--ftp-no-check-certificate"]),
    ]
}

fn rclone(server: &Server, (port, options): &(String, Vec<&str>)) -> Program {
    let password = Program::new("rclone").args(["obscure", PASSWORD]).succeed().text();
    Program::new("rclone")
        .folder(&server.client_dir("rclone"))
        .args(["--config", "", "--retries=1", "--low-level-retries=1"])
        .args([format!("--ftp-user={USER}"), format!("--ftp-port={port}")])
        .arg(format!("--ftp-pass={}", password.trim()))
        // Names go over as they are; by default some letters become others.
        .arg("--ftp-encoding=Slash,Del,Ctl")
        .args(options)
}

#[test]
fn rclone_copies_a_tree_in_both_directions_and_finds_no_difference() {
    let server = Server::with_one_account();
    let client_dir = server.client_dir("rclone");
    let tree = Tree::awkward(50).without(is_unsupported);
    tree.write(&client_dir.join("up"));
    for (index, mode) in modes(&server).iter().enumerate() {
        let remote = format!(":ftp:copy{index}");
        let back = format!("back{index}");
        rclone(&server, mode).args(["copy", "up", &remote]).succeed();
        tree.assert_at(&server.home().join(format!("copy{index}")));
        rclone(&server, mode).args(["check", "--download", "up", &remote]).succeed();
        rclone(&server, mode).args(["copy", &remote, &back]).succeed();
        tree.assert_at(&client_dir.join(back));
    }
}

/// A backslash is a slash to a server with support for Windows clients, unless a file has that
/// name.
fn is_unsupported(path: &str) -> bool {
    path.contains('\\')
}

#[test]
fn rclone_sync_removes_deleted_files_and_renames() {
    let server = Server::with_one_account();
    let mode = &modes(&server)[0];
    let client_dir = server.client_dir("rclone");
    let (old, new) = (client_dir.join("old"), server.home().join("there"));
    fs::create_dir_all(old.join("目录/deep")).unwrap();
    fs::write(old.join("目录/deep/a"), "a").unwrap();
    fs::write(old.join("b"), "b").unwrap();
    rclone(&server, mode).args(["sync", "old", ":ftp:there"]).succeed();
    Tree::read(&old).assert_at(&new);

    fs::remove_dir_all(old.join("目录")).unwrap();
    fs::write(old.join("b"), "longer").unwrap();
    fs::write(old.join("c"), "c").unwrap();
    rclone(&server, mode).args(["sync", "old", ":ftp:there"]).succeed();
    Tree::read(&old).assert_at(&new);
    assert!(!new.join("目录").exists());

    rclone(&server, mode).args(["moveto", ":ftp:there/c", ":ftp:there/d"]).succeed();
    rclone(&server, mode).args(["purge", ":ftp:there"]).succeed();
    assert!(!new.exists());
}

/// It never reads what its uploads are sent, and one cache of sessions serves all its control
/// connections.
#[test]
fn row_09_rclone_transfers_where_data_must_resume_the_tls_session() {
    let server = Setup::new().set("tls", "session_reuse = \"require\"").start();
    let client_dir = server.client_dir("rclone");
    fs::create_dir_all(client_dir.join("up")).unwrap();
    for index in 0..12_usize {
        let bytes = Random::new(30).bytes(index * 40_000);
        fs::write(client_dir.join("up").join(index.to_string()), bytes).unwrap();
    }
    for (index, mode) in modes(&server)[2..].iter().enumerate() {
        for (name, option) in [("1.3", None), ("1.2", Some("--ftp-disable-tls13"))] {
            let remote = format!(":ftp:require{index}-{name}");
            let back = format!("back{index}-{name}");
            rclone(&server, mode).args(option).args(["copy", "up", &remote]).succeed();
            rclone(&server, mode).args(option).args(["copy", &remote, &back]).succeed();
            for file in 0..12 {
                let (sent, came) = (client_dir.join("up"), client_dir.join(&back));
                let file = file.to_string();
                assert!(fs::read(sent.join(&file)).unwrap() == fs::read(came.join(&file)).unwrap());
            }
        }
    }
}
