//! Changes `users.toml` and leaves the rest of it as its owner wrote it.

use std::fmt;
use std::path::{Path, PathBuf};

use toml_edit::Table;
use wharf_proto::path::VPath;

use super::change::Holder;
use super::disk::{self, LockWait};
use super::editor::Editor;
use super::keys::UserRecord;
use super::location::{line_of, line_of_entry};
use super::origin::SettingOrigin;
use super::problem::{EditError, Fault, UsersFileError};
use super::read::{self, ParsedFile, RecordCheck};

/// A file of accounts as it was when it was read.
#[derive(Clone)]
pub struct UserFile {
    path: PathBuf,
    text: String,
    parsed: ParsedFile,
    records: Vec<UserRecord>,
}

/// The text is omitted: it contains password hashes.
impl fmt::Debug for UserFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("UserFile")
            .field("path", &self.path)
            .field("parsed", &self.parsed)
            .finish_non_exhaustive()
    }
}

impl UserFile {
    /// Reads the file. Blocks.
    ///
    /// # Errors
    /// [`UsersFileError`]: it is missing, accessible to other users, or invalid (all problems).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, UsersFileError> {
        let path = path.as_ref();
        let (text, _) = disk::read(path)?;
        Self::parse(path, &text)
    }

    /// Reads `text` as the content of such a file; `path` is for messages and relative homes.
    ///
    /// # Errors
    /// [`UsersFileError::Problems`] alone.
    pub fn parse(path: impl AsRef<Path>, text: &str) -> Result<Self, UsersFileError> {
        let path = path.as_ref();
        let parsed = read::read(path, text).map_err(UsersFileError::Problems)?;
        let records = parsed.effective_records();
        Ok(Self { path: path.to_owned(), text: text.to_owned(), parsed, records })
    }

    /// Takes the valid accounts and groups of the tables `users` and `groups`, and returns the
    /// others as faults; `check` is an additional validation. For stores in which each record is
    /// validated on its own.
    pub fn of_tables(root: &Table, check: RecordCheck) -> (Self, Vec<Fault>) {
        let (parsed, faults) = read::read_valid(root, check);
        let records = parsed.effective_records();
        (Self { path: PathBuf::new(), text: String::new(), parsed, records }, faults)
    }

    /// The accounts with what they take from their groups, in the order of the file.
    pub fn records(&self) -> &[UserRecord] {
        &self.records
    }

    /// The account with this name, with what it takes from its groups.
    pub fn record(&self, name: &str) -> Option<&UserRecord> {
        self.records.iter().find(|record| record.name == name)
    }

    /// The accounts without settings inherited from groups, in the order of the file.
    pub fn own_records(&self) -> &[UserRecord] {
        &self.parsed.users
    }

    /// The account without settings inherited from groups.
    pub fn own(&self, name: &str) -> Option<&UserRecord> {
        self.parsed.users.iter().find(|record| record.name == name)
    }

    /// The groups, in the order of the file.
    pub fn groups(&self) -> &[UserRecord] {
        &self.parsed.groups
    }

    /// The group with this name.
    pub fn group(&self, name: &str) -> Option<&UserRecord> {
        self.parsed.groups.iter().find(|group| group.name == name)
    }

    /// Where a setting of the account comes from. `inner` is the path of an entry of `paths` or
    /// `folders`.
    pub fn origin_of(&self, name: &str, key: &str, inner: Option<&VPath>) -> SettingOrigin<'_> {
        let own = self.own(name);
        own.map_or(SettingOrigin::Unset, |own| own.origin_of(|group| self.group(group), key, inner))
    }

    /// The line, counted from 1, that sets a key of an account, in its own table or that of a
    /// group.
    pub fn line_of_setting(&self, name: &str, key: &str, inner: Option<&VPath>) -> Option<usize> {
        match self.origin_of(name, key, inner) {
            SettingOrigin::Own => self.line_in(&Holder::User(name.into()), key, inner),
            SettingOrigin::Group(group) => self.line_in(&Holder::Group(group.into()), key, inner),
            SettingOrigin::Unset => None,
        }
    }

    /// The line of a key in the table of an account or a group itself.
    pub fn line_in(&self, holder: &Holder, key: &str, inner: Option<&VPath>) -> Option<usize> {
        let (section, name) = (holder.section(), holder.name());
        match inner {
            Some(inner) => line_of_entry(&self.text, &[section, name, key], inner),
            None => line_of(&self.text, &[section, name], Some(key)),
        }
    }

    /// The line of an account's table.
    pub fn line_of(&self, name: &str) -> Option<usize> {
        line_of(&self.text, &["users", name], None)
    }

    /// The folder that relative homes start from.
    pub fn folder(&self) -> &Path {
        disk::folder(&self.path)
    }

    /// Applies `change` to the accounts, then replaces the file, if it changed.
    ///
    /// A lock on `users.toml.lock` excludes other wharf processes, for at most ten seconds; the
    /// file is read under the lock. It is replaced atomically (written, synced, then renamed), so
    /// that readers never see a partial file; on Unix only its owner may read it. Comments, order
    /// and formatting are preserved. A missing file is created. Blocks.
    ///
    /// # Errors
    /// An error of `change`, or an [`EditError`]; the file is unchanged then.
    pub fn edit<T, E: From<EditError>>(
        path: impl AsRef<Path>,
        change: impl FnOnce(&mut Editor) -> Result<T, E>,
    ) -> Result<T, E> {
        edit(path.as_ref(), LockWait::Bounded, change)
    }
}

/// [`UserFile::edit`], waiting for the lock or not.
pub(super) fn edit<T, E: From<EditError>>(
    path: &Path,
    wait: LockWait,
    change: impl FnOnce(&mut Editor) -> Result<T, E>,
) -> Result<T, E> {
    let path = disk::resolve_symlink(path);
    let unwritable = |source| EditError::Write { path: path.clone(), source };
    let lock = disk::lock(&path, wait).map_err(unwritable)?;
    let _lock = lock.ok_or_else(|| EditError::Locked(path.clone()))?;
    let old = match disk::read(&path) {
        Ok((text, _)) => Some(text),
        Err(UsersFileError::Missing { .. }) => None,
        Err(error) => return Err(EditError::Open(error).into()),
    };
    let mut editor = Editor::new(&path, old.as_deref().unwrap_or(NEW_FILE))?;
    let answer = change(&mut editor)?;
    let new = editor.document.to_string();
    if old.as_ref() != Some(&new) {
        read::read(&path, &new).map_err(EditError::Unusable)?;
        disk::replace(&path, &new).map_err(unwritable)?;
    }
    Ok(answer)
}

/// The header of a new file.
const NEW_FILE: &str = "\
# Accounts of wharf. Edit this file, or use `wharf user`; a running server applies each change.
# It contains password hashes: only the user that runs the server may read it.
";
