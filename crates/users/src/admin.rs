//! Account administration, independent of the store.

use std::fmt;
use std::path::Path;

use wharf_core::async_trait;

use crate::file::{EditError, Fault, Setting, StoreChange, StoredHash, UserRecord, UsersFileError};

pub use file::FileAdmin;

mod file;

/// The most accounts on one page of [`UserAdmin::page`].
pub const PAGE_MAX: usize = 1000;

/// A store of accounts that an administrator can read and change.
///
/// Changes take effect at the next login. Each change is atomic, also if its future is dropped.
#[async_trait]
pub trait UserAdmin: Send + Sync {
    /// What to call it in messages: a path, or an address without a password.
    fn place(&self) -> String;

    /// The folder that relative homes start from.
    fn folder(&self) -> &Path;

    /// All groups.
    ///
    /// # Errors
    /// The store cannot be read or is invalid.
    async fn groups(&self) -> Result<Vec<UserRecord>, AdminError>;

    /// Up to [`PAGE_MAX`] accounts after the account `after` (from the first if `None`), in a
    /// stable order, without settings inherited from groups. An empty page marks the end.
    ///
    /// # Errors
    /// The store cannot be read or is invalid.
    async fn page(&self, after: Option<&str>) -> Result<Vec<UserRecord>, AdminError>;

    /// The account with this name, with the settings inherited from its groups.
    ///
    /// # Errors
    /// The store cannot be read or is invalid.
    async fn find(&self, name: &str) -> Result<Option<UserRecord>, AdminError>;

    /// The account with this name, without settings inherited from groups.
    ///
    /// # Errors
    /// The store cannot be read or is invalid.
    async fn own(&self, name: &str) -> Result<Option<UserRecord>, AdminError>;

    /// The accounts and groups that are invalid while the others can be used; the other methods
    /// skip them. Empty for a store that is validated as a whole.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn faults(&self) -> Result<Vec<Fault>, AdminError> {
        Ok(Vec::new())
    }

    /// Does all of it, in this order, or nothing.
    ///
    /// # Errors
    /// The store is as it was: a name is taken or unknown, the result would be unusable, or the
    /// store cannot be changed.
    async fn change(&self, changes: &[StoreChange]) -> Result<(), AdminError>;

    /// Adds an account; it or one of its groups must have a home.
    ///
    /// # Errors
    /// As [`UserAdmin::change`].
    async fn add(&self, name: &str, settings: Vec<Setting>) -> Result<(), AdminError> {
        self.change(&[StoreChange::add(name, settings)]).await
    }

    /// Sets some things of an account and leaves the others.
    ///
    /// # Errors
    /// As [`UserAdmin::change`].
    async fn set(&self, name: &str, settings: Vec<Setting>) -> Result<(), AdminError> {
        self.change(&[StoreChange::set(name, settings)]).await
    }

    /// Changes the password of an account.
    ///
    /// # Errors
    /// As [`UserAdmin::change`].
    async fn set_password(&self, name: &str, hash: StoredHash) -> Result<(), AdminError> {
        self.set(name, vec![Setting::Password(hash)]).await
    }

    /// Takes an account out; its files stay.
    ///
    /// # Errors
    /// As [`UserAdmin::change`].
    async fn remove(&self, name: &str) -> Result<(), AdminError> {
        self.change(&[StoreChange::remove(name)]).await
    }
}

/// Why accounts were not shown or changed. The store is as it was.
#[derive(Debug)]
pub enum AdminError {
    /// A name, the result, or a file.
    Edit(EditError),
    /// A database.
    Store(StoreError),
}

/// A store that cannot be used: what happened and where, and what would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What kind of thing it is.
    pub kind: StoreErrorKind,
    /// What happened, with the path or address. Contains no password.
    pub what: String,
    /// What would help.
    pub hint: Option<String>,
}

/// The category of a store error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// There is none yet.
    Missing,
    /// It does not respond; temporary.
    Unreachable,
    /// It does not let us in, or not do this.
    Forbidden,
    /// This account or group is invalid; the others can be used.
    Invalid,
    /// It is not what it should be: no database, a newer one, another program's.
    Unusable,
    /// Another client changed the same record.
    Conflict,
    /// Too many requests at the same time.
    Busy,
}

impl StoreError {
    /// Without help.
    pub fn new(kind: StoreErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: None }
    }

    /// With what would help.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(out, " ({hint})"))
    }
}

impl std::error::Error for StoreError {}

impl fmt::Display for AdminError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edit(error) => error.fmt(out),
            Self::Store(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for AdminError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Edit(error) => Some(error),
            Self::Store(error) => Some(error),
        }
    }
}

impl From<EditError> for AdminError {
    fn from(error: EditError) -> Self {
        Self::Edit(error)
    }
}

impl From<UsersFileError> for AdminError {
    fn from(error: UsersFileError) -> Self {
        Self::Edit(EditError::Open(error))
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
