//! Exit codes and error output of commands.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::hint::with_config;
pub use wharf_core::io_error_text::plain;

/// Separates a reason from its hint in the errors of value parsers.
pub const HINT: &str = "\nhint: ";

/// Exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Done = 0,
    /// The operation failed.
    Failed = 1,
    /// Invalid command line.
    Usage = 2,
    /// No server is running, or it cannot be reached.
    NotRunning = 3,
    /// Unknown account, session or ban.
    NotFound = 4,
    /// Permission denied by the operating system.
    Forbidden = 77,
    /// Invalid configuration.
    ConfigInvalid = 78,
    /// Interrupted by Ctrl+C.
    Interrupted = 130,
}

/// The error of a command, as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit code.
    pub exit: Exit,
    /// What happened, in one line; empty if it was already printed.
    pub message: String,
    /// What to do about it, printed as `hint: …`.
    pub hint: Option<String>,
}

impl Failure {
    /// An operation that failed.
    pub fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), hint: None }
    }

    /// An invalid command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(message) }
    }

    /// An error of the operating system while doing `what`, as in "cannot read x".
    pub fn io(what: impl Into<String>, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::Forbidden,
            _ => Exit::Failed,
        };
        Self { exit, ..Self::new(format!("{}: {}", what.into(), plain(error))) }
    }

    /// An error that was already printed.
    pub fn silent(exit: Exit) -> Self {
        Self { exit, ..Self::new("") }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Prints the error to standard error.
    pub fn report(&self, is_coloured: bool) {
        if self.message.is_empty() {
            return;
        }
        let (red, blue, plain) =
            if is_coloured { ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
        let mut text = format!("{red}error:{plain} {}\n", self.message);
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "{blue}hint:{plain} {}", with_config(hint));
        }
        print_error(&text);
    }
}

impl Exit {
    /// The exit code as a number.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotRunning => 3,
            Self::NotFound => 4,
            Self::Forbidden => 77,
            Self::ConfigInvalid => 78,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// A number with its noun: `1 account`, `3 accounts`.
pub fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Prints to standard output. A closed pipe is not an error: `wharf config default | head`.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::silent(Exit::Done)
        } else {
            Failure::io("cannot write to standard output", &error)
        }
    })
}

/// Prints to standard error. Errors are ignored, since there is nowhere to report them.
pub fn print_error(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_no_plural() {
        assert_eq!(counted(1, "account"), "1 account");
        assert_eq!(counted(0, "account"), "0 accounts");
        assert_eq!(counted(12, "account"), "12 accounts");
    }

    #[test]
    fn a_reason_keeps_the_case_of_its_paths() {
        let error = |text: &str| plain(&io::Error::other(text));
        assert_eq!(
            error("No such file: /Srv/FTP/Anna (os error 2)"),
            "no such file: /Srv/FTP/Anna"
        );
        for same in ["/Srv/FTP", "C:\\Users\\Anna is closed", "TLS broke off", "I/O", "", "A"] {
            assert_eq!(error(same), same);
        }
        let missing = io::Error::from_raw_os_error(2);
        assert!(plain(&missing).starts_with(char::is_lowercase), "{}", plain(&missing));
    }
}
