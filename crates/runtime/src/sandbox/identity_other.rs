//! Systems on which wharf does not change its user.

use std::fs::File;
use std::path::Path;

use wharf_config::keys;
use wharf_config::outcome::{Exit, Failure};

/// A system user to change to; not supported on this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemUser {}

impl SystemUser {
    /// Always `None`.
    pub fn wanted(server: &keys::Server) -> Result<Option<Self>, Failure> {
        if server.user.is_empty() {
            return Ok(None);
        }
        let message = "server.user is supported on Linux only";
        Err(Failure { exit: Exit::ConfigInvalid, ..Failure::new(message) }
            .hint("remove it, and start wharf as that user"))
    }

    /// The user name.
    pub fn name(&self) -> &str {
        match *self {}
    }

    /// The UID and GID.
    pub fn numbers(&self) -> (u32, u32) {
        match *self {}
    }

    pub(crate) fn change_state_owner(&self, _folder: &Path) {
        match *self {}
    }

    pub(crate) fn change_spool_owner(&self, _folder: &Path) {
        match *self {}
    }

    pub(crate) fn change_log_owner(&self, _log: &File) {
        match *self {}
    }

    pub(crate) fn change_socket_owner(
        &self,
        _socket: &Path,
        _folder: Option<&Path>,
        _keeps_group: bool,
    ) {
        match *self {}
    }

    /// Changes to the user, permanently.
    pub fn assume(&self) -> Result<(), Failure> {
        match *self {}
    }
}

/// This system has no capabilities.
pub(crate) fn drop_capabilities(_keeps_low_ports: bool) {}

/// The GID, if the text is a number: names are not resolved.
pub(crate) fn group_number(name: &str) -> Option<u32> {
    name.parse().ok()
}

/// Not available.
pub fn is_root() -> bool {
    false
}

/// Nothing hides the name here.
pub(crate) fn remember_name() {}

/// The name of the user that this process runs as.
pub fn current_name() -> String {
    std::env::var("USER").or_else(|_| std::env::var("USERNAME")).unwrap_or_default()
}
