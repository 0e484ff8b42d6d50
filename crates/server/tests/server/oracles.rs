//! What an account may not list it must not find out by other commands: in a folder without the
//! permission `list`, and in one without any permission, replies are alike for what exists and what
//! does not.

use wharf_core::account::{Account, Size};
use wharf_core::permission::{Permissions, Rules};
use wharf_proto::path::VPath;
use wharf_sim::World;

const LOGIN: &str = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n";

/// What is missing, a file and a folder; no reply has these words but for the name.
const NAMES: [&str; 3] = ["missing7", "there7", "folder7"];

fn at(path: &str) -> VPath {
    VPath::root().resolve(path.as_bytes()).expect("it is a path")
}

/// A home where everything is allowed, with one folder in which only `permissions` are.
fn world(permissions: Permissions) -> World {
    let rules = Rules::everywhere(Permissions::ALL).with(at("/x"), permissions);
    let mut account = Account::new("anna", "/", rules);
    account.limits.quota = Some(Size::from_bytes(1_000));
    World::new()
        .account_with(account, "secret")
        .file("/x/there7", [b'x'; 300])
        .file("/x/folder7/inside", b"x")
}

/// The last reply to these commands, which is the same for all its readers but for the name.
fn reply_to(world: &World, before: &str, command: &str, name: &str) -> String {
    let before = before.replace("NAME", name);
    let script = format!("{LOGIN}C: EPSV\nS: 229 *\n{before}C: {command} /x/{name}\nS: *\n");
    let story = world.clone().run(&script).transcript;
    let last = story.lines().rfind(|line| line.contains("S: ")).unwrap_or_default();
    let reply = last.split_once("S: ").map(|(_, reply)| reply).unwrap_or_default();
    reply.replace(name, "NAME")
}

/// The replies for a file, for a folder and for what is missing, which must be one.
fn reply_to_all(permissions: Permissions, before: &str, command: &str) -> String {
    let [missing, file, folder] =
        NAMES.map(|name| reply_to(&world(permissions), before, command, name));
    assert_eq!(file, missing, "{command}");
    assert_eq!(folder, missing, "{command}");
    missing
}

/// Commands that show, change or take something, and what comes before them.
const COMMANDS: &[(&str, &str)] = &[
    ("", "RETR"),
    ("C: REST 299\nS: 350 *\n", "RETR"),
    ("C: REST 301\nS: 350 *\n", "RETR"),
    ("", "SIZE"),
    ("", "MDTM"),
    ("", "MDTM 20200101000000"),
    ("", "MLST"),
    ("", "MLSD"),
    ("", "LIST"),
    ("", "LIST -R"),
    ("", "NLST"),
    ("", "STAT"),
    ("", "HASH"),
    ("", "XCRC"),
    ("", "DELE"),
    ("", "RMD"),
    ("", "RMDA"),
    ("", "RNFR"),
    ("", "SITE CPFR"),
    ("", "SITE CHMOD 600"),
    ("", "MFMT 20200101000000"),
    ("", "SITE UTIME 20200101000000"),
];

const UPLOADS: &[(&str, &str)] = &[
    ("", "STOR"),
    ("C: ALLO 800\nS: 200 *\n", "STOR"),
    ("C: ALLO 600\nS: 200 *\n", "STOR"),
    ("C: REST 299\nS: 350 *\n", "STOR"),
    ("C: REST 301\nS: 350 *\n", "STOR"),
    ("", "APPE"),
    ("C: ALLO 600\nS: 200 *\n", "APPE"),
    ("", "MKD"),
    ("C: RNFR /other\nS: 350 *\n", "RNTO"),
    ("C: SITE CPFR /other\nS: 350 *\n", "SITE CPTO"),
];

#[test]
fn row_57_a_directory_without_permissions_reveals_nothing_about_its_contents() {
    for (before, command) in COMMANDS.iter().chain(UPLOADS).chain(&[("", "CWD"), ("", "STOU")]) {
        let permissions = Permissions::NONE;
        let replies = NAMES.map(|name| {
            let world = world(permissions).file("/other", b"x");
            reply_to(&world, before, command, name)
        });
        let [missing, file, folder] = &replies;
        assert!(missing.starts_with("55") && missing.ends_with("Permission denied."), "{command}");
        assert_eq!((file, folder), (missing, missing), "{command}");
    }
    // Paths that may be listed are distinguished.
    assert_ne!(
        reply_to(&world(Permissions::ALL), "", "SIZE", "there7"),
        reply_to(&world(Permissions::ALL), "", "SIZE", "missing7")
    );
}

