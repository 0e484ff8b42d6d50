//! Several clients that work until the server is killed or loses power, and what must hold then:
//! shared by the proofs `kill` and `power`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wharf_load::{ClientSession, Random, clock};

use crate::prove::content::{ContentPool, PooledContent};
use crate::prove::server::ProofServer;

mod client_files;
mod verdict;

use client_files::ClientFiles;

pub(crate) use verdict::{Promise, check};

/// The number of clients.
const CLIENTS: usize = 4;
/// The name to which all clients upload at a time.
const SHARED: &str = "shared";
/// The longest time from the last login to the end.
const END_MAX: Duration = Duration::from_millis(120);

/// What all clients did, up to the end.
#[derive(Debug)]
pub(crate) struct Workload {
    shelves: Vec<ClientFiles>,
    /// The possible contents of the shared name, and whether it must exist.
    shared: Vec<PooledContent>,
    is_shared_there: bool,
}

/// The clients before they start, each with its own files.
#[derive(Debug)]
pub(crate) struct Clients(Vec<ClientFiles>);

impl Clients {
    /// Writes the initial files into the server's home.
    pub(crate) fn prepared(
        server: &ProofServer,
        pool: &ContentPool,
        random: &mut Random,
    ) -> Result<Self, String> {
        let home = server.home();
        let filled = (0..CLIENTS).map(|number| ClientFiles::filled(number, pool, random, &home));
        Ok(Self(filled.collect::<Result<_, _>>()?))
    }

    /// Runs the clients and the end, and returns what they did.
    pub(crate) fn run_until(
        self,
        server: &mut ProofServer,
        pool: &ContentPool,
        random: &mut Random,
        end: impl FnOnce(&mut ProofServer),
    ) -> Result<Workload, String> {
        let mut clients = Vec::new();
        for client_files in self.0 {
            // All log in before the first starts, or the last would have done nothing.
            let client = server.client(random.once_in(2))?;
            clients.push((client, client_files, random.fork()));
        }
        let is_ended = AtomicBool::new(false);
        let start = Barrier::new(CLIENTS + 1);
        let wait = moment(random);
        let ended = std::thread::scope(|scope| {
            let work = |(client, client_files, random): (ClientSession, ClientFiles, Random)| {
                let (start, is_ended) = (&start, &is_ended);
                scope.spawn(move || {
                    start.wait();
                    client_files.work(client, pool, random, is_ended)
                })
            };
            let threads: Vec<_> = clients.into_iter().map(work).collect();
            start.wait();
            clock::pause(wait);
            is_ended.store(true, Ordering::SeqCst);
            end(server);
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let mut workload =
            Workload { shelves: Vec::new(), shared: Vec::new(), is_shared_there: false };
        for worked in ended {
            let (done, shared) = worked.map_err(|_| "a client panicked".to_owned())??;
            workload.is_shared_there |= shared.is_confirmed;
            workload.shared.extend(shared.tried);
            workload.shelves.push(done);
        }
        Ok(workload)
    }
}

impl Workload {
    /// The number of changes confirmed by the server.
    pub(crate) fn confirmed(&self) -> f64 {
        self.shelves.iter().map(ClientFiles::confirmed).sum()
    }
}

/// The time of the end: half of them early, during logins and first uploads.
fn moment(random: &mut Random) -> Duration {
    let most = usize::try_from(END_MAX.as_micros()).unwrap_or(usize::MAX);
    let micros = if random.once_in(2) { random.index(most) } else { random.small_index(most) };
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Visible names with their bytes, and hidden names.
type HomeFiles = (BTreeMap<String, Vec<u8>>, BTreeSet<String>);

/// The files of the home.
fn on_disk(server: &ProofServer) -> Result<HomeFiles, String> {
    let home = server.home();
    let describe = |error| format!("cannot read {}: {error}", home.display());
    let (mut files, mut hidden) = (BTreeMap::new(), BTreeSet::new());
    for entry in std::fs::read_dir(&home).map_err(describe)? {
        let entry = entry.map_err(describe)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".wharf-") {
            hidden.insert(name);
        } else {
            files.insert(name, std::fs::read(entry.path()).map_err(describe)?);
        }
    }
    Ok((files, hidden))
}

/// The names as a client sees them.
fn seen(client: &mut ClientSession) -> Result<BTreeSet<String>, String> {
    let bytes = client.download("NLST")?;
    Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}
