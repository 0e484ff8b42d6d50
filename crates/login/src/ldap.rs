//! A directory: `slapd`, Active Directory, or what else speaks LDAP version 3.
//!
//! Either the entry of the name is searched for and its own DN bound to with the password
//! ([`Finding::Search`]), or the DN is made of the name ([`Finding::Template`]). One connection
//! serves one login: nothing of one can be left for the next.

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

/// What stands for the name in a filter and in a DN.
pub const USER_MARK: &str = "%u";

/// Everything about a directory.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its servers; the next one is asked when one does not answer. Not empty.
    pub servers: Vec<Endpoint>,
    /// Whether `ldap://` becomes TLS before anything is said (`StartTLS`, RFC 4511 §4.14).
    pub starts_tls: bool,
    /// The authorities to trust, as PEM; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// How the entry of a name is found.
    pub finding: Finding,
    /// The DN of a group that one must be in: named by `member`, `uniqueMember` or `memberUid`.
    pub group: Option<String>,
    /// The attribute with the name as the directory spells it.
    pub name_attribute: String,
    /// Attributes that say more of an account; empty: none does.
    pub attributes: Attributes,
    /// Logins at once, each with a connection.
    pub connections: NonZeroUsize,
    /// How long one login may take.
    pub time_max: Duration,
}

/// How the entry of a name is found.
#[derive(Clone, Debug)]
pub enum Finding {
    /// By a search.
    Search {
        /// Who searches: a DN and its password; none: anybody may.
        binder: Option<(String, Password)>,
        /// Below which entry.
        base: String,
        /// With [`USER_MARK`] for the name.
        filter: String,
    },
    /// By a DN with [`USER_MARK`] for the name.
    Template(String),
}

/// Attributes that say more of an account, by name.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// Its home.
    pub home: String,
    /// Its rights, as in a file of accounts.
    pub permissions: String,
    /// Its quota, as in a file of accounts.
    pub quota: String,
}

/// A password. `Debug` does not show it.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// From its text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, to log in with.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Password(…)")
    }
}
