//! Uploads: their temporary files, and unfinished uploads.

use std::fs::{self, File};
use std::future::Future;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use wharf_core::account::Account;
use wharf_core::error::ErrorKind;
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::{Replace, Start, Storage, Stores};
use wharf_storage::{Disk, DiskOptions, Disks, Memory};

use super::{
    CONFINEMENTS, POLLS_MAX, World, begin, content, fails, fast, feed, path, put, shared, write,
};

#[tokio::test]
async fn a_temporary_file_is_private_and_removed_by_commit() {
    for options in [DiskOptions::default(), fast()] {
        let world = World::new();
        let disk = world.disk(&options);
        let mut sink = begin(&disk, "/f", Start::Fresh).await;
        feed(&mut sink, b"x").await;
        let facts = world.temporary().metadata().unwrap();
        assert_eq!(facts.permissions().mode() & 0o777, 0o600);
        sink.commit().await.unwrap();
        assert_eq!(world.names(), ["f"]);
    }
}

/// Leaves an upload of five bytes to `/f` unfinished.
async fn leave(disk: &Disk) {
    let mut sink = begin(disk, "/f", Start::Fresh).await;
    feed(&mut sink, b"01234").await;
    sink.abort().await;
}

#[tokio::test]
async fn row_33_an_unfinished_upload_belongs_to_its_account_and_survives_a_restart() {
    for confinement in CONFINEMENTS {
        let world = World::new();
        leave(&world.disk_by(confinement, &DiskOptions::default())).await;
        let other = Disk::open(&world.root, "bert", &fast()).unwrap();
        assert_eq!(other.partial(&path("/f")).await.unwrap(), None);
        fails(other.write(&path("/f"), write(Start::At(5))).await, &[ErrorKind::BadOffset], "bert");
        let again = world.disk_by(confinement, &DiskOptions::default());
        assert_eq!(again.partial(&path("/f")).await.unwrap(), Some(5));
        let mut sink = begin(&again, "/f", Start::At(5)).await;
        feed(&mut sink, b"56").await;
        sink.commit().await.unwrap();
        assert_eq!(content(&again, &path("/f")).await.unwrap(), b"0123456");
        assert_eq!(world.names(), ["f"]);
    }
}

#[tokio::test]
async fn row_56_an_unfinished_replacement_is_void_once_the_file_changes() {
    let bert = |world: &World| Disk::open(&world.root, "bert", &fast()).unwrap();
    for (confinement, is_there) in
        [(0, true), (1, true), (2, true), (3, true), (4, false), (5, true)]
    {
        let world = World::new();
        let disk = world.disk(&DiskOptions::default());
        let file = world.root.join("f");
        if is_there {
            put(&disk, "/f", b"old").await.unwrap();
        }
        leave(&disk).await;
        let again = world.disk(&DiskOptions::default());
        assert_eq!(again.partial(&path("/f")).await.unwrap(), Some(5), "as long as it is the same");
        match confinement {
            0 | 4 => put(&bert(&world), "/f", b"of bert").await.unwrap(),
            1 => {
                let mut append = begin(&bert(&world), "/f", Start::End).await;
                feed(&mut append, b" and bert").await;
                append.commit().await.unwrap();
            }
            2 => fs::write(&file, "of a program").unwrap(),
            // It is as long as before.
            3 => fs::write(&file, "new").unwrap(),
            _ => fs::remove_file(&file).unwrap(),
        }
        let there = fs::read(&file).unwrap_or_default();
        assert_eq!(disk.partial(&path("/f")).await.unwrap(), None, "{confinement}");
        let (kind, within) = (
            if confinement == 5 { ErrorKind::BadOffset } else { ErrorKind::Outdated },
            Start::At(2),
        );
        fails(disk.write(&path("/f"), write(within)).await, &[kind], "a mixture");
        assert_eq!(fs::read(&file).unwrap_or_default(), there, "{confinement}");
        if confinement == 5 {
            put(&bert(&world), "/f", b"of bert").await.unwrap();
            fails(disk.write(&path("/f"), write(within)).await, &[ErrorKind::Outdated], "again");
            bert(&world).remove_file(&path("/f")).await.unwrap();
        }
        if confinement == 3 {
            // By its length the file may be unchanged: the data may be the rest of the new content.
            fails(disk.write(&path("/f"), write(Start::End)).await, &[ErrorKind::Outdated], "rest");
            assert_eq!(fs::read(&file).unwrap(), there, "{confinement}");
        } else {
            let mut append = begin(&disk, "/f", Start::End).await;
            feed(&mut append, b"!").await;
            append.commit().await.unwrap();
            assert_eq!(
                fs::read(&file).unwrap(),
                [there.as_slice(), b"!"].concat(),
                "{confinement}"
            );
        }
        put(&disk, "/f", b"whole").await.unwrap();
        let mut sink = begin(&disk, "/f", Start::At(2)).await;
        feed(&mut sink, b"!").await;
        sink.commit().await.unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"wh!", "a whole upload clears it: {confinement}");
    }
}

