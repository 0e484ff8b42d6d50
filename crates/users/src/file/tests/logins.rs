//! Logging in while the file changes.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use wharf_core::account::Account;
use wharf_core::users::{Attempt, Denied, Users};

use super::super::disk::{self, LockWait};
use super::super::{EditError, FileUsers, Setting, StoredHash, UserFile, UsersFileError};
use super::{OLD_HASH, OLD_SECRET, write};
use crate::hasher::Hasher;
use crate::hours::Expiry;
use crate::password::{Verified, hash_new, verify};

struct LoginFixture {
    folder: TempDir,
    path: PathBuf,
    hasher: Arc<Hasher>,
    users: FileUsers,
}

/// A file with `anna` (a new hash of `secret`), `bert` (disabled) and `carl` (an old hash).
fn test_users() -> LoginFixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.toml");
    let hash = StoredHash::from(hash_new(b"secret").unwrap());
    let old = StoredHash::from(OLD_HASH.to_owned());
    UserFile::edit(&path, |editor| {
        for (name, hash) in [("anna", &hash), ("bert", &hash), ("carl", &old)] {
            editor.add(name, &[Setting::Password(hash.clone()), Setting::Home(name.into())])?;
        }
        editor.set("bert", &Setting::Enabled(false))
    })
    .unwrap();
    let hasher = Arc::new(Hasher::new(NonZeroUsize::MIN));
    let users = FileUsers::open(&path, Arc::clone(&hasher)).unwrap();
    LoginFixture { folder, path, hasher, users }
}

impl LoginFixture {
    async fn login(&self, user: &str, secret: &[u8]) -> Result<Account, Denied> {
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.users.login(&Attempt { user, secret, peer, is_tls: false }).await
    }

    fn edit(&self, name: &str, setting: &Setting) {
        UserFile::edit(&self.path, |editor| editor.set(name, setting)).unwrap();
    }

