//! The servers: how each is found, started and installed.
//!
//! All of them serve the same folder to the same account, and run as the same system user. wharf
//! writes its log, as shipped; the others write none. Their defaults are kept, except for limits
//! that would stop a case.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::bench::account::{BenchAccount, CertificateFiles};
use crate::bench::cases::Variant;
use crate::bench::paths::BenchPaths;

mod debian;
mod libunftp;
mod limit;
mod proftpd;
mod pure_ftpd;
mod pyftpdlib;
mod vsftpd;
mod wharf;

/// A server, and how to handle it.
#[derive(Debug)]
pub(crate) struct BenchServer {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// How it verifies passwords, and other differences.
    pub(crate) about: &'static str,
    /// Processes per session; 0 if one process serves all.
    pub(crate) processes_per_session: u64,
    /// It supports MLSD; otherwise LIST is used.
    pub(crate) has_mlsd: bool,
    /// It must be started as root.
    pub(crate) needs_root: bool,
    pub(crate) find: fn(&BenchPaths) -> Result<Installation, String>,
    pub(crate) start: fn(&Installation, &ServerSetup<'_>) -> Result<StartCommand, String>,
    pub(crate) install: fn(&BenchPaths) -> Result<(), String>,
}

/// An installed server.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    pub(crate) program: PathBuf,
    pub(crate) version: String,
}

/// The configuration of a server.
#[derive(Debug)]
pub(crate) struct ServerSetup<'a> {
    pub(crate) port: u16,
    /// The folder that it serves.
    pub(crate) root: &'a Path,
    pub(crate) account: &'a BenchAccount,
    /// For explicit TLS; without it TLS is off.
    pub(crate) certificate: Option<&'a CertificateFiles>,
    /// Its own folder, removed after it has ended.
    pub(crate) work: &'a Path,
    pub(crate) variant: Variant,
    /// For the bare program: bytes per system call.
    pub(crate) span: u64,
}

/// How to start a server in the foreground.
#[derive(Debug, Default)]
pub(crate) struct StartCommand {
    /// The program and its arguments.
    pub(crate) words: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// It starts as root and drops privileges itself; otherwise it is started as the account's
    /// user.
    pub(crate) is_root: bool,
}

/// The ports for data connections, below the ephemeral ports of clients.
pub(crate) const PASSIVE_FIRST: u16 = 10_000;
/// The last of them.
pub(crate) const PASSIVE_LAST: u16 = 29_999;

/// How to install missing servers.
pub(crate) const INSTALL_HINT: &str = "cargo xtask bench --install";

/// All servers; wharf is first.
pub(crate) static SERVERS: &[&BenchServer] = &[
    &wharf::SERVER,
    &wharf::NO_LOG,
    &wharf::FULL,
    &vsftpd::SERVER,
    &proftpd::SERVER,
    &pure_ftpd::SERVER,
    &pyftpdlib::SERVER,
    &libunftp::SERVER,
];

pub(crate) use limit::WORD as BARE_WORD;

/// The bare program, used by some cases.
pub(crate) static BARE: &BenchServer = &limit::SERVER;

/// A server that can be started.
pub(crate) type InstalledServer = (&'static BenchServer, Installation);

/// Finds the servers, and installs those that are missing.
///
/// # Errors
/// All that could not be installed: none is left out.
pub(crate) fn ready(
    places: &BenchPaths,
    servers: &[&'static BenchServer],
) -> Result<Vec<InstalledServer>, String> {
    let (mut installed, mut failed) = (Vec::new(), Vec::new());
    for server in servers {
        let found = (server.find)(places)
            .or_else(|_| (server.install)(places).and_then(|()| (server.find)(places)));
        match found {
            Ok(found) => installed.push((*server, found)),
            Err(why) => failed.push(format!("{}: {why}", server.name)),
        }
    }
    if failed.is_empty() { Ok(installed) } else { Err(failed.join("\n")) }
}

/// The servers named in `words`, or all.
pub(crate) fn chosen(words: &[String]) -> Result<Vec<&'static BenchServer>, String> {
    if let Some(word) = words.iter().find(|word| !SERVERS.iter().any(|one| one.name == **word)) {
        let names: Vec<_> = SERVERS.iter().map(|server| server.name).collect();
        return Err(format!("unknown server \"{word}\"\nhint: servers are {}", names.join(", ")));
    }
    let is_chosen =
        |server: &&&BenchServer| words.is_empty() || words.iter().any(|word| *word == server.name);
    Ok(SERVERS.iter().filter(is_chosen).copied().collect())
}

impl StartCommand {
    fn new(program: &Path) -> Self {
        Self { words: vec![program.into()], ..Self::default() }
    }

    fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.words.push(word.into());
        self
    }

    fn args<const N: usize>(mut self, words: [&str; N]) -> Self {
        self.words.extend(words.map(OsString::from));
        self
    }

    fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    fn by_root(mut self) -> Self {
        self.is_root = true;
        self
    }
}

/// The output of `program`, standard output and error together.
fn printed(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let name = program.display();
    let output = std::process::Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot start {name}: {error}"))?;
    let texts = [output.stdout, output.stderr];
    let text = texts.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!("`{name} {}` failed: {}", arguments.join(" "), text.trim()))
    }
}

/// Runs `program` to its end; its messages go to standard error.
fn succeed(folder: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
    eprintln!("bench: {program} {}", arguments.join(" "));
    let status = std::process::Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(std::process::Stdio::null())
        .status()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} failed, see above")) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn without_names_every_server_is_measured() {
        assert_eq!(chosen(&[]).unwrap().len(), SERVERS.len());
        let one = chosen(&["vsftpd".to_owned()]).unwrap();
        assert_eq!(one.iter().map(|server| server.name).collect::<Vec<_>>(), ["vsftpd"]);
    }

    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

    fn installation() -> Installation {
        Installation { program: PathBuf::new(), version: "1".into() }
    }

    #[test]
    fn a_missing_server_is_installed_and_one_that_cannot_be_is_an_error() {
        static LATE: BenchServer = BenchServer {
            name: "late",
            find: |_| {
                let is_installed = IS_INSTALLED.load(Ordering::Relaxed);
                is_installed.then(installation).ok_or_else(|| "not installed".to_owned())
            },
            install: |_| {
                IS_INSTALLED.store(true, Ordering::Relaxed);
                Ok(())
            },
            ..limit::SERVER
        };
        static NEVER: BenchServer = BenchServer {
            name: "never",
            find: |_| Err("not installed".to_owned()),
            install: |_| Err("no such package".to_owned()),
            ..limit::SERVER
        };
        let places = BenchPaths::find().unwrap();
        let names: Vec<_> =
            ready(&places, &[&LATE]).unwrap().iter().map(|(server, _)| server.name).collect();
        assert_eq!(names, ["late"]);
        let message = ready(&places, &[&NEVER, &LATE]).unwrap_err();
        assert_eq!(message, "never: no such package");
    }

    #[test]
    fn an_unknown_name_is_reported_with_the_known_ones() {
        let message = chosen(&["vsftp".to_owned()]).unwrap_err();
        assert!(message.contains("vsftp") && message.contains("pure-ftpd"), "{message}");
    }
}
