//! The built program in a folder of its own: run to its end, or serving.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::OnceLock;

#[path = "../clients/support/ports.rs"]
mod ports;
pub(crate) use ports::Ports;

/// A folder where the program finds nothing of this computer's user.
pub(crate) struct TestFolder {
    folder: tempfile::TempDir,
    ports: OnceLock<Ports>,
}

/// Blocks of ports of a place: its server has at least 150 for data.
const BLOCKS: u16 = 4;

/// How often a login is retried while the server is full.
#[cfg(unix)]
const LOGIN_TRIES_MAX: usize = 6_000;

/// A port that no other test uses, until this process ends.
pub(crate) fn own_port() -> u16 {
    let ports: &'static Ports = Box::leak(Box::new(Ports::take(1)));
    ports.nth(0)
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl TestFolder {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), ports: OnceLock::new() }
    }

    /// Ports that no other test uses.
    pub(crate) fn ports(&self) -> &Ports {
        self.ports.get_or_init(|| Ports::take(BLOCKS))
    }

    /// Those for data, as `passive.ports` has them.
    pub(crate) fn range(&self) -> String {
        let range = self.ports().passive();
        format!("{}-{}", range.start(), range.end())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.args(words).current_dir(self.folder.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WHARF") {
                command.env_remove(name);
            }
        }
        command.env_remove("JOURNAL_STREAM").env_remove("CLICOLOR_FORCE");
        command.env("WHARF__SERVER__STATE_DIR", self.path("state"));
        command.env("RUNTIME_DIRECTORY", self.path("run"));
        command.env("HOME", self.folder.path()).env("RUST_BACKTRACE", "1");
        // Tests expect English messages, also where the session is Chinese.
        command.env("LC_ALL", "C.UTF-8").env("LANG", "C.UTF-8");
        // No command takes the one of the current folder by itself.
        if self.path("wharf.toml").exists() {
            command.env("WHARF_CONFIG", "wharf.toml");
        }
        command
    }

    /// Runs the program to its end, with `input` as its standard input.
    pub(crate) fn run_with(&self, words: &[&str], input: &str) -> Ran {
        let mut child = self
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not read its input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(
                &format!("{}{}", self.folder.path().display(), std::path::MAIN_SEPARATOR),
                "",
            )
        };
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.run_with(words, "")
    }

    /// Starts serving on a port of loopback that the system chooses.
    pub(crate) fn serve(&self, words: &[&str]) -> Serving {
        Serving::start(self.spawn(words))
    }

    /// The same, with so many open files as the system permits at most.
    #[cfg(unix)]
    pub(crate) fn serve_with_files(&self, files: u32, words: &[&str]) -> Serving {
        let program = self.command(&[]);
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -n {files} && exec \"$0\" \"$@\""));
        command.arg(program.get_program()).args(words).args(LOOPBACK);
        command.current_dir(self.folder.path());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Serving::start(command.spawn().unwrap())
    }

    /// As above, for a server whose log is a file of this name.
    pub(crate) fn serve_quietly(&self, words: &[&str], log: &str) -> Serving {
        self.serve_quietly_with(words, log, &[])
    }

    /// The same, with these variables.
    pub(crate) fn serve_quietly_with(
        &self,
        words: &[&str],
        log: &str,
        variables: &[(&str, &str)],
    ) -> Serving {
        let mut child = self.spawning(words).envs(variables.iter().copied()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            let text = std::fs::read_to_string(self.path(log)).unwrap_or_default();
            let ready = text.lines().find(|line| line.contains("ftp://127.0.0.1:"));
            if let Some((_, rest)) = ready.and_then(|line| line.split_once("ftp://")) {
                let end = rest.find('"').unwrap();
                break rest[..end].parse().unwrap();
            }
        };
        Serving { child, lines, address, before: String::new() }
    }

    /// Starts serving, without waiting for it.
    pub(crate) fn spawn(&self, words: &[&str]) -> Child {
        self.spawning(words).spawn().unwrap()
    }

    fn spawning(&self, words: &[&str]) -> Command {
        let range = self.range();
        let ports: &[_] = if words.contains(&"-r") { &[] } else { &["-r", &range] };
        let words: Vec<_> = words.iter().chain(LOOPBACK).chain(ports).copied().collect();
        let mut command = self.command(&words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// The options of a server on a port of loopback that the system chooses.
const LOOPBACK: &[&str] = &["-i", "127.0.0.1", "-p", "0"];

impl Ran {
    /// Asserts the exit code, and that there is no panic.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.err.contains("panicked") && !self.err.contains("backtrace"), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn reports(self, part: &str) -> Self {
        assert!(self.err.contains(part), "{part:?} is not in {}", self.err);
        self
    }
}

/// A server that runs.
pub(crate) struct Serving {
    child: Child,
    lines: BufReader<ChildStderr>,
    pub(crate) address: SocketAddr,
    /// Its output before it was ready.
    pub(crate) before: String,
}

impl Serving {
    /// Waits until it is ready.
    pub(crate) fn start(mut child: Child) -> Self {
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut before = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it ended: {before}");
            if let Some((_, rest)) = line.split_once("event=ready addresses=\"ftp://") {
                break rest.trim_end().trim_end_matches('"').parse().unwrap();
            }
            before.push_str(&line);
        };
        Self { child, lines, address, before }
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client that was greeted.
    pub(crate) fn connect(&self) -> Client {
        let mut client = self.meets();
        assert!(client.reply().starts_with("220 "));
        client
    }

    /// The reply to a name and a password.
    pub(crate) fn tries(&self, user: &str, password: &str) -> String {
        let mut client = self.connect();
        client.command(&format!("USER {user}"));
        client.command(&format!("PASS {password}"))
    }

    pub(crate) fn login(&self, user: &str, password: &str) -> Client {
        let mut client = self.connect();
        client.logs_in(user, password);
        client
    }

    /// As above, retried as long as the server is full.
    #[cfg(unix)]
    pub(crate) fn login_when_admitted(&self, user: &str, password: &str) -> Client {
        for _ in 0..LOGIN_TRIES_MAX {
            let mut client = self.meets();
            let greeting = client.reply();
            if greeting.starts_with("220 ") {
                client.logs_in(user, password);
                return client;
            }
            assert!(greeting.starts_with("421 "), "{greeting}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("no login is ever admitted");
    }

    /// A client that has received nothing yet.
    fn meets(&self) -> Client {
        Client { lines: BufReader::new(TcpStream::connect(self.address).unwrap()) }
    }

    /// Sends a signal such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Reads its log up to a line with this in it, and returns that line.
    pub(crate) fn waits_for(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended without {part}");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Stops it as a service manager does, and returns its number and its last lines.
    pub(crate) fn stop(self) -> (Option<i32>, String) {
        self.signal("TERM");
        self.ends()
    }

    /// Waits for its end, whatever else is still written to its log.
    #[cfg(target_os = "linux")]
    pub(crate) fn leaves(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Waits for its end, and returns its number and its last lines.
    pub(crate) fn ends(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that sends one line and reads one reply.
pub(crate) struct Client {
    lines: BufReader<TcpStream>,
}

impl Client {
    fn logs_in(&mut self, user: &str, password: &str) {
        assert!(self.command(&format!("USER {user}")).starts_with("331 "));
        let reply = self.command(&format!("PASS {password}"));
        assert!(reply.starts_with("230"), "{reply}");
        assert!(self.command("TYPE I").starts_with("200 "));
    }

    pub(crate) fn command(&mut self, line: &str) -> String {
        self.lines.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.reply()
    }

    /// All lines of the reply.
    pub(crate) fn command_lines(&mut self, line: &str) -> String {
        self.lines.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        let mut reply = String::new();
        loop {
            let begin = reply.len();
            self.lines.read_line(&mut reply).unwrap();
            let line = &reply.as_bytes()[begin..];
            let is_last =
                line.first().is_some_and(u8::is_ascii_digit) && line.get(3) == Some(&b' ');
            if is_last || line.is_empty() {
                return reply;
            }
        }
    }

    /// The last line of the next reply.
    pub(crate) fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    pub(crate) fn data(&mut self) -> TcpStream {
        let reply = self.command("EPSV");
        let port = reply.split('|').nth(3).unwrap().parse().unwrap();
        TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap()
    }

    pub(crate) fn downloads(&mut self, line: &str) -> String {
        let mut data = self.data();
        assert!(self.command(line).starts_with("150 "));
        let mut text = String::new();
        data.read_to_string(&mut text).unwrap();
        assert!(self.reply().starts_with("226 "));
        text
    }

    pub(crate) fn stores(&mut self, name: &str, text: &str) -> String {
        let mut data = self.data();
        let reply = self.command(&format!("STOR {name}"));
        if !reply.starts_with("150 ") {
            return reply;
        }
        data.write_all(text.as_bytes()).unwrap();
        drop(data);
        self.reply()
    }
}

/// The content of a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
