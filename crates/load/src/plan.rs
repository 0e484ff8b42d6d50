//! What to measure: the case, the number of sessions and of operations.

use std::path::PathBuf;
use std::time::Duration;

/// A measurement.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The operation.
    pub case: LoadCase,
    /// Sessions that work at a time.
    pub sessions: usize,
    /// Operations of all sessions together. [`LoadCase::Idle`] does one for each session instead.
    pub count: u64,
    /// No operation starts after this time; running ones are finished and counted.
    pub time: Option<Duration>,
    /// An extra session sends NOOP at this interval while the others work; its latency is reported
    /// separately.
    pub bystander: Option<Duration>,
}

impl Plan {
    /// One operation by one session.
    pub fn new(case: LoadCase) -> Self {
        Self { case, sessions: 1, count: 1, time: None, bystander: None }
    }
}

/// The operation. In paths, `{i}` is replaced by the number of the operation, from 0, and `{s}` by
/// that of the session.
#[derive(Clone, Debug)]
pub enum LoadCase {
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
    /// The same, and each logs in; `count` of them, which then stay.
    Logins,
    /// Listings, small transfers, renames and deletions in an order that a seed decides.
    Mixed(Mix),
    /// All steps in their order, by at most 16 sessions at a time.
    Steps(Vec<DialogueStep>),
    /// The steps of a client program, from its connection on.
    Dialogue(Dialogue),
}

/// The files of [`LoadCase::Mixed`].
#[derive(Clone, Debug)]
pub struct Mix {
    /// The same seed gives each session the same operations.
    pub seed: u64,
    /// The files that are downloaded; `{i}` is replaced by a number below `downloads`.
    pub download: String,
    /// The number of these files.
    pub downloads: u64,
    /// The size of each of them.
    pub download_length: u64,
    /// The folder in which each session uploads, renames and deletes its own files.
    pub folder: String,
    /// The content of uploads, which have 1 to 64 KiB.
    pub content: Content,
    /// The folder that is listed.
    pub listed: String,
    /// The command that lists it.
    pub verb: Listing,
}

/// The commands of a client program such as FileZilla.
#[derive(Clone, Debug)]
pub struct Dialogue {
    /// Whether data connections use EPSV; PASV otherwise.
    pub is_extended: bool,
    /// What each session does after the greeting, including the login. It is part of the timed
    /// part, but not of an operation.
    pub opening: Vec<DialogueStep>,
    /// One operation.
    pub each: Vec<DialogueStep>,
}

/// One step of [`LoadCase::Steps`] and [`LoadCase::Dialogue`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialogueStep {
    /// A command whose reply does not matter, such as FEAT.
    Ask(String),
    /// A command that must succeed: a reply of 200 to 399.
    Command(String),
    /// A listing.
    List(Listing, String),
    /// A download of any size.
    Retrieve(String),
    /// An upload of so many bytes of the pattern.
    Store(String, u64),
}

impl LoadCase {
    /// Whether sessions are opened in the timed part, so that none is prepared.
    pub(crate) fn makes_sessions(&self) -> bool {
        matches!(
            self,
            Self::Login | Self::Session { .. } | Self::Connects | Self::Logins | Self::Dialogue(_)
        )
    }

    /// Whether files have the bytes of [`crate::Pattern`].
    pub(crate) fn uses_pattern(&self) -> bool {
        let stores = |steps: &[DialogueStep]| {
            steps.iter().any(|step| matches!(step, DialogueStep::Store(..)))
        };
        match self {
            Self::Store { content, .. }
            | Self::Mixed(Mix { content, .. })
            | Self::Retrieve { reading: DownloadMode::Compare(content), .. } => {
                *content == Content::Pattern
            }
            Self::Steps(steps) => stores(steps),
            Self::Dialogue(dialogue) => stores(&dialogue.opening) || stores(&dialogue.each),
            _ => false,
        }
    }

    /// Whether all operations start at once, each in a session of its own that stays.
    pub(crate) fn is_at_once(&self) -> bool {
        matches!(self, Self::Connects | Self::Logins)
    }

    /// Whether many sessions take turns on few threads.
    pub(crate) fn takes_turns(&self) -> bool {
        matches!(self, Self::Idle | Self::Steps(_))
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
