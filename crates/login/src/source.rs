//! The interface of authentication backends.

use std::fmt;
use std::path::PathBuf;

use wharf_core::account::AccountLimits;
use wharf_core::async_trait;
use wharf_core::permission::Permissions;
use wharf_core::users::{Attempt, Denied};
use wharf_proto::path::VPath;

/// An authentication backend.
#[async_trait]
pub trait AuthBackend: Send + Sync {
    /// Its name in logs, such as `ldap`.
    fn name(&self) -> &'static str;

    /// Verifies the password of a user.
    ///
    /// Bounded in time and number: returns [`AuthUnavailable`] instead of waiting for ever. An
    /// empty password is rejected, whatever the backend returns. Cancel safe.
    async fn authenticate(&self, attempt: &Attempt<'_>) -> Result<AuthOutcome, AuthUnavailable>;
}

/// The result of an authentication backend.
#[derive(Debug)]
pub enum AuthOutcome {
    /// The password is right.
    Authenticated(Box<ExternalAccount>),
    /// The backend does not have the name: the next step is tried.
    Unknown,
    /// The login is rejected; no further step is tried.
    Denied(Denied),
}

/// The facts about an authenticated user; empty where the backend has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExternalAccount {
    /// The name as the source spells it.
    pub name: Option<String>,
    /// Where its files are.
    pub home: Option<PathBuf>,
    /// As `home`, used if there is no other.
    pub system_home: Option<PathBuf>,
    /// What it may do.
    pub permissions: Option<Permissions>,
    /// What it may do below some paths.
    pub paths: Vec<(VPath, Permissions)>,
    /// How much and how many.
    pub limits: AccountLimits,
    /// Whether it must use TLS.
    pub requires_tls: bool,
}

/// Why a backend has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthUnavailable {
    /// Too many concurrent logins.
    Busy,
    /// The backend is unavailable, or its response is invalid: a sentence for the administrator,
    /// without secrets.
    Broken(String),
}

/// Why a source cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceOpenError {
    /// Not compiled in; with the name of the backend.
    NotBuilt(&'static str),
    /// The file of authorities has no certificates, or cannot be read.
    Roots {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The system has no authorities to trust.
    NoRoots {
        /// The reason.
        why: String,
    },
    /// A helper cannot be started.
    Helper(std::io::Error),
}

impl fmt::Display for SourceOpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt(name) => write!(out, "this wharf was built without {name}"),
            Self::Roots { path, why } => write!(out, "{}: {why}", path.display()),
            Self::NoRoots { why } => {
                write!(out, "no root certificates found: {why}")
            }
            Self::Helper(error) => write!(out, "cannot start the PAM helper: {error}"),
        }
    }
}

impl std::error::Error for SourceOpenError {}

impl AuthOutcome {
    /// The password is right, and nothing else is known.
    pub fn accepted() -> Self {
        Self::Authenticated(Box::default())
    }

    /// The password is wrong.
    pub fn wrong() -> Self {
        Self::Denied(Denied::WrongPassword)
    }

    /// The name is known, but the login is rejected; with the reason, for the log.
    pub fn rejected(why: impl Into<String>) -> Self {
        Self::Denied(Denied::ByRule(why.into()))
    }
}
