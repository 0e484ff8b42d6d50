//! The queries, and the changes of accounts.

use std::collections::BTreeSet;

use crate::connection::{DbConnection, Dialect};
use crate::pool::{ConnectionPool, StoreLocation};
use crate::rows::{
    ACCOUNTS, Document, FOLDER_COLUMNS, GROUPS, NAMELESS_MAX, ParsedAccounts, Rows, Tables,
    invalid, nameless, parsed, relative_path, rows,
};
use crate::value::{ROWS_MAX, SqlRow, SqlValue};
use wharf_users::admin::{AdminError, StoreError};
use wharf_users::file::{Editor, Fault, Holder, StoreChange, UserRecord};

/// The accounts of one database.
pub(crate) struct SqlStore {
    pub(crate) pool: ConnectionPool,
    /// What it is called in messages.
    pub(crate) shown: String,
}

/// What a login finds under a name.
pub(crate) enum Lookup {
    /// The account, if there is one, with what it takes from its groups.
    Valid(Option<Box<UserRecord>>),
    /// The account is invalid.
    Invalid(Fault),
}

/// The most accounts on one page.
const PAGE_MAX: i64 = 500;
/// The most names in one query.
const NAMES_AT_ONCE: usize = 200;

impl SqlStore {
    pub(crate) fn new(place: StoreLocation, shown: String) -> Self {
        Self { pool: ConnectionPool::new(place), shown }
    }

    /// The account with this name, with the settings inherited from its groups. A missing account
    /// costs the same queries.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<UserRecord>, StoreError> {
        let parsed = self.with_groups(name).await?;
        self.reject_invalid(&parsed, name)?;
        Ok(parsed.file.record(name).cloned())
    }

    /// As [`SqlStore::find`], for a login, where an invalid account is not an error.
    pub(crate) async fn look_up_account(&self, name: &str) -> Result<Lookup, StoreError> {
        let parsed = self.with_groups(name).await?;
        Ok(match parsed.fault(&Holder::from(name)) {
            Some(fault) => Lookup::Invalid(fault.clone()),
            None => Lookup::Valid(parsed.file.record(name).cloned().map(Box::new)),
        })
    }

    fn reject_invalid(&self, parsed: &ParsedAccounts, name: &str) -> Result<(), StoreError> {
        let fault = parsed.fault(&Holder::from(name));
        fault.map_or(Ok(()), |fault| Err(invalid(&self.shown, fault)))
    }

    /// The account with this name, without settings inherited from groups.
    pub(crate) async fn own(&self, name: &str) -> Result<Option<UserRecord>, StoreError> {
        let parsed = self.with_groups(name).await?;
        self.reject_invalid(&parsed, name)?;
        Ok(parsed.file.own(name).cloned())
    }

    /// An account, if it is there, and the groups.
    async fn with_groups(&self, name: &str) -> Result<ParsedAccounts, StoreError> {
        let run = |name: String| {
            self.pool.run(move |connection| {
                let one = RowSelection::One(name.as_str().into());
                Box::pin(async move {
                    let mut document = Document::default();
                    connection.begin_reading().await?;
                    take(connection, &mut document, &GROUPS, &RowSelection::All).await?;
                    take(connection, &mut document, &ACCOUNTS, &one).await?;
                    connection.commit().await?;
                    Ok(document.parsed())
                })
            })
        };
        run(name.to_owned()).await
    }

    /// The groups.
    pub(crate) async fn groups(&self) -> Result<ParsedAccounts, StoreError> {
        let run = self.pool.run(|connection| {
            Box::pin(async move {
                let mut document = Document::default();
                connection.begin_reading().await?;
                take(connection, &mut document, &GROUPS, &RowSelection::All).await?;
                connection.commit().await?;
                Ok(document.parsed_with_nameless())
            })
        });
        run.await
    }

    /// The groups, and the accounts after the name `after`, sorted by name; and the name of the
    /// last one, valid or not.
    pub(crate) async fn page(
        &self,
        after: Option<&str>,
    ) -> Result<(ParsedAccounts, Option<String>), StoreError> {
        let run = |after: String| {
            self.pool.run(move |connection| {
                let after = after.clone();
                Box::pin(async move {
                    connection.begin_reading().await?;
                    let (document, last) = page(connection, &after).await?;
                    connection.commit().await?;
                    Ok((document.parsed_with_nameless(), last))
                })
            })
        };
        run(after.unwrap_or_default().to_owned()).await
    }

    /// Rows with a name that is not text, in any table, up to a limit.
    pub(crate) async fn nameless(&self) -> Result<Vec<Fault>, StoreError> {
        let run =
            self.pool.run(|connection| Box::pin(async move { nameless_rows(connection).await }));
        Ok(run.await?.iter().filter_map(nameless).collect())
    }

    /// Those of `names` that may not log in any more: gone or disabled.
    pub(crate) async fn ended(&self, names: &[String]) -> Result<BTreeSet<String>, StoreError> {
        let mut ended: BTreeSet<String> = names.iter().cloned().collect();
        for some in names.chunks(NAMES_AT_ONCE) {
            let run = |some: Vec<String>| {
                self.pool.run(move |connection| {
                    let some = some.clone();
                    Box::pin(async move { enabled_names(connection, &some).await })
                })
            };
            let enabled_names = run(some.to_vec()).await?;
            for name in enabled_names.iter().filter_map(|row| row.first().and_then(SqlValue::text))
            {
                ended.remove(name);
            }
        }
        Ok(ended)
    }

    /// Whether the database responds.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.pool
            .run(|connection| {
                Box::pin(async move { connection.run("SELECT 1", &[]).await.map(drop) })
            })
            .await
    }

    /// Replaces the hash `old`, unless the account has another one by now.
    pub(crate) async fn renew(&self, name: &str, old: &str, new: &str) -> Result<(), StoreError> {
        let values = [new, name, old].map(SqlValue::from);
        let sql = "UPDATE accounts SET password = ?1 WHERE name = ?2 AND password = ?3";
        self.pool
            .change(|connection| {
                Box::pin(async move { connection.run(sql, &values).await.map(drop) })
            })
            .await
    }

    /// Does all of it or nothing.
    pub(crate) async fn change(&self, changes: &[StoreChange]) -> Result<(), AdminError> {
        let (changes, shown) = (changes.to_vec(), self.shown.clone());
        self.pool
            .change(|connection| {
                Box::pin(async move {
                    connection.begin_changing().await?;
                    let done = change(connection, &shown, &changes).await?;
                    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
                    connection.run(end, &[]).await?;
                    Ok(done)
                })
            })
            .await?
    }
}

