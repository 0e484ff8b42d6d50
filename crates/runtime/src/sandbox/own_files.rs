//! The server's own files: configuration, accounts, keys, state, logs, secrets, and the programs
//! that it starts. No account can access any of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wharf_config::Config;
use wharf_config::outcome::{Exit, Failure};
use wharf_config::standard_paths;
use wharf_storage::{Extent, ServerFiles};

use super::own_programs::{folders_of, is_program, named_by};
use super::reach::log_files;
use crate::accounts;

/// One of the server's own files or folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFile {
    /// Its description, as in `the accounts file`.
    pub what: &'static str,
    /// Its path; it may not exist.
    pub path: PathBuf,
    extent: Extent,
}

/// A program that an event starts, and the files in its arguments.
const PROGRAM: &str = "an event program";
/// A log file: it is created when its first line is written.
const LOG: &str = "a log";
/// The folder of an event program.
const PROGRAM_FOLDER: &str = "the folder of an event program";

/// All own files of a server with this configuration, whether they exist or not. `more` are files
/// named on the command line, `homes` all folders that it serves.
pub fn own_files(
    config: &Config,
    file: Option<&Path>,
    more: &[PathBuf],
    homes: &[PathBuf],
) -> Vec<OwnFile> {
    let mut all = of_settings(config, file, more);
    all.extend(of_programs(config, file, homes));
    // Devices and pipes belong to the system.
    all.retain(|OwnFile { path, .. }| {
        !path.starts_with("/dev") && !path.starts_with("/proc") && !path.as_os_str().is_empty()
    });
    all
}

/// Event programs with the files in their arguments, and folders of programs within a home: which
/// other files a script uses is unknown.
fn of_programs(config: &Config, file: Option<&Path>, homes: &[PathBuf]) -> Vec<OwnFile> {
    let homes: Vec<_> = homes.iter().chain(&config.server.homes.0).cloned().collect();
    let base = file.and_then(|file| std::path::absolute(file).ok());
    let base = base.as_deref().and_then(Path::parent);
    let mut paths = BTreeSet::new();
    let mut folders = BTreeSet::new();
    for (_, line) in config.events.programs() {
        let named = named_by(line, base);
        let first = named.first().cloned();
        let programs =
            named.iter().filter(|path| Some(*path) == first.as_ref() || is_program(path));
        folders.extend(programs.flat_map(|program| folders_of(program, &homes)));
        paths.extend(named);
    }
    let own = |what, path, extent| OwnFile { what, path, extent };
    let paths = paths.into_iter().map(|path| own(PROGRAM, path, Extent::File));
    paths.chain(folders.into_iter().map(|path| own(PROGRAM_FOLDER, path, Extent::Folder))).collect()
}

/// The files that settings name, except programs.
fn of_settings(config: &Config, file: Option<&Path>, more: &[PathBuf]) -> Vec<OwnFile> {
    let mut all = Vec::new();
    let mut add = |what, path: PathBuf, extent| all.push(OwnFile { what, path, extent });
    let copies = Extent::FileAndCopies;
    // Also those that the next start would read if an account created one.
    for path in file.map(Path::to_path_buf).into_iter().chain(standard_paths::config_candidates()) {
        add("the configuration file", path, copies);
    }
    add("the accounts file", config.server.users_file.0.clone(), copies);
    if let Some(path) = accounts::file(config) {
        add("the accounts file", path.to_owned(), copies);
    }
    add("the state folder", config.state_folder(), Extent::Folder);
    if let Some(folder) = &config.events.quarantine.0 {
        add("the quarantine folder", folder.clone(), Extent::Folder);
    }
    if let Some(path) = &config.tls.certificate.0 {
        add("the certificate", path.clone(), copies);
    }
    if let Some(path) = &config.tls.private_key.0 {
        add("the private key", path.clone(), copies);
    }
    let usual = || standard_paths::control_sockets().into_iter().next().unwrap_or_default();
    let socket = config.control.socket.0.clone().unwrap_or_else(usual);
    add("the control socket", socket, Extent::File);
    for log in log_files(config) {
        // Also as logrotate and administrators name old ones: `wharf.log-20261201`, `wharf.log.8`.
        add(LOG, log, Extent::FileAndCopies);
    }
    for path in secrets(config) {
        add("a password file", path, copies);
    }
    for path in more {
        add("a password file", path.clone(), copies);
    }
    for path in [&config.ldap.ca_file.0, &config.http.ca_file.0].into_iter().flatten() {
        add("a file of root certificates", path.clone(), copies);
    }
    for webhook in &config.webhooks {
        if let Some(path) = &webhook.ca_file.0 {
            add("a file of root certificates", path.clone(), copies);
        }
    }
    if let Ok(program) = std::env::current_exe() {
        add("the program itself", program, Extent::File);
    }
    all
}

