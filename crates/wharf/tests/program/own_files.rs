//! The server's own files, and the files it reads from the current folder.

use std::fs;

use crate::support::TestFolder;

/// A share in which a client created a `wharf.toml`.
fn planted() -> TestFolder {
    let place = TestFolder::new();
    place.write("wharf.toml", "[server]\ngreeting = \"planted\"\n");
    place
}

#[test]
fn row_53_a_wharf_toml_of_the_current_folder_is_named_and_not_used() {
    let place = planted();
    for words in [&["config", "path"][..], &["config", "show"], &["check", "config"]] {
        let mut command = place.command(words);
        let output = command.env_remove("WHARF_CONFIG").output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(err.matches("./wharf.toml is not used").count(), 1, "{words:?} {err}");
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(!out.contains("planted"), "{words:?} {out}");
    }
    // A file named on the command line is used.
    let ran = place.run(&["-c", "wharf.toml", "config", "show"]).exits(0);
    assert!(ran.out.contains("planted") && !ran.err.contains("not used"), "{ran:?}");
}

#[test]
fn row_53_no_account_reaches_wharfs_own_files_and_check_reports_it() {
    let place = TestFolder::new();
    place.write("wharf.toml", "config_version = 1\n[log]\nfile = \"wharf.log\"\n");
    place.write("mine.txt", "mine");
    // As logrotate and administrators name old logs.
    let old_logs = ["wharf.log.8", "wharf.log-20261201", "wharf.log-20261201.gz"];
    for name in old_logs {
        place.write(name, "old");
    }
    let home = place.path("");
    let home = home.to_str().unwrap();
    let words =
        ["user", "add", "anna", "--home", home, "--permissions", "full", "--password-file", "-"];
    place.run_with(&words, "secret\n").exits(0);
    // The log does not exist yet.
    let ran = place.run(&["check", "sandbox"]);
    assert!(format!("{ran:?}").contains("a log wharf.log is inside the home"), "{ran:?}");
    let server = place.serve_quietly(&["serve"], "wharf.log");
    let mut client = server.login("anna", "secret");
    let own = ["wharf.toml", "users.toml", "wharf.log", "state", "state/self-signed.pem"];
    for name in own.into_iter().chain(old_logs) {
        for command in ["SIZE", "MDTM", "DELE", "RNFR", "CWD", "MLST"] {
            let reply = client.command(&format!("{command} {name}"));
            assert!(reply.starts_with("550 "), "{command} {name}: {reply}");
        }
        assert!(client.stores(name, "x").starts_with("55"), "{name}");
    }
    assert!(client.command("MKD state").starts_with("550 "));
    assert_eq!(
        client.downloads("NLST").split_whitespace().collect::<Vec<_>>(),
        ["mine.txt", "run"]
    );
    let listed = client.downloads("LIST");
    assert!(listed.contains("mine.txt") && !listed.contains("users.toml"), "{listed}");
    assert_eq!(client.downloads("RETR mine.txt"), "mine");
    assert!(client.command("RNFR mine.txt").starts_with("350 "));
    assert!(client.command("RNTO users.toml").starts_with("55"));
    let ran = place.run(&["check", "sandbox"]);
    for part in
        ["the accounts file users.toml is inside the home", "the state folder state is inside"]
    {
        assert!(ran.err.contains(part) || ran.out.contains(part), "{part}: {ran:?}");
    }
    let why = place.run(&["why", "anna", "/users.toml", "read"]).exits(1);
    assert!(why.out.contains("the accounts file"), "{why:?}");
    place.run(&["why", "anna", "/mine.txt", "read"]).exits(0);
    drop(server.stop());
}

