//! Errors of account stores, as commands report them.

use wharf_users::admin::{AdminError, StoreError, StoreErrorKind};
use wharf_users::file::{EditError, UsersFileError};
use wharf_users::nearest::nearest;

use crate::outcome::{Exit, Failure, print_error};
use crate::problem::{ConfigProblem, ConfigText, ProblemLocation, render};

/// What a valid name of an account is.
pub const NAME_HINT: &str =
    "names have up to 64 bytes, without / \\ : and control characters, such as anna or scanner-2";

/// Why a command failed.
#[derive(Debug)]
pub enum AccountError {
    /// An error of the file, or of the change.
    File(EditError),
    /// An error of the database.
    Store(StoreError),
    /// Everything else.
    Other(Failure),
}

impl From<EditError> for AccountError {
    fn from(error: EditError) -> Self {
        Self::File(error)
    }
}

impl From<UsersFileError> for AccountError {
    fn from(error: UsersFileError) -> Self {
        Self::File(EditError::Open(error))
    }
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<AdminError> for AccountError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Edit(error) => Self::File(error),
            AdminError::Store(error) => Self::Store(error),
        }
    }
}

impl From<Failure> for AccountError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl AccountError {
    /// The message, hint and exit code.
    pub fn into_failure(self, is_coloured: bool) -> Failure {
        let error = match self {
            Self::Other(failure) => return failure,
            Self::Store(error) => return store_failure(&error),
            Self::File(error) => error,
        };
        let reported = Failure::new(error.to_string());
        match error {
            EditError::NoSuchUser(_) => {
                Failure { exit: Exit::NotFound, ..reported }.hint("list accounts:  wharf user list")
            }
            EditError::NoSuchGroup(_) => {
                Failure { exit: Exit::NotFound, ..reported }.hint("list groups:  wharf group list")
            }
            EditError::GroupExists(name) => {
                reported.hint(format!("change it:  wharf group edit {name}"))
            }
            EditError::UserExists(name) => {
                reported.hint(format!("change it:  wharf user edit {name}"))
            }
            EditError::BadName(..) => Failure { exit: Exit::Usage, ..reported.hint(NAME_HINT) },
            EditError::Open(error) => open_failure(&error, is_coloured),
            EditError::Write { path, source } => {
                Failure::io(format!("cannot write {}", path.display()), &source)
            }
            EditError::Unusable(problems) => {
                let shown = problems.problems.iter().map(|problem| &*problem.message);
                let shown: Vec<_> = shown.collect();
                let message = format!("cannot save the change: {}", shown.join("; "));
                let hint = problems.problems.first().and_then(|problem| problem.hint.clone());
                Failure { exit: Exit::ConfigInvalid, hint, ..Failure::new(message) }
            }
            _ => reported,
        }
    }
}

/// The error of an invalid accounts file, with all problems.
pub fn open_failure(error: &UsersFileError, is_coloured: bool) -> Failure {
    match error {
        UsersFileError::Problems(found) => {
            let source = ConfigText { path: found.path.clone(), text: found.source.clone() };
            let problems: Vec<_> = found
                .problems
                .iter()
                .map(|problem| {
                    let title = if problem.key.is_empty() {
                        problem.message.clone()
                    } else {
                        format!("`{}`: {}", problem.key, problem.message)
                    };
                    let place = ProblemLocation::File(problem.span.clone());
                    ConfigProblem {
                        hint: problem.hint.clone(),
                        ..ConfigProblem::error(title, place)
                    }
                })
                .collect();
            print_error(&render(&problems, Some(&source), is_coloured));
            let title = format!("invalid accounts in {}", found.path.display());
            Failure { exit: Exit::ConfigInvalid, ..Failure::new(title) }
        }
        UsersFileError::Missing { path } => {
            Failure::new(format!("cannot read {}: no such file", path.display()))
                .hint("add the first account:  wharf user add NAME --home DIR")
        }
        UsersFileError::TooOpen { path, mode } => Failure {
            exit: Exit::ConfigInvalid,
            ..Failure::new(format!(
                "{} contains password hashes and is accessible to other users (mode \
                 {mode:04o})",
                path.display()
            ))
            .hint(format!("chmod 600 '{}'", path.display()))
        },
        UsersFileError::Unreadable { path, source } => {
            Failure::io(format!("cannot read {}", path.display()), source)
        }
        other => Failure { exit: Exit::ConfigInvalid, ..Failure::new(other.to_string()) },
    }
}

/// The failure for an unusable store, with the exit code for scripts.
pub fn store_failure(error: &StoreError) -> Failure {
    let exit = match error.kind {
        StoreErrorKind::Forbidden => Exit::Forbidden,
        StoreErrorKind::Unusable | StoreErrorKind::Invalid => Exit::ConfigInvalid,
        StoreErrorKind::Missing
        | StoreErrorKind::Unreachable
        | StoreErrorKind::Conflict
        | StoreErrorKind::Busy => Exit::Failed,
    };
    Failure { exit, hint: error.hint.clone(), ..Failure::new(error.what.clone()) }
}

/// Whether the store does not exist yet.
pub fn is_missing(error: &AdminError) -> bool {
    match error {
        AdminError::Edit(EditError::Open(UsersFileError::Missing { .. })) => true,
        AdminError::Store(error) => error.kind == StoreErrorKind::Missing,
        AdminError::Edit(_) => false,
    }
}

/// The error for an unknown account, with a similar name as a suggestion.
pub fn no_such_user<'a>(known: impl Iterator<Item = &'a str>, name: &str) -> Failure {
    let shown = name.escape_debug();
    let failure =
        Failure { exit: Exit::NotFound, ..Failure::new(format!("unknown account `{shown}`")) };
    match nearest(name, known) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("list accounts:  wharf user list"),
    }
}
