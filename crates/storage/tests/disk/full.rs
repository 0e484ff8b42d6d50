//! A full disk: a real file system of one mebibyte in a separate mount namespace.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use wharf_core::error::{ErrorKind, Result};
use wharf_core::storage::{Sink, Start, Storage};
use wharf_storage::Disk;

use super::{World, begin, content, fast, feed, path, put};

/// A small file system, mounted while this value exists.
struct Small {
    holder: Child,
    root: PathBuf,
}

impl Small {
    /// Mounts it in the mount namespace of a child process, and accesses it through that process.
    fn mounted_at(world: &World) -> Self {
        let place = world.root.canonicalize().unwrap();
        let script = "mount -t tmpfs -o size=1m none \"$0\" && echo mounted && read forever";
        let mut holder = Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", script])
            .arg(&place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`unshare` of the package util-linux makes a mount namespace");
        let mut context = String::new();
        let read = BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut context);
        assert!(
            read.is_ok() && context == "mounted\n",
            "this system must let us mount a small file system: run as root, or allow user \
             namespaces (sysctl kernel.unprivileged_userns_clone=1)"
        );
        let inside = place.strip_prefix("/").unwrap();
        let root = PathBuf::from(format!("/proc/{}/root", holder.id())).join(inside);
        Self { holder, root }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

async fn fill(sink: &mut Box<dyn Sink>) -> Result<()> {
    for _ in 0..64 {
        sink.write(Bytes::from(vec![9; 64 * 1024])).await?;
    }
    Ok(())
}

#[tokio::test]
async fn row_36_a_full_disk_frees_temporary_files_and_stays_usable() {
    let world = World::new();
    let small = Small::mounted_at(&world);
    let root = small.root.clone();
    let disk = Disk::open(&root, "anna", &fast()).unwrap();
    put(&disk, "/old", b"old").await.unwrap();

    // A new upload frees its space.
    let mut sink = begin(&disk, "/old", Start::Fresh).await;
    assert_eq!(fill(&mut sink).await.unwrap_err().kind, ErrorKind::NoSpace);
    sink.abort().await;
    assert_eq!(disk.partial(&path("/old")).await.unwrap(), None);
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 1);

    // A resumed upload is truncated to its length when it was resumed.
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
