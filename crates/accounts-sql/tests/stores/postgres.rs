//! Accounts in a real PostgreSQL, which each test starts for itself.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wharf_accounts_sql::{
    CONNECTIONS_MAX, Creation, DatabaseAddress, SqlUsers, StoreEvent, VERSION,
};
use wharf_core::users::{Denied, Users};
use wharf_users::admin::StoreErrorKind;
use wharf_users::hasher::Hasher;

use crate::support::server::{PASSWORD, Postgres, give};
use crate::support::{add, attempt, suite};

fn open(url: &str, password: Option<&str>) -> SqlUsers {
    let address = DatabaseAddress::parse(url, Path::new("/")).unwrap();
    let hasher = Arc::new(Hasher::new(NonZeroUsize::MIN));
    SqlUsers::new(&address, password, Creation::Wanted, hasher).unwrap()
}

/// The store in an empty database.
fn fresh(server: &Postgres) -> SqlUsers {
    server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    open(&server.url(), Some(PASSWORD))
}

#[tokio::test]
async fn a_server_keeps_the_contract_of_a_store_and_of_changes() {
    let server = Postgres::start();
    suite::contract(&fresh(&server)).await;
    suite::changes(&fresh(&server)).await;
    suite::all_or_nothing(&fresh(&server)).await;
    suite::groups(&fresh(&server)).await;
    suite::pages(&fresh(&server)).await;
    suite::invalid_rows(&fresh(&server), |sql| drop(server.sql(sql))).await;
}

/// PostgreSQL rejects such bytes: no path, permission or group name is ever unreadable.
#[tokio::test]
async fn bytes_that_are_not_text_are_rejected_by_the_database() {
    let server = Postgres::start();
    let store = fresh(&server);
    add(&store, "anna", "secret").await;
    for insert in [
        "INSERT INTO paths VALUES (''anna'', ''/secret'', E''\\xff01'')",
        "INSERT INTO paths VALUES (''anna'', E''\\xff01'', ''none'')",
        "INSERT INTO groups (name) VALUES (E''\\xff01'')",
        "INSERT INTO accounts (name) VALUES (E''\\xff01'')",
    ] {
        server.sql(&format!(
            "DO $$ BEGIN EXECUTE '{insert}'; RAISE 'it was taken'; \
             EXCEPTION WHEN character_not_in_repertoire THEN NULL; END $$"
        ));
    }
    assert_eq!(suite::faults(&store).await, Vec::<String>::new());
    store.login(&attempt("anna", "secret")).await.unwrap();
}

