//! What happened, told after the fact.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wharf_proto::path::VPath;
use wharf_proto::reply::Code;

use crate::storage::Storage;

/// Somebody who wants to know: a log, an audit trail, counters.
///
/// `emit` is called on the session's own task: it must not block, cannot fail and cannot veto.
pub trait Events: Send + Sync {
    /// Takes note of one event.
    fn emit(&self, who: &ClientInfo, event: &Event<'_>);

    /// Whether [`Event::Command`] is wanted; without it the engine does not make those at all.
    fn wants_commands(&self) -> bool {
        false
    }
}

/// Whose session it was.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The session's number, unique as long as the process runs, counted from 1.
    pub session: u64,
    /// The client's end of the control connection.
    pub peer: SocketAddr,
    /// Our end of the control connection.
    pub local: SocketAddr,
    /// The account, once logged in.
    pub user: Option<String>,
    /// Whether TLS protects the control connection.
    pub is_tls: bool,
    /// What the client calls itself (CLNT), with anything harmful escaped.
    pub client: Option<String>,
    /// The account's files, once logged in.
    pub tree: AccountFiles,
}

/// The files of an account, for those who want to know where the operating system has them.
#[derive(Clone, Default)]
pub struct AccountFiles(Option<Arc<dyn Storage>>);

impl AccountFiles {
    /// That of an account whose files are here.
    pub fn of(files: Arc<dyn Storage>) -> Self {
        Self(Some(files))
    }

    /// Where the operating system has a path; none where it has it nowhere, or nobody is logged in.
    pub fn real_path(&self, at: &VPath) -> Option<PathBuf> {
        self.0.as_ref()?.real_path(at)
    }
}

impl fmt::Debug for AccountFiles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_some() { "AccountFiles(..)" } else { "AccountFiles" })
    }
}

