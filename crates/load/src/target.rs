//! Which server, and as whom.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls_pki_types::ServerName;

/// A server to measure, and the account to measure it with.
#[derive(Clone)]
pub struct Target {
    /// Where the control connection goes. Data connections go to the same address, whatever the
    /// server says (RFC 2577 §3 seen from the other side).
    pub address: SocketAddr,
    /// The user name.
    pub user: String,
    /// The password; not sent to a server that answers USER with 230.
    pub password: String,
    /// TLS for the control connection and, by PROT P, for every data connection.
    pub tls: Option<Tls>,
    /// The longest wait for any one reply, connection or span of data.
    pub timeout: Duration,
}

impl Target {
    /// A server without TLS, with a time-out of 60 seconds.
    pub fn new(address: SocketAddr, user: impl Into<String>, password: impl Into<String>) -> Self {
        let (user, password) = (user.into(), password.into());
        Self { address, user, password, tls: None, timeout: TIMEOUT }
    }
}

/// The password is left out.
impl fmt::Debug for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Target")
            .field("address", &self.address)
            .field("user", &self.user)
            .field("tls", &self.tls)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// How TLS is used.
#[derive(Clone, Debug)]
pub struct Tls {
    /// When it begins.
    pub mode: TlsMode,
    /// Which certificates will do.
    pub trust: Trust,
    /// The name that the certificate must carry, also sent to the server (SNI) unless it is an
    /// address.
    pub name: ServerName<'static>,
}

impl Tls {
    /// Explicit TLS with any certificate, as a benchmark of a self-signed server needs it.
    pub fn trusting_any(name: ServerName<'static>) -> Self {
        Self { mode: TlsMode::Explicit, trust: Trust::Any, name }
    }
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// After AUTH TLS (RFC 4217 §4).
    Explicit,
    /// At once, as on port 990.
    Implicit,
}

/// Which certificates will do.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Any at all: nobody in the middle is noticed. For measuring only.
    Any,
    /// Those that lead to one of these roots.
    Roots(Arc<RootCertStore>),
}

const TIMEOUT: Duration = Duration::from_mins(1);