/// A database with the encoding `SQL_ASCII` stores any bytes.
#[tokio::test]
async fn bytes_that_are_not_text_make_only_their_account_invalid() {
    let server = Postgres::start_in("SQL_ASCII");
    let store = fresh(&server);
    suite::unreadable_rows(&store, |sql| drop(server.sql(sql)), "E'\\xff01'").await;
    // A name of other characters is text, like any other.
    let store = fresh(&server);
    add(&store, "王小明", "secret").await;
    store.login(&attempt("王小明", "secret")).await.unwrap();
    assert_eq!(suite::names(&store).await, ["王小明"]);
    assert_eq!(suite::faults(&store).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_administrator_with_psql_finds_and_changes_what_wharf_reads() {
    let server = Postgres::start();
    let store = fresh(&server);
    add(&store, "anna", "secret").await;
    store.login(&attempt("anna", "secret")).await.unwrap();
    assert_eq!(server.sql("SELECT name, home, enabled FROM accounts"), "anna|/srv/anna|");
    server.sql("UPDATE accounts SET enabled = false, quota = '1GiB' WHERE name = 'anna'");
    let denied = store.login(&attempt("anna", "secret")).await.unwrap_err();
    assert!(matches!(denied, Denied::Disabled), "{denied}");
    server.sql(
        "INSERT INTO accounts (name, password, home, sessions)
         SELECT 'ben', password, '/srv/ben', 2 FROM accounts",
    );
    let account = store.login(&attempt("ben", "secret")).await.unwrap();
    assert_eq!(account.limits.sessions.unwrap().number(), Some(2));
    let mut ended = store.ended(&["anna".into(), "ben".into(), "carl".into()]).await.unwrap();
    assert_eq!(
        (ended.pop_first().unwrap(), ended.pop_last().unwrap()),
        ("anna".into(), "carl".into())
    );
    let programs = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = 'wharf'";
    assert!(server.sql(programs).contains("wharf"));
}

#[tokio::test]
async fn a_server_that_stops_and_returns_is_reported_once_each_and_used_again() {
    let mut server = Postgres::start();
    let store = fresh(&server);
    add(&store, "anna", "secret").await;
    store.login(&attempt("anna", "secret")).await.unwrap();
    server.stop();
    for _ in 0..5 {
        let denied = store.login(&attempt("anna", "secret")).await.unwrap_err();
        assert!(matches!(denied, Denied::Broken(_)), "{denied}");
    }
    let events = store.take_events();
    assert!(
        matches!(events.as_slice(), [StoreEvent::Lost(why)] if why.contains("connection refused")),
        "{events:?}"
    );
    server.start_again();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert!(store.ended(&[]).await.unwrap().is_empty(), "a query finds it");
    assert_eq!(store.take_events(), [StoreEvent::Back]);
    // Connections that died while idle cause no error.
    store.login(&attempt("anna", "secret")).await.unwrap();
    server.stop();
    server.start_again();
    store.login(&attempt("anna", "secret")).await.unwrap();
    assert_eq!(store.take_events(), []);
}

#[tokio::test]
async fn each_failure_to_connect_has_a_sentence_and_a_remedy() {
    let server = Postgres::start();
    let url = server.url();
    let (at, _) = url.rsplit_once('/').unwrap();
    let elsewhere = format!("{at}/nowhere");
    let nobody = url.replace("wharf@", "nobody@");
    for (url, password, kind, part) in [
        (&url, Some("wrong"), StoreErrorKind::Forbidden, "password authentication failed"),
        (&url, None, StoreErrorKind::Forbidden, "password"),
        (&nobody, Some("x"), StoreErrorKind::Forbidden, "nobody"),
        (&elsewhere, Some(PASSWORD), StoreErrorKind::Unusable, "does not exist"),
    ] {
        let error = open(url, password).check_connection().await.unwrap_err();
        assert!(error.what.contains(part) && error.hint.is_some(), "{error}");
        assert_eq!(error.kind, kind, "{error}");
        assert!(!error.to_string().contains(PASSWORD), "{error}");
    }
    let store = fresh(&server);
    store.check_connection().await.unwrap();
    server.sql(&format!("INSERT INTO wharf_schema VALUES ({})", VERSION + 1));
    let error = open(&url, Some(PASSWORD)).check_connection().await.unwrap_err();
    assert!(error.what.contains("newer wharf"), "{error}");
    assert_eq!(error.kind, StoreErrorKind::Unusable);
}

#[tokio::test]
async fn two_programs_that_start_at_once_make_the_tables_once() {
    let server = Postgres::start();
    let stores = [fresh(&server), open(&server.url(), Some(PASSWORD))];
    let (one, other) = tokio::join!(stores[0].check_connection(), stores[1].check_connection());
    one.unwrap();
    other.unwrap();
    assert_eq!(server.sql("SELECT count(*) FROM wharf_schema"), "2");
}

#[tokio::test]
async fn row_20_a_thousand_names_at_once_share_a_few_connections() {
    let server = Postgres::start();
    let store = fresh(&server);
    suite::storm(&store).await;
    assert!(store.connections_most() <= CONNECTIONS_MAX);
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wharf'";
    assert!(server.sql(count).parse::<usize>().unwrap() <= CONNECTIONS_MAX);
}

#[tokio::test]
async fn a_local_socket_will_do() {
    let server = Postgres::start();
    let (folder, port) = (server.folder.path().display(), server.port);
    let url = format!("postgres:///wharf?host={folder}&port={port}&user=wharf");
    let store = open(&url, Some(PASSWORD));
    add(&store, "anna", "secret").await;
    assert_eq!(store.ports(), [0_u16; 0]);
    assert!(!store.is_unencrypted());
}

#[tokio::test]
async fn with_an_authority_the_certificate_of_the_server_is_verified() {
    let mut server = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, file: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let path = folder.path().join(file);
        std::fs::write(&path, made.cert.pem()).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem(), path)
    };
    let (certificate, key, known) = made("127.0.0.1", "known.pem");
    let (_, _, unknown) = made("127.0.0.1", "unknown.pem");
    let with = |root: &Path| format!("{}?sslrootcert={}", server.url(), root.display());
    let [url, strange, by_name] = [with(&known), with(&unknown), with(&known)];
    // Without TLS on the other side nothing is sent at all.
    let error = open(&url, Some(PASSWORD)).check_connection().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreachable, "{error}");
    start_with_tls(&mut server, &certificate, &key);
    open(&url, Some(PASSWORD)).check_connection().await.unwrap();
    let sealed = server.sql(
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                             WHERE application_name = 'wharf'",
    );
    assert!(sealed != "f", "{sealed}");
    for url in [strange, by_name.replace("127.0.0.1", "localhost")] {
        let error = open(&url, Some(PASSWORD)).check_connection().await.unwrap_err();
        assert!(error.what.contains("certificate"), "{error}");
    }
    let broken = with_text(folder.path(), "no certificate");
    let address =
        DatabaseAddress::parse(&format!("{}?sslrootcert={broken}", server.url()), folder.path());
    let hasher = Arc::new(Hasher::new(NonZeroUsize::MIN));
    let error = SqlUsers::new(&address.unwrap(), None, Creation::No, hasher).err().unwrap();
    assert!(error.what.contains("no certificate found"), "{error}");
}

/// Starts it again with this certificate and key in PEM.
fn start_with_tls(server: &mut Postgres, certificate: &str, key: &str) {
    server.stop();
    let data = server.folder.path().join("data");
    for (name, text) in [("server.crt", certificate), ("server.key", key)] {
        let path = data.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        give(&path);
    }
    let settings = data.join("postgresql.auto.conf");
    let mut file = std::fs::OpenOptions::new().append(true).open(settings).unwrap();
    file.write_all(b"ssl = on\n").unwrap();
    server.start_again();
}

fn with_text(folder: &Path, text: &str) -> String {
    let path = folder.join("broken.pem");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}
