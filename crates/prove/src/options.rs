//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

use crate::prove::proofs::{PROOFS, Proof, ProofExtent, chosen};
use crate::prove::report::{self, Label, ProofReport, print_line};
use crate::prove::run::ProofRun;
use crate::prove::{folder, namespace};

/// Tests the server destructively and checks its promises.
///
/// Each proof prints its count, the seed of each failure and how to repeat it. The result is
/// written to target/prove/NAME.json. The exit code is 1 if anything failed, or could not be
/// carried out.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask prove", bin_name = "cargo xtask prove")]
struct ProofOptions {
    /// Proofs by name; all of them if none is named
    names: Vec<String>,
    /// Run the short form: seconds each, as in every test run. Otherwise the long one
    #[arg(long)]
    short: bool,
    /// Number of rounds
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Seed of the first round; the others follow
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Duration, such as 90s, 10m or 1h; with --count, until both are reached
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    /// Path of the server's program; otherwise `wharf` beside this one
    #[arg(long, value_name = "FILE")]
    wharf: Option<PathBuf>,
    /// List the proofs
    #[arg(long)]
    list: bool,
}

/// Runs the command line; returns whether all proofs passed.
pub(crate) fn run() -> Result<bool, String> {
    let options = ProofOptions::parse();
    if options.list {
        list();
        return Ok(true);
    }
    let proofs = chosen(&options.names)?;
    let target = target()?;
    let wharf = program(options.wharf.as_deref())?;
    let (mut passed, mut failed) = (0, 0);
    for proof in proofs {
        if proof.mounts && !namespace::is_own() {
            let (more, less) = apart(proof, &options, &wharf, &target)?;
            (passed, failed) = (passed + more, failed + less);
            continue;
        }
        let (more, less) = prove(proof, &options, &wharf, &target)?;
        (passed, failed) = (passed + more, failed + less);
    }
    // In its own namespaces this is a part of a larger run, which prints the counts.
    if !namespace::is_own() {
        print_line(&format!("{passed} passed, {failed} failed"));
    }
    Ok(failed == 0)
}

/// Runs one proof, prints its result, and returns how many rounds passed and failed.
fn prove(
    proof: &Proof,
    options: &ProofOptions,
    wharf: &Path,
    target: &Path,
) -> Result<(u64, u64), String> {
    let (plan, form) = options.plan(proof);
    let run = ProofRun {
        plan,
        seed: options.seed,
        wharf: wharf.to_owned(),
        place: target.join("prove").join("work"),
    };
    folder::make(&run.place)?;
    print_line(&format!("{}: {} ({form} form, seed {})", proof.name, proof.about, options.seed));
    let report = ProofReport::new(proof, plan);
    if let Err(message) = (proof.run)(&run, &report) {
        report.failed(options.seed, format!("the proof could not be carried out: {message}"));
    }
    report.sum_up();
    let label = Label { form, seed: options.seed };
    report.write(proof, label, &target.join("prove"), &run.place)?;
    Ok(report.counts())
}

/// Runs one proof in its own namespaces, and reads the counts from its result.
fn apart(
    proof: &Proof,
    options: &ProofOptions,
    wharf: &Path,
    target: &Path,
) -> Result<(u64, u64), String> {
    let mut words = vec![proof.name.to_owned(), "--seed".to_owned(), options.seed.to_string()];
    words.extend(options.short.then(|| "--short".to_owned()));
    words.extend(
        options.count.into_iter().flat_map(|count| ["--count".to_owned(), count.to_string()]),
    );
    let time = options.time.map(|time| format!("{}s", time.as_secs()));
    words.extend(time.into_iter().flat_map(|time| ["--for".to_owned(), time]));
    words.extend(["--wharf".to_owned(), wharf.to_string_lossy().into_owned()]);
    let place = target.join("prove");
    report::forget(proof, &place);
    let is_well = namespace::run(&words)?;
    Ok(match report::counts(proof, &place) {
        Some((passed, failed)) if is_well == (failed == 0) => (passed, failed),
        // It ended before it could report.
        _ => (0, 1),
    })
}

impl ProofOptions {
    fn plan(&self, proof: &Proof) -> (ProofExtent, &'static str) {
        match (self.count, self.time) {
            (None, None) if self.short => (proof.short, "short"),
            (None, None) => (proof.long, "long"),
            (count, time) => {
                let plan =
                    ProofExtent { count: count.unwrap_or(0), time: time.unwrap_or_default() };
                let long = proof.long;
                let is_long = plan.count >= long.count && plan.time >= long.time;
                (plan, if is_long { "long" } else { "other" })
            }
        }
    }
}

fn list() {
    for proof in PROOFS {
        let describe = |plan: ProofExtent| match (plan.count, plan.time.as_secs()) {
            (count, 0) => format!("{count} {}", proof.unit),
            (0, seconds) => format!("{seconds} s"),
            (count, seconds) => format!("{count} {} and {seconds} s", proof.unit),
        };
        print_line(&format!("{:<9}{}", proof.name, proof.about));
        print_line(&format!(
            "{:<9}short: {}; long: {}",
            "",
            describe(proof.short),
            describe(proof.long)
        ));
    }
}

/// The path of the server, which must exist.
fn program(given: Option<&Path>) -> Result<PathBuf, String> {
    let beside = || {
        let own = std::env::current_exe().ok()?;
        Some(own.parent()?.join("wharf"))
    };
    let program = given.map(Path::to_owned).or_else(beside).unwrap_or_default();
    program.canonicalize().map_err(|error| {
        format!(
            "cannot find the server {}: {error}; hint: cargo xtask prove builds it",
            program.display()
        )
    })
}

/// The build folder, determined from the path of this program: `target/release/...`.
fn target() -> Result<PathBuf, String> {
    let own = std::env::current_exe()
        .map_err(|error| format!("cannot find the path of this program: {error}"))?;
    let target = own.ancestors().nth(2);
    target.map(Path::to_owned).ok_or_else(|| "this program is in the root folder".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_alphabetic() => (text.get(..at).unwrap_or_default(), unit),
        _ => (text, 's'),
    };
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err("invalid time: it must end with s, m or h, such as 90s".to_owned()),
    };
    let number: u64 =
        number.parse().map_err(|_| "invalid time: expected a number and s, m or h".to_owned())?;
    let seconds = number.checked_mul(seconds).ok_or("invalid time: too long")?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_a_unit() {
        assert_eq!(time("90"), Ok(Duration::from_secs(90)));
        assert_eq!(time("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(time("1h"), Ok(Duration::from_hours(1)));
        for text in ["", "h", "1d", "-1s", "99999999999999999999h"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_explicit_count_replaces_the_plan_and_may_count_as_long() {
        let proof = PROOFS.iter().find(|proof| proof.long.time.is_zero()).unwrap();
        let options = |words: &[&str]| ProofOptions::parse_from([&["prove"], words].concat());
        assert_eq!(options(&["--count", "1"]).plan(proof), (ProofExtent::count(1), "other"));
        let count = proof.long.count.to_string();
        assert_eq!(options(&["--count", &count]).plan(proof).1, "long");
        assert_eq!(options(&["--short"]).plan(proof), (proof.short, "short"));
    }
}
