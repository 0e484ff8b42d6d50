//! Looking, listing and fetching.

use wharf_proto::entry::Kind;
use wharf_proto::path::VPath;

use super::{Harness, cases};
use crate::error::ErrorKind;
use crate::storage::{Change, ListDetail, Replace, Start, Write};

cases![
    the_root_is_an_empty_directory,
    what_is_missing_is_not_found,
    a_file_in_the_middle_of_a_path_is_an_error,
    a_directory_cannot_be_read_as_a_file,
    a_listing_names_everything_once,
    a_listing_continues_while_entries_are_removed,
    a_listing_shows_the_facts_of_stat,
    reading_starts_at_the_offset,
    names_of_every_script_are_kept,
];

const FRESH: Write = Write { start: Start::Fresh, replace: Replace::Allowed };
/// More than any store lists in one batch.
const MANY: usize = 600;

async fn the_root_is_an_empty_directory(harness: &Harness) {
    let root = VPath::root();
    let entry = harness.works(harness.store.stat(&root).await, "stat the root");
    harness.same(entry.kind, Kind::Dir, "the kind of the root");
    harness.check(!entry.name.is_empty(), "a name is never empty");
    harness.check(!entry.name.contains(&b'/'), "a name never holds a slash");
    harness.check(harness.names(&root).await.is_empty(), "a fresh tree is empty");
}

async fn what_is_missing_is_not_found(harness: &Harness) {
    let store = &harness.store;
    harness.put("/there", b"x").await;
    for missing in ["/a", "/a/b"] {
        let path = harness.path(missing);
        let kinds = &[ErrorKind::NotFound];
        harness.fails(store.stat(&path).await, kinds, "stat");
        harness.fails(store.list(&path, ListDetail::Facts).await, kinds, "list");
        harness.fails(store.read(&path, 0).await, kinds, "read");
        harness.fails(store.remove_file(&path).await, kinds, "remove a file");
        harness.fails(store.remove_dir(&path).await, kinds, "remove a directory");
        let to = harness.path("/c");
        harness.fails(store.rename(&path, &to, Replace::Allowed).await, kinds, "rename");
        if store.caps().sets_mode {
            harness.fails(store.set(&path, Change::Mode(0o600)).await, kinds, "set the mode");
        }
        harness.same(
            harness.works(store.partial(&path).await, "partial"),
            None,
            "nothing unfinished",
        );
    }
    let below = harness.path("/a/b");
    let kinds = &[ErrorKind::NotFound];
    harness.fails(store.write(&below, FRESH).await, kinds, "write into a missing directory");
    harness.fails(store.make_dir(&below).await, kinds, "make a directory in a missing one");
    let renamed = store.rename(&harness.path("/there"), &below, Replace::Allowed).await;
    harness.fails(renamed, kinds, "rename into a missing directory");
    harness.holds("/there", b"x", "after a rename that failed").await;
}

async fn a_file_in_the_middle_of_a_path_is_an_error(harness: &Harness) {
    let store = &harness.store;
    harness.put("/f", b"x").await;
    let file = harness.path("/f");
    harness.fails(
        store.list(&file, ListDetail::Facts).await,
        &[ErrorKind::NotADirectory],
        "list a file",
    );
    harness.fails(
        store.remove_dir(&file).await,
        &[ErrorKind::NotADirectory],
        "remove as directory",
    );

    let below = harness.path("/f/x");
    let kinds = &[ErrorKind::NotADirectory, ErrorKind::NotFound];
    harness.fails(store.stat(&below).await, kinds, "stat");
    harness.fails(store.list(&below, ListDetail::Facts).await, kinds, "list");
    harness.fails(store.read(&below, 0).await, kinds, "read");
    harness.fails(store.write(&below, FRESH).await, kinds, "write");
    harness.fails(store.make_dir(&below).await, kinds, "make a directory");
    harness.fails(store.remove_file(&below).await, kinds, "remove a file");
    harness.fails(store.remove_dir(&below).await, kinds, "remove a directory");
    harness.put("/g", b"y").await;
    let renamed = store.rename(&harness.path("/g"), &below, Replace::Allowed).await;
    harness.fails(renamed, kinds, "rename");
    harness.holds("/f", b"x", "after all that").await;
}

