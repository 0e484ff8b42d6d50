//! Many clients use all commands for a long time: every byte received is compared, every reply must
//! be the expected one, and the server's memory must not grow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wharf_load::{ClientSession, Random, clock};

use crate::prove::content::ContentPool;
use crate::prove::folder;
use crate::prove::proofs::{Proof, ProofExtent};
use crate::prove::report::{ProofReport, print_line};
use crate::prove::run::ProofRun;
use crate::prove::server::{ProofServer, target_from};
use crate::prove::watch::{ProcessSample, at_rest, mib, slope};

mod soak_client;

use soak_client::SoakClient;

pub(crate) static PROOF: Proof = Proof {
    name: "soak",
    about: "mixed work of many clients, half by TLS: each byte compared, memory flat",
    unit: "operations",
    short: ProofExtent { count: 2_000, time: Duration::from_secs(8) },
    long: ProofExtent { count: 500_000, time: Duration::from_hours(1) },
    mounts: false,
    run,
};

const CLIENTS: u64 = 12;
/// The proof stops after this many failures.
const FAILURES_MAX: u64 = 20;
/// The interval of samples, and of printed ones.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
const PRINT_INTERVAL: Duration = Duration::from_mins(1);
/// Allowed growth of memory between the first third and the end: a part of it, and what allocators
/// keep.
const GROWTH_PART: f64 = 0.05;
const GROWTH_MIB: f64 = 6.0;

fn run(run: &ProofRun, report: &ProofReport) -> Result<(), String> {
    let pool = ContentPool::new();
    let mut server = ProofServer::new(run)?;
    // Wrong passwords are a part of the work, but their delay is not tested here.
    server.set("login", "failure_delay = \"10ms\"");
    server.start()?;
    let before = at_first_rest(&server)?;
    print_line(&format!("  at the start: {}", before.describe()));
    let is_over = AtomicBool::new(false);
    let samples = std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let seed = run.seed_of(number);
            let (server, pool, is_over) = (&server, &pool, &is_over);
            scope.spawn(move || work(server, pool, number, seed, report, is_over));
        }
        let samples = watch(&Watched { server: &server, report, is_over: &is_over });
        is_over.store(true, Ordering::SeqCst);
        samples
    })?;
    check_memory(&samples, report, run);
    check_rest(&mut server, before, report, run)
}

/// Works until it is over. After an unexpected result the client starts again.
fn work(
    server: &ProofServer,
    pool: &ContentPool,
    number: u64,
    seed: u64,
    report: &ProofReport,
    is_over: &AtomicBool,
) {
    let mut random = Random::new(seed);
    while !is_over.load(Ordering::Relaxed) {
        let fault = match SoakClient::begin(server, number, random.fork()) {
            Ok(mut soak_client) => soak_client.work(server, pool, report, is_over).err(),
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault {
            report.failed(seed, format!("client {number}: {fault}"));
        }
        if report.counts().1 >= FAILURES_MAX {
            is_over.store(true, Ordering::SeqCst);
        }
    }
}

/// The observed server and report.
struct Watched<'a> {
    server: &'a ProofServer,
    report: &'a ProofReport,
    is_over: &'a AtomicBool,
}

/// Samples the process until the plan is done.
fn watch(watched: &Watched<'_>) -> Result<Vec<ProcessSample>, String> {
    let mut samples = Vec::new();
    let (mut describe, mut minute) = (clock::now(), 0);
    while watched.report.has_next_round() && !watched.is_over.load(Ordering::SeqCst) {
        let sample = ProcessSample::at(watched.server.pid())?;
        samples.push(sample);
        if describe.elapsed() >= PRINT_INTERVAL {
            (describe, minute) = (clock::now(), minute + 1);
            let (passed, failed) = watched.report.counts();
            let sample = lowest(samples.iter().rev().take(SAMPLES_PER_MINUTE), sample);
            print_line(&format!(
                "  minute {minute}: {passed} done, {failed} failed, {}",
                sample.describe()
            ));
        }
        clock::pause(SAMPLE_INTERVAL);
    }
    samples.push(ProcessSample::at(watched.server.pid())?);
    Ok(samples)
}

