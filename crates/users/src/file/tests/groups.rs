//! Groups, hours, addresses, ends and folders.

use std::net::IpAddr;
use std::path::Path;

use jiff::Timestamp;
use wharf_core::account::{Count, Size};
use wharf_core::permission::Permissions;
use wharf_core::users::{Attempt, Denied};
use wharf_proto::path::VPath;

use super::super::{
    Editor, FolderRecord, Holder, Setting, SettingOrigin, UserFile, UsersFileError,
};
use super::parse;
use crate::hours::{Expiry, Hours};

fn staff() -> Holder {
    Holder::Group("staff".to_owned())
}

const TEXT: &str = r#"
[users.anna]
groups = ["night", "staff"]
sessions = 3
[users.anna.paths]
"/in" = "none"

[users.ben]
home = "/srv/ben"
groups = "staff"
hours = ["09:00-10:00 UTC", "12:00-13:00 UTC"]
expires = 2027-01-31T18:00:00Z
allowed_addresses = ["192.0.2.7", "2001:db8::/32"]

[groups.staff]
home = "/srv/staff/%u"
permissions = "read-write"
sessions = 9
quota = "2GiB"
[groups.staff.paths]
"/in" = "upload"
"/out" = "read"
[groups.staff.folders]
"/music" = "music"
"/scans" = { target = "/srv/scans", permissions = "full", quota = "1KiB", quota_files = 7 }

[groups.night]
home = "/srv/night/%u"
hours = "fri 22:00-06:00 UTC"
"#;

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn path(text: &str) -> VPath {
    VPath::root().resolve(text.as_bytes()).unwrap()
}

#[test]
fn an_account_inherits_from_the_first_group_that_sets_a_key() {
    let file = parse(TEXT).unwrap();
    let anna = file.record("anna").unwrap();
    assert_eq!(anna.home, Path::new("/srv/night/anna"));
    assert_eq!(anna.permissions, Some(Permissions::parse("read-write").unwrap()));
    assert_eq!(anna.sessions, Some(Count::from_number(3)));
    assert_eq!(anna.quota, Some(Size::from_bytes(2 << 30)));
    assert!(anna.hours.is_some() && file.record("ben").unwrap().sessions.is_some());
    let account = anna.account(file.folder(), moment("2026-11-27T23:00:00Z"));
    assert_eq!(account.rules.at(&path("/in")), Permissions::NONE);
    assert_eq!(account.rules.at(&path("/out")), Permissions::READ_ONLY);
    assert_eq!(account.rules.at(&path("/scans/a")), Permissions::FULL);
    let folders: Vec<_> =
        account.folders.iter().map(|one| (one.at.to_string(), one.target.clone())).collect();
    assert_eq!(
        folders,
        [("/music".into(), "/etc/wharf/music".into()), ("/scans".into(), "/srv/scans".into())]
    );
    assert_eq!(account.folders[1].quota_files, Some(Count::from_number(7)));
    assert_eq!(account.until, Some(moment("2026-11-28T06:00:00Z").as_second()));
    // The account's own table sets little.
    assert_eq!(file.own("anna").unwrap().permissions, None);
}

#[test]
fn the_line_of_a_setting_is_known() {
    let file = parse(TEXT).unwrap();
    assert_eq!(file.origin_of("anna", "quota", None), SettingOrigin::Group("staff"));
    assert_eq!(file.origin_of("anna", "sessions", None), SettingOrigin::Own);
    assert_eq!(file.origin_of("anna", "expires", None), SettingOrigin::Unset);
    let at = |key, inner: &str| file.line_of_setting("anna", key, Some(&path(inner)));
    assert_eq!(file.line_of_setting("anna", "sessions", None), Some(4));
    assert_eq!(file.line_of_setting("anna", "home", None), Some(28));
    assert_eq!(at("paths", "/in"), Some(6));
    assert_eq!(at("paths", "/out"), Some(22));
    assert_eq!(at("folders", "/scans"), Some(25));
    assert_eq!(
        (file.line_of_setting("anna", "comment", None), file.line_of("ben")),
        (None, Some(8))
    );
}

#[test]
fn a_comment_is_not_inherited() {
    let file = parse("[groups.staff]\nhome = 'a'\ncomment = 'b'\n[users.anna]\ngroups = 'staff'\n");
    let file = file.unwrap();
    assert_eq!(file.record("anna").unwrap().comment, None);
    assert_eq!(file.origin_of("anna", "comment", None), SettingOrigin::Unset);
    assert_eq!(file.line_in(&staff(), "comment", None), Some(3));
}

