//! Rules for paths apply whatever is renamed or linked; tested with sessions on a real file system.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use wharf_core::account::{Account, Folder};
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::Stores as _;
use wharf_proto::path::VPath;
use wharf_storage::{DiskOptions, Disks, Durability, FollowSymlinks};

use crate::testing::TestSession;

const SECRET: &[u8] = b"top secret";

/// A home with `/box/secret/file` and `/other/file`, and a folder beside it.
struct RulesFixture {
    home: PathBuf,
    beside: PathBuf,
    _folder: tempfile::TempDir,
}

impl RulesFixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let above = folder.path().canonicalize().unwrap();
        let (home, beside) = (above.join("home"), above.join("beside"));
        for directory in [home.join("box/secret"), home.join("other"), beside.clone()] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(home.join("box/secret/file"), SECRET).unwrap();
        fs::write(home.join("other/file"), "open").unwrap();
        Self { home, beside, _folder: folder }
    }

    fn link(&self, target: &str, at: &str) {
        symlink(target, self.home.join(at)).unwrap();
    }

    fn account(&self, rules: &[(&str, &str)]) -> Account {
        let everywhere = Rules::everywhere(Permissions::ALL);
        let rules = rules.iter().fold(everywhere, |rules, (at, permissions)| {
            let permissions = match *permissions {
                "none" => Permissions::NONE,
                permissions => Permissions::parse(permissions).unwrap(),
            };
            rules.with(path(at), permissions)
        });
        Account::new("anna", &self.home, rules)
    }

    /// A session of an account with these rules.
    async fn session(&self, rules: &[(&str, &str)]) -> TestSession {
        self.session_of(self.account(rules), FollowSymlinks::Inside).await
    }

    async fn session_of(&self, account: Account, follow_symlinks: FollowSymlinks) -> TestSession {
        let options =
            DiskOptions { durability: Durability::Fast, follow_symlinks, ..DiskOptions::default() };
        let store = Disks::new(options).open(&account).await.unwrap();
        let mut bench = TestSession::new().logged_in_to_store(store, account.rules);
        bench.send("TYPE I").await;
        bench
    }
}

fn path(text: &str) -> VPath {
    VPath::root().resolve(text.as_bytes()).unwrap()
}

/// Renames, and returns the last reply.
async fn renames(bench: &mut TestSession, from: &str, to: &str) -> String {
    let reply = bench.send(&format!("RNFR {from}")).await;
    if reply.starts_with("350") { bench.send(&format!("RNTO {to}")).await } else { reply }
}

/// The code of a command that may move data; 150 if it would.
async fn code(bench: &mut TestSession, line: &str) -> String {
    match bench.run(line).await {
        Ok(crate::next::Next::Reply(reply)) | Err(reply) => reply.code.number().to_string(),
        Ok(_) => "150".to_owned(),
    }
}

#[tokio::test]
async fn row_55_a_path_with_a_rule_at_or_below_it_cannot_be_renamed() {
    let place = RulesFixture::new();
    let mut bench = place.session(&[("/box/secret", "none"), ("/new/in", "read-write")]).await;
    for (from, to) in [
        ("/box", "/open"),
        ("/box", "/other/box"),
        ("/other", "/new"),
        ("/other", "/new/in"),
        ("/other/file", "/box"),
    ] {
        let reply = renames(&mut bench, from, to).await;
        assert_eq!(reply, "550 Permission denied.", "{from} {to}");
    }
    assert_eq!(fs::read(place.home.join("box/secret/file")).unwrap(), SECRET);
    // Other paths can be renamed, also within a directory that has a rule below it.
    fs::write(place.home.join("box/a"), "a").unwrap();
    for (from, to) in [("/box/a", "/box/b"), ("/other", "/elsewhere"), ("/elsewhere", "/boxes")] {
        assert!(renames(&mut bench, from, to).await.starts_with("250"), "{from} {to}");
    }
}

#[tokio::test]
async fn row_55_a_rule_cannot_be_evaded_by_a_rename_through_a_link() {
    let place = RulesFixture::new();
    place.link(".", "again");
    place.link("box", "l");
    let mut bench = place.session(&[("/box/secret", "read")]).await;
    assert_eq!(renames(&mut bench, "/again/box", "/open").await, "550 Permission denied.");
    assert_eq!(renames(&mut bench, "/l/secret", "/open").await, "550 Permission denied.");
    assert_eq!(renames(&mut bench, "/other", "/again/box").await, "550 Permission denied.");
    // The link itself has no rule, and still has the same target.
    assert!(renames(&mut bench, "/l", "/m").await.starts_with("250"));
    assert!(renames(&mut bench, "/again/other", "/again/others").await.starts_with("250"));
}

