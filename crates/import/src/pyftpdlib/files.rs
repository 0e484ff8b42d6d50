//! Finds the files of a pyftpdlib server.

use std::path::{Path, PathBuf};

use wharf_config::outcome::Failure;

use super::FileRole;
use crate::model::ImportError;
use crate::text::{self, ACCOUNTS_BYTES_MAX, SETTINGS_BYTES_MAX, SourceEncoding, SourceText};

/// File names of settings and of accounts.
const SETTINGS: &[&str] = &["conf/settings.py", "settings.py", "config/settings.py"];
const USERS: &[&str] =
    &["conf/user.py", "user.py", "config/user.py", "conf/users.py", "users.py", "conf/user.conf"];
/// Maximum number of programs examined in a folder.
const SCRIPTS_MAX: usize = 50;

/// Reads the files of a folder, or a single file.
pub(super) fn find(
    path: &Path,
    encoding: SourceEncoding,
) -> Result<Vec<(FileRole, SourceText)>, Failure> {
    if !path.is_dir() {
        let text = text::read(path, ACCOUNTS_BYTES_MAX, encoding)?;
        let role = role(&text);
        let is_long = u64::try_from(text.content.len()).is_ok_and(|size| size > SETTINGS_BYTES_MAX);
        if is_long && role != FileRole::Users {
            let what = format!("{} is too large for a settings file", text.shown);
            return Err(ImportError::new(what, "give settings.py, user.py or their folder").into());
        }
        let mut found =
            if role == FileRole::Script { beside(&text, encoding)? } else { Vec::new() };
        found.push((role, text));
        return Ok(found);
    }
    let mut found = Vec::new();
    if let Some(file) = first(path, SETTINGS) {
        found.push((FileRole::Settings, text::read(&file, SETTINGS_BYTES_MAX, encoding)?));
    }
    if let Some(file) = first(path, USERS) {
        found.push((FileRole::Users, text::read(&file, ACCOUNTS_BYTES_MAX, encoding)?));
    }
    for script in scripts(path) {
        // Files that are too large or not text are not such programs.
        if let Ok(text) = text::read(&script, SETTINGS_BYTES_MAX, encoding)
            && text.content.contains("pyftpdlib")
        {
            found.push((FileRole::Script, text));
        }
    }
    if found.is_empty() {
        let what = format!("no pyftpdlib server found in {}", path.display());
        let hint = "searched for conf/settings.py, conf/user.py, settings.py, user.py and programs \
                    that use pyftpdlib; give the file itself if it has another name";
        return Err(Failure::new(what).hint(hint));
    }
    Ok(found)
}

/// The first of these names that exists in the folder.
fn first(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// The settings and accounts in the folder of a program that imports them.
fn beside(
    script: &SourceText,
    encoding: SourceEncoding,
) -> Result<Vec<(FileRole, SourceText)>, Failure> {
    let mut found = Vec::new();
    let folder = script.folder();
    for (names, role, bytes_max) in [
        (SETTINGS, FileRole::Settings, SETTINGS_BYTES_MAX),
        (USERS, FileRole::Users, ACCOUNTS_BYTES_MAX),
    ] {
        let Some(file) = first(&folder, names) else { continue };
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if script.content.contains(&stem) {
            found.push((role, text::read(&file, bytes_max, encoding)?));
        }
    }
    Ok(found)
}

/// The accounts in the folder of settings that were given alone.
pub(super) fn users_beside(settings: &Path) -> Option<PathBuf> {
    let folder = settings.parent()?;
    first(folder, USERS).filter(|users| users != settings)
}

/// The base of relative paths: the folder from which the program was started.
pub(super) fn base(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if path.is_dir() {
        return whole;
    }
    let folder = whole.parent().map(Path::to_owned).unwrap_or_default();
    let is_conf = folder.file_name().is_some_and(|name| name == "conf" || name == "config");
    let above = folder.parent().filter(|_| is_conf).map(Path::to_owned);
    above.unwrap_or(folder)
}

/// The programs directly in the folder, sorted by name.
fn scripts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let others = ["settings.py", "user.py", "users.py"];
    let mut scripts: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("py")))
        .filter(|path| !path.file_name().is_some_and(|name| others.iter().any(|n| name == *n)))
        .filter(|path| path.is_file())
        .collect();
    scripts.sort();
    scripts.truncate(SCRIPTS_MAX);
    scripts
}

/// The role of a given file, by its content, or by its name if the content is ambiguous.
pub(super) fn role(text: &SourceText) -> FileRole {
    let uses = |word: &str| text.content.contains(word);
    if uses("pyftpdlib") || uses("add_user(") || uses("FTPServer(") {
        return FileRole::Script;
    }
    let mut accounts = 0_usize;
    let mut others = 0_usize;
    let mut assignments = 0_usize;
    for (_, line) in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_account = fields.len() >= 4 && fields.get(1) != Some(&"=");
        *(if is_account { &mut accounts } else { &mut others }) += 1;
        assignments += usize::from(line.contains('='));
    }
    let name = text.path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_users = accounts > others || (name.starts_with("user") && assignments == 0);
    if is_users { FileRole::Users } else { FileRole::Settings }
}
