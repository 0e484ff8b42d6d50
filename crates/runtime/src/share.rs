//! A quick share: one folder for one account or for anonymous users.

use std::fmt;
use std::path::PathBuf;

use wharf_config::choice::AnonymousPermissions;
use wharf_core::permission::Permissions;

/// A quick share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The folder, absolute.
    pub folder: PathBuf,
    /// Access to it.
    pub access: ShareAccess,
}

/// Access to a quick share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareAccess {
    /// Anonymous users.
    Anonymous(AnonymousPermissions),
    /// One account with a password.
    Account {
        /// The account's name.
        user: String,
        /// Its password.
        password: Password,
        /// Its permissions.
        permissions: Permissions,
    },
}

/// A plain-text password. Its `Debug` output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    /// The password.
    pub text: String,
    /// Whether it was generated, so it must be printed.
    pub is_fresh: bool,
}

impl fmt::Debug for Password {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Password").field("is_fresh", &self.is_fresh).finish_non_exhaustive()
    }
}
