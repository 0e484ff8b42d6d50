//! The row of a command: all of its properties.

use std::pin::Pin;

use wharf_core::permission::Permissions;
use wharf_proto::reply::Code;

use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::{CarriedOver, Session};

/// A command's row, the only place for its properties. The permission check, FEAT, HELP and the
/// reference are derived from it.
pub(crate) struct Spec {
    /// In upper case; two words for a SITE command.
    pub(crate) verb: &'static str,
    /// Aliases.
    pub(crate) also: &'static [&'static str],
    /// The syntax, such as `DELE <path>`.
    pub(crate) syntax: &'static str,
    /// The description: one sentence without its full stop.
    pub(crate) about: &'static str,
    /// The defining document.
    pub(crate) rfc: &'static str,
    /// What HELP adds if the settings disable a part of the command, or nothing.
    pub(crate) restriction: fn(&Session) -> &'static str,
    /// The syntax if the settings disable a part of the command.
    pub(crate) restricted_syntax: fn(&Session) -> Option<&'static str>,
    pub(crate) arg: Arg,
    pub(crate) stage: SessionStage,
    /// The permissions that it needs.
    pub(crate) needs: Permissions,
    /// Whether it is answered as not implemented (502), not as forbidden (550), without its
    /// permissions.
    pub(crate) is_extra: bool,
    pub(crate) meanwhile: Meanwhile,
    /// Whether it uses a data connection, so that PASV or PORT must precede it.
    pub(crate) moves_data: bool,
    /// Whether the pending state of REST, RNFR and so on survives it.
    pub(crate) keeps_pending: bool,
    /// The pending state that it sets for the next command.
    pub(crate) carries_over: CarriedOver,
    /// The code for an unavailable file, which differs by command (RFC 959 §5.4).
    pub(crate) unavailable: Code,
    /// Its lines in FEAT (RFC 2389).
    pub(crate) features: fn(&Session) -> Vec<String>,
    /// Whether its argument is secret and must not be logged.
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

/// The future of an asynchronous command.
pub(crate) type CommandFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Next, Refusal>> + Send + 'a>>;

/// Whether a command has an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arg {
    /// No argument; if there is one, it is ignored.
    None,
    /// An optional argument.
    Optional,
    /// A required argument; without it, the reply is 501.
    Required,
}

/// When a command is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionStage {
    /// At any time.
    Any,
    /// After a login; before it, the reply is 530.
    LoggedIn,
}

/// How a command is handled during a transfer.
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
    /// Runs the command, which `gate` has admitted.
    pub(crate) async fn run(&self, session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
        let done = match self.run {
            Run::Sync(act) => act(session, arg),
            Run::Async(act) => act(session, arg).await,
        };
        done.map_err(|refusal| refusal.with_syntax(self.syntax_in(session)))
    }

    /// The syntax with the settings of the session.
    pub(crate) fn syntax_in(&self, session: &Session) -> &'static str {
        (self.restricted_syntax)(session).unwrap_or(self.syntax)
    }

    /// The defaults of a command that needs a login and these permissions.
    ///
    /// Every row must state its permissions, even if it needs none: this is the only constructor.
    pub(crate) const fn logged_in(needs: Permissions) -> Self {
        Self {
            verb: "",
            also: &[],
            syntax: "",
            about: "",
            rfc: "RFC 959",
            restriction: |_| "",
            restricted_syntax: |_| None,
            arg: Arg::None,
            stage: SessionStage::LoggedIn,
            needs,
            is_extra: false,
            meanwhile: Meanwhile::Wait,
            moves_data: false,
            keeps_pending: false,
            carries_over: CarriedOver::Nothing,
            unavailable: Code::FILE_UNAVAILABLE,
            features: |_| Vec::new(),
            is_secret: false,
            run: Run::Sync(|_, _| Next::reply(Code::NOT_IMPLEMENTED, "Command not implemented.")),
        }
    }

    /// The defaults of a command that is allowed before a login, and so needs no permissions.
    pub(crate) const fn any_time() -> Self {
        Self { stage: SessionStage::Any, ..Self::logged_in(Permissions::NONE) }
    }
}
