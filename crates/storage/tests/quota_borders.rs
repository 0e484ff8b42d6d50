//! Nested homes, each with a quota: no operation across the border frees quota.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use wharf_core::account::{Account, Size};
use wharf_core::error::{ErrorKind, Result};
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::{Replace, Start, Storage, Stores, UsedSpace, Write};
use wharf_proto::path::VPath;
use wharf_storage::{DiskOptions, Disks, Durability, Quota, Quotas};

const BYTES_MAX: u64 = 2000;

fn path(text: &str) -> VPath {
    VPath::root().resolve(text.as_bytes()).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a store gives")]
fn used(bytes: u64, files: u64) -> Option<UsedSpace> {
    Some(UsedSpace { bytes, files })
}

/// A home of `anna` that contains the home of `bert`.
struct TestHome {
    home: PathBuf,
    inner: PathBuf,
    quotas: Quotas,
    disks: Disks,
    outer: Arc<dyn Storage>,
    inside: Arc<dyn Storage>,
    _folder: tempfile::TempDir,
}

impl TestHome {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        let inner = home.join("in");
        fs::create_dir_all(&inner).unwrap();
        let quotas = Quotas::open(folder.path().join("state"), Quota::UNLIMITED);
        let options = DiskOptions { durability: Durability::Fast, ..DiskOptions::default() };
        let disks = Disks::new(options).with_quotas(quotas.clone());
        let outer = disks.open(&account("anna", &home)).await.unwrap();
        let inside = disks.open(&account("bert", &inner)).await.unwrap();
        for store in [&outer, &inside] {
            // Waits until it is counted.
            drop(store.remove_file(&path("/none")).await);
        }
        Self { home, inner, quotas, disks, outer, inside, _folder: folder }
    }

    fn outer_used(&self) -> Option<UsedSpace> {
        self.quotas.used(&self.home)
    }

    fn inner_used(&self) -> Option<UsedSpace> {
        self.quotas.used(&self.inner)
    }

    /// Both log in again, and their homes are counted correctly.
    async fn is_right_at_the_next_login(&self, context: &str) {
        for (name, home) in [("anna", &self.home), ("bert", &self.inner)] {
            let _store = self.disks.open(&account(name, home)).await.unwrap();
            // Not until the number is right: it may be right before the count, which also
            // determines what may be subtracted afterwards.
            while self.quotas.is_counting() {
                tokio::task::yield_now().await;
            }
            assert_eq!(self.quotas.used(home), Some(walked(home)), "{context}: {name}");
        }
    }
}

fn account(name: &str, home: &Path) -> Account {
    let mut account = Account::new(name, home, Rules::everywhere(Permissions::ALL));
    account.limits.quota = Some(Size::from_bytes(BYTES_MAX));
    account
}

async fn put_from(store: &dyn Storage, at: &str, bytes: usize, start: Start) -> Result<()> {
    let how = Write { start, replace: Replace::Allowed };
    let mut sink = store.write(&path(at), how).await?;
    sink.write(Bytes::from(vec![1; bytes])).await?;
    sink.sync().await?;
    sink.commit().await.map(drop)
}

async fn put(store: &dyn Storage, at: &str, bytes: usize) -> Result<()> {
    put_from(store, at, bytes, Start::Fresh).await
}

async fn rename(store: &dyn Storage, from: &str, to: &str) -> Result<()> {
    store.rename(&path(from), &path(to), Replace::Allowed).await
}

fn is_over(done: Result<()>, context: &str) {
    assert_eq!(done.unwrap_err().kind, ErrorKind::OverQuota, "{context}");
}

/// The actual usage, determined independently of the code under test.
fn walked(folder: &Path) -> UsedSpace {
    let mut used = UsedSpace::default();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let facts = entry.metadata().unwrap();
        used.files += 1;
        if facts.is_dir() {
            let below = walked(&entry.path());
            used = UsedSpace { bytes: used.bytes + below.bytes, files: used.files + below.files };
        } else {
            used.bytes += facts.len();
        }
    }
    used
}

#[tokio::test]
async fn row_37_replacing_a_file_of_an_inner_home_frees_no_quota_of_the_outer_one() {
    for act in ["store", "rename onto", "append and remove"] {
        let place = TestHome::new().await;
        let outer = &*place.outer;
        put(&*place.inside, "/theirs", 1500).await.unwrap();
        put(outer, "/mine", 1500).await.unwrap();
        put(outer, "/small", 1).await.unwrap();
        match act {
            "store" => put(outer, "/in/theirs", 1).await.unwrap(),
            "rename onto" => rename(outer, "/small", "/in/theirs").await.unwrap(),
            _ => {
                put_from(outer, "/in/theirs", 1, Start::End).await.unwrap();
                outer.remove_file(&path("/in/theirs")).await.unwrap();
            }
        }
        is_over(put(outer, "/more", 600).await, act);
        assert!(place.outer_used().unwrap().bytes >= 1500, "{act}");
        assert_eq!(place.inner_used(), used(1500, 1), "{act}");
        // Replacing a file outside of the inner home frees quota as usual.
        put(outer, "/mine", 100).await.unwrap();
        put(outer, "/more", 600).await.unwrap();
        place.is_right_at_the_next_login(act).await;
    }
}

