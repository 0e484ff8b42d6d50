//! The result of an import: settings and accounts of wharf, and notes for the administrator.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;

use wharf_core::account::{Count, Rate};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;
use wharf_users::name::check_name;

use wharf_config::raw::Raw;
use wharf_config::units::show_duration;

/// A line of an imported file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceLocation {
    /// The file name to display.
    pub file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return out.write_str(&self.file);
        }
        write!(out, "{}:{}", self.file, self.line)
    }
}

/// The kind of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// A line that was not imported.
    Lost,
    /// Imported, but it behaves differently from before.
    Changed,
    /// Information, or something to do.
    Advice,
}

/// A note for the administrator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImportNote {
    /// Its kind.
    pub kind: NoteKind,
    /// Its location in the imported files, if there is exactly one.
    pub location: Option<SourceLocation>,
    /// What happened.
    pub what: String,
    /// What to do; may be empty.
    pub hint: String,
}

/// Prefix of the note about the last passive port.
pub(crate) const LAST_PORT: &str = "Python's range() leaves out its end";

/// A value for a key of `wharf.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedSetting {
    /// The value.
    pub raw: Raw,
    /// Where it comes from.
    pub location: SourceLocation,
    /// Its name in the imported file.
    pub word: String,
}

/// The password of an account.
#[derive(Clone, PartialEq, Eq)]
pub enum ImportedPassword {
    /// No usable password: logins are impossible until one is set.
    None,
    /// No password is required from the allowed addresses.
    NotNeeded,
    /// A hash that wharf can verify.
    Hash(String),
    /// The password itself.
    Plain(String),
}

impl fmt::Debug for ImportedPassword {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::None => "None",
            Self::NotNeeded => "NotNeeded",
            Self::Hash(_) => "Hash(…)",
            Self::Plain(_) => "Plain(…)",
        })
    }
}

/// A property of an account that needs conversion for `users.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountProperty {
    /// Maximum number of bytes stored.
    Quota(u64),
    /// Maximum number of files stored.
    QuotaFiles(u64),
    /// Client addresses that are allowed.
    Allow(String),
    /// Client addresses that are denied.
    Deny(String),
    /// Times of day at which logins are allowed.
    Hours(String),
    /// The last day on which logins are allowed.
    Expires(String),
    /// Group memberships.
    Groups(String),
}

/// An imported account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedAccount {
    /// Its name.
    pub name: String,
    /// Its password.
    pub secret: ImportedPassword,
    /// Its home.
    pub home: PathBuf,
    /// Permissions; those of a new account if they are not set.
    pub permissions: Option<Permissions>,
    /// Whether it may log in.
    pub is_enabled: bool,
    /// Rate limit of all its uploads.
    pub upload_rate: Option<Rate>,
    /// Rate limit of all its downloads.
    pub download_rate: Option<Rate>,
    /// Rate limit of each upload.
    pub transfer_upload_rate: Option<Rate>,
    /// Rate limit of each download.
    pub transfer_download_rate: Option<Rate>,
    /// Maximum number of its sessions.
    pub sessions: Option<Count>,
    /// Whether it needs TLS.
    pub requires_tls: bool,
    /// A comment.
    pub comment: String,
    /// Permissions of single folders.
    pub paths: Vec<(VPath, Permissions)>,
    /// Further properties.
    pub facts: Vec<AccountProperty>,
    /// Its location in the imported files.
    pub location: SourceLocation,
}

impl ImportedAccount {
    /// An account with these properties and defaults for the rest.
    pub fn new(
        name: &str,
        secret: ImportedPassword,
        home: PathBuf,
        location: SourceLocation,
    ) -> Self {
        Self {
            name: name.to_owned(),
            secret,
            home,
            permissions: None,
            is_enabled: true,
            upload_rate: None,
            download_rate: None,
            transfer_upload_rate: None,
            transfer_download_rate: None,
            sessions: None,
            requires_tls: false,
            comment: String::new(),
            paths: Vec::new(),
            facts: Vec::new(),
            location,
        }
    }
}

/// Why a file cannot be imported at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError {
    /// The error, with file and line.
    pub what: String,
    /// How to fix it.
    pub hint: String,
}

impl ImportError {
    /// An error with a hint.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

/// Everything that was found in the imported files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportResult {
    /// Values for `wharf.toml`, by full key.
    pub imported_settings: BTreeMap<String, ImportedSetting>,
    /// In the order of the imported files.
    pub accounts: Vec<ImportedAccount>,
    /// Notes for the administrator.
    pub notes: Vec<ImportNote>,
    /// Where each account name was first found.
    names: HashMap<String, SourceLocation>,
}

/// Adds a note, unless the previous one is equal.
const NOTES_APART_MAX: usize = 8;

impl ImportResult {
    /// Sets a key. The last value wins, as in the other servers.
    pub fn set(&mut self, path: &str, raw: Raw, location: &SourceLocation, word: &str) {
        let imported = ImportedSetting { raw, location: location.clone(), word: word.to_owned() };
        self.imported_settings.insert(path.to_owned(), imported);
    }

    /// Sets a key to a text.
    pub(crate) fn set_text(
        &mut self,
        path: &str,
        text: &str,
        location: &SourceLocation,
        word: &str,
    ) {
        self.set(path, Raw::Text(text.to_owned()), location, word);
    }

    /// Sets a key to a duration.
    pub(crate) fn set_seconds(
        &mut self,
        path: &str,
        seconds: u64,
        location: &SourceLocation,
        word: &str,
    ) {
        let text = show_duration(std::time::Duration::from_secs(seconds));
        self.set_text(path, &text, location, word);
    }

    /// Sets a key to an integer.
    pub(crate) fn set_number(
        &mut self,
        path: &str,
        number: u64,
        location: &SourceLocation,
        word: &str,
    ) {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.set(path, Raw::Integer(number), location, word);
    }

    /// The text that a key has been set to.
    pub fn text_of(&self, path: &str) -> Option<&str> {
        self.imported_settings.get(path).and_then(|imported| imported.raw.text())
    }

    /// Notes that the line at `location` was not imported.
    pub fn lost(
        &mut self,
        location: &SourceLocation,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) {
        self.note(NoteKind::Lost, Some(location), what, todo);
    }

    /// Notes that the line at `location` behaves differently now.
    pub fn changed(
        &mut self,
        location: &SourceLocation,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) {
        self.note(NoteKind::Changed, Some(location), what, todo);
    }

    /// Adds general advice.
    pub fn note(
        &mut self,
        kind: NoteKind,
        location: Option<&SourceLocation>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let note =
            ImportNote { kind, location: location.cloned(), what: what.into(), hint: hint.into() };
        if !self.notes.iter().rev().take(NOTES_APART_MAX).any(|known| *known == note) {
            self.notes.push(note);
        }
    }

    /// Adds an account, unless its name is invalid or already used. Returns whether it was added.
    pub fn add(&mut self, account: ImportedAccount) -> bool {
        let shown = account.name.escape_debug().to_string();
        if let Err(problem) = check_name(&account.name) {
            let what = format!("invalid account name `{shown}`: {problem}");
            self.lost(&account.location, what, "rename it and import again");
            return false;
        }
        if let Some(known) = self.names.get(&account.name) {
            let what = format!("duplicate account `{shown}`, first defined at {known}");
            self.lost(
                &account.location,
                what,
                "the first definition is used; remove one of the two",
            );
            return false;
        }
        self.names.insert(account.name.clone(), account.location.clone());
        self.accounts.push(account);
        true
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.imported_settings.is_empty() && self.accounts.is_empty()
    }
}
