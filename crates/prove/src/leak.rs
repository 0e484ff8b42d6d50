//! Many sessions that end in every way. After the last one all resources must be released:
//! descriptors, listeners, threads, hidden files, and memory.

use std::io::Write as _;
use std::net::Ipv4Addr;

use wharf_load::{ClientSession, Error, Random};
use wharf_proto::reply::Code;

use crate::prove::content::ContentPool;
use crate::prove::proofs::{Proof, ProofExtent};
use crate::prove::report::{ProofReport, print_line};
use crate::prove::run::{ProofRun, in_parallel};
use crate::prove::server::{PASSWORD, ProofServer, USER, target, target_from};
use crate::prove::watch::{ProcessSample, at_rest, mib, slope};

pub(crate) static PROOF: Proof = Proof {
    name: "leak",
    about: "sessions that end for every reason: descriptors, listeners, files, memory are released",
    unit: "sessions",
    short: ProofExtent::count(200),
    long: ProofExtent::count(50_000),
    mounts: false,
    run,
};

/// Sessions between two checks.
const BATCH: u64 = 100;
/// Sessions at a time.
const CLIENTS: usize = 8;
/// Allocators keep some memory; a larger increase between the second check and the last is a leak.
const GROWTH_MIB: f64 = 8.0;
/// Batches per thousand sessions.
const SLOPE_BATCHES: f64 = 10.0;
const BYTES_MAX: usize = 300_000;

fn run(run: &ProofRun, report: &ProofReport) -> Result<(), String> {
    let pool = ContentPool::new();
    let mut server = ProofServer::new(run)?;
    // Then every hidden file is a leak.
    server.set("files", "partial_upload_retention = \"0s\"");
    server.set("login", "failure_delay = \"1ms\"");
    server.start()?;
    // The first batch does everything once, which fills caches, thread pools and buffers.
    sessions(&server, &pool, &(0..BATCH).map(|n| run.seed_of(n)).collect::<Vec<_>>())?;
    let first = at_rest(&server, None, || true)?;
    print_line(&format!("  after the first {BATCH}: {}", first.describe()));
    let mut memory = Vec::new();
    let mut round = 0;
    while report.has_next_round() {
        let seeds: Vec<_> = (round..round + BATCH).map(|round| run.seed_of(round)).collect();
        let seed = run.seed_of(round);
        round += BATCH;
        let result = sessions(&server, &pool, &seeds).and_then(|()| back(&server, first));
        match result {
            Ok(sample) => {
                memory.push(mib(sample.rss_kib));
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

/// Checks that everything is released, and no hidden file remains.
fn back(server: &ProofServer, first: ProcessSample) -> Result<ProcessSample, String> {
    let sample = at_rest(server, Some(first.descriptors), || server.hidden_files().is_empty())?;
    if sample.descriptors > first.descriptors {
        let (from, to) = (first.descriptors, sample.descriptors);
        return Err(format!("{to} descriptors are open when idle, {from} before"));
    }
    let hidden = server.hidden_files();
    if hidden.is_empty() { Ok(sample) } else { Err(format!("hidden files remain: {hidden:?}")) }
}

/// One session for each seed, several at a time.
fn sessions(server: &ProofServer, pool: &ContentPool, seeds: &[u64]) -> Result<(), String> {
    let work = |seed: &u64| one(server, pool, *seed).map_err(|what| format!("seed {seed}: {what}"));
    in_parallel(CLIENTS, seeds, work).into_iter().collect()
}

/// A session that ends in one of the ways.
fn one(server: &ProofServer, pool: &ContentPool, seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    let is_secure = random.once_in(2);
    match random.index(ENDINGS) {
        // Without a login: nothing sent, an incomplete line, handshake or login.
        0 => drop(ClientSession::connect(&target(server.port()))?),
        1 => {
            let client = ClientSession::connect(&target(server.port()))?;
            if let Some(mut control) = client.into_control() {
                control.write_all(b"USER anna\r\nPASS qu").map_err(Error::from)?;
                control.reset();
            }
        }
        2 => incomplete_handshake(server)?,
        3 => wrong_password(server, &mut random)?,
        interruption => {
            let client = server.client(is_secure)?;
            logged_in(client, pool, &mut random, interruption)?;
        }
    }
    Ok(())
}

const ENDINGS: usize = 13;

fn logged_in(
    mut client: ClientSession,
    pool: &ContentPool,
    random: &mut Random,
    interruption: usize,
) -> Result<(), Error> {
    let name = format!("file-{}", random.index(20));
    let bytes = pool.bytes(&{
        let length = random.small_index(BYTES_MAX);
        pool.piece(random, length + 1)
    });
    match interruption {
        4 => {
            client.store(&format!("STOR {name}"), &bytes)?;
            client.download(&format!("RETR {name}"))?;
            client.quit()
        }
        5 => {
            client.download("LIST")?;
            drop(client);
            Ok(())
        }
        // A passive port without a data connection.
        6 => {
            client.expect("EPSV", Code::EXTENDED_PASSIVE)?;
            client.reset();
            Ok(())
        }
        // Interrupted uploads, with and without their control connection.
        7 => {
            let mut data = client.data(&format!("STOR {name}"))?;
            let part = bytes.get(..bytes.len() / 2).unwrap_or_default();
            data.write_all(part)?;
            data.reset();
            client.reply()?;
            client.quit()
        }
        8 => {
            let mut data = client.data(&format!("APPE {name}"))?;
            data.write_all(&bytes)?;
            client.reset();
            data.drop_off();
            Ok(())
        }
        9 => {
            let data = client.data(&format!("STOR {name}"))?;
            client.send("ABOR")?;
            client.reply()?;
            client.reply()?;
            drop(data);
            client.quit()
        }
        // Downloads that are not read to the end.
        10 => {
            client.store(&format!("STOR {name}"), &bytes)?;
            let data = client.data(&format!("RETR {name}"))?;
            data.reset();
            client.reset();
            Ok(())
        }
        11 => {
            client.store(&format!("STOR {name}"), &bytes)?;
            let data = client.data(&format!("RETR {name}"))?;
            client.send("QUIT")?;
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

fn incomplete_handshake(server: &ProofServer) -> Result<(), Error> {
    let mut client = ClientSession::connect(&target(server.port()))?;
    client.expect("AUTH TLS", Code::SECURITY_DONE)?;
    // The header of a record of 512 bytes, without its content.
    if let Some(mut control) = client.into_control() {
        control.write_all(&[22, 3, 1, 2, 0])?;
        control.drop_off();
    }
    Ok(())
}

/// From its own address, so that only that one is banned.
fn wrong_password(server: &ProofServer, random: &mut Random) -> Result<(), Error> {
    let part = u8::try_from(random.index(250) + 1).unwrap_or(1);
    let mut client =
        ClientSession::connect(&target_from(Ipv4Addr::new(127, 77, part, 1), server.port()))?;
    client.call(&format!("USER {USER}"))?;
    client.call(&format!("PASS not-{PASSWORD}"))?;
    Ok(())
}
