//! What is asked of the tables, and how they are changed.

use std::collections::BTreeSet;
use std::path::Path;

use wharf_users::admin::{AdminError, Change, Holder, StoreError};
use wharf_users::file::{EditError, Editor, Fault, UserRecord};

use crate::link::{Dialect, Link, Row, Value};
use crate::pool::{Place, Pool};
use crate::rows::{
    ACCOUNTS, Document, FOLDER_COLUMNS, GROUPS, NAMELESS_MAX, Reading, Rows, Tables, invalid,
    nameless, read, relative_path, rows, told,
};

/// The accounts of one database.
pub(crate) struct Store {
    pub(crate) pool: Pool,
    /// What it is called in messages.
    pub(crate) shown: String,
}

/// What a login finds under a name.
pub(crate) enum LookedUp {
    /// The account, if there is one, with what it takes from its groups.
    Valid(Option<Box<UserRecord>>),
    /// What the tables say of it is invalid.
    Invalid(Fault),
}

/// The most accounts on one page.
const PAGE_MAX: i64 = 500;
/// The most names that are asked for at once.
const NAMES_AT_ONCE: usize = 200;

impl Store {
    pub(crate) fn new(place: Place, shown: String) -> Self {
        Self { pool: Pool::new(place), shown }
    }

    /// The account with this name, with what it takes from its groups. One that is not there costs
    /// the same questions.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<UserRecord>, StoreError> {
        let reading = self.with_groups(name).await?;
        self.refuse_invalid(&reading, name)?;
        Ok(reading.file.record(name).cloned())
    }

    /// The same for a login, which is refused in its own way where the account is invalid.
    pub(crate) async fn look_up(&self, name: &str) -> Result<LookedUp, StoreError> {
        let reading = self.with_groups(name).await?;
        Ok(match reading.fault(&Holder::from(name)) {
            Some(fault) => LookedUp::Invalid(fault.clone()),
            None => LookedUp::Valid(reading.file.record(name).cloned().map(Box::new)),
        })
    }

    fn refuse_invalid(&self, reading: &Reading, name: &str) -> Result<(), StoreError> {
        let fault = reading.fault(&Holder::from(name));
        fault.map_or(Ok(()), |fault| Err(invalid(&self.shown, fault)))
    }

    /// What the own row of the account with this name says.
    pub(crate) async fn own(&self, name: &str) -> Result<Option<UserRecord>, StoreError> {
        let reading = self.with_groups(name).await?;
        self.refuse_invalid(&reading, name)?;
        Ok(reading.file.own(name).cloned())
    }

    /// An account, if it is there, and the groups.
    async fn with_groups(&self, name: &str) -> Result<Reading, StoreError> {
        let ask = |name: String| {
            self.pool.ask(move |link| {
                let one = Which::One(name.as_str().into());
                Box::pin(async move {
                    let mut document = Document::default();
                    link.begin_reading().await?;
                    take(link, &mut document, &GROUPS, &Which::All).await?;
                    take(link, &mut document, &ACCOUNTS, &one).await?;
                    link.commit().await?;
                    Ok(document.text())
                })
            })
        };
        let text = ask(name.to_owned()).await?;
        read(&self.shown, &text)
    }

    /// The groups.
    pub(crate) async fn groups(&self) -> Result<Reading, StoreError> {
        let ask = self.pool.ask(|link| {
            Box::pin(async move {
                let mut document = Document::default();
                link.begin_reading().await?;
                take(link, &mut document, &GROUPS, &Which::All).await?;
                link.commit().await?;
                Ok(document.parts())
            })
        });
        let (text, nameless) = ask.await?;
        Ok(read(&self.shown, &text)?.with(nameless))
    }

    /// The groups, and the accounts behind the one called `after`, by name; and the name of the
    /// last, valid or not.
    pub(crate) async fn page(
        &self,
        after: Option<&str>,
    ) -> Result<(Reading, Option<String>), StoreError> {
        let ask = |after: String| {
            self.pool.ask(move |link| {
                let after = after.clone();
                Box::pin(async move {
                    link.begin_reading().await?;
                    let (document, last) = page(link, &after).await?;
                    link.commit().await?;
                    Ok((document.parts(), last))
                })
            })
        };
        let ((text, nameless), last) = ask(after.unwrap_or_default().to_owned()).await?;
        Ok((read(&self.shown, &text)?.with(nameless), last))
    }

    /// Rows whose name is no text, in any table; a few of many.
    pub(crate) async fn nameless(&self) -> Result<Vec<Fault>, StoreError> {
        let ask = self.pool.ask(|link| Box::pin(async move { nameless_rows(link).await }));
        Ok(ask.await?.iter().filter_map(nameless).collect())
    }

    /// Those of `names` that may not log in any more: gone or disabled.
    pub(crate) async fn ended(&self, names: &[String]) -> Result<BTreeSet<String>, StoreError> {
        let mut ended: BTreeSet<String> = names.iter().cloned().collect();
        for some in names.chunks(NAMES_AT_ONCE) {
            let ask = |some: Vec<String>| {
                self.pool.ask(move |link| {
                    let some = some.clone();
                    Box::pin(async move { live(link, &some).await })
                })
            };
            let live = ask(some.to_vec()).await?;
            for name in live.iter().filter_map(|row| row.first().and_then(Value::text)) {
                ended.remove(name);
            }
        }
        Ok(ended)
    }

    /// Whether it answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.pool
            .ask(|link| Box::pin(async move { link.run("SELECT 1", &[]).await.map(drop) }))
            .await
    }

    /// Puts a hash in the place of another, unless that is no longer there.
    pub(crate) async fn renew(&self, name: &str, old: &str, new: &str) -> Result<(), StoreError> {
        let values = [new, name, old].map(Value::from);
        let sql = "UPDATE accounts SET password = ?1 WHERE name = ?2 AND password = ?3";
        self.pool
            .change(|link| Box::pin(async move { link.run(sql, &values).await.map(drop) }))
            .await
    }

    /// Does all of it or nothing.
    pub(crate) async fn change(&self, changes: &[Change]) -> Result<(), AdminError> {
        let (changes, shown) = (changes.to_vec(), self.shown.clone());
        self.pool
            .change(|link| {
                Box::pin(async move {
                    link.begin_changing().await?;
                    let done = change(link, &shown, &changes).await?;
                    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
                    link.run(end, &[]).await?;
                    Ok(done)
                })
            })
            .await?
    }
}

