//! CSV files of accounts, and their round trip.

use proptest::prelude::*;

use super::*;
use crate::testing::{lines, text};

fn found(content: &str) -> ImportResult {
    read(&text("u.csv", content), Path::new("/srv")).unwrap()
}

#[test]
fn every_column_is_read_in_any_order() {
    let found = found(
        "home,name,password,permissions,paths,enabled,upload_rate,download_rate,sessions,\
         require_tls,comment,transfer_upload_rate\n\
         /srv/anna,anna,\"a,b\"\"c\",read-write,/in=upload;/x%3By=read,no,2MiB/s,unlimited,3,yes,\
         \"two\nlines\",1000\n",
    );
    let account = &found.accounts[0];
    assert_eq!(account.secret, ImportedPassword::Plain("a,b\"c".into()));
    assert_eq!(account.home, Path::new("/srv/anna"));
    assert_eq!(
        account.permissions.map(wharf_users::permissions::format_permissions).as_deref(),
        Some("read-write")
    );
    let paths: Vec<_> = account.paths.iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(paths, ["/in", "/x;y"]);
    assert!(!account.is_enabled && account.requires_tls);
    assert_eq!(account.upload_rate, Some(Rate::from_bytes_per_second(2 << 20)));
    assert_eq!(account.download_rate, Some(Rate::Unlimited));
    assert_eq!(account.transfer_upload_rate, Some(Rate::from_bytes_per_second(1000)));
    assert_eq!(account.sessions, Some(Count::from_number(3)));
    assert_eq!(account.comment, "two\nlines");
}

#[test]
fn semicolons_and_tabs_are_separators_too() {
    for table in [
        "Name;Password;Home\r\nanna;x,y;data\r\n;;\r\n",
        "name\tpassword\thome\nanna\tx,y\tdata\n\n",
        "用户名;密码;目录\nanna;x,y;data",
    ] {
        let found = found(table);
        assert_eq!(found.accounts.len(), 1, "{table}");
        assert_eq!(found.accounts[0].secret, ImportedPassword::Plain("x,y".into()), "{table}");
        assert_eq!(found.accounts[0].home, Path::new("/srv/data"));
    }
}

#[test]
fn invalid_cells_are_reported_with_their_line() {
    let found = found(
        "name,password,home,permissions,upload_rate,quota,colour\nanna,x,/a,elr,fast,1GiB,red\n\
         ben,x,/b,raed,,,\n,x,/c\ncleo,x,/c,,,,,\ndora,$6$s$h,/d\nanna,x,/e\nemil,,/f\n\
         fred,x\n",
    );
    let names: Vec<_> = found.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["anna", "dora", "emil"]);
    assert_eq!(found.accounts[1].secret, ImportedPassword::Hash("$6$s$h".into()));
    assert_eq!(found.accounts[0].facts, [AccountProperty::Quota(1 << 30)]);
    let reported = lines(&found);
    for part in [
        "Lost u.csv:1 unknown column `colour`",
        "Lost u.csv:2 invalid upload_rate `fast`",
        "Lost u.csv:3 account `ben`: invalid permission `raed`: neither a preset, a name nor \
         letters",
        "Lost u.csv:4 missing account name",
        "Lost u.csv:5 this row has 8 cells under 7 columns",
        "Lost u.csv:7 duplicate account `anna`",
        "Advice u.csv:8 account `emil` has no password",
        "Lost u.csv:9 missing home",
    ] {
        assert!(reported.contains(part), "{part}: {reported}");
    }
}

#[test]
fn truncated_and_other_files_are_rejected() {
    for (table, part) in [
        ("", "is empty"),
        ("hello\nworld\n", "u.csv:1: missing column `name`"),
        ("name,password\nanna,x\n", "missing column `home`"),
        ("name,home\nanna,\"/srv", "u.csv:2: a quote is never closed"),
        ("name,home,name\nanna,/a,b\n", "duplicate column"),
        ("name,home\n", "contains no accounts"),
    ] {
        let rejected = read(&text("u.csv", table), Path::new("/")).unwrap_err();
        assert!(rejected.what.contains(part), "{table}: {rejected:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_fall(
        table in "(\\PC|\\n){0,80}|name[,;\t]home\\n([a-z\"=;,/]{0,12}\\n){0,6}",
    ) {
        let _ = read(&text("u.csv", &table), Path::new("/"));
    }

    #[test]
    fn what_is_written_reads_back(
        cells in prop::collection::vec("[ -~\\n\\té王]{0,8}", 2..6),
    ) {
        // The first row determines the separator.
        let header: Vec<_> = cells.iter().map(|_| "x".to_owned()).collect();
        let table = written(&header) + &written(&cells);
        let read = rows(&table).unwrap();
        if cells.iter().any(|cell| !cell.trim().is_empty()) {
            prop_assert_eq!(&read[1].cells, &cells);
        }
    }

    #[test]
    fn paths_read_back(names in prop::collection::vec("[a-z%;=3BD25]{1,8}", 1..4)) {
        let path = |name: &String| VPath::root().resolve(name.as_bytes()).unwrap();
        let paths: Vec<_> =
            names.iter().map(|name| (path(name), Permissions::READ_ONLY)).collect();
        prop_assert_eq!(read_paths(&written_paths(&paths)), Some(paths));
    }
}
