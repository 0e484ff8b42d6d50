//! Properties of disk storage beyond the storage contract.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod full;
mod killed;
mod links;
mod names;
mod race;
mod server_files;
mod sweep;
mod uploads;

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use wharf_core::error::{ErrorKind, Result};
use wharf_core::storage::{Entries, ListDetail, Replace, Sink, Source, Start, Storage, Write};
use wharf_proto::path::VPath;
use wharf_storage::{Disk, DiskOptions, Durability};

/// How often a test checks for the result of a background thread.
const POLLS_MAX: usize = 200_000;

/// A directory to serve, and another beside it that must not change.
struct World {
    root: PathBuf,
    outside: PathBuf,
    _folder: tempfile::TempDir,
}

/// How paths are confined to the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Confinement {
    /// The best method of the system.
    Best,
    /// One name at a time.
    Walk,
}

const CONFINEMENTS: [Confinement; 2] = [Confinement::Best, Confinement::Walk];

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Some tests create links with this path, which must not contain links itself.
        let above = folder.path().canonicalize().unwrap();
        let (root, outside) = (above.join("home"), above.join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        Self { root, outside, _folder: folder }
    }

    fn disk(&self, options: &DiskOptions) -> Disk {
        Disk::open(&self.root, "anna", options).unwrap()
    }

    fn disk_by(&self, confinement: Confinement, options: &DiskOptions) -> Disk {
        match confinement {
            Confinement::Best => self.disk(options),
            Confinement::Walk => Disk::open_walking(&self.root, "anna", options).unwrap(),
        }
    }

    /// The names in the root on disk, including hidden ones, except records beside unfinished
    /// uploads.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.root).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into()).collect();
        let ends = |name: &str| name.rsplit('.').next().map(str::to_owned);
        let is_note = |name: &str| matches!(ends(name).as_deref(), Some("base" | "none"));
        names.retain(|name| !name.starts_with(".wharf-") || !is_note(name));
        names.sort();
        names
    }

    /// The system path of the only temporary file in the root.
    fn temporary(&self) -> PathBuf {
        let names = self.names();
        let mut hidden = names.iter().filter(|name| name.starts_with(".wharf-"));
        let (Some(name), None) = (hidden.next(), hidden.next()) else {
            panic!("not one temporary in {names:?}");
        };
        self.root.join(name)
    }

    /// Fails if anything outside changed.
    fn outside_is_untouched(&self) {
        let names: Vec<_> = fs::read_dir(&self.outside).unwrap().collect();
        assert_eq!(names.len(), 1, "something came or went outside: {names:?}");
        assert_eq!(fs::read(self.outside.join("secret")).unwrap(), b"secret");
    }
}

fn fast() -> DiskOptions {
    DiskOptions { durability: Durability::Fast, ..DiskOptions::default() }
}

fn path(text: impl AsRef<[u8]>) -> VPath {
    VPath::root().resolve(text.as_ref()).unwrap()
}

fn write(start: Start) -> Write {
    Write { start, replace: Replace::Allowed }
}

async fn begin(disk: &Disk, at: &str, start: Start) -> Box<dyn Sink> {
    disk.write(&path(at), write(start)).await.unwrap()
}

async fn feed(sink: &mut Box<dyn Sink>, content: &[u8]) {
    sink.write(Bytes::copy_from_slice(content)).await.unwrap();
}

async fn put(disk: &Disk, at: &str, content: &[u8]) -> Result<()> {
    let mut sink = disk.write(&path(at), write(Start::Fresh)).await?;
    sink.write(Bytes::copy_from_slice(content)).await?;
    sink.commit().await.map(drop)
}

async fn content(disk: &Disk, at: &VPath) -> Result<Vec<u8>> {
    let (mut file, from, len) = match disk.read(at, 0).await? {
        Source::File { file, from, len } => (file, from, len),
        Source::Bytes(bytes) => return Ok(bytes.to_vec()),
        Source::Stream(_) => panic!("a folder hands out files"),
    };
    let mut content = Vec::new();
    file.seek(SeekFrom::Start(from)).unwrap();
    file.take(len).read_to_end(&mut content).unwrap();
    Ok(content)
}

async fn listed(disk: &Disk, at: &str) -> Vec<wharf_proto::entry::Entry> {
    let Entries::Blocking(entries) = disk.list(&path(at), ListDetail::Facts).await.unwrap() else {
        panic!("a folder is read by blocking calls");
    };
    entries.collect::<Result<_>>().unwrap()
}

#[track_caller]
fn fails<T>(result: Result<T>, kinds: &[ErrorKind], what: &str) {
    match result {
        Ok(_) => panic!("{what}: it worked"),
        Err(error) => assert!(kinds.contains(&error.kind), "{what}: {error} ({:?})", error.kind),
    }
}

fn shared(disk: &Disk) -> Arc<dyn Storage> {
    Arc::new(disk.clone())
}
