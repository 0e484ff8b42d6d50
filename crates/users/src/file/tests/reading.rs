//! Parsing, and error messages.

use std::path::Path;

use proptest::prelude::*;
use wharf_core::account::{Count, Rate};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;

use super::super::{FileProblems, KEYS, PROBLEMS_MAX, Setting, StoredHash, UsersFileError};
use super::{OLD_HASH, parse};

const WHOLE: &str = r#"
[users.anna]
password = "{SSHA}rkVJUMZq30PQewwp3wBrVidgFF7PfliP7fbmkQ=="
home = "anna"            # below this file's folder
permissions = "read-write"
enabled = true
upload_rate = "2MiB/s"
download_rate = 0
transfer_upload_rate = "unlimited"
transfer_download_rate = 1000
sessions = 5
require_tls = true
comment = "tests"
[users.anna.paths]
"/incoming/" = "upload"
"/private" = "none"

[users."王 小明"]
home = "/srv/ftp/wang"
"#;

fn problems(text: &str) -> FileProblems {
    match parse(text) {
        Err(UsersFileError::Problems(problems)) => problems,
        other => panic!("no problems in {text}: {other:?}"),
    }
}

/// The problems as text, without the file's name.
fn messages(text: &str) -> String {
    problems(text).to_string().replace("/etc/wharf/users.toml:", "")
}

#[test]
fn every_key_is_read() {
    let file = parse(WHOLE).unwrap();
    let anna = file.record("anna").unwrap();
    assert_eq!(anna.password.as_ref().map(StoredHash::as_str), Some(OLD_HASH));
    let account = anna.account(file.folder(), jiff::Timestamp::now());
    assert_eq!(account.home, Path::new("/etc/wharf/anna"));
    assert!(account.requires_tls && anna.is_enabled());
    assert_eq!(account.limits.upload_rate.and_then(Rate::bytes_per_second), Some(2 << 20));
    assert_eq!(account.limits.download_rate, Some(Rate::Unlimited));
    assert_eq!(account.limits.transfer_upload_rate, Some(Rate::Unlimited));
    assert_eq!(account.limits.transfer_download_rate.and_then(Rate::bytes_per_second), Some(1000));
    assert_eq!(account.limits.sessions, Some(Count::from_number(5)));
    let at = |path: &str| account.rules.at(&VPath::root().resolve(path.as_bytes()).unwrap());
    assert_eq!(at("/x"), Permissions::parse("read-write").unwrap());
    assert_eq!(at("/incoming/x"), Permissions::parse("upload").unwrap());
    assert_eq!(at("/private"), Permissions::NONE);
}

#[test]
fn what_is_absent_is_safe() {
    let file = parse(WHOLE).unwrap();
    let wang = file.record("王 小明").unwrap();
    assert_eq!(wang.password, None);
    let account = wang.account(file.folder(), jiff::Timestamp::now());
    assert_eq!(account.home, Path::new("/srv/ftp/wang"));
    assert_eq!(account.rules.anywhere(), Permissions::READ_ONLY);
    assert_eq!(account.limits.upload_rate, None);
    assert!(!account.requires_tls && wang.is_enabled());
}

