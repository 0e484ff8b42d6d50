//! A real server of PostgreSQL on loopback, in a folder of its own, that ends with the test.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::Ports;

/// The user of the database, and its password.
pub(crate) const USER: &str = "wharf";
pub(crate) const PASSWORD: &str = "correct horse";

/// Where Debian puts each version's programs.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The user of the server if the tests run as root: PostgreSQL rejects to run as root.
const NOBODY: u32 = 65534;
/// How often a start is looked at: a minute in all.
const POLLS_MAX: u32 = 600;

/// A server that runs.
pub(crate) struct Postgres {
    /// Where its data are, and its local socket.
    pub(crate) folder: tempfile::TempDir,
    programs: PathBuf,
    /// Where it listens; part of the name of its local socket as well.
    pub(crate) port: u16,
    child: Option<Child>,
    /// No other test uses its port.
    ports: Ports,
}

impl Postgres {
    /// A new server with an empty database called `wharf`.
    pub(crate) fn start() -> Self {
        Self::start_in("UTF8")
    }

    /// The same, with this character set.
    pub(crate) fn start_in(encoding: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        for path in [folder.path(), &folder.path().join("password")] {
            give(path);
        }
        let mut server =
            Self { folder, programs: programs(), port: 0, child: None, ports: Ports::take(1) };
        let made = server
            .program("initdb")
            .args(["--no-sync", "--encoding", encoding, "--locale=C", "--auth=scram-sha-256"])
            .args(["--username", USER, "--pwfile", "password", "--pgdata", "data"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = server.ports.nth(0);
        server.run_on(port);
        server.sql_in("postgres", "CREATE DATABASE wharf");
        server
    }

    /// Its address, without the password.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/wharf", self.port)
    }

    /// Kills it, as a power failure would.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id().to_string();
        let _ = Command::new("kill").args(["-s", "QUIT", &pid]).status();
        child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub(crate) fn start_again(&mut self) {
        self.run_on(self.port);
    }

    /// What `psql` prints: rows as lines, columns between `|`.
    pub(crate) fn sql(&self, statements: &str) -> String {
        self.sql_in("wharf", statements)
    }

    fn sql_in(&self, database: &str, statements: &str) -> String {
        let ran = self.psql(database, statements);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap().trim_end().to_owned()
    }

    fn psql(&self, database: &str, statements: &str) -> std::process::Output {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet"]);
        command.args(["--set", "ON_ERROR_STOP=1", "--command", statements, "--dbname", database]);
        command.args(["--host", "127.0.0.1", "--port", &self.port.to_string(), "--username", USER]);
        command.env("PGPASSWORD", PASSWORD).env("PGCONNECT_TIMEOUT", "5").output().unwrap()
    }

    fn run_on(&mut self, port: u16) {
        let mut settings = String::new();
        for (key, value) in [
            ("listen_addresses", "'127.0.0.1'"),
            ("unix_socket_directories", &format!("'{}'", self.folder.path().display())),
            ("max_connections", "30"),
            ("shared_buffers", "4MB"),
            ("fsync", "off"),
            ("max_wal_size", "64MB"),
            ("logging_collector", "off"),
        ] {
            writeln!(settings, "{key} = {value}").unwrap();
        }
        let data = self.folder.path().join("data");
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.auto.conf"))
            .unwrap();
        file.write_all(settings.as_bytes()).unwrap();
        self.port = port;
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = self.program("postgres");
        command.args(["-D", "data", "-p", &port.to_string()]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        for _ in 0..POLLS_MAX {
            if self.psql("postgres", "SELECT 1").status.success() {
                return;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "PostgreSQL ended: {}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("PostgreSQL does not answer: {}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// One of its programs, which ends with us, and is not root's.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if is_root() {
            let nobody = NOBODY.to_string();
            command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
        }
        command.arg(self.programs.join(name)).current_dir(self.folder.path());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Gives a file to the user of the server.
pub(crate) fn give(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The folder with the programs of the newest version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let folders = versions.map(|entry| entry.path().join("bin"));
    let newest = folders.filter(|folder| folder.join("initdb").is_file()).max();
    newest.unwrap_or_else(|| {
        panic!("there is no PostgreSQL below {VERSIONS}; `cargo xtask setup` installs it")
    })
}
