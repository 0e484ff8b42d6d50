//! Removing, making, renaming, and setting facts.

use wharf_proto::entry::Kind;
use wharf_proto::path::VPath;
use wharf_proto::time::Timestamp;

use super::{Harness, cases};
use crate::error::ErrorKind;
use crate::storage::Replace::{Allowed, Forbidden};
use crate::storage::{Change, Start};

cases![
    what_is_removed_is_gone,
    a_directory_with_content_stays,
    partial_uploads_do_not_count_as_content,
    a_taken_name_makes_no_directory,
    the_root_stays_where_it_is,
    a_file_gets_another_path,
    a_file_replaces_a_file_only_if_it_may,
    a_directory_takes_its_content_along,
    a_directory_is_never_replaced,
    nothing_moves_into_itself,
    a_rename_to_itself_changes_nothing,
    times_are_set,
    permission_bits_are_set,
];

async fn what_is_removed_is_gone(harness: &Harness) {
    harness.put("/f", b"x").await;
    harness.works(harness.store.remove_file(&harness.path("/f")).await, "remove a file");
    harness.is_absent("/f", "a removed file").await;
    harness.dir("/d").await;
    harness.works(harness.store.remove_dir(&harness.path("/d")).await, "remove a directory");
    harness.is_absent("/d", "a removed directory").await;
}

async fn a_directory_with_content_stays(harness: &Harness) {
    harness.dir("/d").await;
    harness.put("/d/f", b"x").await;
    let dir = harness.path("/d");
    harness.fails(harness.store.remove_dir(&dir).await, &[ErrorKind::NotEmpty], "with a file");
    harness.holds("/d/f", b"x", "after that").await;
    harness.works(harness.store.remove_file(&harness.path("/d/f")).await, "remove a file");
    harness.dir("/d/e").await;
    harness.fails(harness.store.remove_dir(&dir).await, &[ErrorKind::NotEmpty], "with a directory");
}

async fn partial_uploads_do_not_count_as_content(harness: &Harness) {
    harness.dir("/d").await;
    for at in ["/d/f", "/d/g"] {
        let mut sink = harness.begin(at, Start::Fresh, Allowed).await;
        harness.feed(&mut sink, b"half").await;
        sink.abort().await;
    }
    harness.works(harness.store.remove_dir(&harness.path("/d")).await, "remove a directory");
    harness.is_absent("/d", "a removed directory").await;
}

async fn a_taken_name_makes_no_directory(harness: &Harness) {
    harness.put("/f", b"x").await;
    harness.dir("/d").await;
    for at in ["/f", "/d", "/"] {
        let made = harness.store.make_dir(&harness.path(at)).await;
        harness.fails(made, &[ErrorKind::Exists], "make a directory");
    }
    harness.holds("/f", b"x", "after that").await;
}

async fn the_root_stays_where_it_is(harness: &Harness) {
    harness.dir("/d").await;
    harness.put("/f", b"x").await;
    let (root, file) = (VPath::root(), harness.path("/f"));
    let kinds = &[ErrorKind::Forbidden, ErrorKind::NotEmpty];
    harness.fails(harness.store.remove_dir(&root).await, kinds, "remove the root");
    let moved = harness.store.rename(&root, &harness.path("/d/r"), Allowed).await;
    harness.fails(moved, &[ErrorKind::Forbidden], "rename the root");
    let kinds = &[ErrorKind::Forbidden, ErrorKind::Exists, ErrorKind::IsADirectory];
    harness.fails(harness.store.rename(&file, &root, Allowed).await, kinds, "replace the root");
    harness.holds("/f", b"x", "after that").await;
}

async fn a_file_gets_another_path(harness: &Harness) {
    harness.put("/f", b"x").await;
    harness.dir("/d").await;
    let (from, to) = (harness.path("/f"), harness.path("/d/g"));
    harness.works(harness.store.rename(&from, &to, Forbidden).await, "rename");
    harness.is_absent("/f", "the old path").await;
    harness.holds("/d/g", b"x", "the new path").await;
}

async fn a_file_replaces_a_file_only_if_it_may(harness: &Harness) {
    harness.put("/f", b"new").await;
    harness.put("/g", b"old").await;
    let (from, to) = (harness.path("/f"), harness.path("/g"));
    let renamed = harness.store.rename(&from, &to, Forbidden).await;
    harness.fails(renamed, &[ErrorKind::Exists], "rename over a file");
    harness.holds("/f", b"new", "what was not renamed").await;
    harness.holds("/g", b"old", "what was not replaced").await;
    harness.works(harness.store.rename(&from, &to, Allowed).await, "rename over a file");
    harness.holds("/g", b"new", "what was replaced").await;
    harness.is_absent("/f", "the old path").await;
}

