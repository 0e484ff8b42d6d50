//! Removing, making, renaming, and setting facts.

use wharf_proto::entry::Kind;
use wharf_proto::path::VPath;
use wharf_proto::time::Timestamp;

use super::{Probe, cases};
use crate::error::ErrorKind;
use crate::storage::Replace::{Allowed, Forbidden};
use crate::storage::{Change, Start};

cases![
    what_is_removed_is_gone,
    a_directory_with_content_stays,
    unfinished_uploads_are_no_content,
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

async fn what_is_removed_is_gone(probe: &Probe) {
    probe.put("/f", b"x").await;
    probe.works(probe.store.remove_file(&probe.path("/f")).await, "remove a file");
    probe.is_absent("/f", "a removed file").await;
    probe.dir("/d").await;
    probe.works(probe.store.remove_dir(&probe.path("/d")).await, "remove a directory");
    probe.is_absent("/d", "a removed directory").await;
}

async fn a_directory_with_content_stays(probe: &Probe) {
    probe.dir("/d").await;
    probe.put("/d/f", b"x").await;
    let dir = probe.path("/d");
    probe.fails(probe.store.remove_dir(&dir).await, &[ErrorKind::NotEmpty], "with a file");
    probe.holds("/d/f", b"x", "after that").await;
    probe.works(probe.store.remove_file(&probe.path("/d/f")).await, "remove a file");
    probe.dir("/d/e").await;
    probe.fails(probe.store.remove_dir(&dir).await, &[ErrorKind::NotEmpty], "with a directory");
}

async fn unfinished_uploads_are_no_content(probe: &Probe) {
    probe.dir("/d").await;
    for at in ["/d/f", "/d/g"] {
        let mut sink = probe.begin(at, Start::Fresh, Allowed).await;
        probe.feed(&mut sink, b"half").await;
        sink.abort().await;
    }
    probe.works(probe.store.remove_dir(&probe.path("/d")).await, "remove a directory");
    probe.is_absent("/d", "a removed directory").await;
}

async fn a_taken_name_makes_no_directory(probe: &Probe) {
    probe.put("/f", b"x").await;
    probe.dir("/d").await;
    for at in ["/f", "/d", "/"] {
        let made = probe.store.make_dir(&probe.path(at)).await;
        probe.fails(made, &[ErrorKind::Exists], "make a directory");
    }
    probe.holds("/f", b"x", "after that").await;
}

async fn the_root_stays_where_it_is(probe: &Probe) {
    probe.dir("/d").await;
    probe.put("/f", b"x").await;
    let (root, file) = (VPath::root(), probe.path("/f"));
    let kinds = &[ErrorKind::Forbidden, ErrorKind::NotEmpty];
    probe.fails(probe.store.remove_dir(&root).await, kinds, "remove the root");
    let moved = probe.store.rename(&root, &probe.path("/d/r"), Allowed).await;
    probe.fails(moved, &[ErrorKind::Forbidden], "rename the root");
    let kinds = &[ErrorKind::Forbidden, ErrorKind::Exists, ErrorKind::IsADirectory];
    probe.fails(probe.store.rename(&file, &root, Allowed).await, kinds, "replace the root");
    probe.holds("/f", b"x", "after that").await;
}

async fn a_file_gets_another_path(probe: &Probe) {
    probe.put("/f", b"x").await;
    probe.dir("/d").await;
    let (from, to) = (probe.path("/f"), probe.path("/d/g"));
    probe.works(probe.store.rename(&from, &to, Forbidden).await, "rename");
    probe.is_absent("/f", "the old path").await;
    probe.holds("/d/g", b"x", "the new path").await;
}

async fn a_file_replaces_a_file_only_if_it_may(probe: &Probe) {
    probe.put("/f", b"new").await;
    probe.put("/g", b"old").await;
    let (from, to) = (probe.path("/f"), probe.path("/g"));
    let renamed = probe.store.rename(&from, &to, Forbidden).await;
    probe.fails(renamed, &[ErrorKind::Exists], "rename over a file");
    probe.holds("/f", b"new", "what was not renamed").await;
    probe.holds("/g", b"old", "what was not replaced").await;
    probe.works(probe.store.rename(&from, &to, Allowed).await, "rename over a file");
    probe.holds("/g", b"new", "what was replaced").await;
    probe.is_absent("/f", "the old path").await;
}

async fn a_directory_takes_its_content_along(probe: &Probe) {
    probe.dir("/d").await;
    probe.dir("/d/e").await;
    probe.put("/d/e/f", b"x").await;
    // A name that only begins alike must stay behind.
    probe.dir("/d2").await;
    probe.dir("/to").await;
    let (from, to) = (probe.path("/d"), probe.path("/to/d"));
    probe.works(probe.store.rename(&from, &to, Forbidden).await, "rename a directory");
    probe.is_absent("/d", "the old path").await;
    probe.holds("/to/d/e/f", b"x", "below the new path").await;
    probe.works(probe.store.stat(&probe.path("/d2")).await, "stat what was left");
}

async fn a_directory_is_never_replaced(probe: &Probe) {
    probe.dir("/empty").await;
    probe.dir("/full").await;
    probe.put("/full/f", b"x").await;
    probe.put("/file", b"y").await;
    for replace in [Allowed, Forbidden] {
        for (from, to) in [("/file", "/empty"), ("/file", "/full"), ("/full", "/empty")] {
            let renamed = probe.store.rename(&probe.path(from), &probe.path(to), replace).await;
            let kinds = &[ErrorKind::IsADirectory, ErrorKind::Exists];
            probe.fails(renamed, kinds, "rename over a directory");
        }
        let renamed =
            probe.store.rename(&probe.path("/empty"), &probe.path("/file"), replace).await;
        let kinds = &[ErrorKind::NotADirectory, ErrorKind::Exists];
        probe.fails(renamed, kinds, "rename a directory over a file");
    }
    probe.holds("/full/f", b"x", "after all that").await;
    probe.holds("/file", b"y", "after all that").await;
    probe.check(probe.names(&probe.path("/empty")).await.is_empty(), "it is still empty");
}

async fn nothing_moves_into_itself(probe: &Probe) {
    probe.dir("/d").await;
    probe.dir("/d/e").await;
    for to in ["/d/x", "/d/e/x"] {
        let moved = probe.store.rename(&probe.path("/d"), &probe.path(to), Allowed).await;
        probe.fails(moved, &[ErrorKind::Forbidden], "rename a directory into itself");
    }
    probe.works(probe.store.stat(&probe.path("/d/e")).await, "stat what was not moved");
}

async fn a_rename_to_itself_changes_nothing(probe: &Probe) {
    probe.put("/f", b"x").await;
    probe.dir("/d").await;
    for at in ["/f", "/d"] {
        for replace in [Allowed, Forbidden] {
            let path = probe.path(at);
            probe.works(probe.store.rename(&path, &path, replace).await, "rename to itself");
        }
    }
    probe.holds("/f", b"x", "after that").await;
    probe.names(&probe.path("/d")).await;
    let missing = probe.path("/missing");
    let renamed = probe.store.rename(&missing, &missing, Allowed).await;
    probe.fails(renamed, &[ErrorKind::NotFound], "rename nothing to itself");
}

async fn times_are_set(probe: &Probe) {
    probe.put("/f", b"x").await;
    probe.dir("/d").await;
    for (at, seconds) in [("/f", 1_000_000_000), ("/f", 0), ("/d", 1_600_000_001)] {
        let path = probe.path(at);
        let moment = Timestamp { seconds, nanos: 0 };
        let set = probe.store.set(&path, Change::Modified(moment)).await;
        if !probe.store.caps().sets_times {
            return probe.fails(set, &[ErrorKind::Unsupported], "set a time");
        }
        probe.works(set, "set a time");
        let entry = probe.works(probe.store.stat(&path).await, "stat");
        probe.same(entry.modified, moment, "the time that was set");
    }
    probe.holds("/f", b"x", "after that").await;
    let set = probe.store.set(&probe.path("/g"), Change::Modified(Timestamp::default())).await;
    probe.fails(set, &[ErrorKind::NotFound], "set the time of nothing");
}

async fn permission_bits_are_set(probe: &Probe) {
    probe.put("/f", b"x").await;
    probe.dir("/d").await;
    for (at, mode) in [("/f", 0o640), ("/f", 0o7755), ("/d", 0o750)] {
        let path = probe.path(at);
        let set = probe.store.set(&path, Change::Mode(mode)).await;
        if !probe.store.caps().sets_mode {
            return probe.fails(set, &[ErrorKind::Unsupported], "set the mode");
        }
        probe.works(set, "set the mode");
        let entry = probe.works(probe.store.stat(&path).await, "stat");
        probe.same(entry.mode, mode & 0o777, "the mode that was set");
        let kind = if at == "/d" { Kind::Dir } else { Kind::File };
        probe.same(entry.kind, kind, "the kind stays");
    }
}
