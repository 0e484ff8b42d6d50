//! Systems on which wharf does not check file permissions.

use std::path::Path;

use wharf_config::Config;
use wharf_config::outcome::Failure;

/// A problem with file permissions; never reported on this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PermissionFinding {}

impl PermissionFinding {
    /// Whether it is reported at the start.
    pub fn is_warning(&self) -> bool {
        match *self {}
    }

    /// One line, with the hint.
    pub(crate) fn described(&self) -> String {
        match *self {}
    }

    /// The problem.
    pub fn what(&self) -> &str {
        match *self {}
    }

    /// How to fix it.
    pub fn hint(&self) -> &str {
        match *self {}
    }
}

/// Rejects nothing.
pub fn reject_insecure(_config: &Config, _file: Option<&Path>) -> Result<(), Failure> {
    Ok(())
}

/// Reports nothing.
pub fn of_config(_config: &Config, _file: Option<&Path>) -> Vec<PermissionFinding> {
    Vec::new()
}

/// Reports nothing.
pub fn of_home(_home: &Path) -> Vec<PermissionFinding> {
    Vec::new()
}

/// Always succeeds.
pub(crate) fn readable_by(_name: &str, _users_file: &Path) -> Result<(), Failure> {
    Ok(())
}