#[test]
fn row_53_no_account_reaches_a_program_that_stands_within_an_argument_or_its_folder() {
    let place = TestFolder::new();
    let home = place.path("").canonicalize().unwrap();
    let home = home.to_str().unwrap();
    for name in ["hooks/h.sh", "conf/it.conf", "conf/mine.txt", "top.sh", "upload"] {
        fs::create_dir_all(place.path(name).parent().unwrap()).unwrap();
        place.write(name, "exit 0\n");
    }
    place.write(
        "wharf.toml",
        &format!(
            "[events]\non_mkdir = [\"/bin/sh\", \"-c\", \"exec {home}/hooks/h.sh\"]\n\
             on_rename = [\"/bin/sh\", \"top.sh\", \"--conf={home}/conf/it.conf\"]\n"
        ),
    );
    let words =
        ["user", "add", "anna", "--home", home, "--permissions", "full", "--password-file", "-"];
    place.run_with(&words, "secret\n").exits(0);
    let server = place.serve(&["serve"]);
    let moved = "move programs out of all homes";
    assert_eq!(server.before.matches(moved).count(), 1, "{}", server.before);
    let mut client = server.login("anna", "secret");
    for name in ["hooks/h.sh", "hooks/beside", "hooks/new", "conf/it.conf", "top.sh"] {
        assert!(client.stores(name, "x").starts_with("55"), "{name}");
        assert!(client.command(&format!("DELE {name}")).starts_with("550 "), "{name}");
    }
    assert!(client.command("RNFR hooks").starts_with("550 "));
    // Files next to a file that is not a program, and next to one in the home itself, are shared.
    for name in ["conf/mine.txt", "upload"] {
        assert!(client.stores(name, "x").starts_with("226 "), "{name}");
    }
    let ran = place.run(&["check", "sandbox"]);
    for name in ["hooks/h.sh", "conf/it.conf", "top.sh"] {
        let part = format!("an event program {name} is inside the home");
        assert!(ran.err.contains(&part) || ran.out.contains(&part), "{part}: {ran:?}");
    }
    let why = place.run(&["why", "anna", "/hooks/beside", "write"]).exits(1);
    assert!(why.out.contains("the folder of an event program"), "{why:?}");
    drop(server.stop());
}

#[test]
fn row_53_a_share_of_wharfs_own_folder_does_not_start() {
    let place = TestFolder::new();
    fs::create_dir_all(place.path("state/below")).unwrap();
    let words = ["-d", "state/below", "-u", "me", "-P", "secret", "-i", "127.0.0.1", "-p", "0"];
    place.run(&words).exits(78).reports("which belongs to the server itself");
}

#[test]
fn the_running_servers_sandbox_is_known_to_why_and_to_user_add() {
    let place = TestFolder::new();
    place.write("wharf.toml", "[server]\nsandbox = \"auto\"\n");
    for home in ["homes/anna", "far"] {
        fs::create_dir_all(place.path(home)).unwrap();
    }
    let add = |name: &str, home: &str| {
        let words = ["user", "add", name, "--home", home, "--password-file", "-"];
        place.run_with(&words, "secret\n").exits(0)
    };
    add("anna", "homes/anna");
    let server = place.serve(&["serve"]);
    if server.before.contains("files=\"off") {
        return;
    }
    let near = add("bert", "homes/anna");
    assert!(!near.err.contains("sandbox"), "{near:?}");
    let far = add("carl", "far");
    // What a group shows is known as well, and the account that takes it from the group.
    let in_group = |home: &str| {
        let name = home.rsplit('/').next().unwrap();
        let added = place.run(&["group", "add", name, "--home", &format!("{home}/%u")]).exits(0);
        let user = format!("of-{name}");
        let words = ["user", "add", &user, "--group", name, "--create-home"];
        let words = [&words[..], &["--password-file", "-"]].concat();
        (added.err, place.run_with(&words, "secret\n").exits(0).err)
    };
    let outside = tempfile::tempdir().unwrap();
    let beyond = |name: &str| outside.path().join(name).display().to_string();
    let (group, user) = in_group(&beyond("staff"));
    for reported in [&group, &user] {
        assert!(
            reported.contains("warning: ")
                && reported.contains("the sandbox of the running server"),
            "{reported}"
        );
    }
    let (group, user) = in_group("homes/anna");
    assert!(!group.contains("sandbox") && !user.contains("sandbox"), "{group}");
    let denied = |user: &str, path: &str| {
        let ran = place.run(&["why", user, path, "list"]).exits(1);
        assert!(ran.out.contains("sandbox"), "{user} {path}: {ran:?}");
    };
    denied("of-staff", "/");
    // A virtual folder is where the storage has it, not below the home.
    fs::create_dir(outside.path().join("music")).unwrap();
    let folder = format!("/music={}", beyond("music"));
    let edited = place.run(&["user", "edit", "anna", "--folder", &folder]).exits(0);
    assert!(edited.err.contains("sandbox"), "{edited:?}");
    denied("anna", "/music");
    fs::create_dir_all(place.path("homes/shared")).unwrap();
    let folder = format!("/shared={}", place.path("homes/shared").display());
    place.run(&["user", "edit", "anna", "--folder", &folder]).exits(0);
    place.run(&["why", "anna", "/shared", "list"]).exits(0);
    // Its folder contains the accounts file and is accessible: no warning then.
    let is_open = !far.err.contains("sandbox");
    let why = place.run(&["why", "carl", "/", "list"]);
    assert_eq!(why.code == Some(0), is_open, "{why:?}");
    place.run(&["why", "anna", "/", "list"]).exits(0);
    drop(server.stop());
}
