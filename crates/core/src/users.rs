//! Account backends: authentication.

use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;

use crate::account::Account;

/// A store of accounts and their passwords.
#[async_trait]
pub trait Users: Send + Sync {
    /// Authenticates an attempt and returns the account, or why it is denied.
    ///
    /// An unknown name must take as long as a wrong password. Slow work (password hashing) must run
    /// on a blocking thread. The future may be dropped at any time and must not leave an operation
    /// incomplete.
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied>;

    /// The same attempt in a second decoding of the bytes that the client sent; see `login`.
    ///
    /// External services that were queried the first time must not be queried again: each query
    /// may count as a separate failed login. Stores without external services need not override it.
    async fn login_again(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        self.login(attempt).await
    }

    /// Looks up an account without checking the password, for users that an external service
    /// authenticates.
    ///
    /// The account's own rules apply as for a login: a disabled account, or one that may not log in
    /// from this address, is an error. Stores of passwords without accounts need not override it.
    async fn account_status(&self, attempt: &Attempt<'_>) -> Result<AccountStatus, Denied> {
        let _ = attempt;
        Ok(AccountStatus::Unknown)
    }

    /// Whether `user` is the anonymous account. Its login contains no secret, so it is allowed
    /// without TLS if the policy requires TLS for passwords.
    fn is_anonymous(&self, user: &str) -> bool {
        let _ = user;
        false
    }
}

/// The result of a lookup by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// The name is unknown.
    Unknown,
    /// The account exists.
    Known {
        /// The account, as after a login.
        account: Box<Account>,
        /// Whether the store decides about its password, including that it has none. If not, an
        /// external service may authenticate it.
        has_password: bool,
    },
}

/// A login attempt.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The name after USER: valid UTF-8, 1 to 64 bytes, no control bytes, checked by the engine.
    pub user: &'a str,
    /// The bytes after PASS, at most 1024. Not necessarily text.
    pub secret: &'a [u8],
    /// The client's address.
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

/// Why a login failed. Only for the log: clients get the same reply for all of them.
#[derive(Debug)]
#[non_exhaustive]
pub enum Denied {
    /// No account has this name.
    UnknownUser,
    /// The password is wrong.
    WrongPassword,
    /// The password is wrong for the account with this name, which differs from the one that was
    /// sent: directories accept several names for an account.
    WrongPasswordOf(String),
    /// The account is disabled.
    Disabled,
    /// The account has no usable password: its stored hash is empty or invalid.
    NoPassword,
    /// The account's own rules deny it, such as the address, TLS or its number of sessions.
    ByRule(String),
    /// Too many logins are being checked; this one was not, and can be retried.
    Busy,
    /// The account store failed.
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for Denied {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownUser => out.write_str("unknown account"),
            Self::WrongPassword | Self::WrongPasswordOf(_) => out.write_str("wrong password"),
            Self::Disabled => out.write_str("the account is disabled"),
            Self::NoPassword => out.write_str("the account has no usable password"),
            Self::ByRule(why) => out.write_str(why),
            Self::Busy => out.write_str("too many logins at once"),
            Self::Broken(source) => write!(out, "the accounts cannot be read: {source}"),
        }
    }
}
