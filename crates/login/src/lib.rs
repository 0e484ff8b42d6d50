//! External authentication: the system (PAM), a directory (LDAP), a web service (HTTP).
//!
//! To follow a login, read [`logins`] (the order of backends, and the handling of their results),
//! then [`source`] (the backend interface) and one of the backends. [`limit`] bounds the number of
//! concurrent logins and their time, [`outage`] reports unavailable backends, and [`template`]
//! defines homes of accounts that are in no store.
//!
//! Each backend is a feature of this crate: `pam`, `ldap`, `http`. Without its feature a backend
//! cannot be opened.

pub mod endpoint;
pub mod http;
pub mod ldap;
pub mod limit;
pub mod logins;
pub mod outage;
pub mod pam;
pub mod source;
pub mod template;
#[cfg(feature = "tls")]
mod tls;