/// Table, column and name of rows with an invalid name, up to a limit.
async fn nameless_rows(connection: &mut DbConnection) -> Result<Vec<SqlRow>, StoreError> {
    let dialect = connection.dialect();
    let of_tables = |tables: &Tables| {
        [(tables.main, "name"), (tables.paths, tables.holder), (tables.folders, tables.holder)]
    };
    let all = [of_tables(&ACCOUNTS), of_tables(&GROUPS)].concat();
    let members = [("memberships", ACCOUNTS.holder)];
    let selects = all.iter().chain(&members).map(|(table, column)| {
        let (hex, condition) = match dialect {
            Dialect::Sqlite => (format!("hex({column})"), format!("typeof({column}) <> 'text'")),
            // Names of other characters are sorted out below: in a database with the encoding
            // `SQL_ASCII`, PostgreSQL cannot tell which of them are text. Any other rejects those
            // that are not.
            Dialect::Postgres => (
                format!("upper(encode(convert_to({column}, 'SQL_ASCII'), 'hex'))"),
                format!(
                    "current_setting('server_encoding') = 'SQL_ASCII' \
                     AND {column} !~ '^[ -~]*$'"
                ),
            ),
        };
        // The list of accounts begins after the empty name.
        let is_empty = if *table == ACCOUNTS.main { " OR name = ''" } else { "" };
        format!("SELECT '{table}', '{column}', {hex} FROM {table} WHERE {condition}{is_empty}")
    });
    let sql = selects.collect::<Vec<_>>().join(" UNION ALL ");
    let most = match dialect {
        Dialect::Sqlite => NAMELESS_MAX,
        Dialect::Postgres => ROWS_MAX,
    };
    let mut found = connection.run(&format!("{sql} LIMIT {most}"), &[]).await?;
    if dialect == Dialect::Postgres {
        let is_text = |hex: &str| !hex.is_empty() && is_hex_of_text(hex);
        found.retain(|row| !row.last().and_then(SqlValue::text).is_some_and(is_text));
    }
    found.truncate(NAMELESS_MAX);
    Ok(found)
}

/// Whether hexadecimal digits are those of text.
fn is_hex_of_text(hex: &str) -> bool {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let bytes = |digits: Vec<u8>| -> Vec<u8> {
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
    };
    digits.is_some_and(|digits| std::str::from_utf8(&bytes(digits)).is_ok())
}

/// Those of `names` that may log in.
async fn enabled_names(
    connection: &mut DbConnection,
    names: &[String],
) -> Result<Vec<SqlRow>, StoreError> {
    let values: Vec<_> = names.iter().map(|name| name.as_str().into()).collect();
    let sql = format!(
        "SELECT name FROM accounts WHERE coalesce(enabled, ( \
             SELECT groups.enabled FROM memberships \
             JOIN groups ON groups.name = memberships.group_name \
             WHERE memberships.account = accounts.name AND groups.enabled IS NOT NULL \
             ORDER BY memberships.position, groups.name LIMIT 1), true) AND name IN ({})",
        placeholders(values.len())
    );
    connection.run(&sql, &values).await
}

