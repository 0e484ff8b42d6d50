//! A web service of one's own: asked with a JSON object, answers with a status and an account.
//!
//! `POST` with `{"version": 1, "user": …, "password": …, "address": …, "tls": …}`. Answers:
//! 200 with an account lets in (a JSON object, its members those of a file of accounts), 401 and
//! 403 refuse, 204 says that the name is not known here, and everything else, redirects too, is a
//! service that is broken.

#[cfg(not(feature = "http"))]
mod missing;
#[cfg(feature = "http")]
mod service;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

#[cfg(not(feature = "http"))]
pub use missing::open;
#[cfg(feature = "http")]
pub use service::open;

use crate::endpoint::Endpoint;

/// The header with the signature, as webhooks have it: `t=1700000000,v1=` and, in hexadecimal, the
/// HMAC-SHA-256 of the time, a full stop and the body. A service should refuse a time that is more
/// than a few minutes old.
pub const SIGNATURE_HEADER: &str = "wharf-signature";

/// Everything about a login service.
#[derive(Clone)]
pub struct Settings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The authorities to trust, as PEM; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<Zeroizing<String>>,
    /// Signs what is asked, see [`SIGNATURE_HEADER`].
    pub secret: Option<Zeroizing<Vec<u8>>>,
    /// Logins at once, each with a connection.
    pub connections: NonZeroUsize,
    /// How long one login may take.
    pub time_max: Duration,
}

/// Token and secret are left out.
impl fmt::Debug for Settings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Settings")
            .field("endpoint", &self.endpoint)
            .field("ca_file", &self.ca_file)
            .field("connections", &self.connections)
            .field("time_max", &self.time_max)
            .finish_non_exhaustive()
    }
}
