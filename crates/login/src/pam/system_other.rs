//! Without PAM: not compiled in, or not Linux.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use super::PamSettings;
use crate::source::{AuthBackend, SourceOpenError};

/// This program is never a helper here.
pub fn helper(_words: &[OsString]) -> Option<u8> {
    None
}

/// Not available.
///
/// # Errors
/// Always [`SourceOpenError::NotBuilt`].
pub fn open(_: &PamSettings, _program: &Path) -> Result<Arc<dyn AuthBackend>, SourceOpenError> {
    Err(SourceOpenError::NotBuilt("PAM"))
}
