//! `wharf hash`, and how commands come by a new password.

use std::io::IsTerminal;

use wharf_users::password::hash_new;

use crate::cli::Hash;
use crate::outcome::{Exit, Failure, print};
use crate::share::{ask_password, read_password_file};

/// Prints the hash of a password.
pub(crate) fn hash(options: &Hash) -> Result<Exit, Failure> {
    let password = match &options.password_file {
        Some(file) => read_password_file(file)?,
        None => ask_twice()?,
    };
    print(&format!("{}\n", hashed(&password)?))?;
    Ok(Exit::Done)
}

/// Asks for a new password, and again, since what is typed cannot be seen.
pub(crate) fn ask_twice() -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask for the password")
            .help("use --password-file FILE, or --password-file - for standard input"));
    }
    let first = ask_password("New password: ")?;
    if ask_password("Again: ")? != first {
        return Err(Failure::new("the two passwords differ").help("nothing was changed; try again"));
    }
    Ok(first)
}

/// The hash that is kept of a password.
pub(crate) fn hashed(password: &str) -> Result<String, Failure> {
    hash_new(password.as_bytes())
        .map_err(|_| Failure::new("the password could not be hashed").help("is memory short?"))
}