#[tokio::test]
async fn row_56_an_unfinished_upload_to_an_unused_name_is_void_once_a_file_existed_there() {
    for confinement in 0..5 {
        let world = World::new();
        let disk = world.disk(&fast());
        let bert = Disk::open(&world.root, "bert", &fast()).unwrap();
        let (f, g) = (path("/f"), path("/g"));
        // One is unfinished, or in progress.
        let mut running = None;
        if confinement == 4 {
            let mut sink = begin(&disk, "/f", Start::Fresh).await;
            feed(&mut sink, &vec![7; 700_000]).await;
            sink.sync().await.unwrap();
            assert!(sink.detach_file().await.unwrap().is_some());
            sink.reattach_file(false);
            running = Some(sink);
        } else {
            leave(&disk).await;
            assert_eq!(disk.partial(&f).await.unwrap(), Some(5), "{confinement}");
        }
        put(&bert, "/other", b"another name").await.unwrap();
        match confinement {
            // By another program on this machine.
            0 | 4 => {
                put(&bert, "/f", b"of bert").await.unwrap();
                fs::remove_file(world.root.join("f")).unwrap();
            }
            1 => {
                put(&bert, "/f", b"of bert").await.unwrap();
                bert.rename(&f, &g, Replace::Allowed).await.unwrap();
            }
            2 => {
                put(&bert, "/g", b"of bert").await.unwrap();
                bert.rename(&g, &f, Replace::Allowed).await.unwrap();
                fs::remove_file(world.root.join("f")).unwrap();
            }
            _ => {
                bert.make_dir(&f).await.unwrap();
                fs::remove_dir(world.root.join("f")).unwrap();
            }
        }
        if let Some(sink) = running {
            sink.abort().await;
        }
        // An upload of another account does not change that.
        leave(&bert).await;
        assert_eq!(bert.partial(&f).await.unwrap(), Some(5), "{confinement}");
        assert_eq!(disk.partial(&f).await.unwrap(), None, "{confinement}");
        let mut sink = begin(&disk, "/f", Start::End).await;
        feed(&mut sink, b"line").await;
        sink.commit().await.unwrap();
        assert_eq!(fs::read(world.root.join("f")).unwrap(), b"line", "{confinement}");
    }
}

