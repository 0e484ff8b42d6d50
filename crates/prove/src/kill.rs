//! The server is killed (SIGKILL) at a random moment of uploads, appends, renames, deletions and
//! resumed uploads by several clients, and restarted.
//!
//! Then each final name has the old content, the complete new one, or does not exist, as the
//! command in progress allows; everything confirmed is there; interrupted uploads are hidden, few,
//! and can be resumed to the complete file.

use crate::prove::content::Pool;
use crate::prove::folder;
use crate::prove::proofs::{Plan, Proof};
use crate::prove::random::Random;
use crate::prove::report::Report;
use crate::prove::run::Run;
use crate::prove::server::Server;
use crate::prove::workload::{Clients, Promise, check};

pub(crate) static PROOF: Proof = Proof {
    name: "kill",
    about: "kill -9 at any moment of STOR, APPE, RNTO, DELE and resuming: old, new or nothing",
    unit: "kills",
    short: Plan::count(25),
    long: Plan::count(1000),
    mounts: false,
    run,
};

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

/// One round, determined by its seed.
fn one_kill(server: &mut Server, pool: &Pool, seed: u64, report: &Report) -> Result<(), String> {
    let mut random = Random::new(seed);
    server.kill();
    folder::make(&server.home())?;
    folder::empty(&server.home())?;
    let durability = if random.once_in(2) { "full" } else { "fast" };
    server.set("files", &format!("durability = {durability:?}"));
    let clients = Clients::prepared(server, pool, &mut random)?;
    server.start()?;
    let workload = clients.live(server, pool, &mut random, Server::kill)?;
    report.add("confirmed", workload.confirmed());
    server.start()?;
    let found = check(server, pool, &workload, &mut random, Promise::SurvivingWrites)?;
    report.add("resumed", found.resumed);
    Ok(())
}
