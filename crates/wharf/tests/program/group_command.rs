//! `wharf group`, and what accounts have from their groups, as a script sees them.

use crate::support::TestFolder;

/// A group `staff` with all settings of a group, and its member `anna`.
fn with_staff() -> TestFolder {
    let place = TestFolder::new();
    place.write("wharf.toml", "[limits]\nuser_download_rate = \"5MiB/s\"\n");
    fill(&place);
    place
}

fn fill(place: &TestFolder) {
    std::fs::create_dir_all(place.path("music")).unwrap();
    let home = place.path("homes/%u").display().to_string();
    let music = format!("/music={}:read:quota=5GiB", place.path("music").display());
    let gone = format!("/gone={}", place.path("gone").display());
    let words: [&[&str]; 4] = [
        &["group", "add", "staff", "--home", &home, "--permissions", "read-write"],
        &[
            "--quota", "1GiB", "--sessions", "3", "--allowed-address", "10.0.0.0/8",
            "--allowed-address", "::1",
        ],
        &["--hours", "mon-fri 08:00-18:00", "--expires", "2999-12-31"],
        &["--folder", &music, "--folder", &gone, "--path", "/in=upload", "--comment", "all of us"],
    ];
    place.run(&words.concat()).exits(0).reports("added group staff").reports("is hidden until");
    let words =
        ["user", "add", "anna", "--group", "staff", "--create-home", "--password-file", "-"];
    place.run_with(&words, "secret\n").exits(0).reports("added anna");
    let ran = place.run(&["user", "add", "ben", "--group", "staff", "--generate"]).exits(1);
    let ran =
        ran.reports("error: folder not found: ").reports("homes/ben (home, from group `staff`)");
    assert!(!ran.err.contains("--home"), "{ran:?}");
}

/// The words of each line, without the width of the columns.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn effective_settings_are_shown_with_their_origin() {
    let place = with_staff();
    assert!(place.path("homes/anna").is_dir());
    let words =
        ["user", "edit", "anna", "--quota", "20GiB", "--allowed-address=", "--path", "/in=none"];
    place.run(&words).exits(0);
    let shown = lines(&place.run(&["user", "show", "anna"]).exits(0).out);
    let line = |part: &str| {
        let text = place.read("users.toml");
        text.lines().position(|line| line.starts_with(part)).expect(part) + 1
    };
    for wanted in [
        format!("home homes/anna group staff, users.toml:{}", line("home")),
        format!("permissions read-write group staff, users.toml:{}", line("permissions")),
        format!("groups staff users.toml:{}", line("groups")),
        format!("quota 20GiB users.toml:{}", line("quota = \"20GiB\"")),
        format!("sessions 3 group staff, users.toml:{}", line("sessions")),
        format!("allowed_addresses 10.0.0.0/8, ::1 group staff, users.toml:{}", line("allowed")),
        format!("expires 2999-12-31 group staff, users.toml:{}", line("expires")),
        format!("below /in: none users.toml:{}", line("\"/in\" = \"none\"")),
        "download_rate 5MiB/s limits.user_download_rate, wharf.toml:2".to_owned(),
        "upload_rate unlimited limits.user_upload_rate, default".to_owned(),
        "require_tls public tls.require, default".to_owned(),
    ] {
        assert!(shown.contains(&wanted), "{wanted}\nis not in\n{shown:#?}");
    }
    let folders: Vec<_> = shown.iter().filter(|line| line.starts_with("folder ")).collect();
    assert!(folders[0].contains("/music = ") && folders[0].contains(", read, 5GiB group staff"));
    assert!(folders[1].contains("gone, not found group staff"), "{folders:?}");
    let json = place.run(&["user", "show", "anna", "--json"]).exits(0).out;
    for part in [
        "\"groups\":[\"staff\"]",
        "\"allowed_addresses\":[\"10.0.0.0/8\",\"::1\"]",
        "\"quota\":{\"group\":null,\"origin\":\"users.toml:",
        "\"sessions\":{\"group\":\"staff\",\"origin\":\"users.toml:",
    ] {
        assert!(json.contains(part), "{part} is not in {json}");
    }
}

#[test]
fn a_group_is_listed_shown_changed_and_removed() {
    let place = with_staff();
    everything_of_groups(&place);
    // Comments of the file stay.
    let text = format!("# the first\n{}", place.read("users.toml"));
    place.write("users.toml", &text);
    place.run(&["group", "add", "night"]).exits(0);
    assert!(place.read("users.toml").starts_with("# the first\n"));
}

