//! Groups, hours, addresses, ends and folders, with the real server.

use crate::support::TestFolder;

/// A hash of `secret` that is quick to check.
const HASH: &str = "{SSHA512}";

/// The accounts of `text`, in which `HASH` is replaced by the hash of `secret`.
fn place(text: &str) -> TestFolder {
    let place = TestFolder::new();
    place.write("wharf.toml", "config_version = 1\n[login]\nfailure_delay = \"0s\"\n");
    let hash = place.run_with(&["hash", "--password-file", "-"], "secret\n").exits(0).out;
    place.write("users.toml", &text.replace(HASH, hash.trim()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(place.path("users.toml"), mode).unwrap();
    }
    for folder in ["homes/anna", "homes/ben", "homes/cleo", "homes/dora", "music", "scans"] {
        std::fs::create_dir_all(place.path(folder)).unwrap();
    }
    place
}

const ACCOUNTS: &str = r#"
[groups.staff]
home = "homes/%u"
permissions = "read-write"
[groups.staff.folders]
"/music" = { target = "music", permissions = "read" }
"/scans" = { target = "scans", quota = "10B" }

[users.anna]
password = "{SSHA512}"
groups = ["staff"]

[users.ben]
password = "{SSHA512}"
groups = ["staff"]
permissions = "read"
allowed_addresses = ["192.0.2.0/24"]

[users.cleo]
password = "{SSHA512}"
home = "homes/cleo"
expires = "2020-01-31"

[users.dora]
password = "{SSHA512}"
home = "homes/dora"
hours = ["mon 00:00-00:01 UTC"]
"#;

#[test]
fn an_account_inherits_settings_from_its_group() {
    let place = place(ACCOUNTS);
    place.write("music/song", "la la");
    let server = place.serve(&["serve"]);
    let mut anna = server.login("anna", "secret");
    assert!(anna.stores("own.txt", "hers").starts_with("226 "));
    assert_eq!(place.read("homes/anna/own.txt"), "hers");
    let mut names: Vec<_> = anna.downloads("NLST").lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["music", "own.txt", "scans"]);
    assert_eq!(anna.downloads("RETR /music/song"), "la la");
    // Its own permissions.
    assert!(anna.stores("/music/new", "x").starts_with("55"));
    // Its own quota.
    assert!(anna.stores("/scans/a", "12345678").starts_with("226 "));
    assert!(anna.stores("/scans/b", "12345678").starts_with("552 "));
    assert_eq!(place.read("scans/a"), "12345678");
    // Its place stays.
    assert!(anna.command("RMD /scans").starts_with("550 "));
    assert!(anna.command("RNFR /own.txt").starts_with("350 "));
    let across = anna.command("RNTO /scans/own.txt");
    assert!(across.starts_with('5'), "{across}");
    assert_eq!(place.read("homes/anna/own.txt"), "hers");
}

#[test]
fn a_missing_folder_is_reported_and_nothing_else_fails() {
    let place = place(ACCOUNTS);
    std::fs::remove_dir(place.path("music")).unwrap();
    place
        .run(&["check", "users"])
        .exits(1)
        .reports("anna cannot use /music: folder not found: music");
    let reported = "anna cannot use /music: folder not found: ";
    let config = format!("{}[log]\nfile = \"wharf.log\"\n", place.read("wharf.toml"));
    place.write("wharf.toml", &config);
    let server = place.serve_quietly(&["serve"], "wharf.log");
    assert!(place.read("wharf.log").contains(reported), "{}", place.read("wharf.log"));
    let mut anna = server.login("anna", "secret");
    assert_eq!(anna.downloads("NLST").trim(), "scans");
    assert!(anna.command("CWD /music").starts_with("550 "));
}

#[test]
fn addresses_expiry_and_hours_reject_logins_and_the_log_has_the_reason() {
    let place = place(ACCOUNTS);
    let mut server = place.serve(&["serve"]);
    for (user, why) in [
        ("ben", "the account may log in from 192.0.2.0/24 only"),
        ("cleo", "the account expired: expires = 2020-01-31"),
    ] {
        assert!(server.tries(user, "secret").starts_with("530 "), "{user}");
        server.waits_for(why);
    }
    // One minute of the week is the only one in which this could fail.
    assert!(server.tries("dora", "secret").starts_with("530 "));
    server.waits_for("the account may log in at mon 00:00-00:01 UTC only");
}

#[test]
fn an_account_that_ends_ends_its_sessions() {
    let place = place(ACCOUNTS);
    let server = place.serve(&["serve"]);
    let mut anna = server.login("anna", "secret");
    let text = place.read("users.toml");
    let ended =
        text.replacen("groups = [\"staff\"]", "groups = [\"staff\"]\nexpires = 2020-01-01", 1);
    place.write("users.toml", &ended);
    assert!(anna.reply().starts_with("421 "));
    assert_eq!(anna.reply(), "");
}
