//! What a command wants to happen next. It says; the conversation acts.

use wharf_core::storage::{Sink, Source};
use wharf_proto::path::VPath;
use wharf_proto::reply::{Code, Reply, Text};

use crate::digest::Algorithm;
use crate::files::Files;
pub(crate) use crate::pump::EndRule;
use crate::refusal::Refusal;

/// What follows a command.
pub(crate) enum Next {
    /// This reply.
    Say(Reply),
    /// 150, data, and a reply at the end.
    Transfer(Transfer),
    /// Work that takes its time, and a reply at the end.
    ServerSideJob(ServerSideJob),
    /// This reply, and then TLS.
    Secure(Reply),
    /// This reply, and then the end.
    Close(Reply),
}

impl Next {
    /// A reply, in the form in which commands end.
    #[expect(clippy::unnecessary_wraps, reason = "commands end with it, and those return a result")]
    pub(crate) fn say(code: Code, text: impl Into<Text>) -> Result<Self, Refusal> {
        Ok(Self::Say(Reply::new(code, text)))
    }
}

/// Work without a data connection that may take long.
pub(crate) enum ServerSideJob {
    /// The check sum of the first `bytes` of a source, and how it is told.
    Digest {
        source: Source,
        bytes: u64,
        of: Algorithm,
        say: Box<dyn FnOnce(String) -> Reply + Send>,
    },
    /// A directory with all that is in it is removed.
    RemoveTree { at: VPath },
    /// One file to another.
    Copy { source: Source, sink: Box<dyn Sink>, from: VPath, to: VPath },
}

/// What is to go over the data connection.
pub(crate) struct Transfer {
    /// What 150 says.
    pub(crate) opening: String,
    /// What moves.
    pub(crate) job: Job,
}

/// What moves, and which way.
pub(crate) enum Job {
    /// A file to the client.
    Send { source: Source, path: VPath, is_ascii: bool },
    /// A file from the client. `unique` is the name that STOU found, for the last reply.
    Receive {
        sink: Box<dyn Sink>,
        path: VPath,
        is_ascii: bool,
        announced: Option<AnnouncedSize>,
        end: EndRule,
        target: Target,
    },
    /// A listing to the client.
    List { lines: wharf_core::storage::ByteStream },
}

/// Where an upload goes, for the one case in which that decides whether it is whole: one without a
/// byte that ends without `close_notify`.
pub(crate) struct Target {
    pub(crate) files: Files,
    /// Whether it is added to what is there (APPE).
    pub(crate) is_appended: bool,
}

/// What a client said of the size of its upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnnouncedSize {
    /// So many bytes: the whole file, or what is to come of it.
    pub(crate) bytes: u64,
    /// What is there already that the upload goes on with.
    pub(crate) before: u64,
}

impl AnnouncedSize {
    /// Whether `came` is less than either reading of it. More is no sign of a cut: files grow
    /// while they are sent.
    pub(crate) fn is_cut(self, came: u64) -> bool {
        came.saturating_add(self.before) < self.bytes
    }
}
