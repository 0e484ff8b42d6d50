//! Many clients do all there is to do, for long: every byte that comes back is compared, every
//! reply must be the one that is due, and the server must not grow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::prove::client::Client;
use crate::prove::content::Pool;
use crate::prove::proofs::{Plan, Proof};
use crate::prove::random::Random;
use crate::prove::report::{Report, say};
use crate::prove::run::Run;
use crate::prove::server::Server;
use crate::prove::watch::{Look, mib, slope};
use crate::prove::{clock, folder};

mod desk;

use desk::Desk;

pub(crate) static PROOF: Proof = Proof {
    name: "soak",
    about: "mixed work of many clients, half by TLS: each byte compared, memory flat",
    unit: "operations",
    short: Plan { count: 2_000, time: Duration::from_secs(8) },
    long: Plan { count: 500_000, time: Duration::from_hours(1) },
    mounts: false,
    run,
};

const CLIENTS: u64 = 12;
/// After this many failures going on tells nothing.
const FAILURES_MAX: u64 = 20;
/// Between two looks at the process, and between two that are told.
const TICK: Duration = Duration::from_millis(100);
const TOLD_EVERY: Duration = Duration::from_mins(1);
/// What is at rest may take this long to come back.
const REST_MAX: Duration = Duration::from_secs(20);
/// Memory at the end may be this much above that of the first third: a part of it, and what
/// allocators keep.
const GROWTH_PART: f64 = 0.05;
const GROWTH_MIB: f64 = 6.0;

fn run(run: &Run, report: &Report) -> Result<(), String> {
    let pool = Pool::new();
    let mut server = Server::new(run)?;
    // Wrong passwords are a part of the work; what is proven is not how long they take.
    server.set("login", "failure_delay = \"10ms\"");
    server.start()?;
    let before = at_first_rest(&server)?;
    say(&format!("  at the start: {}", before.told()));
    let is_over = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let seed = run.seed_of(number);
            let (server, pool, is_over) = (&server, &pool, &is_over);
            scope.spawn(move || work(server, pool, number, seed, report, is_over));
        }
        let looks = watch(&Watched { server: &server, report, is_over: &is_over });
        is_over.store(true, Ordering::SeqCst);
        looks
    })?;
    check_memory(&looks, report, run);
    check_rest(&mut server, before, report, run)
}

