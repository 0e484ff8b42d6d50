//! Changes of accounts and groups, independent of the store.

use wharf_proto::path::VPath;

use super::keys::Setting;

/// The account or group that a table belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// An account's.
    User(String),
    /// A group's.
    Group(String),
}

impl Holder {
    pub(super) fn section(&self) -> &'static str {
        match self {
            Self::User(_) => "users",
            Self::Group(_) => "groups",
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::User(name) | Self::Group(name) => name,
        }
    }
}

/// A name alone is that of an account.
impl From<&str> for Holder {
    fn from(name: &str) -> Self {
        Self::User(name.to_owned())
    }
}

impl From<&String> for Holder {
    fn from(name: &String) -> Self {
        Self::User(name.clone())
    }
}

impl From<&Self> for Holder {
    fn from(holder: &Self) -> Self {
        holder.clone()
    }
}

/// One thing to be done to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChange {
    /// A new account or group.
    Add {
        /// The account or group.
        holder: Holder,
        /// Its settings. An account needs a home, its own or that of one of its groups.
        settings: Vec<Setting>,
    },
    /// Changes settings of an existing account or group.
    Set {
        /// The account or group.
        holder: Holder,
        /// The new settings.
        settings: Vec<Setting>,
        /// The settings to remove.
        cleared: Vec<Cleared>,
    },
    /// Removes an account or group. Fails for a group that has members; nothing is changed then.
    Remove {
        /// The account or group.
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

impl StoreChange {
    /// A new account or group.
    pub fn add(holder: impl Into<Holder>, settings: Vec<Setting>) -> Self {
        Self::Add { holder: holder.into(), settings }
    }

    /// Changes settings of an existing account or group.
    pub fn set(holder: impl Into<Holder>, settings: Vec<Setting>) -> Self {
        Self::Set { holder: holder.into(), settings, cleared: Vec::new() }
    }

    /// Removes an account or group.
    pub fn remove(holder: impl Into<Holder>) -> Self {
        Self::Remove { holder: holder.into() }
    }

    /// The account or group that is changed.
    pub fn holder(&self) -> &Holder {
        match self {
            Self::Add { holder, .. } | Self::Set { holder, .. } | Self::Remove { holder } => holder,
        }
    }
}
