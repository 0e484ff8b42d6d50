//! What wharf keeps for itself on this computer: configuration, accounts, keys, state, logs,
//! secrets, and the programs that it starts. No account reaches any of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use wharf_storage::{Extent, ServerFiles};

use super::reach::{log_files, state_folder};
use crate::accounts;
use crate::config::Config;
use crate::config::hook::ProgramLine;
use crate::logins;
use crate::os::is_executable;
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
/// Programs that run what an argument names.
const INTERPRETERS: &[&str] = &[
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "ksh",
    "fish",
    "busybox",
    "env",
    "sudo",
    "doas",
    "nice",
    "python",
    "perl",
    "ruby",
    "php",
    "node",
    "lua",
    "tclsh",
    "awk",
    "gawk",
    "pwsh",
    "powershell",
    "cmd",
    "java",
    "systemd-run",
    "setpriv",
    "flock",
    "timeout",
];

/// Everything that a server with this configuration keeps for itself, whether it exists or not.
/// `more` are files that its command line names.
pub(crate) fn own_files(config: &Config, file: Option<&Path>, more: &[PathBuf]) -> Vec<OwnFile> {
    let mut all = Vec::new();
    let mut add = |what, path: PathBuf, extent| {
        // Devices and pipes are of the system.
        let is_device = path.starts_with("/dev") || path.starts_with("/proc");
        if !is_device && !path.as_os_str().is_empty() {
            all.push(OwnFile { what, path, extent });
        }
    };
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
    for (_, line) in config.events.programs() {
        for path in programs(line) {
            add("a program of events", path, Extent::File);
        }
    }
    if let Ok(program) = std::env::current_exe() {
        add("the program itself", program, Extent::File);
    }
    all
}

/// The same for stores.
pub(crate) fn server_files(config: &Config, file: Option<&Path>, more: &[PathBuf]) -> ServerFiles {
    ServerFiles::new(own_files(config, file, more).into_iter().map(|own| (own.path, own.extent)))
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

/// The program of a line, and what it runs in turn.
fn programs(line: &ProgramLine) -> Vec<PathBuf> {
    let Some((program, arguments)) = line.0.split_first() else { return Vec::new() };
    let program = PathBuf::from(program);
    let runs_others = is_interpreter(&program);
    let arguments = arguments.iter().map(PathBuf::from).filter(|path| path.is_absolute());
    let run = arguments.filter(|path| !path.is_dir() && (runs_others || is_executable(path)));
    let run: Vec<_> = run.collect();
    std::iter::once(program).chain(run).collect()
}

fn is_interpreter(program: &Path) -> bool {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    // `python3.12` is `python`.
    let name =
        name.trim_end_matches(|letter: char| letter.is_ascii_digit() || ".-".contains(letter));
    INTERPRETERS.contains(&name)
}

/// A log that was rotated so many times.
fn numbered(log: &Path, number: u32, suffix: &str) -> PathBuf {
    let mut name = OsString::from(log);
    name.push(format!(".{number}{suffix}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_53_what_an_interpreter_runs_is_a_program_too() {
        let line = |words: &[&str]| ProgramLine(words.iter().map(ToString::to_string).collect());
        let paths = |words: &[&str]| programs(&line(words));
        let script = PathBuf::from("/srv/hooks/run.sh");
        assert_eq!(
            paths(&["/bin/sh", "/srv/hooks/run.sh", "{file}"]),
            ["/bin/sh".into(), script.clone()]
        );
        assert_eq!(
            paths(&["/usr/bin/python3.12", "-u", "/srv/hooks/run.sh"]).get(1),
            Some(&script)
        );
        assert_eq!(paths(&["/usr/bin/touch", "/srv/stamp"]), [PathBuf::from("/usr/bin/touch")]);
        assert!(paths(&[]).is_empty());
    }
}
