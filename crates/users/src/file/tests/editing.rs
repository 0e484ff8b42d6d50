//! Changing the file.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use wharf_core::account::{Count, Rate};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;

use super::super::disk::{self, Patience};
use super::super::edit::edit;
use super::super::{EditError, Editor, OpenError, Setting, StoredHash, UserFile};
use super::{OLD_HASH, write};
use crate::name::NameProblem;

struct Place {
    folder: TempDir,
    path: PathBuf,
}

fn place(text: Option<&str>) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.toml");
    if let Some(text) = text {
        write(&path, text);
    }
    Place { folder, path }
}

impl Place {
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
    let place = place(None);
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
    place.edit(|editor| editor.add("anna", &settings)).unwrap();
    place.edit(|editor| editor.add("王 b.c", &[home("b")])).unwrap();
    let file = UserFile::read(&place.path).unwrap();
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
    let text = place.text();
    assert!(text.starts_with("# Accounts of wharf."), "{text}");
    assert!(text.contains("upload_rate = \"2MiB/s\"\n"), "{text}");
    assert!(text.ends_with("\n\n[users.\"王 b.c\"]\nhome = \"b\"\n"), "{text}");
}

#[test]
fn comments_order_and_spelling_stay() {
    let place = place(Some(HAND_WRITTEN));
    let full = Permissions::parse("full").unwrap();
    place
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
    assert_eq!(place.text(), format!("{expected}\n[users.eva]\nhome = \"eva\"\n"));
}

#[test]
fn removing_takes_the_comment_right_above_and_no_more() {
    let place = place(Some(HAND_WRITTEN));
    place.edit(|editor| editor.remove("anna")).unwrap();
    let text = place.text();
    assert!(text.starts_with("# Our accounts.\n"), "{text}");
    assert!(!text.contains("Anna") && text.contains("# Bert's paths"), "{text}");
    place.edit(|editor| editor.remove("bert")).unwrap();
    assert!(place.text().contains("# the end"), "{}", place.text());
    assert!(UserFile::read(&place.path).unwrap().records().is_empty());
}

#[test]
fn the_last_account_leaves_the_heading_behind() {
    let place = place(Some("# Heading.\n\n[users.anna]\nhome = '/a'\n"));
    place.edit(|editor| editor.remove("anna")).unwrap();
    assert_eq!(place.text().trim(), "# Heading.");
}

#[test]
fn keys_and_paths_can_be_cleared() {
    let place = place(Some(HAND_WRITTEN));
    place
        .edit(|editor| {
            assert!(editor.clear("anna", "permissions")?);
            assert!(!editor.clear("anna", "permissions")?);
            assert!(editor.clear_entry("bert", "paths", &path("/in"))?);
            assert!(!editor.clear_entry("bert", "paths", &path("/in"))?);
            assert!(!editor.clear_entry("anna", "paths", &path("/in"))?);
            Ok(())
        })
        .unwrap();
    let file = UserFile::read(&place.path).unwrap();
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
        let place = place(Some(text));
        place
            .edit(|editor| {
                editor.set("anna", &Setting::Path(path("/x"), Permissions::ALL))?;
                editor.set("anna", &Setting::RequireTls(true))?;
                editor.add("bert", &[home("b"), Setting::Path(path("/y"), Permissions::NONE)])
            })
            .unwrap();
        let file = UserFile::read(&place.path).unwrap();
        assert_eq!(file.record("anna").unwrap().paths, [(path("/x"), Permissions::ALL)], "{text}");
        assert_eq!(file.record("bert").unwrap().paths.len(), 1, "{text}");
        place.edit(|editor| editor.remove("anna")).unwrap();
        assert_eq!(UserFile::read(&place.path).unwrap().records().len(), 1, "{text}");
    }
}

#[test]
fn what_cannot_be_done_leaves_the_file_alone() {
    let place = place(Some(HAND_WRITTEN));
    let refused = |change: fn(&mut Editor) -> Result<(), EditError>| {
        let error = place.edit(change).unwrap_err();
        assert_eq!(place.text(), HAND_WRITTEN);
        error
    };
    let error = refused(|editor| editor.set("eva", &Setting::Enabled(true)));
    assert!(matches!(error, EditError::NoSuchUser(name) if name == "eva"));
    assert!(matches!(refused(|editor| editor.remove("x")), EditError::NoSuchUser(_)));
    let error = refused(|editor| editor.add("anna", &[home("a")]));
    assert!(matches!(error, EditError::UserExists(_)));
    let error = refused(|editor| editor.add("../x", &[home("a")]));
    assert!(matches!(error, EditError::BadName(_, NameProblem::Holds('/'))));
    let error = refused(|editor| editor.add("eva", &[]));
    assert!(matches!(&error, EditError::Unusable(_)), "{error}");
    assert!(error.to_string().contains("users.eva: it has no `home`"), "{error}");
    let plain = Setting::Password(StoredHash::from("hunter2".to_owned()));
    let plain = place.edit(|editor| editor.set("anna", &plain)).unwrap_err();
    assert!(!plain.to_string().contains("hunter2"), "{plain}");
    // The change was made, then something else failed.
    let error = refused(|editor| {
        editor.set("anna", &Setting::Enabled(false))?;
        Err(EditError::NotText("home"))
    });
    assert!(matches!(error, EditError::NotText(_)));
}

#[test]
fn a_broken_file_is_not_changed() {
    let broken = "[users.anna]\nhoem = '/a'\n";
    let place = place(Some(broken));
    let error = place.edit(|editor| editor.add("eva", &[home("a")])).unwrap_err();
    assert!(matches!(error, EditError::Open(OpenError::Problems(_))));
    assert_eq!(place.text(), broken);
}