#[tokio::test]
async fn row_56_an_upload_interrupted_before_its_first_byte_is_not_mixed_into_the_old_file() {
    for confinement in ["killed", "aborted", "mode changed", "time changed", "by a link"] {
        let world = World::new();
        let disk = world.disk(&fast());
        let file = world.root.join("f");
        fs::write(&file, "old").unwrap();
        let sink = begin(&disk, "/f", Start::Fresh).await;
        if confinement == "killed" {
            let temporary = world.temporary();
            sink.abort().await;
            for name in world.names().iter().filter(|name| *name != "f") {
                fs::remove_file(world.root.join(name)).unwrap();
            }
            File::create_new(temporary).unwrap();
        } else {
            sink.abort().await;
        }
        match confinement {
            "mode changed" => {
                fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            }
            "time changed" => {
                let file = File::options().write(true).open(&file).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }
            "by a link" => fs::hard_link(&file, world.outside.join("other")).unwrap(),
            _ => {}
        }
        let rejected = [ErrorKind::Outdated, ErrorKind::Unfinished(0)];
        for _ in 0..2 {
            fails(disk.write(&path("/f"), write(Start::End)).await, &rejected, confinement);
            assert_eq!(fs::read(&file).unwrap(), b"old", "{confinement}");
        }
        // Another account appends, and a complete upload ends that.
        let bert = Disk::open(&world.root, "bert", &fast()).unwrap();
        let mut append = begin(&bert, "/f", Start::End).await;
        feed(&mut append, b"er").await;
        append.commit().await.unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"older", "{confinement}");
        put(&disk, "/f", b"new").await.unwrap();
        let mut append = begin(&disk, "/f", Start::End).await;
        feed(&mut append, b"er").await;
        append.commit().await.unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"newer", "{confinement}");
    }
}

#[tokio::test]
async fn row_56_a_complete_file_sent_to_resume_its_first_part_is_rejected() {
    type UploadCase<'a> = (&'a [u8], Start, &'a [u8], Option<&'a [u8]>);
    let whole: Vec<u8> = (0..3000_u32).flat_map(u32::to_be_bytes).collect();
    let (first, rest) = whole.split_at(5000);
    let repeated = vec![0; 6000];
    // Bytes left unfinished, bytes sent, and the expected content.
    let cases: [UploadCase<'_>; 5] = [
        (first, Start::End, &whole, None),
        (first, Start::End, rest, Some(&whole)),
        (first, Start::At(2500), &whole, None),
        (first, Start::At(2500), &whole[2500..], Some(&whole)),
        (&repeated[..2000], Start::End, &repeated[..4000], Some(&repeated)),
    ];
    for (number, (left, start, comes, wanted)) in cases.into_iter().enumerate() {
        let world = World::new();
        let disk = world.disk(&fast());
        let mut sink = begin(&disk, "/f", Start::Fresh).await;
        feed(&mut sink, left).await;
        sink.abort().await;
        let mut sink = begin(&disk, "/f", start).await;
        let taken = async {
            sink.write(bytes::Bytes::copy_from_slice(comes)).await?;
            sink.sync().await?;
            sink.commit().await.map(drop)
        };
        let taken = taken.await;
        if let Some(wanted) = wanted {
            taken.unwrap();
            assert_eq!(fs::read(world.root.join("f")).unwrap(), wanted, "{number}");
        } else {
            assert_eq!(taken.unwrap_err().kind, ErrorKind::BadOffset, "{number}");
            assert!(!world.root.join("f").exists(), "{number}");
            let there = u64::try_from(left.len()).unwrap();
            let left = disk.partial(&path("/f")).await.unwrap();
            assert_eq!(left, Some(if let Start::At(at) = start { at } else { there }), "{number}");
        }
    }
}

#[tokio::test]
async fn row_56_an_empty_upload_interrupted_by_a_crash_does_not_block_appending_to_a_newer_file() {
    let world = World::new();
    let disk = world.disk(&fast());
    leave(&disk).await;
    let (temporary, file) = (world.temporary(), world.root.join("f"));
    for entry in fs::read_dir(&world.root).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let left = File::create_new(&temporary).unwrap();
    left.set_modified(SystemTime::now() - Duration::from_mins(1)).unwrap();
    fs::write(&file, "old").unwrap();
    let mut sink = begin(&disk, "/f", Start::End).await;
    feed(&mut sink, b"er").await;
    sink.commit().await.unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"older");
    fails(disk.write(&path("/f"), write(Start::At(3))).await, &[ErrorKind::Outdated], "a mixture");
    assert_eq!(fs::read(&file).unwrap(), b"older");
    put(&disk, "/f", b"new").await.unwrap();
    assert_eq!(world.names(), ["f"]);
}

