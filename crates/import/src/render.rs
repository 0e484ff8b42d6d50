//! Formats the result: `wharf.toml`, and the notes.

use std::fmt::Write as _;
use std::path::Path;

use wharf_config::hint::with_config;
use wharf_config::keys::{ConfigKey, ConfigSection, SECTIONS};
use wharf_config::outcome::counted;
use wharf_config::show::value_text;
use wharf_users::file::PERMISSIONS_DEFAULT;
use wharf_users::permissions::format_permissions;
use wharf_users::units::format_rate;

use super::model::{ImportResult, ImportedAccount, ImportedPassword, ImportedSetting, NoteKind};

/// The column of comments.
const COMMENT_COLUMN: usize = 36;

/// The configuration: values other than the defaults, each with its source.
pub fn config_file(found: &ImportResult, source: &str) -> String {
    let mut out = format!(
        "# Created by `wharf import {}`.\n\
         # Keys that are not set have their defaults; to list all keys:  wharf config default\n\n\
         config_version = 1\n",
        one_line(source)
    );
    for section in SECTIONS {
        for path in instances(section, found) {
            write_section(&mut out, section, &path, found);
        }
    }
    out
}

fn write_section(out: &mut String, section: &ConfigSection, path: &str, found: &ImportResult) {
    let mut lines = String::new();
    for key in section.keys {
        let imported = found.imported_settings.get(&format!("{path}.{}", key.name));
        let Some((imported, value)) =
            imported.and_then(|imported| Some((imported, differing(key, imported)?)))
        else {
            continue;
        };
        let line = format!("{} = {value}", key.name);
        let comment = one_line(&format!("{} {}", imported.location, imported.word));
        let _ = writeln!(lines, "{line:<width$}  # {comment}", width = COMMENT_COLUMN - 2);
    }
    if !lines.is_empty() {
        let (open, close) = if section.is_list { ("[[", "]]") } else { ("[", "]") };
        let _ = write!(out, "\n{open}{}{close}\n{lines}", section.name);
    }
}

/// The value as TOML, unless it is the default.
fn differing(key: &ConfigKey, imported: &ImportedSetting) -> Option<String> {
    let value = value_text(key, &imported.raw);
    (value != key.default).then_some(value)
}

fn instances(section: &ConfigSection, found: &ImportResult) -> Vec<String> {
    if !section.is_list {
        return vec![section.name.into()];
    }
    let is_there = |path: &String| found.imported_settings.keys().any(|key| key.starts_with(path));
    let paths = (0..super::LISTENERS_MAX).map(|index| format!("{}.{index}", section.name));
    paths.filter(is_there).collect()
}

/// Text for a comment on one line.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// The table of accounts.
pub(crate) fn account_table(accounts: &[ImportedAccount]) -> String {
    let mut rows = vec![["NAME", "PERMISSIONS", "PASSWORD", "LIMITS", "HOME"].map(str::to_owned)];
    rows.extend(accounts.iter().map(|account| {
        [
            account.name.clone(),
            format_permissions(account.permissions.unwrap_or(PERMISSIONS_DEFAULT)),
            password(account).to_owned(),
            limits(account),
            one_line(&account.home.display().to_string()),
        ]
    }));
    wharf_config::table::table(&rows)
}

fn password(account: &ImportedAccount) -> &'static str {
    match account.secret {
        ImportedPassword::None => "none",
        ImportedPassword::NotNeeded => "not needed",
        ImportedPassword::Hash(_) => "unchanged",
        ImportedPassword::Plain(_) => "hashed",
    }
}

fn limits(account: &ImportedAccount) -> String {
    let rates = [
        ("upload", account.upload_rate),
        ("download", account.download_rate),
        ("each upload", account.transfer_upload_rate),
        ("each download", account.transfer_download_rate),
    ];
    let mut limits: Vec<_> = rates
        .iter()
        .filter_map(|(word, rate)| Some(format!("{word} {}", format_rate((*rate)?))))
        .collect();
    if let Some(sessions) = account.sessions {
        let number = sessions.number().map(|number| counted(number, "session"));
        limits.push(number.unwrap_or_else(|| "any number of sessions".into()));
    }
    if !account.is_enabled {
        limits.push("disabled".into());
    }
    if account.requires_tls {
        limits.push("TLS".into());
    }
    if limits.is_empty() { "-".into() } else { limits.join(", ") }
}

/// All notes, by kind.
pub fn report(found: &ImportResult) -> String {
    let mut out = String::new();
    for (kind, title) in [
        (NoteKind::Lost, "Not imported"),
        (NoteKind::Changed, "Different from before"),
        (NoteKind::Advice, "Notes"),
    ] {
        let mut notes: Vec<_> = found.notes.iter().filter(|note| note.kind == kind).collect();
        notes.sort_by(|one, other| one.location.cmp(&other.location));
        if notes.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{title}: {}", notes.len());
        for note in notes {
            let location =
                note.location.as_ref().map(|location| format!("{location}: ")).unwrap_or_default();
            let _ = writeln!(out, "  {}{}", one_line(&location), one_line(&note.what));
            if !note.hint.is_empty() {
                let _ = writeln!(out, "      {}", one_line(&with_config(&note.hint)));
            }
        }
    }
    out
}

/// A preview of what would be written.
pub fn preview(config: Option<(&Path, &str)>, users: &str, accounts: &[ImportedAccount]) -> String {
    let mut out = String::new();
    if let Some((path, text)) = config {
        let _ = writeln!(out, "{}:\n", path.display());
        for line in text.lines() {
            let _ = writeln!(out, "    {line}");
        }
    }
    if !accounts.is_empty() {
        let _ = writeln!(out, "\n{}, accounts: {}\n", users, accounts.len());
        for line in account_table(accounts).lines() {
            let _ = writeln!(out, "    {line}");
        }
    }
    out
}
