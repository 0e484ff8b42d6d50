//! The dialogues of the two clients that every Windows computer has, line by line.

use std::fs;

use crate::support::server::{PASSWORD, Server, Setup, USER};
use crate::support::wire::Wire;

/// `ftp.exe`: active mode only, text by default, the X commands, backslashes.
#[test]
fn ftp_exe_works_as_it_is() {
    let server = Server::with_one_account();
    let home = server.home();
    fs::create_dir(home.join("dir")).unwrap();
    fs::write(home.join("dir/报告.txt"), "one\ntwo\n").unwrap();

    let mut wire = server.connect();
    assert_eq!(wire.greeting.code(), 220);
    // It sends commands before the login.
    wire.expect("OPTS UTF8 ON", 200);
    wire.expect(&format!("USER {USER}"), 331);
    wire.expect(&format!("PASS {PASSWORD}"), 230);
    assert_eq!(wire.expect("XPWD", 257).quoted(), "/");

    assert_eq!(text(wire.download_active("NLST")), "dir\r\n");
    let listing = text(wire.download_active("LIST dir\\"));
    assert!(listing.starts_with("-rw-r--r--") && listing.ends_with(" 报告.txt\r\n"), "{listing}");
    assert_eq!(listing.lines().count(), 1, "{listing}");
    let names = text(wire.download_active("NLST dir\\*.txt"));
    assert_eq!(names, "dir/报告.txt\r\n");

    wire.store_actively("STOR dir\\new file.txt", b"a\r\nb\r\n");
    assert_eq!(fs::read(home.join("dir/new file.txt")).unwrap(), b"a\nb\n");
    assert_eq!(text(wire.download_active("RETR dir\\报告.txt")), "one\r\ntwo\r\n");

    wire.expect("TYPE I", 200);
    wire.store_actively("STOR dir\\raw.bin", b"\r\n\n\r\xff\x00");
    assert_eq!(fs::read(home.join("dir/raw.bin")).unwrap(), b"\r\n\n\r\xff\x00");
    assert_eq!(wire.download_active("RETR dir\\raw.bin"), b"\r\n\n\r\xff\x00");
    wire.expect("TYPE A", 200);

    assert_eq!(wire.expect("XMKD dir\\sub", 257).quoted(), "/dir/sub");
    assert!(home.join("dir/sub").is_dir());
    wire.expect("CWD dir\\sub", 250);
    assert_eq!(wire.expect("XPWD", 257).quoted(), "/dir/sub");
    wire.expect("XCUP", 200);
    wire.expect("CWD \\", 250);
    wire.expect("XRMD dir\\sub", 250);
    assert!(!home.join("dir/sub").exists());
    wire.expect("RNFR dir\\raw.bin", 350);
    wire.expect("RNTO moved.bin", 250);
    wire.expect("DELE moved.bin", 250);
    assert!(!home.join("moved.bin").exists() && !home.join("dir/raw.bin").exists());
    wire.expect("QUIT", 221);
    assert!(wire.is_closed());
}

/// Explorer: small letters, passive mode, absolute paths that end with a slash, and one connection
/// for each window.
#[test]
fn explorer_works_as_it_is() {
    let server = Setup::new().account(USER, "full", &[]);
    let public = server.folder().join("公共");
    fs::create_dir_all(public.join("图片 1/深")).unwrap();
    fs::write(public.join("图片 1/照片.jpg"), [0xff, 0xd8, 0xff]).unwrap();
    let server = server
        .set("login", "anonymous = true")
        .set("login", &format!("anonymous_home = {:?}", public.display().to_string()))
        .start();

    let mut wire = server.connect();
    wire.expect("USER anonymous", 331);
    wire.expect("PASS IEUser@", 230);
    wire.expect("opts utf8 on", 200);
    let system = wire.expect("syst", 215).to_string();
    assert!(system.starts_with("215 UNIX"), "{system}");
    wire.expect("site help", 214);
    assert_eq!(wire.expect("PWD", 257).quoted(), "/");
    assert_eq!(explorer_lists(&mut wire, "/"), ["图片 1"]);
    wire.expect("noop", 200);
    let mut names = explorer_lists(&mut wire, "/图片 1/");
    names.sort();
    assert_eq!(names, ["深", "照片.jpg"]);
    assert_eq!(wire.expect("PWD", 257).quoted(), "/图片 1");
    wire.expect("TYPE I", 200);
    wire.expect("size /图片 1/照片.jpg", 213);
    assert_eq!(wire.download("RETR 照片.jpg"), [0xff, 0xd8, 0xff]);
    // Its folder is read-only, which the reply reports.
    wire.expect("MKD New folder", 550);
    wire.expect("CWD /missing/", 550);
    assert_eq!(wire.expect("PWD", 257).quoted(), "/图片 1");
}

/// Lists a directory as Explorer does, and returns the names.
fn explorer_lists(wire: &mut Wire, path: &str) -> Vec<String> {
    wire.expect(&format!("CWD {path}"), 250);
    wire.expect("TYPE A", 200);
    let listing = text(wire.download("LIST"));
    listing.lines().map(name_in_line).collect()
}

/// The name as a program finds it that counts columns of words.
fn name_in_line(line: &str) -> String {
    let mut rest = line;
    for _ in 0..8 {
        let (_, tail) = rest.split_once(' ').unwrap_or_else(|| panic!("eight columns: {line}"));
        rest = tail.trim_start();
    }
    rest.to_owned()
}

#[test]
fn explorer_uploads_renames_and_deletes() {
    let server = Server::with_one_account();
    let home = server.home();
    let mut wire = server.connect();
    wire.expect("opts utf8 on", 200);
    wire.expect(&format!("USER {USER}"), 331);
    wire.expect(&format!("PASS {PASSWORD}"), 230);
    wire.expect("CWD /", 250);
    wire.expect("MKD 新建文件夹", 257);
    wire.expect("CWD /新建文件夹/", 250);
    wire.expect("TYPE I", 200);
    wire.store("STOR 文档.docx", b"PK\x03\x04");
    wire.expect("CWD /", 250);
    wire.expect("RNFR /新建文件夹", 350);
    wire.expect("RNTO /我的文件", 250);
    assert_eq!(fs::read(home.join("我的文件/文档.docx")).unwrap(), b"PK\x03\x04");
    wire.expect("DELE /我的文件/文档.docx", 250);
    wire.expect("RMD /我的文件/", 250);
    assert_eq!(fs::read_dir(home).unwrap().count(), 0);
}

#[test]
fn options_of_ls_are_understood() {
    let server = Server::with_one_account();
    let home = server.home();
    fs::create_dir(home.join("a dir")).unwrap();
    fs::write(home.join("a dir/.hidden"), "").unwrap();
    fs::write(home.join("a dir/shown"), "").unwrap();
    let mut wire = server.wire();
    for command in ["LIST -la a dir", "list -al a dir", "LIST -a a dir/", "LIST -l /a dir"] {
        let listing = text(wire.download(command));
        let names: Vec<_> = listing.lines().map(name_in_line).collect();
        assert!(names.contains(&"shown".to_owned()), "{command}: {listing}");
        assert!(names.iter().all(|name| !name.contains("a dir")), "{command}: {listing}");
    }
    // An empty argument is none: rclone sends it.
    assert_eq!(text(wire.download("NLST ")), "a dir\r\n");
    assert_eq!(text(wire.download("NLST a dir/shown")), "a dir/shown\r\n");
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("it is UTF-8")
}
