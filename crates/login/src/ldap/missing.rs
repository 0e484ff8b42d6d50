//! A build without LDAP.

use std::sync::Arc;

use super::Settings;
use crate::source::{OpenError, Source};

/// Nobody can be asked.
///
/// # Errors
/// Always [`OpenError::NotBuilt`].
pub fn open(_: Settings) -> Result<Arc<dyn Source>, OpenError> {
    Err(OpenError::NotBuilt("LDAP"))
}