/// The name of the temporary file of the upload that can be resumed.
fn part_name(world: &World) -> String {
    let is_part = |name: &String| Path::new(name).extension().is_some_and(|end| end == "part");
    world.names().into_iter().find(is_part).unwrap()
}

/// The last bytes of an upload are in memory only, and the first ones when it begins.
#[tokio::test]
async fn a_client_that_continues_behind_what_a_crash_left_is_given_its_length() {
    for is_there in [true, false] {
        let world = World::new();
        let disk = world.disk(&fast());
        let file = world.root.join("f");
        if is_there {
            fs::write(&file, "old content").unwrap();
        }
        leave(&disk).await;
        let behind = write(Start::At(9));
        fails(disk.write(&path("/f"), behind).await, &[ErrorKind::PastPartial(5)], "five bytes");
        assert_eq!(disk.partial(&path("/f")).await.unwrap(), Some(5));
        let temporary = part_name(&world);
        // Killed before the first byte was written.
        for name in world.names().iter().filter(|name| *name != "f") {
            fs::remove_file(world.root.join(name)).unwrap();
        }
        File::create_new(world.root.join(temporary)).unwrap();
        fails(disk.write(&path("/f"), behind).await, &[ErrorKind::PastPartial(0)], "none");
        if is_there {
            fails(disk.write(&path("/f"), behind).await, &[ErrorKind::PastPartial(0)], "again");
            let end = disk.write(&path("/f"), write(Start::End)).await;
            fails(end, &[ErrorKind::Unfinished(0)], "it could be the rest of the new content");
            assert_eq!(fs::read(&file).unwrap(), b"old content");
        }
        put(&disk, "/f", b"whole").await.unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"whole");
        assert_eq!(world.names(), ["f"]);
    }
}

#[tokio::test]
async fn an_expired_upload_is_reported_as_such_also_where_a_file_exists() {
    let world = World::new();
    let disk = world.disk(&fast());
    put(&disk, "/f", b"old").await.unwrap();
    leave(&disk).await;
    let name = part_name(&world);
    let temporary = File::options().write(true).open(world.root.join(name)).unwrap();
    temporary.set_modified(SystemTime::now() - Duration::from_hours(25)).unwrap();
    drop(temporary);
    fails(disk.write(&path("/f"), write(Start::At(2))).await, &[ErrorKind::Expired], "resume");
    put(&disk, "/f", b"whole").await.unwrap();
    assert_eq!(world.names(), ["f"]);
}

#[tokio::test]
async fn row_56_an_unfinished_upload_is_removed_when_its_account_deletes_it() {
    let world = World::new();
    let disk = world.disk(&fast());
    leave(&disk).await;
    let other = Disk::open(&world.root, "bert", &fast()).unwrap();
    let (f, missing) = (path("/f"), [ErrorKind::NotFound]);
    fails(other.remove_file(&f).await, &missing, "of another account");
    disk.remove_file(&f).await.unwrap();
    assert_eq!(disk.partial(&f).await.unwrap(), None);
    assert!(world.names().is_empty());
    fails(disk.remove_file(&f).await, &missing, "what is gone");
}

