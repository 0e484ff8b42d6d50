//! Every error becomes one reply, here.

use std::error::Error as _;

use wharf_core::error::{Error, ErrorKind};
use wharf_core::permission::Permissions;
use wharf_proto::args::ArgError;
use wharf_proto::path::{PathError, VPath, escaped};
use wharf_proto::reply::{Code, Reply, Text};

const EXISTS: &str = "File exists.";
const MISSING: &str = "No such file or directory.";

/// A command that ends early.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// This reply, whatever the command.
    Say(Reply),
    /// The file is not to be had. RFC 959 §5.4 gives different commands different codes for it;
    /// the command's row knows its own.
    Unavailable(Text),
    /// A rule refuses it that is for another path than the client named; the log says which.
    ByRule(Box<Denial>),
    /// The account lacks this right where it asked.
    Denied(Permissions),
    /// The operating system or a link forbids it; the administrator reads why.
    Forbidden(String),
    /// The store failed; the administrator reads why.
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

    pub(crate) fn by_rule(path: &VPath, reason: String) -> Self {
        Self::ByRule(Box::new(Denial { path: path.clone(), reason }))
    }

    /// Why an upload was refused, and what would help, for the administrator; none where the client
    /// alone can do something, or where the store reports it.
    pub(crate) fn cause(&self) -> Option<(String, &'static str)> {
        const ROOM: &str = "free some space on the disk, or lower files.min_free_space";
        const QUOTA: &str = "wharf user edit NAME --quota SIZE, or limits.user_quota";
        const RIGHTS: &str = "wharf why NAME PATH upload names the rule, wharf user edit NAME \
                              --perm changes it; a share takes uploads with -w";
        const OWNER: &str = "let the server's account write there (chown, chmod); where a link \
                             leads out of the home, see files.follow_symlinks";
        const REPLACE: &str = "the right `overwrite` and files.overwrite let uploads replace files";
        const PARENTS: &str = "make the folder, or set files.create_parent_dirs";
        Some(match self {
            Self::Denied(right) => (format!("permission denied: no right `{right}`"), RIGHTS),
            Self::Forbidden(reason) => (format!("permission denied: {reason}"), OWNER),
            Self::ByRule(denial) => (format!("permission denied: {}", denial.reason), RIGHTS),
            Self::Say(reply) => {
                let help = match reply.code {
                    Code::OVER_QUOTA => QUOTA,
                    Code::NO_SPACE => ROOM,
                    Code::NAME_REFUSED | Code::FILE_BUSY | Code::BAD_RESTART => "",
                    _ => return None,
                };
                let text = reply.lines.last().map(|text| escaped(text)).unwrap_or_default();
                (text, help)
            }
            Self::Unavailable(text) => {
                let text = escaped(text.as_bytes());
                let help = match text.as_str() {
                    EXISTS => REPLACE,
                    MISSING => PARENTS,
                    _ => "",
                };
                (text, help)
            }
            Self::Broken(_) => return None,
        })
    }

    /// The reply, where `unavailable` is the command's code for a file that is not to be had.
    pub(crate) fn reply(self, unavailable: Code) -> Reply {
        match self {
            Self::Say(reply) => reply,
            Self::Unavailable(text) => Reply::new(unavailable, text),
            Self::ByRule(_) => Reply::new(Code::FILE_UNAVAILABLE, "Permission denied."),
            Self::Denied(_) | Self::Forbidden(_) => Reply::new(unavailable, "Permission denied."),
            Self::Broken(_) => {
                Reply::new(Code::LOCAL_ERROR, "Local error in processing; see the server log.")
            }
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.kind {
            ErrorKind::NotFound => Self::unavailable(MISSING),
            ErrorKind::Exists => Self::unavailable(EXISTS),
            ErrorKind::NotADirectory => Self::unavailable("Not a directory."),
            ErrorKind::IsADirectory => Self::unavailable("Is a directory."),
            ErrorKind::NotEmpty => Self::unavailable("Directory not empty."),
            ErrorKind::Forbidden => Self::Forbidden(error.to_string()),
            ErrorKind::Unsupported => Self::unavailable("Operation not supported."),
            ErrorKind::CrossesDevices => {
                Self::unavailable("Cross-device link: copy the file instead.")
            }
            ErrorKind::BadName => Self::say(
                Code::NAME_REFUSED,
                "File name not allowed: use valid text without control characters.",
            ),
            ErrorKind::BadOffset => {
                Self::say(Code::BAD_RESTART, "Restart position is past the end of the file.")
            }
            ErrorKind::NoSpace => Self::say(Code::NO_SPACE, "No space left on device."),
            ErrorKind::OverQuota => Self::say(Code::OVER_QUOTA, "Quota exceeded."),
            ErrorKind::Exhausted => Self::say(Code::FILE_BUSY, "Server busy; try again later."),
            ErrorKind::Uncounted => {
                Self::say(Code::FILE_BUSY, "The quota is still being counted; try again later.")
            }
            // The source says why, in words that are meant for the client.
            ErrorKind::Refused => {
                let why = error.source().map(|why| escaped(why.to_string().as_bytes()));
                Self::say(Code::OVER_QUOTA, why.unwrap_or_else(|| "Refused.".to_owned()))
            }
            ErrorKind::TooLarge => {
                let why = error.source().map(|why| escaped(why.to_string().as_bytes()));
                Self::say(Code::FILE_UNAVAILABLE, why.unwrap_or_else(|| "Too large.".to_owned()))
            }
            ErrorKind::Unfinished(bytes) => Self::say(
                Code::FILE_UNAVAILABLE,
                format!("Unfinished upload of {bytes} bytes: continue with REST, or STOR again."),
            ),
            ErrorKind::Outdated => Self::say(
                Code::BAD_RESTART,
                "The file changed since the upload was cut: send it again from the start.",
            ),
            ErrorKind::Unchecked => {
                Self::say(Code::LOCAL_ERROR, "The file could not be checked; try again later.")
            }
            ErrorKind::Busy => Self::say(Code::FILE_BUSY, "File is in use; try again later."),
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Nul => {
                Self::say(Code::BAD_ARGUMENT, "Invalid file name: it holds a NUL byte.")
            }
            PathError::TooLong => Self::say(Code::BAD_ARGUMENT, "File name too long."),
            PathError::NotOneName => Self::say(Code::BAD_ARGUMENT, "Invalid file name."),
        }
    }
}

impl From<ArgError> for Refusal {
    fn from(error: ArgError) -> Self {
        match error {
            ArgError::Missing => Self::say(Code::BAD_ARGUMENT, "Missing argument."),
            ArgError::Malformed => Self::say(Code::BAD_ARGUMENT, "Invalid argument; try HELP."),
            ArgError::Unsupported => {
                Self::say(Code::BAD_PARAMETER, "Parameter not supported for this command.")
            }
        }
    }
}
