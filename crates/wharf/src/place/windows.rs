//! Windows: `ProgramData` for configuration and state.

use std::path::PathBuf;

/// Folders for configuration, the usual one first.
pub(super) fn config_folders() -> Vec<PathBuf> {
    vec![program_data()]
}

/// The folder for state.
pub(super) fn state_folder() -> PathBuf {
    program_data().join("state")
}

/// The language of the session, if the environment has one.
pub(super) fn language() -> String {
    std::env::var("LANG").unwrap_or_default()
}

/// The computer's name.
pub(super) fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

fn program_data() -> PathBuf {
    let folder = std::env::var_os("ProgramData").map(PathBuf::from);
    folder.unwrap_or_else(|| PathBuf::from(r"C:\ProgramData")).join("wharf")
}
