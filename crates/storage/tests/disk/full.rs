//! A disk that is full, for real: a file system of one mebibyte in a mount namespace of our own.

use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use wharf_core::error::{ErrorKind, Result};
use wharf_core::storage::{Sink, Start, Storage};
use wharf_storage::Disk;

use super::{World, begin, content, fast, feed, path, put};

/// Tells the inner test where its file system is.
const WHERE: &str = "WHARF_TEST_FULL_DISK";

/// Fails only where a small file system could be mounted and something was wrong on it; where the
/// system forbids that (`unshare --mount`), it says so and passes.
#[test]
fn a_full_disk_frees_what_it_can_and_serves_on() {
    let world = World::new();
    let mount = format!("mount -t tmpfs -o size=1m none '{}'", world.root.display());
    let run = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", script]);
        command.env(WHERE, &world.root).output()
    };
    if !run(&mount).is_ok_and(|tried| tried.status.success()) {
        println!("left out: this system lets us mount no small file system");
        return;
    }
    let own = std::env::current_exe().unwrap();
    let inner = format!("{mount} && '{}' --ignored --exact full::inner", own.display());
    let ended = run(&inner).unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && told.contains("1 passed"), "{told}");
}

async fn fill(sink: &mut Box<dyn Sink>) -> Result<()> {
    for _ in 0..64 {
        sink.write(Bytes::from(vec![9; 64 * 1024])).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs the small file system that the test above makes"]
async fn inner() {
    let root = PathBuf::from(std::env::var_os(WHERE).unwrap());
    let disk = Disk::open(&root, "anna", &fast()).unwrap();
    put(&disk, "/old", b"old").await.unwrap();

    // A fresh upload gives its room back.
    let mut sink = begin(&disk, "/old", Start::Fresh).await;
    assert_eq!(fill(&mut sink).await.unwrap_err().kind, ErrorKind::NoSpace);
    sink.abort().await;
    assert_eq!(disk.partial(&path("/old")).await.unwrap(), None);
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 1);

    // A resumed one goes back to what it was resumed with.
    let mut sink = begin(&disk, "/new", Start::Fresh).await;
    feed(&mut sink, b"01234").await;
    sink.abort().await;
    let mut sink = begin(&disk, "/new", Start::End).await;
    assert_eq!(fill(&mut sink).await.unwrap_err().kind, ErrorKind::NoSpace);
    drop(sink);
    let mut sink = begin(&disk, "/new", Start::At(5)).await;
    feed(&mut sink, b"5").await;
    sink.commit().await.unwrap();

    assert_eq!(content(&disk, &path("/new")).await.unwrap(), b"012345");
    assert_eq!(content(&disk, &path("/old")).await.unwrap(), b"old");
    put(&disk, "/big", &vec![1; 512 * 1024]).await.unwrap();
}