async fn a_directory_takes_its_content_along(harness: &Harness) {
    harness.dir("/d").await;
    harness.dir("/d/e").await;
    harness.put("/d/e/f", b"x").await;
    // A name that only begins alike must stay behind.
    harness.dir("/d2").await;
    harness.dir("/to").await;
    let (from, to) = (harness.path("/d"), harness.path("/to/d"));
    harness.works(harness.store.rename(&from, &to, Forbidden).await, "rename a directory");
    harness.is_absent("/d", "the old path").await;
    harness.holds("/to/d/e/f", b"x", "below the new path").await;
    harness.works(harness.store.stat(&harness.path("/d2")).await, "stat what was left");
}

async fn a_directory_is_never_replaced(harness: &Harness) {
    harness.dir("/empty").await;
    harness.dir("/full").await;
    harness.put("/full/f", b"x").await;
    harness.put("/file", b"y").await;
    for replace in [Allowed, Forbidden] {
        for (from, to) in [("/file", "/empty"), ("/file", "/full"), ("/full", "/empty")] {
            let renamed =
                harness.store.rename(&harness.path(from), &harness.path(to), replace).await;
            let kinds = &[ErrorKind::IsADirectory, ErrorKind::Exists];
            harness.fails(renamed, kinds, "rename over a directory");
        }
        let renamed =
            harness.store.rename(&harness.path("/empty"), &harness.path("/file"), replace).await;
        let kinds = &[ErrorKind::NotADirectory, ErrorKind::Exists];
        harness.fails(renamed, kinds, "rename a directory over a file");
    }
    harness.holds("/full/f", b"x", "after all that").await;
    harness.holds("/file", b"y", "after all that").await;
    harness.check(harness.names(&harness.path("/empty")).await.is_empty(), "it is still empty");
}

async fn nothing_moves_into_itself(harness: &Harness) {
    harness.dir("/d").await;
    harness.dir("/d/e").await;
    for to in ["/d/x", "/d/e/x"] {
        let moved = harness.store.rename(&harness.path("/d"), &harness.path(to), Allowed).await;
        harness.fails(moved, &[ErrorKind::Forbidden], "rename a directory into itself");
    }
    harness.works(harness.store.stat(&harness.path("/d/e")).await, "stat what was not moved");
}

async fn a_rename_to_itself_changes_nothing(harness: &Harness) {
    harness.put("/f", b"x").await;
    harness.dir("/d").await;
    for at in ["/f", "/d"] {
        for replace in [Allowed, Forbidden] {
            let path = harness.path(at);
            harness.works(harness.store.rename(&path, &path, replace).await, "rename to itself");
        }
    }
    harness.holds("/f", b"x", "after that").await;
    harness.names(&harness.path("/d")).await;
    let missing = harness.path("/missing");
    let renamed = harness.store.rename(&missing, &missing, Allowed).await;
    harness.fails(renamed, &[ErrorKind::NotFound], "rename nothing to itself");
}

async fn times_are_set(harness: &Harness) {
    harness.put("/f", b"x").await;
    harness.dir("/d").await;
    for (at, seconds) in [("/f", 1_000_000_000), ("/f", 0), ("/d", 1_600_000_001)] {
        let path = harness.path(at);
        let moment = Timestamp { seconds, nanos: 0 };
        let set = harness.store.set(&path, Change::Modified(moment)).await;
        if !harness.store.caps().sets_times {
            return harness.fails(set, &[ErrorKind::Unsupported], "set a time");
        }
        harness.works(set, "set a time");
        let entry = harness.works(harness.store.stat(&path).await, "stat");
        harness.same(entry.modified, moment, "the time that was set");
    }
    harness.holds("/f", b"x", "after that").await;
    let set = harness.store.set(&harness.path("/g"), Change::Modified(Timestamp::default())).await;
    harness.fails(set, &[ErrorKind::NotFound], "set the time of nothing");
}

async fn permission_bits_are_set(harness: &Harness) {
    harness.put("/f", b"x").await;
    harness.dir("/d").await;
    for (at, mode) in [("/f", 0o640), ("/f", 0o7755), ("/d", 0o750)] {
        let path = harness.path(at);
        let set = harness.store.set(&path, Change::Mode(mode)).await;
        if !harness.store.caps().sets_mode {
            return harness.fails(set, &[ErrorKind::Unsupported], "set the mode");
        }
        harness.works(set, "set the mode");
        let entry = harness.works(harness.store.stat(&path).await, "stat");
        harness.same(entry.mode, mode & 0o777, "the mode that was set");
        let kind = if at == "/d" { Kind::Dir } else { Kind::File };
        harness.same(entry.kind, kind, "the kind stays");
    }
}