const SAMPLES_PER_MINUTE: usize = 600;

/// The sample with the least memory: password hashes use 19 MiB each for a moment, and a leak is in
/// every sample.
fn lowest<'a>(
    samples: impl Iterator<Item = &'a ProcessSample>,
    or: ProcessSample,
) -> ProcessSample {
    samples.min_by_key(|sample| sample.rss_kib).copied().unwrap_or(or)
}

/// Memory may rise while clients connect; then it must be stable.
fn check_memory(samples: &[ProcessSample], report: &ProofReport, run: &ProofRun) {
    let memory: Vec<f64> = samples.iter().map(|sample| mib(sample.rss_kib)).collect();
    let third = memory.len().div_ceil(3);
    let least = |part: &[f64]| part.iter().copied().fold(f64::MAX, f64::min);
    // Not the very first sample: the server has just started then.
    let first = least(memory.get(third / 2..third).unwrap_or_default());
    let end = least(memory.get(memory.len() - third..).unwrap_or_default());
    report.set("RSS in the first third, MiB", first);
    report.set("RSS in the last third, MiB", end);
    let minutes: Vec<f64> = memory.chunks(SAMPLES_PER_MINUTE).map(least).collect();
    if minutes.len() > MINUTES_FOR_A_SLOPE {
        let late = minutes.get(minutes.len() / 3..).unwrap_or_default();
        report.set("RSS slope after the first third, MiB/h", slope(late) * 60.0);
    }
    if end > first * (1.0 + GROWTH_PART) + GROWTH_MIB {
        report.failed(run.seed, format!("memory grew from {first:.1} to {end:.1} MiB"));
    }
}

const MINUTES_FOR_A_SLOPE: usize = 5;

/// Open descriptors without clients, after the server has done everything once.
fn at_first_rest(server: &ProofServer) -> Result<ProcessSample, String> {
    for is_secure in [false, true] {
        let mut client = server.client(is_secure)?;
        client.store("STOR warm", b"warm")?;
        client.download("RETR warm")?;
        client.quit()?;
    }
    at_rest(server, None, || true)
}

fn check_rest(
    server: &mut ProofServer,
    before: ProcessSample,
    report: &ProofReport,
    run: &ProofRun,
) -> Result<(), String> {
    let after = at_rest(server, Some(before.descriptors), || true)?;
    print_line(&format!("  at the end:   {}", after.describe()));
    report.set("RSS at the end, MiB", mib(after.rss_kib));
    report
        .set("descriptors at the start", f64::from(u32::try_from(before.descriptors).unwrap_or(0)));
    report.set("descriptors at the end", f64::from(u32::try_from(after.descriptors).unwrap_or(0)));
    if after.descriptors > before.descriptors {
        let (from, to) = (before.descriptors, after.descriptors);
        report.failed(run.seed, format!("{to} descriptors are open when idle, {from} before"));
    }
    server.stop()
}

/// A login with a wrong password, from its own address.
fn fail_login(server: &ProofServer, random: &mut Random) -> Result<(), String> {
    let part = |random: &mut Random| u8::try_from(random.index(250) + 1).unwrap_or(1);
    let source = std::net::Ipv4Addr::new(127, 66, part(random), part(random));
    let mut client = ClientSession::connect(&target_from(source, server.port()))?;
    client.call("USER nobody")?;
    let reply = client.call("PASS wrong")?;
    if reply.code.is_failure() { Ok(()) } else { Err(format!("a wrong password: {reply:?}")) }
}

/// The folder of one client.
fn folder_of(server: &ProofServer, number: u64) -> Result<String, String> {
    let name = format!("desk-{number}");
    let path = server.home().join(&name);
    folder::make(&path)?;
    folder::empty(&path)?;
    Ok(name)
}
