//! Who may log in: one question, one answer.

use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;

use crate::account::Account;

/// A place that knows accounts and their passwords.
#[async_trait]
pub trait Users: Send + Sync {
    /// Says whose this attempt is, or why it is nobody's.
    ///
    /// The answer for an unknown name must take as long as for a wrong password. Slow work (a
    /// password hash) must not block the thread: hand it to a blocking thread. Dropping the future
    /// must leave nothing half done.
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied>;

    /// The same attempt again, in a second reading of the bytes that a client sent: see `login`.
    ///
    /// What was asked outside of this computer the first time is not asked again: there, each
    /// question may count as a failed login of its own. A store that asks nobody else need not
    /// tell the two apart.
    async fn login_again(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        self.login(attempt).await
    }

    /// Says what is known of the name whatever the password, for whoever has it proven elsewhere.
    ///
    /// All of the account's own rules hold as for a login: one that is switched off, or may not
    /// come like this, is an error. A store that keeps passwords without accounts need not answer.
    async fn account_status(&self, attempt: &Attempt<'_>) -> Result<AccountStatus, Denied> {
        let _ = attempt;
        Ok(AccountStatus::Unknown)
    }

    /// Whether `user` names the account that needs no password. Such a login is no secret, so it
    /// is allowed without TLS where policy asks TLS for passwords.
    fn is_anonymous(&self, user: &str) -> bool {
        let _ = user;
        false
    }
}

/// What a store knows of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// Nothing.
    Unknown,
    /// An account.
    Known {
        /// As it is after a login.
        account: Box<Account>,
        /// Whether the store has something about its password, be it that there is none. If not,
        /// somebody else may prove whose it is.
        has_password: bool,
    },
}

/// Someone at the door.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The name after USER: valid UTF-8, 1 to 64 bytes, no control bytes, checked by the engine.
    pub user: &'a str,
    /// The bytes after PASS, at most 1024. Not necessarily text.
    pub secret: &'a [u8],
    /// Where they come from.
    pub peer: IpAddr,
    /// Whether TLS protects the control connection.
    pub is_tls: bool,
}

/// The secret is left out.
impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Attempt")
            .field("user", &self.user)
            .field("peer", &self.peer)
            .field("is_tls", &self.is_tls)
            .finish_non_exhaustive()
    }
}

/// Why a login failed. For the log alone: the client hears one text for all of them.
#[derive(Debug)]
#[non_exhaustive]
pub enum Denied {
    /// No account has this name.
    UnknownUser,
    /// The password is not the account's.
    WrongPassword,
    /// The password is not the account's, which has this name, and not the one that was tried:
    /// directories know an account by several.
    WrongPasswordOf(String),
    /// The account is switched off.
    Disabled,
    /// The account can have no password login: its stored hash is empty or unreadable.
    NoPassword,
    /// The account's own rules forbid it: from this address, without TLS, over its sessions.
    Refused(String),
    /// Too many logins are being checked already; this one was not. Whoever it was may come again.
    Busy,
    /// The store of accounts failed; nobody's fault at the door.
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for Denied {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownUser => out.write_str("no such account"),
            Self::WrongPassword | Self::WrongPasswordOf(_) => out.write_str("wrong password"),
            Self::Disabled => out.write_str("the account is disabled"),
            Self::NoPassword => out.write_str("the account has no usable password"),
            Self::Refused(why) => out.write_str(why),
            Self::Busy => out.write_str("too many logins at once"),
            Self::Broken(source) => write!(out, "the accounts cannot be read: {source}"),
        }
    }
}
