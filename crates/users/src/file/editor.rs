//! Accounts and groups of a file while they are changed: comments, order and spelling stay.

use std::io;
use std::path::Path;

use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, Value};
use wharf_proto::path::VPath;

use super::change::{Cleared, Holder, StoreChange};
use super::keys::{Setting, UserRecord};
use super::problem::{EditError, UsersFileError};
use super::read::{self, ParsedFile, RecordCheck};
use super::values::FolderRecord;
use crate::name::check_name;

/// The accounts of a file while they are changed.
#[derive(Debug)]
pub struct Editor {
    pub(super) document: DocumentMut,
    parsed: ParsedFile,
}

impl Editor {
    /// An editor for the text of an accounts file; `path` is for messages and relative homes.
    ///
    /// # Errors
    /// [`EditError::Open`]: the text is invalid.
    pub fn new(path: &Path, text: &str) -> Result<Self, EditError> {
        let parsed = read::read(path, text).map_err(UsersFileError::Problems)?;
        let document = text.parse().map_err(|error: toml_edit::TomlError| {
            let source = io::Error::new(io::ErrorKind::InvalidData, error);
            UsersFileError::Unreadable { path: path.to_owned(), source }
        })?;
        Ok(Self { document, parsed })
    }

    /// An editor for the tables `users` and `groups`, which may have invalid accounts and groups.
    /// The caller must validate the result.
    pub fn of_tables(root: Table, check: RecordCheck) -> Self {
        let (parsed, _) = read::read_valid(&root, check);
        Self { document: root.into(), parsed }
    }

    /// The tables with all changes.
    pub fn tables(&self) -> &Table {
        self.document.as_table()
    }

    /// The table of an account or group, with all changes.
    pub fn table_of(&self, holder: &Holder) -> Option<&dyn TableLike> {
        self.document.get(holder.section())?.as_table_like()?.get(holder.name())?.as_table_like()
    }

    /// Does one thing to one account or group.
    ///
    /// # Errors
    /// As the function that does it.
    pub fn apply(&mut self, change: &StoreChange) -> Result<(), EditError> {
        let holder = change.holder();
        match change {
            StoreChange::Add { settings, .. } => self.add(holder, settings),
            StoreChange::Set { settings, cleared, .. } => {
                settings.iter().try_for_each(|setting| self.set(holder, setting))?;
                cleared.iter().try_for_each(|cleared| match cleared {
                    Cleared::Key(key) => self.clear(holder, key).map(drop),
                    Cleared::Entry(inner, path) => self.clear_entry(holder, inner, path).map(drop),
                })
            }
            StoreChange::Remove { .. } => self.remove(holder),
        }
    }

