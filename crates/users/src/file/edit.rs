//! Changes `users.toml` and leaves the rest of it as its owner wrote it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, Value};
use wharf_core::account::Rate;
use wharf_proto::path::VPath;

use super::disk::{self, Patience};
use super::place::line_of;
use super::problem::{FileProblems, OpenError};
use super::read;
use super::record::{Setting, UserRecord};
use crate::name::{NameProblem, check_name};
use crate::rights::format_rights;
use crate::units::{format_quota, format_rate};

/// A file of accounts as it was when it was read.
#[derive(Clone, Debug)]
pub struct UserFile {
    path: PathBuf,
    text: String,
    records: Vec<UserRecord>,
}

/// Why a file of accounts was not changed. It is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum EditError {
    /// It cannot be used as it is.
    Open(OpenError),
    /// No account has this name.
    NoSuchUser(String),
    /// An account has this name already.
    UserExists(String),
    /// This cannot be an account's name.
    BadName(String, NameProblem),
    /// A path is not UTF-8, as the file must be; the key says which.
    NotText(&'static str),
    /// The change would make the file unusable.
    Unusable(FileProblems),
    /// Someone else has been changing it for ten seconds.
    Locked(PathBuf),
    /// It cannot be written.
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl fmt::Display for EditError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(out),
            Self::NoSuchUser(name) => write!(out, "there is no user `{name}`"),
            Self::UserExists(name) => write!(out, "there is a user `{name}` already"),
            Self::BadName(name, problem) => {
                write!(out, "`{}` cannot be a user name: {problem}", name.escape_debug())
            }
            Self::NotText(key) => write!(out, "`{key}`: the path is not UTF-8"),
            Self::Unusable(problems) => {
                write!(out, "the change would make the file unusable:\n{problems}")
            }
            Self::Locked(path) => write!(
                out,
                "{}: another program is changing it; try again when it is done",
                path.display()
            ),
            Self::Write { path, source } => {
                write!(out, "{}: it cannot be written: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for EditError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(error) => Some(error),
            Self::Write { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<OpenError> for EditError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl UserFile {
    /// Reads the file. Blocks.
    ///
    /// # Errors
    /// [`OpenError`]: it is missing, open to others, or everything that is wrong in it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let (text, _) = disk::read(path)?;
        Self::parse(path, &text)
    }

    /// Reads `text` as the content of such a file; `path` is for messages and relative homes.
    ///
    /// # Errors
    /// [`OpenError::Problems`] alone.
    pub fn parse(path: impl AsRef<Path>, text: &str) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let records = read::read(path, text).map_err(OpenError::Problems)?;
        Ok(Self { path: path.to_owned(), text: text.to_owned(), records })
    }

    /// The accounts, in the order of the file.
    pub fn records(&self) -> &[UserRecord] {
        &self.records
    }

    /// The account with this name.
    pub fn record(&self, name: &str) -> Option<&UserRecord> {
        self.records.iter().find(|record| record.name == name)
    }

    /// The line, counted from 1, of one of the account's keys; without a key, of its table.
    pub fn line_of(&self, name: &str, key: Option<&str>) -> Option<usize> {
        line_of(&self.text, &["users", name], key)
    }

    /// The line of the rights that the account has below a path.
    pub fn line_of_path(&self, name: &str, path: &str) -> Option<usize> {
        line_of(&self.text, &["users", name, "paths"], Some(path))
    }

    /// The folder that relative homes start from.
    pub fn folder(&self) -> &Path {
        disk::folder(&self.path)
    }

    /// Lets `change` work on the accounts, then writes the file anew, if anything changed.
    ///
    /// A lock on `users.toml.lock` beside it keeps other programs of ours away, for at most ten
    /// seconds; the file is read under the lock. It is replaced as a whole (a new file, flushed,
    /// then renamed), so that nobody ever reads half of it; on Unix only its owner may read it.
    /// Comments, order and spelling stay. A missing file is made. Blocks.
    ///
    /// # Errors
    /// Whatever `change` returns, or an [`EditError`]; the file is then as it was.
    pub fn edit<T, E: From<EditError>>(
        path: impl AsRef<Path>,
        change: impl FnOnce(&mut Editor) -> Result<T, E>,
    ) -> Result<T, E> {
        edit(path.as_ref(), Patience::Some, change)
    }
}

/// [`UserFile::edit`], waiting for the lock or not.
pub(super) fn edit<T, E: From<EditError>>(
    path: &Path,
    patience: Patience,
    change: impl FnOnce(&mut Editor) -> Result<T, E>,
) -> Result<T, E> {
    let path = disk::real(path);
    let unwritable = |source| EditError::Write { path: path.clone(), source };
    let lock = disk::lock(&path, patience).map_err(unwritable)?;
    let _lock = lock.ok_or_else(|| EditError::Locked(path.clone()))?;
    let old = match disk::read(&path) {
        Ok((text, _)) => Some(text),
        Err(OpenError::Missing { .. }) => None,
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

/// What a new file begins with.
const NEW_FILE: &str = "\
# Accounts of wharf. Edit this file by hand or with `wharf user`; a running server sees each change.
# It holds password hashes: only the account that runs the server may read it.
";

/// The accounts of a file while they are changed.
#[derive(Debug)]
pub struct Editor {
    document: DocumentMut,
    records: Vec<UserRecord>,
}

impl Editor {
    fn new(path: &Path, text: &str) -> Result<Self, EditError> {
        let records = read::read(path, text).map_err(OpenError::Problems)?;
        let document = text.parse().map_err(|error: toml_edit::TomlError| {
            let source = io::Error::new(io::ErrorKind::InvalidData, error);
            OpenError::Unreadable { path: path.to_owned(), source }
        })?;
        Ok(Self { document, records })
    }

    /// The names, in the order of the file, as it was read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.records.iter().map(|record| record.name.as_str())
    }

    /// The account as it was read, before the changes made here.
    pub fn record(&self, name: &str) -> Option<&UserRecord> {
        self.records.iter().find(|record| record.name == name)
    }

    /// Adds an account at the end of the file. A home must be among the settings.
    ///
    /// # Errors
    /// `BadName`, `UserExists`, `NotText`; without a home, `Unusable` when the change ends.
    pub fn add(&mut self, name: &str, settings: &[Setting]) -> Result<(), EditError> {
        check_name(name).map_err(|problem| EditError::BadName(name.to_owned(), problem))?;
        let users = self.document.entry("users").or_insert_with(|| {
            let mut users = Table::new();
            users.set_implicit(true);
            Item::Table(users)
        });
        let users = users.as_table_like_mut().ok_or_else(|| no_such(name))?;
        if users.contains_key(name) {
            return Err(EditError::UserExists(name.to_owned()));
        }
        users.insert(name, Item::Table(Table::new()));
        // What stood at the end of the file stays above it, then one empty line.
        let mut above = self.document.trailing().as_str().unwrap_or_default().to_owned();
        if !above.is_empty() && !above.ends_with('\n') {
            above.push('\n');
        }
        self.document.set_trailing("");
        let last = self.tables().filter_map(Table::position).max();
        if let Some(user) = self.user(name)?.as_table_mut() {
            user.set_position(last.map(|last| last + 1));
            user.decor_mut().set_prefix(format!("{above}\n"));
        }
        settings.iter().try_for_each(|setting| self.set(name, setting))
    }

    /// Sets one thing; a comment behind the old value stays.
    ///
    /// # Errors
    /// `NoSuchUser`, `NotText`.
    pub fn set(&mut self, name: &str, setting: &Setting) -> Result<(), EditError> {
        let value = value(setting)?;
        let user = self.user(name)?;
        let is_inline = user.is_inline_table();
        let user = user.as_table_like_mut().ok_or_else(|| no_such(name))?;
        let Setting::Path(path, _) = setting else {
            put(user, setting.key(), value);
            return Ok(());
        };
        let key = written(user, path).map_or_else(|| text_of(path), Ok)?;
        if !user.contains_key("paths") {
            let paths = if is_inline {
                Item::Value(Value::InlineTable(InlineTable::new()))
            } else {
                Item::Table(Table::new())
            };
            user.insert("paths", paths);
        }
        if let Some(paths) = user.get_mut("paths").and_then(Item::as_table_like_mut) {
            put(paths, &key, value);
        }
        Ok(())
    }

    /// Takes one key away, so that its default holds; says whether it was there.
    ///
    /// # Errors
    /// `NoSuchUser`; `Unusable` when the change ends, if `home` is gone.
    pub fn clear(&mut self, name: &str, key: &str) -> Result<bool, EditError> {
        let user = self.user(name)?.as_table_like_mut();
        Ok(user.is_some_and(|user| user.remove(key).is_some()))
    }

    /// Takes the rights of one path away; says whether there were any.
    ///
    /// # Errors
    /// `NoSuchUser`.
    pub fn clear_path(&mut self, name: &str, path: &VPath) -> Result<bool, EditError> {
        let user = self.user(name)?.as_table_like_mut().ok_or_else(|| no_such(name))?;
        let Some(key) = written(user, path) else { return Ok(false) };
        let paths = user.get_mut("paths").and_then(Item::as_table_like_mut);
        Ok(paths.is_some_and(|paths| paths.remove(&key).is_some()))
    }

    /// Takes an account out, with the comment right above it. What stands further above, behind an
    /// empty line, stays: it may be about the whole file.
    ///
    /// # Errors
    /// `NoSuchUser`.
    pub fn remove(&mut self, name: &str) -> Result<(), EditError> {
        let users = self.document.get_mut("users").and_then(Item::as_table_like_mut);
        let gone = users.and_then(|users| users.remove(name)).ok_or_else(|| no_such(name))?;
        let Item::Table(gone) = gone else { return Ok(()) };
        let first = parts(&gone).min_by_key(|part| part.position()).unwrap_or(&gone);
        let (position, above) = (first.position(), text_above(first));
        if let Some((kept, _)) = above.rsplit_once("\n\n").filter(|(kept, _)| kept.contains('#')) {
            self.prepend(position, &format!("{kept}\n"));
        }
        Ok(())
    }

    /// Puts a comment before the first table behind `position`, else at the end.
    fn prepend(&mut self, position: Option<isize>, comment: &str) {
        let next = self
            .tables()
            .map(Table::position)
            .filter(|found| *found > position)
            .min()
            .and_then(|next| self.table_at(next));
        if let Some(next) = next {
            let new = format!("{comment}{}", text_above(next));
            next.decor_mut().set_prefix(new);
        } else {
            let old = self.document.trailing().as_str().unwrap_or_default();
            let new = format!("{comment}{old}");
            self.document.set_trailing(new);
        }
    }

    /// The accounts' tables with a header of their own, and their `paths`.
    fn tables(&self) -> impl Iterator<Item = &Table> {
        let users = self.document.get("users").and_then(Item::as_table);
        let users = users.into_iter().flat_map(Table::iter);
        users.filter_map(|(_, item)| item.as_table()).flat_map(parts)
    }

    fn table_at(&mut self, position: Option<isize>) -> Option<&mut Table> {
        let users = self.document.get_mut("users")?.as_table_mut()?;
        users.iter_mut().filter_map(|(_, item)| item.as_table_mut()).find_map(|user| {
            if user.position() == position {
                return Some(user);
            }
            let paths = user.get_mut("paths").and_then(Item::as_table_mut);
            paths.filter(|paths| paths.position() == position)
        })
    }

    fn user(&mut self, name: &str) -> Result<&mut Item, EditError> {
        let users = self.document.get_mut("users").and_then(Item::as_table_like_mut);
        users.and_then(|users| users.get_mut(name)).ok_or_else(|| no_such(name))
    }
}

/// An account's table and its `paths`.
fn parts(user: &Table) -> impl Iterator<Item = &Table> {
    std::iter::once(user).chain(user.get("paths").and_then(Item::as_table))
}

/// The comments and empty lines above a table.
fn text_above(table: &Table) -> &str {
    table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default()
}

fn no_such(name: &str) -> EditError {
    EditError::NoSuchUser(name.to_owned())
}

/// How a path is written in the account's `paths`: `/a/` and `/a` are the same path.
fn written(user: &dyn TableLike, path: &VPath) -> Option<String> {
    let paths = user.get("paths")?.as_table_like()?;
    let is_same = |key: &str| VPath::root().resolve(key.as_bytes()).as_ref() == Ok(path);
    paths.iter().map(|(key, _)| key).find(|key| is_same(key)).map(str::to_owned)
}

fn text_of(path: &VPath) -> Result<String, EditError> {
    String::from_utf8(path.as_bytes().to_vec()).map_err(|_| EditError::NotText("paths"))
}

/// Puts a value under a key; what stands around an old one, such as a comment, stays.
fn put(table: &mut dyn TableLike, key: &str, mut value: Value) {
    if let Some(old) = table.get_mut(key).and_then(Item::as_value_mut) {
        *value.decor_mut() = old.decor().clone();
        *old = value;
    } else {
        table.insert(key, Item::Value(value));
    }
}

fn value(setting: &Setting) -> Result<Value, EditError> {
    Ok(match setting {
        Setting::Password(hash) => hash.as_str().into(),
        Setting::Home(home) => home.to_str().ok_or(EditError::NotText("home"))?.into(),
        Setting::Permissions(rights) | Setting::Path(_, rights) => format_rights(*rights).into(),
        Setting::Enabled(truth) | Setting::RequireTls(truth) => (*truth).into(),
        Setting::UploadRate(rate)
        | Setting::DownloadRate(rate)
        | Setting::TransferUploadRate(rate)
        | Setting::TransferDownloadRate(rate) => rate_value(*rate),
        Setting::Quota(size) => format_quota(*size).into(),
        Setting::Sessions(count) | Setting::QuotaFiles(count) => {
            i64::from(count.number().unwrap_or(0)).into()
        }
        Setting::Comment(text) => text.as_str().into(),
    })
}

fn rate_value(rate: Rate) -> Value {
    format_rate(rate).into()
}