#[test]
fn someone_else_who_changes_the_file_is_waited_for() {
    let place = place(Some(HAND_WRITTEN));
    let held = disk::lock(&disk::real(&place.path), Patience::None).unwrap().unwrap();
    let change = |editor: &mut Editor| editor.set("anna", &Setting::Enabled(false));
    let error = edit(&place.path, Patience::None, change).unwrap_err();
    assert!(matches!(error, EditError::Locked(_)));
    assert_eq!(place.text(), HAND_WRITTEN);
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| place.edit(change));
        drop(held);
        waiting.join().unwrap().unwrap();
    });
    assert!(place.text().contains("enabled = false"));
}

#[test]
fn many_changes_at_once_are_all_kept() {
    let place = place(None);
    std::thread::scope(|threads| {
        for number in 0..8 {
            let place = &place;
            threads.spawn(move || {
                let name = format!("user{number}");
                place.edit(|editor| editor.add(&name, &[home("a")])).unwrap();
            });
        }
    });
    assert_eq!(UserFile::read(&place.path).unwrap().records().len(), 8);
    let left: Vec<_> = fs::read_dir(place.folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "the file and its lock: {left:?}");
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn only_the_owner_may_read_what_is_made() {
        let place = place(None);
        place.edit(|editor| editor.add("anna", &[home("a")])).unwrap();
        for entry in fs::read_dir(place.folder.path()).unwrap() {
            let about = entry.unwrap().metadata().unwrap();
            assert_eq!(about.permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_is_made_belongs_to_whom_the_file_belonged() {
        let place = place(Some(HAND_WRITTEN));
        // Only root can give it away; for everybody else it stays theirs.
        let _ = std::os::unix::fs::chown(&place.path, Some(12345), Some(12345));
        let owner = fs::metadata(&place.path).unwrap().uid();
        place.edit(|editor| editor.set("anna", &Setting::Enabled(false))).unwrap();
        for entry in fs::read_dir(place.folder.path()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().uid(), owner);
        }
    }

    #[test]
    fn a_link_in_place_of_the_lock_gives_nothing_away() {
        let place = place(Some(HAND_WRITTEN));
        let precious = place.folder.path().join("precious");
        write(&precious, "x");
        let owner = fs::metadata(&precious).unwrap().uid();
        let _ = std::os::unix::fs::chown(&place.path, Some(12345), Some(12345));
        symlink("precious", place.folder.path().join("users.toml.lock")).unwrap();
        place.edit(|editor| editor.set("anna", &Setting::Enabled(false))).unwrap();
        assert_eq!(fs::metadata(&precious).unwrap().uid(), owner);
        assert_eq!(fs::read_to_string(&precious).unwrap(), "x");
    }

    #[test]
    fn row_45_a_file_open_to_others_is_refused_with_the_command_that_closes_it() {
        let place = place(Some(HAND_WRITTEN));
        for mode in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&place.path, fs::Permissions::from_mode(mode)).unwrap();
            let error = UserFile::read(&place.path).unwrap_err().to_string();
            assert!(error.contains(&format!("mode {mode:04o}")), "{error}");
            assert!(error.contains(&format!("chmod 600 '{}'", place.path.display())), "{error}");
            assert!(place.edit(|_| Ok(())).is_err());
        }
    }

    #[test]
    fn a_link_stays_a_link() {
        let place = place(Some(HAND_WRITTEN));
        let link = place.folder.path().join("link.toml");
        symlink("users.toml", &link).unwrap();
        UserFile::edit(&link, |editor| editor.set("anna", &Setting::Enabled(false))).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(place.text().contains("enabled = false"));
    }

    #[test]
    fn a_change_that_changes_nothing_writes_nothing() {
        let place = place(Some(HAND_WRITTEN));
        let before = fs::metadata(&place.path).unwrap().ino();
        place.edit(|_| Ok(())).unwrap();
        assert_eq!(fs::metadata(&place.path).unwrap().ino(), before);
    }

    #[test]
    fn a_path_that_is_no_text_is_refused() {
        let place = place(Some(HAND_WRITTEN));
        let bytes = std::ffi::OsString::from_vec(vec![b'/', 0xff]);
        let setting = Setting::Home(bytes.into());
        let error = place.edit(|editor| editor.set("anna", &setting)).unwrap_err();
        assert!(matches!(error, EditError::NotText("home")));
        let setting = Setting::Path(path("/").join(&[0xff]).unwrap(), Permissions::ALL);
        let error = place.edit(|editor| editor.set("anna", &setting)).unwrap_err();
        assert!(matches!(error, EditError::NotText("paths")));
    }
}

#[test]
fn a_password_takes_the_place_of_none_and_the_other_way_round() {
    let place = place(Some("[users.cam]\nhome = \"/cam\"\nallowed_addresses = [\"10.0.0.1\"]\n"));
    place.edit(|editor| editor.set("cam", &Setting::NoPassword(true))).unwrap();
    assert!(place.text().contains("no_password = true"));
    let hash = StoredHash::from(OLD_HASH.to_owned());
    place.edit(|editor| editor.set("cam", &Setting::Password(hash.clone()))).unwrap();
    assert!(!place.text().contains("no_password") && place.text().contains(OLD_HASH));
    place.edit(|editor| editor.set("cam", &Setting::NoPassword(true))).unwrap();
    assert!(place.text().contains("no_password = true") && !place.text().contains(OLD_HASH));
    let alone = place.edit(|editor| editor.clear("cam", "allowed_addresses").map(drop));
    assert!(matches!(alone, Err(EditError::Unusable(_))), "{alone:?}");
}
