//! Unfinished uploads without a record of the file that they were to replace: the server was killed
//! before it was written.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

use wharf_core::error::ErrorKind;
use wharf_core::storage::{Start, Storage};
use wharf_storage::{Disk, DiskOptions};

use super::{World, begin, content, fails, fast, feed, path, put, write};

/// Waits until the clock of the file system has moved on since the last change of this file.
fn wait_for_later_time(file: &Path) {
    let time = |file: &Path| {
        let facts = file.metadata().unwrap();
        (facts.ctime(), facts.ctime_nsec())
    };
    let (changed, folder) = (time(file), tempfile::tempdir().unwrap());
    for number in 0.. {
        let later = folder.path().join(number.to_string());
        File::create_new(&later).unwrap();
        if time(&later) > changed {
            return;
        }
    }
}

/// Leaves an upload of five bytes to `/f`, which exists, as a kill in its first mebibyte does.
async fn leave(world: &World, disk: &Disk) {
    wait_for_later_time(&world.root.join("f"));
    let mut sink = begin(disk, "/f", Start::Fresh).await;
    feed(&mut sink, b"01234").await;
    sink.abort().await;
    assert_eq!(remove_records(world), 1);
}

fn remove_records(world: &World) -> usize {
    let entries = fs::read_dir(&world.root).unwrap().map(|entry| entry.unwrap().path());
    let is_record = |path: &Path| path.extension().is_some_and(|end| end == "base");
    let records: Vec<_> = entries.filter(|path| is_record(path)).collect();
    for record in &records {
        fs::remove_file(record).unwrap();
    }
    records.len()
}

#[tokio::test]
async fn row_56_an_upload_over_an_older_file_is_resumed_after_a_kill_in_its_first_bytes() {
    let world = World::new();
    let disk = world.disk(&fast());
    fs::write(world.root.join("f"), "old content").unwrap();
    leave(&world, &disk).await;
    assert_eq!(disk.partial(&path("/f")).await.unwrap(), Some(5));
    assert!(disk.has_unfinished(&path("/f")).await.unwrap());
    fails(disk.write(&path("/f"), write(Start::End)).await, &[ErrorKind::Unfinished(5)], "APPE");
    fails(disk.write(&path("/f"), write(Start::At(6))).await, &[ErrorKind::PastPartial(5)], "gap");
    // It is interrupted again, with and without new bytes: the record is written now.
    begin(&disk, "/f", Start::At(5)).await.abort().await;
    assert_eq!(remove_records(&world), 1);
    let mut sink = begin(&disk, "/f", Start::At(4)).await;
    feed(&mut sink, b"456").await;
    sink.abort().await;
    assert_eq!(remove_records(&world), 1);
    assert_eq!(content(&disk, &path("/f")).await.unwrap(), b"old content");
    let mut sink = begin(&disk, "/f", Start::At(7)).await;
    feed(&mut sink, b"789").await;
    sink.commit().await.unwrap();
    assert_eq!(content(&disk, &path("/f")).await.unwrap(), b"0123456789");
    assert_eq!(world.names(), ["f"]);
    assert_eq!(remove_records(&world), 0);
}

#[tokio::test]
async fn row_56_an_upload_without_a_record_is_not_resumed_over_a_file_that_changed() {
    type Change = fn(&World);
    let changes: [(&str, Change); 5] = [
        ("new content", |world| fs::write(world.root.join("f"), "new content").unwrap()),
        ("a rename of an older file", |world| {
            fs::rename(world.root.join("older"), world.root.join("f")).unwrap();
        }),
        ("another link to an older file", |world| {
            fs::remove_file(world.root.join("f")).unwrap();
            fs::hard_link(world.root.join("older"), world.root.join("f")).unwrap();
        }),
        ("a symbolic link to an older file", |world| {
            fs::remove_file(world.root.join("f")).unwrap();
            symlink("older", world.root.join("f")).unwrap();
        }),
        ("an old time of modification", |world| {
            fs::write(world.root.join("f"), "new content").unwrap();
            let old = world.outside.join("secret").metadata().unwrap().modified().unwrap();
            File::options()
                .write(true)
                .open(world.root.join("f"))
                .and_then(|file| file.set_modified(old))
                .unwrap();
        }),
    ];
    for (what, change) in changes {
        let world = World::new();
        let disk = world.disk(&fast());
        fs::write(world.root.join("older"), "older").unwrap();
        fs::write(world.root.join("f"), "old content").unwrap();
        leave(&world, &disk).await;
        change(&world);
        let before = fs::read(world.root.join("f")).unwrap();
        let resumed = disk.write(&path("/f"), write(Start::At(5))).await;
        fails(resumed, &[ErrorKind::Outdated], what);
        assert_eq!(fs::read(world.root.join("f")).unwrap(), before, "{what}");
        if what != "a symbolic link to an older file" {
            put(&disk, "/f", b"whole").await.unwrap();
            assert_eq!(content(&disk, &path("/f")).await.unwrap(), b"whole", "{what}");
        }
    }
}

#[tokio::test]
async fn row_56_an_unfinished_upload_is_known_while_it_runs_if_it_is_empty_and_if_it_is_not_kept() {
    let forgetful = DiskOptions { partial_upload_retention: Duration::ZERO, ..fast() };
    for options in [fast(), forgetful] {
        let world = World::new();
        let disk = world.disk(&options);
        let other = Disk::open(&world.root, "bert", &options).unwrap();
        fs::write(world.root.join("f"), "old content").unwrap();
        assert!(!disk.has_unfinished(&path("/f")).await.unwrap());
        let sink = begin(&disk, "/f", Start::Fresh).await;
        let is_kept = options.partial_upload_retention > Duration::ZERO;
        assert_eq!(disk.has_unfinished(&path("/f")).await.unwrap(), is_kept, "it runs");
        sink.abort().await;
        assert_eq!(disk.partial(&path("/f")).await.unwrap(), None);
        assert!(disk.has_unfinished(&path("/f")).await.unwrap(), "it ended without a byte");
        assert!(!other.has_unfinished(&path("/f")).await.unwrap(), "of another account");
        let mut sink = begin(&disk, "/f", Start::Fresh).await;
        feed(&mut sink, b"new").await;
        sink.commit().await.unwrap();
        assert!(!disk.has_unfinished(&path("/f")).await.unwrap());
    }
}
