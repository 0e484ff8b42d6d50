//! `wharf hash`, and the prompt for a new password.

use std::io::IsTerminal;

use wharf_config::outcome::{Exit, Failure, print};
use wharf_config::password::{ask_password, read_password_file};
use wharf_users::password::hash_new;

use crate::cli::HashArgs;

/// Prints the hash of a password.
pub(crate) fn hash(options: &HashArgs) -> Result<Exit, Failure> {
    let password = match &options.password_file {
        Some(file) => read_password_file(file)?,
        None => ask_twice()?,
    };
    print(&format!("{}\n", hashed(&password)?))?;
    Ok(Exit::Done)
}

/// Prompts twice for a new password, since there is no echo.
pub(crate) fn ask_twice() -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "cannot prompt for the password: standard input is not a terminal",
        )
        .hint("use --password-file FILE, or --password-file - for standard input"));
    }
    let first = ask_password("New password: ")?;
    if ask_password("Again: ")? != first {
        return Err(
            Failure::new("the passwords do not match").hint("nothing was changed; try again")
        );
    }
    Ok(first)
}

/// The hash of a password.
pub(crate) fn hashed(password: &str) -> Result<String, Failure> {
    hash_new(password.as_bytes())
        .map_err(|_| Failure::new("cannot hash the password: not enough memory"))
}
