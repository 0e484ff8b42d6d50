//! The power is cut at a random moment while several clients work: what the disk had not flushed
//! is lost, in whole, in part or in another order. Then the file system mends itself from its
//! journal, and the server is started on it.
//!
//! With `durability = "full"` all that was confirmed is there, and whole. With `"fast"` it may be
//! lost, and what was new may be hollow: empty, or zeros where the system had not written bytes.
//! How often is told; bytes of anything else may not appear. The disk is our own, see
//! `drive`.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::prove::clock;
use crate::prove::content::Pool;
use crate::prove::drive::{self, Drive, Mounted};
use crate::prove::folder;
use crate::prove::proofs::{Plan, Proof};
use crate::prove::random::Random;
use crate::prove::report::Report;
use crate::prove::run::Run;
use crate::prove::server::Server;
use crate::prove::story::{Cast, Promise, check};

pub(crate) static PROOF: Proof = Proof {
    name: "power",
    about: "the power is cut: full loses and tears nothing confirmed, fast shows no foreign bytes",
    unit: "power cuts",
    short: Plan::count(10),
    long: Plan::count(200),
    mounts: true,
    run,
};

/// Room for what four clients upload in the time that they have.
const DRIVE_BYTES: usize = 128 << 20;
const PAUSE: Duration = Duration::from_millis(5);
/// How often something is tried that a server which is just gone may still hold up.
const TRIES_MAX: u32 = 400;

fn run(run: &Run, report: &Report) -> Result<(), String> {
    let pool = Pool::new();
    let folder = run.folder()?;
    let drive = Drive::new(folder.path(), DRIVE_BYTES)?;
    drive.format()?;
    let blank = drive.image();
    let mut server = Server::new(run)?;
    let place = folder.path().join("mounted");
    server.homes_at(&place);
    let mut round = 0;
    while report.goes_on() {
        let seed = run.seed_of(round);
        round += 1;
        let mut random = Random::new(seed);
        drive.restore(&blank);
        // Odd and even seeds take turns, so that any two rounds try both.
        let (durability, promise) =
            if seed.is_multiple_of(2) { ("full", Promise::Kept) } else { ("fast", Promise::Own) };
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
    server: &mut Server,
    drive: &Drive,
    place: &Path,
    pool: &Pool,
    (random, promise): (&mut Random, Promise),
    report: &Report,
) -> Result<(), String> {
    let mounted = drive.mount(place)?;
    folder::make(&server.home())?;
    let cast = Cast::prepared(server, pool, random)?;
    mounted.sync()?;
    server.start()?;
    let (mut chance, hurry) = (random.fork(), random.fork());
    let mut image = Vec::new();
    let is_over = AtomicBool::new(false);
    let story = std::thread::scope(|scope| {
        scope.spawn(|| neighbour(mounted.path(), hurry, &is_over));
        let story = cast.live(server, pool, random, |server| {
            image = drive.cut(&mut chance);
            server.kill();
        });
        is_over.store(true, Ordering::SeqCst);
        story
    });
    let ended = end(&mounted);
    let story = story?;
    ended?;
    report.add("confirmed", story.confirmed());
    drive.restore(&image);
    let mounted = drive.mount(place)?;
    let _reboot = drive::new_boot(place, random.next())?;
    let checked = server.start().and_then(|()| check(server, pool, &story, random, promise));
    server.kill();
    let ended = end(&mounted);
    let found = checked?;
    report.add("resumed", found.resumed);
    if promise == Promise::Own {
        report.add("fast: rounds with hollow files", f64::from(u8::from(found.hollow > 0.0)));
    }
    ended
}

/// Another program that syncs a file of its own now and then. That makes the journal be written,
/// with all renames of the server so far, and none of the contents that wait in memory.
fn neighbour(place: &Path, mut random: Random, is_over: &AtomicBool) {
    let path = place.join("neighbour");
    while !is_over.load(Ordering::Relaxed) {
        let synced = File::create(&path).and_then(|mut file| {
            file.write_all(b"news")?;
            file.sync_all()
        });
        if synced.is_err() {
            return;
        }
        let micros = u64::try_from(random.skewed_below(NEIGHBOUR_MICROS_MAX)).unwrap_or(0);
        clock::pause(Duration::from_micros(micros));
    }
}

const NEIGHBOUR_MICROS_MAX: usize = 60_000;

/// Unmounts once the server, which was just killed, has let go.
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