/// Table, column and name of rows whose name is no text.
async fn nameless_rows(link: &mut Link) -> Result<Vec<Row>, StoreError> {
    match link.dialect() {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            let of_tables = |tables: &Tables| {
                [
                    (tables.main, "name"),
                    (tables.paths, tables.holder),
                    (tables.folders, tables.holder),
                ]
            };
            let all = [of_tables(&ACCOUNTS), of_tables(&GROUPS)].concat();
            let members = [("memberships", ACCOUNTS.holder)];
            let selects = all.iter().chain(&members).map(|(table, column)| {
                format!(
                    "SELECT '{table}', '{column}', hex({column}) FROM {table} \
                     WHERE typeof({column}) <> 'text'"
                )
            });
            let sql = selects.collect::<Vec<_>>().join(" UNION ALL ");
            link.run(&format!("{sql} LIMIT {NAMELESS_MAX}"), &[]).await
        }
        // PostgreSQL keeps only text there.
        #[cfg(feature = "postgres")]
        Dialect::Postgres => Ok(Vec::new()),
    }
}

/// Those of `names` that may log in.
async fn live(link: &mut Link, names: &[String]) -> Result<Vec<Row>, StoreError> {
    let values: Vec<_> = names.iter().map(|name| name.as_str().into()).collect();
    let sql = format!(
        "SELECT name FROM accounts WHERE coalesce(enabled, ( \
             SELECT groups.enabled FROM memberships \
             JOIN groups ON groups.name = memberships.group_name \
             WHERE memberships.account = accounts.name AND groups.enabled IS NOT NULL \
             ORDER BY memberships.position, groups.name LIMIT 1), true) AND name IN ({})",
        marks(values.len())
    );
    link.run(&sql, &values).await
}

