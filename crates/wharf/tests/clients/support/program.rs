//! Runs client programs, each with a timeout.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// After this a program counts as hanging, and the test fails.
const TIMEOUT: Duration = Duration::from_mins(2);

/// A program to run.
pub(crate) struct Program {
    command: Command,
    shown: String,
    input: Vec<u8>,
}

/// The output and exit status of a program.
pub(crate) struct Outcome {
    /// As it was called, for messages.
    pub(crate) shown: String,
    /// Nothing if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) output: Vec<u8>,
    /// Its standard error, as text.
    pub(crate) errors: String,
}

impl Program {
    /// A program by its name, in surroundings that are the same on every computer.
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        let shown = name.as_ref().to_string_lossy().into_owned();
        let mut command = Command::new(name);
        command.env("LC_ALL", "C.UTF-8").env("TERM", "dumb").env("TZ", "UTC0");
        for name in ["ftp_proxy", "http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        Self { command, shown, input: Vec::new() }
    }

    pub(crate) fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&word.as_ref().to_string_lossy());
        self.command.arg(word);
        self
    }

    pub(crate) fn args<T: AsRef<OsStr>>(self, words: impl IntoIterator<Item = T>) -> Self {
        words.into_iter().fold(self, Self::arg)
    }

    /// Where it runs. Its settings are looked for there too.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder).env("HOME", folder);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// What it reads from standard input.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Starts it with all streams piped.
    ///
    /// # Panics
    /// A missing program fails the test, since a skipped test verifies nothing.
    pub(crate) fn start(mut self) -> (Child, String) {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match self.command.spawn() {
            Ok(child) => (child, self.shown),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("cannot run `{}`; install it with: cargo xtask setup", self.shown)
            }
            Err(error) => panic!("cannot run `{}`: {error}", self.shown),
        }
    }

    /// Runs it until it exits.
    pub(crate) fn run(mut self) -> Outcome {
        let input = std::mem::take(&mut self.input);
        let (mut child, shown) = self.start();
        let mut stdin = child.stdin.take().expect("it is piped");
        // A program that reads only a part of it ends this thread with an error, which is expected.
        thread::spawn(move || stdin.write_all(&input));
        let output = drained(child.stdout.take().expect("it is piped"));
        let errors = drained(child.stderr.take().expect("it is piped"));
        let both = output
            .recv_timeout(TIMEOUT)
            .and_then(|output| errors.recv_timeout(TIMEOUT).map(|errors| (output, errors)));
        let Ok((output, errors)) = both else {
            child.kill().expect("it can be ended");
            child.wait().expect("the process can be awaited");
            let printed = errors.recv_timeout(TIMEOUT).unwrap_or_default();
            panic!("`{shown}` hangs; it printed: {}", String::from_utf8_lossy(&printed));
        };
        let code = child.wait().expect("the process can be awaited").code();
        Outcome { shown, code, output, errors: String::from_utf8_lossy(&errors).into_owned() }
    }

    /// Runs it and demands that it ends well.
    pub(crate) fn succeed(self) -> Outcome {
        let outcome = self.run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.output());
        outcome
    }
}

impl Outcome {
    /// What it printed, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Everything, for messages.
    pub(crate) fn output(&self) -> String {
        format!(
            "`{}` ended with {:?}\n--- output\n{}\n--- errors\n{}",
            self.shown,
            self.code,
            self.text(),
            self.errors
        )
    }
}

fn drained(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (done, drained) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = done.send(bytes);
    });
    drained
}
