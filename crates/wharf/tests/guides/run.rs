//! Runs the blocks of one guide, in order, in a folder of their own.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::blocks::{Block, blocks};
use crate::ports::Ports;

/// The port in the text of examples; it is replaced by one that is free.
const PORT: &str = "2121";
/// Steps of a wait for a program.
const STEP: Duration = Duration::from_millis(20);
/// Steps that an example may take: two minutes on a busy machine.
const STEPS_MAX: u32 = 6000;
/// Letters of output that a failure shows.
const SHOWN_MAX: usize = 4000;
/// The user and group that run the examples when root runs the tests: a mistake in a guide must not
/// change the system. It owns nothing, by convention.
const UNPRIVILEGED: u32 = 65534;
/// A fragment of the configuration, while it is checked.
const FRAGMENT: &str = "fragment.toml";
/// Creates the account of a configuration that has none.
const ACCOUNT: &str = "echo secret > me.password; chmod 600 me.password; \
                       wharf user add me --home share --create-home --permissions read-write \
                       --password-file me.password";
/// Where a script and its server find the configuration.
const CONFIG: &str = "wharf.toml";
const USERS: &str = "users.toml";

/// What is done with a block.
enum Kind {
    /// ```` ```sh ````: run by `sh -eu`.
    Script,
    /// ```` ```sh,server ````: the same, while a server runs on the configuration of the folder.
    ScriptWithServer,
    /// ```` ```toml ````: a fragment of `wharf.toml`, which the program must accept.
    Config,
    /// ```` ```toml,users ````: a fragment of `users.toml`.
    Users,
    /// ```` ```json ````: must be JSON.
    Json,
    /// ```` ```sh,system ````, ```` ```console ````, ```` ```rust ```` and texts: checked
    /// elsewhere, or shown only.
    Shown,
}

impl Kind {
    fn of(block: &Block) -> Option<Self> {
        Some(match block.info.as_str() {
            "sh" => Self::Script,
            "sh,server" => Self::ScriptWithServer,
            "toml" => Self::Config,
            "toml,users" => Self::Users,
            "json" => Self::Json,
            "sh,system" | "console" | "text" | "yaml" | "ini" | "sql" | "csv" | "python"
            | "html" => Self::Shown,
            info if info.split(',').next() == Some("rust") => Self::Shown,
            _ => return None,
        })
    }
}

/// Runs the blocks of a guide; what failed, each with `file:line`.
pub(crate) fn guide(name: &str, text: &str) -> Vec<String> {
    let scratch = Scratch::new();
    let mut faults = Vec::new();
    for block in blocks(text) {
        if let Err(fault) = scratch.check(&block) {
            faults.push(format!("{name}:{}: {fault}", block.line));
        }
    }
    faults
}

