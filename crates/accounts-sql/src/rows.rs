//! Converts accounts and groups between rows and the tables of `users.toml`.
//!
//! A column is a key, so its values, their meaning and the error messages are those of the file:
//! one parser validates both.

use std::fmt::Write as _;
use std::path::Path;

use toml_edit::{Array, InlineTable, Item, Table, TableLike, Value as Toml};
use wharf_users::admin::{StoreError, StoreErrorKind};
use wharf_users::file::{
    ACCOUNT_KEYS, Editor, Fault, Holder, KeyScope, UserFile, UserRecord, UsersFileProblem,
    ValueKind,
};

use crate::value::{SqlRow, SqlValue};

#[derive(Clone, Copy, PartialEq, Eq)]
enum ColumnKind {
    Text,
    /// Text without effect.
    Remark,
    Number,
    Bool,
    /// Texts, with this between them.
    List(char),
}

impl From<ValueKind> for ColumnKind {
    fn from(kind: ValueKind) -> Self {
        match kind {
            ValueKind::Count => Self::Number,
            ValueKind::Boolean => Self::Bool,
            ValueKind::Networks => Self::List(','),
            ValueKind::Hours => Self::List(';'),
            ValueKind::Text => Self::Remark,
            ValueKind::Hash
            | ValueKind::Permissions
            | ValueKind::Rate
            | ValueKind::Size
            | ValueKind::Expiry => Self::Text,
        }
    }
}

/// A key of a table, and the column of the same name.
type SqlColumn = (&'static str, ColumnKind);

const HOME: SqlColumn = ("home", ColumnKind::Text);
const FOLDER: [SqlColumn; 4] = [
    ("target", ColumnKind::Text),
    ("permissions", ColumnKind::Text),
    ("quota", ColumnKind::Text),
    ("quota_files", ColumnKind::Number),
];

/// The tables of accounts, or those of groups.
pub(crate) struct Tables {
    /// One row for each.
    pub(crate) main: &'static str,
    /// The column of the name in the tables of paths and folders.
    pub(crate) holder: &'static str,
    /// Permissions below paths.
    pub(crate) paths: &'static str,
    /// Shared folders.
    pub(crate) folders: &'static str,
    section: &'static str,
}

/// Those of accounts.
pub(crate) const ACCOUNTS: Tables = Tables {
    main: "accounts",
    holder: "account",
    paths: "paths",
    folders: "folders",
    section: "users",
};

/// Those of groups.
pub(crate) const GROUPS: Tables = Tables {
    main: "groups",
    holder: "group_name",
    paths: "group_paths",
    folders: "group_folders",
    section: "groups",
};

/// The columns of a table of folders after holder and path.
pub(crate) const FOLDER_COLUMNS: &str = "target, permissions, quota, quota_files";

impl Tables {
    /// Those of this holder.
    pub(crate) fn of(holder: &Holder) -> &'static Self {
        match holder {
            Holder::User(_) => &ACCOUNTS,
            Holder::Group(_) => &GROUPS,
        }
    }

    /// The columns of the main table, the name first. They are constants, without any user input.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        std::iter::once("name").chain(self.keys().map(|(key, _)| key)).collect()
    }

    /// Those that only accounts have first.
    fn keys(&self) -> impl Iterator<Item = SqlColumn> + use<> {
        let of = |is_own: bool| {
            let keys =
                ACCOUNT_KEYS.iter().filter(move |key| (key.scope == KeyScope::Account) == is_own);
            keys.map(|key| (key.name, key.kind.into()))
        };
        let own = of(true).filter({
            let has_own = self.main == ACCOUNTS.main;
            move |_| has_own
        });
        own.chain([HOME]).chain(of(false))
    }
}

/// Accounts and groups as the tables of `users.toml`.
#[derive(Default)]
pub(crate) struct Document {
    root: Table,
    /// Rows with a name that is not text, up to a limit.
    nameless: Vec<Fault>,
}

