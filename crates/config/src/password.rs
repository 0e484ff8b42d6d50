//! Passwords from files and terminals.

use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;

use crate::outcome::Failure;

/// Maximum length of a password, the same as of the argument of PASS.
const PASSWORD_BYTES_MAX: usize = 1024;

/// The first line of a file. `-` is standard input, with a prompt on a terminal.
pub fn read_password_file(path: &Path) -> Result<String, Failure> {
    let is_input = path == Path::new("-");
    if is_input && std::io::stdin().is_terminal() {
        return ask_password("Password: ");
    }
    let shown =
        if is_input { "standard input".into() } else { format!("the file {}", path.display()) };
    let failed = |error: &std::io::Error| {
        let failure = Failure::io(format!("cannot read the password from {shown}"), error);
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                failure.hint("create the file, with the password in its first line")
            }
            std::io::ErrorKind::IsADirectory => {
                failure.hint("name a file with the password in its first line")
            }
            _ => failure,
        }
    };
    let source: Box<dyn Read> = if is_input {
        Box::new(std::io::stdin())
    } else {
        Box::new(wharf_core::trusted_file::open(path).map_err(|error| failed(&error))?)
    };
    let limit = u64::try_from(PASSWORD_BYTES_MAX + 2).unwrap_or(u64::MAX);
    let mut line = String::new();
    std::io::BufReader::new(source.take(limit))
        .read_line(&mut line)
        .map_err(|error| failed(&error))?;
    let text = line.trim_end_matches(['\r', '\n']).to_owned();
    if text.is_empty() {
        return Err(Failure::new(format!(
            "cannot read the password from {shown}: the first line is empty"
        ))
        .hint("write the password into the first line"));
    }
    check_password(&text)?;
    Ok(text)
}

/// Prompts without echo.
pub fn ask_password(question: &str) -> Result<String, Failure> {
    let text = rpassword::prompt_password(question).map_err(|error| {
        Failure::io("cannot read the password from the terminal", &error)
            .hint("without a terminal, use --password-file")
    })?;
    check_password(&text)?;
    Ok(text)
}

/// Rejects passwords that clients cannot send.
pub fn check_password(text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Err(Failure::usage("invalid password: it is empty")
            .hint("for a share without password use -A; without -P, a password is generated"));
    }
    if text.len() > PASSWORD_BYTES_MAX {
        return Err(Failure::usage(format!(
            "invalid password: it is longer than {PASSWORD_BYTES_MAX} bytes"
        )));
    }
    if text.contains(['\0', '\r', '\n']) {
        return Err(Failure::usage(
            "invalid password: it contains a line break or a NUL character",
        )
        .hint("FTP cannot transmit these characters"));
    }
    Ok(())
}
