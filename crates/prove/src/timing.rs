//! Timing of failed logins: the response time must not reveal which names exist.
//!
//! Each round tries each kind of name once, in a random order, on one connection, so that other
//! load of the machine affects all kinds alike. The server replies at once here, which is its worst
//! case: by default replies are delayed to a multiple of one second.

use wharf_load::{ClientSession, Random, clock};
use wharf_proto::reply::Code;

use crate::prove::proofs::{Proof, ProofExtent};
use crate::prove::report::ProofReport;
use crate::prove::run::ProofRun;
use crate::prove::server::{ProofServer, target};

pub(crate) static PROOF: Proof = Proof {
    name: "timing",
    about: "failed logins of unknown, known and disabled names take the same time",
    unit: "rounds",
    short: ProofExtent::count(40),
    long: ProofExtent::count(10_000),
    mounts: false,
    run,
};

/// The tried names; the first does not exist, and the others are compared with it. `barred` has the
/// right password and may not log in from here, `camera` needs none and may not either.
const NAMES: &[&str] = &["nobody", "anna", "disabled", "barred", "camera"];
/// The password of [`HASH`]; only `barred` sends it.
const SECRET: &str = "Pier 39, Zürich";
/// A hash made by the server.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$M4I0egdCHMg+1Q2inS2nAA$\
    3PzAqmr7IodR5jorJgRhB2IJjFdEhWRgaxSb3Gh6Tbw";
/// From this number of rounds on the figures show what row 18 requires; with fewer only large
/// differences.
const ROUNDS_SIGNIFICANT: usize = 1000;
/// The probability of a right guess by time; one half is chance.
const GUESS_MAX: f64 = 0.55;
const GUESS_MAX_FEW_ROUNDS: f64 = 0.85;
/// The difference of medians in milliseconds, and the rounds from which on it is significant: with
/// fewer it is that of other load of the machine.
const ROUNDS_FOR_MEDIANS: usize = 10_000;
const MEDIANS_MAX: f64 = 1.0;

fn run(run: &ProofRun, report: &ProofReport) -> Result<(), String> {
    let mut server = ProofServer::new(run)?;
    server.set("login", "failure_delay = 0");
    server.set("login", "max_attempts = 4000000");
    server.set("login", "timeout = \"24h\"");
    server.account("anna", &format!("password = {HASH:?}"));
    server.account("disabled", &format!("password = {HASH:?}\nenabled = false"));
    let elsewhere = "allowed_addresses = [\"192.0.2.7\"]";
    server.account("barred", &format!("password = {HASH:?}\n{elsewhere}"));
    server.account("camera", &format!("no_password = true\n{elsewhere}"));
    server.start()?;
    let mut client = ClientSession::connect(&target(server.port()))?;
    let mut times: Vec<Vec<f64>> = NAMES.iter().map(|_| Vec::new()).collect();
    let mut random = Random::new(run.seed);
    // The first rounds warm up caches.
    for name in NAMES {
        fail(&mut client, name)?;
    }
    while report.has_next_round() {
        let mut left: Vec<_> = NAMES.iter().zip(&mut times).collect();
        while !left.is_empty() {
            let (name, times) = left.swap_remove(random.index(left.len()));
            times.push(fail(&mut client, name)?);
        }
        report.passed();
    }
    let (unknown, known) = times.split_first().ok_or("no names")?;
    report.set("median ms", median(unknown));
    for (name, times) in NAMES.iter().skip(1).zip(known) {
        let (difference, guess) = (median(times) - median(unknown), guess(unknown, times));
        report.set(&format!("median of {name} minus that of unknown names, ms"), difference);
        report.set(&format!("AUC of {name}"), guess);
        let has_weight = times.len() >= ROUNDS_SIGNIFICANT;
        let most = if has_weight { GUESS_MAX } else { GUESS_MAX_FEW_ROUNDS };
        let is_apart = times.len() >= ROUNDS_FOR_MEDIANS && difference.abs() >= MEDIANS_MAX;
        if guess >= most || is_apart {
            report.failed(
                run.seed,
                format!("{name}: AUC {guess:.3}, medians differ by {difference:.3} ms"),
            );
        }
    }
    Ok(())
}

/// The response time of a failed login, in milliseconds.
fn fail(client: &mut ClientSession, name: &str) -> Result<f64, String> {
    client.expect(&format!("USER {name}"), Code::NEED_PASSWORD)?;
    let secret = if name == "barred" { SECRET } else { "wrong" };
    let began = clock::now();
    client.expect(&format!("PASS {secret}"), Code::NOT_LOGGED_IN)?;
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The probability that of two times, one of each kind, the longer one is of the second kind: from
/// one half, which is chance, to one. It is the area under the ROC curve (Mann and Whitney's U).
fn guess(some: &[f64], others: &[f64]) -> f64 {
    let mut all: Vec<_> = some.iter().map(|time| (*time, false)).collect();
    all.extend(others.iter().map(|time| (*time, true)));
    all.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let (mut shorter, mut pairs, mut total) = (0.0, 0.0, 0.0);
    for (_, is_other) in &all {
        if *is_other {
            pairs += shorter;
            total += 1.0;
        } else {
            shorter += 1.0;
        }
    }
    let area: f64 = if total * shorter > 0.0 { pairs / (total * shorter) } else { 0.5 };
    area.max(1.0 - area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_18_only_different_times_are_distinguished() {
        let even: Vec<f64> = (0..1000).map(|at| f64::from(at % 100)).collect();
        let later: Vec<f64> = even.iter().map(|time| time + 50.0).collect();
        let mut odd = even.clone();
        odd.reverse();
        assert!(guess(&even, &later) > 0.8 && guess(&later, &even) > 0.8);
        assert!(guess(&even, &odd) < 0.52);
        assert!((median(&later) - median(&even) - 50.0).abs() < 1.0);
    }
}