/// Which rows of a table are meant: all, or those of one name, or those between two.
#[derive(Clone)]
enum Which {
    All,
    One(Value),
    Between(Value, Value),
}

impl Which {
    fn clause(&self, column: &str) -> String {
        match self {
            Self::All => String::new(),
            Self::One(_) => format!("WHERE {column} = ?1"),
            Self::Between(..) => format!("WHERE {column} >= ?1 AND {column} <= ?2"),
        }
    }

    fn values(&self) -> Vec<Value> {
        match self {
            Self::All => Vec::new(),
            Self::One(name) => vec![name.clone()],
            Self::Between(first, last) => vec![first.clone(), last.clone()],
        }
    }
}

/// Adds accounts or groups to a document.
async fn take(
    link: &mut Link,
    document: &mut Document,
    tables: &Tables,
    which: &Which,
) -> Result<(), StoreError> {
    let (columns, main) = (tables.columns().join(", "), tables.main);
    let sql = format!("SELECT {columns} FROM {main} {}", which.clause("name"));
    for row in link.run(&sql, &which.values()).await? {
        document.take(tables, &row);
    }
    take_entries(link, document, tables, which).await
}

/// Adds what accounts or groups have that is in tables of its own.
async fn take_entries(
    link: &mut Link,
    document: &mut Document,
    tables: &Tables,
    which: &Which,
) -> Result<(), StoreError> {
    let (holder, values) = (tables.holder, which.values());
    let clause = which.clause(holder);
    let order = format!("ORDER BY {holder}, path");
    let sql = format!("SELECT {holder}, path, permissions FROM {} {clause} {order}", tables.paths);
    for row in link.run(&sql, &values).await? {
        document.take_path(tables, &row);
    }
    let folders = tables.folders;
    let sql = format!("SELECT {holder}, path, {FOLDER_COLUMNS} FROM {folders} {clause} {order}");
    for row in link.run(&sql, &values).await? {
        document.take_folder(tables, &row);
    }
    if tables.main == ACCOUNTS.main {
        let order = "ORDER BY account, position, group_name";
        let sql = format!("SELECT account, group_name FROM memberships {clause} {order}");
        for row in link.run(&sql, &values).await? {
            document.take_membership(&row);
        }
    }
    Ok(())
}

async fn page(link: &mut Link, after: &str) -> Result<(Document, Option<String>), StoreError> {
    let mut document = Document::default();
    take(link, &mut document, &GROUPS, &Which::All).await?;
    let columns = ACCOUNTS.columns().join(", ");
    let sql =
        format!("SELECT {columns} FROM accounts WHERE name > ?1 ORDER BY name LIMIT {PAGE_MAX}");
    let rows = link.run(&sql, &[after.into()]).await?;
    for row in &rows {
        document.take(&ACCOUNTS, row);
    }
    let mut names = rows.iter().filter_map(|row| match row.first() {
        Some(Value::Text(name)) => name.clone(),
        _ => None,
    });
    let Some(first) = names.next() else { return Ok((document, None)) };
    let last = names.last().unwrap_or_else(|| first.clone());
    let between = Which::Between(first.as_str().into(), last.as_str().into());
    take_entries(link, &mut document, &ACCOUNTS, &between).await?;
    Ok((document, Some(last)))
}