#[tokio::test]
async fn row_56_an_append_keeps_the_names_and_permissions_of_the_file() {
    for options in [DiskOptions::default(), fast()] {
        let world = World::new();
        let disk = world.disk(&options);
        let (file, second) = (world.root.join("f"), world.root.join("second"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        fs::hard_link(&file, &second).unwrap();
        let mut sink = begin(&disk, "/f", Start::End).await;
        // More than is buffered in memory.
        feed(&mut sink, &vec![7; 700_000]).await;
        sink.sync().await.unwrap();
        assert_eq!(content(&disk, &path("/f")).await.unwrap(), b"old", "for readers until the end");
        assert_eq!(disk.stat(&path("/second")).await.unwrap().size, 3);
        assert_eq!(sink.commit().await.unwrap().size, 700_003);
        assert_eq!(fs::read(&second).unwrap(), [b"old".as_slice(), &vec![7; 700_000]].concat());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(world.names(), ["f", "second"]);
        // An upload that is given up at the very end is removed again.
        let mut sink = begin(&disk, "/f", Start::End).await;
        feed(&mut sink, b"more").await;
        sink.sync().await.unwrap();
        assert_eq!(fs::read(&file).unwrap().len(), 700_007);
        sink.abort().await;
        assert_eq!(fs::read(&file).unwrap().len(), 700_003);
        assert_eq!(world.names(), ["f", "second"]);
    }
}

#[tokio::test]
async fn row_56_a_file_being_replaced_cannot_be_appended_to() {
    let world = World::new();
    let disk = world.disk(&fast());
    put(&disk, "/f", b"old").await.unwrap();
    let mut running = begin(&disk, "/f", Start::Fresh).await;
    feed(&mut running, b"new content").await;
    for start in [Start::End, Start::At(3)] {
        fails(disk.write(&path("/f"), write(start)).await, &[ErrorKind::Busy], "beside it");
    }
    let other = Disk::open(&world.root, "bert", &fast()).unwrap();
    let mut append = begin(&other, "/f", Start::End).await;
    feed(&mut append, b"!").await;
    append.commit().await.unwrap();
    assert_eq!(content(&disk, &path("/f")).await.unwrap(), b"old!", "others may");
    running.commit().await.unwrap();
    assert_eq!(content(&disk, &path("/f")).await.unwrap(), b"new content");
}

#[tokio::test]
async fn row_56_anonymous_users_share_no_unfinished_uploads() {
    use wharf_core::account::Account;
    use wharf_core::permission::{Permissions, Rules};
    use wharf_core::storage::Stores;
    use wharf_storage::Disks;
    let world = World::new();
    let disks = Disks::new(fast());
    let rules = || Rules::everywhere(Permissions::ALL);
    for is_anonymous in [true, false] {
        let account = Account { is_anonymous, ..Account::new("ftp", &world.root, rules()) };
        let store = disks.open(&account).await.unwrap();
        let mut sink = store.write(&path("/f"), write(Start::Fresh)).await.unwrap();
        feed(&mut sink, b"01234").await;
        sink.abort().await;
        let kept = store.partial(&path("/f")).await.unwrap();
        assert_eq!(kept, (!is_anonymous).then_some(5));
        assert_eq!(world.names().len(), usize::from(!is_anonymous));
    }
}

#[tokio::test]
async fn a_second_upload_to_one_name_does_not_affect_the_first() {
    let world = World::new();
    let disk = world.disk(&fast());
    let mut first = begin(&disk, "/f", Start::Fresh).await;
    feed(&mut first, b"first").await;
    assert_eq!(disk.partial(&path("/f")).await.unwrap(), None, "one in use is not to be resumed");
    let mut second = begin(&disk, "/f", Start::End).await;
    feed(&mut second, b"second").await;
    assert_eq!(world.names().len(), 2);
    second.abort().await;
    assert_eq!(world.names().len(), 1, "what cannot be found again is not kept");
    first.abort().await;
    assert_eq!(disk.partial(&path("/f")).await.unwrap(), Some(5));
    let mut first = begin(&disk, "/f", Start::End).await;
    let second = begin(&disk, "/f", Start::Fresh).await;
    feed(&mut first, b"!").await;
    second.commit().await.unwrap();
    first.commit().await.unwrap();
    assert_eq!(content(&disk, &path("/f")).await.unwrap(), b"first!");
    assert_eq!(world.names(), ["f"]);
}

/// After `wharf user del` and `wharf user add`, say.
#[tokio::test]
async fn row_56_a_later_account_of_the_same_name_does_not_find_the_unfinished_upload() {
    let world = World::new();
    let (disks, memory) = (Disks::new(fast()), Memory::default());
    let rules = Rules::everywhere(Permissions::ALL);
    let account = Account::new("anna", world.root.clone(), rules);
    let account = |instance| Account { instance, ..account.clone() };
    let both: [&dyn Stores; 2] = [&disks, &memory];
    for stores in both {
        for (number, (one, other)) in
            [(Some([1; 16]), Some([2; 16])), (Some([3; 16]), None), (None, Some([3; 16]))]
                .into_iter()
                .enumerate()
        {
            let at = path(format!("/{number}"));
            let store = stores.open(&account(one)).await.unwrap();
            let mut sink = store.write(&at, write(Start::Fresh)).await.unwrap();
            feed(&mut sink, b"01234").await;
            sink.abort().await;
            let later = stores.open(&account(other)).await.unwrap();
            assert_eq!(later.partial(&at).await.unwrap(), None);
            let begun = later.write(&at, write(Start::At(5))).await;
            fails(begun, &[ErrorKind::BadOffset], "a later account");
            let same = stores.open(&account(one)).await.unwrap();
            assert_eq!(same.partial(&at).await.unwrap(), Some(5));
        }
    }
}

#[tokio::test]
async fn an_unfinished_upload_expires_after_its_retention() {
    let world = World::new();
    let disk = world.disk(&fast());
    leave(&disk).await;
    let temporary = File::options().write(true).open(world.temporary()).unwrap();
    temporary.set_modified(SystemTime::now() - Duration::from_hours(25)).unwrap();
    drop(temporary);
    assert_eq!(disk.partial(&path("/f")).await.unwrap(), None);
    fails(disk.write(&path("/f"), write(Start::At(5))).await, &[ErrorKind::Expired], "resume");
    assert!(world.names().is_empty());
    let sink = begin(&disk, "/f", Start::End).await;
    assert_eq!(sink.commit().await.unwrap().size, 0);
}

#[tokio::test]
async fn without_retention_no_unfinished_upload_is_kept() {
    let world = World::new();
    let disk = world.disk(&DiskOptions { partial_upload_retention: Duration::ZERO, ..fast() });
    leave(&disk).await;
    assert!(world.names().is_empty());
    assert_eq!(disk.partial(&path("/f")).await.unwrap(), None);
}

#[tokio::test]
async fn row_33_an_interrupted_overwrite_that_was_not_kept_cannot_be_continued() {
    let world = World::new();
    let disk = world.disk(&DiskOptions { partial_upload_retention: Duration::ZERO, ..fast() });
    put(&disk, "/f", b"0123456789").await.unwrap();
    // Without an interrupted upload, REST continues the file that is there.
    let mut sink = begin(&disk, "/f", Start::At(4)).await;
    feed(&mut sink, b"XY").await;
    sink.commit().await.unwrap();
    assert_eq!(content(&disk, &path("/f")).await.unwrap(), b"0123XY");
    let mut sink = begin(&disk, "/f", Start::Fresh).await;
    feed(&mut sink, b"new").await;
    sink.abort().await;
    for start in [Start::At(3), Start::At(6), Start::At(1)] {
        fails(disk.write(&path("/f"), write(start)).await, &[ErrorKind::Interrupted(0)], "resume");
    }
    assert_eq!(content(&disk, &path("/f")).await.unwrap(), b"0123XY");
    // From the beginning it is whole, and afterwards REST works again.
    put(&disk, "/f", b"new content").await.unwrap();
    let mut sink = begin(&disk, "/f", Start::At(3)).await;
    feed(&mut sink, b"!").await;
    sink.commit().await.unwrap();
    assert_eq!(content(&disk, &path("/f")).await.unwrap(), b"new!");
}

/// Up to where it began, the file that is there has its bytes.
#[tokio::test]
async fn row_33_an_interrupted_restart_that_was_not_kept_can_begin_again_where_it_began() {
    let world = World::new();
    let disk = world.disk(&DiskOptions { partial_upload_retention: Duration::ZERO, ..fast() });
    put(&disk, "/f", b"0123456789").await.unwrap();
    let mut sink = begin(&disk, "/f", Start::At(4)).await;
    feed(&mut sink, b"new").await;
    sink.abort().await;
    for start in [Start::At(5), Start::At(7), Start::At(10)] {
        fails(disk.write(&path("/f"), write(start)).await, &[ErrorKind::Interrupted(4)], "resume");
    }
    let mut sink = begin(&disk, "/f", Start::At(4)).await;
    feed(&mut sink, b"new").await;
    sink.commit().await.unwrap();
    assert_eq!(content(&disk, &path("/f")).await.unwrap(), b"0123new");
}

#[tokio::test]
async fn row_33_an_interrupted_overwrite_is_not_continued_in_the_renamed_file() {
    let world = World::new();
    let disk = world.disk(&fast());
    for (from, to) in [("/f", "/g"), ("/h", "/i")] {
        put(&disk, from, b"0123456789").await.unwrap();
        let is_interrupted = from == "/f";
        if is_interrupted {
            let mut sink = begin(&disk, from, Start::Fresh).await;
            feed(&mut sink, b"new").await;
            sink.abort().await;
        }
        disk.rename(&path(from), &path(to), Replace::Allowed).await.unwrap();
        let started = disk.write(&path(to), write(Start::At(3))).await;
        if is_interrupted {
            fails(started, &[ErrorKind::Interrupted(0)], "resume");
            continue;
        }
        let mut sink = started.unwrap();
        feed(&mut sink, b"new").await;
        sink.commit().await.unwrap();
        assert_eq!(content(&disk, &path(to)).await.unwrap(), b"012new");
    }
}

#[tokio::test]
async fn row_33_an_interrupted_restart_inside_a_file_is_not_forgotten() {
    let world = World::new();
    let disk = world.disk(&fast());
    put(&disk, "/f", &[b'O'; 100]).await.unwrap();
    let mut sink = begin(&disk, "/f", Start::At(50)).await;
    feed(&mut sink, &[b'N'; 20]).await;
    sink.abort().await;
    // Whether the 70 bytes were kept or not, the next ones follow them or are rejected.
    match disk.write(&path("/f"), write(Start::At(70))).await {
        Ok(mut sink) => {
            feed(&mut sink, &[b'M'; 30]).await;
            sink.commit().await.unwrap();
            let whole = [[b'O'; 50].as_slice(), &[b'N'; 20], &[b'M'; 30]].concat();
            assert_eq!(content(&disk, &path("/f")).await.unwrap(), whole);
        }
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Interrupted(50));
            assert_eq!(content(&disk, &path("/f")).await.unwrap(), [b'O'; 100]);
        }
    }
}

