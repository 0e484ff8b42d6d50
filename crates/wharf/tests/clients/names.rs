//! Names in legacy character sets, and names that are not text in any.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use encoding_rs::{BIG5, Encoding, GBK, SHIFT_JIS};

use crate::support::server::{Server, Setup};
use crate::support::wire::Wire;

/// A server whose old clients use this character set.
fn server_for(set: &str) -> Server {
    Setup::new().set("names", &format!("legacy_encoding = \"{set}\"")).start()
}

/// A command in an old character set.
fn spelt(set: &'static Encoding, text: &str) -> Vec<u8> {
    let (bytes, _, is_lossy) = set.encode(text);
    assert!(!is_lossy, "{text}");
    bytes.into_owned()
}

/// A client without UTF-8 support: it sends and receives names in its own character set; on the
/// disk they are UTF-8, and so a newer client sees them.
fn old_client_keeps_its_names(label: &str, set: &'static Encoding, folder: &str, file: &str) {
    let server = server_for(label);
    let home = server.home();
    let mut wire = server.wire();
    let encoded = |text: String| spelt(set, &text);
    assert!(std::str::from_utf8(&encoded(folder.to_owned())).is_err(), "else it could be UTF-8");

    let reply = wire.expect_bytes(&encoded(format!("MKD {folder}")), 257);
    assert_eq!(reply.0, encoded(format!("257 \"/{folder}\" created.\r\n")));
    wire.expect_bytes(&encoded(format!("CWD {folder}")), 250);
    assert_eq!(
        wire.ask("PWD").0,
        encoded(format!("257 \"/{folder}\" is the current directory.\r\n"))
    );
    wire.store(encoded(format!("STOR {file}")), b"content");
    assert_eq!(fs::read(home.join(folder).join(file)).unwrap(), b"content");

    assert_eq!(wire.download("NLST"), encoded(format!("{file}\r\n")));
    assert!(wire.download("LIST").ends_with(&encoded(format!(" {file}\r\n"))));
    assert!(wire.download("MLSD").ends_with(&encoded(format!("; {file}\r\n"))));
    assert_eq!(wire.download(encoded(format!("RETR {file}"))), b"content");
    assert_eq!(wire.download(encoded(format!("RETR /{folder}/{file}"))), b"content");
    wire.expect_bytes(&encoded(format!("SIZE {file}")), 213);

    let mut newer = server.wire();
    newer.expect("OPTS UTF8 ON", 200);
    assert_eq!(newer.download(format!("NLST {folder}")), format!("{folder}/{file}\r\n").as_bytes());
    assert_eq!(newer.download(format!("RETR {folder}/{file}")), b"content");

    wire.expect_bytes(&encoded(format!("RNFR {file}")), 350);
    wire.expect_bytes(&encoded(format!("RNTO ../{file}.{folder}")), 250);
    wire.expect("CDUP", 200);
    wire.expect_bytes(&encoded(format!("DELE {file}.{folder}")), 250);
    wire.expect_bytes(&encoded(format!("RMD {folder}")), 250);
    assert_eq!(fs::read_dir(home).unwrap().count(), 0);
}

#[test]
fn a_gbk_client_keeps_its_names() {
    // The second byte of the last letter is that of a backslash.
    old_client_keeps_its_names("gbk", GBK, "中文目录", "报告 (副本)誕.txt");
}

#[test]
fn a_big5_client_keeps_its_names() {
    // The second byte of these letters is that of a backslash or of a bar.
    old_client_keeps_its_names("big5", BIG5, "繁體目錄", "功能許蓋.txt");
}

#[test]
fn a_shift_jis_client_keeps_its_names() {
    old_client_keeps_its_names("shift_jis", SHIFT_JIS, "日本語", "表ソ能.txt");
}

#[test]
fn a_gbk_client_finds_existing_files_before_its_charset_is_detected() {
    let server = server_for("gbk");
    fs::write(server.home().join("旧文件.txt"), "old").unwrap();
    let mut wire = server.wire();
    // Nothing is known of the client yet, so names are UTF-8.
    assert_eq!(wire.download("NLST"), "旧文件.txt\r\n".as_bytes());
    assert_eq!(wire.download(spelt(GBK, "RETR 旧文件.txt")), b"old");
    assert_eq!(wire.download("NLST"), spelt(GBK, "旧文件.txt\r\n"));
}

