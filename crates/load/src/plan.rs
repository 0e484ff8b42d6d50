//! What to measure: which case, how often, by how many.

use std::path::PathBuf;
use std::time::Duration;

/// A measurement.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is done.
    pub case: Case,
    /// How many clients work at once.
    pub sessions: usize,
    /// How many operations all of them do together. [`Case::Idle`] does one for each session
    /// instead.
    pub count: u64,
    /// Begin nothing new after this time; what runs then is finished and counted.
    pub time: Option<Duration>,
    /// One more session sends NOOP this often while the others work; what it waits is told apart.
    pub bystander: Option<Duration>,
}

impl Plan {
    /// One operation by one session.
    pub fn new(case: Case) -> Self {
        Self { case, sessions: 1, count: 1, time: None, bystander: None }
    }
}

/// What is done. In each path, `{i}` stands for the number of the operation, from 0, and `{s}` for
/// that of the session.
#[derive(Clone, Debug)]
pub enum Case {
    /// Downloads (RETR).
    Retrieve {
        /// Which file.
        path: String,
        /// How long each is. Without it the server is asked by SIZE beforehand, if the path is the
        /// same for all; if not, any length will do.
        length: Option<u64>,
        /// What is done with the bytes.
        reading: Reading,
    },
    /// Uploads (STOR).
    Store {
        /// Which file.
        path: String,
        /// How long each is.
        length: u64,
        /// What is in it.
        content: Content,
        /// Remove each file by DELE when the clock has stopped.
        is_deleted: bool,
    },
    /// From connecting to 230, then QUIT.
    Login,
    /// A command and its reply.
    Command {
        /// The whole line without its end, such as `NOOP`.
        line: String,
    },
    /// Listings; entries and bytes are counted.
    List {
        /// By which command.
        verb: Listing,
        /// Of which folder; empty for the current one.
        path: String,
        /// How many entries there must be, `.` and `..` apart; not checked if `None`.
        entries: Option<u64>,
    },
    /// Sessions that do nothing once they are logged in. The run has each of them answer NOOP.
    Idle,
    /// A whole visit: connect, log in, one download, QUIT. With TLS the data connection resumes the
    /// session of the control connection, if the server allows it.
    Session {
        /// Which file.
        path: String,
        /// How long it is; without it whatever comes counts.
        length: Option<u64>,
    },
    /// Connections that are all opened at once and must all be greeted; `count` of them.
    Connects,
}

impl Case {
    /// Whether each operation makes a session of its own, so that none is prepared.
    pub(crate) fn makes_sessions(&self) -> bool {
        matches!(self, Self::Login | Self::Session { .. } | Self::Connects)
    }

    /// Whether bytes of files move, so that sessions can be compared by their speed.
    pub(crate) fn moves_files(&self) -> bool {
        matches!(self, Self::Retrieve { .. } | Self::Store { .. })
    }
}

/// By which command a folder is listed.
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

/// What is done with the bytes of a download.
#[derive(Clone, Debug, Default)]
pub enum Reading {
    /// They are counted at the least cost. Without TLS the kernel drops them unread; with TLS they
    /// are not decrypted, so the length is only checked to about a kilobyte, and a length must be
    /// known.
    Drain,
    /// They are counted, and decrypted where there is TLS.
    #[default]
    Decrypt,
    /// They are compared, byte for byte.
    Compare(Content),
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The bytes of [`crate::Pattern`]. Needs no disk.
    Pattern,
    /// The beginning of a local file.
    File(PathBuf),
}
