//! Maps errors to replies.

use std::error::Error as _;

use wharf_core::error::{Error, ErrorKind, SERVER_FILE};
use wharf_core::permission::Permissions;
use wharf_proto::args::ArgError;
use wharf_proto::path::{PathError, VPath, escaped};
use wharf_proto::reply::{Code, Reply, Text};

const EXISTS: &str = "File exists.";
const MISSING: &str = "No such file or directory.";

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// This reply, whatever the command.
    Reply(Reply),
    /// The argument is malformed; the reply contains the command's syntax.
    BadArgument,
    /// The argument is missing.
    MissingArgument,
    /// The file is unavailable. The code depends on the command (RFC 959 §5.4) and is in its row.
    Unavailable(Text),
    /// A rule for another path than the one in the command forbids it. The rule is only logged.
    ByRule(Box<Denial>),
    /// The account does not have this permission at the path.
    Denied(Permissions),
    /// The operating system forbids it, or a link may not be followed. The reason is only logged.
    Forbidden(String),
    /// The store failed. The reason is only logged.
    Broken(String),
}

/// A denial because of a rule for another path.
#[derive(Debug)]
pub(crate) struct Denial {
    /// The path in the command.
    pub(crate) path: VPath,
    /// The rule, for the administrator.
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, text: impl Into<Text>) -> Self {
        Self::Reply(Reply::new(code, text))
    }

    pub(crate) fn unavailable(text: impl Into<Text>) -> Self {
        Self::Unavailable(text.into())
    }

    pub(crate) fn by_rule(path: &VPath, reason: String) -> Self {
        Self::ByRule(Box::new(Denial { path: path.clone(), reason }))
    }

    /// The reason why an upload was rejected and a hint, for the administrator. `None` if only the
    /// client can do something about it, or if the failure of the store is reported separately.
    pub(crate) fn cause(&self) -> Option<(String, &'static str)> {
        const FREE_SPACE_HINT: &str = "free disk space, or lower files.min_free_space";
        const QUOTA: &str =
            "raise the quota: wharf user edit NAME --quota SIZE, or limits.user_quota";
        const PERMISSION_HINT: &str = "wharf why NAME PATH upload shows the rule; wharf user edit \
             NAME --permissions changes it; a share accepts uploads with -w";
        const OWNER: &str = "give the server's user write access (chown, chmod); for a link out of \
                             the home, see files.follow_symlinks";
        const SERVER_FILE_HINT: &str =
            "keep the server's files outside of the homes: wharf check lists them";
        const REPLACE: &str = "to replace files, the account needs the permission `overwrite`, and \
             files.overwrite = true";
        const PARENTS: &str = "create the folder, or set files.create_parent_dirs = true";
        Some(match self {
            Self::Denied(permission) => {
                (format!("permission denied: missing permission `{permission}`"), PERMISSION_HINT)
            }
            Self::Forbidden(reason) => {
                let is_own = reason.contains(SERVER_FILE);
                let hint = if is_own { SERVER_FILE_HINT } else { OWNER };
                (format!("permission denied: {reason}"), hint)
            }
            Self::ByRule(denial) => {
                (format!("permission denied: {}", denial.reason), PERMISSION_HINT)
            }
            Self::Reply(reply) => {
                let help = match reply.code {
                    Code::OVER_QUOTA => QUOTA,
                    Code::NO_SPACE => FREE_SPACE_HINT,
                    Code::NAME_REJECTED | Code::FILE_BUSY | Code::BAD_RESTART => "",
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
            Self::BadArgument | Self::MissingArgument | Self::Broken(_) => return None,
        })
    }

    /// With the syntax of the command, if its argument is missing or malformed.
    pub(crate) fn with_syntax(self, syntax: &str) -> Self {
        match self {
            Self::BadArgument => {
                Self::new(Code::BAD_ARGUMENT, format!("Invalid argument. Syntax: {syntax}"))
            }
            Self::MissingArgument => {
                Self::new(Code::BAD_ARGUMENT, format!("Missing argument. Syntax: {syntax}"))
            }
            other => other,
        }
    }

    /// The reply; `unavailable` is the command's code for an unavailable file.
    pub(crate) fn reply(self, unavailable: Code) -> Reply {
        match self {
            Self::Reply(reply) => reply,
            Self::BadArgument => Reply::new(Code::BAD_ARGUMENT, "Invalid argument."),
            Self::MissingArgument => Reply::new(Code::BAD_ARGUMENT, "Missing argument."),
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
                Self::unavailable("Cross-device link; copy the file instead.")
            }
            ErrorKind::BadName => Self::new(
                Code::NAME_REJECTED,
                "File name not allowed: use valid text without control characters.",
            ),
            ErrorKind::BadOffset => {
                Self::new(Code::BAD_RESTART, "Invalid REST parameter: past the end of the file.")
            }
            ErrorKind::NoSpace => Self::new(Code::NO_SPACE, "No space left on device."),
            ErrorKind::OverQuota => Self::new(Code::OVER_QUOTA, "Quota exceeded."),
            ErrorKind::Exhausted => Self::new(Code::FILE_BUSY, "Server busy; try again later."),
            ErrorKind::Uncounted => {
                Self::new(Code::FILE_BUSY, "Quota is being calculated; try again later.")
            }
            // The source is written for the client.
            ErrorKind::Rejected => {
                let why = error.source().map(|why| escaped(why.to_string().as_bytes()));
                Self::new(Code::OVER_QUOTA, why.unwrap_or_else(|| "Upload rejected.".to_owned()))
            }
            ErrorKind::TooLarge => {
                let why = error.source().map(|why| escaped(why.to_string().as_bytes()));
                Self::new(
                    Code::FILE_UNAVAILABLE,
                    why.unwrap_or_else(|| "Limit exceeded.".to_owned()),
                )
            }
            ErrorKind::Unchecked => {
                Self::new(Code::LOCAL_ERROR, "Upload check failed; try again later.")
            }
            ErrorKind::Busy => Self::new(Code::FILE_BUSY, "File is in use; try again later."),
            kind => unfinished_upload(kind).unwrap_or_else(|| Self::Broken(error.to_string())),
        }
    }
}