#[tokio::test]
async fn row_37_files_that_the_outer_account_stores_in_an_inner_home_free_no_quota_there() {
    for act in ["store", "append", "rename", "rename a folder", "make a folder"] {
        let place = TestHome::new().await;
        let (outer, inside) = (&*place.outer, &*place.inside);
        put(inside, "/old", 1000).await.unwrap();
        match act {
            "store" => put(outer, "/in/came", 900).await.unwrap(),
            "append" => put_from(outer, "/in/old", 900, Start::End).await.unwrap(),
            "rename" => {
                put(outer, "/came", 900).await.unwrap();
                rename(outer, "/came", "/in/came").await.unwrap();
            }
            "rename a folder" => {
                outer.make_dir(&path("/d")).await.unwrap();
                put(outer, "/d/came", 900).await.unwrap();
                rename(outer, "/d", "/in/d").await.unwrap();
            }
            _ => outer.make_dir(&path("/in/came")).await.unwrap(),
        }
        let gone = match act {
            "append" => inside.remove_file(&path("/old")).await,
            "rename a folder" => inside.remove_file(&path("/d/came")).await,
            "make a folder" => inside.remove_dir(&path("/came")).await,
            _ => put(inside, "/came", 0).await,
        };
        gone.unwrap();
        let counted = place.inner_used().unwrap();
        assert!(counted.bytes >= 1000 && counted.files >= 1, "{act}: {counted:?}");
        is_over(put(inside, "/more", 1100).await, act);
        place.is_right_at_the_next_login(act).await;
        // Files counted since are removed as usual.
        drop(inside.remove_file(&path("/old")).await);
        put(inside, "/more", 1100).await.unwrap();
    }
}

#[tokio::test]
async fn row_37_files_moved_out_of_an_inner_home_count_in_the_outer_one() {
    for at in ["/f", "/d"] {
        let place = TestHome::new().await;
        let (outer, inside) = (&*place.outer, &*place.inside);
        put(outer, "/mine", 1000).await.unwrap();
        inside.make_dir(&path("/d")).await.unwrap();
        put(inside, "/d/f", 900).await.unwrap();
        put(inside, "/f", 900).await.unwrap();
        rename(outer, &format!("/in{at}"), at).await.unwrap();
        is_over(put(outer, "/more", 200).await, at);
        // It is unknown whether it was counted: removing it frees no quota before the next count.
        outer.remove_file(&path(if at == "/d" { "/d/f" } else { at })).await.unwrap();
        is_over(put(outer, "/more", 200).await, at);
        place.is_right_at_the_next_login(at).await;
        outer.remove_file(&path("/mine")).await.unwrap();
        put(outer, "/more", 1000).await.unwrap();
    }
}

#[tokio::test]
async fn row_37_nothing_can_be_moved_out_of_an_inner_home_into_a_full_one() {
    let place = TestHome::new().await;
    let (outer, inside) = (&*place.outer, &*place.inside);
    put(outer, "/mine", 2000).await.unwrap();
    for name in ["/a", "/b"] {
        put(inside, name, 500).await.unwrap();
    }
    // At most once more than fits can be moved out.
    rename(outer, "/in/a", "/a").await.unwrap();
    is_over(rename(outer, "/in/b", "/b").await, "twice");
    rename(outer, "/in/b", "/in/c").await.unwrap();
    rename(outer, "/mine", "/yours").await.unwrap();
    place.is_right_at_the_next_login("both").await;
}

#[tokio::test]
async fn row_37_changes_of_the_inner_account_are_counted_in_the_outer_home_at_the_next_login() {
    let place = TestHome::new().await;
    let (outer, inside) = (&*place.outer, &*place.inside);
    put(outer, "/in/came", 500).await.unwrap();
    place.is_right_at_the_next_login("stored").await;
    inside.remove_file(&path("/came")).await.unwrap();
    assert_eq!(place.inner_used(), used(0, 0));
    assert_eq!(place.outer_used(), used(500, 2));
    place.is_right_at_the_next_login("removed").await;
    put(inside, "/own", 100).await.unwrap();
    place.is_right_at_the_next_login("stored inside").await;
}
