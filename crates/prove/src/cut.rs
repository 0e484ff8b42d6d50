//! Uploads that end in the middle: by reset, by a plain end, without TLS's own end, or with the
//! control connection lost.
//!
//! Nothing of a cut upload may come to stand under its final name, and what was kept of it can be
//! resumed to the whole. On plain FTP the end of a data connection while the control connection
//! lives is the end of the file, whatever the client meant: there is no such way here.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use wharf_proto::reply::Code;

use crate::prove::content::Pool;
use crate::prove::folder;
use crate::prove::proofs::{Plan, Proof};
use crate::prove::random::Random;
use crate::prove::report::Report;
use crate::prove::run::Run;
use crate::prove::server::Server;

mod upload;
mod way;

use upload::Upload;

pub(crate) static PROOF: Proof = Proof {
    name: "cut",
    about: "uploads cut by RST, FIN, missing close_notify or a lost control connection",
    unit: "cuts",
    short: Plan::count(120),
    long: Plan::count(1000),
    mounts: false,
    run,
};

/// Cuts between two looks at the files.
const BATCH: u64 = 40;
/// How many happen at a time.
const CLIENTS: usize = 4;

fn run(run: &Run, report: &Report) -> Result<(), String> {
    let pool = Pool::new();
    let mut server = Server::new(run)?;
    let mut round = 0;
    while report.goes_on() {
        let (done, failed) = report.counts();
        let left = run.plan.count.saturating_sub(done + failed);
        let size = if left == 0 { BATCH } else { BATCH.min(left) };
        let seeds: Vec<u64> = (round..round + size).map(|round| run.seed_of(round)).collect();
        round += size;
        batch(&mut server, &pool, &seeds, report)?;
    }
    Ok(())
}

/// Cuts uploads, lets the server end, and looks at what is there.
fn batch(server: &mut Server, pool: &Pool, seeds: &[u64], report: &Report) -> Result<(), String> {
    folder::make(&server.home())?;
    folder::empty(&server.home())?;
    let durability =
        if seeds.first().is_some_and(|seed| seed.is_multiple_of(2)) { "full" } else { "fast" };
    server.set("files", &format!("durability = {durability:?}"));
    let mut uploads = Vec::new();
    for seed in seeds {
        uploads.push(Upload::prepared(*seed, pool, &server.home())?);
    }
    server.start()?;
    let answers = cut_all(server, pool, &uploads);
    // What it still does with connections that are gone, it has done when it has ended.
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
        report.add(upload.way.name(), 1.0);
        let resumed = verdict.and_then(|()| upload.resume(server, &mut client, pool));
        if matches!(resumed, Ok(true)) {
            report.add("resumed", 1.0);
        }
        let told = |what| format!("{}: {what}", upload.describe());
        report.ended(upload.seed, resumed.map(drop).map_err(told));
    }
    server.stop()
}

/// Cuts each upload, several at a time, and returns what went wrong with each.
fn cut_all(server: &Server, pool: &Pool, uploads: &[Upload]) -> Vec<Result<(), String>> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(vec![Err("it was not tried".to_owned()); uploads.len()]);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(upload) = uploads.get(index) else { return };
                    let answer = upload.cut(server, pool);
                    let mut answers =
                        answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if let Some(slot) = answers.get_mut(index) {
                        *slot = answer;
                    }
                }
            });
        }
    });
    answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}
