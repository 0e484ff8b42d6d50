//! A build without HTTP logins.

use std::sync::Arc;

use super::HttpSettings;
use crate::source::{AuthBackend, SourceOpenError};

/// Not available.
///
/// # Errors
/// Always [`SourceOpenError::NotBuilt`].
pub fn open(_: HttpSettings) -> Result<Arc<dyn AuthBackend>, SourceOpenError> {
    Err(SourceOpenError::NotBuilt("HTTP logins"))
}
