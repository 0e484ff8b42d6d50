//! Where there is no PAM: it was left out, or this is not Linux.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use super::Settings;
use crate::source::{OpenError, Source};

/// This program is never a helper here.
pub fn helper(_words: &[OsString]) -> Option<u8> {
    None
}

/// Nobody can be asked.
///
/// # Errors
/// Always [`OpenError::NotBuilt`].
pub fn open(_: &Settings, _program: &Path) -> Result<Arc<dyn Source>, OpenError> {
    Err(OpenError::NotBuilt("PAM"))
}
