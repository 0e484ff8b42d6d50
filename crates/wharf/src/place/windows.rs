//! Windows: the account's own `AppData\Local`, which others on the computer cannot read.
//!
//! Not `ProgramData`: anybody may make a folder there and so lay a configuration for an
//! administrator, and what is put there can be read by all, a private key too.

use std::path::PathBuf;

/// Folders for configuration, the usual one first.
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
    let said = std::env::var("LANG").ok().filter(|language| !language.is_empty());
    // Windows shows every letter in whatever language, as UTF-8 does.
    let of_windows = || sys_locale::get_locale().map(|language| language + ".UTF-8");
    said.or_else(of_windows).unwrap_or_default()
}

/// The computer's name.
pub(super) fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

/// This program, to be started once more.
pub(super) fn own_program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// Relative only where the environment is bare, as a broken service may have it.
fn own_folder() -> PathBuf {
    let known = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let folder = known("LOCALAPPDATA")
        .or_else(|| known("USERPROFILE").map(|home| home.join(r"AppData\Local")))
        .filter(|folder| folder.is_absolute());
    folder.unwrap_or_default().join("wharf")
}
