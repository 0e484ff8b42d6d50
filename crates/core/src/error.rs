//! Errors of stores, by meaning. The engine maps them to reply codes.

use std::error::Error as StdError;
use std::fmt;

/// The result of a file operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The message of [`ErrorKind::Forbidden`] for a file of the server itself, such as its accounts.
pub const SERVER_FILE: &str = "it is a file of the server itself";

/// A failed file operation.
///
/// The source is for the log; clients only get a reply that depends on `kind`.
#[derive(Debug)]
pub struct Error {
    /// What happened.
    pub kind: ErrorKind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What happened, by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file or a parent directory does not exist.
    NotFound,
    /// The name exists and may not be replaced.
    Exists,
    /// The operation needs a directory.
    NotADirectory,
    /// The operation needs a file, and this is a directory.
    IsADirectory,
    /// The directory is not empty.
    NotEmpty,
    /// The operating system or the store denies permission, or the path leads out of the root.
    Forbidden,
    /// The name is not allowed: control characters, a reserved name, or too long.
    BadName,
    /// The restart point is past the end of the file (RFC 3659 §5.2).
    BadOffset,
    /// The file system or the store is full.
    NoSpace,
    /// The quota of the account is exceeded.
    OverQuota,
    /// The usage of the account is still being counted; until then, changes are not allowed.
    Uncounted,
    /// There is a partial upload of this size that was to replace the file, so it is ambiguous
    /// which of them the new data continues.
    Unfinished(u64),
    /// There is a partial upload that was to replace another file than the current one, so resuming
    /// it would mix two files.
    Outdated,
    /// The restart point is past the end of the partial upload, which has this size and is what
    /// would be continued.
    PastPartial(u64),
    /// The partial upload is older than its retention.
    Expired,
    /// An earlier upload that was to replace the file from this offset on ended early and was not
    /// kept, so continuing it behind the offset would mix two files.
    Interrupted(u64),
    /// The file is in use; a retry may succeed.
    Busy,
    /// A temporary shortage of a resource, such as open files.
    Exhausted,
    /// The store does not support the operation.
    Unsupported,
    /// A rename between different file systems.
    CrossesDevices,
    /// The operation exceeds a limit of one command, such as entries or levels. The source is also
    /// for the client.
    TooLarge,
    /// A check of uploads rejected this one. The source is also for the client.
    Rejected,
    /// The required check of an upload failed.
    Unchecked,
    /// The store failed: a disk error, a lost connection, or an internal error.
    Broken,
}

impl Error {
    /// An error with its cause.
    pub fn new(kind: ErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }
}

/// Why an upload was rejected before it was published: the source of [`ErrorKind::Rejected`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRejection {
    /// The reason, also for the client.
    pub reason: String,
    /// The id of the upload in the check, its log lines and the quarantine.
    pub id: String,
}

impl fmt::Display for UploadRejection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.reason)
    }
}

impl StdError for UploadRejection {}

impl Error {
    /// The id of an upload that a check rejected, if it has one.
    pub fn rejection_id(&self) -> Option<&str> {
        let refusal = self.source.as_ref()?.downcast_ref::<UploadRejection>()?;
        Some(&refusal.id)
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }
}

/// Maps errors of the operating system; unknown ones become `Broken`.
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::Exists,
            Io::NotADirectory => ErrorKind::NotADirectory,
            Io::IsADirectory => ErrorKind::IsADirectory,
            Io::DirectoryNotEmpty => ErrorKind::NotEmpty,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Forbidden,
            Io::InvalidFilename => ErrorKind::BadName,
            Io::StorageFull | Io::FileTooLarge => ErrorKind::NoSpace,
            Io::QuotaExceeded => ErrorKind::OverQuota,
            Io::ResourceBusy | Io::ExecutableFileBusy | Io::WouldBlock => ErrorKind::Busy,
            Io::Unsupported => ErrorKind::Unsupported,
            Io::CrossesDevices => ErrorKind::CrossesDevices,
            _ => ErrorKind::Broken,
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(out, "{} ({source})", self.kind),
            None => write!(out, "{}", self.kind),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unfinished(bytes) => {
                return write!(out, "a partial upload of {bytes} bytes exists");
            }
            Self::PastPartial(bytes) => {
                return write!(
                    out,
                    "restart point past the end of the partial upload ({bytes} bytes)"
                );
            }
            Self::Expired => "the partial upload has expired",
            Self::Interrupted(_) => "an earlier upload was interrupted and not kept",
            Self::Outdated => "the file changed since the partial upload",
            Self::NotFound => "no such file or directory",
            Self::Exists => "file exists",
            Self::NotADirectory => "not a directory",
            Self::IsADirectory => "is a directory",
            Self::NotEmpty => "directory not empty",
            Self::TooLarge => "limit of one command exceeded",
            Self::Forbidden => "not permitted",
            Self::BadName => "file name not allowed",
            Self::BadOffset => "restart point past the end of the file",
            Self::NoSpace => "no space left",
            Self::OverQuota => "quota exceeded",
            Self::Uncounted => "quota usage is still being counted",
            Self::Busy => "file in use",
            Self::Exhausted => "too many open files",
            Self::Unsupported => "not supported by this store",
            Self::CrossesDevices => "cross-device link",
            Self::Rejected => "rejected by a check",
            Self::Unchecked => "not checked",
            Self::Broken => "storage error",
        })
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}
