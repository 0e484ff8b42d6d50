//! Changing the file.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use wharf_core::account::{Count, Rate};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;

use super::super::disk::{self, LockWait};
use super::super::edit::edit;
use super::super::{EditError, Editor, Setting, StoredHash, UserFile, UsersFileError};
use super::{OLD_HASH, write};
use crate::name::NameProblem;

struct TestFile {
    folder: TempDir,
    path: PathBuf,
}

fn location(text: Option<&str>) -> TestFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.toml");
    if let Some(text) = text {
        write(&path, text);
    }
    TestFile { folder, path }
}

impl TestFile {
    fn edit(
        &self,
        change: impl FnOnce(&mut Editor) -> Result<(), EditError>,
    ) -> Result<(), EditError> {
        UserFile::edit(&self.path, change)
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }
}

fn path(text: &str) -> VPath {
    VPath::root().resolve(text.as_bytes()).unwrap()
}

fn home(text: &str) -> Setting {
    Setting::Home(text.into())
}

const HAND_WRITTEN: &str = "\
# Our accounts.

# Anna, since May.
[users.anna]
home    = '/srv/anna'   # big disk
permissions = \"read\"   # for now

# Bert's paths
[users.bert.paths]
\"/in/\" = \"upload\" # cameras
[users.bert]
home = \"bert\"
# the end
";

#[test]
fn a_missing_file_is_made_with_everything_that_was_set() {
    let location = location(None);
    let settings = [
        Setting::Password(StoredHash::from(OLD_HASH.to_owned())),
        home("/srv/ftp/anna"),
        Setting::Permissions(Permissions::READ_ONLY.union(Permissions::MKDIR)),
        Setting::Enabled(false),
        Setting::UploadRate(Rate::from_bytes_per_second(2 << 20)),
        Setting::DownloadRate(Rate::Unlimited),
        Setting::TransferUploadRate(Rate::from_bytes_per_second(1001)),
        Setting::TransferDownloadRate(Rate::from_bytes_per_second(1024)),
        Setting::Sessions(Count::from_number(3)),
        Setting::RequireTls(true),
        Setting::Comment("a \"note\"\nin two lines".into()),
        Setting::Path(path("/in"), Permissions::NONE),
    ];
    location.edit(|editor| editor.add("anna", &settings)).unwrap();
    location.edit(|editor| editor.add("王 b.c", &[home("b")])).unwrap();
    let file = UserFile::read(&location.path).unwrap();
    let anna = file.record("anna").unwrap();
    assert_eq!(anna.permissions, Some(Permissions::READ_ONLY.union(Permissions::MKDIR)));
    assert_eq!((anna.enabled, anna.require_tls), (Some(false), Some(true)));
    assert_eq!(anna.upload_rate, Some(Rate::from_bytes_per_second(2 << 20)));
    assert_eq!(anna.download_rate, Some(Rate::Unlimited));
    assert_eq!(anna.transfer_upload_rate, Some(Rate::from_bytes_per_second(1001)));
    assert_eq!(anna.sessions, Some(Count::from_number(3)));
    assert_eq!(anna.comment.as_deref(), Some("a \"note\"\nin two lines"));
    assert_eq!(anna.paths, [(path("/in"), Permissions::NONE)]);
    let names: Vec<_> = file.records().iter().map(|record| record.name.as_str()).collect();
    assert_eq!(names, ["anna", "王 b.c"]);
    let text = location.text();
    assert!(text.starts_with("# Accounts of wharf."), "{text}");
    assert!(text.contains("upload_rate = \"2MiB/s\"\n"), "{text}");
    assert!(text.ends_with("\n\n[users.\"王 b.c\"]\nhome = \"b\"\n"), "{text}");
}

#[test]
fn comments_order_and_spelling_stay() {
    let location = location(Some(HAND_WRITTEN));
    let full = Permissions::parse("full").unwrap();
    location
        .edit(|editor| {
            editor.set("anna", &Setting::Permissions(full))?;
            editor.set("bert", &Setting::Path(path("/in"), Permissions::READ_ONLY))?;
            editor.set("bert", &Setting::Enabled(false))?;
            editor.add("eva", &[home("eva")])
        })
        .unwrap();
    let expected = HAND_WRITTEN
        .replace("\"read\"   #", "\"full\"   #")
        .replace("\"upload\" #", "\"read\" #")
        .replace("\"bert\"\n", "\"bert\"\nenabled = false\n");
    assert_eq!(location.text(), format!("{expected}\n[users.eva]\nhome = \"eva\"\n"));
}

#[test]
fn removing_takes_the_comment_right_above_and_no_more() {
    let location = location(Some(HAND_WRITTEN));
    location.edit(|editor| editor.remove("anna")).unwrap();
    let text = location.text();
    assert!(text.starts_with("# Our accounts.\n"), "{text}");
    assert!(!text.contains("Anna") && text.contains("# Bert's paths"), "{text}");
    location.edit(|editor| editor.remove("bert")).unwrap();
    assert!(location.text().contains("# the end"), "{}", location.text());
    assert!(UserFile::read(&location.path).unwrap().records().is_empty());
}

