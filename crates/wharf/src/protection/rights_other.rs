//! Systems whose rights wharf does not look at.

use std::path::Path;

use crate::config::Config;
use crate::outcome::Failure;

/// Something about the rights of a file; there is none here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {}

impl Finding {
    /// Whether a server that starts should tell.
    pub(crate) fn is_grave(&self) -> bool {
        match *self {}
    }

    /// In one line, with the remedy.
    pub(crate) fn told(&self) -> String {
        match *self {}
    }

    /// What is wrong.
    pub(crate) fn what(&self) -> &str {
        match *self {}
    }

    /// What mends it.
    pub(crate) fn remedy(&self) -> &str {
        match *self {}
    }
}

/// Refuses nothing.
pub(crate) fn refuse_open(_config: &Config, _file: Option<&Path>) -> Result<(), Failure> {
    Ok(())
}

/// Finds nothing.
pub(crate) fn of_config(_config: &Config, _file: Option<&Path>) -> Vec<Finding> {
    Vec::new()
}

/// Finds nothing.
pub(crate) fn of_home(_home: &Path) -> Vec<Finding> {
    Vec::new()
}

/// Takes it for granted.
pub(crate) fn readable_by(_name: &str, _users_file: &Path) -> Result<(), Failure> {
    Ok(())
}
