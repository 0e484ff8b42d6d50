//! Many logins at once: all succeed in the end, and the memory for password hashes stays bounded.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wharf_load::{ClientSession, clock};
use wharf_proto::reply::Code;

use crate::prove::proofs::{Proof, ProofExtent};
use crate::prove::report::ProofReport;
use crate::prove::run::ProofRun;
use crate::prove::server::{ProofServer, target};
use crate::prove::watch::{ProcessSample, mib};

pub(crate) static PROOF: Proof = Proof {
    name: "logins",
    about: "parallel logins all succeed in the end, and memory stays bounded meanwhile",
    unit: "logins",
    short: ProofExtent::count(100),
    long: ProofExtent::count(500),
    mounts: false,
    run,
};

/// Row 20: unlimited parallel hashes would use more.
const RSS_MIB_MAX: f64 = 400.0;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);
/// A client repeats its login after this time if the server is busy.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// The most repetitions.
const TRIES_MAX: u32 = 3000;
const PASSWORD: &str = "Pier 39, Zürich";
/// A hash of that password, as the server makes them.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$M4I0egdCHMg+1Q2inS2nAA$\
    3PzAqmr7IodR5jorJgRhB2IJjFdEhWRgaxSb3Gh6Tbw";

fn run(run: &ProofRun, report: &ProofReport) -> Result<(), String> {
    let mut server = ProofServer::new(run)?;
    server.account("anna", &format!("password = {HASH:?}\nsessions = 0"));
    server.start()?;
    let before = ProcessSample::at(server.pid())?.rss_kib;
    report.set("RSS before, MiB", mib(before));
    let (port, pid) = (server.port(), server.pid());
    let is_over = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..run.plan.count)
            .map(|round| {
                scope.spawn(move || {
                    let done = log_in(port);
                    report.add("server busy", f64::from(*done.as_ref().unwrap_or(&0)));
                    report.ended(run.seed_of(round), done.map(drop));
                })
            })
            .collect();
        let watch = scope.spawn(|| {
            let mut most = before;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(ProcessSample::at(pid).map_or(0, |sample| sample.rss_kib));
                clock::pause(SAMPLE_INTERVAL);
            }
            most
        });
        for client in clients {
            let _ = client.join();
        }
        is_over.store(true, Ordering::Relaxed);
        watch.join().unwrap_or(u64::MAX)
    });
    report.set("peak RSS, MiB", mib(most));
    if mib(most) >= RSS_MIB_MAX {
        report.failed(run.seed, format!("the server used {:.0} MiB", mib(most)));
    }
    Ok(())
}

/// Logs in; returns how often the server was busy before.
fn log_in(port: u16) -> Result<u32, String> {
    for busy in 0..TRIES_MAX {
        let mut client = ClientSession::connect(&target(port))?;
        client.expect("USER anna", Code::NEED_PASSWORD)?;
        let reply = client.call(&format!("PASS {PASSWORD}"))?;
        match reply.code {
            Code::LOGGED_IN => return client.quit().map(|()| busy).map_err(String::from),
            Code::CLOSING => clock::pause(RETRY_PAUSE),
            code => return Err(format!("the login was answered with {}", code.number())),
        }
    }
    Err("the server was busy all the time".to_owned())
}
