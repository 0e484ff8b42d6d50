//! What is to be known of a command before it runs: its row.

use std::pin::Pin;

use wharf_core::permission::Permissions;
use wharf_proto::reply::Code;

use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::{CarriedOver, Session};

/// A command's row. Everything that is true of it stands here and nowhere else: the gate, FEAT,
/// HELP and the reference are made from it.
pub(crate) struct Spec {
    /// In upper case; two words for a SITE command.
    pub(crate) verb: &'static str,
    /// Other names for the same.
    pub(crate) also: &'static [&'static str],
    /// As in `DELE <path>`.
    pub(crate) syntax: &'static str,
    /// One sentence without its full stop.
    pub(crate) about: &'static str,
    /// Where it is defined.
    pub(crate) rfc: &'static str,
    /// What HELP adds where the settings take a part of it away; empty: nothing.
    pub(crate) restriction: fn(&Session) -> &'static str,
    pub(crate) arg: Arg,
    pub(crate) stage: Stage,
    /// Rights without which it can never succeed.
    pub(crate) needs: Permissions,
    /// Whether it is not to be had at all without these rights (502), like a command that does not
    /// exist, rather than forbidden (550).
    pub(crate) is_extra: bool,
    pub(crate) meanwhile: Meanwhile,
    /// Whether it moves data, so that PASV or PORT must come before it.
    pub(crate) moves_data: bool,
    /// Whether what REST and RNFR left is still remembered after it.
    pub(crate) keeps_pending: bool,
    /// What it leaves for the next command.
    pub(crate) carries_over: CarriedOver,
    /// The code for a file that is not to be had (RFC 959 §5.4 differs by command).
    pub(crate) unavailable: Code,
    /// Its lines in FEAT (RFC 2389).
    pub(crate) features: fn(&Session) -> Vec<String>,
    /// Whether its argument is a secret, never to be logged.
    pub(crate) is_secret: bool,
    pub(crate) run: Run,
}

/// A command's function.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// Completes without waiting.
    Sync(fn(&mut Session, &[u8]) -> Result<Next, Refusal>),
    /// Waits for I/O, such as a file, a password check or a port.
    Async(for<'a> fn(&'a mut Session, &'a [u8]) -> CommandFuture<'a>),
}

/// A command at work.
pub(crate) type CommandFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Next, Refusal>> + Send + 'a>>;

/// Whether a command has an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arg {
    /// None; if one comes, it is passed over.
    None,
    /// One may be there.
    Optional,
    /// Without one it is 501.
    Required,
}

/// When a command may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// At any time.
    Any,
    /// After a login; before, it is 530.
    LoggedIn,
}

/// What a command does while a transfer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// Waits for the end of the transfer.
    Wait,
    /// Is answered at once, if it has no argument.
    Now,
    /// Ends the transfer.
    Abort,
}

impl Spec {
    /// Runs the command. The gate has let it through.
    pub(crate) async fn run(&self, session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
        match self.run {
            Run::Sync(act) => act(session, arg),
            Run::Async(act) => act(session, arg).await,
        }
    }

    /// What most commands have in common: a login, and these rights.
    ///
    /// The only way to a row for those who are logged in: one that does not say which rights it
    /// needs, if only that it needs none, does not compile.
    pub(crate) const fn logged_in(needs: Permissions) -> Self {
        Self {
            verb: "",
            also: &[],
            syntax: "",
            about: "",
            rfc: "RFC 959",
            restriction: |_| "",
            arg: Arg::None,
            stage: Stage::LoggedIn,
            needs,
            is_extra: false,
            meanwhile: Meanwhile::Wait,
            moves_data: false,
            keeps_pending: false,
            carries_over: CarriedOver::Nothing,
            unavailable: Code::FILE_UNAVAILABLE,
            features: |_| Vec::new(),
            is_secret: false,
            run: Run::Sync(|_, _| Next::say(Code::NOT_IMPLEMENTED, "Not implemented.")),
        }
    }

    /// What commands have in common that may come before a login, when nobody has rights yet.
    pub(crate) const fn any_time() -> Self {
        Self { stage: Stage::Any, ..Self::logged_in(Permissions::NONE) }
    }
}