/// One thing that happened. Every event is one line in a log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A client was greeted.
    Connected,
    /// A client was turned away at the door (421).
    Rejected {
        /// Which limit it was, as the client heard it.
        reason: &'a str,
    },
    /// An address or a network may not come in any more. Told outside any session: the session
    /// number is 0, and the peer is the network's first address.
    Banned {
        /// As in `192.0.2.7/32` or `2001:db8:1:2::/64`.
        network: &'a str,
        /// Why, for the operator.
        reason: &'a str,
        /// For how long; `None`: until somebody lifts it.
        time: Option<Duration>,
        /// Whether somebody asked for it; else too many logins failed.
        is_manual: bool,
    },
    /// A ban is over. Told outside any session, as `Banned` is.
    BanLifted {
        /// As it was banned.
        network: &'a str,
        /// Why, for the operator.
        reason: &'a str,
    },
    /// Too many logins with this name failed from addresses from which it never logged in: such
    /// addresses are not heard for a while.
    AccountLocked {
        /// The name, escaped. There need not be such an account.
        user: &'a str,
        /// For how long.
        time: Duration,
    },
    /// TLS now protects the control connection.
    Secured {
        /// As in `TLSv1.3`.
        version: &'a str,
        /// As in `TLS13_AES_256_GCM_SHA384`.
        cipher: &'a str,
    },
    /// Somebody logged in.
    LoggedIn,
    /// A login failed.
    LoginFailed {
        /// The name that was tried, escaped.
        user: &'a str,
        /// Why, for the operator.
        reason: &'a str,
    },
    /// A client sends names that are not UTF-8, and it was recognised in which character set they
    /// are. Told once a session, and again only if later names show another set.
    CharsetRecognised {
        /// Its name, such as `GBK`.
        charset: &'a str,
        /// Whether that is certain: a name that exists, or one that is clear, shows it. Else it is
        /// the most likely set.
        is_certain: bool,
    },
    /// A file went one way or the other, whole or not.
    Transferred(&'a Transferred<'a>),
    /// An upload had come whole, and was refused before it was published: a virus, say. There is
    /// no `Transferred` of it.
    UploadRefused {
        /// Where it would have stood.
        path: &'a VPath,
        /// Bytes on the data connection.
        bytes: u64,
        /// What was said of it.
        reason: &'a str,
        /// The id under which the check and the quarantine know it, if they gave one: what is
        /// reported of it carries the same.
        id: Option<&'a str>,
    },
    /// A command was refused because of a rule that its path alone does not show: the rule is for
    /// another path, to which a link leads or which a rename would move.
    Denied {
        /// As in `RNTO`.
        command: &'a str,
        /// What was asked for.
        path: &'a VPath,
        /// The rule, for the administrator.
        reason: &'a str,
    },
    /// An upload was refused before a byte of it came.
    UploadDenied {
        /// Where it would have stood.
        path: &'a VPath,
        /// Why, for the administrator.
        reason: &'a str,
        /// What would help; empty where nothing is known.
        help: &'a str,
    },
    /// A file was removed.
    FileRemoved(&'a VPath),
    /// A directory was made.
    DirectoryMade(&'a VPath),
    /// A directory was removed.
    DirectoryRemoved(&'a VPath),
    /// Something got another name.
    Renamed {
        /// Its old path.
        from: &'a VPath,
        /// Its new path.
        to: &'a VPath,
    },
    /// A file was copied on the server.
    Copied {
        /// What was copied.
        from: &'a VPath,
        /// Where the copy is.
        to: &'a VPath,
    },
    /// Times or permission bits were changed.
    Changed(&'a VPath),
    /// A data connection did not come to be.
    DataFailed {
        /// Why, for the operator.
        reason: &'a str,
    },
    /// A data connection was let in by its address alone: its TLS session was not that of the
    /// control connection. Told once a session.
    DataUnproven,
    /// Others than the client came to a data port that was meant for it. They were turned away.
    DataUnexpectedPeers {
        /// Who came first.
        first: IpAddr,
        /// How many connections there were.
        count: usize,
    },
    /// Data connections of a network do not come to be. Told once an hour for each network and
    /// cause.
    DataConnProblem {
        /// The clients: an IPv4 /24 or an IPv6 /64.
        network: &'a str,
        /// The cause, as scripts know it, such as `no-connection`.
        cause: &'a str,
        /// What was seen, for the operator.
        reason: &'a str,
        /// How often in about the last day.
        failed: u64,
        /// How many came to be in that time.
        arrived: u64,
        /// What would help.
        remedy: &'a str,
    },
    /// The store failed in a way that an operator should look at.
    StoreFailed {
        /// What was asked, and what the store said.
        reason: &'a str,
    },
    /// A command and its last reply. Secrets are masked.
    Command {
        /// The line, escaped.
        line: &'a str,
        /// The code it was answered with.
        code: Code,
        /// The last line of the answer, escaped.
        text: &'a str,
    },
    /// The session is over.
    Ended {
        /// Why, for the operator.
        reason: &'a str,
        /// How long it lasted.
        after: Duration,
    },
}

/// One transfer of a file, from 150 to its last reply.
#[derive(Clone, Debug)]
pub struct Transferred<'a> {
    /// Which way.
    pub direction: Direction,
    /// The file.
    pub path: &'a VPath,
    /// Bytes on the data connection, before TLS.
    pub bytes: u64,
    /// From the first reply to the end.
    pub took: Duration,
    /// Whether the client was told 226.
    pub is_complete: bool,
    /// Whether line ends were converted (TYPE A).
    pub is_ascii: bool,
    /// Whether the data connection was protected by TLS.
    pub is_tls: bool,
    /// Why it failed, for the operator; empty when complete.
    pub reason: &'a str,
    /// What was unusual about one that is complete, for the operator; mostly empty.
    pub note: &'a str,
}

/// Which way a file went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to us.
    Upload,
    /// From us to the client.
    Download,
}

/// Events that nobody wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn emit(&self, _who: &ClientInfo, _event: &Event<'_>) {}
}