#[test]
fn a_client_that_requests_utf8_receives_utf8() {
    let server = server_for("gbk");
    fs::write(server.home().join("文件"), "").unwrap();
    let mut wire = server.wire();
    wire.expect("OPTS UTF8 OFF", 200);
    assert_eq!(wire.download("NLST"), spelt(GBK, "文件\r\n"));
    wire.expect("OPTS UTF8 ON", 200);
    assert_eq!(wire.download("NLST"), "文件\r\n".as_bytes());
}

#[test]
fn a_pinned_character_set_holds_for_every_client() {
    let server = Setup::new()
        .set("names", "encoding = \"legacy\"")
        .set("names", "legacy_encoding = \"gbk\"")
        .start();
    fs::write(server.home().join("文件"), "x").unwrap();
    let mut wire = server.wire();
    let features = wire.expect("FEAT", 211).to_string();
    assert!(!features.contains("UTF8"), "{features}");
    wire.expect("OPTS UTF8 ON", 504);
    assert_eq!(wire.download("NLST"), spelt(GBK, "文件\r\n"));
    assert_eq!(wire.download(spelt(GBK, "RETR 文件")), b"x");
}

#[test]
fn row_32_a_name_that_is_not_text_is_listed_and_downloaded_by_its_bytes() {
    let server = server_for("gbk");
    let names: [&[u8]; 4] = [b"caf\xe9.txt", b"\xff\xfe", b"\xd6\xd0\xce\xc4 old", b"ok \x80 \xc3"];
    for name in names {
        fs::write(server.home().join(OsStr::from_bytes(name)), name).unwrap();
    }
    let mut wire = server.wire();
    let listed = wire.download("NLST");
    let mut listed: Vec<_> = lines(&listed);
    listed.sort_unstable();
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert_eq!(listed, sorted);
    for name in names {
        assert_eq!(wire.download([b"RETR ", &*doubled(name)].concat()), name);
        let long = wire.download([b"LIST ", &*doubled(name)].concat());
        assert!(long.ends_with(&[b" ", name, b"\r\n"].concat()), "{}", long.escape_ascii());
    }
    // None of this switched the client to the legacy character set.
    fs::write(server.home().join("文"), "").unwrap();
    assert!(lines(&wire.download("NLST")).contains(&"文".as_bytes()));
    for name in names {
        wire.expect_bytes(&[b"DELE ", &*doubled(name)].concat(), 250);
    }
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 1);
}

/// The control connection is a telnet line, on which 255 starts a telnet command and is escaped by
/// doubling.
fn doubled(name: &[u8]) -> Vec<u8> {
    name.iter().flat_map(|&byte| vec![byte; if byte == 0xff { 2 } else { 1 }]).collect()
}

fn lines(listing: &[u8]) -> Vec<&[u8]> {
    listing.split(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\r")).collect()
}

#[test]
fn row_31_a_name_with_control_bytes_cannot_forge_a_line_and_can_be_downloaded() {
    let server = Server::with_one_account();
    let name = b"a\r\n-rw-r--r-- 1 forged\x1b[31m";
    fs::write(server.home().join(OsStr::from_bytes(name)), "evil").unwrap();
    let mut wire = server.wire();
    let listed = wire.download("NLST");
    assert_eq!(lines(&listed).len(), 1);
    assert!(!lines(&listed)[0].iter().any(u8::is_ascii_control), "{}", listed.escape_ascii());
    let shown = lines(&listed)[0].to_vec();
    assert_eq!(wire.download([b"RETR ", &*shown].concat()), b"evil");
    wire.expect_bytes(&[b"DELE ", &*shown].concat(), 250);
}

#[test]
fn row_31_new_names_with_control_bytes_are_rejected() {
    let server = Server::with_one_account();
    let mut wire = server.wire();
    wire.expect("MKD a\x1bb", 553);
    drop(wire.passive());
    wire.expect("STOR a\tb", 553);
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 0);
}

/// Every byte that a name can hold, within a name and alone.
fn names_of_every_byte() -> Vec<Vec<u8>> {
    let bytes = (1..=255_u8).filter(|byte| *byte != b'/');
    let within = bytes.clone().map(|byte| vec![b'n', byte, b'x']);
    // A name of one dot is the folder itself, and blanks at the ends are cut off by clients that
    // read LIST, not by those that read MLSD.
    let alone = bytes.filter(|byte| *byte != b'.').map(|byte| vec![byte]);
    within.chain(alone).collect()
}

/// Sends the listed name back and gets the file whose content is its name.
fn downloaded(wire: &mut Wire, shown: &[u8]) -> Vec<u8> {
    wire.download([b"RETR ", &*doubled(shown)].concat())
}

