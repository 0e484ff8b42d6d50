//! Disk storage meets the storage contract, with every method of confining paths.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::path::Path;
use std::sync::Arc;

use wharf_core::conformance;
use wharf_storage::{Disk, DiskOptions, Durability, FollowSymlinks};

type Open = fn(&Path, &str, &DiskOptions) -> io::Result<Disk>;

async fn keeps_the_contract(open: Open, options: DiskOptions) {
    let above = tempfile::tempdir().unwrap();
    conformance::storage(|| {
        let root = tempfile::tempdir_in(above.path()).unwrap().keep();
        Arc::new(open(&root, "anna", &options).unwrap())
    })
    .await;
}

fn fast(follow_symlinks: FollowSymlinks) -> DiskOptions {
    DiskOptions { durability: Durability::Fast, follow_symlinks, ..DiskOptions::default() }
}

#[tokio::test]
async fn a_durable_disk_meets_the_storage_contract() {
    keeps_the_contract(
        |root, name, options| Disk::open(root, name, options),
        DiskOptions::default(),
    )
    .await;
}

#[tokio::test]
async fn a_fast_disk_meets_the_storage_contract() {
    for links in [FollowSymlinks::Inside, FollowSymlinks::Never, FollowSymlinks::Always] {
        keeps_the_contract(|root, name, options| Disk::open(root, name, options), fast(links))
            .await;
    }
}

#[tokio::test]
async fn a_disk_without_openat2_meets_the_storage_contract() {
    for links in [FollowSymlinks::Inside, FollowSymlinks::Never, FollowSymlinks::Always] {
        keeps_the_contract(
            |root, name, options| Disk::open_walking(root, name, options),
            fast(links),
        )
        .await;
    }
}

#[tokio::test]
async fn a_disk_without_partial_uploads_meets_the_storage_contract() {
    let options = DiskOptions {
        partial_upload_retention: std::time::Duration::ZERO,
        ..fast(FollowSymlinks::Inside)
    };
    keeps_the_contract(|root, name, options| Disk::open(root, name, options), options).await;
}