#[tokio::test]
async fn row_55_a_path_with_a_virtual_folder_at_or_below_it_cannot_be_renamed() {
    let place = RulesFixture::new();
    fs::create_dir_all(place.home.join("a/music")).unwrap();
    place.link(".", "again");
    let mut account = place.account(&[]);
    account.folders.push(Folder {
        at: path("/a/music"),
        target: place.beside.clone(),
        quota: None,
        quota_files: None,
    });
    let mut bench = place.session_of(account, FollowSymlinks::Inside).await;
    for from in ["/a", "/a/music", "/again/a", "/again/a/music"] {
        assert_eq!(renames(&mut bench, from, "/open").await, "550 Permission denied.", "{from}");
    }
    assert_eq!(renames(&mut bench, "/other", "/a/music").await, "550 Permission denied.");
    assert!(renames(&mut bench, "/other", "/a/others").await.starts_with("250"));
}

#[tokio::test]
async fn row_55_an_unreadable_file_cannot_be_moved_to_a_path_with_more_permissions() {
    let place = RulesFixture::new();
    for folder in ["in", "seen"] {
        fs::create_dir(place.home.join(folder)).unwrap();
        fs::write(place.home.join(folder).join("x"), "x").unwrap();
    }
    let blind = "enter,list,upload,rename";
    let mut bench = place.session(&[("/in", blind), ("/seen", "list,read,rename")]).await;
    assert_eq!(renames(&mut bench, "/in/x", "/x").await, "550 Permission denied.");
    assert!(renames(&mut bench, "/in/x", "/in/y").await.starts_with("250"));
    assert!(renames(&mut bench, "/seen/x", "/x").await.starts_with("250"));
    assert!(renames(&mut bench, "/x", "/in/x").await.starts_with("250"));
}

#[tokio::test]
async fn row_27_the_rule_of_its_target_applies_to_a_link() {
    for follow in [FollowSymlinks::Inside, FollowSymlinks::Always] {
        let place = RulesFixture::new();
        place.link("box/secret", "pub");
        place.link("box/secret/file", "f");
        place.link("pub", "twice");
        place.link("other", "o");
        place.link("../o/file", "box/g");
        if follow == FollowSymlinks::Always {
            symlink(place.home.join("box/secret"), place.home.join("absolute")).unwrap();
        }
        let account = place.account(&[("/box/secret", "none")]);
        let mut bench = place.session_of(account, follow).await.ready();
        let absolute = (follow == FollowSymlinks::Always).then_some("/absolute");
        for link in ["/pub", "/twice"].into_iter().chain(absolute) {
            for line in ["RETR", "STOR", "APPE", "SIZE", "MDTM", "MLST", "HASH", "DELE", "LIST"] {
                let reply = code(&mut bench, &format!("{line} {link}/file")).await;
                assert!(reply.starts_with('5'), "{follow:?} {line} {link}: {reply}");
            }
            for line in ["CWD", "MLSD", "NLST", "MLST"] {
                let reply = code(&mut bench, &format!("{line} {link}")).await;
                assert!(reply.starts_with('5'), "{follow:?} {line} {link}: {reply}");
            }
            for line in ["MKD", "RMD", "STOR", "MFMT 20200101000000", "SITE CHMOD 600"] {
                let reply = code(&mut bench, &format!("{line} {link}/new")).await;
                assert!(reply.starts_with('5'), "{follow:?} {line} {link}: {reply}");
            }
        }
        for line in ["RETR /f", "SIZE /f", "MLST /f", "STOR /f", "APPE /f", "SITE CPFR /f"] {
            let reply = code(&mut bench, line).await;
            assert!(reply.starts_with('5'), "{follow:?} {line}: {reply}");
        }
        assert_eq!(fs::read(place.home.join("box/secret/file")).unwrap(), SECRET);
        // Links to permitted targets are followed.
        assert_eq!(code(&mut bench, "SIZE /o/file").await, "213");
        assert_eq!(code(&mut bench, "SIZE /box/g").await, "213");
        assert_eq!(code(&mut bench, "RETR /o/file").await, "150");
        assert_eq!(code(&mut bench, "STOR /o/new").await, "150");
        assert_eq!(code(&mut bench, "CWD /o").await, "250");
        assert_eq!(code(&mut bench, "DELE /o/file").await, "250");
        assert!(!place.home.join("other/file").exists());
    }
}

#[tokio::test]
async fn row_27_a_listing_shows_of_a_link_what_the_rule_of_its_target_allows() {
    let place = RulesFixture::new();
    place.link("box/secret/file", "f");
    place.link("other/file", "g");
    let mut bench = place.session(&[("/box/secret", "none")]).await.ready();
    let listed = bench.list("MLSD /").await;
    let line = |name: &str| {
        let mut lines = listed.split(" / ");
        lines.find(|line| line.ends_with(&format!(" {name}"))).unwrap().to_owned()
    };
    assert!(line("g").contains("type=file;size=4;"), "{listed}");
    assert!(!line("f").contains("type=file"), "{listed}");
    assert!(!line("f").contains("size=10;"), "{listed}");
}

#[tokio::test]
async fn row_27_without_rules_for_paths_links_are_followed_as_before() {
    let place = RulesFixture::new();
    place.link("box/secret", "pub");
    let mut bench = place.session(&[]).await.ready();
    assert_eq!(code(&mut bench, "SIZE /pub/file").await, "213");
    assert_eq!(code(&mut bench, "DELE /pub/file").await, "250");
    assert!(!place.home.join("box/secret/file").exists());
}
