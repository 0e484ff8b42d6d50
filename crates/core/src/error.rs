//! What went wrong in a store, by meaning. Which reply code that becomes, only the engine knows.

use std::error::Error as StdError;
use std::fmt;

/// The result of an act on files.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed act on files.
///
/// The source is for the operator's log; a client never sees it, only what follows from `kind`.
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
    /// Nothing has this name, or a directory on the way is missing.
    NotFound,
    /// The name is taken and may not be replaced.
    Exists,
    /// A directory was needed and this is something else.
    NotADirectory,
    /// A file was needed and this is a directory.
    IsADirectory,
    /// The directory still holds something.
    NotEmpty,
    /// The operating system or the store forbids it, or the path leads out of the root.
    Forbidden,
    /// The name cannot be created here: control bytes, a reserved name, too long.
    BadName,
    /// The restart point lies behind the end of the file (RFC 3659 §5.2).
    BadOffset,
    /// The file system or the store is full.
    NoSpace,
    /// The account has used up what it may store.
    OverQuota,
    /// What the account keeps is still being counted; until then nothing may change.
    Uncounted,
    /// The account left an upload of so many bytes unfinished that was to replace the file: what is
    /// sent now could be meant for either.
    Unfinished(u64),
    /// The account left an upload unfinished that was to replace another file than the one that is
    /// there now: what is sent behind a restart point would be a mixture.
    Outdated,
    /// Someone else holds it; trying later may help.
    Busy,
    /// The server is out of something that comes back when others are done, such as open files.
    Exhausted,
    /// The store cannot do this at all.
    Unsupported,
    /// Two places on different file systems, which a rename cannot join.
    CrossesDevices,
    /// It goes beyond what one command gives or does: too many entries, too many levels. The
    /// source is for the client too.
    TooLarge,
    /// Whoever looks at uploads before they are published refused this one. The source is for the
    /// client too.
    Refused,
    /// Nobody could look at an upload that must be looked at before it is published.
    Unchecked,
    /// The store itself failed: a disk error, a lost connection, a broken promise.
    Broken,
}

impl Error {
    /// An error with its cause.
    pub fn new(kind: ErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }
}

/// Why an upload was refused before it was published: the source of [`ErrorKind::Refused`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRefusal {
    /// For the client too.
    pub reason: String,
    /// The id under which the check, its log lines and the quarantine know the upload.
    pub id: String,
}

impl fmt::Display for UploadRefusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.reason)
    }
}

impl StdError for UploadRefusal {}

impl Error {
    /// The id of an upload that was refused before it was published, if it has one.
    pub fn refusal_id(&self) -> Option<&str> {
        let refusal = self.source.as_ref()?.downcast_ref::<UploadRefusal>()?;
        Some(&refusal.id)
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }
}

/// By the meaning of the operating system's error; what has no meaning here is `Broken`.
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
                return write!(out, "an upload of {bytes} bytes to it is unfinished");
            }
            Self::Outdated => "the file changed since an upload to it was cut",
            Self::NotFound => "no such file or directory",
            Self::Exists => "the name is taken",
            Self::NotADirectory => "not a directory",
            Self::IsADirectory => "is a directory",
            Self::NotEmpty => "the directory is not empty",
            Self::TooLarge => "too much for one command",
            Self::Forbidden => "not permitted",
            Self::BadName => "the name is not allowed",
            Self::BadOffset => "the restart point is behind the end of the file",
            Self::NoSpace => "no space left",
            Self::OverQuota => "over quota",
            Self::Uncounted => "what is kept is still being counted",
            Self::Busy => "in use",
            Self::Exhausted => "out of open files",
            Self::Unsupported => "not supported by this store",
            Self::CrossesDevices => "on another file system",
            Self::Refused => "refused",
            Self::Unchecked => "not checked",
            Self::Broken => "the store failed",
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
