//! Errors of a measurement, and the step at which they occurred.

use std::{fmt, io};

use wharf_proto::reply::{Code, Reply};

/// An error, and the step at which it occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The step: `connect to 127.0.0.1:21`, `RETR big.iso`.
    pub step: String,
    /// The cause.
    pub kind: ErrorKind,
}

/// The cause of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An error of the network or the system.
    Io(io::ErrorKind, String),
    /// A timeout.
    TimedOut,
    /// The server closed the connection.
    Closed,
    /// An unexpected reply.
    Rejected {
        /// The code.
        code: u16,
        /// The last line of its text.
        text: String,
    },
    /// An invalid reply.
    InvalidReply(String),
    /// TLS failed.
    Tls(String),
    /// A wrong number of bytes.
    Length {
        /// Received.
        got: u64,
        /// Expected.
        wanted: u64,
    },
    /// A wrong number of entries.
    Entries {
        /// Received.
        got: u64,
        /// Expected.
        wanted: u64,
    },
    /// A byte differs.
    Content {
        /// Its offset.
        at: u64,
    },
    /// Too few file descriptors are available to this process.
    Descriptors {
        /// The limit.
        may: u64,
        /// The number needed.
        needed: u64,
    },
    /// The plan is invalid.
    Plan(&'static str),
    /// The run was stopped.
    Stopped,
}

impl Error {
    /// An error at a step.
    pub fn new(step: impl Into<String>, kind: ErrorKind) -> Self {
        Self { step: step.into(), kind }
    }

    /// The error of an unexpected reply.
    pub fn rejected(step: impl Into<String>, reply: &Reply) -> Self {
        Self::new(step, ErrorKind::of(reply))
    }

    /// The code of the reply, if there was one.
    pub fn code(&self) -> Option<Code> {
        match self.kind {
            ErrorKind::Rejected { code, .. } => Code::from_number(code),
            _ => None,
        }
    }
}

impl ErrorKind {
    /// The kind of an unexpected reply.
    pub(crate) fn of(reply: &Reply) -> Self {
        Self::Rejected { code: reply.code.number(), text: last_line(reply) }
    }
}

/// The last line of a reply, without its code.
pub fn last_line(reply: &Reply) -> String {
    reply.lines.last().map(|line| String::from_utf8_lossy(line).into_owned()).unwrap_or_default()
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
            Self::TimedOut => out.write_str("timed out"),
            Self::Closed => out.write_str("the server closed the connection"),
            Self::Rejected { code, text } => write!(out, "unexpected reply {code} {text}"),
            Self::InvalidReply(text) => write!(out, "invalid FTP reply {text:?}"),
            Self::Length { got, wanted } => write!(out, "received {got} bytes, expected {wanted}"),
            Self::Entries { got, wanted } => {
                write!(out, "received {got} entries, expected {wanted}")
            }
            Self::Content { at } => write!(out, "the content differs at byte {at}"),
            Self::Descriptors { may, needed } => write!(
                out,
                "too many open files: the limit is {may}, {needed} are needed; raise it (ulimit \
                 -n) or use fewer sessions"
            ),
            Self::Plan(text) => out.write_str(text),
            Self::Stopped => out.write_str("stopped"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

/// An error outside a command, such as that of a data connection.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::new("the connection", error.into())
    }
}

impl From<io::Error> for ErrorKind {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // The system's timeouts of blocking sockets, as Unix and Windows report them.
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

/// Lower-cases the first letter of an ordinary word; names and paths are kept.
fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}
