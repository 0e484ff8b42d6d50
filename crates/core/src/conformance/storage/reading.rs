//! Looking, listing and fetching.

use wharf_proto::entry::Kind;
use wharf_proto::path::VPath;

use super::{Probe, cases};
use crate::error::ErrorKind;
use crate::storage::{Change, Replace, Start, Wanted, Write};

cases![
    the_root_is_an_empty_directory,
    what_is_missing_is_not_found,
    a_file_is_no_directory_on_the_way,
    a_directory_is_no_file,
    a_listing_names_everything_once,
    a_listing_goes_on_while_things_vanish,
    a_listing_tells_the_same_facts_as_stat,
    reading_begins_where_it_is_told,
    names_of_every_script_are_kept,
];

const FRESH: Write = Write { start: Start::Fresh, replace: Replace::Allowed };
/// More than any store lists in one batch.
const MANY: usize = 600;

async fn the_root_is_an_empty_directory(probe: &Probe) {
    let root = VPath::root();
    let entry = probe.works(probe.store.stat(&root).await, "stat the root");
    probe.same(entry.kind, Kind::Dir, "the kind of the root");
    probe.check(!entry.name.is_empty(), "a name is never empty");
    probe.check(!entry.name.contains(&b'/'), "a name never holds a slash");
    probe.check(probe.names(&root).await.is_empty(), "a fresh tree is empty");
}

async fn what_is_missing_is_not_found(probe: &Probe) {
    let store = &probe.store;
    probe.put("/there", b"x").await;
    for missing in ["/a", "/a/b"] {
        let path = probe.path(missing);
        let kinds = &[ErrorKind::NotFound];
        probe.fails(store.stat(&path).await, kinds, "stat");
        probe.fails(store.list(&path, Wanted::Facts).await, kinds, "list");
        probe.fails(store.read(&path, 0).await, kinds, "read");
        probe.fails(store.remove_file(&path).await, kinds, "remove a file");
        probe.fails(store.remove_dir(&path).await, kinds, "remove a directory");
        let to = probe.path("/c");
        probe.fails(store.rename(&path, &to, Replace::Allowed).await, kinds, "rename");
        if store.caps().sets_mode {
            probe.fails(store.set(&path, Change::Mode(0o600)).await, kinds, "set the mode");
        }
        probe.same(probe.works(store.partial(&path).await, "partial"), None, "nothing unfinished");
    }
    let below = probe.path("/a/b");
    let kinds = &[ErrorKind::NotFound];
    probe.fails(store.write(&below, FRESH).await, kinds, "write into a missing directory");
    probe.fails(store.make_dir(&below).await, kinds, "make a directory in a missing one");
    let renamed = store.rename(&probe.path("/there"), &below, Replace::Allowed).await;
    probe.fails(renamed, kinds, "rename into a missing directory");
    probe.holds("/there", b"x", "after a rename that failed").await;
}

async fn a_file_is_no_directory_on_the_way(probe: &Probe) {
    let store = &probe.store;
    probe.put("/f", b"x").await;
    let file = probe.path("/f");
    probe.fails(store.list(&file, Wanted::Facts).await, &[ErrorKind::NotADirectory], "list a file");
    probe.fails(store.remove_dir(&file).await, &[ErrorKind::NotADirectory], "remove as directory");

    let below = probe.path("/f/x");
    let kinds = &[ErrorKind::NotADirectory, ErrorKind::NotFound];
    probe.fails(store.stat(&below).await, kinds, "stat");
    probe.fails(store.list(&below, Wanted::Facts).await, kinds, "list");
    probe.fails(store.read(&below, 0).await, kinds, "read");
    probe.fails(store.write(&below, FRESH).await, kinds, "write");
    probe.fails(store.make_dir(&below).await, kinds, "make a directory");
    probe.fails(store.remove_file(&below).await, kinds, "remove a file");
    probe.fails(store.remove_dir(&below).await, kinds, "remove a directory");
    probe.put("/g", b"y").await;
    let renamed = store.rename(&probe.path("/g"), &below, Replace::Allowed).await;
    probe.fails(renamed, kinds, "rename");
    probe.holds("/f", b"x", "after all that").await;
}

