//! Events, emitted after the fact.

pub mod catalog;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wharf_proto::path::VPath;
use wharf_proto::reply::Code;

use crate::storage::Storage;

/// A consumer of events, such as a log, an audit trail or counters.
///
/// `emit` is called on the session's task: it must not block, and it cannot fail or veto.
pub trait Events: Send + Sync {
    /// Records one event.
    fn emit(&self, client: &ClientInfo, event: &Event<'_>);

    /// Whether [`Event::Command`] is wanted; otherwise the engine does not emit it.
    fn wants_commands(&self) -> bool {
        false
    }
}

/// The session of an event.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The session's number, counted from 1 and unique in the process.
    pub session: u64,
    /// The client's address of the control connection.
    pub peer: SocketAddr,
    /// The server's address of the control connection.
    pub local: SocketAddr,
    /// The account, once logged in.
    pub user: Option<String>,
    /// Whether TLS protects the control connection.
    pub is_tls: bool,
    /// The name of the client program (CLNT), escaped.
    pub client: Option<String>,
    /// The account's files, once logged in.
    pub tree: AccountFiles,
}

/// Maps paths of an account to those of the operating system.
#[derive(Clone, Default)]
pub struct AccountFiles(Option<Arc<dyn Storage>>);

impl AccountFiles {
    /// For an account with this store.
    pub fn of(files: Arc<dyn Storage>) -> Self {
        Self(Some(files))
    }

    /// The operating system's path; `None` if the store has none, or before a login.
    pub fn real_path(&self, at: &VPath) -> Option<PathBuf> {
        self.0.as_ref()?.real_path(at)
    }
}

impl fmt::Debug for AccountFiles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_some() { "AccountFiles(..)" } else { "AccountFiles" })
    }
}

