//! The lines of `user.py`: name, password, letters of rights, folder.

use std::path::Path;

use super::{folder, rights};
use crate::import::model::{ImportError, ImportResult, ImportedAccount, ImportedPassword};
use crate::import::text::Text;

/// Reads the accounts. The folder is the rest of its line, so that it may have spaces.
pub(super) fn read(text: &Text, base: &Path, found: &mut ImportResult) -> Result<(), ImportError> {
    let before = found.accounts.len();
    let mut first_bad = None;
    for (number, line) in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let location = text.location(number);
        let (name, rest) = word(line);
        let (password, rest) = word(rest);
        let (letters, home) = word(rest);
        let missing = if password.is_empty() {
            "a password, rights and a folder are"
        } else if letters.is_empty() {
            "rights and a folder are"
        } else {
            "a folder is"
        };
        if home.is_empty() {
            first_bad.get_or_insert(number);
            let what = format!("this is no account: {missing} missing");
            found.lost(&location, what, "write: name password letters folder, with spaces between");
            continue;
        }
        match rights(letters) {
            Ok(rights) => {
                let secret = ImportedPassword::Plain(password.to_owned());
                let mut account = ImportedAccount::new(name, secret, folder(home, base), location);
                account.permissions = Some(rights);
                found.add(account);
            }
            Err(letter) => {
                first_bad.get_or_insert(number);
                let name = name.escape_debug();
                let letter = letter.escape_debug();
                let what = format!("account `{name}`: `{letter}` is no right");
                found.lost(&location, what, "rights are the letters elradfmwMT");
            }
        }
    }
    match first_bad {
        Some(line) if found.accounts.len() == before => Err(ImportError::new(
            format!("{}: no line of it is an account", text.location(line)),
            "an account is a line such as:  anna secret elradfmwMT /srv/ftp/anna",
        )),
        _ => Ok(()),
    }
}

/// The first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}