#[tokio::test]
async fn an_empty_upload_leaves_no_temporary_file() {
    let world = World::new();
    let disk = world.disk(&fast());
    begin(&disk, "/f", Start::Fresh).await.abort().await;
    put(&disk, "/f", b"0123456789").await.unwrap();
    // Otherwise the next SIZE would report a copy that the client did not request.
    begin(&disk, "/f", Start::At(5)).await.abort().await;
    begin(&disk, "/f", Start::End).await.abort().await;
    assert_eq!(world.names(), ["f"]);
}

#[tokio::test]
async fn a_foreign_file_with_the_name_of_a_temporary_file_is_not_changed() {
    let world = World::new();
    let disk = world.disk(&fast());
    leave(&disk).await;
    let temporary = world.temporary();
    let plants: [&dyn Fn(); 4] = [
        &|| symlink(world.outside.join("secret"), &temporary).unwrap(),
        &|| fs::create_dir(&temporary).unwrap(),
        &|| fs::hard_link(world.outside.join("secret"), &temporary).unwrap(),
        &|| symlink("nothing", &temporary).unwrap(),
    ];
    fs::remove_file(&temporary).unwrap();
    for plant in plants {
        plant();
        assert_eq!(disk.partial(&path("/f")).await.unwrap(), None);
        for start in [Start::Fresh, Start::End] {
            let mut sink = begin(&disk, "/f", start).await;
            feed(&mut sink, b"new").await;
            sink.commit().await.unwrap();
        }
        assert_eq!(content(&disk, &path("/f")).await.unwrap(), b"newnew");
        assert_eq!(world.names().len(), 2, "the file and what was planted");
        world.outside_is_untouched();
        let _ = fs::remove_file(&temporary).or_else(|_| fs::remove_dir(&temporary));
    }
}

