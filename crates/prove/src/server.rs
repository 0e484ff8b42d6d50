//! The real server: configured once, then started, killed and restarted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustls_pki_types::ServerName;
use wharf_load::{ClientSession, Error, TargetServer, TlsOptions, clock};

use crate::prove::folder;
use crate::prove::folder::TemporaryFolder;
use crate::prove::ports::PortBlock;
use crate::prove::run::ProofRun;

/// A server with its folder, ports and accounts. Dropping it kills the process and removes all
/// files.
#[derive(Debug)]
pub(crate) struct ProofServer {
    wharf: PathBuf,
    folder: TemporaryFolder,
    /// The folder of the homes; in the server's folder unless the proof sets another.
    homes: PathBuf,
    ports: PortBlock,
    sections: BTreeMap<&'static str, Vec<String>>,
    accounts: BTreeMap<String, String>,
    child: Option<Child>,
}

/// The default account.
pub(crate) const USER: &str = "anna";
/// The password of every account.
pub(crate) const PASSWORD: &str = "quayside";
/// The same, hashed by the cheapest kind that the server reads: hashes are not tested here.
const PASSWORD_SSHA: &str = "{SSHA}2ovpBvSFw6k8gBftxBQCAyd+Qoh3aGFyZmJlbg==";

/// The longest wait of a client. A server that takes longer, even on a busy machine, hangs.
const TIMEOUT: Duration = Duration::from_mins(2);
/// From the start until the server accepts connections.
const START_MAX: Duration = Duration::from_mins(1);
const START_PAUSE: Duration = Duration::from_millis(1);
/// From SIGTERM to the exit.
const STOP_MAX: Duration = Duration::from_mins(1);
/// The part of the server's log that is shown.
const LOG_BYTES_MAX: usize = 2000;

impl ProofServer {
    /// Configures a server, with the account [`USER`] that has all permissions.
    pub(crate) fn new(run: &ProofRun) -> Result<Self, String> {
        let folder = run.folder()?;
        let homes = folder.path().join("homes");
        let ports = PortBlock::take()?;
        let mut server = Self {
            wharf: run.wharf().to_owned(),
            folder,
            homes,
            ports,
            sections: BTreeMap::new(),
            accounts: BTreeMap::new(),
            child: None,
        };
        let state = server.folder.path().join("state");
        let passive = server.ports.passive();
        server.set("server", &format!("state_dir = {}", quoted(&state)));
        server.set("server", "shutdown_grace = \"5s\"");
        server.set("passive", &format!("ports = \"{}-{}\"", passive.start(), passive.end()));
        for limit in ["connections", "connections_per_ip", "sessions_per_user"] {
            server.set("limits", &format!("{limit} = 0"));
        }
        server.account(USER, "permissions = \"full\"");
        Ok(server)
    }

    /// Sets a line in a section of the configuration, replacing one with the same key. It takes
    /// effect at the next start.
    pub(crate) fn set(&mut self, section: &'static str, line: &str) {
        let key = |line: &str| line.split(" = ").next().unwrap_or_default().to_owned();
        let lines = self.sections.entry(section).or_default();
        lines.retain(|known| key(known) != key(line));
        lines.push(line.to_owned());
    }

    /// Adds an account with these lines in the accounts file, plus its home, and its password
    /// unless it is one of them.
    pub(crate) fn account(&mut self, name: &str, lines: &str) {
        self.accounts.insert(name.to_owned(), lines.to_owned());
    }

    /// Sets the folder of the homes: each is a subfolder with its account's name.
    pub(crate) fn homes_at(&mut self, homes: &Path) {
        homes.clone_into(&mut self.homes);
    }