/// Makes the changes within what was begun. The inner error is about what is asked for, the outer
/// one about the database.
async fn change(
    link: &mut Link,
    shown: &str,
    changes: &[Change],
) -> Result<Result<(), AdminError>, StoreError> {
    let touched: BTreeSet<&Holder> = changes.iter().map(Change::holder).collect();
    let mut document = Document::default();
    take(link, &mut document, &GROUPS, &Which::All).await?;
    for name in concerned(link, &touched).await? {
        take(link, &mut document, &ACCOUNTS, &Which::One(name.as_str().into())).await?;
    }
    let edited = match edit(shown, &document.text(), changes) {
        Ok(edited) => edited,
        Err(error) => return Ok(Err(error)),
    };
    // A group must be there before its members are, and they must be gone before it is.
    let groups = touched.iter().filter(|holder| matches!(holder, Holder::Group(_)));
    for holder in groups.clone() {
        if let Some(rows) = rows(&edited, holder) {
            write(link, holder, &rows).await?;
        }
    }
    for holder in touched.iter().filter(|holder| matches!(holder, Holder::User(_))) {
        match rows(&edited, holder) {
            Some(rows) => write(link, holder, &rows).await?,
            None => delete(link, holder).await?,
        }
    }
    for holder in groups {
        if rows(&edited, holder).is_none() {
            delete(link, holder).await?;
        }
    }
    Ok(Ok(()))
}

/// The accounts that changes are about: their own, and the members of their groups.
async fn concerned(
    link: &mut Link,
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
                let members = link.run(sql, &[group.as_str().into()]).await?;
                names.extend(
                    members.iter().filter_map(|row| row.first()?.text().map(str::to_owned)),
                );
            }
        }
    }
    Ok(names)
}

/// The changes made to a text.
fn edit(shown: &str, text: &str, changes: &[Change]) -> Result<Editor, AdminError> {
    let unusable = |error: EditError| match error {
        EditError::Open(error) => AdminError::Store(told(shown, &error)),
        other => AdminError::Edit(other),
    };
    let place = Path::new(shown);
    let mut editor = Editor::of_valid(place, text, relative_path).map_err(unusable)?;
    changes.iter().try_for_each(|change| editor.apply(change))?;
    let after = read(shown, &editor.text())?;
    if after.faults.is_empty() {
        return Ok(editor);
    }
    let before = read(shown, text)?;
    // What was invalid before and is not touched keeps nothing else from being changed.
    let is_touched = |holder: &Holder| changes.iter().any(|change| change.holder() == holder);
    let is_new =
        |fault: &&Fault| is_touched(&fault.holder) || before.fault(&fault.holder).is_none();
    if let Some(fault) = after.faults.iter().find(is_new) {
        return Err(AdminError::Store(invalid(shown, fault)));
    }
    Ok(editor)
}

async fn write(link: &mut Link, holder: &Holder, rows: &Rows) -> Result<(), StoreError> {
    let tables = Tables::of(holder);
    let columns = tables.columns();
    let sets: Vec<_> =
        columns.iter().skip(1).map(|column| format!("{column} = excluded.{column}")).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT (name) DO UPDATE SET {}",
        tables.main,
        columns.join(", "),
        marks(columns.len()),
        sets.join(", ")
    );
    link.run(&sql, &rows.main).await?;
    let name = rows.main.first().cloned().unwrap_or(Value::Text(None));
    let name = std::slice::from_ref(&name);
    let column = tables.holder;
    let mut inner = vec![
        (tables.paths, "path, permissions", &rows.paths),
        (tables.folders, "path, target, permissions, quota, quota_files", &rows.folders),
    ];
    if matches!(holder, Holder::User(_)) {
        inner.push(("memberships", "group_name, position", &rows.memberships));
    }
    for (table, others, rows) in inner {
        link.run(&format!("DELETE FROM {table} WHERE {column} = ?1"), name).await?;
        for row in rows {
            let marks = marks(row.len());
            let sql = format!("INSERT INTO {table} ({column}, {others}) VALUES ({marks})");
            link.run(&sql, row).await?;
        }
    }
    Ok(())
}

async fn delete(link: &mut Link, holder: &Holder) -> Result<(), StoreError> {
    let (Holder::User(name) | Holder::Group(name)) = holder;
    let sql = format!("DELETE FROM {} WHERE name = ?1", Tables::of(holder).main);
    link.run(&sql, &[name.as_str().into()]).await.map(drop)
}

/// The places of so many parameters.
fn marks(count: usize) -> String {
    let marks: Vec<_> = (1..=count).map(|number| format!("?{number}")).collect();
    marks.join(", ")
}
