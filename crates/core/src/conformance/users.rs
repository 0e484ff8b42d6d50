//! Conformance tests of [`Users`].

#![expect(clippy::panic, reason = "a suite of tests reports by panicking what failed")]

use std::net::{IpAddr, Ipv4Addr};

use crate::account::Account;
use crate::users::{Attempt, Denied, Users};

/// The name of the only account.
pub const NAME: &str = "anna";
/// The password of [`NAME`].
pub const SECRET: &[u8] = "sécret \u{1f511}".as_bytes();

/// Tests a store with the account [`NAME`] and the password [`SECRET`], and no other account except
/// for an anonymous one.
///
/// # Panics
/// With the violated requirement.
pub async fn users(users: &dyn Users) {
    let account = login(users, NAME, SECRET).await;
    let account = account.unwrap_or_else(|denied| panic!("the right password: {denied}"));
    assert_eq!(account.name, NAME);
    assert!(!account.is_anonymous && !users.is_anonymous(NAME), "an account with a password");
    let again = login(users, NAME, SECRET).await;
    assert!(again.is_ok_and(|again| again == account), "twice the same");
    let behind = SECRET.get(1..).unwrap_or_default();
    for wrong in [b"".as_slice(), b"secret", behind, &[SECRET, b"\0"].concat(), &[0xff; 1024]] {
        let denied = login(users, NAME, wrong).await;
        assert!(matches!(denied, Err(Denied::WrongPassword)), "a wrong password: {denied:?}");
    }
    unknown_users(users).await;
}

/// Tests that unknown names are denied, whatever the password. Also for stores without accounts.
///
/// # Panics
/// With the violated requirement.
pub async fn unknown_users(users: &dyn Users) {
    for name in ["bert", "Anna", "anna ", "ann", "annaa", "", "users.anna", "../anna", "*", "王"] {
        for secret in [SECRET, b""] {
            let denied = login(users, name, secret).await;
            assert!(matches!(denied, Err(Denied::UnknownUser)), "{name}: {denied:?}");
            assert!(!users.is_anonymous(name), "{name}");
        }
    }
}

async fn login(users: &dyn Users, user: &str, secret: &[u8]) -> Result<Account, Denied> {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    users.login(&Attempt { user, secret, peer, is_tls: true }).await
}
