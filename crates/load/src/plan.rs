//! What to measure: the case, the number of sessions and of operations.

use std::path::PathBuf;
use std::time::Duration;

/// A measurement.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The operation.
    pub case: Case,
    /// Sessions that work at a time.
    pub sessions: usize,
    /// Operations of all sessions together. [`Case::Idle`] does one for each session instead.
    pub count: u64,
    /// No operation starts after this time; running ones are finished and counted.
    pub time: Option<Duration>,
    /// An extra session sends NOOP at this interval while the others work; its latency is reported
    /// separately.
    pub bystander: Option<Duration>,
}

impl Plan {
    /// One operation by one session.
    pub fn new(case: Case) -> Self {
        Self { case, sessions: 1, count: 1, time: None, bystander: None }
    }
}

/// The operation. In paths, `{i}` is replaced by the number of the operation, from 0, and `{s}` by
/// that of the session.
#[derive(Clone, Debug)]
pub enum Case {
    /// Downloads (RETR).
    Retrieve {
        /// The file.
        path: String,
        /// The expected size. If absent and the path is the same for all operations, SIZE is sent
        /// in advance; otherwise any size is accepted.
        length: Option<u64>,
        /// How the bytes are processed.
        reading: DownloadMode,
    },
    /// Uploads (STOR).
    Store {
        /// The file.
        path: String,
        /// The size.
        length: u64,
        /// The content.
        content: Content,
        /// Whether each file is removed by DELE after the timed part.
        is_deleted: bool,
    },
    /// Connect and log in, then QUIT.
    Login,
    /// A command and its reply.
    Command {
        /// The line without its end, such as `NOOP`.
        line: String,
    },
    /// Listings; entries and bytes are counted.
    List {
        /// The command.
        verb: Listing,
        /// The folder; empty for the current one.
        path: String,
        /// The expected number of entries, without `.` and `..`; not checked if `None`.
        entries: Option<u64>,
    },
    /// Sessions that are idle after the login. The run has each of them answer NOOP.
    Idle,
    /// A whole session: connect, log in, one download, QUIT. With TLS the data connection resumes
    /// the session of the control connection, if the server allows it.
    Session {
        /// The file.
        path: String,
        /// Its size; any size is accepted if absent.
        length: Option<u64>,
    },
    /// Connections that are opened at once and must all be greeted; `count` of them.
    Connects,
}

impl Case {
    /// Whether each operation opens its own session, so that none is prepared.
    pub(crate) fn makes_sessions(&self) -> bool {
        matches!(self, Self::Login | Self::Session { .. } | Self::Connects)
    }

    /// Whether files are transferred, so that sessions can be compared by their rate.
    pub(crate) fn moves_files(&self) -> bool {
        matches!(self, Self::Retrieve { .. } | Self::Store { .. })
    }
}

/// The command that lists a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// MLSD (RFC 3659 §7).
    Mlsd,
    /// LIST (RFC 959).
    List,
    /// NLST (RFC 959).
    Nlst,
}

impl Listing {
    /// The command.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mlsd => "MLSD",
            Self::List => "LIST",
            Self::Nlst => "NLST",
        }
    }
}

/// How the bytes of a download are processed.
#[derive(Clone, Debug, Default)]
pub enum DownloadMode {
    /// They are counted at the least cost. Without TLS the kernel drops them unread; with TLS they
    /// are not decrypted, so the length is only checked to about a kilobyte, and must be known.
    Drain,
    /// They are counted, and decrypted with TLS.
    #[default]
    Decrypt,
    /// They are compared with the expected content.
    Compare(Content),
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The bytes of [`crate::Pattern`]; no disk is read.
    Pattern,
    /// The beginning of a local file.
    File(PathBuf),
}
