//! The server is killed (SIGKILL) at a random moment of uploads, appends, renames, deletions and
//! resumed uploads by several clients, and restarted.
//!
//! Then each final name has the old content, the complete new one, or does not exist, as the
//! command in progress allows; everything confirmed is there; interrupted uploads are hidden, few,
//! and can be resumed to the complete file.

use wharf_load::Random;

use crate::prove::content::ContentPool;
use crate::prove::folder;
use crate::prove::proofs::{Proof, ProofExtent};
use crate::prove::report::ProofReport;
use crate::prove::run::ProofRun;
use crate::prove::server::ProofServer;
use crate::prove::workload::{Clients, Promise, check};

pub(crate) static PROOF: Proof = Proof {
    name: "kill",
    about: "kill -9 at any moment of STOR, APPE, RNTO, DELE and resuming: old, new or nothing",
    unit: "kills",
    short: ProofExtent::count(25),
    long: ProofExtent::count(1000),
    mounts: false,
    run,
};

fn run(run: &ProofRun, report: &ProofReport) -> Result<(), String> {
    let pool = ContentPool::new();
    let mut server = ProofServer::new(run)?;
    for seed in run.seeds(report) {
        report.ended(seed, one_kill(&mut server, &pool, seed, report));
    }
    Ok(())
}

/// One round, determined by its seed.
fn one_kill(
    server: &mut ProofServer,
    pool: &ContentPool,
    seed: u64,
    report: &ProofReport,
) -> Result<(), String> {
    let mut random = Random::new(seed);
    server.kill();
    folder::make(&server.home())?;
    folder::empty(&server.home())?;
    let durability = if random.once_in(2) { "full" } else { "fast" };
    server.set("files", &format!("durability = {durability:?}"));
    let clients = Clients::prepared(server, pool, &mut random)?;
    server.start()?;
    let workload = clients.run_until(server, pool, &mut random, ProofServer::kill)?;
    report.add("confirmed", workload.confirmed());
    server.start()?;
    let found = check(server, pool, &workload, &mut random, Promise::SurvivingWrites)?;
    report.add("resumed", found.resumed);
    Ok(())
}