    /// Starts it and waits until it accepts connections. A running one is killed before.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        self.kill();
        let (config, users) = (self.folder.path().join("wharf.toml"), self.users_file());
        folder::write(&config, self.config(&users))?;
        folder::write(&users, self.users())?;
        for name in self.accounts.keys() {
            folder::make(&self.home_of(name))?;
        }
        self.child = Some(self.spawn()?);
        let began = clock::now();
        while began.elapsed() < START_MAX {
            if TcpStream::connect(("127.0.0.1", self.port())).is_ok() {
                return Ok(());
            }
            if !self.is_running() {
                return Err(format!("the server does not start: {}", self.log()));
            }
            clock::pause(START_PAUSE);
        }
        Err(format!("the server does not listen: {}", self.log()))
    }

    /// Kills it (SIGKILL).
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has exited cannot be killed, but the wait for it is needed as well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Kills it (SIGKILL) without waiting.
    pub(crate) fn kill_without_waiting(&self) {
        if let Some(child) = &self.child {
            // One that has exited cannot be killed.
            let _ = kill_process(Pid::from_child(child), Signal::KILL);
        }
    }

    /// Stops it (SIGTERM) and waits for its exit.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // The exit status of one that has ended is read below.
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        let began = clock::now();
        while began.elapsed() < STOP_MAX {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    return Err(format!("the server exited with {status}: {}", self.log()));
                }
                Ok(None) => clock::pause(START_PAUSE),
                Err(error) => return Err(format!("cannot wait for the server: {error}")),
            }
        }
        self.child = Some(child);
        self.kill();
        Err(format!("the server does not stop: {}", self.log()))
    }

    /// Whether the process is running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// A logged-in client of [`USER`].
    pub(crate) fn client(&self, is_secure: bool) -> Result<ClientSession, Error> {
        self.client_of(USER, is_secure)
    }

    /// A logged-in client of an account.
    pub(crate) fn client_of(&self, user: &str, is_secure: bool) -> Result<ClientSession, Error> {
        let mut target = target(self.port());
        user.clone_into(&mut target.user);
        let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        target.tls = is_secure.then(|| TlsOptions::accepting_any_certificate(name));
        ClientSession::log_in(&target)
    }

    pub(crate) fn port(&self) -> u16 {
        self.ports.control()
    }

    /// The process id.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The home of [`USER`].
    pub(crate) fn home(&self) -> PathBuf {
        self.home_of(USER)
    }

    /// The home of an account.
    pub(crate) fn home_of(&self, user: &str) -> PathBuf {
        self.homes.join(user)
    }

    /// The names of hidden files in the home of [`USER`]: those of unfinished uploads.
    pub(crate) fn hidden_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.home()).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".wharf-")).collect()
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read(self.log_file()).unwrap_or_default();
        let start = text.len().saturating_sub(LOG_BYTES_MAX);
        String::from_utf8_lossy(text.get(start..).unwrap_or_default()).trim().to_owned()
    }

    fn spawn(&self) -> Result<Child, String> {
        let describe = |error| format!("cannot start {}: {error}", self.wharf.display());
        let log = File::create(self.log_file()).map_err(describe)?;
        let log = OpenOptions::new().append(true).open(self.log_file()).unwrap_or(log);
        let other = log.try_clone().map_err(describe)?;
        // It is killed when the thread that started it ends, even by a kill.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.wharf);
        command.args(["serve", "-c", "wharf.toml"]).current_dir(self.folder.path());
        command.env("HOME", self.folder.path()).env("TZ", "UTC0").env("LC_ALL", "C.UTF-8");
        // Root would otherwise use the control socket of the system.
        command.env("RUNTIME_DIRECTORY", self.folder.path().join("run"));
        command.stdin(Stdio::null()).stdout(log).stderr(other);
        command.spawn().map_err(describe)
    }

    fn config(&self, users: &Path) -> String {
        let mut text = String::from("config_version = 1\n");
        for (section, lines) in &self.sections {
            let _ = write!(text, "\n[{section}]\n{}\n", lines.join("\n"));
            if *section == "server" {
                let _ = writeln!(text, "users_file = {}", quoted(users));
            }
        }
        let port = self.port();
        let _ = write!(text, "\n[[listen]]\naddress = \"127.0.0.1\"\nport = {port}\n");
        text
    }

    fn users(&self) -> String {
        let mut text = String::new();
        for (name, lines) in &self.accounts {
            let home = quoted(&self.home_of(name));
            let _ = writeln!(text, "[users.{name}]\nhome = {home}\n{lines}");
            if !lines.contains("password = ") {
                let _ = writeln!(text, "password = {PASSWORD_SSHA:?}");
            }
        }
        text
    }

    fn users_file(&self) -> PathBuf {
        self.folder.path().join("users.toml")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for ProofServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server on this port, and [`USER`].
pub(crate) fn target(port: u16) -> TargetServer {
    let mut target = TargetServer::new((Ipv4Addr::LOCALHOST, port).into(), USER, PASSWORD);
    target.timeout = TIMEOUT;
    target
}

/// The same for a client of another address of the loopback network.
pub(crate) fn target_from(source: Ipv4Addr, port: u16) -> TargetServer {
    TargetServer { source: Some(source.into()), ..target(port) }
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}
