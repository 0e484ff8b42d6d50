//! `cargo xtask prove sim`: a long run of the simulation, in a release build.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::outcome::{ProofOutcome, target};
use crate::process::{cargo, succeeds};

/// Simulated runs of a long run.
const SEEDS: u64 = 100_000;

/// Runs this number of simulations, or those of `--seeds A..B`.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<(), String> {
    let (first, end) = match words {
        [] => (1, SEEDS + 1),
        ["--seeds", range] => {
            let range = range.split_once("..").and_then(|(first, end)| {
                Some((first.parse().ok()?, end.parse().ok().filter(|end| *end > 0)?))
            });
            range.ok_or("--seeds needs a range, such as --seeds 1..2000")?
        }
        _ => return Err("usage: cargo xtask prove sim [--seeds A..B]".to_owned()),
    };
    let mut build = cargo(root);
    build.args(["build", "--quiet", "--release", "--package", "wharf-sim"]);
    if !succeeds(&mut build)? {
        return Err("cannot build the simulation, see above".to_owned());
    }
    let mut command = Command::new(target(root).join("release/wharf-sim"));
    command.args(["--seeds", &format!("{first}..{end}")]).stderr(std::process::Stdio::inherit());
    let began = now();
    let output =
        command.output().map_err(|error| format!("cannot start the simulation: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    eprint!("{text}");
    let failed = text.lines().filter(|line| line.trim().starts_with("replay:")).count();
    let failed = u64::try_from(failed).unwrap_or(u64::MAX);
    let count = u64::saturating_sub(end, first);
    let outcome = ProofOutcome {
        name: "sim",
        about: "worlds by seed: the server under delays, resets and failing stores, with an oracle",
        unit: "seeds",
        count,
        failed,
        seconds: now().duration_since(began).as_secs(),
    };
    outcome.write(root)?;
    eprintln!("{} passed, {failed} failed", count - failed);
    if output.status.success() { Ok(()) } else { Err("some simulations failed".to_owned()) }
}

#[expect(clippy::disallowed_methods, reason = "a run takes real time")]
fn now() -> Instant {
    Instant::now()
}
