//! Set-ups of pyftpdlib: the script with `settings.py` and `user.py`, and scripts of one's own.
//!
//! [`files`] finds what there is, [`settings`] has every name that is understood, [`users`] reads
//! the lines of `user.py`, [`script`] the calls of a program.

mod files;
mod script;
mod settings;
#[cfg(test)]
mod tests;
mod users;

use std::path::{Path, PathBuf};

use wharf_core::permission::Permissions;

use super::model::{ImportError, ImportResult, Kind, SourceLocation};
use super::python::{UnexpectedEnd, Value};
use super::text::{SourceEncoding, Text};
use crate::outcome::Failure;

/// What a file of such a set-up is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileRole {
    /// Names with values.
    Settings,
    /// A line for each account.
    Users,
    /// A program.
    Script,
}

/// What was learned from the program itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ScriptSummary {
    /// Whether a program was read at all.
    is_known: bool,
    /// Whether it attached its speed limits to the server: many copies do not.
    has_limits: bool,
    /// Whether it gave the limit of downloads to uploads and the other way round.
    is_swapped: bool,
}

/// Reads a folder or a single file.
pub(crate) fn import(path: &Path, encoding: SourceEncoding) -> Result<ImportResult, Failure> {
    let texts = files::find(path, encoding)?;
    let base = files::base(path);
    let mut found = read(&texts, &base)?;
    if let [(FileRole::Settings, _)] = &texts[..]
        && let Some(users) = files::users_beside(path).filter(|_| !path.is_dir())
    {
        let what = format!("accounts lie beside it, and were not read: {}", users.display());
        found.note(Kind::Advice, None, what, "name the folder to read both");
    }
    Ok(found)
}

/// Reads what the files say; relative paths begin at `base`.
fn read(texts: &[(FileRole, Text)], base: &Path) -> Result<ImportResult, ImportError> {
    let mut found = ImportResult::default();
    let mut program = ScriptSummary::default();
    let has = |role| texts.iter().any(|(other, _)| *other == role);
    for (role, text) in texts {
        match role {
            FileRole::Settings => settings::read(text, base, &mut found)?,
            FileRole::Users => users::read(text, base, &mut found)?,
            FileRole::Script => {
                let others = (has(FileRole::Settings), has(FileRole::Users));
                script::read(text, base, others, &mut found, &mut program)?;
            }
        }
    }
    if found.is_empty() {
        let files: Vec<_> = texts.iter().map(|(_, text)| text.shown.clone()).collect();
        let what = format!("nothing that belongs to an FTP server stands in {}", files.join(", "));
        return Err(ImportError::new(what, "name the folder with settings.py and user.py"));
    }
    tell_rates(&mut found, program);
    print_passwords(texts, &mut found);
    if found.imported_settings.contains_key("tls.certificate")
        && !found.imported_settings.contains_key("tls.private_key")
        && let Some(wish) = found.imported_settings.get("tls.certificate").cloned()
    {
        found.imported_settings.insert("tls.private_key".into(), wish);
    }
    Ok(found)
}

/// Says what became of the speed limits.
fn tell_rates(found: &mut ImportResult, program: ScriptSummary) {
    let wish = |path: &str| found.imported_settings.get(path).cloned();
    let limits = [wish("limits.user_upload_rate"), wish("limits.user_download_rate")];
    let Some(location) = limits.iter().flatten().map(|wish| wish.location.clone()).next() else {
        return;
    };
    let names: Vec<_> = limits.iter().flatten().map(|wish| wish.word.as_str()).collect();
    let names = names.join(" and ");
    let hint = "if you want no limit, remove user_upload_rate and user_download_rate";
    if program.has_limits {
        let what = format!("{names} held for each transfer; now the account's transfers share it");
        found.changed(&location, what, "for each transfer: limits.transfer_upload_rate and so on");
    } else {
        let whose = if program.is_known { "the script" } else { "the script as it was published" };
        let what = format!(
            "{names} never slowed anybody down: {whose} does not attach its limits to the server; \
             now they are in force, for each account"
        );
        found.changed(&location, what, hint);
    }
    if program.is_swapped || !program.is_known {
        let what = "the script gives max_download to uploads and max_upload to downloads; here \
                    each name means what it says";
        found.changed(&location, what, "");
    }
}

/// Says that passwords lie in the clear in the old files.
fn print_passwords(texts: &[(FileRole, Text)], found: &mut ImportResult) {
    let accounts = found.accounts.clone();
    for (_, text) in texts {
        if accounts.iter().any(|account| account.location.file == text.shown) {
            let what = format!("{} still holds passwords that anybody can read", text.shown);
            let hint = "when the move is done, delete it or keep it where nobody sees it";
            found.note(Kind::Advice, None, what, hint);
        }
    }
}

/// The rights of pyftpdlib's letters, or the letter that is none.
fn rights(letters: &str) -> Result<Permissions, char> {
    letters.chars().try_fold(Permissions::NONE, |sum, letter| {
        let sets = Permissions::EACH.iter().filter(|(_, known, _)| *known == letter);
        let set = sets.map(|(set, _, _)| *set).reduce(Permissions::union);
        set.map(|set| sum.union(set)).ok_or(letter)
    })
}

/// A folder as such files write it: `/srv`, `data/`, `E:\\work`, `G://steam`.
fn folder(text: &str, base: &Path) -> PathBuf {
    let text = text.trim();
    let mut letters = text.chars();
    let is_drive = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
        && letters.next() == Some(':')
        && letters.next().is_some_and(|letter| matches!(letter, '/' | '\\'));
    if !is_drive {
        return base.join(text);
    }
    let mut path = String::new();
    for letter in text.chars() {
        let is_separator = matches!(letter, '/' | '\\');
        if !(is_separator && path.ends_with(['/', '\\'])) {
            path.push(letter);
        }
    }
    PathBuf::from(path)
}

/// A whole number, or a text that is one.
fn number(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// `'on'`, `'off'` and what else people write for yes and no.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(truth) => Some(*truth),
        Value::Number(number) => Some(*number != 0),
        Value::None => Some(false),
        Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "on" | "yes" | "true" | "1" | "y" | "enable" | "enabled" => Some(true),
            "off" | "no" | "false" | "0" | "n" | "" | "disable" | "disabled" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A source that ends in the middle.
fn cut(text: &Text, cut: &UnexpectedEnd) -> ImportError {
    let location: SourceLocation = text.location(cut.line);
    ImportError::new(
        format!("{location}: the file ends in the middle of {}", cut.what),
        "it was cut, or it is not Python; get a whole copy of it. Nothing was written",
    )
}
