//! What several clients do at a time until the server meets its end, and what must hold then:
//! shared by the proofs that kill it and those that cut its power.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::prove::client::Client;
use crate::prove::clock;
use crate::prove::content::{Content, Pool};
use crate::prove::random::Random;
use crate::prove::server::Server;

mod shelf;
mod verdict;

use shelf::Shelf;

pub(crate) use verdict::{Promise, check};

/// How many clients there are.
const CLIENTS: usize = 4;
/// The name to which all clients upload at a time.
const SHARED: &str = "shared";
/// The end comes this long after all have logged in, at most.
const END_MAX: Duration = Duration::from_millis(120);

/// What all clients did, up to the end.
#[derive(Debug)]
pub(crate) struct Story {
    shelves: Vec<Shelf>,
    /// What may be under the shared name, and whether something must be.
    shared: Vec<Content>,
    is_shared_there: bool,
}

/// The clients before they begin, each with files of its own.
#[derive(Debug)]
pub(crate) struct Cast(Vec<Shelf>);

impl Cast {
    /// Writes the files that are there in the beginning into the server's home.
    pub(crate) fn prepared(
        server: &Server,
        pool: &Pool,
        random: &mut Random,
    ) -> Result<Self, String> {
        let home = server.home();
        let filled = (0..CLIENTS).map(|number| Shelf::filled(number, pool, random, &home));
        Ok(Self(filled.collect::<Result<_, _>>()?))
    }

    /// Lets the clients work, brings the end about, and returns what they did.
    pub(crate) fn live(
        self,
        server: &mut Server,
        pool: &Pool,
        random: &mut Random,
        end: impl FnOnce(&mut Server),
    ) -> Result<Story, String> {
        let mut clients = Vec::new();
        for shelf in self.0 {
            // All log in before the first begins, else the last would have done nothing.
            let client = server.client(random.once_in(2))?;
            clients.push((client, shelf, random.fork()));
        }
        let is_ended = AtomicBool::new(false);
        let start = Barrier::new(CLIENTS + 1);
        let wait = moment(random);
        let ended = std::thread::scope(|scope| {
            let work = |(client, shelf, random): (Client, Shelf, Random)| {
                let (start, is_ended) = (&start, &is_ended);
                scope.spawn(move || {
                    start.wait();
                    shelf.work(client, pool, random, is_ended)
                })
            };
            let threads: Vec<_> = clients.into_iter().map(work).collect();
            start.wait();
            clock::pause(wait);
            is_ended.store(true, Ordering::SeqCst);
            end(server);
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let mut story = Story { shelves: Vec::new(), shared: Vec::new(), is_shared_there: false };
        for worked in ended {
            let (done, shared) = worked.map_err(|_| "a client panicked".to_owned())??;
            story.is_shared_there |= shared.is_confirmed;
            story.shared.extend(shared.tried);
            story.shelves.push(done);
        }
        Ok(story)
    }
}

impl Story {
    /// How many changes the server confirmed.
    pub(crate) fn confirmed(&self) -> f64 {
        self.shelves.iter().map(Shelf::confirmed).sum()
    }
}

/// When the end comes: half of the ends early, where logins turn into first uploads.
fn moment(random: &mut Random) -> Duration {
    let most = usize::try_from(END_MAX.as_micros()).unwrap_or(usize::MAX);
    let micros = if random.once_in(2) { random.below(most) } else { random.skewed_below(most) };
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// The files of the home: names that clients may see with their bytes, and those that are hidden.
fn on_disk(server: &Server) -> Result<(BTreeMap<String, Vec<u8>>, BTreeSet<String>), String> {
    let home = server.home();
    let told = |error| format!("cannot read {}: {error}", home.display());
    let (mut files, mut hidden) = (BTreeMap::new(), BTreeSet::new());
    for entry in std::fs::read_dir(&home).map_err(told)? {
        let entry = entry.map_err(told)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".wharf-") {
            hidden.insert(name);
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
