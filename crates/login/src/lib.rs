//! Logins whose passwords somebody else proves: the system (PAM), a directory (LDAP), a web
//! service (HTTP).
//!
//! To follow a login, read [`logins`] (who is asked, in which order, and what becomes of the
//! answers), then [`source`] (what is asked) and one of the sources. [`gate`] bounds how many are
//! asked at once and for how long, [`outage`] tells once of one that is down, and [`template`]
//! makes homes for accounts that no store has.
//!
//! Each source is a feature of this crate: `pam`, `ldap`, `http`. Without it, it cannot be opened.

pub mod endpoint;
pub mod gate;
pub mod http;
pub mod ldap;
pub mod logins;
pub mod outage;
pub mod pam;
pub mod source;
pub mod template;
#[cfg(feature = "tls")]
mod tls;
