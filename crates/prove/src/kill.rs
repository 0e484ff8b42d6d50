//! The server is killed (SIGKILL) at a random moment of uploads, appends, renames, deletions and
//! resumptions by several clients, and started again.
//!
//! Then under each final name there is the old content, the whole new one, or nothing, as the
//! command under way allows; all that was confirmed is there; what a cut upload left is hidden, is
//! little, and can be resumed to the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::prove::client::Client;
use crate::prove::clock;
use crate::prove::content::{Content, Pool};
use crate::prove::folder;
use crate::prove::proofs::{Plan, Proof};
use crate::prove::random::Random;
use crate::prove::report::Report;
use crate::prove::run::Run;
use crate::prove::server::Server;

mod shelf;
mod verdict;

use shelf::Shelf;

pub(crate) static PROOF: Proof = Proof {
    name: "kill",
    about: "kill -9 at any moment of STOR, APPE, RNTO, DELE and resuming: old, new or nothing",
    unit: "kills",
    short: Plan::count(25),
    long: Plan::count(1000),
    mounts: false,
    run,
};

const CLIENTS: usize = 4;
/// The name to which all clients upload at a time.
const SHARED: &str = "shared";
/// The kill comes this long after all have logged in, at most.
const KILL_MAX: Duration = Duration::from_millis(120);

/// What all clients did in a round, up to the kill.
#[derive(Debug)]
struct Story {
    shelves: Vec<Shelf>,
    /// What may be under the shared name, and whether something must be.
    shared: Vec<Content>,
    is_shared_there: bool,
}

fn run(run: &Run, report: &Report) -> Result<(), String> {
    let pool = Pool::new();
    let mut server = Server::new(run)?;
    let mut round = 0;
    while report.goes_on() {
        let seed = run.seed_of(round);
        report.ended(seed, one_kill(&mut server, &pool, seed, report));
        round += 1;
    }
    Ok(())
}

/// One round, with all that it needs made from its seed.
fn one_kill(server: &mut Server, pool: &Pool, seed: u64, report: &Report) -> Result<(), String> {
    let mut random = Random::new(seed);
    server.kill();
    folder::make(&server.home())?;
    folder::empty(&server.home())?;
    let durability = if random.once_in(2) { "full" } else { "fast" };
    server.set("files", &format!("durability = {durability:?}"));
    let mut shelves = Vec::new();
    for number in 0..CLIENTS {
        shelves.push(Shelf::filled(number, pool, &mut random, &server.home())?);
    }
    server.start()?;
    let story = until_killed(server, pool, shelves, &mut random)?;
    for shelf in &story.shelves {
        report.add("confirmed", shelf.confirmed());
    }
    server.start()?;
    let resumed = verdict::check(server, pool, &story, &mut random)?;
    report.add("resumed", resumed);
    Ok(())
}

/// Lets the clients work, kills the server, and returns what they did.
fn until_killed(
    server: &mut Server,
    pool: &Pool,
    shelves: Vec<Shelf>,
    random: &mut Random,
) -> Result<Story, String> {
    let mut clients = Vec::new();
    for shelf in shelves {
        // All log in before the first begins, else the last would have done nothing by the kill.
        let client = server.client(random.once_in(2))?;
        clients.push((client, shelf, random.fork()));
    }
    let is_killed = AtomicBool::new(false);
    let start = Barrier::new(CLIENTS + 1);
    let wait = moment(random);
    let ended = std::thread::scope(|scope| {
        let work = |(client, shelf, random): (Client, Shelf, Random)| {
            let (start, is_killed) = (&start, &is_killed);
            scope.spawn(move || {
                start.wait();
                shelf.work(client, pool, random, is_killed)
            })
        };
        let threads: Vec<_> = clients.into_iter().map(work).collect();
        start.wait();
        clock::pause(wait);
        is_killed.store(true, Ordering::SeqCst);
        server.kill();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut story = Story { shelves: Vec::new(), shared: Vec::new(), is_shared_there: false };
    for worked in ended {
        let (shelf, shared) = worked.map_err(|_| "a client panicked".to_owned())??;
        story.is_shared_there |= shared.is_confirmed;
        story.shared.extend(shared.tried);
        story.shelves.push(shelf);
    }
    Ok(story)
}

/// When the kill comes: half of the kills early, where logins turn into first uploads.
fn moment(random: &mut Random) -> Duration {
    let most = usize::try_from(KILL_MAX.as_micros()).unwrap_or(usize::MAX);
    let micros = if random.once_in(2) { random.below(most) } else { random.skewed_below(most) };
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// The files of the home: names that clients may see with their bytes, and how many others.
fn on_disk(server: &Server) -> Result<(BTreeMap<String, Vec<u8>>, usize), String> {
    let home = server.home();
    let told = |error| format!("cannot read {}: {error}", home.display());
    let (mut files, mut hidden) = (BTreeMap::new(), 0);
    for entry in std::fs::read_dir(&home).map_err(told)? {
        let entry = entry.map_err(told)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".wharf-") {
            hidden += 1;
        } else {
            files.insert(name, std::fs::read(entry.path()).map_err(told)?);
        }
    }
    Ok((files, hidden))
}

/// The names as a client sees them.
fn seen(client: &mut Client) -> Result<BTreeSet<String>, String> {
    Ok(client.names()?.into_iter().collect())
}
