//! Every error becomes one reply, here.

use std::error::Error as _;

use wharf_core::error::{Error, ErrorKind};
use wharf_proto::args::ArgError;
use wharf_proto::path::{PathError, VPath, escaped};
use wharf_proto::reply::{Code, Reply, Text};

/// A command that ends early.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// This reply, whatever the command.
    Say(Reply),
    /// The file is not to be had. RFC 959 §5.4 gives different commands different codes for it;
    /// the command's row knows its own.
    Unavailable(Text),
    /// A rule refuses it that is for another path than the client named; the log says which.
    Denied(Box<Denial>),
    /// The store failed; the operator reads why.
    Broken(String),
}

/// What a rule for another path refuses.
#[derive(Debug)]
pub(crate) struct Denial {
    /// What was asked for.
    pub(crate) path: VPath,
    /// The rule, for the administrator.
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn say(code: Code, text: impl Into<Text>) -> Self {
        Self::Say(Reply::new(code, text))
    }

    pub(crate) fn unavailable(text: impl Into<Text>) -> Self {
        Self::Unavailable(text.into())
    }

    pub(crate) fn denied(path: &VPath, reason: String) -> Self {
        Self::Denied(Box::new(Denial { path: path.clone(), reason }))
    }

    /// The reply, where `unavailable` is the command's code for a file that is not to be had.
    pub(crate) fn reply(self, unavailable: Code) -> Reply {
        match self {
            Self::Say(reply) => reply,
            Self::Unavailable(text) => Reply::new(unavailable, text),
            Self::Denied(_) => Reply::new(Code::FILE_UNAVAILABLE, "Permission denied."),
            Self::Broken(_) => {
                Reply::new(Code::LOCAL_ERROR, "The server could not do that; its log says why.")
            }
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.kind {
            ErrorKind::NotFound => Self::unavailable("No such file or directory."),
            ErrorKind::Exists => Self::unavailable("That name is taken."),
            ErrorKind::NotADirectory => Self::unavailable("That is not a directory."),
            ErrorKind::IsADirectory => Self::unavailable("That is a directory."),
            ErrorKind::NotEmpty => Self::unavailable("The directory is not empty."),
            ErrorKind::Forbidden => Self::unavailable("The system does not permit that."),
            ErrorKind::Unsupported => Self::unavailable("This server's store cannot do that."),
            ErrorKind::CrossesDevices => {
                Self::unavailable("That place is on another file system; copy it instead.")
            }
            ErrorKind::BadName => {
                Self::say(Code::NAME_REFUSED, "New names must be valid text without control bytes.")
            }
            ErrorKind::BadOffset => {
                Self::say(Code::BAD_RESTART, "The restart point is behind the end of the file.")
            }
            ErrorKind::NoSpace => Self::say(Code::NO_SPACE, "No space left on the server."),
            ErrorKind::OverQuota => {
                Self::say(Code::OVER_QUOTA, "That is more than you may keep here.")
            }
            ErrorKind::Exhausted => {
                Self::say(Code::FILE_BUSY, "The server is busy; try again later.")
            }
            ErrorKind::Uncounted => Self::say(
                Code::FILE_BUSY,
                "What you keep here is still being counted; try again in a moment.",
            ),
            ErrorKind::Refused => {
                // Whoever refused it says why, in words that are meant for the client.
                let why = error.source().map(|why| escaped(why.to_string().as_bytes()));
                Self::say(Code::OVER_QUOTA, why.unwrap_or_else(|| "Refused.".to_owned()))
            }
            ErrorKind::Unchecked => {
                Self::say(Code::LOCAL_ERROR, "The file could not be checked; try again later.")
            }
            ErrorKind::Unfinished(bytes) => Self::say(
                Code::FILE_UNAVAILABLE,
                format!("Unfinished upload of {bytes} bytes: continue with REST, or STOR again."),
            ),
            ErrorKind::Busy => Self::say(Code::FILE_BUSY, "It is in use; try again later."),
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Nul => Self::say(Code::BAD_ARGUMENT, "A name cannot hold a NUL byte."),
            PathError::TooLong => Self::say(Code::BAD_ARGUMENT, "That name is too long."),
            PathError::NotOneName => Self::say(Code::BAD_ARGUMENT, "That is not a name."),
        }
    }
}

impl From<ArgError> for Refusal {
    fn from(error: ArgError) -> Self {
        match error {
            ArgError::Missing => Self::say(Code::BAD_ARGUMENT, "An argument is missing."),
            ArgError::Malformed => {
                Self::say(Code::BAD_ARGUMENT, "That argument is not understood; try HELP.")
            }
            ArgError::Unsupported => {
                Self::say(Code::BAD_PARAMETER, "That is not supported for this command.")
            }
        }
    }
}