/// An unfinished upload is in the way, or cannot be continued.
fn unfinished_upload(kind: ErrorKind) -> Option<Refusal> {
    let restart = |message| Refusal::new(Code::BAD_RESTART, message);
    let unavailable = |message| Refusal::new(Code::FILE_UNAVAILABLE, message);
    Some(match kind {
        ErrorKind::PastPartial(0) => {
            restart("Partial upload of 0 bytes exists; restart from the beginning.".to_owned())
        }
        ErrorKind::PastPartial(bytes) => {
            restart(format!("Partial upload of {bytes} bytes exists; use REST {bytes} or less."))
        }
        ErrorKind::Expired => {
            restart("Partial upload has expired; restart from the beginning.".to_owned())
        }
        ErrorKind::Interrupted(0) => {
            restart("Interrupted upload was not kept; restart from the beginning.".to_owned())
        }
        ErrorKind::Interrupted(start) => {
            restart(format!("Interrupted upload was not kept; use REST {start} or less."))
        }
        ErrorKind::Unfinished(0) => {
            unavailable("Partial upload of 0 bytes exists; use STOR again.".to_owned())
        }
        ErrorKind::Unfinished(bytes) => unavailable(format!(
            "Partial upload of {bytes} bytes exists; use REST {bytes}, or STOR again."
        )),
        ErrorKind::Outdated => {
            restart("File changed since the partial upload; restart from the beginning.".to_owned())
        }
        _ => return None,
    })
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Nul => {
                Self::new(Code::BAD_ARGUMENT, "Invalid file name: contains a NUL byte.")
            }
            PathError::TooLong => Self::new(Code::BAD_ARGUMENT, "File name too long."),
            PathError::NotOneName => Self::new(Code::BAD_ARGUMENT, "Invalid file name."),
        }
    }
}

impl From<ArgError> for Refusal {
    fn from(error: ArgError) -> Self {
        match error {
            ArgError::Missing => Self::MissingArgument,
            ArgError::Malformed => Self::BadArgument,
            ArgError::Unsupported => {
                Self::new(Code::BAD_PARAMETER, "Parameter not supported for this command.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_for_a_file_of_the_server_does_not_loosen_its_permissions() {
        let hint = |message: &'static str| {
            let refusal = Refusal::from(Error::new(ErrorKind::Forbidden, message));
            refusal.cause().expect("it has a reason").1
        };
        assert!(!hint(SERVER_FILE).contains("chmod"));
        assert!(hint(SERVER_FILE).contains("outside of the homes"));
        assert!(hint("permission denied").contains("chmod"));
    }
}
