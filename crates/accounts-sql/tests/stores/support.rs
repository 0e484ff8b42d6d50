//! What every store of this crate must do.

#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "a database needs no ports for data")]
#[path = "../../../wharf/tests/clients/support/ports.rs"]
mod ports;
#[cfg(target_os = "linux")]
pub(crate) mod server;
pub(crate) mod suite;

#[cfg(target_os = "linux")]
pub(crate) use ports::Ports;

use std::net::{IpAddr, Ipv4Addr};

use wharf_core::users::Attempt;
use wharf_users::admin::UserAdmin;
use wharf_users::file::{Setting, StoredHash};
use wharf_users::password::hash_new;

/// A login attempt.
pub(crate) fn attempt<'a>(user: &'a str, secret: &'a str) -> Attempt<'a> {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Attempt { user, secret: secret.as_bytes(), peer, is_tls: false }
}

/// Adds an account with a home and a password.
pub(crate) async fn add(store: &dyn UserAdmin, name: &str, secret: &str) {
    let hash = StoredHash::from(hash_new(secret.as_bytes()).unwrap());
    let settings = vec![Setting::Password(hash), Setting::Home(format!("/srv/{name}").into())];
    store.add(name, settings).await.unwrap();
}
