//! An LDAP directory (version 3): `slapd`, Active Directory and others.
//!
//! Either the user's entry is searched for, followed by a bind to its DN with the password
//! ([`EntryLookup::Search`]), or the DN is built from the name ([`EntryLookup::Template`]). Each
//! login has its own connection, so that no state is shared between logins.

#[cfg(feature = "ldap")]
mod directory;
#[cfg(not(feature = "ldap"))]
mod missing;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

#[cfg(feature = "ldap")]
pub use directory::open;
#[cfg(not(feature = "ldap"))]
pub use missing::open;

use crate::endpoint::Endpoint;

/// The placeholder for the user name in a filter and in a DN.
pub const USER_MARK: &str = "%u";

/// Everything about a directory.
#[derive(Clone, Debug)]
pub struct LdapSettings {
    /// The servers; the next one is tried if one does not respond. Not empty.
    pub servers: Vec<Endpoint>,
    /// Whether `ldap://` connections switch to TLS first (`StartTLS`, RFC 4511 §4.14).
    pub starts_tls: bool,
    /// The authorities to trust, as PEM; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// How the entry of a name is found.
    pub lookup: EntryLookup,
    /// The DN of a group that one must be in: named by `member`, `uniqueMember` or `memberUid`.
    pub group: Option<String>,
    /// The attribute with the name as the directory spells it.
    pub name_attribute: String,
    /// Attributes with further settings of an account; an empty name is not read.
    pub attributes: Attributes,
    /// Concurrent logins, each with a connection.
    pub connections: NonZeroUsize,
    /// How long one login may take.
    pub time_max: Duration,
}

/// How the entry of a name is found.
#[derive(Clone, Debug)]
pub enum EntryLookup {
    /// By a search.
    Search {
        /// DN and password for the search; `None`: anonymous search.
        binder: Option<(String, BindPassword)>,
        /// Below which entry.
        base: String,
        /// With [`USER_MARK`] for the name.
        filter: String,
    },
    /// By a DN with [`USER_MARK`] for the name.
    Template(String),
}

/// The names of attributes with further settings of an account.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// Its home.
    pub home: String,
    /// Its permissions, as in a file of accounts.
    pub permissions: String,
    /// Its quota, as in a file of accounts.
    pub quota: String,
}

/// A password. `Debug` does not show it.
#[derive(Clone)]
pub struct BindPassword(Zeroizing<String>);

impl BindPassword {
    /// From its text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, to log in with.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for BindPassword {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Password(…)")
    }
}
