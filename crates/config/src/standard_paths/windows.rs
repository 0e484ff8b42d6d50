//! Windows: the account's own `AppData\Local`, which others on the computer cannot read.
//!
//! Not `ProgramData`: every user may create a folder there, and so plant a configuration for an
//! administrator, and files there are readable by all users, private keys included.

use std::path::PathBuf;

/// Folders for the configuration, the default first.
pub(super) fn config_folders() -> Vec<PathBuf> {
    vec![own_folder()]
}

/// The folder for state.
pub(super) fn state_folder() -> PathBuf {
    own_folder().join("state")
}

/// The pipe of the one server on this computer.
pub(super) fn control_sockets() -> Vec<PathBuf> {
    vec![PathBuf::from(r"\\.\pipe\wharf")]
}

/// The language of the session, in the form of Unix: the environment's, else that of Windows.
pub(super) fn language() -> String {
    let of_environment = std::env::var("LANG").ok().filter(|language| !language.is_empty());
    // Windows displays all characters in every language, as UTF-8 does.
    let of_windows = || sys_locale::get_locale().map(|language| language + ".UTF-8");
    of_environment.or_else(of_windows).unwrap_or_default()
}

/// The locale of characters: the same.
pub(super) fn characters() -> String {
    language()
}

/// The host name.
pub(super) fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

/// The path of this program, to start it again.
pub(super) fn own_program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// Relative only if the environment lacks the variable, as in a broken service.
fn own_folder() -> PathBuf {
    let known = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let folder = known("LOCALAPPDATA")
        .or_else(|| known("USERPROFILE").map(|home| home.join(r"AppData\Local")))
        .filter(|folder| folder.is_absolute());
    folder.unwrap_or_default().join("wharf")
}