#[tokio::test]
async fn row_33_a_commit_completes_even_if_its_future_is_dropped() {
    let world = World::new();
    let disk = world.disk(&DiskOptions::default());
    let mut sink = begin(&disk, "/f", Start::Fresh).await;
    feed(&mut sink, &vec![1; 100_000]).await;
    {
        let commit = pin!(sink.commit());
        assert!(commit.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let store = shared(&disk);
    for _ in 0..POLLS_MAX {
        if store.stat(&path("/f")).await.is_ok() {
            assert_eq!(content(&disk, &path("/f")).await.unwrap(), vec![1; 100_000]);
            return;
        }
    }
    panic!("the commit was undone");
}

#[tokio::test]
async fn an_existing_file_invalidates_earlier_unfinished_uploads() {
    let world = World::new();
    let disk = world.disk(&fast());
    let mut first = begin(&disk, "/f", Start::Fresh).await;
    feed(&mut first, b"first").await;
    let second = begin(&disk, "/f", Start::Fresh).await;
    first.abort().await;
    assert_eq!(disk.partial(&path("/f")).await.unwrap(), Some(5));
    second.commit().await.unwrap();
    assert_eq!(disk.partial(&path("/f")).await.unwrap(), None);
    assert_eq!(world.names(), ["f"]);
}

#[test]
fn a_sink_dropped_after_its_runtime_is_still_kept() {
    let world = World::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let disk = world.disk(&fast());
    let sink = runtime.block_on(async {
        let mut sink = begin(&disk, "/f", Start::Fresh).await;
        feed(&mut sink, b"01234").await;
        sink
    });
    drop(runtime);
    drop(sink);
    assert_eq!(fs::read(world.temporary()).unwrap(), b"01234");
}

#[tokio::test]
async fn row_34_an_upload_that_cannot_be_published_is_removed_and_reported_as_failed() {
    for options in [DiskOptions::default(), fast()] {
        let world = World::new();
        let disk = world.disk(&options);
        let mut sink = begin(&disk, "/f", Start::Fresh).await;
        feed(&mut sink, b"x").await;
        // Another process creates a directory of that name in the meantime: the rename fails.
        fs::create_dir_all(world.root.join("f/full")).unwrap();
        sink.sync().await.unwrap();
        assert!(sink.commit().await.is_err());
        assert_eq!(world.names(), ["f"]);
        // The temporary file was removed by another program.
        let mut sink = begin(&disk, "/g", Start::Fresh).await;
        feed(&mut sink, b"x").await;
        fs::remove_file(world.temporary()).unwrap();
        fails(sink.commit().await, &[ErrorKind::NotFound], "a rename of nothing");
        assert_eq!(world.names(), ["f"]);
    }
}
