//! Overload by abusive clients: slow bytes on control and data connections, incomplete handshakes,
//! connection storms from one address, and listings of a huge folder. Meanwhile a normal client of
//! another address works, and is timed.
//!
//! All its commands must succeed, with the right bytes, and the server's memory must stay bounded.
//! Its latency is reported but not checked: it depends on the machine.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wharf_load::{ClientSession, Error, ErrorKind, clock, raise_file_limit};
use wharf_proto::reply::Code;

use crate::prove::folder;
use crate::prove::proofs::{Proof, ProofExtent};
use crate::prove::report::{ProofReport, print_line};
use crate::prove::run::ProofRun;
use crate::prove::server::{ProofServer, target_from};
use crate::prove::watch::{ProcessSample, mib};

mod abusive_clients;

use abusive_clients::AbusiveClients;

pub(crate) static PROOF: Proof = Proof {
    name: "flood",
    about: "slow clients, incomplete handshakes, storms and a huge listing; a normal client works",
    unit: "normal sessions",
    short: ProofExtent { count: 100, time: Duration::from_secs(5) },
    long: ProofExtent { count: 2000, time: Duration::from_mins(2) },
    mounts: false,
    run,
};

/// The number of abusive clients.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Clients that send a byte now and then, before a login.
    dripping: usize,
    /// Logged-in clients that transfer a byte of a file now and then.
    crawling: usize,
    half_open: usize,
    storm_per_s: u64,
    entries: usize,
}

const SMALL: Sizes =
    Sizes { dripping: 180, crawling: 20, half_open: 50, storm_per_s: 200, entries: 20_000 };
const LARGE: Sizes =
    Sizes { dripping: 4800, crawling: 200, half_open: 1000, storm_per_s: 2000, entries: 1_000_000 };

/// The limit on the server's memory.
const RSS_MIB_MAX: f64 = 512.0;
/// NOOPs of the normal client in one session, beside its file.
const NOOPS: usize = 10;
const NORMAL_CLIENT: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);
const SMALL_BYTES: usize = 20_000;
const BIG_BYTES: usize = 64 << 20;

fn run(run: &ProofRun, report: &ProofReport) -> Result<(), String> {
    let sizes = if run.plan.count >= PROOF.long.count { LARGE } else { SMALL };
    // This process needs one descriptor for each of thousands of connections. Where that is not
    // permitted there are fewer clients, and the proof reports it.
    let _ = raise_file_limit(u64::MAX);
    let mut server = ProofServer::new(run)?;
    server.set("limits", "connections = 10000");
    server.set("limits", "connections_per_ip = 20");
    let content = files(&server, sizes)?;
    server.start()?;
    let idle = ProcessSample::at(server.pid())?;
    print_line(&format!("  before: {}", idle.describe()));
    let abusive_clients = AbusiveClients::new(server.port(), sizes);
    let is_over = AtomicBool::new(false);
    let mut times = Times::default();
    let ended = std::thread::scope(|scope| {
        let threads = abusive_clients.spawn(scope, &is_over);
        let result = normal_client(run, &server, report, &content, &mut times);
        is_over.store(true, Ordering::SeqCst);
        let has_fallen = threads.into_iter().any(|thread| thread.join().is_err());
        if has_fallen { Err("a thread of abusive clients panicked".to_owned()) } else { result }
    });
    ended?;
    abusive_clients.report_to(report);
    times.report_to(report);
    // Without abusive clients the proof shows nothing.
    if let Some(what) = abusive_clients.missing() {
        report.failed(run.seed, what);
    }
    server.stop()
}

/// Creates the files; returns the content of the normal client's one.
fn files(server: &ProofServer, sizes: Sizes) -> Result<Vec<u8>, String> {
    let home = server.home();
    let vast = home.join(abusive_clients::VAST);
    folder::make(&vast)?;
    for entry in 0..sizes.entries {
        folder::write(&vast.join(format!("an entry of many, number {entry}")), b"")?;
    }
    let content: Vec<u8> = (0_u8..=250).cycle().take(SMALL_BYTES).collect();
    folder::write(&home.join("small"), &content)?;
    folder::write(&home.join(abusive_clients::BIG), vec![7; BIG_BYTES])?;
    Ok(content)
}

/// The sessions of the normal client, one after the other.
fn normal_client(
    run: &ProofRun,
    server: &ProofServer,
    report: &ProofReport,
    content: &[u8],
    times: &mut Times,
) -> Result<(), String> {
    for seed in run.seeds(report) {
        let mut ended = session(server.port(), content, times).map_err(String::from);
        let rss = mib(ProcessSample::at(server.pid())?.rss_kib);
        times.rss_mib_max = times.rss_mib_max.max(rss);
        if ended.is_ok() && rss > RSS_MIB_MAX {
            ended = Err(format!("the server uses {rss:.0} MiB, more than {RSS_MIB_MAX:.0}"));
        }
        report.ended(seed, ended);
    }
    Ok(())
}

fn session(port: u16, content: &[u8], times: &mut Times) -> Result<(), Error> {
    let began = clock::now();
    let mut client = ClientSession::log_in(&target_from(NORMAL_CLIENT, port))?;
    times.logins.push(began.elapsed());
    for _ in 0..NOOPS {
        let began = clock::now();
        client.expect("NOOP", Code::OK)?;
        times.noops.push(began.elapsed());
    }
    let began = clock::now();
    if client.download("RETR small")? != content {
        return Err(Error::new("RETR small", ErrorKind::Content { at: 0 }));
    }
    times.files.push(began.elapsed());
    client.quit()
}

/// The latencies of the normal client.
#[derive(Debug, Default)]
struct Times {
    logins: Vec<Duration>,
    noops: Vec<Duration>,
    files: Vec<Duration>,
    rss_mib_max: f64,
}

impl Times {
    fn report_to(&mut self, report: &ProofReport) {
        let all =
            [("login", &mut self.logins), ("noop", &mut self.noops), ("file", &mut self.files)];
        for (name, times) in all {
            times.sort_unstable();
            for (part, percent) in [("p50", 50), ("p99", 99), ("max", 100)] {
                let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
                if let Some(time) = times.get(at) {
                    report.set(&format!("{name}_{part}_ms"), time.as_secs_f64() * 1000.0);
                }
            }
        }
        report.set("rss_mib_max", self.rss_mib_max);
    }
}
