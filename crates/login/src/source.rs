//! What is asked of whoever proves passwords, and what is answered.

use std::fmt;
use std::path::PathBuf;

use wharf_core::account::Limits;
use wharf_core::async_trait;
use wharf_core::permission::Permissions;
use wharf_core::users::{Attempt, Denied};
use wharf_proto::path::VPath;

/// Somebody who proves passwords.
#[async_trait]
pub trait Source: Send + Sync {
    /// Its name in logs, such as `ldap`.
    fn name(&self) -> &'static str;

    /// Says whether the password is that of the name.
    ///
    /// Bounded in time and number: it answers [`Stopped`] rather than wait for ever. An empty
    /// password proves nothing, whatever the source says of it. Dropping the future leaves nothing
    /// half done.
    async fn prove(&self, attempt: &Attempt<'_>) -> Result<Verdict, Stopped>;
}

/// What a source says of a name and a password.
#[derive(Debug)]
pub enum Verdict {
    /// The password is right.
    Proven(Box<Proven>),
    /// The name is nobody's here: somebody else may know it.
    Unknown,
    /// The name is known, and that is all: nobody else is asked.
    Denied(Denied),
}

/// What a source knows of somebody who has proven to be them. Nothing where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proven {
    /// The name as the source spells it.
    pub name: Option<String>,
    /// Where its files are.
    pub home: Option<PathBuf>,
    /// The same, where nobody has said anything better.
    pub system_home: Option<PathBuf>,
    /// What it may do.
    pub permissions: Option<Permissions>,
    /// What it may do below some paths.
    pub paths: Vec<(VPath, Permissions)>,
    /// How much and how many.
    pub limits: Limits,
    /// Whether it must use TLS.
    pub requires_tls: bool,
}

/// Why there is no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Too many are being asked about already.
    Busy,
    /// The source is down, or says what cannot be understood: a sentence for the operator, without
    /// secrets.
    Broken(String),
}

/// Why a source cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// It was left out when this was built; its name for people.
    NotBuilt(&'static str),
    /// The file of authorities has no certificates, or cannot be read.
    Roots {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system has no authorities to trust.
    NoRoots {
        /// What is wrong.
        why: String,
    },
    /// A helper cannot be started.
    Helper(std::io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt(name) => write!(out, "this wharf was built without {name}"),
            Self::Roots { path, why } => write!(out, "{}: {why}", path.display()),
            Self::NoRoots { why } => {
                write!(out, "this system has no root certificates to trust: {why}")
            }
            Self::Helper(error) => write!(out, "the helper does not start: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl Verdict {
    /// The password is right, and nothing else is known.
    pub fn proven() -> Self {
        Self::Proven(Box::default())
    }

    /// The password is wrong.
    pub fn wrong() -> Self {
        Self::Denied(Denied::WrongPassword)
    }

    /// The name is known, but may not come: why, for the log.
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Denied(Denied::Refused(why.into()))
    }
}