/// The same for account stores.
pub fn server_files(
    config: &Config,
    file: Option<&Path>,
    more: &[PathBuf],
    homes: &[PathBuf],
) -> ServerFiles {
    let own = own_files(config, file, more, homes).into_iter();
    ServerFiles::new(own.map(|own| (own.path, own.extent)))
}

impl OwnFile {
    /// What the administrator can do if it is in a home.
    pub fn hint(&self) -> &'static str {
        match self.what {
            PROGRAM | PROGRAM_FOLDER => {
                "no account can list, read or change it; move programs out of all homes: other \
                 files that they use are unknown, and stay accessible to accounts"
            }
            _ => {
                "no account can list, read or change it; move it to a folder that is not \
                 served"
            }
        }
    }
}

/// A warning about programs in folders that accounts may write, if any.
pub(crate) fn programs_in_homes(
    config: &Config,
    file: Option<&Path>,
    homes: &[PathBuf],
) -> Option<String> {
    let files = server_files(config, file, &[], homes);
    let own = of_programs(config, file, homes);
    let found = homes.iter().find_map(|home| {
        let mut lying = beneath(&own, &files, home).into_iter();
        lying.find(|own| own.what == PROGRAM).map(|own| (own, home))
    });
    found.map(|(own, home)| {
        let (path, home) = (own.path.display(), home.display());
        format!("{PROGRAM} {path} is inside the home {home}: {}", own.hint())
    })
}

/// Rejects a shared folder in which all access would be denied, since it is within one of the
/// server's own folders.
///
/// # Errors
/// `ConfigInvalid`, with both folders.
pub(crate) fn reject_home(files: &ServerFiles, home: &Path) -> Result<(), Failure> {
    let Some(own) = files.folder_around(home) else { return Ok(()) };
    Err(Failure { exit: Exit::ConfigInvalid, ..Failure::new(within(home, &own)) }.hint(MOVE))
}

/// The message for a home within one of the server's own folders.
pub fn within(home: &Path, own: &Path) -> String {
    let (home, own) = (home.display(), own.display());
    format!("cannot serve {home}: it is in {own}, which belongs to the server itself")
}

/// The hint for it.
pub const MOVE: &str = "choose another home, or change server.state_dir or events.quarantine";

/// The server's own files in a home that exist or will be created, with their paths.
pub fn beneath(own: &[OwnFile], files: &ServerFiles, home: &Path) -> Vec<OwnFile> {
    let below = files.beneath(home);
    let mut found: Vec<OwnFile> = Vec::new();
    for own in own {
        let path = std::path::absolute(&own.path).unwrap_or_else(|_| own.path.clone());
        let is_new = found.iter().all(|known| known.path != own.path);
        let exists = || own.what == LOG || path.symlink_metadata().is_ok();
        if is_new && below.contains(&path) && exists() {
            found.push(own.clone());
        }
    }
    found
}

/// A description of the server's own file that a path refers to or is within.
pub fn named(own: &[OwnFile], path: &Path) -> Option<String> {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let at = real(path);
    let found = own.iter().find(|own| {
        let own_path = real(&own.path);
        at == own_path || own.extent == Extent::Folder && at.starts_with(&own_path)
    });
    found.map(|own| format!("{} ({})", own.what, own.path.display()))
}

/// The server's files with passwords and keys.
fn secrets(config: &Config) -> Vec<PathBuf> {
    let webhooks = config.webhooks.iter().filter_map(|webhook| webhook.secret_file.0.as_deref());
    let files = config.login_secret_files().chain(webhooks);
    files.chain(config.accounts.password_file.0.as_deref()).map(Path::to_path_buf).collect()
}
