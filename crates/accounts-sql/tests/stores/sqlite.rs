//! Accounts in a file of SQLite.

use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tracing::Level;
use wharf_accounts_sql::{
    CONNECTIONS_MAX, Creation, DatabaseAddress, SqlUsers, StoreEvent, VERSION,
};
use wharf_core::users::{Denied, Users};
use wharf_testkit::reports::Reports;
use wharf_users::admin::{StoreErrorKind, UserAdmin};
use wharf_users::file::{Holder, Setting, StoreChange};
use wharf_users::hasher::Hasher;

use crate::support::{add, attempt, suite};

struct TestStore {
    folder: tempfile::TempDir,
}

impl TestStore {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("users.db")
    }

    fn open(&self, creation: Creation) -> SqlUsers {
        let hasher = Arc::new(Hasher::new(NonZeroUsize::MIN));
        SqlUsers::new(&DatabaseAddress::Sqlite(self.path()), None, creation, hasher).unwrap()
    }

    fn store(&self) -> SqlUsers {
        self.open(Creation::Wanted)
    }

    fn direct(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

#[tokio::test]
async fn a_file_keeps_the_contract_of_a_store() {
    suite::contract(&TestStore::new().store()).await;
}

#[tokio::test]
async fn accounts_are_added_changed_listed_and_removed() {
    suite::changes(&TestStore::new().store()).await;
}

#[tokio::test]
async fn a_change_is_atomic() {
    suite::all_or_nothing(&TestStore::new().store()).await;
}

#[tokio::test]
async fn accounts_inherit_unset_values_from_their_groups() {
    suite::groups(&TestStore::new().store()).await;
}

#[tokio::test]
async fn the_pages_list_each_account_once() {
    suite::pages(&TestStore::new().store()).await;
}

#[tokio::test]
async fn row_42_statements_are_reported_without_values() {
    let place = TestStore::new();
    let store = place.store();
    for (level, has_statements) in [(Level::DEBUG, false), (Level::TRACE, true)] {
        let reports = Reports::new(level);
        let scope = tracing::subscriber::set_default(reports.clone());
        add(&store, &format!("anna-{level}"), "secret").await;
        drop(scope);
        let lines = reports.lines();
        let statements = lines.iter().filter(|line| line.contains("INSERT INTO accounts"));
        assert_eq!(statements.count() > 0, has_statements, "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("argon2")), "{lines:?}");
    }
}

#[tokio::test]
async fn row_18_an_unknown_name_costs_a_hash_as_a_wrong_password_does() {
    let place = TestStore::new();
    let hasher = Arc::new(Hasher::new(NonZeroUsize::MIN));
    let address = DatabaseAddress::Sqlite(place.path());
    let store = SqlUsers::new(&address, None, Creation::Wanted, Arc::clone(&hasher)).unwrap();
    add(&store, "anna", "secret").await;
    for (name, secret) in [("anna", "wrong"), ("nobody", "wrong")] {
        let before = hasher.verifications();
        assert!(store.login(&attempt(name, secret)).await.is_err());
        assert_eq!(hasher.verifications(), before + 1, "{name}");
    }
}

#[tokio::test]
async fn row_19_without_a_hash_an_account_with_no_password_is_open_only_to_its_addresses() {
    let place = TestStore::new();
    let store = place.store();
    add(&store, "cam", "secret").await;
    let set = |sql: &str| {
        let changed = format!("UPDATE accounts SET {sql}");
        assert_eq!(place.direct().execute(&changed, []).unwrap(), 1);
    };
    for nothing in ["password = NULL", "password = ''", "password = NULL, no_password = false"] {
        set(nothing);
        for secret in ["", "x"] {
            let denied = store.login(&attempt("cam", secret)).await;
            assert!(matches!(denied, Err(Denied::NoPassword)), "{nothing}: {denied:?}");
        }
    }
    set("password = NULL, no_password = true, allowed_addresses = '127.0.0.1'");
    assert!(store.login(&attempt("cam", "")).await.is_ok());
    set("allowed_addresses = '192.0.2.7'");
    let denied = store.login(&attempt("cam", "")).await;
    assert!(matches!(denied, Err(Denied::ByRule(_))), "{denied:?}");
    set("allowed_addresses = NULL");
    let denied = store.login(&attempt("cam", "")).await;
    // The row is invalid, and nothing but this account is rejected for it.
    let reason = |denied: &Denied| denied.to_string().contains("needs `allowed_addresses`");
    assert!(denied.as_ref().is_err_and(reason), "{denied:?}");
}

#[tokio::test]
async fn a_login_renews_an_old_hash_and_leaves_one_that_was_changed() {
    let place = TestStore::new();
    let store = place.store();
    let old = "{SSHA}rkVJUMZq30PQewwp3wBrVidgFF7PfliP7fbmkQ==";
    add(&store, "anna", "x").await;
    place.direct().execute("UPDATE accounts SET password = ?1", [old]).unwrap();
    store.login(&attempt("anna", "Pier 39, Zürich")).await.unwrap();
    let stored = |place: &TestStore| -> String {
        let sql = "SELECT password FROM accounts";
        place.direct().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert!(stored(&place).starts_with("$argon2id$"), "{}", stored(&place));
    store.login(&attempt("anna", "Pier 39, Zürich")).await.unwrap();
}

#[tokio::test]
async fn a_change_by_sql_counts_at_the_next_login() {
    let place = TestStore::new();
    let store = place.store();
    add(&store, "anna", "secret").await;
    let account = store.login(&attempt("anna", "secret")).await.unwrap();
    assert_eq!(account.limits.sessions, None);
    let direct = place.direct();
    direct.execute("UPDATE accounts SET sessions = 3, quota = '20GiB'", []).unwrap();
    let account = store.login(&attempt("anna", "secret")).await.unwrap();
    assert_eq!(account.limits.sessions.unwrap().number(), Some(3));
    assert_eq!(account.limits.quota.unwrap().bytes(), Some(20 << 30));
    direct.execute("UPDATE accounts SET enabled = 0", []).unwrap();
    let denied = store.login(&attempt("anna", "secret")).await.unwrap_err();
    assert!(matches!(denied, Denied::Disabled), "{denied}");
    let names = ["anna".to_owned()];
    assert_eq!(store.ended(&names).await.unwrap().into_iter().collect::<Vec<_>>(), names);
}

#[tokio::test]
async fn an_invalid_row_is_the_fault_of_that_row_alone() {
    let place = TestStore::new();
    let store = place.store();
    let run = |sql: &str| assert!(place.direct().execute(sql, []).is_ok());
    suite::invalid_rows(&store, run).await;
    // Bytes that are not text must not count as NULL.
    run("UPDATE accounts SET allowed_addresses = x'ff00' WHERE name = 'ben'");
    let denied = store.login(&attempt("ben", "secret")).await.unwrap_err().to_string();
    assert!(denied.contains("users.ben.allowed_addresses"), "{denied}");
    run("UPDATE accounts SET allowed_addresses = CAST('127.0.0.1' AS BLOB) WHERE name = 'ben'");
    store.login(&attempt("ben", "secret")).await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_not_text_make_only_their_account_invalid() {
    for bytes in ["x'ff00'", "CAST(x'ff00' AS TEXT)"] {
        let place = TestStore::new();
        let store = place.store();
        let run = |sql: &str| place.direct().execute_batch(sql).unwrap();
        suite::unreadable_rows(&store, run, bytes).await;
    }
}

#[tokio::test]
async fn a_name_that_is_bytes_or_missing_is_reported_and_the_list_continues() {
    let place = TestStore::new();
    let store = place.store();
    add(&store, "anna", "secret").await;
    add(&store, "zoe", "secret").await;
    let run = |sql: &str| place.direct().execute_batch(sql).unwrap();
    // Readable in SQL, but it never matches a login.
    run("INSERT INTO accounts (name, home) VALUES (CAST('ben' AS BLOB), '/srv/ben')");
    run("INSERT INTO accounts (name, home) VALUES (NULL, '/srv/ben')");
    run("INSERT INTO accounts (name, home) VALUES ('', '/srv/ben')");
    run("INSERT INTO accounts (name, home) VALUES (CAST(x'62ff' AS TEXT), '/srv/ben')");
    run("PRAGMA foreign_keys = OFF; INSERT INTO paths VALUES (x'616e6e62', '/a', 'none')");
    assert_eq!(suite::names(&store).await, ["anna", "zoe"]);
    let mut found = suite::faults(&store).await;
    found.sort();
    let parts = [
        // NULL and an empty one.
        ("accounts.name", "(no name)"),
        ("accounts.name", "(bytes 62656E)"),
        ("accounts.name", "(bytes 62FF)"),
        ("paths.account", "(bytes 616E6E62)"),
    ];
    assert_eq!(found.len(), parts.len(), "{found:?}");
    for (fault, (key, name)) in found.iter().zip(parts) {
        assert!(fault.starts_with(key) && fault.contains(name), "{fault}");
    }
    store.login(&attempt("zoe", "secret")).await.unwrap();
    assert!(store.login(&attempt("ben", "secret")).await.is_err());
}

#[tokio::test]
async fn a_row_with_the_bytes_of_a_name_makes_only_that_account_invalid() {
    let rows = [
        ("dora", "paths VALUES (CAST('dora' AS BLOB), '/secret', 'none')"),
        ("dora", "folders (account, path, target) VALUES (CAST('dora' AS BLOB), '/m', '/m')"),
        ("dora", "memberships VALUES (CAST('dora' AS BLOB), 'staff', 1)"),
        ("carl", "group_paths VALUES (CAST('staff' AS BLOB), '/secret', 'none')"),
        ("carl", "group_folders (group_name, path, target) VALUES (x'7374616666', '/m', '/m')"),
    ];
    let place = TestStore::new();
    let store = place.store();
    for name in ["anna", "carl", "dora", "zoe"] {
        add(&store, name, "secret").await;
    }
    let staff = Holder::Group("staff".to_owned());
    store.change(&[StoreChange::add(staff, Vec::new())]).await.unwrap();
    store.set("carl", vec![Setting::Groups(vec!["staff".to_owned()])]).await.unwrap();
    for (name, row) in rows {
        let run = |sql: &str| {
            place.direct().execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
        };
        run(&format!("INSERT INTO {row}"));
        let denied = store.login(&attempt(name, "secret")).await.unwrap_err();
        assert!(matches!(denied, Denied::ByRule(_)), "{row}: {denied}");
        assert!(denied.to_string().contains(&format!("users.{name}.")), "{row}: {denied}");
        // A wrong password is still reported as such, and other accounts are valid.
        let denied = store.login(&attempt(name, "wrong")).await.unwrap_err();
        assert!(matches!(denied, Denied::WrongPassword), "{row}: {denied}");
        let others: Vec<_> =
            ["anna", "carl", "dora", "zoe"].into_iter().filter(|other| *other != name).collect();
        for other in &others {
            store.login(&attempt(other, "secret")).await.unwrap();
        }
        assert_eq!(suite::names(&store).await, others, "{row}");
        let table = row.split_once(' ').unwrap().0;
        let faults = suite::faults(&store).await;
        let is_named = |part: &str| faults.iter().any(|fault| fault.starts_with(part));
        let owner = if name == "dora" { "users.dora." } else { "groups.staff." };
        assert!(is_named(&format!("{table}.")) && is_named(owner), "{faults:?}");
        // No change drops what may be a restriction.
        let change = store.set(name, vec![Setting::Enabled(true)]).await;
        assert!(change.is_err(), "{row}");
        run(&format!(
            "DELETE FROM {table} WHERE typeof({}) = 'blob'",
            match name {
                "dora" => "account",
                _ => "group_name",
            }
        ));
        store.login(&attempt(name, "secret")).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_account_does_not_take_over_rows_with_the_bytes_of_its_name() {
    let place = TestStore::new();
    let store = place.store();
    add(&store, "dora", "secret").await;
    let sql = "PRAGMA foreign_keys = OFF; \
               INSERT INTO paths VALUES (CAST('dora' AS BLOB), '/secret', 'none')";
    place.direct().execute_batch(sql).unwrap();
    assert!(store.login(&attempt("dora", "secret")).await.is_err());
    store.remove("dora").await.unwrap();
    add(&store, "dora", "secret").await;
    store.login(&attempt("dora", "secret")).await.unwrap();
}

#[tokio::test]
async fn an_invalid_value_written_by_sql_is_reported_with_account_and_column() {
    let place = TestStore::new();
    let store = place.store();
    add(&store, "anna", "secret").await;
    add(&store, "ben", "secret").await;
    place.direct().execute("UPDATE accounts SET quota = 'x' WHERE name = 'anna'", []).unwrap();
    let denied = store.login(&attempt("anna", "secret")).await.unwrap_err().to_string();
    assert!(denied.contains("users.anna.quota: invalid size `x`: not a number"), "{denied}");
    store.login(&attempt("ben", "secret")).await.unwrap();
    assert_eq!(suite::names(&store).await, ["ben"]);
    let faults = suite::faults(&store).await;
    assert!(
        faults[0].starts_with("users.anna.quota: invalid size `x`: not a number"),
        "{faults:?}"
    );
    place.direct().execute("UPDATE accounts SET quota = NULL, home = 'anna'", []).unwrap();
    let faults = suite::faults(&store).await;
    assert_eq!(faults.len(), 2);
    assert!(faults[0].contains("users.anna.home: not an absolute path"), "{faults:?}");
    assert!(store.take_events().is_empty(), "the database itself is well");
}

#[tokio::test]
async fn a_new_file_is_its_owners_alone_and_one_open_to_others_is_rejected() {
    let place = TestStore::new();
    add(&place.store(), "anna", "secret").await;
    let mode = std::fs::metadata(place.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o644)).unwrap();
    let error = place.store().check_connection().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unusable);
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_a_store_is_rejected_and_unchanged() {
    let text = "[users.anna]\nhome = \"/srv/anna\"\n".repeat(100);
    for (content, part) in [(text.as_str(), "is not an SQLite database"), ("x", "SQLite database")]
    {
        let place = TestStore::new();
        write_private(&place.path(), content);
        let error = place.store().check_connection().await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unusable, "{error}");
        assert!(error.what.contains(part) && error.hint.is_some(), "{error}");
        assert_eq!(std::fs::read_to_string(place.path()).unwrap(), content);
    }
    let place = TestStore::new();
    write_private(&place.path(), "");
    place.direct().execute("CREATE TABLE bookmarks (url text)", []).unwrap();
    let error = place.store().check_connection().await.unwrap_err();
    assert!(error.what.contains("belongs to another program"), "{error}");
}

#[tokio::test]
async fn a_newer_schema_is_rejected_and_stays_as_it_was() {
    let place = TestStore::new();
    add(&place.store(), "anna", "secret").await;
    let newer = i64::try_from(VERSION).unwrap() + 1;
    place.direct().execute("INSERT INTO wharf_schema VALUES (?1)", [newer]).unwrap();
    let error = place.store().check_connection().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unusable);
    assert!(error.what.contains("newer wharf") && error.hint.is_some(), "{error}");
    let denied = place.store().login(&attempt("anna", "secret")).await.unwrap_err();
    assert!(matches!(denied, Denied::Broken(_)), "{denied}");
}

#[tokio::test]
async fn a_missing_file_is_made_only_where_that_is_wanted() {
    let place = TestStore::new();
    let error = place.open(Creation::No).check_connection().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Missing);
    assert!(!place.path().exists());
    place.store().check_connection().await.unwrap();
    place.open(Creation::No).check_connection().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_missing_for_a_time_is_used_again_and_both_are_reported_once() {
    let place = TestStore::new();
    add(&place.store(), "anna", "secret").await;
    let aside = place.folder.path().join("aside");
    std::fs::rename(place.path(), &aside).unwrap();
    let store = place.open(Creation::No);
    for _ in 0..3 {
        let denied = store.login(&attempt("anna", "secret")).await.unwrap_err();
        assert!(matches!(denied, Denied::Broken(_)), "{denied}");
    }
    assert!(matches!(store.take_events().as_slice(), [StoreEvent::Lost(_)]));
    std::fs::rename(&aside, place.path()).unwrap();
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    tokio::time::resume();
    store.login(&attempt("anna", "secret")).await.unwrap();
    assert_eq!(store.take_events(), [StoreEvent::Back]);
}

#[tokio::test]
async fn a_locked_file_makes_a_change_wait_and_then_fail() {
    let place = TestStore::new();
    let store = place.store();
    add(&store, "anna", "secret").await;
    let direct = place.direct();
    direct.execute_batch("BEGIN IMMEDIATE").unwrap();
    let change = StoreChange::set("anna", vec![Setting::Enabled(false)]);
    let error = store.change(std::slice::from_ref(&change)).await.unwrap_err().to_string();
    assert!(error.contains("locked by another program"), "{error}");
    // Readers do not wait.
    store.login(&attempt("anna", "secret")).await.unwrap();
    direct.execute_batch("ROLLBACK").unwrap();
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    tokio::time::resume();
    store.change(&[change]).await.unwrap();
}

#[tokio::test]
async fn row_20_a_thousand_names_at_once_share_a_few_connections() {
    let place = TestStore::new();
    let store = place.store();
    suite::storm(&store).await;
    assert!(store.connections_most() <= CONNECTIONS_MAX);
}

fn write_private(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}