#[test]
fn the_last_account_leaves_the_heading_behind() {
    let location = location(Some("# Heading.\n\n[users.anna]\nhome = '/a'\n"));
    location.edit(|editor| editor.remove("anna")).unwrap();
    assert_eq!(location.text().trim(), "# Heading.");
}

#[test]
fn keys_and_paths_can_be_cleared() {
    let location = location(Some(HAND_WRITTEN));
    location
        .edit(|editor| {
            assert!(editor.clear("anna", "permissions")?);
            assert!(!editor.clear("anna", "permissions")?);
            assert!(editor.clear_entry("bert", "paths", &path("/in"))?);
            assert!(!editor.clear_entry("bert", "paths", &path("/in"))?);
            assert!(!editor.clear_entry("anna", "paths", &path("/in"))?);
            Ok(())
        })
        .unwrap();
    let file = UserFile::read(&location.path).unwrap();
    assert_eq!(file.record("anna").unwrap().permissions, None);
    assert!(file.record("bert").unwrap().paths.is_empty());
}

#[test]
fn inline_accounts_can_be_changed_too() {
    for text in [
        "users = { anna = { home = '/a' } }\n",
        "users.anna.home = '/a'\n",
        "[users]\nanna = { home = '/a' }\n",
    ] {
        let location = location(Some(text));
        location
            .edit(|editor| {
                editor.set("anna", &Setting::Path(path("/x"), Permissions::ALL))?;
                editor.set("anna", &Setting::RequireTls(true))?;
                editor.add("bert", &[home("b"), Setting::Path(path("/y"), Permissions::NONE)])
            })
            .unwrap();
        let file = UserFile::read(&location.path).unwrap();
        assert_eq!(file.record("anna").unwrap().paths, [(path("/x"), Permissions::ALL)], "{text}");
        assert_eq!(file.record("bert").unwrap().paths.len(), 1, "{text}");
        location.edit(|editor| editor.remove("anna")).unwrap();
        assert_eq!(UserFile::read(&location.path).unwrap().records().len(), 1, "{text}");
    }
}

#[test]
fn what_cannot_be_done_leaves_the_file_alone() {
    let location = location(Some(HAND_WRITTEN));
    let rejected = |change: fn(&mut Editor) -> Result<(), EditError>| {
        let error = location.edit(change).unwrap_err();
        assert_eq!(location.text(), HAND_WRITTEN);
        error
    };
    let error = rejected(|editor| editor.set("eva", &Setting::Enabled(true)));
    assert!(matches!(error, EditError::NoSuchUser(name) if name == "eva"));
    assert!(matches!(rejected(|editor| editor.remove("x")), EditError::NoSuchUser(_)));
    let error = rejected(|editor| editor.add("anna", &[home("a")]));
    assert!(matches!(error, EditError::UserExists(_)));
    let error = rejected(|editor| editor.add("../x", &[home("a")]));
    assert!(matches!(error, EditError::BadName(_, NameProblem::Holds('/'))));
    let error = rejected(|editor| editor.add("eva", &[]));
    assert!(matches!(&error, EditError::Unusable(_)), "{error}");
    assert!(error.to_string().contains("users.eva: missing `home`"), "{error}");
    let plain = Setting::Password(StoredHash::from("hunter2".to_owned()));
    let plain = location.edit(|editor| editor.set("anna", &plain)).unwrap_err();
    assert!(!plain.to_string().contains("hunter2"), "{plain}");
    // The change was applied, then another error follows.
    let error = rejected(|editor| {
        editor.set("anna", &Setting::Enabled(false))?;
        Err(EditError::NotText("home"))
    });
    assert!(matches!(error, EditError::NotText(_)));
}

#[test]
fn a_broken_file_is_not_changed() {
    let broken = "[users.anna]\nhoem = '/a'\n";
    let location = location(Some(broken));
    let error = location.edit(|editor| editor.add("eva", &[home("a")])).unwrap_err();
    assert!(matches!(error, EditError::Open(UsersFileError::Problems(_))));
    assert_eq!(location.text(), broken);
}

#[test]
fn a_change_waits_for_the_lock_of_another_program() {
    let location = location(Some(HAND_WRITTEN));
    let held = disk::lock(&disk::resolve_symlink(&location.path), LockWait::None).unwrap().unwrap();
    let change = |editor: &mut Editor| editor.set("anna", &Setting::Enabled(false));
    let error = edit(&location.path, LockWait::None, change).unwrap_err();
    assert!(matches!(error, EditError::Locked(_)));
    assert_eq!(location.text(), HAND_WRITTEN);
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| location.edit(change));
        drop(held);
        waiting.join().unwrap().unwrap();
    });
    assert!(location.text().contains("enabled = false"));
}

