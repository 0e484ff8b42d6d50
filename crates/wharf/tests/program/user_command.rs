//! `wharf user` and `wharf hash`, as a script sees them.

use crate::support::TestFolder;

fn with_anna() -> TestFolder {
    let place = TestFolder::new();
    place.write("wharf.toml", "");
    let words = ["user", "add", "anna", "--home", "anna", "--create-home", "--password-file", "-"];
    place.run_with(&words, "secret\n").exits(0).reports("added anna to users.toml");
    place
}

#[test]
fn an_account_is_made_with_its_folder_and_a_hash() {
    let place = with_anna();
    assert!(place.path("anna").is_dir());
    let file = place.read("users.toml");
    assert!(file.contains("$argon2id$") && !file.contains("secret"), "{file}");
    let list = place.run(&["user", "list"]).exits(0).out;
    assert!(list.starts_with("NAME  LOGIN  PERMISSIONS  QUOTA  HOME "), "{list}");
    assert!(list.ends_with("\nanna  yes    read         -      anna\n"), "{list}");
}

#[test]
fn errors_in_a_new_account_are_reported_before_anything_is_changed() {
    let place = with_anna();
    let before = place.read("users.toml");
    for (words, code, part) in [
        (&["user", "add", "anna", "--home", "anna"][..], 1, "account `anna` already exists"),
        (&["user", "add", "ben"], 2, "missing option: --home for account `ben`"),
        (&["user", "add", "ben", "--home", "nowhere", "--generate"], 1, "--create-home"),
        (&["user", "add", "a/b", "--home", "anna", "--generate"], 2, "invalid name"),
        (
            &["user", "add", "ben", "--home", "anna", "--permissions", "raedx"],
            2,
            "neither a preset, a name nor letters",
        ),
        (
            &["user", "add", "ben", "--home", "anna", "--upload-rate", "fast"],
            2,
            "--upload-rate `fast`",
        ),
        (
            &["user", "add", "ben", "--home", "anna", "--path", "in=read"],
            2,
            "must begin with a slash",
        ),
        (&["user", "add", "ben", "--home", "anna", "--hash", "x"], 2, "invalid --hash"),
        (&["user", "add", "ben", "--home", "anna"], 2, "--password-file"),
    ] {
        place.run(words).exits(code).reports(part);
    }
    assert_eq!(place.read("users.toml"), before);
}

#[test]
fn an_unknown_name_exits_with_4_for_every_command() {
    let place = with_anna();
    for words in [
        &["user", "show", "ana"][..],
        &["user", "edit", "ana", "--permissions", "full"],
        &["user", "passwd", "ana", "--generate"],
        &["user", "enable", "ana"],
        &["user", "disable", "anna", "ana"],
        &["user", "del", "ana", "--yes"],
    ] {
        place.run(words).exits(4).reports("unknown account `ana`").reports("did you mean `anna`?");
    }
    let list = place.run(&["user", "list", "--disabled"]).exits(0).out;
    assert!(!list.contains("anna"), "all or nothing: {list}");
}

#[test]
fn an_account_is_edited_disabled_enabled_and_removed() {
    let place = with_anna();
    let words = [
        "user", "edit", "anna", "--permissions", "read-write", "--path", "/in=upload",
        "--upload-rate", "2MiB/s",
    ];
    place.run(&words).exits(0).reports("changed anna");
    place.run(&["user", "disable", "anna"]).exits(0);
    let json = place.run(&["user", "show", "anna", "--json"]).exits(0).out;
    assert_eq!(
        json,
        "{\"name\":\"anna\",\"enabled\":false,\"has_password\":true,\
         \"no_password\":false,\"home\":\"anna\",\
         \"permissions\":\"read-write\",\"paths\":{\"/in\":\"upload\"},\"upload_rate\":2097152,\
         \"download_rate\":null,\"transfer_upload_rate\":null,\"transfer_download_rate\":null,\
         \"sessions\":null,\"quota\":null,\"quota_files\":null,\"require_tls\":false,\
         \"comment\":null,\"groups\":[],\"allowed_addresses\":null,\"hours\":null,\
         \"expires\":null,\"folders\":{},\
         \"origins\":{\"password\":{\"group\":null,\"origin\":\"users.toml:5\"},\
         \"home\":{\"group\":null,\"origin\":\"users.toml:6\"},\
         \"permissions\":{\"group\":null,\"origin\":\"users.toml:7\"},\
         \"enabled\":{\"group\":null,\"origin\":\"users.toml:9\"},\
         \"upload_rate\":{\"group\":null,\"origin\":\"users.toml:8\"},\
         \"paths\":{\"/in\":{\"group\":null,\"origin\":\"users.toml:12\"}}}}\n"
    );
    place.run(&["user", "enable", "anna"]).exits(0);
    place.run(&["user", "edit", "anna", "--path", "/in="]).exits(0);
    assert!(!place.run(&["user", "show", "anna"]).exits(0).out.contains("/in"));
    place.run(&["user", "del", "anna"]).exits(2).reports("--yes");
    place.run(&["user", "del", "anna", "--yes"]).exits(0);
    assert!(place.path("anna").is_dir(), "files stay");
    assert_eq!(place.run(&["user", "list", "--json"]).exits(0).out, "");
}