    fn replace(&self, text: &str) {
        disk::replace(&self.path, text).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    async fn ended(&self) -> Vec<String> {
        self.users.refresh().await.unwrap().ended.into_iter().collect()
    }
}

/// Partial uploads belong to an account, not to a later one of its name.
#[tokio::test]
async fn an_account_that_is_added_again_is_another_instance() {
    let all = test_users();
    let first = all.login("anna", b"secret").await.unwrap().instance;
    assert!(first.is_some() && all.login("anna", b"secret").await.unwrap().instance == first);
    UserFile::edit(&all.path, |editor| editor.remove("anna")).unwrap();
    let hash = StoredHash::from(hash_new(b"secret").unwrap());
    UserFile::edit(&all.path, |editor| {
        editor.add("anna", &[Setting::Password(hash), Setting::Home("anna".into())])
    })
    .unwrap();
    let second = all.login("anna", b"secret").await.unwrap().instance;
    assert!(second.is_some() && second != first);
}

#[tokio::test]
async fn row_19_without_a_password_an_account_is_open_to_its_addresses_alone() {
    let test_users = test_users();
    let near = "[\"127.0.0.0/8\"]";
    let open = |addresses: &str| {
        format!(
            "[users.cam]\nno_password = true\nhome = \"/cam\"\nallowed_addresses = {addresses}\n"
        )
    };
    test_users.replace(&open(near));
    for secret in [b"".as_slice(), b"x"] {
        assert_eq!(test_users.login("cam", secret).await.unwrap().name, "cam");
    }
    assert_eq!(test_users.hasher.verifications(), 0);
    test_users.replace(&open("[\"192.0.2.7\"]"));
    let denied = test_users.login("cam", b"").await;
    assert!(matches!(denied, Err(Denied::ByRule(_))), "{denied:?}");
    assert_eq!(
        test_users.hasher.verifications(),
        1,
        "elsewhere it costs what a wrong password costs"
    );
    test_users.replace(&open(&format!("{near}\nenabled = false")));
    assert!(matches!(test_users.login("cam", b"").await, Err(Denied::Disabled)));
}

#[tokio::test]
async fn row_19_an_empty_or_missing_hash_accepts_no_empty_password() {
    let test_users = test_users();
    for password_lines in ["", "password = \"\"\n", "password = \"!\"\n", "no_password = false\n"] {
        test_users.replace(&format!(
            "[users.eva]\n{password_lines}home = \"/eva\"\nallowed_addresses = [\"127.0.0.1\"]\n"
        ));
        let denied = test_users.login("eva", b"").await;
        assert!(matches!(denied, Err(Denied::NoPassword)), "{password_lines}: {denied:?}");
    }
    assert!(test_users.hasher.verifications() == 4);
}

#[tokio::test]
async fn row_18_every_denial_costs_one_verification() {
    let test_users = test_users();
    test_users.edit("carl", &Setting::Password(StoredHash::from("!".to_owned())));
    for (name, secret, denied) in [
        ("nobody", "secret", Denied::UnknownUser),
        ("anna", "wrong", Denied::WrongPassword),
        ("anna", "", Denied::WrongPassword),
        ("bert", "secret", Denied::Disabled),
        ("bert", "wrong", Denied::Disabled),
        ("carl", "!", Denied::NoPassword),
    ] {
        let before = test_users.hasher.verifications();
        let found = test_users.login(name, secret.as_bytes()).await.unwrap_err();
        assert_eq!(found.to_string(), denied.to_string(), "{name} {secret}");
        assert_eq!(test_users.hasher.verifications(), before + 1, "{name} {secret}");
    }
    assert!(test_users.login("anna", b"secret").await.is_ok());
}

#[tokio::test]
async fn a_relative_home_lies_below_the_files_folder() {
    let test_users = test_users();
    let account = test_users.login("anna", b"secret").await.unwrap();
    assert_eq!(account.home, test_users.folder.path().join("anna"));
}

#[tokio::test]
async fn an_account_that_must_use_tls_is_rejected_without() {
    let test_users = test_users();
    test_users.edit("anna", &Setting::RequireTls(true));
    let denied = test_users.login("anna", b"secret").await.unwrap_err();
    assert!(matches!(denied, Denied::ByRule(_)), "{denied}");
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let attempt = Attempt { user: "anna", secret: b"secret", peer, is_tls: true };
    assert!(test_users.users.login(&attempt).await.unwrap().requires_tls);
}

#[tokio::test]
async fn row_44_a_change_takes_effect_at_the_next_login() {
    let test_users = test_users();
    let hash = StoredHash::from(hash_new(b"new").unwrap());
    test_users.edit("anna", &Setting::Password(hash));
    assert!(matches!(test_users.login("anna", b"secret").await, Err(Denied::WrongPassword)));
    assert!(test_users.login("anna", b"new").await.is_ok());
    UserFile::edit(&test_users.path, |editor| editor.remove("anna")).unwrap();
    assert!(matches!(test_users.login("anna", b"new").await, Err(Denied::UnknownUser)));
    test_users.edit("bert", &Setting::Enabled(true));
    assert!(test_users.login("bert", b"secret").await.is_ok());
}

#[tokio::test]
async fn an_account_disabled_while_its_login_waits_does_not_get_in() {
    let test_users = test_users();
    let permit = test_users.hasher.try_permit().unwrap();
    let login = test_users.login("anna", b"secret");
    let disable = async {
        // The login checks the file, then waits for the permit that is held here.
        while test_users.hasher.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        test_users.edit("anna", &Setting::Enabled(false));
        assert_eq!(test_users.ended().await, ["anna"]);
        drop(permit);
    };
    let (denied, ()) = tokio::join!(login, disable);
    assert!(matches!(denied, Err(Denied::Disabled)), "{denied:?}");
}

#[tokio::test]
async fn a_disabled_and_a_removed_account_end_once() {
    let test_users = test_users();
    assert_eq!(test_users.ended().await, [""; 0]);
    test_users.edit("anna", &Setting::Enabled(false));
    // A login checks the file first; the change is still reported.
    assert!(matches!(test_users.login("anna", b"secret").await, Err(Denied::Disabled)));
    let changes = test_users.users.refresh().await.unwrap();
    assert!(changes.is_reread);
    assert_eq!(changes.ended, BTreeSet::from(["anna".to_owned()]));
    UserFile::edit(&test_users.path, |editor| {
        editor.remove("anna")?;
        editor.remove("carl")
    })
    .unwrap();
    assert_eq!(test_users.ended().await, ["carl"]);
    assert_eq!(test_users.users.refresh().await.unwrap(), super::super::Changes::default());
}

#[tokio::test]
async fn an_expired_account_is_distinguished_from_a_disabled_one() {
    let test_users = test_users();
    test_users.edit("anna", &Setting::Expires(Expiry::parse("2020-01-31").unwrap()));
    let before = test_users.hasher.verifications();
    let denied = test_users.login("anna", b"secret").await.unwrap_err();
    assert_eq!(denied.to_string(), "the account expired: expires = 2020-01-31");
    let wrong = test_users.login("anna", b"wrong").await.unwrap_err();
    assert!(matches!(wrong, Denied::WrongPassword), "{wrong}");
    assert_eq!(test_users.hasher.verifications(), before + 2);
    let changes = test_users.users.refresh().await.unwrap();
    assert_eq!(changes.over, BTreeSet::from(["anna".to_owned()]));
    assert_eq!(changes.ended, BTreeSet::new());
    assert_eq!(test_users.users.refresh().await.unwrap(), super::super::Changes::default());
}

#[cfg(unix)]
#[tokio::test]
async fn row_44_a_file_that_is_truncated_before_it_is_written_ends_no_session() {
    let test_users = test_users();
    let text = test_users.text();
    write(&test_users.path, "");
    assert_eq!(test_users.ended().await, [""; 0]);
    write(&test_users.path, &text);
    assert_eq!(test_users.ended().await, [""; 0]);
    // If it stays so, it is intended; a disabled account ends at once.
    write(&test_users.path, &text.replace("home = \"anna\"", "home = \"anna\"\nenabled = false"));
    assert_eq!(test_users.ended().await, ["anna"]);
    write(&test_users.path, "");
    assert_eq!(test_users.ended().await, [""; 0]);
    assert_eq!(test_users.ended().await, ["carl"]);
    assert_eq!(test_users.ended().await, [""; 0]);
}

#[tokio::test]
async fn row_44_an_invalid_file_keeps_the_accounts_and_is_reported_once() {
    let test_users = test_users();
    test_users.replace("[users.anna]\nhoem = 1\n");
    assert!(test_users.login("anna", b"secret").await.is_ok());
    let error = test_users.users.refresh().await.unwrap_err();
    assert!(matches!(error, UsersFileError::Problems(_)), "{error}");
    assert_eq!(test_users.ended().await, [""; 0]);
    assert!(test_users.users.take_problem().is_none());
    fs::remove_file(&test_users.path).unwrap();
    assert!(test_users.login("anna", b"secret").await.is_ok());
    let problem = test_users.users.take_problem().unwrap();
    assert!(matches!(problem, EditError::Open(UsersFileError::Missing { .. })), "{problem}");
    assert_eq!(test_users.ended().await, [""; 0]);
    test_users.replace("[users.carl]\nhome = 'c'\n");
    assert_eq!(test_users.ended().await, ["anna"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_accessible_to_others_is_reported_and_used_again_when_fixed() {
    use std::os::unix::fs::PermissionsExt;
    let test_users = test_users();
    let mode =
        |mode| fs::set_permissions(&test_users.path, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    assert!(matches!(
        test_users.users.refresh().await,
        Err(UsersFileError::TooOpen { mode: 0o644, .. })
    ));
    assert!(test_users.login("anna", b"secret").await.is_ok());
    mode(0o600);
    assert!(test_users.users.refresh().await.unwrap().is_reread);
}

#[test]
fn a_file_that_cannot_be_used_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.toml");
    let open = || FileUsers::open(&path, Arc::default()).unwrap_err();
    assert!(matches!(open(), UsersFileError::Missing { .. }));
    write(&path, "[users.anna]\n");
    assert!(matches!(open(), UsersFileError::Problems(_)));
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(super::super::FILE_BYTES_MAX + 1).unwrap();
    assert!(matches!(open(), UsersFileError::TooLarge { .. }));
    fs::write(&path, b"# \xff").unwrap();
    assert!(matches!(open(), UsersFileError::NotText { .. }));
}

fn stored(path: &Path, name: &str) -> String {
    let file = UserFile::read(path).unwrap();
    file.record(name).unwrap().password.as_ref().unwrap().as_str().to_owned()
}

#[tokio::test]
async fn row_20_an_old_hash_is_renewed_by_the_right_password_alone() {
    let test_users = test_users();
    assert!(test_users.login("carl", b"wrong").await.is_err());
    test_users.hasher.idle().await;
    assert_eq!(stored(&test_users.path, "carl"), OLD_HASH);
    let anna = stored(&test_users.path, "anna");
    assert!(test_users.login("anna", b"secret").await.is_ok());
    assert!(test_users.login("carl", OLD_SECRET).await.is_ok());
    test_users.hasher.idle().await;
    assert_eq!(verify(&stored(&test_users.path, "carl"), OLD_SECRET), Verified::Right);
    assert_eq!(stored(&test_users.path, "anna"), anna);
    assert!(test_users.login("carl", OLD_SECRET).await.is_ok());
    assert!(test_users.users.take_problem().is_none());
    assert_eq!(test_users.ended().await, [""; 0]);
}

#[tokio::test]
async fn a_login_never_waits_for_or_fails_with_the_renewal() {
    let test_users = test_users();
    let held =
        disk::lock(&disk::resolve_symlink(&test_users.path), LockWait::None).unwrap().unwrap();
    assert!(test_users.login("carl", OLD_SECRET).await.is_ok());
    test_users.hasher.idle().await;
    assert_eq!(stored(&test_users.path, "carl"), OLD_HASH);
    assert!(
        test_users.users.take_problem().is_none(),
        "a change by another process is not a problem"
    );
    drop(held);
    // A lock that cannot be created is an error, reported once and not retried.
    let lock = test_users.folder.path().join("users.toml.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    for permit in 0..2 {
        assert!(test_users.login("carl", OLD_SECRET).await.is_ok());
        test_users.hasher.idle().await;
        let problem = test_users.users.take_problem();
        assert_eq!(problem.is_some(), permit == 0, "{problem:?}");
    }
    assert_eq!(stored(&test_users.path, "carl"), OLD_HASH);
}

#[tokio::test]
async fn a_renewal_does_not_undo_a_new_password() {
    let test_users = test_users();
    let new = StoredHash::from(hash_new(b"new").unwrap());
    test_users.edit("carl", &Setting::Password(new.clone()));
    let permit = test_users.hasher.try_permit().unwrap();
    let old = StoredHash::from(OLD_HASH.to_owned());
    test_users.users.inner.renew("carl", Some(&old), OLD_SECRET, &permit);
    assert_eq!(stored(&test_users.path, "carl"), new.as_str());
}

/// With the only blocking thread in use, whatever needs one waits.
#[cfg(target_os = "linux")]
#[test]
fn a_login_with_a_cheap_hash_needs_no_thread_unless_the_file_has_changed() {
    use std::pin::pin;
    use std::task::{Context, Waker};

    let test_users = test_users();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.max_blocking_threads(1).build().unwrap();
    let _inside = runtime.enter();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let busy = runtime.spawn_blocking(move || released.recv());
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(test_users.login("carl", OLD_SECRET)).poll(&mut context).is_ready());
    // An expensive hash, a wrong password, and an unknown name.
    for (name, secret) in [("anna", &b"secret"[..]), ("carl", b"x"), ("dora", OLD_SECRET)] {
        assert!(pin!(test_users.login(name, secret)).poll(&mut context).is_pending(), "{name}");
    }
    let text = fs::read_to_string(&test_users.path).unwrap();
    fs::write(&test_users.path, text.replace("[users.carl]", "[users.gone]")).unwrap();
    let mut login = pin!(test_users.login("carl", OLD_SECRET));
    assert!(login.as_mut().poll(&mut context).is_pending());
    drop(release);
    let _ = runtime.block_on(busy);
    assert!(matches!(runtime.block_on(login), Err(Denied::UnknownUser)));
}
