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
            Self::Terminated(reason) => out.write_str(&as_reason(reason)),
            Self::Violation(what) => write!(out, "protocol error: {what}"),
            Self::Tls(error) => write!(out, "TLS handshake failed: {error}"),
        }
    }
}

impl SessionEnd {
    /// The end of a session that was terminated for this reason, but had to be dropped.
    pub(crate) fn forced(reason: &str) -> Self {
        let reason = as_reason(reason);
        Self::Terminated(format!("{reason} (forced: the session did not end in time)"))
    }
}

/// The text that the client received as one of the reasons above: a single sentence without a
/// capital letter and a full stop.
fn as_reason(text: &str) -> String {
    let sentence = text.strip_suffix('.').filter(|sentence| !sentence.contains(". "));
    let Some(sentence) = sentence else { return text.to_owned() };
    let mut letters = sentence.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_in_the_log_is_not_a_sentence() {
        let shown = |text: &str| SessionEnd::Terminated(text.to_owned()).to_string();
        assert_eq!(
            shown("Disconnected by the administrator."),
            "disconnected by the administrator"
        );
        assert_eq!(shown("Maintenance. Back at 9."), "Maintenance. Back at 9.");
        assert_eq!(shown("TLS will be required"), "TLS will be required");
        assert_eq!(SessionEnd::Closed.to_string(), "quit");
        assert_eq!(
            SessionEnd::forced("The server is shutting down.").to_string(),
            "the server is shutting down (forced: the session did not end in time)"
        );
    }
}
