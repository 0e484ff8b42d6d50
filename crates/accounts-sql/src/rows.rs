//! An account as rows, and as the table of `users.toml` that says the same.
//!
//! A column is a key, so what may stand in it, what it means and what is said of a mistake are
//! those of the file: one reader judges both.

use std::path::Path;

use toml_edit::{Item, Table, Value as Toml};
use wharf_users::admin::{StoreError, StoreErrorKind};
use wharf_users::file::{Editor, OpenError, UserFile, UserRecord};

use crate::link::{Row, Value};

/// A key of an account's table, and the column of the same name.
pub(crate) struct Column {
    /// The name of both.
    pub(crate) key: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Truth,
}

const fn column(key: &'static str, kind: Kind) -> Column {
    Column { key, kind }
}

/// The columns of `accounts` behind the name.
pub(crate) const ACCOUNT: &[Column] = &[
    column("password", Kind::Text),
    column("home", Kind::Text),
    column("permissions", Kind::Text),
    column("enabled", Kind::Truth),
    column("upload_rate", Kind::Text),
    column("download_rate", Kind::Text),
    column("transfer_upload_rate", Kind::Text),
    column("transfer_download_rate", Kind::Text),
    column("sessions", Kind::Number),
    column("quota", Kind::Text),
    column("quota_files", Kind::Number),
    column("require_tls", Kind::Truth),
    column("comment", Kind::Text),
];

/// Accounts as a text such as `users.toml` has.
#[derive(Default)]
pub(crate) struct Document {
    users: Table,
}

impl Document {
    /// Takes a row of `accounts`: the name, then [`ACCOUNT`].
    pub(crate) fn take_account(&mut self, row: &Row) {
        let mut values = row.iter();
        let Some(name) = values.next().and_then(Value::text) else { return };
        self.users.insert(name, Item::Table(table(ACCOUNT, values)));
    }

    /// Takes a row of `paths`: account, path, rights.
    pub(crate) fn take_path(&mut self, row: &Row) {
        let [account, path, rights] = row.as_slice() else { return };
        let Some(account) = account.text().and_then(|name| self.users.get_mut(name)) else {
            return;
        };
        let (Some(path), Some(rights)) = (path.text(), rights.text()) else { return };
        let Some(account) = account.as_table_mut() else { return };
        let paths = account.entry("paths").or_insert_with(|| Item::Table(Table::new()));
        if let Some(paths) = paths.as_table_mut() {
            paths.insert(path, Item::Value(rights.into()));
        }
    }

    /// The text.
    pub(crate) fn text(self) -> String {
        let mut root = toml_edit::DocumentMut::new();
        let mut users = self.users;
        users.set_implicit(true);
        root.insert("users", Item::Table(users));
        root.to_string()
    }
}

/// The accounts of a text; `place` is for messages.
///
/// # Errors
/// `Unusable`: each thing that is wrong, with account and column.
pub(crate) fn records(place: &str, text: &str) -> Result<Vec<UserRecord>, StoreError> {
    let file = UserFile::parse(Path::new(place), text).map_err(|error| told(place, &error))?;
    let relative = file.records().iter().find(|record| !record.home.is_absolute());
    if let Some(record) = relative {
        let what = format!("{place}: users.{}.home: it is no whole path", record.name);
        let help = "a database lies in no folder that it could begin at; write /srv/ftp/NAME";
        return Err(StoreError::new(StoreErrorKind::Unusable, what).help(help));
    }
    Ok(file.records().to_vec())
}

/// What is wrong with what stands in the tables, without the lines of a text that nobody wrote.
pub(crate) fn told(place: &str, error: &OpenError) -> StoreError {
    let OpenError::Problems(found) = error else {
        return StoreError::new(StoreErrorKind::Unusable, format!("{place}: {error}"));
    };
    let lines = found.problems.iter().map(|problem| {
        let help = problem.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{place}: {}: {}{help}", problem.key, problem.message)
    });
    StoreError::new(StoreErrorKind::Unusable, lines.collect::<Vec<_>>().join("\n"))
}

/// The rows of one account: that of `accounts`, and those of `paths`.
pub(crate) struct Rows {
    /// The name, then [`ACCOUNT`].
    pub(crate) account: Row,
    /// Account, path, rights.
    pub(crate) paths: Vec<Row>,
}

/// The rows of the account `name` in a text that an [`Editor`] has made.
pub(crate) fn rows(editor: &Editor, name: &str) -> Option<Rows> {
    let table = editor.table(name)?;
    let mut account = vec![Value::from(name)];
    account.extend(ACCOUNT.iter().map(|column| value(column.kind, table.get(column.key))));
    let paths = table.get("paths").and_then(Item::as_table_like);
    let paths = paths.into_iter().flat_map(|paths| paths.iter()).map(|(path, rights)| {
        vec![Value::from(name), Value::from(path), value(Kind::Text, Some(rights))]
    });
    Some(Rows { account, paths: paths.collect() })
}

fn table<'a>(columns: &[Column], values: impl Iterator<Item = &'a Value>) -> Table {
    let mut table = Table::new();
    for (column, value) in columns.iter().zip(values) {
        if let Some(value) = toml(column.kind, value) {
            table.insert(column.key, Item::Value(value));
        }
    }
    table
}

/// What a column holds, as the value of its key. What is of another kind than it should be stays
/// as it is: the reader of the text tells.
fn toml(kind: Kind, value: &Value) -> Option<Toml> {
    match (kind, value.truth()) {
        (Kind::Truth, Some(truth)) => Some(truth.into()),
        _ => match value {
            Value::Text(text) => text.as_deref().map(Toml::from),
            Value::Number(number) => number.map(Toml::from),
            Value::Truth(truth) => truth.map(Toml::from),
        },
    }
}

/// What stands behind a key, for its column.
fn value(kind: Kind, item: Option<&Item>) -> Value {
    match kind {
        Kind::Text => Value::Text(item.and_then(|item| {
            item.as_str().map(str::to_owned).or_else(|| Some(item.as_integer()?.to_string()))
        })),
        // The one word that may stand in the place of a number is "unlimited".
        Kind::Number => Value::Number(item.map(|item| item.as_integer().unwrap_or_default())),
        Kind::Truth => Value::Truth(item.and_then(Item::as_bool)),
    }
}