/// Replaces a name or path that is not text. It is never valid, so its account is invalid.
const UNREADABLE: &str = "(not text)";

/// Replaces the path or group in a row whose holder is the bytes of a name, not text. It is never
/// valid either: the row may be a restriction, and a query by name does not find it.
const HOLDER_UNREADABLE: &str = "(row with a name that is not text)";

/// A path or group of a row, or what makes the holder of the row invalid.
fn entry_name<'a>(holder: &SqlValue, name: &'a SqlValue) -> &'a str {
    match holder {
        SqlValue::Bytes(_) => HOLDER_UNREADABLE,
        _ => name.text().unwrap_or(UNREADABLE),
    }
}

impl Document {
    /// Takes a row of the main table: the columns of [`Tables::columns`].
    pub(crate) fn take(&mut self, tables: &Tables, row: &SqlRow) {
        let mut values = row.iter();
        // A name that is not text never matches a login; [`nameless`] reports such rows.
        let name = match values.next() {
            Some(SqlValue::Text(Some(name))) => name,
            Some(SqlValue::Bytes(bytes)) if self.nameless.len() < NAMELESS_MAX => {
                let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02X}");
                    hex
                });
                self.nameless.push(nameless_in(tables.main, "name", &hex));
                return;
            }
            _ => return,
        };
        let mut table = Table::new();
        for ((key, kind), value) in tables.keys().zip(values) {
            if let Some(value) = toml(kind, value) {
                table.insert(key, Item::Value(value));
            }
        }
        let section = self.root.entry(tables.section).or_insert_with(|| Item::Table(Table::new()));
        if let Some(section) = section.as_table_mut() {
            section.insert(name, Item::Table(table));
        }
    }

    /// Takes a row of `memberships`: account, group.
    pub(crate) fn take_membership(&mut self, row: &SqlRow) {
        let [account, group] = row.as_slice() else { return };
        let group = entry_name(account, group);
        let Some(account) = self.holder(&ACCOUNTS, account) else { return };
        let groups = account.entry("groups").or_insert_with(|| Item::Value(Array::new().into()));
        if let Some(groups) = groups.as_array_mut() {
            groups.push(group);
        }
    }

    /// Takes a row of paths: holder, path, permissions.
    pub(crate) fn take_path(&mut self, tables: &Tables, row: &SqlRow) {
        let [holder, path, permissions] = row.as_slice() else { return };
        // A permission that is not text must not be skipped: it may be a restriction.
        let permissions =
            toml(ColumnKind::Text, permissions).unwrap_or_else(|| Toml::from(NO_TEXT));
        self.take_entry(tables, holder, "paths", path, permissions);
    }

    /// Takes a row of folders: holder, path, [`FOLDER_COLUMNS`].
    pub(crate) fn take_folder(&mut self, tables: &Tables, row: &SqlRow) {
        let [holder, path, facts @ ..] = row.as_slice() else { return };
        let mut folder = InlineTable::new();
        for ((key, kind), value) in FOLDER.into_iter().zip(facts) {
            if let Some(value) = toml(kind, value) {
                folder.insert(key, value);
            }
        }
        self.take_entry(tables, holder, "folders", path, Toml::InlineTable(folder));
    }

    fn take_entry(
        &mut self,
        tables: &Tables,
        holder: &SqlValue,
        key: &str,
        path: &SqlValue,
        entry: Toml,
    ) {
        // An unreadable path makes its account invalid: its permissions may be a restriction.
        let path = entry_name(holder, path);
        let Some(holder) = self.holder(tables, holder) else { return };
        let entries = holder.entry(key).or_insert_with(|| Item::Table(Table::new()));
        if let Some(entries) = entries.as_table_mut() {
            entries.insert(path, Item::Value(entry));
        }
    }

    fn holder(&mut self, tables: &Tables, name: &SqlValue) -> Option<&mut Table> {
        self.root.get_mut(tables.section)?.as_table_mut()?.get_mut(name.text()?)?.as_table_mut()
    }

    /// The accounts and groups. An invalid record does not affect the others.
    pub(crate) fn parsed(&self) -> ParsedAccounts {
        parsed(&self.root)
    }

    /// The same, with the faults of rows with an invalid name.
    pub(crate) fn parsed_with_nameless(self) -> ParsedAccounts {
        let mut parsed = self.parsed();
        parsed.faults.extend(self.nameless);
        parsed
    }

    /// The tables.
    pub(crate) fn into_tables(self) -> Table {
        self.root
    }
}