#[test]
fn inline_tables_dotted_keys_and_windows_lines_are_read() {
    for text in [
        "users = { anna = { home = '/a', paths = { '/x' = 'read' } } }",
        "users.anna.home = '/a'\nusers.anna.paths.'/x' = 'read'",
        "[users]\nanna.home = '/a'\nanna.paths = { '/x' = 'read' }",
        "\u{feff}[users.anna]\r\nhome = '/a'\r\n[users.anna.paths]\r\n'/x' = 'read'\r\n",
    ] {
        let file = parse(text).unwrap();
        let anna = file.record("anna").unwrap();
        assert_eq!((anna.home.as_path(), anna.paths.len()), (Path::new("/a"), 1), "{text}");
    }
    for empty in ["", "# nothing yet\n", "[users]\n"] {
        assert!(parse(empty).unwrap().records().is_empty());
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = r#"
version = 1
[users.anna]
pasword = "x"
home = 7
permissions = "raed"
enabled = "yes"
upload_rate = "10Mb/s"
download_rate = -1
transfer_upload_rate = 1.5
sessions = "many"
comment = ["a"]
[users.anna.paths]
incoming = "upload"
"/a" = "list,wirte"
"/b" = "read"
"/b/" = "read"
"/" = "read"
[users.".hidden"]
home = "~/x"
[users.bert]
[users]
eva = 3
"#;
    let text = text.replace("[users]\neva = 3\n", "[users.eva]\nhome = \"\"\npaths = 3\n");
    assert_eq!(
        messages(&text),
        "\
2:1: unknown key `version` (accounts are tables such as [users.anna], \
groups such as [groups.staff])
4:1: unknown key `users.anna.pasword` (did you mean `password`?)
5:8: users.anna.home: expected a string, found an integer (write it in quotes: \"…\")
6:15: users.anna.permissions: invalid permission `raed`: neither a preset, a name nor \
letters (did you mean `read`?)
7:11: users.anna.enabled: expected true or false, found a string (write true or false, \
without quotes)
8:15: users.anna.upload_rate: invalid rate `10Mb/s`: `Mb` counts bits (write bytes, with a capital \
B, and divide by 8: 10Mbit is 1.25MB)
9:17: users.anna.download_rate: invalid rate `-1`: negative value (0 means no limit)
10:24: users.anna.transfer_upload_rate: expected a string or an integer, found a number \
with a fraction (write a rate such as `2MiB/s`, or 0 for no limit)
11:12: users.anna.sessions: expected an integer from 0 to 4294967295 (0 or `unlimited` means \
no limit)
12:11: users.anna.comment: expected a string, found a list (write it in quotes: \"…\")
14:1: users.anna.paths.incoming: invalid path: it must start with `/`, the account's home (write a \
path below the home, such as `/incoming`)
15:8: users.anna.paths.\"/a\": invalid permission `wirte`: neither a preset, a name nor letters \
(use read, read-write, upload, dropbox, full or none, names with commas such as list,read,mkdir, \
or the letters elradfmwMTC)
17:1: users.anna.paths.\"/b/\": duplicate path `/b` (remove one of them)
18:1: users.anna.paths.\"/\": invalid path: it is the home itself (for the whole home, set \
`permissions` of the account)
19:8: users.\".hidden\": a name must not start with `.` (names have 1 to 64 bytes, without `/`, \
`\\`, `:` and control characters)
20:8: users.\".hidden\".home: `~` is not supported (write an absolute path, or one relative to the \
folder of this file)
21:8: users.bert: missing `home` (add the folder of its files, such as: home = \"/srv/ftp/anna\")
23:8: users.eva.home: the path is empty (write an absolute path, or one relative to the folder of \
this file)
24:9: users.eva.paths: expected a table, found an integer (permissions of paths are a table \
such as: \"/incoming\" = \"upload\")"
    );
}

#[test]
fn hints_name_the_key_that_was_meant_and_the_form_of_a_value() {
    let reported =
        messages("[users.\"a/b\"]\nhome = \"x\"\nperm = \"q\"\nhours = 5\nexpires = 5\n");
    for line in [
        "1:8: users.\"a/b\": a name must not contain `/` (names have 1 to 64 bytes, without ",
        "3:1: unknown key `users.\"a/b\".perm` (did you mean `permissions`?)",
        "expected a list of time windows, as in [\"mon-fri 08:00-18:00\"], found an integer (write \
         strings in quotes, in brackets: ",
        "expected a date, found an integer (write the last valid day, as in 2027-01-31)",
    ] {
        assert!(reported.contains(line), "{line}\nis not in\n{reported}");
    }
    // A group has no password, so the key is not proposed for it.
    let reported = messages("[groups.a]\npass = \"q\"\n");
    assert!(reported.contains("(known keys: "), "{reported}");
}

#[test]
fn a_position_is_given_in_characters_and_in_bytes() {
    let text = "[users.anna]\nhome = '/ü'\nenabled = 1 # ü\n[users.'ü']\nhome = 1";
    let found = problems(text);
    let problem = &found.problems[1];
    assert_eq!((problem.line, problem.column), (5, 8));
    assert_eq!(&found.source[problem.span.clone()], "1");
    assert_eq!(&found.source[found.problems[0].span.clone()], "1");
}

#[test]
fn invalid_toml_is_reported_with_its_position_and_without_passwords() {
    let found = problems("[users.anna]\npassword = hunter2\nhome = \"/a\"\n");
    assert_eq!(found.problems.len(), 1);
    assert_eq!(found.problems[0].line, 2);
    assert!(!found.source.contains("hunter2"), "{}", found.source);
    let twice = messages("[users.anna]\nhome = '/a'\n[users.anna]\nhome = '/b'\n");
    assert!(twice.starts_with("3:8: ") && twice.contains("duplicate"), "{twice}");
}

#[test]
fn a_password_in_place_of_a_hash_is_reported_and_not_shown() {
    let found = problems("[users.anna]\npassword = \"hunter2 ü\"\nhome = 1\n");
    assert!(!format!("{found:?} {found}").contains("hunter2"));
    assert!(found.source.contains("password = \"**********\""), "{}", found.source);
    assert!(found.problems[0].hint.as_deref().unwrap().contains("wharf hash"));
    assert_eq!(&found.source[found.problems[1].span.clone()], "1");
    for locked in ["", "!", "*", "!$6$x$y"] {
        let text = format!("[users.anna]\npassword = '{locked}'\nhome = '/a'\n");
        assert!(!parse(&text).unwrap().records()[0].password.as_ref().unwrap().is_usable());
    }
}

#[test]
fn a_hash_is_not_in_debug_output() {
    let file = parse(WHOLE).unwrap();
    let setting = Setting::Password(StoredHash::from(OLD_HASH.to_owned()));
    assert!(!format!("{file:?} {setting:?}").contains("rkVJ"));
}

#[test]
fn the_number_of_reported_problems_is_bounded() {
    let text =
        (0..PROBLEMS_MAX * 2).map(|line| format!("key{line} = 1")).collect::<Vec<_>>().join("\n");
    assert_eq!(problems(&text).problems.len(), PROBLEMS_MAX);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(
        text in "\\PC{0,60}",
        lines in prop::collection::vec(
            ("[a-z_]{1,8}|users|home", "\\PC{0,12}|[0-9]{1,30}|'[ -&(-~]{0,20}'"),
            0..6,
        ),
    ) {
        let _ = parse(&text);
        let lines: Vec<_> = lines.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let _ = parse(&format!("[users.anna]\n{}", lines.join("\n")));
    }

    #[test]
    fn every_problem_has_a_location_within_the_text(
        key in 0..KEYS.len(),
        value in "'[ -&(-~ü]{0,9}'|-?[0-9]{1,3}|true|\\[\\]",
    ) {
        let text = format!("# ü\n[users.anna]\n{} = {value}\n", KEYS[key]);
        if let Err(UsersFileError::Problems(found)) = parse(&text) {
            prop_assert_eq!(found.source.len(), text.len());
            for problem in &found.problems {
                prop_assert!(found.source.get(problem.span.clone()).is_some());
                prop_assert!((2..=3).contains(&problem.line));
            }
        }
    }
}

#[test]
fn row_19_an_account_without_a_password_needs_addresses_and_no_password() {
    let read = |lines: &str| {
        parse(&format!(
            "[groups.near]\nallowed_addresses = [\"10.0.0.0/8\"]\n{lines}home = \"/a\"\n"
        ))
    };
    let wrong = |lines: &str| read(lines).unwrap_err().to_string();
    let messages = wrong("[users.a]\nno_password = true\n");
    assert!(
        messages.contains("an account without a password needs `allowed_addresses`"),
        "{messages}"
    );
    let messages = wrong("[users.a]\nno_password = true\nallowed_addresses = []\n");
    assert!(
        messages.contains("an account without a password needs `allowed_addresses`"),
        "{messages}"
    );
    let messages = wrong("[users.a]\nno_password = true\npassword = \"!\"\ngroups = [\"near\"]\n");
    assert!(messages.contains("conflicts with `password`"), "{messages}");
    let messages = wrong("[groups.open]\nno_password = true\n");
    assert!(messages.contains("unknown key `groups.open.no_password`"), "{messages}");
    let file = read("[users.a]\nno_password = true\ngroups = [\"near\"]\n").unwrap();
    assert!(file.record("a").unwrap().is_open(), "a group may name the addresses");
}