    /// The names, in the order of the file, as it was read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parsed.users.iter().map(|record| record.name.as_str())
    }

    /// The account as it was read, before any change, without settings inherited from groups.
    pub fn record(&self, name: &str) -> Option<&UserRecord> {
        self.parsed.users.iter().find(|record| record.name == name)
    }

    /// Adds an account or a group at the end of the file. An account needs a home, from its
    /// settings or its groups.
    ///
    /// # Errors
    /// `BadName`, `UserExists`, `GroupExists`, `NotText`; without a home, `Unusable` when the
    /// change ends.
    pub fn add(
        &mut self,
        holder: impl Into<Holder>,
        settings: &[Setting],
    ) -> Result<(), EditError> {
        let holder = &holder.into();
        let name = holder.name();
        check_name(name).map_err(|problem| EditError::BadName(name.to_owned(), problem))?;
        let all = self.document.entry(holder.section()).or_insert_with(|| {
            let mut all = Table::new();
            all.set_implicit(true);
            Item::Table(all)
        });
        let all = all.as_table_like_mut().ok_or_else(|| missing(holder))?;
        if all.contains_key(name) {
            return Err(taken(holder));
        }
        all.insert(name, Item::Table(Table::new()));
        // The text at the end of the file stays above the new table, then one empty line.
        let mut above = self.document.trailing().as_str().unwrap_or_default().to_owned();
        if !above.is_empty() && !above.ends_with('\n') {
            above.push('\n');
        }
        self.document.set_trailing("");
        let last = self.own_tables().filter_map(Table::position).max();
        if let Some(table) = self.table(holder)?.as_table_mut() {
            table.set_position(last.map(|last| last + 1));
            table.decor_mut().set_prefix(format!("{above}\n"));
        }
        settings.iter().try_for_each(|setting| self.set(holder, setting))
    }

    /// Sets one setting; a comment after the old value is preserved. An empty list removes the key.
    ///
    /// # Errors
    /// `NoSuchUser`, `NoSuchGroup`, `NotText`.
    pub fn set(&mut self, holder: impl Into<Holder>, setting: &Setting) -> Result<(), EditError> {
        let holder = &holder.into();
        let value = setting.toml().ok_or_else(|| EditError::NotText(setting.key()))?;
        let table = self.table(holder)?;
        let is_inline = table.is_inline_table();
        let table = table.as_table_like_mut().ok_or_else(|| missing(holder))?;
        let (Setting::Path(path, _) | Setting::Folder(FolderRecord { path, .. })) = setting else {
            if value.as_array().is_some_and(toml_edit::Array::is_empty) {
                table.remove(setting.key());
            } else {
                put(table, setting.key(), value);
            }
            // `password` and `no_password` exclude each other.
            match setting {
                Setting::Password(_) => drop(table.remove("no_password")),
                Setting::NoPassword(true) => drop(table.remove("password")),
                _ => {}
            }
            return Ok(());
        };
        let inner = setting.key();
        let key = written(table, inner, path).map_or_else(|| text_of(inner, path), Ok)?;
        if !table.contains_key(inner) {
            let new = if is_inline {
                Item::Value(Value::InlineTable(InlineTable::new()))
            } else {
                Item::Table(Table::new())
            };
            table.insert(inner, new);
        }
        if let Some(entries) = table.get_mut(inner).and_then(Item::as_table_like_mut) {
            put(entries, &key, value);
        }
        Ok(())
    }

    /// Removes a key, so that its default applies; returns whether it existed.
    ///
    /// # Errors
    /// `NoSuchUser`, `NoSuchGroup`; `Unusable` at the end of the change, if the home is missing.
    pub fn clear(&mut self, holder: impl Into<Holder>, key: &str) -> Result<bool, EditError> {
        let table = self.table(&holder.into())?.as_table_like_mut();
        Ok(table.is_some_and(|table| table.remove(key).is_some()))
    }

    /// Removes one entry of `paths` or `folders`; returns whether it existed.
    ///
    /// # Errors
    /// `NoSuchUser`, `NoSuchGroup`.
    pub fn clear_entry(
        &mut self,
        holder: impl Into<Holder>,
        inner: &str,
        path: &VPath,
    ) -> Result<bool, EditError> {
        let holder = &holder.into();
        let table = self.table(holder)?.as_table_like_mut().ok_or_else(|| missing(holder))?;
        let Some(key) = written(table, inner, path) else { return Ok(false) };
        let entries = table.get_mut(inner).and_then(Item::as_table_like_mut);
        Ok(entries.is_some_and(|entries| entries.remove(&key).is_some()))
    }

    /// Removes an account or group, with the comment right above it. Text further above, before an
    /// empty line, is preserved: it may be about the whole file.
    ///
    /// # Errors
    /// `NoSuchUser`, `NoSuchGroup`; `Unusable` at the end of the change, if the group has members.
    pub fn remove(&mut self, holder: impl Into<Holder>) -> Result<(), EditError> {
        let holder = &holder.into();
        let all = self.document.get_mut(holder.section()).and_then(Item::as_table_like_mut);
        let gone = all.and_then(|all| all.remove(holder.name())).ok_or_else(|| missing(holder))?;
        let Item::Table(gone) = gone else { return Ok(()) };
        let first = parts(&gone).min_by_key(|part| part.position()).unwrap_or(&gone);
        let (position, above) = (first.position(), text_above(first));
        if let Some((kept, _)) = above.rsplit_once("\n\n").filter(|(kept, _)| kept.contains('#')) {
            self.prepend(position, &format!("{kept}\n"));
        }
        Ok(())
    }

    /// Inserts a comment before the first table after `position`, else at the end.
    fn prepend(&mut self, position: Option<isize>, comment: &str) {
        let next = self
            .own_tables()
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

    /// The tables of accounts and groups with a header of their own, and those within.
    fn own_tables(&self) -> impl Iterator<Item = &Table> {
        let sections = SECTIONS.iter().filter_map(|name| self.document.get(name)?.as_table());
        let owners = sections.flat_map(Table::iter);
        owners.filter_map(|(_, item)| item.as_table()).flat_map(parts)
    }

    fn table_at(&mut self, position: Option<isize>) -> Option<&mut Table> {
        let owners = self.document.iter_mut().filter_map(|(name, section)| {
            if SECTIONS.contains(&name.get()) { section.as_table_mut() } else { None }
        });
        let owners = owners.flat_map(|section| section.iter_mut());
        owners.filter_map(|(_, item)| item.as_table_mut()).find_map(|owner| {
            if owner.position() == position {
                return Some(owner);
            }
            let inner = owner.iter_mut().filter_map(|(_, item)| item.as_table_mut());
            inner.into_iter().find(|inner| inner.position() == position)
        })
    }

    fn table(&mut self, holder: &Holder) -> Result<&mut Item, EditError> {
        let all = self.document.get_mut(holder.section()).and_then(Item::as_table_like_mut);
        all.and_then(|all| all.get_mut(holder.name())).ok_or_else(|| missing(holder))
    }
}

