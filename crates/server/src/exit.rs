//! Why a conversation ended: told once, in the log.

use std::fmt;

use crate::control::Gone;

/// Why a conversation ended.
#[derive(Debug)]
pub(crate) enum Exit {
    /// The client said QUIT, or a command closed the session with a last reply.
    Said,
    /// The control connection is gone.
    Gone(Gone),
    /// No login in time.
    LoginTimeout,
    /// Nothing was said for too long.
    Idle,
    /// Somebody ended the session, for this reason.
    Ended(String),
    /// The client broke a rule that ends a session.
    Blame(&'static str),
    /// The TLS handshake failed.
    Tls(std::io::Error),
}

impl From<Gone> for Exit {
    fn from(gone: Gone) -> Self {
        Self::Gone(gone)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said => out.write_str("goodbye"),
            Self::Gone(gone) => gone.fmt(out),
            Self::LoginTimeout => out.write_str("no login in time"),
            Self::Idle => out.write_str("idle for too long"),
            Self::Ended(reason) => out.write_str(reason),
            Self::Blame(what) => write!(out, "the client sent {what}"),
            Self::Tls(error) => write!(out, "TLS failed: {error}"),
        }
    }
}