/// The parsed accounts and groups.
pub(crate) struct ParsedAccounts {
    /// The accounts and groups that can be used.
    pub(crate) file: UserFile,
    /// Those that cannot.
    pub(crate) faults: Vec<Fault>,
}

impl ParsedAccounts {
    /// The fault of this account or group, if it is invalid.
    pub(crate) fn fault(&self, holder: &Holder) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.holder == *holder)
    }
}

/// The fault of a row with an invalid name: it never matches a login. `row` contains the table,
/// the column and the bytes of the name in hexadecimal.
pub(crate) fn nameless(row: &SqlRow) -> Option<Fault> {
    let [table, column, hex] = row.as_slice() else { return None };
    Some(nameless_in(table.text()?, column.text()?, hex.text().unwrap_or_default()))
}

fn nameless_in(table: &str, column: &str, hex: &str) -> Fault {
    let bytes: String = hex.chars().take(HEX_SHOWN_MAX).collect();
    let shown = if hex.is_empty() { "(no name)".to_owned() } else { format!("(bytes {bytes})") };
    let is_group = column == GROUPS.holder || table == GROUPS.main;
    let name = shown.clone();
    let holder = if is_group { Holder::Group(name) } else { Holder::User(name) };
    let effect = if [ACCOUNTS.main, GROUPS.main].contains(&table) {
        "so the row is ignored"
    } else {
        "so the row cannot be applied"
    };
    let problem = UsersFileProblem {
        line: 1,
        column: 1,
        span: 0..0,
        key: format!("{table}.{column}"),
        message: match hex {
            "" => format!("the name is empty, {effect}"),
            _ => format!("the name is not text, {effect}"),
        },
        hint: Some(format!("fix the name by SQL, or delete the row: table {table}, {shown}")),
    };
    Fault { holder, password: None, problems: vec![problem] }
}

/// The most rows with an invalid name that are reported.
pub(crate) const NAMELESS_MAX: usize = 100;

/// How many hexadecimal digits of an invalid name are shown.
const HEX_SHOWN_MAX: usize = 64;

/// The accounts and groups of tables.
pub(crate) fn parsed(root: &Table) -> ParsedAccounts {
    let (file, faults) = UserFile::of_tables(root, relative_path);
    ParsedAccounts { file, faults }
}

/// Rejects relative paths: a database has no folder to resolve them against.
pub(crate) fn relative_path(record: &UserRecord) -> Option<(&'static str, String, String)> {
    let is_relative = |path: &Path| !path.as_os_str().is_empty() && !path.is_absolute();
    let targets = record.folders.iter().map(|one| ("folders", one.target.as_path()));
    let mut whole = std::iter::once(("home", record.home.as_path())).chain(targets);
    let (key, _) = whole.find(|(_, path)| is_relative(path))?;
    let hint = "a relative path cannot be resolved for a database; write /srv/ftp/NAME";
    Some((key, "not an absolute path".to_owned(), hint.to_owned()))
}

/// The error for an invalid account or group.
pub(crate) fn invalid(place: &str, fault: &Fault) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, format!("{place}: {fault}"))
}

/// The rows of one account or group.
pub(crate) struct Rows {
    /// The columns of [`Tables::columns`].
    pub(crate) main: SqlRow,
    /// Account, group, position.
    pub(crate) memberships: Vec<SqlRow>,
    /// Holder, path, permissions.
    pub(crate) paths: Vec<SqlRow>,
    /// Holder, path, [`FOLDER_COLUMNS`].
    pub(crate) folders: Vec<SqlRow>,
}

