//! What a sweep removes, and what it keeps.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use wharf_storage::{DiskOptions, SweepReport, sweep};

use super::{World, fast};

const DAY: Duration = Duration::from_hours(24);

fn leave(at: &Path, age: Duration) -> File {
    let file = File::create_new(at).unwrap();
    file.set_len(10).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
    file
}

#[test]
fn row_41_only_old_unused_temporary_files_of_the_server_are_removed() {
    let world = World::new();
    let (a, b, c, d) =
        (["0"; 32].concat(), ["1"; 32].concat(), ["2"; 32].concat(), ["f"; 32].concat());
    fs::create_dir_all(world.root.join("x/y")).unwrap();
    symlink("../outside", world.root.join("link")).unwrap();
    leave(&world.root.join(format!("x/y/.wharf-{a}.part")), 2 * DAY);
    leave(&world.root.join(format!(".wharf-{b}.tmp")), 2 * DAY);
    leave(&world.root.join(format!("x/.wharf-{c}.part")), DAY / 2);
    let used = leave(&world.root.join(format!("x/.wharf-{d}.part")), 2 * DAY);
    used.lock().unwrap();
    leave(&world.root.join("x/.wharf-notes.part"), 2 * DAY);
    leave(&world.root.join("x/old"), 2 * DAY);
    leave(&world.outside.join(format!(".wharf-{a}.part")), 2 * DAY);
    symlink("../outside/secret", world.root.join(format!(".wharf-{a}.tmp"))).unwrap();

    let swept = sweep(&world.root, &fast()).unwrap();

    assert_eq!(swept, SweepReport { removed: 2, bytes: 20, retained: 3, skipped: 0 });
    assert_eq!(fs::read_dir(world.root.join("x")).unwrap().count(), 5);
    assert_eq!(fs::read_dir(world.root.join("x/y")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&world.outside).unwrap().count(), 2);
}

#[test]
fn row_41_without_retention_every_unused_temporary_file_is_removed() {
    let world = World::new();
    let name = format!(".wharf-{}.part", "0".repeat(32));
    leave(&world.root.join(name), Duration::ZERO);
    let options = DiskOptions { partial_upload_retention: Duration::ZERO, ..fast() };
    assert_eq!(sweep(&world.root, &options).unwrap().removed, 1);
}

#[test]
fn a_missing_root_is_an_error_of_its_kind() {
    let world = World::new();
    let error = sweep(&world.root.join("missing"), &fast()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}