/// An event. Each is one line in a log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A client was greeted.
    Connected,
    /// A connection or session was rejected (421).
    ConnectionRejected {
        /// The limit, as in the reply to the client.
        reason: &'a str,
    },
    /// An address or a network was banned. Emitted outside of any session: the session number is 0,
    /// and the peer is the network's first address.
    BanAdded {
        /// Such as `192.0.2.7/32` or `2001:db8:1:2::/64`.
        network: &'a str,
        /// The reason, for the administrator.
        reason: &'a str,
        /// The duration; `None`: until it is lifted.
        time: Option<Duration>,
        /// Whether an administrator set it; otherwise too many logins failed.
        is_manual: bool,
    },
    /// A ban ended. Emitted outside of any session, like `BanAdded`.
    BanRemoved {
        /// The banned network.
        network: &'a str,
        /// The reason, for the administrator.
        reason: &'a str,
    },
    /// Too many logins with this name failed from addresses from which it never logged in; logins
    /// from such addresses are rejected for some time.
    AccountLocked {
        /// The name, escaped. An account with this name need not exist.
        user: &'a str,
        /// The duration.
        time: Duration,
    },
    /// TLS now protects the control connection.
    TlsEstablished {
        /// Such as `TLSv1.3`.
        version: &'a str,
        /// Such as `TLS13_AES_256_GCM_SHA384`.
        cipher: &'a str,
    },
    /// A login succeeded.
    LoggedIn,
    /// A login failed.
    LoginFailed {
        /// The name that was tried, escaped.
        user: &'a str,
        /// The reason, for the administrator.
        reason: &'a str,
    },
    /// The legacy character set of a client's names was recognised. Emitted once a session, and
    /// again if later names show another set.
    CharsetDetected {
        /// Its name, such as `GBK`.
        charset: &'a str,
        /// Whether it is certain, from an existing or an unambiguous name; otherwise it is the most
        /// likely set.
        is_certain: bool,
    },
    /// A transfer of a file ended, complete or not.
    Transferred(&'a Transferred<'a>),
    /// A complete upload was rejected by a check before it was published, for example because of a
    /// virus. There is no `Transferred` for it.
    UploadCheckRejected {
        /// The target of the upload.
        path: &'a VPath,
        /// Bytes on the data connection.
        bytes: u64,
        /// The reason from the check.
        reason: &'a str,
        /// The id of the upload in the check and the quarantine, if any.
        id: Option<&'a str>,
    },
    /// A command was denied by a rule for another path than its own: the target of a link, or a
    /// path below that of a rename.
    CommandDenied {
        /// Such as `RNTO`.
        command: &'a str,
        /// The path in the command.
        path: &'a VPath,
        /// The rule, for the administrator.
        reason: &'a str,
    },
    /// An upload was denied before it began.
    UploadDenied {
        /// The target of the upload.
        path: &'a VPath,
        /// The reason, for the administrator.
        reason: &'a str,
        /// A hint, or empty.
        hint: &'a str,
    },
    /// A file was removed.
    FileRemoved(&'a VPath),
    /// A directory was created.
    DirectoryMade(&'a VPath),
    /// A directory was removed.
    DirectoryRemoved(&'a VPath),
    /// A file or directory was renamed.
    Renamed {
        /// Its old path.
        from: &'a VPath,
        /// Its new path.
        to: &'a VPath,
    },
    /// A file was copied on the server.
    Copied {
        /// The source.
        from: &'a VPath,
        /// The copy.
        to: &'a VPath,
    },
    /// Times or permission bits were changed.
    AttributesChanged(&'a VPath),
    /// A data connection could not be established.
    DataConnectionFailed {
        /// The reason, for the administrator.
        reason: &'a str,
    },
    /// A data connection was accepted by its address only, because it did not resume the TLS
    /// session of the control connection. Emitted once a session.
    DataConnectionTlsNotResumed,
    /// Peers other than the client connected to its passive port and were rejected.
    DataConnectionUnexpectedPeers {
        /// The address of the first one.
        first: IpAddr,
        /// The number of connections.
        count: usize,
    },
    /// Data connections of a network fail. Emitted once an hour for each network and cause.
    DataConnectionDiagnosis {
        /// The clients: an IPv4 /24 or an IPv6 /64.
        network: &'a str,
        /// The stable name of the cause, such as `no-connection`.
        cause: &'a str,
        /// What was observed, for the administrator.
        reason: &'a str,
        /// Failed data connections in about the last day.
        failed: u64,
        /// Established data connections in that time.
        established: u64,
        /// A hint.
        hint: &'a str,
    },
    /// The store failed in a way that needs the attention of an administrator.
    StorageFailed {
        /// The operation and the error of the store.
        reason: &'a str,
    },
    /// A command and its last reply. Secrets are masked.
    Command {
        /// The line, escaped.
        line: &'a str,
        /// The reply code.
        code: Code,
        /// The last line of the reply, escaped.
        text: &'a str,
    },
    /// The session ended.
    SessionEnded {
        /// The reason, for the administrator.
        reason: &'a str,
        /// The duration of the session.
        after: Duration,
    },
}

/// One transfer of a file, from 150 to its last reply.
#[derive(Clone, Debug)]
pub struct Transferred<'a> {
    /// The direction.
    pub direction: Direction,
    /// The file.
    pub path: &'a VPath,
    /// Bytes on the data connection, before TLS.
    pub bytes: u64,
    /// From the first reply to the end.
    pub took: Duration,
    /// Whether the client got 226.
    pub is_complete: bool,
    /// Whether line ends were converted (TYPE A).
    pub is_ascii: bool,
    /// Whether the data connection was protected by TLS.
    pub is_tls: bool,
    /// The reason of a failure, for the administrator; empty if complete.
    pub reason: &'a str,
    /// A remark on a complete transfer, for the administrator; usually empty.
    pub note: &'a str,
}

/// The direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    Upload,
    /// From the server to the client.
    Download,
}

/// Discards all events.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn emit(&self, _client: &ClientInfo, _event: &Event<'_>) {}
}
