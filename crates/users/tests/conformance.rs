//! What every store of accounts must do, tested with each store.
#![expect(clippy::unwrap_used, reason = "a test may fall")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use wharf_core::account::Account;
use wharf_core::conformance;
use wharf_core::conformance::users::{NAME, SECRET, unknown_users};
use wharf_core::permission::{Permissions, Rules};
use wharf_core::users::{Attempt, Denied, Users};
use wharf_users::anonymous::WithAnonymous;
use wharf_users::file::{FileUsers, Setting, StoredHash, UserFile};
use wharf_users::hasher::Hasher;
use wharf_users::password::hash_new;
use wharf_users::single::{NoUsers, Single};

async fn login(users: &dyn Users, user: &str, secret: &[u8]) -> Result<Account, Denied> {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    users.login(&Attempt { user, secret, peer, is_tls: true }).await
}

fn single() -> Single {
    let rules = Rules::everywhere(Permissions::READ_ONLY);
    Single::new(Account::new(NAME, std::env::temp_dir(), rules), SECRET)
}

fn file(folder: &Path) -> FileUsers {
    let path = folder.join("users.toml");
    let hash = StoredHash::from(hash_new(SECRET).unwrap());
    let settings = [Setting::Password(hash), Setting::Home("anna".into())];
    UserFile::edit(&path, |editor| editor.add(NAME, &settings)).unwrap();
    FileUsers::open(path, Arc::default()).unwrap()
}

#[tokio::test]
async fn an_account_in_memory_conforms() {
    conformance::users(&single()).await;
}

#[tokio::test]
async fn accounts_in_a_file_conform() {
    let folder = tempfile::tempdir().unwrap();
    conformance::users(&file(folder.path())).await;
}

#[tokio::test]
async fn accounts_beside_anonymous_conform() {
    let inner: Arc<dyn Users> = Arc::new(single());
    conformance::users(&WithAnonymous::new(inner, "/srv/pub", Permissions::READ_ONLY)).await;
}

#[tokio::test]
async fn no_users_has_no_account() {
    unknown_users(&NoUsers).await;
    assert!(matches!(login(&NoUsers, NAME, SECRET).await, Err(Denied::UnknownUser)));
}

#[tokio::test]
async fn anonymous_and_ftp_need_no_password() {
    let users = WithAnonymous::new(Arc::new(NoUsers), "/srv/pub", Permissions::READ_ONLY);
    for name in ["anonymous", "ftp", "FTP", "Anonymous"] {
        for secret in [b"".as_slice(), b"me@example.com", &[0xff; 1024]] {
            let account = login(&users, name, secret).await.unwrap();
            assert!(account.is_anonymous && users.is_anonymous(name));
            assert_eq!(account.name, "anonymous");
            assert_eq!(account.home, Path::new("/srv/pub"));
            assert_eq!(account.rules, Rules::everywhere(Permissions::READ_ONLY));
        }
    }
    assert!(!users.is_anonymous("ftp2"));
    assert!(!single().is_anonymous("anonymous"));
    assert!(matches!(login(&single(), "anonymous", b"").await, Err(Denied::UnknownUser)));
}

#[tokio::test]
async fn an_empty_password_in_memory_opens_nothing() {
    let account = Account::new(NAME, std::env::temp_dir(), Rules::default());
    let users = Single::new(account, b"");
    for secret in [b"".as_slice(), SECRET] {
        assert!(matches!(login(&users, NAME, secret).await, Err(Denied::NoPassword)));
    }
}

#[tokio::test]
async fn one_hasher_serves_several_stores() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hasher = Arc::new(Hasher::default());
    for folder in [&one, &other] {
        file(folder.path());
        let users = FileUsers::open(folder.path().join("users.toml"), Arc::clone(&hasher));
        assert!(login(&users.unwrap(), NAME, SECRET).await.is_ok());
    }
    assert_eq!(hasher.verifications(), 2);
}
