//! The server, and the account.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls_pki_types::ServerName;

/// A server to measure, and the account used.
#[derive(Clone)]
pub struct TargetServer {
    /// The address of the control connection. Data connections go to the same address, whatever the
    /// server replies (the client's counterpart of RFC 2577 §3).
    pub address: SocketAddr,
    /// The user name.
    pub user: String,
    /// The password; not sent if the server answers USER with 230.
    pub password: String,
    /// TLS for the control connection and, by PROT P, for every data connection.
    pub tls: Option<TlsOptions>,
    /// The longest wait for any one reply, connection or block of data.
    pub timeout: Duration,
    /// The local address of all connections; that of the system if `None`.
    pub source: Option<IpAddr>,
}

impl TargetServer {
    /// A server without TLS, with a timeout of 60 seconds.
    pub fn new(address: SocketAddr, user: impl Into<String>, password: impl Into<String>) -> Self {
        let (user, password) = (user.into(), password.into());
        Self { address, user, password, tls: None, timeout: TIMEOUT, source: None }
    }
}

/// The password is omitted.
impl fmt::Debug for TargetServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TargetServer")
            .field("address", &self.address)
            .field("user", &self.user)
            .field("tls", &self.tls)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// How TLS is used.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// When the handshake starts.
    pub mode: TlsMode,
    /// Which certificates are accepted.
    pub trust: Trust,
    /// The name that the certificate must contain, also sent to the server (SNI) unless it is an
    /// address.
    pub name: ServerName<'static>,
}

impl TlsOptions {
    /// Explicit TLS with any certificate, for servers with self-signed ones.
    pub fn accepting_any_certificate(name: ServerName<'static>) -> Self {
        Self { mode: TlsMode::Explicit, trust: Trust::Any, name }
    }
}

/// When the TLS handshake starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// After AUTH TLS (RFC 4217 §4).
    Explicit,
    /// Immediately after connecting, as on port 990.
    Implicit,
}

/// Which certificates are accepted.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Any, without protection against attackers on the path. For measurements only.
    Any,
    /// Those issued by one of these roots.
    Roots(Arc<RootCertStore>),
}

const TIMEOUT: Duration = Duration::from_mins(1);
