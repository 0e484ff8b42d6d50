//! The lines of `user.py`: name, password, letters of permissions, folder.

use std::path::Path;

use super::{folder, permissions};
use crate::model::{ImportError, ImportResult, ImportedAccount, ImportedPassword};
use crate::text::SourceText;

/// Reads the accounts. The folder is the rest of the line, so it may contain spaces.
pub(super) fn read(
    text: &SourceText,
    base: &Path,
    found: &mut ImportResult,
) -> Result<(), ImportError> {
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
            "password, permissions and folder"
        } else if letters.is_empty() {
            "permissions and folder"
        } else {
            "folder"
        };
        if home.is_empty() {
            first_bad.get_or_insert(number);
            let what = format!("invalid account: missing {missing}");
            found.lost(&location, what, "the format is  name password permissions folder");
            continue;
        }
        match permissions(letters) {
            Ok(permissions) => {
                let secret = ImportedPassword::Plain(password.to_owned());
                let mut account = ImportedAccount::new(name, secret, folder(home, base), location);
                account.permissions = Some(permissions);
                found.add(account);
            }
            Err(letter) => {
                first_bad.get_or_insert(number);
                let name = name.escape_debug();
                let letter = letter.escape_debug();
                let what = format!("account `{name}`: invalid permission `{letter}`");
                found.lost(&location, what, "valid permissions are the letters elradfmwMT");
            }
        }
    }
    match first_bad {
        Some(line) if found.accounts.len() == before => Err(ImportError::new(
            format!("{}: no valid account line", text.location(line)),
            "write one account per line, such as:  anna secret elradfmwMT /srv/ftp/anna",
        )),
        _ => Ok(()),
    }
}

/// Splits off the first word.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}
