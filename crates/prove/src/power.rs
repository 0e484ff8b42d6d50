//! The power is cut at a random moment while several clients work: writes that the disk had not
//! flushed are lost, in whole, in part or in another order. Then the file system recovers from its
//! journal, and the server is started on it.
//!
//! With `durability = "full"` everything confirmed is there, complete. With `"fast"` it may be
//! lost, and new files may be hollow: empty, or zeros where the system had not written bytes. Their
//! number is reported; foreign bytes may not appear. The disk is simulated, see `drive`.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wharf_load::{Random, clock};

use crate::prove::content::ContentPool;
use crate::prove::drive::{self, Drive, Mounted};
use crate::prove::folder;
use crate::prove::proofs::{Proof, ProofExtent};
use crate::prove::report::ProofReport;
use crate::prove::run::ProofRun;
use crate::prove::server::ProofServer;
use crate::prove::workload::{Clients, Promise, check};

pub(crate) static PROOF: Proof = Proof {
    name: "power",
    about: "power failures: full loses nothing confirmed, fast shows no foreign bytes",
    unit: "power failures",
    short: ProofExtent::count(10),
    long: ProofExtent::count(200),
    mounts: true,
    run,
};

/// Space for the uploads of four clients in the given time.
const DRIVE_BYTES: usize = 128 << 20;
const PAUSE: Duration = Duration::from_millis(5);
/// Attempts for an operation that a killed server may still block.
const TRIES_MAX: u32 = 400;

fn run(run: &ProofRun, report: &ProofReport) -> Result<(), String> {
    let pool = ContentPool::new();
    let folder = run.folder()?;
    let drive = Drive::new(folder.path(), DRIVE_BYTES)?;
    drive.format()?;
    let blank = drive.image();
    let mut server = ProofServer::new(run)?;
    let place = folder.path().join("mounted");
    server.homes_at(&place);
    for seed in run.seeds(report) {
        let mut random = Random::new(seed);
        drive.restore(&blank);
        // Odd and even seeds alternate, so that any two rounds test both.
        let (durability, promise) = if seed.is_multiple_of(2) {
            ("full", Promise::SurvivingWrites)
        } else {
            ("fast", Promise::Own)
        };
        server.set("files", &format!("durability = {durability:?}"));
        let result = one_cut(&mut server, &drive, &place, &pool, (&mut random, promise), report);
        let result = result.map_err(|what| format!("{durability}: {what}"));
        report.add(durability, 1.0);
        report.ended(seed, result);
    }
    server.kill();
    Ok(())
}

fn one_cut(
    server: &mut ProofServer,
    drive: &Drive,
    place: &Path,
    pool: &ContentPool,
    (random, promise): (&mut Random, Promise),
    report: &ProofReport,
) -> Result<(), String> {
    let mounted = drive.mount(place)?;
    folder::make(&server.home())?;
    let clients = Clients::prepared(server, pool, random)?;
    mounted.sync()?;
    server.start()?;
    let (mut chance, hurry) = (random.fork(), random.fork());
    let mut image = Vec::new();
    let is_over = AtomicBool::new(false);
    let workload = std::thread::scope(|scope| {
        scope.spawn(|| sync_other_file(mounted.path(), hurry, &is_over));
        let workload = clients.run_until(server, pool, random, |server| {
            image = drive.cut(&mut chance);
            server.kill();
        });
        is_over.store(true, Ordering::SeqCst);
        workload
    });
    let ended = end(&mounted);
    let workload = workload?;
    ended?;
    report.add("confirmed", workload.confirmed());
    drive.restore(&image);
    let mounted = drive.mount(place)?;
    let _reboot = drive::new_boot(place, random.number())?;
    let checked = server.start().and_then(|()| check(server, pool, &workload, random, promise));
    server.kill();
    let ended = end(&mounted);
    let found = checked?;
    report.add("resumed", found.resumed);
    if promise == Promise::Own {
        report.add("fast: rounds with hollow files", f64::from(u8::from(found.hollow > 0.0)));
    }
    ended
}

/// Another program that syncs its own file now and then. That makes the kernel write the journal,
/// with all renames of the server so far, but not the contents that are still in memory.
fn sync_other_file(place: &Path, mut random: Random, is_over: &AtomicBool) {
    let path = place.join("sibling");
    while !is_over.load(Ordering::Relaxed) {
        let synced = File::create(&path).and_then(|mut file| {
            file.write_all(b"new")?;
            file.sync_all()
        });
        if synced.is_err() {
            return;
        }
        let micros = u64::try_from(random.small_index(SYNC_PAUSE_MICROS_MAX)).unwrap_or(0);
        clock::pause(Duration::from_micros(micros));
    }
}

const SYNC_PAUSE_MICROS_MAX: usize = 60_000;

/// Unmounts the disk once the killed server has released it.
fn end(mounted: &Mounted) -> Result<(), String> {
    let mut result = mounted.try_end();
    for _ in 0..TRIES_MAX {
        if result.is_ok() {
            break;
        }
        clock::pause(PAUSE);
        result = mounted.try_end();
    }
    result
}
