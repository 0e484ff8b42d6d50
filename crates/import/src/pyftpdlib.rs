//! pyftpdlib: the published script with `settings.py` and `user.py`, and custom programs.
//!
//! `files` finds the files, `settings` lists the supported names, `users` parses the lines of
//! `user.py`, `script` the calls of a program.

mod files;
mod script;
mod settings;
#[cfg(test)]
mod tests;
mod users;

use std::path::{Path, PathBuf};

use wharf_config::outcome::Failure;
use wharf_core::permission::Permissions;

use super::model::{ImportError, ImportResult, NoteKind, SourceLocation};
use super::python::{PythonValue, UnexpectedEnd};
use super::text::{SourceEncoding, SourceText};

/// The role of an imported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileRole {
    /// Assignments of settings.
    Settings,
    /// One account per line.
    Users,
    /// A Python program.
    Script,
}

/// What is known about the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ScriptSummary {
    /// Whether a program was read.
    is_known: bool,
    /// Whether it assigns its throttled handler to the server: many copies do not.
    has_limits: bool,
    /// Whether it swaps the limits of uploads and downloads.
    is_swapped: bool,
}

/// Reads a folder or a single file.
pub fn import(path: &Path, encoding: SourceEncoding) -> Result<ImportResult, Failure> {
    let texts = files::find(path, encoding)?;
    let base = files::base(path);
    let mut found = read(&texts, &base)?;
    if let [(FileRole::Settings, _)] = &texts[..]
        && let Some(users) = files::users_beside(path).filter(|_| !path.is_dir())
    {
        let what = format!("the accounts in {} were not imported", users.display());
        found.note(NoteKind::Advice, None, what, "give the folder to import both");
    }
    Ok(found)
}

/// Reads the files; relative paths are below `base`.
fn read(texts: &[(FileRole, SourceText)], base: &Path) -> Result<ImportResult, ImportError> {
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
        let what = format!("no FTP server settings in {}", files.join(", "));
        return Err(ImportError::new(what, "give the folder with settings.py and user.py"));
    }
    note_rates(&mut found, program);
    print_passwords(texts, &mut found);
    if found.imported_settings.contains_key("tls.certificate")
        && !found.imported_settings.contains_key("tls.private_key")
        && let Some(imported) = found.imported_settings.get("tls.certificate").cloned()
    {
        found.imported_settings.insert("tls.private_key".into(), imported);
    }
    Ok(found)
}

/// Reports how the rate limits are imported.
fn note_rates(found: &mut ImportResult, program: ScriptSummary) {
    let imported = |path: &str| found.imported_settings.get(path).cloned();
    let limits = [imported("limits.user_upload_rate"), imported("limits.user_download_rate")];
    let Some(location) = limits.iter().flatten().map(|imported| imported.location.clone()).next()
    else {
        return;
    };
    let names: Vec<_> = limits.iter().flatten().map(|imported| imported.word.as_str()).collect();
    let names = names.join(" and ");
    let hint = "for no limit, remove user_upload_rate and user_download_rate";
    if program.has_limits {
        let what =
            format!("{names} applied to each transfer; now the transfers of an account share it");
        found.changed(
            &location,
            what,
            "for limits per transfer: limits.transfer_upload_rate, limits.transfer_download_rate",
        );
    } else {
        let handlers = if program.is_known { "the script" } else { "the published script" };
        let what = format!(
            "{names} had no effect, since {handlers} does not assign its dtp_handler; now they \
             apply to each account"
        );
        found.changed(&location, what, hint);
    }
    if program.is_swapped || !program.is_known {
        let what = "the script applies max_download to uploads and max_upload to downloads; now \
                    each applies to its own direction";
        found.changed(&location, what, "");
    }
}

/// Reports that the old files contain passwords in plain text.
fn print_passwords(texts: &[(FileRole, SourceText)], found: &mut ImportResult) {
    let accounts = found.accounts.clone();
    for (_, text) in texts {
        if accounts.iter().any(|account| account.location.file == text.shown) {
            let what = format!("{} still contains passwords in plain text", text.shown);
            let hint = "after the migration, delete it or move it to a protected folder";
            found.note(NoteKind::Advice, None, what, hint);
        }
    }
}

/// Converts permission letters of pyftpdlib, or returns the invalid letter.
fn permissions(letters: &str) -> Result<Permissions, char> {
    letters.chars().try_fold(Permissions::NONE, |sum, letter| {
        let sets = Permissions::EACH.iter().filter(|(_, known, _)| *known == letter);
        let set = sets.map(|(set, _, _)| *set).reduce(Permissions::union);
        set.map(|set| sum.union(set)).ok_or(letter)
    })
}

/// Parses a folder as written in such files: `/srv`, `data/`, `E:\\work`, `G://steam`.
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

/// An integer, or a text that contains one.
fn number(value: &PythonValue) -> Option<i128> {
    match value {
        PythonValue::Number(number) => Some(*number),
        PythonValue::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Parses `'on'`, `'off'` and other spellings of booleans.
fn truth(value: &PythonValue) -> Option<bool> {
    match value {
        PythonValue::Boolean(truth) => Some(*truth),
        PythonValue::Number(number) => Some(*number != 0),
        PythonValue::None => Some(false),
        PythonValue::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "on" | "yes" | "true" | "1" | "y" | "enable" | "enabled" => Some(true),
            "off" | "no" | "false" | "0" | "n" | "" | "disable" | "disabled" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The error for a truncated source.
fn cut(text: &SourceText, cut: &UnexpectedEnd) -> ImportError {
    let location: SourceLocation = text.location(cut.line);
    ImportError::new(
        format!("{location}: unexpected end of file in {}", cut.what),
        "the file is truncated or not Python; get a complete copy. Nothing was written",
    )
}
