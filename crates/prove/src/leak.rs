//! Many sessions that end in every way there is. When the last one is gone, all that they had is
//! back: descriptors, listeners, threads' work, hidden files, and memory.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wharf_proto::reply::Code;

use crate::prove::client::{Client, Heard};
use crate::prove::clock;
use crate::prove::content::Pool;
use crate::prove::proofs::{Plan, Proof};
use crate::prove::random::Random;
use crate::prove::report::{Report, say};
use crate::prove::run::Run;
use crate::prove::server::{PASSWORD, Server, USER};
use crate::prove::watch::{Look, mib, slope};

pub(crate) static PROOF: Proof = Proof {
    name: "leak",
    about: "sessions that end in every way: descriptors, listeners, hidden files, memory come back",
    unit: "sessions",
    short: Plan::count(200),
    long: Plan::count(50_000),
    mounts: false,
    run,
};

/// Sessions between two looks.
const BATCH: u64 = 100;
/// How many there are at a time.
const CLIENTS: usize = 8;
/// All must be back by then.
const REST_MAX: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);
/// Allocators keep some of what they had; more than this between the second look and the last is a
/// leak.
const GROWTH_MIB: f64 = 8.0;
/// How many batches are a thousand sessions.
const SLOPE_BATCHES: f64 = 10.0;
const BYTES_MAX: usize = 300_000;

fn run(run: &Run, report: &Report) -> Result<(), String> {
    let pool = Pool::new();
    let mut server = Server::new(run)?;
    // Whatever is hidden is then a leak.
    server.set("files", "partial_upload_retention = \"0s\"");
    server.set("login", "failure_delay = \"1ms\"");
    server.start()?;
    // One batch does all once: caches, threads and pools of buffers are made by it.
    sessions(&server, &pool, &(0..BATCH).map(|n| run.seed_of(n)).collect::<Vec<_>>())?;
    let first = at_rest(&server, None)?;
    say(&format!("  after the first {BATCH}: {}", first.told()));
    let mut memory = Vec::new();
    let mut round = 0;
    while report.goes_on() {
        let seeds: Vec<_> = (round..round + BATCH).map(|round| run.seed_of(round)).collect();
        let seed = run.seed_of(round);
        round += BATCH;
        let result = sessions(&server, &pool, &seeds).and_then(|()| back(&server, first));
        match result {
            Ok(look) => {
                memory.push(mib(look.rss_kib));
                report.passed_many(BATCH);
            }
            Err(what) => report.failed(seed, format!("in the {BATCH} sessions from here: {what}")),
        }
    }
    let growth = memory.last().unwrap_or(&0.0) - mib(first.rss_kib);
    report.set("RSS growth, MiB", growth);
    report.set("RSS slope, KiB per 1000 sessions", slope(&memory) * 1024.0 * SLOPE_BATCHES);
    if growth > GROWTH_MIB {
        report.failed(run.seed, format!("memory grew by {growth:.1} MiB"));
    }
    server.stop()
}

/// Everything is as it was, and nothing hidden is left.
fn back(server: &Server, first: Look) -> Result<Look, String> {
    let look = at_rest(server, Some(first.descriptors))?;
    if look.descriptors > first.descriptors {
        let (from, to) = (first.descriptors, look.descriptors);
        return Err(format!("{to} descriptors are open at rest, {from} were before"));
    }
    let hidden = hidden(server);
    if hidden.is_empty() { Ok(look) } else { Err(format!("hidden files are left: {hidden:?}")) }
}

/// Waits until nothing is open that was not before; without such a number, until nothing changes.
fn at_rest(server: &Server, most: Option<u64>) -> Result<Look, String> {
    let began = clock::now();
    let mut look = Look::at(server.pid())?;
    let mut same = 0;
    while began.elapsed() < REST_MAX && same < SAME_LOOKS {
        clock::pause(PAUSE);
        let next = Look::at(server.pid())?;
        let is_back = most.map_or(next.descriptors == look.descriptors, |most| {
            next.descriptors <= most && hidden(server).is_empty()
        });
        same = if is_back { same + 1 } else { 0 };
        look = next;
    }
    Ok(look)
}

/// So many looks in a row must find the same.
const SAME_LOOKS: u32 = 10;

fn hidden(server: &Server) -> Vec<String> {
    let entries = std::fs::read_dir(server.home()).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".wharf-")).collect()
}