#[test]
fn row_23_57_a_dropbox_reveals_nothing_about_its_contents() {
    let dropbox = Permissions::parse("dropbox").expect("it is a preset");
    for (before, command) in COMMANDS {
        let reply = reply_to_all(dropbox, before, command);
        assert!(reply.ends_with("Permission denied."), "{command}: {reply}");
    }
    assert!(reply_to_all(dropbox, "", "CWD").starts_with("250"));
    assert!(reply_to_all(dropbox, "", "MKD").ends_with("Permission denied."));
    assert!(reply_to_all(dropbox, "", "STOU").starts_with("150"));
}

/// An upload reveals whether it may begin, but no size: neither by the quota nor by the
/// restart points that are taken.
#[test]
fn row_23_57_what_an_upload_may_be_does_not_depend_on_the_file_that_is_there() {
    let dropbox = Permissions::parse("dropbox").expect("it is a preset");
    for permissions in [dropbox, dropbox.union(Permissions::OVERWRITE)] {
        let replies = |before: &str, command: &str| {
            ["missing7", "there7"].map(|name| reply_to(&world(permissions), before, command, name))
        };
        for rest in [1, 299, 300, 301] {
            let [missing, file] = replies(&format!("C: REST {rest}\nS: 350 *\n"), "STOR");
            assert!(missing.starts_with("554"), "{rest}: {missing}");
            assert_eq!(missing, file, "{rest}");
        }
        let codes = |announced: u32| {
            replies(&format!("C: ALLO {announced}\nS: 200 *\n"), "STOR")
                .map(|reply| reply.chars().take(3).collect::<String>())
        };
        if permissions == dropbox {
            // 301 bytes are used.
            assert_eq!(codes(699), ["150", "553"]);
            assert_eq!(codes(700), ["552", "552"]);
        } else {
            assert_eq!(codes(699), ["150", "150"]);
            assert_eq!(codes(999), ["150", "150"]);
        }
    }
    // Where the account may look, a file of the size of the whole quota can be replaced by another.
    let [missing, file] = ["missing7", "there7"]
        .map(|name| reply_to(&world(Permissions::ALL), "C: ALLO 900\nS: 200 *\n", "STOR", name));
    assert!(missing.starts_with("552") && file.starts_with("150"), "{missing} {file}");
}

#[test]
fn row_23_a_camera_uploads_to_its_folder_in_a_dropbox_even_if_it_is_missing() {
    let dropbox = Permissions::parse("dropbox").expect("it is a preset");
    for folder in ["folder7", "missing7", "missing7/deeper"] {
        let outcome = world(dropbox).run(&format!(
            "{LOGIN}C: CWD /x/{folder}\nS: 250 *\nC: PWD\nS: 257 \"/x/{folder}\" *\n\
             C: EPSV\nS: 229 *\nC: STOR picture\nS: 150 *\nU: new\nS: 226 *\nC: CDUP\nS: 200 *"
        ));
        let stored = outcome.memory.content(format!("/x/{folder}/picture"));
        assert_eq!(stored.as_deref(), Some(&b"new"[..]), "{folder}");
    }
    // Where the account may look, a folder must be there.
    world(Permissions::ALL).run(&format!(
        "{LOGIN}C: CWD /x/missing\nS: 550 *\nC: EPSV\nS: 229 *\nC: STOR /x/missing/picture\n\
         S: 553 No such file or directory.\nC: CWD /x/folder7\nS: 250 *"
    ));
}

#[test]
fn row_57_permissions_to_change_without_list_reveal_no_kind_and_no_name() {
    let permissions = Permissions::ENTER
        .union(Permissions::MKDIR)
        .union(Permissions::RENAME)
        .union(Permissions::RMDIR);
    assert!(reply_to_all(permissions, "", "RNFR").starts_with("350"));
    assert!(reply_to_all(permissions, "", "MKD").starts_with("257"));
    assert!(reply_to_all(permissions, "", "RMD").starts_with("550 No such file or directory."));
    assert!(reply_to_all(permissions, "", "CWD").starts_with("250"));
}

/// RFC 959 §4.1.3: whatever comes between takes RNFR back.
#[test]
fn rnto_must_follow_rnfr_at_once() {
    for between in ["NOOP", "PWD", "TYPE I", "SYST", "CLNT x", "NOTHING", "SITE NOTHING"] {
        let outcome = world(Permissions::ALL).run(&format!(
            "{LOGIN}C: RNFR /x/there7\nS: 350 *\nC: {between}\nS: *\nC: RNTO /x/new\nS: 503 *\n\
             C: RNFR /x/there7\nS: 350 *\nC: RNTO /x/new\nS: 250 *"
        ));
        assert!(outcome.memory.content("/x/new").is_some(), "{between}");
    }
}