/// The rows of a holder in the tables of an [`Editor`].
pub(crate) fn rows(editor: &Editor, holder: &Holder) -> Option<Rows> {
    let table = editor.table_of(holder)?;
    let (Holder::User(name) | Holder::Group(name)) = holder;
    let name = || SqlValue::from(name.as_str());
    let keys = Tables::of(holder).keys();
    let main = keys.map(|(key, kind)| value(kind, table.get(key)));
    let groups = table.get("groups").and_then(Item::as_array);
    let groups = groups.into_iter().flatten().filter_map(Toml::as_str).zip(1_i64..);
    let paths = entries(table, "paths").map(|(path, permissions)| {
        vec![name(), SqlValue::from(path), value(ColumnKind::Text, Some(permissions))]
    });
    let folders = entries(table, "folders").map(|(path, folder)| {
        let facts = FOLDER.into_iter().map(|(key, kind)| match folder.as_table_like() {
            Some(folder) => value(kind, folder.get(key)),
            // A target alone.
            None => value(kind, Some(folder).filter(|_| key == "target")),
        });
        [name(), SqlValue::from(path)].into_iter().chain(facts).collect()
    });
    Some(Rows {
        main: std::iter::once(name()).chain(main).collect(),
        memberships: groups.map(|(group, at)| vec![name(), group.into(), at.into()]).collect(),
        paths: paths.collect(),
        folders: folders.collect(),
    })
}

fn entries<'a>(table: &'a dyn TableLike, key: &str) -> impl Iterator<Item = (&'a str, &'a Item)> {
    let entries = table.get(key).and_then(Item::as_table_like);
    entries.into_iter().flat_map(TableLike::iter)
}

/// What no key takes.
const NO_TEXT: i64 = i64::MIN;

/// Converts a column to the value of its key. A value of another type is kept: the parser reports
/// it.
fn toml(kind: ColumnKind, value: &SqlValue) -> Option<Toml> {
    match (kind, value) {
        (ColumnKind::Bool, value) if value.boolean().is_some() => value.boolean().map(Toml::from),
        (ColumnKind::List(between), SqlValue::Text(text)) => {
            let parts = text.as_deref()?.split(between).map(str::trim);
            Some(Toml::Array(parts.filter(|part| !part.is_empty()).collect()))
        }
        (_, SqlValue::Text(text)) => text.as_deref().map(Toml::from),
        (_, SqlValue::Number(number)) => number.map(Toml::from),
        (_, SqlValue::Bool(boolean)) => boolean.map(Toml::from),
        // Bytes that are not text must not count as NULL: without its list of addresses an account
        // could log in from anywhere.
        (kind, SqlValue::Bytes(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => toml(kind, &SqlValue::from(text)),
            Err(_) if kind == ColumnKind::Remark => {
                Some(Toml::from(String::from_utf8_lossy(bytes).as_ref()))
            }
            Err(_) => Some(Toml::from(NO_TEXT)),
        },
    }
}

/// Converts the value of a key to its column.
fn value(kind: ColumnKind, item: Option<&Item>) -> SqlValue {
    match kind {
        ColumnKind::Text | ColumnKind::Remark => SqlValue::Text(item.and_then(|item| {
            item.as_str().map(str::to_owned).or_else(|| Some(item.as_integer()?.to_string()))
        })),
        // The only text allowed in place of a number is "unlimited".
        ColumnKind::Number => {
            SqlValue::Number(item.map(|item| item.as_integer().unwrap_or_default()))
        }
        ColumnKind::Bool => SqlValue::Bool(item.and_then(Item::as_bool)),
        ColumnKind::List(between) => SqlValue::Text(item.and_then(Item::as_array).map(|parts| {
            let parts: Vec<_> = parts.iter().filter_map(Toml::as_str).collect();
            parts.join(&format!("{between} "))
        })),
    }
}
