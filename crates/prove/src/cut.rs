//! Uploads that are interrupted: by RST, by FIN, without `close_notify`, or with a lost control
//! connection.
//!
//! An interrupted upload is never published, and the part that was kept can be resumed to the
//! complete file. Without TLS, the end of a data connection while the control connection is alive
//! is the end of the file, whatever the client intended: that case is not tested here.

use wharf_load::Random;
use wharf_proto::reply::Code;

use crate::prove::content::ContentPool;
use crate::prove::folder;
use crate::prove::proofs::{Proof, ProofExtent};
use crate::prove::report::ProofReport;
use crate::prove::run::{ProofRun, in_parallel};
use crate::prove::server::ProofServer;

mod interruption;
mod upload;

use upload::SeededUpload;

pub(crate) static PROOF: Proof = Proof {
    name: "cut",
    about: "uploads interrupted by RST, FIN, missing close_notify or a lost control connection",
    unit: "cuts",
    short: ProofExtent::count(120),
    long: ProofExtent::count(1000),
    mounts: false,
    run,
};

/// Interrupted uploads between two checks of the files.
const BATCH: u64 = 40;
/// Clients at a time.
const CLIENTS: usize = 4;

fn run(run: &ProofRun, report: &ProofReport) -> Result<(), String> {
    let pool = ContentPool::new();
    let mut server = ProofServer::new(run)?;
    let mut round = 0;
    while report.has_next_round() {
        let (done, failed) = report.counts();
        let left = run.plan.count.saturating_sub(done + failed);
        let size = if left == 0 { BATCH } else { BATCH.min(left) };
        let seeds: Vec<u64> = (round..round + size).map(|round| run.seed_of(round)).collect();
        round += size;
        batch(&mut server, &pool, &seeds, report)?;
    }
    Ok(())
}

/// Interrupts uploads, stops the server, and checks the files.
fn batch(
    server: &mut ProofServer,
    pool: &ContentPool,
    seeds: &[u64],
    report: &ProofReport,
) -> Result<(), String> {
    folder::make(&server.home())?;
    folder::empty(&server.home())?;
    let durability =
        if seeds.first().is_some_and(|seed| seed.is_multiple_of(2)) { "full" } else { "fast" };
    server.set("files", &format!("durability = {durability:?}"));
    let mut uploads = Vec::new();
    for seed in seeds {
        uploads.push(SeededUpload::prepared(*seed, pool, &server.home())?);
    }
    server.start()?;
    let answers = in_parallel(CLIENTS, &uploads, |upload| upload.cut(server, pool));
    // When it has exited, it has handled all lost connections.
    server.stop()?;
    let verdicts: Vec<Result<(), String>> = uploads
        .iter()
        .zip(answers)
        .map(|(upload, answer)| answer.and_then(|()| upload.check_nothing_published(server, pool)))
        .collect();
    server.start()?;
    let mut client = server.client(Random::new(seeds.first().copied().unwrap_or(0)).once_in(2))?;
    client.expect("NOOP", Code::OK)?;
    for (upload, verdict) in uploads.iter().zip(verdicts) {
        report.add(upload.interruption.name(), 1.0);
        let resumed = verdict.and_then(|()| upload.resume(server, &mut client, pool));
        if matches!(resumed, Ok(true)) {
            report.add("resumed", 1.0);
        }
        let describe = |what| format!("{}: {what}", upload.describe());
        report.ended(upload.seed, resumed.map(drop).map_err(describe));
    }
    server.stop()
}
