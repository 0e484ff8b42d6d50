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

use super::super::disk::{self, Patience};
use super::super::{EditError, FileUsers, OpenError, Setting, StoredHash, UserFile};
use super::{OLD_HASH, OLD_SECRET, write};
use crate::hasher::Hasher;
use crate::hours::Expiry;
use crate::password::{Verified, hash_new, verify};

struct House {
    folder: TempDir,
    path: PathBuf,
    hasher: Arc<Hasher>,
    users: FileUsers,
}

/// A file with `anna` (a hash of ours of `secret`), `bert` (disabled) and `carl` (an old hash).
fn house() -> House {
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
    House { folder, path, hasher, users }
}

impl House {
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

#[tokio::test]
async fn row_19_without_a_password_an_account_is_open_to_its_addresses_alone() {
    let house = house();
    let near = "[\"127.0.0.0/8\"]";
    let open = |addresses: &str| {
        format!(
            "[users.cam]\nno_password = true\nhome = \"/cam\"\nallowed_addresses = {addresses}\n"
        )
    };
    house.replace(&open(near));
    for secret in [b"".as_slice(), b"x"] {
        assert_eq!(house.login("cam", secret).await.unwrap().name, "cam");
    }
    assert_eq!(house.hasher.verifications(), 0);
    house.replace(&open("[\"192.0.2.7\"]"));
    let denied = house.login("cam", b"").await;
    assert!(matches!(denied, Err(Denied::Refused(_))), "{denied:?}");
    assert_eq!(house.hasher.verifications(), 1, "elsewhere it costs what a wrong password costs");
    house.replace(&open(&format!("{near}\nenabled = false")));
    assert!(matches!(house.login("cam", b"").await, Err(Denied::Disabled)));
}

#[tokio::test]
async fn row_19_an_empty_hash_or_none_opens_nothing_to_an_empty_password() {
    let house = house();
    for said in ["", "password = \"\"\n", "password = \"!\"\n", "no_password = false\n"] {
        house.replace(&format!(
            "[users.eva]\n{said}home = \"/eva\"\nallowed_addresses = [\"127.0.0.1\"]\n"
        ));
        let denied = house.login("eva", b"").await;
        assert!(matches!(denied, Err(Denied::NoPassword)), "{said}: {denied:?}");
    }
    assert!(house.hasher.verifications() == 4);
}

#[tokio::test]
async fn row_18_every_denial_costs_one_verification() {
    let house = house();
    house.edit("carl", &Setting::Password(StoredHash::from("!".to_owned())));
    for (name, secret, denied) in [
        ("nobody", "secret", Denied::UnknownUser),
        ("anna", "wrong", Denied::WrongPassword),
        ("anna", "", Denied::WrongPassword),
        ("bert", "secret", Denied::Disabled),
        ("bert", "wrong", Denied::Disabled),
        ("carl", "!", Denied::NoPassword),
    ] {
        let before = house.hasher.verifications();
        let found = house.login(name, secret.as_bytes()).await.unwrap_err();
        assert_eq!(found.to_string(), denied.to_string(), "{name} {secret}");
        assert_eq!(house.hasher.verifications(), before + 1, "{name} {secret}");
    }
    assert!(house.login("anna", b"secret").await.is_ok());
}

#[tokio::test]
async fn a_relative_home_lies_below_the_files_folder() {
    let house = house();
    let account = house.login("anna", b"secret").await.unwrap();
    assert_eq!(account.home, house.folder.path().join("anna"));
}

#[tokio::test]
async fn an_account_that_must_use_tls_is_refused_without() {
    let house = house();
    house.edit("anna", &Setting::RequireTls(true));
    let denied = house.login("anna", b"secret").await.unwrap_err();
    assert!(matches!(denied, Denied::Refused(_)), "{denied}");
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let attempt = Attempt { user: "anna", secret: b"secret", peer, is_tls: true };
    assert!(house.users.login(&attempt).await.unwrap().requires_tls);
}

#[tokio::test]
async fn row_44_a_change_counts_at_the_next_login() {
    let house = house();
    let hash = StoredHash::from(hash_new(b"new").unwrap());
    house.edit("anna", &Setting::Password(hash));
    assert!(matches!(house.login("anna", b"secret").await, Err(Denied::WrongPassword)));
    assert!(house.login("anna", b"new").await.is_ok());
    UserFile::edit(&house.path, |editor| editor.remove("anna")).unwrap();
    assert!(matches!(house.login("anna", b"new").await, Err(Denied::UnknownUser)));
    house.edit("bert", &Setting::Enabled(true));
    assert!(house.login("bert", b"secret").await.is_ok());
}

#[tokio::test]
async fn an_account_disabled_while_its_login_waits_does_not_get_in() {
    let house = house();
    let turn = house.hasher.spare_turn().unwrap();
    let login = house.login("anna", b"secret");
    let disable = async {
        // The login looks at the file, then waits for the turn that is held here.
        while house.hasher.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        house.edit("anna", &Setting::Enabled(false));
        assert_eq!(house.ended().await, ["anna"]);
        drop(turn);
    };
    let (denied, ()) = tokio::join!(login, disable);
    assert!(matches!(denied, Err(Denied::Disabled)), "{denied:?}");
}

#[tokio::test]
async fn a_disabled_and_a_removed_account_end_once() {
    let house = house();
    assert_eq!(house.ended().await, [""; 0]);
    house.edit("anna", &Setting::Enabled(false));
    // A login looks first; the change is still told.
    assert!(matches!(house.login("anna", b"secret").await, Err(Denied::Disabled)));
    let changes = house.users.refresh().await.unwrap();
    assert!(changes.is_reread);
    assert_eq!(changes.ended, BTreeSet::from(["anna".to_owned()]));
    UserFile::edit(&house.path, |editor| {
        editor.remove("anna")?;
        editor.remove("carl")
    })
    .unwrap();
    assert_eq!(house.ended().await, ["carl"]);
    assert_eq!(house.users.refresh().await.unwrap(), super::super::Changes::default());
}

#[tokio::test]
async fn an_account_that_ends_is_told_apart_from_one_that_is_disabled() {
    let house = house();
    house.edit("anna", &Setting::Expires(Expiry::parse("2020-01-31").unwrap()));
    let before = house.hasher.verifications();
    let denied = house.login("anna", b"secret").await.unwrap_err();
    assert_eq!(denied.to_string(), "the account ended: expires = 2020-01-31");
    let wrong = house.login("anna", b"wrong").await.unwrap_err();
    assert!(matches!(wrong, Denied::WrongPassword), "{wrong}");
    assert_eq!(house.hasher.verifications(), before + 2);
    let changes = house.users.refresh().await.unwrap();
    assert_eq!(changes.over, BTreeSet::from(["anna".to_owned()]));
    assert_eq!(changes.ended, BTreeSet::new());
    assert_eq!(house.users.refresh().await.unwrap(), super::super::Changes::default());
}

#[cfg(unix)]
#[tokio::test]
async fn row_44_a_file_that_is_emptied_before_it_is_written_throws_nobody_out() {
    let house = house();
    let text = house.text();
    write(&house.path, "");
    assert_eq!(house.ended().await, [""; 0]);
    write(&house.path, &text);
    assert_eq!(house.ended().await, [""; 0]);
    // If it stays so, it is meant; a disabled account is meant at once.
    write(&house.path, &text.replace("home = \"anna\"", "home = \"anna\"\nenabled = false"));
    assert_eq!(house.ended().await, ["anna"]);
    write(&house.path, "");
    assert_eq!(house.ended().await, [""; 0]);
    assert_eq!(house.ended().await, ["carl"]);
    assert_eq!(house.ended().await, [""; 0]);
}

#[tokio::test]
async fn row_44_a_broken_file_keeps_the_accounts_and_is_told_once() {
    let house = house();
    house.replace("[users.anna]\nhoem = 1\n");
    assert!(house.login("anna", b"secret").await.is_ok());
    let error = house.users.refresh().await.unwrap_err();
    assert!(matches!(error, OpenError::Problems(_)), "{error}");
    assert_eq!(house.ended().await, [""; 0]);
    assert!(house.users.take_problem().is_none());
    fs::remove_file(&house.path).unwrap();
    assert!(house.login("anna", b"secret").await.is_ok());
    let problem = house.users.take_problem().unwrap();
    assert!(matches!(problem, EditError::Open(OpenError::Missing { .. })), "{problem}");
    assert_eq!(house.ended().await, [""; 0]);
    house.replace("[users.carl]\nhome = 'c'\n");
    assert_eq!(house.ended().await, ["anna"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_opened_to_others_is_told_and_counts_again_when_closed() {
    use std::os::unix::fs::PermissionsExt;
    let house = house();
    let mode = |mode| fs::set_permissions(&house.path, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    assert!(matches!(house.users.refresh().await, Err(OpenError::TooOpen { mode: 0o644, .. })));
    assert!(house.login("anna", b"secret").await.is_ok());
    mode(0o600);
    assert!(house.users.refresh().await.unwrap().is_reread);
}

#[test]
fn a_file_that_cannot_be_used_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.toml");
    let open = || FileUsers::open(&path, Arc::default()).unwrap_err();
    assert!(matches!(open(), OpenError::Missing { .. }));
    write(&path, "[users.anna]\n");
    assert!(matches!(open(), OpenError::Problems(_)));
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(super::super::FILE_BYTES_MAX + 1).unwrap();
    assert!(matches!(open(), OpenError::TooLarge { .. }));
    fs::write(&path, b"# \xff").unwrap();
    assert!(matches!(open(), OpenError::NotText { .. }));
}

fn stored(path: &Path, name: &str) -> String {
    let file = UserFile::read(path).unwrap();
    file.record(name).unwrap().password.as_ref().unwrap().as_str().to_owned()
}

#[tokio::test]
async fn row_20_an_old_hash_is_renewed_by_the_right_password_alone() {
    let house = house();
    assert!(house.login("carl", b"wrong").await.is_err());
    house.hasher.idle().await;
    assert_eq!(stored(&house.path, "carl"), OLD_HASH);
    let anna = stored(&house.path, "anna");
    assert!(house.login("anna", b"secret").await.is_ok());
    assert!(house.login("carl", OLD_SECRET).await.is_ok());
    house.hasher.idle().await;
    assert_eq!(verify(&stored(&house.path, "carl"), OLD_SECRET), Verified::Right);
    assert_eq!(stored(&house.path, "anna"), anna);
    assert!(house.login("carl", OLD_SECRET).await.is_ok());
    assert!(house.users.take_problem().is_none());
    assert_eq!(house.ended().await, [""; 0]);
}

#[tokio::test]
async fn a_login_never_waits_for_or_fails_with_the_renewal() {
    let house = house();
    let held = disk::lock(&disk::real(&house.path), Patience::None).unwrap().unwrap();
    assert!(house.login("carl", OLD_SECRET).await.is_ok());
    house.hasher.idle().await;
    assert_eq!(stored(&house.path, "carl"), OLD_HASH);
    assert!(house.users.take_problem().is_none(), "someone else's change is no problem");
    drop(held);
    // A lock that cannot be made is one, told once and not tried again.
    let lock = house.folder.path().join("users.toml.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    for turn in 0..2 {
        assert!(house.login("carl", OLD_SECRET).await.is_ok());
        house.hasher.idle().await;
        let problem = house.users.take_problem();
        assert_eq!(problem.is_some(), turn == 0, "{problem:?}");
    }
    assert_eq!(stored(&house.path, "carl"), OLD_HASH);
}

#[tokio::test]
async fn a_renewal_does_not_undo_a_new_password() {
    let house = house();
    let new = StoredHash::from(hash_new(b"new").unwrap());
    house.edit("carl", &Setting::Password(new.clone()));
    let turn = house.hasher.spare_turn().unwrap();
    let old = StoredHash::from(OLD_HASH.to_owned());
    house.users.inner.renew("carl", Some(&old), OLD_SECRET, &turn);
    assert_eq!(stored(&house.path, "carl"), new.as_str());
}
