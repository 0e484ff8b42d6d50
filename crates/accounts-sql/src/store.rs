//! What is asked of the tables, and how they are changed.

use std::collections::BTreeSet;
use std::path::Path;

use wharf_users::admin::{AdminError, Change, StoreError};
use wharf_users::file::{EditError, Editor, UserRecord};

use crate::link::{Link, Row, Value};
use crate::pool::{Place, Pool};
use crate::rows::{ACCOUNT, Column, Document, Rows, records, rows, told};

/// The accounts of one database.
pub(crate) struct Store {
    pub(crate) pool: Pool,
    /// What it is called in messages.
    pub(crate) shown: String,
}

/// The most accounts on one page.
const PAGE_MAX: i64 = 500;
/// The most names that are asked for at once.
const NAMES_AT_ONCE: usize = 200;

impl Store {
    pub(crate) fn new(place: Place, shown: String) -> Self {
        Self { pool: Pool::new(place), shown }
    }

    /// The account with this name. One that is not there costs the same questions.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<UserRecord>, StoreError> {
        let text = self
            .pool
            .ask(|link| {
                let name = name.to_owned();
                Box::pin(async move {
                    link.begin_reading().await?;
                    let mut document = Document::default();
                    take(link, &mut document, &name).await?;
                    link.commit().await?;
                    Ok(document.text())
                })
            })
            .await?;
        Ok(records(&self.shown, &text)?.pop())
    }

    /// The accounts behind the one called `after`, by name.
    pub(crate) async fn page(&self, after: Option<&str>) -> Result<Vec<UserRecord>, StoreError> {
        let text = self
            .pool
            .ask(|link| {
                let after = after.unwrap_or_default().to_owned();
                Box::pin(async move {
                    link.begin_reading().await?;
                    let document = page(link, &after).await?;
                    link.commit().await?;
                    Ok(document.text())
                })
            })
            .await?;
        records(&self.shown, &text)
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

/// Those of `names` that may log in.
async fn live(link: &mut Link, names: &[String]) -> Result<Vec<Row>, StoreError> {
    let values: Vec<_> = names.iter().map(|name| name.as_str().into()).collect();
    let sql = format!(
        "SELECT name FROM accounts WHERE coalesce(enabled, true) AND name IN ({})",
        marks(values.len())
    );
    link.run(&sql, &values).await
}

/// Adds one account to a document, if it is there.
async fn take(link: &mut Link, document: &mut Document, name: &str) -> Result<(), StoreError> {
    let named = [Value::from(name)];
    let sql = format!("SELECT name, {} FROM accounts WHERE name = ?1", names(ACCOUNT));
    for row in link.run(&sql, &named).await? {
        document.take_account(&row);
    }
    let sql = "SELECT account, path, permissions FROM paths WHERE account = ?1 ORDER BY path";
    for row in link.run(sql, &named).await? {
        document.take_path(&row);
    }
    Ok(())
}

async fn page(link: &mut Link, after: &str) -> Result<Document, StoreError> {
    let mut document = Document::default();
    let sql = format!(
        "SELECT name, {} FROM accounts WHERE name > ?1 ORDER BY name LIMIT {PAGE_MAX}",
        names(ACCOUNT)
    );
    let rows = link.run(&sql, &[after.into()]).await?;
    let ends = rows.first().zip(rows.last());
    let name = |row: &Row| row.first().cloned().unwrap_or(Value::Text(None));
    let Some((first, last)) = ends.map(|(first, last)| (name(first), name(last))) else {
        return Ok(document);
    };
    for row in rows {
        document.take_account(&row);
    }
    let sql = "SELECT account, path, permissions FROM paths \
               WHERE account >= ?1 AND account <= ?2 ORDER BY account, path";
    for row in link.run(sql, &[first, last]).await? {
        document.take_path(&row);
    }
    Ok(document)
}

/// Makes the changes within what was begun. The inner error is about what is asked for, the outer
/// one about the database.
async fn change(
    link: &mut Link,
    shown: &str,
    changes: &[Change],
) -> Result<Result<(), AdminError>, StoreError> {
    let touched: BTreeSet<&str> = changes.iter().map(Change::name).collect();
    let mut document = Document::default();
    for name in &touched {
        take(link, &mut document, name).await?;
    }
    let edited = match edit(shown, &document.text(), changes) {
        Ok(edited) => edited,
        Err(error) => return Ok(Err(error)),
    };
    for name in &touched {
        match rows(&edited, name) {
            None => {
                link.run("DELETE FROM accounts WHERE name = ?1", &[Value::from(*name)]).await?;
            }
            Some(rows) => write(link, name, &rows).await?,
        }
    }
    Ok(Ok(()))
}

/// The changes made to a text.
fn edit(shown: &str, text: &str, changes: &[Change]) -> Result<Editor, AdminError> {
    let unusable = |error: EditError| match error {
        EditError::Open(error) => AdminError::Store(told(shown, &error)),
        other => AdminError::Edit(other),
    };
    let place = Path::new(shown);
    let mut editor = Editor::new(place, text).map_err(unusable)?;
    changes.iter().try_for_each(|change| editor.apply(change))?;
    Editor::new(place, &editor.text()).map_err(unusable)
}

async fn write(link: &mut Link, name: &str, rows: &Rows) -> Result<(), StoreError> {
    let sets: Vec<_> =
        ACCOUNT.iter().map(|column| format!("{0} = excluded.{0}", column.key)).collect();
    let sql = format!(
        "INSERT INTO accounts (name, {}) VALUES ({}) ON CONFLICT (name) DO UPDATE SET {}",
        names(ACCOUNT),
        marks(rows.account.len()),
        sets.join(", ")
    );
    link.run(&sql, &rows.account).await?;
    link.run("DELETE FROM paths WHERE account = ?1", &[Value::from(name)]).await?;
    for row in &rows.paths {
        let sql = "INSERT INTO paths (account, path, permissions) VALUES (?1, ?2, ?3)";
        link.run(sql, row).await?;
    }
    Ok(())
}

/// The places of so many parameters.
fn marks(count: usize) -> String {
    let marks: Vec<_> = (1..=count).map(|number| format!("?{number}")).collect();
    marks.join(", ")
}

/// The columns for a statement. They are constants: nothing that anybody typed is among them.
fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.key).collect::<Vec<_>>().join(", ")
}