#[test]
fn groups_of_a_database_are_as_those_of_a_file() {
    let place = TestFolder::new();
    place.write("wharf.toml", "[accounts]\nstore = \"sqlite:users.db\"\n");
    fill(&place);
    let shown = lines(&place.run(&["user", "show", "anna"]).exits(0).out);
    assert!(shown.contains(&"sessions 3 group staff".to_owned()), "{shown:#?}");
    assert!(shown.contains(&"groups staff account".to_owned()), "{shown:#?}");
    everything_of_groups(&place);
    assert!(!place.path("users.toml").exists());
}

fn everything_of_groups(place: &TestFolder) {
    let list = lines(&place.run(&["group", "list"]).exits(0).out);
    assert_eq!(list[0], "NAME ACCOUNTS PERMISSIONS QUOTA HOME COMMENT");
    assert!(list[1].starts_with("staff 1 read-write 1GiB "), "{list:?}");
    let shown = lines(&place.run(&["group", "show", "staff"]).exits(0).out);
    assert!(shown.contains(&"accounts anna".to_owned()), "{shown:?}");
    let text = place.run(&["group", "show", "staff"]).exits(0).out;
    let column = |title: &str, value: &str| {
        text.lines().find(|line| line.starts_with(title)).and_then(|line| line.find(value))
    };
    assert_eq!(column("accounts ", "anna"), column("name ", "staff"), "{text}");
    let json = place.run(&["group", "show", "staff", "--json"]).exits(0).out;
    assert!(json.contains("\"accounts\":[\"anna\"]"), "{json}");
    place.run(&["group", "set", "staff", "--unset", "quota", "--hours=", "--expires="]).exits(0);
    let json = place.run(&["group", "list", "--json"]).exits(0).out;
    for part in ["\"quota\":null", "\"hours\":null", "\"expires\":null", "\"accounts\":1}"] {
        assert!(json.contains(part), "{part} is not in {json}");
    }
    place
        .run(&["group", "del", "staff"])
        .exits(1)
        .reports("cannot delete group `staff`: it has 1 member: anna");
    let home = place.path("homes/anna").display().to_string();
    place.run(&["user", "edit", "anna", "--home", &home, "--group="]).exits(0);
    place.run(&["group", "remove", "staff"]).exits(0).reports("deleted group staff");
    place.run(&["group", "show", "staff"]).exits(4).reports("unknown group `staff`");
}

#[test]
fn errors_are_reported_before_anything_is_changed() {
    let place = with_staff();
    let before = place.read("users.toml");
    for (words, code, part) in [
        (&["group", "add", "staff"][..], 1, "group `staff` already exists"),
        (&["group", "add", "a/b"], 2, "must not contain"),
        (&["group", "edit", "stuff", "--permissions", "read"], 4, "did you mean `staff`?"),
        (&["group", "edit", "staff"], 2, "missing option: a setting to change"),
        (
            &["group", "edit", "staff", "--allowed-address", "home"],
            2,
            "invalid --allowed-address `home`",
        ),
        (&["group", "edit", "staff", "--hours", "9-17"], 2, "mon-fri 08:00-18:00"),
        (
            &["group", "edit", "staff", "--expires", "soon"],
            2,
            "invalid --expires `soon`: expected year, month and day",
        ),
        (&["group", "edit", "staff", "--folder", "/a"], 2, "expected PATH=FOLDER"),
        (&["group", "edit", "staff", "--folder", "/=/srv"], 2, "the home itself"),
        (&["group", "edit", "staff", "--unset", "qouta"], 2, "did you mean `quota`?"),
        (&["user", "add", "ben", "--group", "stuff", "--generate"], 4, "did you mean `staff`?"),
        (&["user", "add", "ben", "--group", "staff", "--generate"], 1, "--create-home"),
        (&["user", "edit", "anna", "--group", "stuff"], 4, "did you mean `staff`?"),
    ] {
        place.run(words).exits(code).reports(part);
    }
    assert_eq!(place.read("users.toml"), before);
}

#[test]
fn an_account_that_has_ended_is_listed_as_such() {
    let place = with_staff();
    assert_eq!(lines(&place.run(&["user", "list", "--expired"]).exits(0).out).len(), 1);
    place.run(&["user", "edit", "anna", "--expires", "2020-01-31"]).exits(0);
    let list = place.run(&["user", "list", "--expired"]).exits(0).out;
    assert!(list.contains("\nanna  expired  read-write"), "{list}");
    let why = place.run(&["why", "anna", "/", "list", "--ip", "10.0.0.1"]).exits(1).out;
    assert!(why.contains("the account expired: expires = 2020-01-31"), "{why}");
    place
        .run(&["user", "edit", "anna", "--expires=", "--hours=", "--allowed-address", "192.0.2.7"])
        .exits(0);
    let why = place.run(&["why", "anna", "/", "list", "--ip", "10.0.0.1"]).exits(1).out;
    assert!(why.contains("the account may log in from 192.0.2.7 only"), "{why}");
    assert!(why.contains("users.toml:"), "{why}");
}
