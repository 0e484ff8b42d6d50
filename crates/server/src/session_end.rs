//! Why a session ended, for the log.

use std::fmt;

use crate::control::Disconnect;

/// Why a session ended.
#[derive(Debug)]
pub(crate) enum SessionEnd {
    /// The client sent QUIT, or a command closed the session with a last reply.
    Closed,
    /// The control connection ended.
    Disconnected(Disconnect),
    /// No login in time.
    LoginTimeout,
    /// The client was idle timeout.
    Idle,
    /// The administrator, a ban or a shutdown ended the session, for this reason.
    Terminated(String),
    /// The client violated the protocol.
    Violation(&'static str),
    /// The TLS handshake failed.
    Tls(std::io::Error),
}

impl From<Disconnect> for SessionEnd {
    fn from(gone: Disconnect) -> Self {
        Self::Disconnected(gone)
    }
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => out.write_str("quit"),
            Self::Disconnected(gone) => gone.fmt(out),
            Self::LoginTimeout => out.write_str("login timeout"),
            Self::Idle => out.write_str("idle timeout"),
            Self::Terminated(reason) => out.write_str(reason),
            Self::Violation(what) => write!(out, "protocol error: {what}"),
            Self::Tls(error) => write!(out, "TLS handshake failed: {error}"),
        }
    }
}