/// The folder of a guide.
struct Scratch {
    folder: tempfile::TempDir,
    ports: Ports,
    is_root: bool,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let is_root = rustix::process::geteuid().is_root();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let scratch = Self { folder, ports: Ports::take(4), is_root };
        for name in ["bin", "files", "home", "run", "check", "state"] {
            let path = scratch.folder.path().join(name);
            fs::create_dir(&path).unwrap();
            scratch.hand_over(&path);
        }
        // The folder in which it was built may be closed to other users.
        let (built, program) =
            (env!("CARGO_BIN_EXE_wharf"), scratch.folder.path().join("bin/wharf"));
        if fs::hard_link(built, &program).is_err() {
            fs::copy(built, &program).unwrap();
        }
        scratch
    }

    /// Gives a file or folder to the user that runs the examples.
    fn hand_over(&self, path: &Path) {
        if self.is_root {
            std::os::unix::fs::chown(path, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        }
    }

    /// Writes a file for the program alone.
    fn write(&self, path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        self.hand_over(path);
    }

    /// Where the examples run.
    fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    fn check(&self, block: &Block) -> Result<(), String> {
        match Kind::of(block) {
            Some(Kind::Script) => self.script(&block.code),
            Some(Kind::ScriptWithServer) => {
                let server = self.serve()?;
                let ran = self.script(&block.code);
                drop(server);
                ran
            }
            Some(Kind::Config) => self.config(&block.code),
            Some(Kind::Users) => self.users(&block.code),
            Some(Kind::Json) => serde_json::from_str::<serde_json::Value>(&block.code)
                .map(drop)
                .map_err(|error| format!("invalid JSON: {error}")),
            Some(Kind::Shown) => Ok(()),
            None => Err(format!(
                "unknown kind of example \"{}\"\nhint: name one behind the fence: sh, sh,server, \
                 sh,system, toml, toml,users, console, rust, text, json, yaml, ini",
                block.info
            )),
        }
    }

    fn script(&self, code: &str) -> Result<(), String> {
        let code = code.replace(PORT, &self.ports.nth(0).to_string());
        let mut command = self.command("sh", &self.files());
        command.args(["-eu", "-c", &code]);
        self.succeeds(command)
    }

    /// A fragment of the configuration.
    fn config(&self, code: &str) -> Result<(), String> {
        // Beside what earlier examples made: a fragment may name their files and folders.
        let folder = self.files();
        self.write(&folder.join(FRAGMENT), code);
        let mut command = self.command("wharf", &folder);
        command.args(["config", "show", "--config", FRAGMENT]);
        let valid = self.succeeds(command);
        fs::remove_file(folder.join(FRAGMENT)).unwrap();
        valid
    }

    /// A fragment of the accounts.
    fn users(&self, code: &str) -> Result<(), String> {
        let folder = self.folder.path().join("check");
        self.write(&folder.join(USERS), code);
        self.write(&folder.join(CONFIG), "");
        let mut command = self.command("wharf", &folder);
        command.args(["user", "list", "--config", CONFIG]);
        command.args(["--set", "server.users_file=users.toml"]);
        self.succeeds(command)
    }

    /// A server on the configuration of the folder, or one that shares a folder in it.
    fn serve(&self) -> Result<GuideServer, String> {
        let files = self.files();
        let mut command = self.command("wharf", &files);
        command.args(["serve", "--port", &self.ports.nth(0).to_string()]);
        if self.config_file().is_none() {
            fs::create_dir_all(files.join("share")).unwrap();
            self.hand_over(&files.join("share"));
            command.args(["-w", "-u", "me", "-P", "secret", "share"]);
        } else if !files.join(USERS).exists() {
            // A configuration without accounts does not start.
            self.script(ACCOUNT)?;
        }
        let output = self.folder.path().join("server.log");
        let mut server = GuideServer(start(command, &output)?);
        let address = ("127.0.0.1", self.ports.nth(0));
        for _ in 0..STEPS_MAX {
            if server.0.try_wait().unwrap().is_some() {
                return Err(format!("the server did not start:\n{}", shown(&output)));
            }
            if std::net::TcpStream::connect(address).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(STEP);
        }
        Err(format!("the server does not listen:\n{}", shown(&output)))
    }

    fn config_file(&self) -> Option<PathBuf> {
        let home = self.folder.path().join("home/.config/wharf");
        [self.files(), home]
            .map(|folder| folder.join(CONFIG))
            .into_iter()
            .find(|file| file.exists())
    }

    /// A program that finds nothing of the user that runs the tests.
    fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = if self.is_root {
            let mut command = Command::new("setpriv");
            let (user, group) =
                (format!("--reuid={UNPRIVILEGED}"), format!("--regid={UNPRIVILEGED}"));
            command.args([&user, &group, "--clear-groups", "--no-new-privs", program]);
            command
        } else {
            Command::new(program)
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WHARF") {
                command.env_remove(name);
            }
        }
        let top = self.folder.path();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", top.join("bin").display()));
        command.env("HOME", top.join("home")).env("RUNTIME_DIRECTORY", top.join("run"));
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
        command.env_remove("JOURNAL_STREAM").env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8");
        let configured = self.config_file().and_then(|file| fs::read_to_string(file).ok());
        if !configured.is_some_and(|text| text.lines().any(|line| line.starts_with("state_dir"))) {
            command.env("WHARF__SERVER__STATE_DIR", top.join("state"));
        }
        let range = self.ports.passive();
        command.env("WHARF__PASSIVE__PORTS", format!("{}-{}", range.start(), range.end()));
        // A file in the current folder is used only if it is named.
        if let Some(file) = self.config_file() {
            command.env("WHARF_CONFIG", file);
        }
        command.current_dir(folder);
        command
    }

    /// Runs a program to its end, and ends what it left running.
    fn succeeds(&self, command: Command) -> Result<(), String> {
        let output = self.folder.path().join("output");
        let mut child = start(command, &output)?;
        let ended = wait(&mut child);
        end_group(child.id());
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("failed with {status}:\n{}", shown(&output))),
            None => {
                let _ = child.wait();
                Err(format!("does not end by itself:\n{}", shown(&output)))
            }
        }
    }
}

/// A running server, which ends when it is dropped.
struct GuideServer(Child);

impl Drop for GuideServer {
    fn drop(&mut self) {
        end_group(self.0.id());
        let _ = self.0.wait();
    }
}

/// Starts a program in a process group of its own, with its output in a file.
fn start(mut command: Command, output: &Path) -> Result<Child, String> {
    let file = File::create(output).unwrap();
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    command.process_group(0);
    let name = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|error| format!("cannot start {name}: {error}"))
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    for _ in 0..STEPS_MAX {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(STEP);
    }
    None
}

/// Ends every process that is left of a group.
fn end_group(group: u32) {
    let mut kill = Command::new("kill");
    kill.args(["-KILL", "--", &format!("-{group}")]).stderr(Stdio::null());
    let _ = kill.status();
}

/// The end of a program's output.
fn shown(file: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
    let skipped = text.chars().count().saturating_sub(SHOWN_MAX);
    text.chars().skip(skipped).collect()
}
