//! Starts the built program with its own folder, ports and accounts, and ends it on drop.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::ports::Ports;
use super::program::Program;
use super::wire::Wire;

/// The account that most tests use, and the password of every account.
pub(crate) const USER: &str = "anna";
pub(crate) const PASSWORD: &str = "secret";

/// A server that does not listen by then never will.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The server settings of a test.
pub(crate) struct Setup {
    folder: TempDir,
    ports: Ports,
    sections: BTreeMap<String, Vec<String>>,
    listeners: Option<String>,
    accounts: Vec<Vec<String>>,
}

/// A server that runs. Dropping it ends the process and removes the files.
pub(crate) struct Server {
    folder: TempDir,
    ports: Ports,
    child: Option<Child>,
    printed: Vec<String>,
    lines: Receiver<String>,
    ready_line: String,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("wharf-").tempdir().expect("it can be made");
        let setup = Self {
            folder,
            ports: Ports::take(1),
            sections: BTreeMap::new(),
            listeners: None,
            accounts: Vec::new(),
        };
        let passive = setup.ports.passive();
        let state = setup.folder.path().join("state");
        setup
            .set("server", &format!("state_dir = {:?}", state.display().to_string()))
            .set("server", "shutdown_grace = \"5s\"")
            .set("passive", &format!("ports = \"{}-{}\"", passive.start(), passive.end()))
            // What clients wait for is not what is tested.
            .set("login", "failure_delay = 0")
            .set("limits", "connections_per_ip = 0")
            .set("limits", "sessions_per_user = 0")
    }

    /// Puts a line into a section of the configuration, in place of another for the same key.
    pub(crate) fn set(mut self, section: &str, line: &str) -> Self {
        let lines = self.sections.entry(section.to_owned()).or_default();
        let key = line.split(" = ").next().expect("a line has a key");
        lines.retain(|known| known.split(" = ").next() != Some(key));
        lines.push(line.to_owned());
        self
    }

    /// Listens at these addresses, instead of both loopback addresses with explicit and with
    /// implicit TLS.
    pub(crate) fn listeners(mut self, make: impl FnOnce(&Ports) -> String) -> Self {
        self.listeners = Some(make(&self.ports));
        self
    }

    /// The ports of this test.
    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The folder of this test.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Adds an account with these permissions and more options of `wharf user add`. Without any,
    /// there is [`USER`] with all permissions.
    pub(crate) fn account(mut self, name: &str, permissions: &str, options: &[&str]) -> Self {
        let words = [&[name, "--permissions", permissions], options].concat();
        self.accounts.push(words.into_iter().map(str::to_owned).collect());
        self
    }

    /// Starts the server and waits until it reports that it listens.
    pub(crate) fn start(self) -> Server {
        let mut server = self.ready_to_start();
        server.start();
        server
    }

    /// Starts a server that does not report it, and waits until it listens.
    pub(crate) fn start_quietly(self) -> Server {
        let mut server = self.ready_to_start();
        server.launch();
        while TcpStream::connect(("127.0.0.1", server.port())).is_err() {
            let has_ended = server.child.as_mut().is_none_or(|child| {
                child.try_wait().expect("the process can be awaited").is_some()
            });
            assert!(!has_ended, "it ended: {:?}", server.lines.iter().collect::<Vec<_>>());
        }
        server
    }

    fn ready_to_start(self) -> Server {
        let path = self.folder.path().join("wharf.toml");
        fs::write(&path, self.config()).expect("it can be written");
        let setup = if self.accounts.is_empty() { self.account(USER, "full", &[]) } else { self };
        for words in &setup.accounts {
            let home = setup.folder.path().join("home").join(&words[0]);
            fs::create_dir_all(&home).expect("it can be made");
            wharf(setup.folder.path())
                .args(["-c", "wharf.toml", "user", "add"])
                .args(words)
                .arg("--home")
                .arg(&home)
                .args(["--password-file", "-"])
                .input(format!("{PASSWORD}\n"))
                .succeed();
        }
        let (_, lines) = channel();
        let Self { folder, ports, .. } = setup;
        Server { folder, ports, child: None, printed: Vec::new(), lines, ready_line: String::new() }
    }

    fn config(&self) -> String {
        let mut text = String::from("config_version = 1\n");
        for (section, lines) in &self.sections {
            let _ = write!(text, "\n[{section}]\n{}\n", lines.join("\n"));
        }
        let both = || {
            let one = |address: &str, port: u16, tls: &str| {
                format!("\n[[listen]]\naddress = \"{address}\"\nport = {port}\ntls = \"{tls}\"\n")
            };
            let listeners =
                [(self.ports.control(), "explicit"), (self.ports.implicit(), "implicit")];
            let each =
                listeners.map(|(port, tls)| one("127.0.0.1", port, tls) + &one("::1", port, tls));
            each.concat()
        };
        text + &self.listeners.clone().unwrap_or_else(both)
    }
}