fn after<'a>(line: &'a [u8], sign: &[u8]) -> &'a [u8] {
    let at = line.windows(sign.len()).position(|part| part == sign);
    &line[at.unwrap_or_else(|| panic!("{}", line.escape_ascii())) + sign.len()..]
}

/// The path in quotation marks, in which a mark is doubled (RFC 959, appendix II).
fn unquoted(reply: &[u8]) -> Vec<u8> {
    let mut bytes = after(reply, b"\"").iter().copied().peekable();
    let mut path = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'"' && bytes.next_if_eq(&b'"').is_none() {
            return path;
        }
        path.push(byte);
    }
    panic!("no end: {}", reply.escape_ascii());
}

/// What a telnet line brought, as the client's user sees it.
fn undoubled(name: &[u8]) -> Vec<u8> {
    let mut bytes = name.iter().copied().peekable();
    let mut shown = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == 0xff {
            let _ = bytes.next_if_eq(&0xff);
        }
        shown.push(byte);
    }
    shown
}

/// The name in a line of LIST: after eight columns and one space.
fn name_in(line: &[u8]) -> &[u8] {
    let mut rest = line;
    for _ in 0..8 {
        let begin = rest.iter().position(|byte| *byte != b' ').unwrap();
        let end = rest[begin..].iter().position(|byte| *byte == b' ').unwrap();
        rest = &rest[begin + end..];
    }
    &rest[1..]
}

/// The name as it appears in a line.
type NameFn = fn(&[u8]) -> &[u8];

#[test]
fn row_31_32_names_of_any_bytes_are_one_line_in_each_listing_and_round_trip() {
    let server = Server::with_one_account();
    let mut names = names_of_every_byte();
    for name in &names {
        fs::write(server.home().join(OsStr::from_bytes(name)), name).unwrap();
    }
    names.sort_unstable();
    let mut wire = server.wire();
    let cases: [(&str, NameFn); 3] =
        [("NLST", |line| line), ("MLSD", |line| after(line, b"; ")), ("LIST", name_in)];
    for (command, name_of) in cases {
        let listing = wire.download(command);
        let shown: Vec<&[u8]> = lines(&listing).into_iter().map(name_of).collect();
        assert_eq!(shown.len(), names.len(), "{command}");
        assert!(!listing.iter().any(|byte| byte.is_ascii_control() && !b"\r\n".contains(byte)));
        let mut found: Vec<_> = shown.iter().map(|shown| downloaded(&mut wire, shown)).collect();
        found.sort_unstable();
        assert_eq!(found, names, "{command}");
    }
}

#[test]
fn row_31_32_replies_show_each_name_on_one_line() {
    let server = Server::with_one_account();
    let names = names_of_every_byte();
    for name in &names {
        let folder = server.home().join(OsStr::from_bytes(name));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("inside"), name).unwrap();
    }
    let mut wire = server.wire();
    let listing = wire.download("NLST");
    let stat = wire.expect("STAT /", 212).0;
    let in_stat = lines(&stat).len() - 2;
    assert_eq!(in_stat, names.len(), "first and last line stand around the names");
    for shown in lines(&listing) {
        let typed = doubled(shown);
        let facts = wire.expect_bytes(&[b"MLST /", &*typed].concat(), 250).0;
        assert_eq!(lines(&facts).len(), 3, "{}", facts.escape_ascii());
        let name = after(lines(&facts)[1], b"; ");
        assert_eq!(undoubled(name), [b"/", shown].concat());

        wire.expect_bytes(&[b"CWD /", &*typed].concat(), 250);
        let reply = wire.expect("PWD", 257).0;
        assert_eq!(lines(&reply).len(), 1);
        assert_eq!(undoubled(&unquoted(&reply)), [b"/", shown].concat());
        let whole = [b"/", shown, b"/inside"].concat();
        let name = downloaded(&mut wire, &whole);
        assert!(names.contains(&name), "{}", name.escape_ascii());
        wire.expect("CWD /", 250);
    }
}

#[test]
fn row_31_a_nul_truncates_no_name() {
    let server = Server::with_one_account();
    fs::write(server.home().join("a"), "x").unwrap();
    let mut wire = server.wire();
    for command in ["DELE", "RNFR", "SIZE", "MDTM", "MKD", "RMD", "CWD", "MLST", "STAT"] {
        let reply = wire.ask([command.as_bytes(), b" a\0.txt"].concat());
        assert!([500, 501, 550, 553].contains(&reply.code()), "{command} {reply}");
    }
    assert_eq!(fs::read(server.home().join("a")).unwrap(), b"x");
}