/// Works until it is over. After something unexpected everything of this client is begun anew.
fn work(
    server: &Server,
    pool: &Pool,
    number: u64,
    seed: u64,
    report: &Report,
    is_over: &AtomicBool,
) {
    let mut random = Random::new(seed);
    while !is_over.load(Ordering::Relaxed) {
        let fault = match Desk::begin(server, number, random.fork()) {
            Ok(mut desk) => desk.work(server, pool, report, is_over).err(),
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

/// What is watched, and by whom.
struct Watched<'a> {
    server: &'a Server,
    report: &'a Report,
    is_over: &'a AtomicBool,
}

/// Looks at the process until the plan is done.
fn watch(watched: &Watched<'_>) -> Result<Vec<Look>, String> {
    let mut looks = Vec::new();
    let (mut told, mut minute) = (clock::now(), 0);
    while watched.report.goes_on() && !watched.is_over.load(Ordering::SeqCst) {
        let look = Look::at(watched.server.pid())?;
        looks.push(look);
        if told.elapsed() >= TOLD_EVERY {
            (told, minute) = (clock::now(), minute + 1);
            let (passed, failed) = watched.report.counts();
            let look = lowest(looks.iter().rev().take(LOOKS_OF_A_MINUTE), look);
            say(&format!("  minute {minute}: {passed} done, {failed} failed, {}", look.told()));
        }
        clock::pause(TICK);
    }
    looks.push(Look::at(watched.server.pid())?);
    Ok(looks)
}

const LOOKS_OF_A_MINUTE: usize = 600;

/// The look with the least memory: hashes of passwords take 19 MiB each for a moment, and what
/// leaks is in every look.
fn lowest<'a>(looks: impl Iterator<Item = &'a Look>, or: Look) -> Look {
    looks.min_by_key(|look| look.rss_kib).copied().unwrap_or(or)
}

/// Memory may rise while clients come; then it must stay.
fn check_memory(looks: &[Look], report: &Report, run: &Run) {
    let memory: Vec<f64> = looks.iter().map(|look| mib(look.rss_kib)).collect();
    let third = memory.len().div_ceil(3);
    let least = |part: &[f64]| part.iter().copied().fold(f64::MAX, f64::min);
    // Not the very first: the server is fresh then.
    let first = least(memory.get(third / 2..third).unwrap_or_default());
    let end = least(memory.get(memory.len() - third..).unwrap_or_default());
    report.set("RSS in the first third, MiB", first);
    report.set("RSS in the last third, MiB", end);
    let minutes: Vec<f64> = memory.chunks(LOOKS_OF_A_MINUTE).map(least).collect();
    if minutes.len() > MINUTES_FOR_A_SLOPE {
        let late = minutes.get(minutes.len() / 3..).unwrap_or_default();
        report.set("RSS slope after the first third, MiB/h", slope(late) * 60.0);
    }
    if end > first * (1.0 + GROWTH_PART) + GROWTH_MIB {
        report.failed(run.seed, format!("memory grew from {first:.1} to {end:.1} MiB"));
    }
}

const MINUTES_FOR_A_SLOPE: usize = 5;

/// What is open when nobody is connected, once the server has done everything one time.
fn at_first_rest(server: &Server) -> Result<Look, String> {
    for is_secure in [false, true] {
        let mut client = server.client(is_secure)?;
        client.store("STOR warm", b"warm")?;
        client.fetch("RETR warm")?;
        client.quit()?;
    }
    resting(server, None)
}

/// Looks until what is open is what it was, or does not change.
fn resting(server: &Server, wanted: Option<u64>) -> Result<Look, String> {
    let began = clock::now();
    let mut look = Look::at(server.pid())?;
    while began.elapsed() < REST_MAX {
        clock::pause(TICK);
        let next = Look::at(server.pid())?;
        let is_done = match wanted {
            Some(most) => next.descriptors <= most,
            None => next.descriptors == look.descriptors,
        };
        look = next;
        if is_done {
            break;
        }
    }
    Ok(look)
}

fn check_rest(server: &mut Server, before: Look, report: &Report, run: &Run) -> Result<(), String> {
    let after = resting(server, Some(before.descriptors))?;
    say(&format!("  at the end:   {}", after.told()));
    report.set("RSS at the end, MiB", mib(after.rss_kib));
    report
        .set("descriptors at the start", f64::from(u32::try_from(before.descriptors).unwrap_or(0)));
    report.set("descriptors at the end", f64::from(u32::try_from(after.descriptors).unwrap_or(0)));
    if after.descriptors > before.descriptors {
        let (from, to) = (before.descriptors, after.descriptors);
        report.failed(run.seed, format!("{to} descriptors are open at rest, {from} were before"));
    }
    server.stop()
}

/// A login with a wrong password, from an address of its own.
fn knock(server: &Server, random: &mut Random) -> Result<(), String> {
    let part = |random: &mut Random| u8::try_from(random.below(250) + 1).unwrap_or(1);
    let source = std::net::Ipv4Addr::new(127, 66, part(random), part(random));
    let mut client = Client::connect_from(source, server.port())?;
    client.ask("USER nobody")?;
    let reply = client.ask("PASS wrong")?;
    if reply.code.is_failure() { Ok(()) } else { Err(format!("a wrong password: {reply:?}")) }
}

/// The folder of one client.
fn folder_of(server: &Server, number: u64) -> Result<String, String> {
    let name = format!("desk-{number}");
    let path = server.home().join(&name);
    folder::make(&path)?;
    folder::empty(&path)?;
    Ok(name)
}
