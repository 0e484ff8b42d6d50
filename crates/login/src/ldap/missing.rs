//! A build without LDAP.

use std::sync::Arc;

use super::LdapSettings;
use crate::source::{AuthBackend, SourceOpenError};

/// Not available.
///
/// # Errors
/// Always [`SourceOpenError::NotBuilt`].
pub fn open(_: LdapSettings) -> Result<Arc<dyn AuthBackend>, SourceOpenError> {
    Err(SourceOpenError::NotBuilt("LDAP"))
}
