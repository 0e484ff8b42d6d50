//! A build without HTTP logins.

use std::sync::Arc;

use super::Settings;
use crate::source::{AuthBackend, OpenError};

/// Not available.
///
/// # Errors
/// Always [`OpenError::NotBuilt`].
pub fn open(_: Settings) -> Result<Arc<dyn AuthBackend>, OpenError> {
    Err(OpenError::NotBuilt("HTTP logins"))
}
