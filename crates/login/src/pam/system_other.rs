//! Without PAM: not compiled in, or not Linux.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use super::Settings;
use crate::source::{AuthBackend, OpenError};

/// This program is never a helper here.
pub fn helper(_words: &[OsString]) -> Option<u8> {
    None
}

/// Not available.
///
/// # Errors
/// Always [`OpenError::NotBuilt`].
pub fn open(_: &Settings, _program: &Path) -> Result<Arc<dyn AuthBackend>, OpenError> {
    Err(OpenError::NotBuilt("PAM"))
}