/// Which rows of a table are meant: all, or those of one name, or those between two.
#[derive(Clone)]
enum RowSelection {
    All,
    One(SqlValue),
    Between(SqlValue, SqlValue),
}

impl RowSelection {
    fn clause(&self, column: &str) -> String {
        match self {
            Self::All => String::new(),
            Self::One(_) => format!("WHERE {column} = ?1"),
            Self::Between(..) => format!("WHERE {column} >= ?1 AND {column} <= ?2"),
        }
    }

    /// The same for the column of the holder in the tables of paths, folders and memberships.
    fn holder_clause(&self, column: &str, dialect: Dialect) -> String {
        match (dialect, self) {
            // SQLite stores bytes in a column of text, and never compares them equal to text. A
            // row whose holder is the bytes of a name may be a restriction of that account, so it
            // is selected too.
            (Dialect::Sqlite, Self::One(_)) => holder_is_first(column, dialect),
            (Dialect::Sqlite, Self::Between(..)) => format!(
                "WHERE {column} BETWEEN ?1 AND ?2 \
                 OR {column} BETWEEN CAST(?1 AS BLOB) AND CAST(?2 AS BLOB)"
            ),
            _ => self.clause(column),
        }
    }

    fn values(&self) -> Vec<SqlValue> {
        match self {
            Self::All => Vec::new(),
            Self::One(name) => vec![name.clone()],
            Self::Between(first, last) => vec![first.clone(), last.clone()],
        }
    }
}

/// The rows of the holder with the name `?1`, as text or, in SQLite, as bytes.
fn holder_is_first(column: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => format!("WHERE {column} IN (?1, CAST(?1 AS BLOB))"),
        // PostgreSQL compares the bytes of both.
        Dialect::Postgres => format!("WHERE {column} = ?1"),
    }
}

/// Adds accounts or groups to a document.
async fn take(
    connection: &mut DbConnection,
    document: &mut Document,
    tables: &Tables,
    selection: &RowSelection,
) -> Result<(), StoreError> {
    let (columns, main) = (tables.columns().join(", "), tables.main);
    let sql = format!("SELECT {columns} FROM {main} {}", selection.clause("name"));
    for row in connection.run(&sql, &selection.values()).await? {
        document.take(tables, &row);
    }
    take_entries(connection, document, tables, selection).await
}

/// Adds the paths, folders and groups of accounts or groups to a document.
async fn take_entries(
    connection: &mut DbConnection,
    document: &mut Document,
    tables: &Tables,
    selection: &RowSelection,
) -> Result<(), StoreError> {
    let (holder, values) = (tables.holder, selection.values());
    let clause = selection.holder_clause(holder, connection.dialect());
    let order = format!("ORDER BY {holder}, path");
    let sql = format!("SELECT {holder}, path, permissions FROM {} {clause} {order}", tables.paths);
    for row in connection.run(&sql, &values).await? {
        document.take_path(tables, &row);
    }
    let folders = tables.folders;
    let sql = format!("SELECT {holder}, path, {FOLDER_COLUMNS} FROM {folders} {clause} {order}");
    for row in connection.run(&sql, &values).await? {
        document.take_folder(tables, &row);
    }
    if tables.main == ACCOUNTS.main {
        let order = "ORDER BY account, position, group_name";
        let sql = format!("SELECT account, group_name FROM memberships {clause} {order}");
        for row in connection.run(&sql, &values).await? {
            document.take_membership(&row);
        }
    }
    Ok(())
}

async fn page(
    connection: &mut DbConnection,
    after: &str,
) -> Result<(Document, Option<String>), StoreError> {
    let mut document = Document::default();
    take(connection, &mut document, &GROUPS, &RowSelection::All).await?;
    let columns = ACCOUNTS.columns().join(", ");
    let sql =
        format!("SELECT {columns} FROM accounts WHERE name > ?1 ORDER BY name LIMIT {PAGE_MAX}");
    let rows = connection.run(&sql, &[after.into()]).await?;
    for row in &rows {
        document.take(&ACCOUNTS, row);
    }
    let mut names = rows.iter().filter_map(|row| match row.first() {
        Some(SqlValue::Text(name)) => name.clone(),
        _ => None,
    });
    let Some(first) = names.next() else { return Ok((document, None)) };
    let last = names.next_back().unwrap_or_else(|| first.clone());
    let between = RowSelection::Between(first.as_str().into(), last.as_str().into());
    take_entries(connection, &mut document, &ACCOUNTS, &between).await?;
    Ok((document, Some(last)))
}

