//! Another process repeatedly replaces a directory by a link that leads out, while operations run
//! in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{RenameFlags, renameat_with};
use wharf_core::storage::{Change, Replace, Storage};

use super::{CONFINEMENTS, World, content, fast, path, put};

const ROUNDS: usize = 1500;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn row_29_no_concurrent_replacement_leads_out_of_the_root() {
    for confinement in CONFINEMENTS {
        let world = World::new();
        fs::create_dir(world.root.join("d")).unwrap();
        symlink("../outside", world.root.join("l")).unwrap();
        let (ended, folder) = (Arc::new(AtomicBool::new(false)), world.root.clone());
        let stop = Arc::clone(&ended);
        let swapper = std::thread::spawn(move || {
            let folder = fs::File::open(folder).unwrap();
            let mut swaps = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                renameat_with(&folder, "d", &folder, "l", RenameFlags::EXCHANGE).unwrap();
                swaps += 1;
            }
            swaps
        });
        let disk = world.disk_by(confinement, &fast());
        let mut worked = 0;
        for _ in 0..ROUNDS {
            let secret = path("/d/secret");
            if let Ok(read) = content(&disk, &secret).await {
                assert_eq!(read, b"inside", "what was read lies in the root");
            }
            // All may fail, and none may change anything outside.
            worked += usize::from(put(&disk, "/d/secret", b"inside").await.is_ok());
            let _ = disk.set(&secret, Change::Mode(0o640)).await;
            let _ = disk.make_dir(&path("/d/new")).await;
            let _ = disk.rename(&secret, &path("/d/other"), Replace::Allowed).await;
            let _ = disk.remove_file(&path("/d/other")).await;
            let _ = disk.remove_dir(&path("/d/new")).await;
        }
        ended.store(true, Ordering::Relaxed);
        let swaps = swapper.join().unwrap();
        assert!(swaps > 0 && worked > 0, "{swaps} swaps, {worked} uploads: nothing was tried");
        world.outside_is_untouched();
    }
}
