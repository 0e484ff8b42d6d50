//! What wharf keeps for itself on this computer: configuration, accounts, keys, state, logs,
//! secrets, and the programs that it starts. No account reaches any of it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use wharf_storage::{Extent, ServerFiles};

use super::own_programs::{folders_of, is_program, named_by};
use super::reach::{log_files, state_folder};
use crate::accounts;
use crate::config::Config;
use crate::logins;
use crate::outcome::{Exit, Failure};
use crate::place;

/// One file or folder of wharf's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnFile {
    /// What it is, as in `the accounts file`.
    pub(crate) what: &'static str,
    /// Where it is, or would be.
    pub(crate) path: PathBuf,
    extent: Extent,
}

/// Logs that were rotated are told apart by number up to this one.
const ROTATED_MAX: u32 = 100;
/// A program that is started for an event, and what its arguments name.
const PROGRAM: &str = "a program of events";
/// The folder of one.
const PROGRAM_FOLDER: &str = "the folder of a program of events";

/// Everything that a server with this configuration keeps for itself, whether it exists or not.
/// `more` are files that its command line names, `homes` all folders that it serves.
pub(crate) fn own_files(
    config: &Config,
    file: Option<&Path>,
    more: &[PathBuf],
    homes: &[PathBuf],
) -> Vec<OwnFile> {
    let mut all = of_settings(config, file, more);
    all.extend(of_programs(config, file, homes));
    // Devices and pipes are of the system.
    all.retain(|OwnFile { path, .. }| {
        !path.starts_with("/dev") && !path.starts_with("/proc") && !path.as_os_str().is_empty()
    });
    all
}

/// The programs of events, with what their arguments name, and the folders that hold programs
/// within a home: what a script calls beside it cannot be known.
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

/// What the settings name, but programs.
fn of_settings(config: &Config, file: Option<&Path>, more: &[PathBuf]) -> Vec<OwnFile> {
    let mut all = Vec::new();
    let mut add = |what, path: PathBuf, extent| all.push(OwnFile { what, path, extent });
    let copies = Extent::FileAndCopies;
    // Also those that the next start would read, were an account to make one.
    for path in file.map(Path::to_path_buf).into_iter().chain(place::config_candidates()) {
        add("the config file", path, copies);
    }
    add("the accounts file", config.server.users_file.0.clone(), copies);
    if let Some(path) = accounts::file(config) {
        add("the accounts file", path.to_owned(), copies);
    }
    add("the state folder", state_folder(config), Extent::Folder);
    if let Some(folder) = &config.events.quarantine.0 {
        add("the quarantine folder", folder.clone(), Extent::Folder);
    }
    if let Some(path) = &config.tls.certificate.0 {
        add("the certificate", path.clone(), copies);
    }
    if let Some(path) = &config.tls.private_key.0 {
        add("the private key", path.clone(), copies);
    }
    let usual = || place::control_sockets().into_iter().next().unwrap_or_default();
    let socket = config.control.socket.0.clone().unwrap_or_else(usual);
    add("the control socket", socket, Extent::File);
    for log in log_files(config) {
        for number in 1..=config.log.rotate_keep.0.min(ROTATED_MAX) {
            for suffix in ["", ".gz"] {
                add("a log", numbered(&log, number, suffix), Extent::File);
            }
        }
        add("a log", log, Extent::File);
    }
    for path in secrets(config) {
        add("a password file", path, copies);
    }
    for path in more {
        add("a password file", path.clone(), copies);
    }
    for path in [&config.ldap.ca_file.0, &config.http.ca_file.0].into_iter().flatten() {
        add("a file of trusted roots", path.clone(), copies);
    }
    for webhook in &config.webhooks {
        if let Some(path) = &webhook.ca_file.0 {
            add("a file of trusted roots", path.clone(), copies);
        }
    }
    if let Ok(program) = std::env::current_exe() {
        add("the program itself", program, Extent::File);
    }
    all
}

/// The same for stores.
pub(crate) fn server_files(
    config: &Config,
    file: Option<&Path>,
    more: &[PathBuf],
    homes: &[PathBuf],
) -> ServerFiles {
    let own = own_files(config, file, more, homes).into_iter();
    ServerFiles::new(own.map(|own| (own.path, own.extent)))
}

impl OwnFile {
    /// What an operator does about it where it lies in a home.
    pub(crate) fn remedy(&self) -> &'static str {
        match self.what {
            PROGRAM | PROGRAM_FOLDER => {
                "no account can list, read or change it; move programs out of every home: what \
                 they read or call besides cannot be known, and stays open to accounts"
            }
            _ => {
                "no account can list, read or change it; keep it elsewhere, away from what is \
                 served"
            }
        }
    }
}

/// One line for programs that lie where accounts may write, if there are any.
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
        format!("{PROGRAM} {path} lies in the home {home}: {}", own.remedy())
    })
}

/// Refuses a folder to share in which everything is denied: it lies in one of wharf's own.
///
/// # Errors
/// `ConfigInvalid`, with both folders.
pub(crate) fn refuse_home(files: &ServerFiles, home: &Path) -> Result<(), Failure> {
    let Some(own) = files.folder_around(home) else { return Ok(()) };
    Err(Failure { exit: Exit::ConfigInvalid, ..Failure::new(within(home, &own)) }.help(MOVE))
}

/// Says that a home lies in a folder of wharf's own.
pub(crate) fn within(home: &Path, own: &Path) -> String {
    let (home, own) = (home.display(), own.display());
    format!("cannot serve {home}: it lies in {own}, which wharf keeps for itself")
}

/// What helps then.
pub(crate) const MOVE: &str =
    "name another folder as home, or another as server.state_dir or events.quarantine";

/// What of wharf's own lies in a home, each with its path; nothing that is not there yet.
pub(crate) fn beneath(own: &[OwnFile], files: &ServerFiles, home: &Path) -> Vec<OwnFile> {
    let below = files.beneath(home);
    let mut found: Vec<OwnFile> = Vec::new();
    for own in own {
        let path = std::path::absolute(&own.path).unwrap_or_else(|_| own.path.clone());
        let is_new = found.iter().all(|known| known.path != own.path);
        if is_new && below.contains(&path) && path.symlink_metadata().is_ok() {
            found.push(own.clone());
        }
    }
    found
}

/// Which of wharf's own a path leads to or lies in, in words.
pub(crate) fn named(own: &[OwnFile], path: &Path) -> Option<String> {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let at = real(path);
    let found = own.iter().find(|own| {
        let own_path = real(&own.path);
        at == own_path || own.extent == Extent::Folder && at.starts_with(&own_path)
    });
    found.map(|own| format!("{} ({})", own.what, own.path.display()))
}

/// Files with passwords and keys of wharf's.
fn secrets(config: &Config) -> Vec<PathBuf> {
    let webhooks = config.webhooks.iter().filter_map(|webhook| webhook.secret_file.0.as_deref());
    let files = logins::secret_files(config).chain(webhooks);
    files.chain(config.accounts.password_file.0.as_deref()).map(Path::to_path_buf).collect()
}

/// A log that was rotated so many times.
fn numbered(log: &Path, number: u32, suffix: &str) -> PathBuf {
    let mut name = OsString::from(log);
    name.push(format!(".{number}{suffix}"));
    name.into()
}
