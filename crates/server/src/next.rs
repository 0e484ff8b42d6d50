//! What follows a command: the command decides, `conversation` carries it out.

use wharf_core::storage::{Sink, Source};
use wharf_proto::path::VPath;
use wharf_proto::reply::{Code, Reply, Text};

use crate::digest::Algorithm;
use crate::files::SessionFiles;
pub(crate) use crate::pump::EndRule;
use crate::refusal::Refusal;

/// What follows a command.
pub(crate) enum Next {
    /// Send this reply.
    Reply(Reply),
    /// Send 150, transfer data, and send a final reply.
    Transfer(Transfer),
    /// Run a long operation, and send a final reply.
    ServerSideJob(ServerSideJob),
    /// Send this reply, then begin the TLS handshake.
    Secure(Reply),
    /// Send this reply, then close the control connection.
    Close(Reply),
}

impl Next {
    /// A reply, as the result of a command.
    #[expect(clippy::unnecessary_wraps, reason = "commands return a result")]
    pub(crate) fn reply(code: Code, text: impl Into<Text>) -> Result<Self, Refusal> {
        Ok(Self::Reply(Reply::new(code, text)))
    }
}

/// A long operation without a data connection.
pub(crate) enum ServerSideJob {
    /// The checksum of the first `bytes` of a source; `to_reply` makes the reply.
    Digest {
        source: Source,
        bytes: u64,
        of: Algorithm,
        to_reply: Box<dyn FnOnce(String) -> Reply + Send>,
    },
    /// Remove a directory with all its contents.
    RemoveTree { at: VPath },
    /// Copy a file.
    Copy { source: Source, sink: Box<dyn Sink>, from: VPath, to: VPath },
}

/// A transfer over the data connection.
pub(crate) struct Transfer {
    /// The text of the 150 reply.
    pub(crate) opening: String,
    /// The data.
    pub(crate) job: Job,
}

/// The data of a transfer, and its direction.
pub(crate) enum Job {
    /// A file to the client.
    Send { source: Source, path: VPath, is_ascii: bool },
    /// A file from the client.
    Receive {
        sink: Box<dyn Sink>,
        path: VPath,
        is_ascii: bool,
        announced: Option<AnnouncedSize>,
        end: EndRule,
        target: UploadTarget,
    },
    /// A listing to the client.
    List { lines: wharf_core::storage::ByteStream },
}

/// The target of an upload. It decides whether an empty upload that ends without `close_notify` is
/// complete.
pub(crate) struct UploadTarget {
    pub(crate) files: SessionFiles,
    /// Whether the upload is appended to an existing file (APPE).
    pub(crate) is_appended: bool,
}

/// The size of an upload, as announced with ALLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnnouncedSize {
    /// The announced bytes: of the whole file, or of the part that is still to be sent.
    pub(crate) bytes: u64,
    /// The bytes that are already stored, which the upload continues.
    pub(crate) before: u64,
}

impl AnnouncedSize {
    /// Whether `came` is less than announced in either meaning. More bytes do not indicate a
    /// truncated upload, since files can grow while they are sent.
    pub(crate) fn is_cut(self, came: u64) -> bool {
        came.saturating_add(self.before) < self.bytes
    }
}
