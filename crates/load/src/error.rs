//! What can go wrong with a server, and where.

use std::{fmt, io};

/// Something that went wrong, and at which step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What was being done: `connect to 127.0.0.1:21`, `RETR big.iso`.
    pub step: String,
    /// What happened.
    pub kind: ErrorKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The network or the system says no.
    Io(io::ErrorKind, String),
    /// Nothing came in time.
    TimedOut,
    /// The server closed the connection.
    Closed,
    /// The server answered, and not what was hoped for.
    Refused {
        /// The code.
        code: u16,
        /// Its text, the last line of it.
        text: String,
    },
    /// What the server said is no FTP.
    Garbled(String),
    /// TLS failed.
    Tls(String),
    /// More or fewer bytes than there should be.
    Length {
        /// What came.
        got: u64,
        /// What should have come.
        wanted: u64,
    },
    /// More or fewer entries than there should be.
    Entries {
        /// What came.
        got: u64,
        /// What should have come.
        wanted: u64,
    },
    /// A byte differs.
    Content {
        /// Which, from 0.
        at: u64,
    },
    /// The system does not give this process enough file descriptors.
    Descriptors {
        /// How many it may have.
        may: u64,
        /// How many are needed.
        needed: u64,
    },
    /// The plan asks for what cannot be.
    Plan(&'static str),
    /// Somebody asked to stop.
    Stopped,
}

impl Error {
    pub(crate) fn new(step: impl Into<String>, kind: ErrorKind) -> Self {
        Self { step: step.into(), kind }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.step, self.kind)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_, text) | Self::Tls(text) => out.write_str(text),
            Self::TimedOut => out.write_str("nothing came within the time-out"),
            Self::Closed => out.write_str("the server closed the connection"),
            Self::Refused { code, text } => write!(out, "the server says {code} {text}"),
            Self::Garbled(text) => write!(out, "the server does not speak FTP here: {text:?}"),
            Self::Length { got, wanted } => write!(out, "{got} bytes came, {wanted} should have"),
            Self::Entries { got, wanted } => {
                write!(out, "{got} entries came, {wanted} should have")
            }
            Self::Content { at } => write!(out, "the content differs at byte {at}"),
            Self::Descriptors { may, needed } => write!(
                out,
                "this process may open {may} files, and needs {needed}; raise the limit (ulimit \
                 -n) or use fewer sessions"
            ),
            Self::Plan(text) => out.write_str(text),
            Self::Stopped => out.write_str("stopped"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for ErrorKind {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // The system's time-outs of blocking sockets, in the words of Unix and of Windows.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::UnexpectedEof => Self::Closed,
            kind => {
                let text = error.to_string();
                let end = text.rfind(" (os error ").unwrap_or(text.len());
                Self::Io(kind, lower_first(text.get(..end).unwrap_or(&text)))
            }
        }
    }
}

/// The first letter in lower case where an ordinary word begins; names and paths keep theirs.
fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}