/// One session for each seed, several at a time.
fn sessions(server: &Server, pool: &Pool, seeds: &[u64]) -> Result<(), String> {
    let next = AtomicU64::new(0);
    let results: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let work = || {
            loop {
                let index = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok();
                let Some(seed) = index.and_then(|index| seeds.get(index)) else { return Ok(()) };
                one(server, pool, *seed).map_err(|what| format!("seed {seed}: {what}"))?;
            }
        };
        let threads: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.map(|ended| ended.unwrap_or_else(|_| Err("a client panicked".to_owned()))).collect()
    });
    results.into_iter().collect()
}

/// A session that ends in one of the ways.
fn one(server: &Server, pool: &Pool, seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    let is_secure = random.once_in(2);
    match random.below(WAYS) {
        // Nobody logs in: nothing is said, half a line, half a handshake, half a login.
        0 => drop(Client::connect(server.port())?),
        1 => {
            let mut client = Client::connect(server.port())?;
            client.say("USER anna\r\nPASS qu")?;
            reset(client);
        }
        2 => half_a_handshake(server)?,
        3 => wrong_password(server, &mut random)?,
        way => {
            let client = server.client(is_secure)?;
            logged_in(client, pool, &mut random, way)?;
        }
    }
    Ok(())
}

const WAYS: usize = 13;

fn logged_in(mut client: Client, pool: &Pool, random: &mut Random, way: usize) -> Heard<()> {
    let name = format!("file-{}", random.below(20));
    let bytes = pool.bytes(&{
        let length = random.skewed_below(BYTES_MAX);
        pool.piece(random, length + 1)
    });
    match way {
        4 => {
            client.store(&format!("STOR {name}"), &bytes)?;
            client.fetch(&format!("RETR {name}"))?;
            client.quit()
        }
        5 => {
            client.fetch("LIST")?;
            drop(client);
            Ok(())
        }
        // A listener that nobody comes to.
        6 => {
            client.expect("EPSV", Code::EXTENDED_PASSIVE)?;
            reset(client);
            Ok(())
        }
        // Uploads cut in the middle, with and without their control connection.
        7 => {
            let mut data = client.open(&format!("STOR {name}"))?;
            let part = bytes.get(..bytes.len() / 2).unwrap_or_default();
            data.write_all(part)?;
            data.reset();
            client.reply()?;
            client.quit()
        }
        8 => {
            let mut data = client.open(&format!("APPE {name}"))?;
            data.write_all(&bytes)?;
            reset(client);
            data.drop_off();
            Ok(())
        }
        9 => {
            let data = client.open(&format!("STOR {name}"))?;
            client.say("ABOR")?;
            client.reply()?;
            client.reply()?;
            drop(data);
            client.quit()
        }
        // Downloads that nobody reads to the end.
        10 => {
            client.store(&format!("STOR {name}"), &bytes)?;
            let data = client.open(&format!("RETR {name}"))?;
            data.reset();
            reset(client);
            Ok(())
        }
        11 => {
            client.store(&format!("STOR {name}"), &bytes)?;
            let data = client.open(&format!("RETR {name}"))?;
            client.say("QUIT")?;
            drop(data);
            drop(client);
            Ok(())
        }
        _ => {
            client.expect(&format!("RNFR {name}-not-there"), Code::FILE_UNAVAILABLE)?;
            client.expect("REST 5", Code::PENDING)?;
            client.quit()
        }
    }
}

fn half_a_handshake(server: &Server) -> Heard<()> {
    let mut client = Client::connect(server.port())?;
    client.expect("AUTH TLS", Code::SECURITY_DONE)?;
    // The head of a record of 512 bytes, and nothing of it.
    if let Some(mut control) = client.into_control() {
        control.write_all(&[22, 3, 1, 2, 0])?;
        control.drop_off();
    }
    Ok(())
}

/// From an address of its own, so that only that one is kept out.
fn wrong_password(server: &Server, random: &mut Random) -> Heard<()> {
    let part = u8::try_from(random.below(250) + 1).unwrap_or(1);
    let mut client = Client::connect_from(Ipv4Addr::new(127, 77, part, 1), server.port())?;
    client.ask(&format!("USER {USER}"))?;
    client.ask(&format!("PASS not-{PASSWORD}"))?;
    Ok(())
}

fn reset(client: Client) {
    if let Some(control) = client.into_control() {
        control.reset();
    }
}