impl Server {
    /// A server with one account, [`USER`], that may do everything.
    pub(crate) fn with_one_account() -> Self {
        Setup::new().start()
    }

    /// Starts the process, again if it ended.
    pub(crate) fn start(&mut self) {
        self.launch();
        self.ready_line = self.receive_line(is_ready);
        self.assert_own_socket();
    }

    /// Each test has a control socket of its own.
    fn assert_own_socket(&self) {
        let is_own = self.folder().join("run/control.sock").exists();
        let is_configured = fs::read_to_string(self.folder().join("wharf.toml"))
            .is_ok_and(|text| text.contains("[control]"));
        assert!(is_own || is_configured, "the control socket is outside of the test's folder");
    }

    fn launch(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.args(["serve", "-c", "wharf.toml"]).current_dir(self.folder());
        command.env("HOME", self.folder()).env("TZ", "UTC0").env("LC_ALL", "C.UTF-8");
        // Root would otherwise use the control socket of the system.
        command.env("RUNTIME_DIRECTORY", self.folder().join("run"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program was built");
        let (sender, lines) = channel();
        forward(child.stdout.take().expect("it is piped"), sender.clone());
        forward(child.stderr.take().expect("it is piped"), sender);
        self.child = Some(child);
        self.lines = lines;
    }

    /// Its output when it started to listen.
    pub(crate) fn ready_line(&self) -> &str {
        &self.ready_line
    }

    /// Waits for a line of the log and returns it.
    fn receive_line(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        while let Ok(line) = self.lines.recv_timeout(TIMEOUT) {
            self.printed.push(line.clone());
            if is_it(&line) {
                return line;
            }
        }
        panic!("the awaited line never came, only:\n{}", self.printed.join("\n"));
    }

    /// Ends the process as a crash would (SIGKILL).
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be ended");
            child.wait().expect("the process can be awaited");
        }
    }

    /// Stops the process (SIGTERM), waits for it, and returns its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
        child.wait().expect("the process can be awaited").code()
    }

    pub(crate) fn port(&self) -> u16 {
        self.ports.control()
    }

    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The folder of this test, with the server's files and space for others.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new folder for a client.
    pub(crate) fn client_dir(&self, name: &str) -> PathBuf {
        let client_dir = self.folder().join("client-dirs").join(name);
        fs::create_dir_all(&client_dir).expect("it can be made");
        client_dir
    }

    /// Where the files of [`USER`] are.
    pub(crate) fn home(&self) -> PathBuf {
        self.home_of(USER)
    }

    pub(crate) fn home_of(&self, user: &str) -> PathBuf {
        self.folder().join("home").join(user)
    }

    /// A client over a plain socket, not logged in.
    pub(crate) fn connect(&self) -> Wire {
        Wire::connect("127.0.0.1", self.port())
    }

    /// A client over a plain socket, logged in, that moves bytes as they are (TYPE I).
    pub(crate) fn wire(&self) -> Wire {
        self.wire_as(USER)
    }

    pub(crate) fn wire_as(&self, user: &str) -> Wire {
        let mut wire = self.connect();
        wire.log_in(user, PASSWORD);
        wire.expect("TYPE I", 200);
        wire
    }

    /// Runs another command of the program with this server's configuration.
    pub(crate) fn wharf(&self) -> Program {
        wharf(self.folder()).args(["-c", "wharf.toml"])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            self.printed.extend(self.lines.try_iter());
            eprintln!("--- the server printed\n{}", self.printed.join("\n"));
        }
        self.kill();
    }
}

/// The built program, in `folder`.
pub(crate) fn wharf(folder: &Path) -> Program {
    let program = Program::new(env!("CARGO_BIN_EXE_wharf")).folder(folder);
    program.env("RUNTIME_DIRECTORY", folder.join("run"))
}

fn is_ready(line: &str) -> bool {
    line.to_lowercase().contains("ready")
}

fn forward(pipe: impl Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
}

impl Ports {
    /// Where the server listens.
    pub(crate) fn control(&self) -> u16 {
        self.nth(0)
    }

    /// Where the server listens for implicit TLS.
    pub(crate) fn implicit(&self) -> u16 {
        self.nth(1)
    }

    /// Where a second server, or a second listener, may listen.
    pub(crate) fn spare(&self) -> u16 {
        self.nth(2)
    }
}
