//! Names: unusual ones, hidden ones, and permission bits of new files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use wharf_core::account::Account;
use wharf_core::error::ErrorKind;
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::{Change, ListDetail, Replace, Start, Storage, Stores, Write};
use wharf_storage::{Disk, DiskOptions, Disks, TEMP_PREFIX};

use super::{CONFINEMENTS, World, begin, content, fails, fast, feed, listed, path, put, write};

#[tokio::test]
async fn row_31_32_existing_names_that_cannot_be_created_stay_accessible() {
    for name in [b"latin \xe4".as_slice(), b"line\nfeed", b"\x1b[2J"] {
        for confinement in CONFINEMENTS {
            let world = World::new();
            fs::write(world.root.join(OsStr::from_bytes(name)), "old").unwrap();
            let disk = world.disk_by(confinement, &fast());
            let at = path(name);
            assert_eq!(listed(&disk, "/").await.first().unwrap().name, name);
            assert_eq!(disk.stat(&at).await.unwrap().name, name);
            assert_eq!(content(&disk, &at).await.unwrap(), b"old");
            disk.write(&at, write(Start::End)).await.unwrap().commit().await.unwrap();
            disk.rename(&at, &path("/plain"), Replace::Forbidden).await.unwrap();
            let back = disk.rename(&path("/plain"), &at, Replace::Forbidden).await;
            fails(back, &[ErrorKind::BadName], "rename back");
            disk.remove_file(&path("/plain")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_longest_name_can_be_uploaded_to() {
    let world = World::new();
    let disk = world.disk(&fast());
    let longest = "x".repeat(255);
    put(&disk, &longest, b"x").await.unwrap();
    assert_eq!(content(&disk, &path(&longest)).await.unwrap(), b"x");
}

#[tokio::test]
async fn row_40_names_of_temporary_files_are_not_accessible() {
    let world = World::new();
    let own = format!("{TEMP_PREFIX}00000000000000000000000000000000.part");
    for name in [own.as_str(), ".wharf-x", ".WHARF-x"] {
        fs::write(world.root.join(name), "x").unwrap();
    }
    fs::create_dir(world.root.join(".wharf-dir")).unwrap();
    fs::write(world.root.join("file"), "x").unwrap();
    let disk = world.disk(&fast());
    assert_eq!(listed(&disk, "/").await.len(), 1);
    let file = path("/file");
    for name in [own.as_str(), ".wharf-x", ".WHARF-x", ".wharf-dir", ".wharf-dir/x", ".wharf-new"] {
        let at = path(name);
        let gone = &[ErrorKind::NotFound];
        fails(disk.stat(&at).await, gone, name);
        fails(disk.read(&at, 0).await, gone, name);
        fails(disk.list(&at, ListDetail::Facts).await, gone, name);
        fails(disk.remove_file(&at).await, gone, name);
        fails(disk.remove_dir(&at).await, gone, name);
        fails(disk.set(&at, Change::Mode(0)).await, gone, name);
        fails(disk.rename(&at, &path("/new"), Replace::Allowed).await, gone, name);
        assert_eq!(disk.partial(&at).await.unwrap(), None);
        let rejected = &[ErrorKind::Forbidden];
        fails(disk.write(&at, write(Start::Fresh)).await, rejected, name);
        fails(disk.make_dir(&at).await, rejected, name);
        fails(disk.rename(&file, &at, Replace::Allowed).await, rejected, name);
    }
    assert_eq!(world.names().len(), 5);
}

#[tokio::test]
async fn a_directory_is_removed_with_temporary_files_but_not_with_similar_names() {
    let world = World::new();
    let disk = world.disk(&fast());
    disk.make_dir(&path("/d")).await.unwrap();
    let lookalike = world.root.join("d/.wharf-notes");
    fs::write(&lookalike, "x").unwrap();
    let mut sink = begin(&disk, "/d/f", Start::Fresh).await;
    feed(&mut sink, b"half").await;
    sink.abort().await;
    fails(disk.remove_dir(&path("/d")).await, &[ErrorKind::NotEmpty], "with a lookalike");
    assert_eq!(disk.partial(&path("/d/f")).await.unwrap(), Some(4));
    fs::remove_file(lookalike).unwrap();
    disk.remove_dir(&path("/d")).await.unwrap();
    assert!(world.names().is_empty());
}

fn mode(world: &World, name: &str) -> u32 {
    world.root.join(name).metadata().unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn the_umask_of_a_session_applies_only_to_that_session() {
    let world = World::new();
    let (one, other) = (world.disk(&fast()), world.disk(&fast()));
    assert_eq!(one.umask(), Some(0o022));
    one.set_umask(0o027);
    assert_eq!((one.umask(), other.umask()), (Some(0o027), Some(0o022)));
    for (disk, name, file, dir) in [(&one, "one", 0o640, 0o750), (&other, "other", 0o644, 0o755)] {
        put(disk, &format!("/{name}"), b"x").await.unwrap();
        disk.make_dir(&path(format!("/{name}.d"))).await.unwrap();
        assert_eq!(mode(&world, name), file, "{name}");
        assert_eq!(mode(&world, &format!("{name}.d")), dir, "{name}");
    }
}

#[tokio::test]
async fn new_files_and_directories_get_the_permissions_that_the_umask_leaves() {
    for (umask, file, dir) in [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0, 0o666, 0o777)] {
        let world = World::new();
        let disk = world.disk(&DiskOptions { umask, ..fast() });
        put(&disk, "/f", b"x").await.unwrap();
        disk.make_dir(&path("/d")).await.unwrap();
        assert_eq!((mode(&world, "f"), mode(&world, "d")), (file, dir));
    }
}

#[tokio::test]
async fn row_23_uploads_of_anonymous_users_are_readable_by_the_server_only() {
    let world = World::new();
    let disks = Disks::new(fast());
    let open = async |permissions: &str, is_anonymous| {
        let rules = Rules::everywhere(Permissions::parse(permissions).unwrap());
        let account = Account::new("guest", world.root.clone(), rules);
        disks.open(&Account { is_anonymous, ..account }).await.unwrap()
    };
    // All are open at once: the bits belong to the account, not to the shared directory.
    let (dropbox, reader) = (open("dropbox", true).await, open("read-write", true).await);
    let known = open("dropbox", false).await;
    for (name, store, expected) in
        [("dropped", &dropbox, 0o600), ("shared", &reader, 0o644), ("known", &known, 0o644)]
    {
        let sink = store.write(&path(format!("/{name}")), write(Start::Fresh)).await;
        sink.unwrap().commit().await.unwrap();
        assert_eq!(mode(&world, name), expected, "{name}");
    }
    // A session that sets another umask does not open it to others either.
    dropbox.set_umask(0);
    let sink = dropbox.write(&path("/chosen"), write(Start::Fresh)).await;
    sink.unwrap().commit().await.unwrap();
    assert_eq!(mode(&world, "chosen"), 0o600);
}

/// Depends on the file system of the test: some are case-sensitive, some are not.
#[tokio::test]
async fn row_30_two_spellings_are_one_file_on_a_case_insensitive_system() {
    let world = World::new();
    let disk = world.disk(&fast());
    put(&disk, "/readme", b"old").await.unwrap();
    let is_one = world.root.join("README").exists();
    assert!(disk.caps().ignores_case || !is_one, "what is not known is taken to ignore case");
    let careful = Write { replace: Replace::Forbidden, ..write(Start::Fresh) };
    let rejected = match disk.write(&path("/README"), careful).await {
        Ok(sink) => {
            sink.abort().await;
            None
        }
        Err(error) => Some(error.kind),
    };
    assert_eq!(rejected, is_one.then_some(ErrorKind::Exists));
    put(&disk, "/README", b"new").await.unwrap();
    let read = fs::read(world.root.join("readme")).unwrap();
    assert_eq!(read, if is_one { b"new" } else { b"old" });
    let count = if is_one { 1 } else { 2 };
    assert_eq!(world.names().len(), count, "{:?}", world.names());
    if is_one {
        disk.rename(&path("/README"), &path("/ReadMe"), Replace::Forbidden).await.unwrap();
        assert_eq!(world.names(), ["ReadMe"]);
    }
}

#[tokio::test]
async fn a_replaced_file_and_a_shared_directory_keep_their_permissions() {
    let world = World::new();
    let disk = world.disk(&fast());
    put(&disk, "/f", b"x").await.unwrap();
    fs::set_permissions(world.root.join("f"), fs::Permissions::from_mode(0o4640)).unwrap();
    put(&disk, "/f", b"y").await.unwrap();
    assert_eq!(mode(&world, "f"), 0o640, "bits for every user but none to run as its owner");
    fs::set_permissions(&world.root, fs::Permissions::from_mode(0o2755)).unwrap();
    disk.make_dir(&path("/d")).await.unwrap();
    disk.set(&path("/d"), Change::Mode(0o7700)).await.unwrap();
    assert_eq!(mode(&world, "d") & 0o5777, 0o700, "no more than a client may set");
    assert_eq!(mode(&world, "d") & 0o2000, 0o2000, "the bit that shares it");
}

#[tokio::test]
async fn a_missing_home_is_named_in_the_error() {
    let world = World::new();
    let missing = world.root.join("missing");
    let error = Disk::open(&missing, "anna", &fast()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("home/missing"), "{error}");
    let account = |home| Account::new("anna", home, Rules::everywhere(Permissions::ALL));
    let disks = Disks::new(fast());
    fails(disks.open(&account(missing)).await, &[ErrorKind::NotFound], "a missing home");
    let store = disks.open(&account(world.root.clone())).await.unwrap();
    assert!(store.stat(&path("/")).await.is_ok());
    fs::write(world.root.join("file"), "x").unwrap();
    let file = Disk::open(world.root.join("file"), "anna", &fast()).unwrap_err();
    assert_eq!(file.kind(), std::io::ErrorKind::NotADirectory);
}

#[tokio::test]
async fn sessions_share_an_open_folder_until_it_is_replaced() {
    let world = World::new();
    let account =
        |name| Account::new(name, world.root.clone(), Rules::everywhere(Permissions::ALL));
    let disks = Disks::new(fast());
    let open_files = || fs::read_dir("/proc/self/fd").unwrap().count();
    let first = disks.open(&account("anna")).await.unwrap();
    let with_one = open_files();
    let second = disks.open(&account("anna")).await.unwrap();
    assert_eq!(open_files(), with_one, "the second session needs no descriptor");
    let other = disks.open(&account("bert")).await.unwrap();
    assert_eq!(open_files(), with_one + 1, "another account shares nothing");
    fs::rename(&world.root, world.root.with_file_name("old")).unwrap();
    fs::create_dir(&world.root).unwrap();
    fs::write(world.root.join("new"), "x").unwrap();
    let third = disks.open(&account("anna")).await.unwrap();
    assert!(third.stat(&path("/new")).await.is_ok());
    for store in [first, second, other] {
        assert!(store.stat(&path("/new")).await.is_err());
    }
}
