//! Files of the server: no home, virtual folder, link or hard link gives access to them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use wharf_core::account::{Account, Folder};
use wharf_core::error::ErrorKind;
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::{Change, Entries, ListDetail, Replace, Start, Storage, Stores};
use wharf_storage::{Disks, Extent, ServerFiles};

use super::{World, fails, fast, path, write};

const DENIED: &[ErrorKind] = &[ErrorKind::Forbidden];

/// A home with the accounts and the state of a server below it, and files of the account.
fn world() -> (World, Disks) {
    let world = World::new();
    let root = &world.root;
    fs::create_dir_all(root.join("conf/deep")).unwrap();
    fs::create_dir_all(root.join("state/webhooks")).unwrap();
    fs::create_dir(root.join("mine")).unwrap();
    for file in ["conf/users.toml", "conf/deep/other", "state/key.pem", "mine/file", "top"] {
        fs::write(root.join(file), file).unwrap();
    }
    let files = ServerFiles::new([
        (root.join("conf/users.toml"), Extent::FileAndCopies),
        (root.join("state"), Extent::Folder),
        (root.join("hooks/run.sh"), Extent::File),
    ]);
    (world, Disks::new(fast()).deny(files))
}

async fn open(disks: &Disks, home: PathBuf) -> Arc<dyn Storage> {
    let account = Account::new("anna", home, Rules::everywhere(Permissions::ALL));
    disks.open(&account).await.unwrap()
}

async fn names(store: &dyn Storage, at: &str, wanted: ListDetail) -> Vec<String> {
    let Entries::Blocking(entries) = store.list(&path(at), wanted).await.unwrap() else {
        unreachable!("a folder is read by blocking calls");
    };
    let mut names: Vec<_> =
        entries.map(|entry| String::from_utf8_lossy(&entry.unwrap().name).into_owned()).collect();
    names.sort();
    names
}

/// Every operation on the path is denied.
async fn is_denied(store: &dyn Storage, at: &str) {
    let context = |act: &str| format!("{act} {at}");
    let spot = path(at);
    // A path that does not exist is missing, but cannot be created.
    let none = &[ErrorKind::Forbidden, ErrorKind::NotFound, ErrorKind::NotADirectory];
    fails(store.stat(&spot).await, none, &context("stat"));
    fails(store.list(&spot, ListDetail::Names).await.map(drop), none, &context("list"));
    fails(store.read(&spot, 0).await.map(drop), none, &context("read"));
    fails(store.write(&spot, write(Start::Fresh)).await.map(drop), DENIED, &context("write"));
    fails(store.write(&spot, write(Start::End)).await.map(drop), DENIED, &context("append"));
    fails(store.remove_file(&spot).await, DENIED, &context("remove"));
    fails(store.remove_dir(&spot).await, DENIED, &context("remove the folder"));
    fails(store.make_dir(&spot).await, DENIED, &context("make the folder"));
    let (mine, free) = (path("/top"), path("/mine/new"));
    fails(store.rename(&spot, &free, Replace::Allowed).await, DENIED, &context("rename"));
    fails(store.rename(&mine, &spot, Replace::Allowed).await, DENIED, &context("rename over"));
    fails(store.set(&spot, Change::Mode(0o777)).await, none, &context("change"));
}

#[tokio::test]
async fn row_53_the_servers_own_files_are_denied_and_files_beside_them_are_not() {
    let (world, disks) = world();
    let store = open(&disks, world.root.clone()).await;
    for wanted in [ListDetail::Names, ListDetail::Facts] {
        assert_eq!(names(&*store, "/", wanted).await, ["conf", "mine", "top"]);
        assert_eq!(names(&*store, "/conf", wanted).await, ["deep"]);
    }
    for at in ["/conf/users.toml", "/conf/users.toml~", "/conf/.users.toml.swp", "/state"] {
        is_denied(&*store, at).await;
    }
    for at in ["/state/key.pem", "/state/webhooks", "/state/webhooks/new", "/hooks"] {
        is_denied(&*store, at).await;
    }
    store.read(&path("/conf/deep/other"), 0).await.unwrap();
    store.rename(&path("/mine/file"), &path("/conf/deep/file"), Replace::Allowed).await.unwrap();
    store.remove_file(&path("/conf/deep/file")).await.unwrap();
    store.rename(&path("/conf/deep"), &path("/deep"), Replace::Forbidden).await.unwrap();
}

