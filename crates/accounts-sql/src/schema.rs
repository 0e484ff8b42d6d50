//! The tables and their migrations. Older versions are migrated, newer ones are rejected.

use wharf_users::admin::{StoreError, StoreErrorKind};

use crate::connection::{DbConnection, Dialect};
use crate::value::SqlValue;

/// Each version's statements, oldest first; a version that was ever released never changes.
const VERSIONS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// The version that this program reads and writes.
pub const VERSION: usize = VERSIONS.len();

/// Creates the tables, or migrates them to [`VERSION`], atomically. Does nothing if they are up to
/// date.
///
/// # Errors
/// `Unusable`: they belong to a newer wharf, or the file to another program.
pub(crate) async fn migrate(connection: &mut DbConnection) -> Result<(), StoreError> {
    if version(connection).await? == VERSION {
        return Ok(());
    }
    connection.begin_changing().await?;
    // Another wharf process may have migrated while this one waited.
    let found = version(connection).await?;
    if found > VERSION {
        let what = format!(
            "the accounts were written by a newer wharf: version {found} of the tables; \
             this wharf supports versions up to {VERSION}"
        );
        let hint = "run the newer wharf, or set accounts.store to another store";
        return Err(StoreError::new(StoreErrorKind::Unusable, what).hint(hint));
    }
    if found == 0 {
        reject_foreign(connection).await?;
    }
    for (script, number) in VERSIONS.iter().zip(1_i64..).skip(found) {
        for statement in statements(script) {
            connection.run(&statement, &[]).await?;
        }
        let noted = "INSERT INTO wharf_schema (version) VALUES (?1)";
        connection.run(noted, &[number.into()]).await?;
    }
    connection.commit().await
}

/// The version of the tables; 0 if there are none.
async fn version(connection: &mut DbConnection) -> Result<usize, StoreError> {
    let query = match connection.dialect() {
        Dialect::Sqlite => "SELECT count(*) FROM sqlite_master WHERE name = 'wharf_schema'",
        // Not to_regclass: a connection caches its negative result.
        Dialect::Postgres => {
            "SELECT count(*) FROM pg_catalog.pg_tables \
             WHERE tablename = 'wharf_schema' AND schemaname = ANY (current_schemas(false))"
        }
    };
    if number(connection, query).await? == 0 {
        return Ok(0);
    }
    let version = number(connection, "SELECT coalesce(max(version), 0) FROM wharf_schema").await?;
    Ok(usize::try_from(version).unwrap_or_default())
}

/// A file with tables, but without those of wharf, belongs to another program. A PostgreSQL
/// database may be shared intentionally.
async fn reject_foreign(connection: &mut DbConnection) -> Result<(), StoreError> {
    let query = match connection.dialect() {
        Dialect::Sqlite => Some("SELECT count(*) FROM sqlite_master"),
        Dialect::Postgres => None,
    };
    let Some(query) = query else { return Ok(()) };
    if number(connection, query).await? == 0 {
        return Ok(());
    }
    let what = "the database belongs to another program: its tables are not those of wharf";
    Err(StoreError::new(StoreErrorKind::Unusable, what)
        .hint("set accounts.store to a separate file; a new one is created"))
}

async fn number(connection: &mut DbConnection, query: &str) -> Result<i64, StoreError> {
    let rows = connection.run(query, &[]).await?;
    let number = rows.first().and_then(|row| row.first()).and_then(SqlValue::number);
    Ok(number.unwrap_or_default())
}

/// The statements of a script, without comments. String literals must not contain semicolons.
fn statements(script: &str) -> Vec<String> {
    let lines = script.lines().map(|line| line.split("--").next().unwrap_or_default());
    let bare: Vec<_> = lines.collect();
    let bare = bare.join("\n");
    let parts = bare.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_cut_into_its_statements() {
        let script =
            "-- what; this is\nCREATE TABLE a (\n  b text -- one; two\n);\n\nDROP TABLE c;\n";
        assert_eq!(statements(script), ["CREATE TABLE a (\n  b text \n)", "DROP TABLE c"]);
        for script in VERSIONS {
            let is_ours = |statement: &String| {
                statement.starts_with("CREATE ") || statement.starts_with("ALTER TABLE ")
            };
            assert!(statements(script).iter().all(is_ours));
        }
    }
}
