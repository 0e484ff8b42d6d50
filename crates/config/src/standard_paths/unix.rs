//! Unix: the XDG base directories, and `/etc` and `/var` for root.

use std::path::PathBuf;

/// Folders for the configuration, the default first.
pub(super) fn config_folders() -> Vec<PathBuf> {
    let system = PathBuf::from("/etc/wharf");
    if is_root() {
        return vec![system];
    }
    let own = folder("XDG_CONFIG_HOME", ".config");
    own.map(|own| own.join("wharf")).into_iter().chain([system]).collect()
}

/// The folder for state: the one that systemd created for us, if any.
pub(super) fn state_folder() -> PathBuf {
    let given = std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    if let Some(given) = given.filter(|given| given.is_absolute()) {
        return given;
    }
    let own = folder("XDG_STATE_HOME", ".local/state").filter(|_| !is_root());
    own.map_or_else(|| PathBuf::from("/var/lib/wharf"), |own| own.join("wharf"))
}

/// The control socket: in the folder created by systemd, in the runtime folder of this login, or in
/// the state folder; then that of the system-wide server.
pub(super) fn control_sockets() -> Vec<PathBuf> {
    let system = PathBuf::from("/run/wharf/control.sock");
    let folder =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let of_login = || folder("XDG_RUNTIME_DIR").map(|folder| folder.join("wharf"));
    let given = folder("RUNTIME_DIRECTORY").or_else(of_login);
    let given = given.map(|folder| folder.join("control.sock"));
    let own = match given {
        Some(given) => given,
        None if is_root() => return vec![system],
        None => state_folder().join("control.sock"),
    };
    if own == system { vec![own] } else { vec![own, system] }
}

/// The locale of messages, such as `zh_CN.UTF-8`.
pub(super) fn language() -> String {
    of_locale("LC_MESSAGES")
}

/// The locale of characters, such as `zh_CN.UTF-8`.
pub(super) fn characters() -> String {
    of_locale("LC_CTYPE")
}

/// The locale of one category (POSIX, Base Definitions, 8.2).
fn of_locale(category: &str) -> String {
    ["LC_ALL", category, "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty())
        .unwrap_or_default()
}

/// The host name.
pub(super) fn host_name() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

/// The path of this program, to start it again: on Linux also after its file was replaced.
pub(super) fn own_program() -> std::io::Result<PathBuf> {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { Ok(own) } else { std::env::current_exe() }
}

/// A base directory; the XDG specification requires relative ones to be ignored.
fn folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