#[tokio::test]
async fn row_53_no_folder_above_them_is_renamed_removed_or_replaced() {
    let (world, disks) = world();
    let store = open(&disks, world.root.clone()).await;
    let to = path("/mine/conf");
    fails(store.rename(&path("/conf"), &to, Replace::Forbidden).await, DENIED, "rename above");
    fs::create_dir(world.root.join("empty")).unwrap();
    let over = store.rename(&path("/empty"), &path("/conf"), Replace::Allowed).await;
    fails(over, DENIED, "rename over what is above");
    fails(store.remove_dir(&path("/conf")).await, DENIED, "remove above");
    store.rename(&path("/mine"), &path("/yours"), Replace::Forbidden).await.unwrap();
}

#[tokio::test]
async fn row_53_links_and_hard_links_give_no_access() {
    let (world, disks) = world();
    let root = &world.root;
    symlink("conf/users.toml", root.join("link")).unwrap();
    symlink("../state", root.join("mine/folder")).unwrap();
    symlink("mine", root.join("good")).unwrap();
    fs::hard_link(root.join("conf/users.toml"), root.join("mine/alias")).unwrap();
    fs::hard_link(root.join("top"), root.join("mine/top")).unwrap();
    let store = open(&disks, root.clone()).await;
    for wanted in [ListDetail::Names, ListDetail::Facts] {
        assert_eq!(names(&*store, "/", wanted).await, ["conf", "good", "mine", "top"]);
        assert_eq!(names(&*store, "/mine", wanted).await, ["file", "top"]);
    }
    for at in ["/link", "/mine/folder", "/mine/folder/key.pem", "/mine/alias", "/good/alias"] {
        is_denied(&*store, at).await;
    }
    store.read(&path("/good/top"), 0).await.unwrap();
    // The same from a home that contains no files of the server.
    let other = open(&disks, root.join("mine")).await;
    is_denied_alias(&*other).await;
    assert_eq!(names(&*other, "/", ListDetail::Names).await, ["file", "folder", "top"]);
}

/// An old private key, or an old accounts file, is as secret as its replacement.
#[tokio::test]
async fn row_53_a_replaced_file_stays_denied_by_its_hard_link() {
    let (world, disks) = world();
    let root = &world.root;
    let (key, alias) = (root.join("conf/users.toml"), root.join("mine/alias"));
    fs::hard_link(&key, &alias).unwrap();
    let (store, other) = (open(&disks, root.clone()).await, open(&disks, root.join("mine")).await);
    for round in 0..3 {
        fs::write(root.join("conf/.fresh"), format!("{round}")).unwrap();
        fs::rename(root.join("conf/.fresh"), &key).unwrap();
        is_denied(&*store, "/mine/alias").await;
        is_denied_alias(&*other).await;
    }
    // A reload of the configuration does not change that.
    let files = ServerFiles::new([(key.clone(), Extent::FileAndCopies)]);
    let again = open(&Disks::new(fast()).deny(files), root.clone()).await;
    is_denied(&*again, "/mine/alias").await;
    // Once it is removed, its inode number is free for any file of an account.
    fs::remove_file(&alias).unwrap();
    for number in 0..20 {
        let at = path(format!("/mine/new-{number}"));
        let sink = other.write(&path(format!("/new-{number}")), write(Start::Fresh)).await;
        sink.unwrap().commit().await.unwrap();
        store.read(&at, 0).await.unwrap();
    }
}

async fn is_denied_alias(store: &dyn Storage) {
    fails(store.read(&path("/alias"), 0).await.map(drop), DENIED, "read the second name");
    fails(store.remove_file(&path("/alias")).await, DENIED, "remove the second name");
    assert!(store.read(&path("/file"), 0).await.is_ok());
}