#[test]
fn many_concurrent_changes_are_all_applied() {
    let location = location(None);
    std::thread::scope(|threads| {
        for number in 0..8 {
            let location = &location;
            threads.spawn(move || {
                let name = format!("user{number}");
                location.edit(|editor| editor.add(&name, &[home("a")])).unwrap();
            });
        }
    });
    assert_eq!(UserFile::read(&location.path).unwrap().records().len(), 8);
    let left: Vec<_> = fs::read_dir(location.folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "the file and its lock: {left:?}");
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn only_the_owner_may_read_what_is_made() {
        let location = location(None);
        location.edit(|editor| editor.add("anna", &[home("a")])).unwrap();
        for entry in fs::read_dir(location.folder.path()).unwrap() {
            let about = entry.unwrap().metadata().unwrap();
            assert_eq!(about.permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_new_file_has_the_owner_of_the_old_one() {
        let location = location(Some(HAND_WRITTEN));
        // Only root can change the owner; for other users it stays the same.
        let _ = std::os::unix::fs::chown(&location.path, Some(12345), Some(12345));
        let owner = fs::metadata(&location.path).unwrap().uid();
        location.edit(|editor| editor.set("anna", &Setting::Enabled(false))).unwrap();
        for entry in fs::read_dir(location.folder.path()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().uid(), owner);
        }
    }

    #[test]
    fn a_link_in_place_of_the_lock_file_reveals_nothing() {
        let location = location(Some(HAND_WRITTEN));
        let precious = location.folder.path().join("precious");
        write(&precious, "x");
        let owner = fs::metadata(&precious).unwrap().uid();
        let _ = std::os::unix::fs::chown(&location.path, Some(12345), Some(12345));
        symlink("precious", location.folder.path().join("users.toml.lock")).unwrap();
        location.edit(|editor| editor.set("anna", &Setting::Enabled(false))).unwrap();
        assert_eq!(fs::metadata(&precious).unwrap().uid(), owner);
        assert_eq!(fs::read_to_string(&precious).unwrap(), "x");
    }

    #[test]
    fn row_45_a_file_open_to_others_is_rejected_with_the_command_that_closes_it() {
        let location = location(Some(HAND_WRITTEN));
        for mode in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&location.path, fs::Permissions::from_mode(mode)).unwrap();
            let error = UserFile::read(&location.path).unwrap_err().to_string();
            assert!(error.contains(&format!("mode {mode:04o}")), "{error}");
            assert!(error.contains(&format!("chmod 600 '{}'", location.path.display())), "{error}");
            assert!(location.edit(|_| Ok(())).is_err());
        }
    }

    #[test]
    fn a_link_stays_a_link() {
        let location = location(Some(HAND_WRITTEN));
        let link = location.folder.path().join("link.toml");
        symlink("users.toml", &link).unwrap();
        UserFile::edit(&link, |editor| editor.set("anna", &Setting::Enabled(false))).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(location.text().contains("enabled = false"));
    }

    #[test]
    fn a_change_that_changes_nothing_writes_nothing() {
        let location = location(Some(HAND_WRITTEN));
        let before = fs::metadata(&location.path).unwrap().ino();
        location.edit(|_| Ok(())).unwrap();
        assert_eq!(fs::metadata(&location.path).unwrap().ino(), before);
    }

    #[test]
    fn a_path_that_is_not_text_is_rejected() {
        let location = location(Some(HAND_WRITTEN));
        let bytes = std::ffi::OsString::from_vec(vec![b'/', 0xff]);
        let setting = Setting::Home(bytes.into());
        let error = location.edit(|editor| editor.set("anna", &setting)).unwrap_err();
        assert!(matches!(error, EditError::NotText("home")));
        let setting = Setting::Path(path("/").join(&[0xff]).unwrap(), Permissions::ALL);
        let error = location.edit(|editor| editor.set("anna", &setting)).unwrap_err();
        assert!(matches!(error, EditError::NotText("paths")));
    }
}

#[test]
fn a_password_takes_the_place_of_none_and_the_reverse() {
    let location =
        location(Some("[users.cam]\nhome = \"/cam\"\nallowed_addresses = [\"10.0.0.1\"]\n"));
    location.edit(|editor| editor.set("cam", &Setting::NoPassword(true))).unwrap();
    assert!(location.text().contains("no_password = true"));
    let hash = StoredHash::from(OLD_HASH.to_owned());
    location.edit(|editor| editor.set("cam", &Setting::Password(hash.clone()))).unwrap();
    assert!(!location.text().contains("no_password") && location.text().contains(OLD_HASH));
    location.edit(|editor| editor.set("cam", &Setting::NoPassword(true))).unwrap();
    assert!(location.text().contains("no_password = true") && !location.text().contains(OLD_HASH));
    let alone = location.edit(|editor| editor.clear("cam", "allowed_addresses").map(drop));
    assert!(matches!(alone, Err(EditError::Unusable(_))), "{alone:?}");
}
