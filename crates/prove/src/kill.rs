//! The server is killed (SIGKILL) at a random moment of uploads, appends, renames, deletions and
//! resumptions by several clients, and started again.
//!
//! Then under each final name there is the old content, the whole new one, or nothing, as the
//! command under way allows; all that was confirmed is there; what a cut upload left is hidden, is
//! little, and can be resumed to the whole.

use crate::prove::content::Pool;
use crate::prove::folder;
use crate::prove::proofs::{Plan, Proof};
use crate::prove::random::Random;
use crate::prove::report::Report;
use crate::prove::run::Run;
use crate::prove::server::Server;
use crate::prove::story::{Cast, Promise, check};

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

/// One round, with all that it needs made from its seed.
fn one_kill(server: &mut Server, pool: &Pool, seed: u64, report: &Report) -> Result<(), String> {
    let mut random = Random::new(seed);
    server.kill();
    folder::make(&server.home())?;
    folder::empty(&server.home())?;
    let durability = if random.once_in(2) { "full" } else { "fast" };
    server.set("files", &format!("durability = {durability:?}"));
    let cast = Cast::prepared(server, pool, &mut random)?;
    server.start()?;
    let story = cast.live(server, pool, &mut random, Server::kill)?;
    report.add("confirmed", story.confirmed());
    server.start()?;
    let found = check(server, pool, &story, &mut random, Promise::Kept)?;
    report.add("resumed", found.resumed);
    Ok(())
}