/// Applies the changes within a transaction. The inner error is about the request, the outer one
/// about the database.
async fn change(
    connection: &mut DbConnection,
    shown: &str,
    changes: &[StoreChange],
) -> Result<Result<(), AdminError>, StoreError> {
    let touched: BTreeSet<&Holder> = changes.iter().map(StoreChange::holder).collect();
    let mut document = Document::default();
    take(connection, &mut document, &GROUPS, &RowSelection::All).await?;
    for name in affected_accounts(connection, &touched).await? {
        take(connection, &mut document, &ACCOUNTS, &RowSelection::One(name.as_str().into()))
            .await?;
    }
    let edited = match edit(shown, document, changes) {
        Ok(edited) => edited,
        Err(error) => return Ok(Err(error)),
    };
    // A group must be there before its members are, and they must be gone before it is.
    let groups = touched.iter().filter(|holder| matches!(holder, Holder::Group(_)));
    for holder in groups.clone() {
        if let Some(rows) = rows(&edited, holder) {
            write(connection, holder, &rows).await?;
        }
    }
    for holder in touched.iter().filter(|holder| matches!(holder, Holder::User(_))) {
        match rows(&edited, holder) {
            Some(rows) => write(connection, holder, &rows).await?,
            None => delete(connection, holder).await?,
        }
    }
    for holder in groups {
        if rows(&edited, holder).is_none() {
            delete(connection, holder).await?;
        }
    }
    Ok(Ok(()))
}

/// The accounts that changes are about: their own, and the members of their groups.
async fn affected_accounts(
    connection: &mut DbConnection,
    touched: &BTreeSet<&Holder>,
) -> Result<BTreeSet<String>, StoreError> {
    let mut names = BTreeSet::new();
    for holder in touched {
        match holder {
            Holder::User(name) => {
                names.insert(name.clone());
            }
            Holder::Group(group) => {
                let sql = "SELECT account FROM memberships WHERE group_name = ?1";
                let members = connection.run(sql, &[group.as_str().into()]).await?;
                names.extend(
                    members.iter().filter_map(|row| row.first()?.text().map(str::to_owned)),
                );
            }
        }
    }
    Ok(names)
}

/// Applies the changes to the tables.
fn edit(shown: &str, document: Document, changes: &[StoreChange]) -> Result<Editor, AdminError> {
    let before = document.parsed();
    let mut editor = Editor::of_tables(document.into_tables(), relative_path);
    changes.iter().try_for_each(|change| editor.apply(change)).map_err(AdminError::Edit)?;
    let after = parsed(editor.tables());
    // A record that was invalid before and is unchanged does not block other changes.
    let is_touched = |holder: &Holder| changes.iter().any(|change| change.holder() == holder);
    let is_new =
        |fault: &&Fault| is_touched(&fault.holder) || before.fault(&fault.holder).is_none();
    if let Some(fault) = after.faults.iter().find(is_new) {
        return Err(AdminError::Store(invalid(shown, fault)));
    }
    Ok(editor)
}

async fn write(
    connection: &mut DbConnection,
    holder: &Holder,
    rows: &Rows,
) -> Result<(), StoreError> {
    let tables = Tables::of(holder);
    let columns = tables.columns();
    let sets: Vec<_> =
        columns.iter().skip(1).map(|column| format!("{column} = excluded.{column}")).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT (name) DO UPDATE SET {}",
        tables.main,
        columns.join(", "),
        placeholders(columns.len()),
        sets.join(", ")
    );
    connection.run(&sql, &rows.main).await?;
    let name = rows.main.first().cloned().unwrap_or(SqlValue::Text(None));
    let name = std::slice::from_ref(&name);
    let column = tables.holder;
    let mut inner = vec![
        (tables.paths, "path, permissions", &rows.paths),
        (tables.folders, "path, target, permissions, quota, quota_files", &rows.folders),
    ];
    if matches!(holder, Holder::User(_)) {
        inner.push(("memberships", "group_name, position", &rows.memberships));
    }
    let clause = holder_is_first(column, connection.dialect());
    for (table, others, rows) in inner {
        connection.run(&format!("DELETE FROM {table} {clause}"), name).await?;
        for row in rows {
            let placeholders = placeholders(row.len());
            let sql = format!("INSERT INTO {table} ({column}, {others}) VALUES ({placeholders})");
            connection.run(&sql, row).await?;
        }
    }
    Ok(())
}

async fn delete(connection: &mut DbConnection, holder: &Holder) -> Result<(), StoreError> {
    let (Holder::User(name) | Holder::Group(name)) = holder;
    let sql = format!("DELETE FROM {} WHERE name = ?1", Tables::of(holder).main);
    connection.run(&sql, &[name.as_str().into()]).await.map(drop)
}

/// The places of so many parameters.
fn placeholders(count: usize) -> String {
    let placeholders: Vec<_> = (1..=count).map(|number| format!("?{number}")).collect();
    placeholders.join(", ")
}
