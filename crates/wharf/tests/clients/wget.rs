//! wget: recursive downloads and resumes, over FTP and FTPS.

use std::fs;

use crate::support::program::Program;
use crate::support::server::{PASSWORD, Server, Setup, USER};
use crate::support::tree::{Random, Tree};

/// The connection modes: URL prefix and options.
fn modes(server: &Server) -> Vec<(String, Vec<&'static str>)> {
    let (port, implicit) = (server.port(), server.ports().implicit());
    let tls = |more: &[&'static str]| [&["--no-check-certificate"], more].concat();
    vec![
        (format!("ftp://127.0.0.1:{port}"), vec![]),
        (format!("ftp://127.0.0.1:{port}"), vec!["--no-passive-ftp"]),
        (format!("ftp://[::1]:{port}"), vec![]),
        (format!("ftps://127.0.0.1:{port}"), tls(&[])),
        (format!("ftps://[::1]:{port}"), tls(&["--no-passive-ftp"])),
        (format!("ftps://127.0.0.1:{implicit}"), tls(&["--ftps-implicit"])),
    ]
}

fn wget(server: &Server, options: &[&str]) -> Program {
    Program::new("wget")
        .args(["--no-config", "--tries=1", "--timeout=20", "-nv"])
        .arg(format!("--ftp-user={USER}"))
        .arg(format!("--ftp-password={PASSWORD}"))
        .args(options)
        .folder(&server.client_dir("wget"))
}

/// wget trims names in listings and takes some for patterns, links and escapes.
fn is_unsupported(path: &str) -> bool {
    path.contains(" -> ")
        || path.contains(['*', '?', '[', '\\', '%'])
        || path.split('/').any(|name| name.starts_with(' ') || name.ends_with(' '))
}

#[test]
fn wget_downloads_a_tree() {
    let server = Server::with_one_account();
    let tree = Tree::awkward(40).without(is_unsupported);
    tree.write(&server.home());
    for (index, (url, options)) in modes(&server).into_iter().enumerate() {
        let folder = format!("got{index}");
        wget(&server, &options)
            .args(["-r", "-l", "inf", "-nH", "--restrict-file-names=nocontrol", "-P", &folder])
            .arg(format!("{url}/"))
            .succeed();
        tree.assert_at(&server.client_dir("wget").join(folder));
    }
}

#[test]
fn wget_resumes_an_interrupted_download() {
    let server = Server::with_one_account();
    let mut random = Random::new(41);
    let bytes = random.bytes(250_000);
    fs::write(server.home().join("file 文.bin"), &bytes).unwrap();
    let local = server.client_dir("wget").join("file 文.bin");
    for (url, options) in modes(&server) {
        fs::write(&local, &bytes[..random.below(bytes.len())]).unwrap();
        wget(&server, &options)
            .args(["-c", "--restrict-file-names=nocontrol", &format!("{url}/file%20文.bin")])
            .succeed();
        assert!(fs::read(&local).unwrap() == bytes, "{url} {options:?}");
    }
}

#[test]
fn wget_preserves_the_time_of_a_file() {
    let server = Server::with_one_account();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::write(server.home().join("old"), "old").unwrap();
    fs::File::open(server.home().join("old")).unwrap().set_modified(time).unwrap();
    wget(&server, &["-N", &format!("ftp://127.0.0.1:{}/old", server.port())]).succeed();
    let found = fs::metadata(server.client_dir("wget").join("old")).unwrap().modified().unwrap();
    // LIST shows only the day of a file this old.
    assert!(time.duration_since(found).unwrap().as_secs() < 24 * 3600);
}

#[test]
fn wget_resumes_the_tls_session_where_it_must() {
    let server = Setup::new().set("tls", "session_reuse = \"require\"").start();
    fs::write(server.home().join("file"), "found").unwrap();
    let url = format!("ftps://127.0.0.1:{}/file", server.port());
    let options = ["--no-check-certificate", "--ftps-resume-ssl", "-O", "-", &url];
    assert_eq!(wget(&server, &options).succeed().text(), "found");
}

#[test]
fn wget_reports_a_missing_file() {
    let server = Server::with_one_account();
    let url = format!("ftp://127.0.0.1:{}/missing", server.port());
    let outcome = wget(&server, &[&url]).run();
    assert_eq!(outcome.code, Some(8), "{}", outcome.output());
}
