//! A web service that authenticates users: a JSON request, a status and an account in response.
//!
//! `POST` with `{"version": 1, "user": …, "password": …, "address": …, "tls": …}`. Responses: 200
//! with an account accepts the login (a JSON object with the keys of an accounts file), 401 and 403
//! reject it, 204 means that the user is unknown, and every other status, redirects included, means
//! that the service is unavailable.

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

/// The header with the signature, the same as for webhooks: `t=1700000000,v1=` and, in hexadecimal,
/// the HMAC-SHA-256 of the time, a full stop and the body. A service should reject a time that is
/// more than a few minutes old.
pub const SIGNATURE_HEADER: &str = "wharf-signature";

/// Everything about a login service.
#[derive(Clone)]
pub struct HttpSettings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The authorities to trust, as PEM; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<Zeroizing<String>>,
    /// Signs the request, see [`SIGNATURE_HEADER`].
    pub secret: Option<Zeroizing<Vec<u8>>>,
    /// Concurrent logins, each with a connection.
    pub connections: NonZeroUsize,
    /// How long one login may take.
    pub time_max: Duration,
}

/// Token and secret are left out.
impl fmt::Debug for HttpSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("HttpSettings")
            .field("endpoint", &self.endpoint)
            .field("ca_file", &self.ca_file)
            .field("connections", &self.connections)
            .field("time_max", &self.time_max)
            .finish_non_exhaustive()
    }
}