async fn a_directory_is_no_file(probe: &Probe) {
    probe.dir("/d").await;
    for dir in ["/d", "/"] {
        let path = probe.path(dir);
        let kinds = &[ErrorKind::IsADirectory];
        probe.fails(probe.store.read(&path, 0).await, kinds, "read");
        probe.fails(probe.store.write(&path, FRESH).await, kinds, "write");
        probe.fails(probe.store.remove_file(&path).await, kinds, "remove as file");
    }
}

async fn a_listing_names_everything_once(probe: &Probe) {
    probe.dir("/d").await;
    let wanted = (0..MANY).map(|number| format!("n{number:04}").into_bytes()).collect();
    for number in 0..MANY {
        probe.dir(&format!("/d/n{number:04}")).await;
    }
    let names = probe.names(&probe.path("/d")).await;
    probe.check(names == wanted, "a long listing holds every name");
    let above = probe.names(&VPath::root()).await;
    probe.same(above.len(), 1, "what lies deeper is not listed");
}

async fn a_listing_goes_on_while_things_vanish(probe: &Probe) {
    for number in 0..MANY {
        probe.dir(&format!("/n{number:04}")).await;
    }
    let list = probe.store.list(&VPath::root(), Wanted::Facts).await;
    let listed = probe.works(list, "list");
    for number in 0..MANY {
        let path = probe.path(format!("/n{number:04}"));
        probe.works(probe.store.remove_dir(&path).await, "remove a directory");
    }
    probe.rest(listed).await;
}

async fn a_listing_tells_the_same_facts_as_stat(probe: &Probe) {
    probe.put("/file", b"12345").await;
    probe.dir("/dir").await;
    for listed in probe.entries(&VPath::root()).await {
        let path = probe.works(
            VPath::root().join(&listed.name).map_err(|_| ErrorKind::BadName.into()),
            "a listed name is a name",
        );
        let told = probe.works(probe.store.stat(&path).await, "stat what was listed");
        probe.same(told.name, listed.name, "the name");
        probe.same(told.kind, listed.kind, "the kind");
        probe.same(told.modified, listed.modified, "the time");
        probe.same(told.unique, listed.unique, "the identity");
        probe.same(told.mode, listed.mode, "the mode");
        if listed.kind == Kind::File {
            probe.same((told.size, listed.size), (5, 5), "the size");
        }
    }
}

async fn reading_begins_where_it_is_told(probe: &Probe) {
    let content: Vec<u8> = (0..=250_u8).cycle().take(200_000).collect();
    probe.put("/f", &content).await;
    let path = probe.path("/f");
    for from in [0, 1, 65_536, 199_999, 200_000] {
        let source = probe.works(probe.store.read(&path, from).await, "read");
        let rest = usize::try_from(from).ok().and_then(|from| content.get(from..));
        let found = probe.drain(source).await;
        probe.check(Some(found.as_slice()) == rest, "all bytes from there on, and no others");
    }
    for behind in [200_001, u64::MAX] {
        let read = probe.store.read(&path, behind).await;
        probe.fails(read, &[ErrorKind::BadOffset], "read from behind the end");
    }
}

async fn names_of_every_script_are_kept(probe: &Probe) {
    for name in ["ä ö", "日本語.txt", "-rf", "...", ".hidden", "a'b", "%41", "~", "(1)"] {
        let at = format!("/{name}");
        // Windows has no names that end with a dot. Whatever refuses one must say so.
        if name.ends_with('.') {
            let how = Write { start: Start::Fresh, replace: Replace::Forbidden };
            if let Err(error) = probe.store.write(&probe.path(&at), how).await {
                probe.same(error.kind, ErrorKind::BadName, "why a name is refused");
                continue;
            }
        }
        probe.put(&at, name.as_bytes()).await;
        probe.holds(&at, name.as_bytes(), "a name").await;
        probe.check(probe.names(&VPath::root()).await.contains(name.as_bytes()), "is listed");
    }
}