#[test]
fn wrong_addresses_hours_and_expiry_are_rejected_with_the_reason() {
    let file = parse(TEXT).unwrap();
    let ben = file.record("ben").unwrap();
    let tries = |peer: &str, now: &str| {
        let peer: IpAddr = peer.parse().unwrap();
        let attempt = Attempt { user: "ben", secret: b"", peer, is_tls: true };
        match ben.admits(&attempt, moment(now)) {
            Ok(()) => "in".to_owned(),
            Err(Denied::ByRule(why)) => why,
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(tries("192.0.2.7", "2026-11-23T09:30:00Z"), "in");
    assert_eq!(tries("::ffff:192.0.2.7", "2026-11-23T12:00:00Z"), "in");
    assert_eq!(tries("2001:db8:7::1", "2026-11-23T12:00:00Z"), "in");
    let elsewhere = "the account may log in from 192.0.2.7, 2001:db8::/32 only";
    assert_eq!(tries("192.0.2.8", "2026-11-23T09:30:00Z"), elsewhere);
    let hours = "the account may log in at 09:00-10:00 UTC; 12:00-13:00 UTC only";
    assert_eq!(tries("192.0.2.7", "2026-11-23T10:00:00Z"), hours);
    let ended = "the account expired: expires = 2027-01-31T18:00:00Z";
    assert_eq!(tries("192.0.2.7", "2027-02-01T09:30:00Z"), ended);
}

#[test]
fn problems_are_reported_with_their_position() {
    let text = r#"
[users.anna]
groups = ["stuff", 7]
[users.ben]
groups = ["stuff"]
hours = ["9-17"]
expires = "soon"
allowed_addresses = ["10.0.0.0/8", "home"]
[users.ben.folders]
"/" = "/srv"
"/a" = { permissions = "read" }
"/b" = { target = "/b", mode = 7 }
[groups.staff]
password = "x"
groups = ["a"]
"#;
    let Err(UsersFileError::Problems(problems)) = parse(text) else { panic!("no problems") };
    let reported = problems.to_string().replace("/etc/wharf/users.toml:", "");
    for line in [
        "3:10: users.anna.groups: expected a list of group names, as in [\"staff\"], found",
        "5:10: users.ben.groups: unknown group `stuff` (did you mean `staff`?)",
        "6:9: users.ben.hours: invalid time window `9-17`: expected days and times \
         (write it as in mon-fri 08:00-18:00)",
        "7:11: users.ben.expires: invalid date `soon`: expected year, month and day",
        "8:21: users.ben.allowed_addresses: `home` is not an address",
        "10:1: users.ben.folders.\"/\": invalid path: it is the home itself",
        "11:1: users.ben.folders.\"/a\": missing `target`",
        "12:25: unknown key `users.ben.folders.\"/b\".mode`",
        "14:1: unknown key `groups.staff.password`",
        "15:1: unknown key `groups.staff.groups`",
    ] {
        assert!(reported.contains(line), "{line}\nis not in\n{reported}");
    }
}

#[test]
fn groups_and_folders_are_written_as_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.toml");
    let scans = FolderRecord {
        path: path("/scans"),
        target: "/srv/scans".into(),
        permissions: Some(Permissions::READ_ONLY),
        quota: Some(Size::from_bytes(1 << 20)),
        quota_files: None,
    };
    let plain = FolderRecord {
        path: path("/a"),
        target: "a".into(),
        permissions: None,
        quota: None,
        quota_files: None,
    };
    let hours = Hours::parse(["mon-fri 08:00-18:00"]).unwrap();
    let expiry = Expiry::parse("2027-01-31").unwrap();
    let networks = vec!["10.0.0.0/8".parse().unwrap()];
    let edit = |change: &dyn Fn(&mut Editor) -> Result<(), super::super::EditError>| {
        UserFile::edit(&file, |editor| change(editor))
    };
    edit(&|editor| {
        editor.add(staff(), &[Setting::Home("/srv/%u".into())])?;
        editor.add("anna", &[Setting::Groups(vec!["staff".into()])])?;
        editor.set("anna", &Setting::Folder(scans.clone()))?;
        editor.set("anna", &Setting::Folder(plain.clone()))?;
        editor.set(staff(), &Setting::Hours(hours.clone()))?;
        editor.set(staff(), &Setting::Expires(expiry))?;
        editor.set(staff(), &Setting::AllowedAddresses(networks.clone()))
    })
    .unwrap();
    let read = UserFile::read(&file).unwrap();
    let anna = read.record("anna").unwrap();
    assert_eq!(anna.folders, [scans.clone(), plain.clone()]);
    assert_eq!((&anna.hours, anna.expires), (&Some(hours.clone()), Some(expiry)));
    assert_eq!(anna.allowed_addresses, Some(networks.clone()));
    assert_eq!(anna.home, Path::new("/srv/anna"));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"/a\" = \"a\"\n"), "{text}");
    // The group has members.
    let in_use = edit(&|editor| editor.remove(staff())).unwrap_err().to_string();
    assert!(in_use.contains("unknown group `staff`"), "{in_use}");
    let taken = edit(&|editor| editor.add(staff(), &[])).unwrap_err().to_string();
    assert_eq!(taken, "group `staff` already exists");
    edit(&|editor| {
        assert!(editor.clear_entry("anna", "folders", &path("/a"))?);
        editor.set(staff(), &Setting::AllowedAddresses(Vec::new()))?;
        editor.set("anna", &Setting::Home("/srv/anna".into()))?;
        editor.set("anna", &Setting::Groups(Vec::new()))?;
        editor.remove(staff())
    })
    .unwrap();
    let read = UserFile::read(&file).unwrap();
    assert!(read.groups().is_empty() && read.record("anna").unwrap().groups.is_empty());
    assert_eq!(read.record("anna").unwrap().folders, [scans]);
}