#[tokio::test]
async fn row_53_files_created_or_replaced_later_are_denied_in_open_folders() {
    let (world, disks) = world();
    let store = open(&disks, world.root.clone()).await;
    let (users, state) = (world.root.join("conf/users.toml"), world.root.join("state"));
    for round in 0..50 {
        let fresh = world.root.join("conf/.fresh");
        fs::write(&fresh, format!("{round}")).unwrap();
        fs::rename(&fresh, &users).unwrap();
        fs::write(state.join(format!("later-{round}")), "x").unwrap();
        symlink(format!("state/later-{round}"), world.root.join(format!("link-{round}"))).unwrap();
        let alias = world.root.join(format!("alias-{round}"));
        fs::hard_link(&users, &alias).unwrap();
        for at in
            ["/conf/users.toml".to_owned(), format!("/link-{round}"), format!("/alias-{round}")]
        {
            fails(store.read(&path(&at), 0).await.map(drop), DENIED, &at);
        }
        fs::remove_file(alias).unwrap();
    }
    store.read(&path("/top"), 0).await.unwrap();
}

#[tokio::test]
async fn row_53_virtual_folders_give_no_access() {
    let (world, disks) = world();
    let mut account =
        Account::new("anna", world.root.join("mine"), Rules::everywhere(Permissions::ALL));
    account.folders = vec![
        folder("/all", world.root.clone()),
        folder("/conf", world.root.join("conf")),
        folder("/state", world.root.join("state")),
    ];
    let store = disks.open(&account).await.unwrap();
    fails(store.read(&path("/all/state/key.pem"), 0).await.map(drop), DENIED, "below");
    fails(store.read(&path("/conf/users.toml"), 0).await.map(drop), DENIED, "beside");
    store.read(&path("/all/top"), 0).await.unwrap();
    // An account cannot use a directory of the server.
    assert!(store.read(&path("/state/key.pem"), 0).await.is_err());
    let within = Account { home: world.root.join("state/webhooks"), ..account };
    fails(disks.open(&within).await.map(drop), DENIED, "a home in the state");
}

fn folder(at: &str, target: PathBuf) -> Folder {
    Folder { at: path(at), target, quota: None, quota_files: None }
}

#[tokio::test]
async fn row_53_permissions_of_folders_above_them_cannot_be_changed() {
    use std::os::unix::fs::PermissionsExt;
    let (world, disks) = world();
    let root = &world.root;
    symlink("conf", root.join("link")).unwrap();
    let mode = |at: &str| fs::metadata(root.join(at)).unwrap().permissions().mode();
    let before = ["", "conf", "state"].map(mode);
    let store = open(&disks, root.clone()).await;
    for at in ["/", "/conf", "/link", "/state", "/conf/users.toml"] {
        fails(store.set(&path(at), Change::Mode(0o777)).await, DENIED, at);
    }
    assert_eq!(["", "conf", "state"].map(mode), before);
    for at in ["/mine", "/conf/deep", "/conf/deep/other"] {
        store.set(&path(at), Change::Mode(0o700)).await.unwrap();
        assert_eq!(mode(at.trim_start_matches('/')) & 0o700, 0o700, "{at}");
    }
    // An unchanged modification time does not bypass the check.
    let moment = store.stat(&path("/mine")).await.unwrap().modified;
    store.set(&path("/conf"), Change::Modified(moment)).await.unwrap();
}

/// A reload may name other files: open directories deny those, and the former ones no longer.
#[tokio::test]
async fn other_files_are_denied_at_once_in_directories_that_are_open() {
    let world = World::new();
    let root = &world.root;
    for file in ["old.pem", "new.pem"] {
        fs::write(root.join(file), file).unwrap();
    }
    let only = |name: &str| ServerFiles::new([(root.join(name), Extent::File)]);
    let files = only("old.pem");
    let disks = Disks::new(fast()).deny(files.clone());
    let store = open(&disks, root.clone()).await;
    assert_eq!(names(&*store, "/", ListDetail::Names).await, ["new.pem"]);
    files.replace_with(&only("new.pem"));
    assert_eq!(names(&*store, "/", ListDetail::Names).await, ["old.pem"]);
    fails(store.read(&path("/new.pem"), 0).await.map(drop), DENIED, "read");
    store.read(&path("/old.pem"), 0).await.unwrap();
}
