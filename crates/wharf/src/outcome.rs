//! How a command ends: what it prints, and the number that a script sees.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// The number that a script sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Done = 0,
    /// It did not work.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// No server is running, or it cannot be reached.
    NotRunning = 3,
    /// There is no such user.
    NoSuchUser = 4,
    /// The system does not permit it.
    Forbidden = 77,
    /// The configuration has mistakes.
    ConfigInvalid = 78,
    /// Somebody pressed Ctrl+C.
    Interrupted = 130,
}

/// Why a command did not work, for the one who typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The number for scripts.
    pub(crate) exit: Exit,
    /// What happened, in one line; empty if all was said already.
    pub(crate) message: String,
    /// The next thing to try.
    pub(crate) help: Option<String>,
}

impl Failure {
    /// Something that did not work.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), help: None }
    }

    /// A command line that makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(message) }
    }

    /// An error of the operating system while doing `what`, as in "cannot read x".
    pub(crate) fn io(what: impl Into<String>, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::Forbidden,
            _ => Exit::Failed,
        };
        Self { exit, ..Self::new(format!("{}: {}", what.into(), plain(error))) }
    }

    /// An end with nothing left to say.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self { exit, ..Self::new("") }
    }

    /// With the next thing to try.
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Tells the person on standard error.
    pub(crate) fn tell(&self, is_coloured: bool) {
        if self.message.is_empty() {
            return;
        }
        let (red, blue, plain) =
            if is_coloured { ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
        let mut text = format!("{red}error:{plain} {}\n", self.message);
        if let Some(help) = &self.help {
            let _ = writeln!(text, "{blue}help:{plain} {help}");
        }
        tell(&text);
    }
}

impl Exit {
    /// The number itself.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotRunning => 3,
            Self::NoSuchUser => 4,
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

/// The system's words without its number: "No such file or directory", not "… (os error 2)".
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" (os error ").unwrap_or(text.len());
    lower_first(text.get(..end).unwrap_or(&text))
}

/// A sentence as it stands within another: only its first letter is changed, since paths and names
/// have their own, and only where an ordinary word begins.
pub(crate) fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

/// Prints to standard output. A reader that went away is no fault: `wharf config default | head`.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::silent(Exit::Done)
        } else {
            Failure::io("cannot write to standard output", &error)
        }
    })
}

/// Prints to standard error. When even that fails nobody is left to hear of it.
pub(crate) fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

impl Colour {
    /// Whether to colour what goes to standard error.
    pub(crate) fn is_on(self) -> bool {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if is_set("NO_COLOR") => false,
            Self::Auto if std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0") => {
                true
            }
            Self::Auto => io::stderr().is_terminal(),
        }
    }
}