async fn a_directory_cannot_be_read_as_a_file(harness: &Harness) {
    harness.dir("/d").await;
    for dir in ["/d", "/"] {
        let path = harness.path(dir);
        let kinds = &[ErrorKind::IsADirectory];
        harness.fails(harness.store.read(&path, 0).await, kinds, "read");
        harness.fails(harness.store.write(&path, FRESH).await, kinds, "write");
        harness.fails(harness.store.remove_file(&path).await, kinds, "remove as file");
    }
}

async fn a_listing_names_everything_once(harness: &Harness) {
    harness.dir("/d").await;
    let wanted = (0..MANY).map(|number| format!("n{number:04}").into_bytes()).collect();
    for number in 0..MANY {
        harness.dir(&format!("/d/n{number:04}")).await;
    }
    let names = harness.names(&harness.path("/d")).await;
    harness.check(names == wanted, "a long listing holds every name");
    let above = harness.names(&VPath::root()).await;
    harness.same(above.len(), 1, "what lies deeper is not listed");
}

async fn a_listing_continues_while_entries_are_removed(harness: &Harness) {
    for number in 0..MANY {
        harness.dir(&format!("/n{number:04}")).await;
    }
    let list = harness.store.list(&VPath::root(), ListDetail::Facts).await;
    let listed = harness.works(list, "list");
    for number in 0..MANY {
        let path = harness.path(format!("/n{number:04}"));
        harness.works(harness.store.remove_dir(&path).await, "remove a directory");
    }
    harness.rest(listed).await;
}

async fn a_listing_shows_the_facts_of_stat(harness: &Harness) {
    harness.put("/file", b"12345").await;
    harness.dir("/dir").await;
    for listed in harness.entries(&VPath::root()).await {
        let path = harness.works(
            VPath::root().join(&listed.name).map_err(|_| ErrorKind::BadName.into()),
            "a listed name is a name",
        );
        let reported = harness.works(harness.store.stat(&path).await, "stat what was listed");
        harness.same(reported.name, listed.name, "the name");
        harness.same(reported.kind, listed.kind, "the kind");
        harness.same(reported.modified, listed.modified, "the time");
        harness.same(reported.unique, listed.unique, "the identity");
        harness.same(reported.mode, listed.mode, "the mode");
        if listed.kind == Kind::File {
            harness.same((reported.size, listed.size), (5, 5), "the size");
        }
    }
}

async fn reading_starts_at_the_offset(harness: &Harness) {
    let content: Vec<u8> = (0..=250_u8).cycle().take(200_000).collect();
    harness.put("/f", &content).await;
    let path = harness.path("/f");
    for from in [0, 1, 65_536, 199_999, 200_000] {
        let source = harness.works(harness.store.read(&path, from).await, "read");
        let rest = usize::try_from(from).ok().and_then(|from| content.get(from..));
        let found = harness.drain(source).await;
        harness.check(Some(found.as_slice()) == rest, "all bytes from there on, and no others");
    }
    for behind in [200_001, u64::MAX] {
        let read = harness.store.read(&path, behind).await;
        harness.fails(read, &[ErrorKind::BadOffset], "read from behind the end");
    }
}

async fn names_of_every_script_are_kept(harness: &Harness) {
    for name in ["ä ö", "日本語.txt", "-rf", "...", ".hidden", "a'b", "%41", "~", "(1)"] {
        let at = format!("/{name}");
        // Windows has no names that end with a dot. A store that rejects one must return an error.
        if name.ends_with('.') {
            let how = Write { start: Start::Fresh, replace: Replace::Forbidden };
            if let Err(error) = harness.store.write(&harness.path(&at), how).await {
                harness.same(error.kind, ErrorKind::BadName, "why a name is rejected");
                continue;
            }
        }
        harness.put(&at, name.as_bytes()).await;
        harness.holds(&at, name.as_bytes(), "a name").await;
        harness.check(harness.names(&VPath::root()).await.contains(name.as_bytes()), "is listed");
    }
}
