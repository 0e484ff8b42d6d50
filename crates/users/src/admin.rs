//! Changing accounts, wherever they are kept.

use std::fmt;
use std::path::Path;

use wharf_core::async_trait;
use wharf_proto::path::VPath;

use crate::file::{EditError, Fault, OpenError, Owner, Setting, StoredHash, UserRecord};

/// The most accounts on one page of [`UserAdmin::page`].
pub const PAGE_MAX: usize = 1000;

/// A store of accounts that an administrator can look into and change.
///
/// What it is told to change takes effect at the next login. Dropping a future leaves the store
/// as it was or as it was to be, never between.
#[async_trait]
pub trait UserAdmin: Send + Sync {
    /// What to call it in messages: a path, or an address without a password.
    fn place(&self) -> String;

    /// The folder that relative homes start from.
    fn folder(&self) -> &Path;

    /// Every group, as it is said.
    ///
    /// # Errors
    /// The store cannot be read, or what stands in it is wrong.
    async fn groups(&self) -> Result<Vec<UserRecord>, AdminError>;

    /// Up to [`PAGE_MAX`] accounts, as their own tables say, behind the one called `after`, or from
    /// the first if there is none, in an order that stays. An empty page is behind the last.
    ///
    /// # Errors
    /// The store cannot be read, or what stands in it is wrong.
    async fn page(&self, after: Option<&str>) -> Result<Vec<UserRecord>, AdminError>;

    /// The account with this name, with what it takes from its groups.
    ///
    /// # Errors
    /// The store cannot be read, or what stands in it is wrong.
    async fn find(&self, name: &str) -> Result<Option<UserRecord>, AdminError>;

    /// What the own table of the account with this name says.
    ///
    /// # Errors
    /// The store cannot be read, or what stands in it is wrong.
    async fn own(&self, name: &str) -> Result<Option<UserRecord>, AdminError>;

    /// The accounts and groups that cannot be used while the others can: no other question here
    /// returns them. A store that is valid as a whole or not at all has none.
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
    async fn change(&self, changes: &[Change]) -> Result<(), AdminError>;

    /// Adds an account; it or one of its groups must have a home.
    ///
    /// # Errors
    /// As [`UserAdmin::change`].
    async fn add(&self, name: &str, settings: Vec<Setting>) -> Result<(), AdminError> {
        self.change(&[Change::add(name, settings)]).await
    }

    /// Sets some things of an account and leaves the others.
    ///
    /// # Errors
    /// As [`UserAdmin::change`].
    async fn set(&self, name: &str, settings: Vec<Setting>) -> Result<(), AdminError> {
        self.change(&[Change::set(name, settings)]).await
    }

    /// Gives an account another password.
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
        self.change(&[Change::remove(name)]).await
    }
}

/// Whose table it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// An account's.
    User(String),
    /// A group's.
    Group(String),
}

impl Holder {
    /// The same for an [`Editor`](crate::file::Editor).
    pub fn owner(&self) -> Owner<'_> {
        match self {
            Self::User(name) => Owner::User(name),
            Self::Group(name) => Owner::Group(name),
        }
    }
}

/// A name alone is that of an account.
impl From<&str> for Holder {
    fn from(name: &str) -> Self {
        Self::User(name.to_owned())
    }
}

/// One thing to be done to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new account or group.
    Add {
        /// Whose.
        holder: Holder,
        /// What it is to say; of an account, it or one of its groups must say a home.
        settings: Vec<Setting>,
    },
    /// One that is there gets these settings on top.
    Set {
        /// Whose.
        holder: Holder,
        /// What it is to say.
        settings: Vec<Setting>,
        /// What it is not to say any more.
        cleared: Vec<Cleared>,
    },
    /// It goes. A group that somebody has stays, and so does all else.
    Remove {
        /// Whose.
        holder: Holder,
    },
}

/// What is taken away from a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cleared {
    /// A key.
    Key(&'static str),
    /// An entry of `paths` or `folders`.
    Entry(&'static str, VPath),
}

impl Change {
    /// A new account or group.
    pub fn add(holder: impl Into<Holder>, settings: Vec<Setting>) -> Self {
        Self::Add { holder: holder.into(), settings }
    }

    /// One that is there gets these settings on top.
    pub fn set(holder: impl Into<Holder>, settings: Vec<Setting>) -> Self {
        Self::Set { holder: holder.into(), settings, cleared: Vec::new() }
    }

    /// It goes.
    pub fn remove(holder: impl Into<Holder>) -> Self {
        Self::Remove { holder: holder.into() }
    }

    /// Whose table it is about.
    pub fn holder(&self) -> &Holder {
        match self {
            Self::Add { holder, .. } | Self::Set { holder, .. } | Self::Remove { holder } => holder,
        }
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
    /// What happened, with the place. No password stands in it.
    pub what: String,
    /// What would help.
    pub help: Option<String>,
}

/// What kind of trouble there is with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// There is none yet.
    Missing,
    /// It does not answer; it may later.
    Unreachable,
    /// It does not let us in, or not do this.
    Forbidden,
    /// What it says of this one account or group is invalid; the others can be used.
    Invalid,
    /// It is not what it should be: no database, a newer one, another program's.
    Unusable,
    /// Somebody else changed the same thing.
    Conflict,
    /// Too many ask at once.
    Busy,
}

impl StoreError {
    /// Without help.
    pub fn new(kind: StoreErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), help: None }
    }

    /// With what would help.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(out, " ({help})"))
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

impl From<OpenError> for AdminError {
    fn from(error: OpenError) -> Self {
        Self::Edit(EditError::Open(error))
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