#[test]
fn row_37_a_quota_is_set_shown_and_removed() {
    let place = with_anna();
    place.run(&["user", "edit", "anna", "--quota", "20GiB", "--quota-files", "1000"]).exits(0);
    let file = place.read("users.toml");
    assert!(file.contains("quota = \"20GiB\"\nquota_files = 1000\n"), "{file}");
    let shown = place.run(&["user", "show", "anna"]).exits(0).out;
    assert!(shown.contains("\nquota          20GiB "), "{shown}");
    assert!(shown.contains("\nquota_files    1000 "), "{shown}");
    let json = place.run(&["user", "show", "anna", "--json"]).exits(0).out;
    assert!(json.contains("\"quota\":21474836480,\"quota_files\":1000,"), "{json}");
    place.run(&["user", "edit", "anna", "--quota", "20Gbit"]).exits(2).reports("--quota `20Gbit`");
    place.run(&["user", "edit", "anna", "--quota", "unlimited", "--quota-files", "0"]).exits(0);
    let list = place.run(&["user", "list"]).exits(0).out;
    assert!(list.contains("unlimited, any number of files"), "{list}");
}

#[test]
fn a_generated_password_is_all_of_standard_output() {
    let place = with_anna();
    let ran = place.run(&["user", "passwd", "anna", "--generate"]).exits(0);
    assert_eq!(ran.out.trim_end().split('-').count(), 5, "{}", ran.out);
    assert!(!ran.err.contains(ran.out.trim_end()));
}

#[test]
fn a_hash_is_accepted_as_it_was_printed() {
    let place = with_anna();
    let hash = place.run_with(&["hash", "--password-file", "-"], "new one\n").exits(0).out;
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    place.run(&["user", "passwd", "anna", "--hash", hash.trim_end()]).exits(0);
    assert!(place.read("users.toml").contains(hash.trim_end()));
    place.run_with(&["hash", "--password-file", "-"], "\n").exits(1).reports("first line is empty");
    place.run(&["hash", "--password-file", "none"]).exits(1).reports("no such file");
}

#[cfg(unix)]
#[test]
fn a_file_of_accounts_that_others_may_read_is_rejected() {
    use std::os::unix::fs::PermissionsExt;
    let place = with_anna();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(place.path("users.toml"), open).unwrap();
    place.run(&["user", "list"]).exits(78).reports("hint: chmod 600 'users.toml'");
}

#[test]
fn errors_in_the_accounts_file_are_shown_with_their_position() {
    let place = with_anna();
    let file = place.read("users.toml");
    std::fs::remove_file(place.path("users.toml")).unwrap();
    place.run(&["user", "list"]).exits(1).reports("users.toml: no such file");
    place.run(&["user", "add", "x", "--home", "anna", "--generate"]).exits(0);
    place.write("users.toml", &file.replace("home", "hom"));
    place.run(&["user", "list"]).exits(78).reports("did you mean `home`?").reports("users.toml:");
}

#[test]
fn row_19_an_account_without_a_password_needs_its_addresses() {
    let place = with_anna();
    let add = ["user", "add", "cam", "--home", "anna", "--no-password"];
    place.run(&add).exits(78).reports("an account without a password needs `allowed_addresses`");
    let list = place.run(&["user", "list"]).exits(0).out;
    assert!(!list.contains("cam"), "{list}");
    place
        .run(&[&add[..], &["--allowed-address", "192.0.2.7"]].concat())
        .exits(0)
        .reports("added cam");
    let shown = place.run(&["user", "show", "cam"]).exits(0).out;
    assert!(shown.contains("not required from its addresses"), "{shown}");
    let why = ["why", "cam", "/", "login", "--ip"];
    place.run(&[&why[..], &["192.0.2.7"]].concat()).exits(0);
    let denied = place.run(&[&why[..], &["192.0.2.8"]].concat()).exits(1).out;
    assert!(denied.contains("192.0.2.7 only"), "{denied}");
    place.run_with(&["user", "passwd", "cam", "--password-file", "-"], "secret\n").exits(0);
    let file = place.read("users.toml");
    assert!(!file.contains("no_password"), "{file}");
}