const SECTIONS: [&str; 2] = ["users", "groups"];

fn missing(holder: &Holder) -> EditError {
    match holder {
        Holder::User(name) => EditError::NoSuchUser(name.clone()),
        Holder::Group(name) => EditError::NoSuchGroup(name.clone()),
    }
}

fn taken(holder: &Holder) -> EditError {
    match holder {
        Holder::User(name) => EditError::UserExists(name.clone()),
        Holder::Group(name) => EditError::GroupExists(name.clone()),
    }
}

/// An owner's table, its `paths` and its `folders`.
fn parts(owner: &Table) -> impl Iterator<Item = &Table> {
    let inner = ["paths", "folders"].into_iter().filter_map(|key| owner.get(key)?.as_table());
    std::iter::once(owner).chain(inner)
}

/// The comments and empty lines above a table.
fn text_above(table: &Table) -> &str {
    table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default()
}

/// The spelling of a path in `paths` or `folders`: `/a/` and `/a` are the same path.
fn written(table: &dyn TableLike, inner: &str, path: &VPath) -> Option<String> {
    let entries = table.get(inner)?.as_table_like()?;
    let is_same = |key: &str| VPath::root().resolve(key.as_bytes()).as_ref() == Ok(path);
    entries.iter().map(|(key, _)| key).find(|key| is_same(key)).map(str::to_owned)
}

fn text_of(inner: &'static str, path: &VPath) -> Result<String, EditError> {
    String::from_utf8(path.as_bytes().to_vec()).map_err(|_| EditError::NotText(inner))
}

/// Sets the value of a key; the text around an old value, such as a comment, is preserved.
fn put(table: &mut dyn TableLike, key: &str, mut value: Value) {
    if let Some(old) = table.get_mut(key).and_then(Item::as_value_mut) {
        *value.decor_mut() = old.decor().clone();
        *old = value;
    } else {
        table.insert(key, Item::Value(value));
    }
}
