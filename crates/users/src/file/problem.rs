//! Errors of an accounts file.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::change::Holder;
use super::values::StoredHash;
use crate::name::NameProblem;

/// One problem in the file, with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsersFileProblem {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The same place in bytes of [`FileProblems::source`].
    pub span: Range<usize>,
    /// The key, such as `users.anna.home`; empty if the file is not valid TOML, or if the message
    /// contains the key.
    pub key: String,
    /// The error message.
    pub message: String,
    /// What would help.
    pub hint: Option<String>,
}

/// All problems of the file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblems {
    /// The file.
    pub path: PathBuf,
    /// Its text, with passwords masked by stars, to be shown.
    pub source: String,
    /// The problems; never empty.
    pub problems: Vec<UsersFileProblem>,
}

/// An account or a group that cannot be used, in a store where the others can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which one.
    pub holder: Holder,
    /// Its password, if readable: a wrong password is still rejected as such.
    pub password: Option<StoredHash>,
    /// The problems; never empty.
    pub problems: Vec<UsersFileProblem>,
}

/// All problems with key and hint on one line, without line numbers: there is no file.
impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            out.write_str(between)?;
            problem.write_text(out)?;
        }
        Ok(())
    }
}

impl UsersFileProblem {
    /// Key, message and help.
    fn write_text(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        out.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(out, " ({hint})"))
    }
}

/// One line for each problem: file, line, column, key, message, help.
impl fmt::Display for FileProblems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(out, "{end}{}:{}:{}: ", self.path.display(), problem.line, problem.column)?;
            problem.write_text(out)?;
        }
        Ok(())
    }
}

impl std::error::Error for FileProblems {}

/// Why a file of accounts cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum UsersFileError {
    /// The file does not exist.
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner may read or write it.
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is larger than any list of accounts.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes it may have.
        bytes_max: u64,
    },
    /// It is not UTF-8.
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Its content is invalid.
    Problems(FileProblems),
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl fmt::Display for UsersFileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => {
                write!(out, "{}: no such file; create it:  wharf user add NAME", path.display())
            }
            Self::TooOpen { path, mode } => write!(
                out,
                "{path}: it is accessible to other users (mode {mode:04o}), and contains password \
                 hashes; fix it with: chmod 600 '{path}'",
                path = path.display()
            ),
            Self::TooLarge { path, bytes_max } => write!(
                out,
                "{}: larger than {bytes_max} bytes; is it an accounts file?",
                path.display()
            ),
            Self::NotText { path } => {
                write!(out, "{}: not UTF-8; save it as UTF-8", path.display())
            }
            Self::Problems(problems) => problems.fmt(out),
            Self::Unreadable { path, source } => write!(out, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for UsersFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why a file of accounts was not changed. It is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum EditError {
    /// It cannot be used as it is.
    Open(UsersFileError),
    /// No account has this name.
    NoSuchUser(String),
    /// An account has this name already.
    UserExists(String),
    /// No group has this name.
    NoSuchGroup(String),
    /// A group has this name already.
    GroupExists(String),
    /// This cannot be an account's name.
    BadName(String, NameProblem),
    /// A path is not UTF-8, which the file requires; with its key.
    NotText(&'static str),
    /// The change would make the file unusable.
    Unusable(FileProblems),
    /// Another program has held the lock for ten seconds.
    Locked(PathBuf),
    /// The file cannot be written.
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl fmt::Display for EditError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(out),
            Self::NoSuchUser(name) => write!(out, "unknown account `{name}`"),
            Self::UserExists(name) => write!(out, "account `{name}` already exists"),
            Self::NoSuchGroup(name) => write!(out, "unknown group `{name}`"),
            Self::GroupExists(name) => write!(out, "group `{name}` already exists"),
            Self::BadName(name, problem) => {
                write!(out, "invalid name `{}`: {problem}", name.escape_debug())
            }
            Self::NotText(key) => write!(out, "invalid `{key}`: the path is not UTF-8"),
            Self::Unusable(problems) => {
                write!(out, "cannot save: the change would make the file invalid:\n{problems}")
            }
            Self::Locked(path) => {
                write!(out, "{}: locked by another program; try again later", path.display())
            }
            Self::Write { path, source } => {
                write!(out, "{}: cannot write: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for EditError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(error) => Some(error),
            Self::Write { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<UsersFileError> for EditError {
    fn from(error: UsersFileError) -> Self {
        Self::Open(error)
    }
}
