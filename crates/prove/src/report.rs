//! The report of a proof: counts, failures with their seeds, and figures, printed and as a file.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;
use wharf_load::{clock, lock};

use crate::prove::folder;
use crate::prove::machine::ProofMachine;
use crate::prove::proofs::{Proof, ProofExtent};

/// The progress of a proof. Threads share it by reference.
#[derive(Debug)]
pub(crate) struct ProofReport {
    name: &'static str,
    unit: &'static str,
    plan: ProofExtent,
    began: Instant,
    state: Mutex<ReportState>,
}

#[derive(Debug, Default)]
struct ReportState {
    passed: u64,
    failed: u64,
    /// The first failures; more of the same are not useful.
    failures: Vec<ProofFailure>,
    figures: BTreeMap<String, f64>,
    describe: Option<Instant>,
}

/// A failure.
#[derive(Clone, Debug, Serialize)]
struct ProofFailure {
    seed: u64,
    what: String,
}

/// The content of `target/prove/NAME.json`, from which docs/reference/trust.md is generated.
#[derive(Debug, Serialize)]
struct ProofRecord<'a> {
    name: &'a str,
    about: &'a str,
    unit: &'a str,
    form: &'a str,
    count: u64,
    passed: u64,
    failed: u64,
    seed: u64,
    seconds: f64,
    figures: &'a BTreeMap<String, f64>,
    failures: &'a [ProofFailure],
    machine: ProofMachine,
    commit: String,
    result: &'a str,
}

/// The form of a run, and its first seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label<'a> {
    /// `short`, `long`, or `other` for other counts.
    pub(crate) form: &'a str,
    pub(crate) seed: u64,
}

/// The interval between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
const FAILURES_SHOWN: usize = 20;

impl ProofReport {
    pub(crate) fn new(proof: &Proof, plan: ProofExtent) -> Self {
        let (name, unit) = (proof.name, proof.unit);
        Self { name, unit, plan, began: clock::now(), state: Mutex::default() }
    }

    /// Whether the plan has another round. Prints the progress now and then.
    pub(crate) fn has_next_round(&self) -> bool {
        let mut state = lock(&self.state);
        let done = state.passed + state.failed;
        let has_next_round = done < self.plan.count || self.began.elapsed() < self.plan.time;
        let is_time = state.describe.unwrap_or(self.began).elapsed() >= PROGRESS_EVERY;
        if has_next_round && is_time {
            state.describe = Some(clock::now());
            let (seconds, failed) = (self.began.elapsed().as_secs(), state.failed);
            let of = if self.plan.count > 0 {
                format!(" of {}", self.plan.count)
            } else {
                String::new()
            };
            drop(state);
            print_line(&format!("  {done}{of} {}, {failed} failed, {seconds} s", self.unit));
        }
        has_next_round
    }

    /// A successful round.
    pub(crate) fn passed(&self) {
        lock(&self.state).passed += 1;
    }

    /// Many successful rounds.
    pub(crate) fn passed_many(&self, count: u64) {
        lock(&self.state).passed += count;
    }

    /// A failed round. The first ones are printed at once, with the command that repeats them.
    pub(crate) fn failed(&self, seed: u64, what: impl Into<String>) {
        let what = what.into();
        let mut state = lock(&self.state);
        state.failed += 1;
        if state.failures.len() < FAILURES_SHOWN {
            print_line(&format!(
                "  FAILED, seed {seed}: {what}\n    repeat: cargo xtask prove {} --seed {seed} \
                 --count 1",
                self.name
            ));
            state.failures.push(ProofFailure { seed, what });
        }
    }

    /// The result of a round.
    pub(crate) fn ended(&self, seed: u64, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed(),
            Err(what) => self.failed(seed, what),
        }
    }

    /// Adds to a figure of the result, such as `uploads`.
    pub(crate) fn add(&self, figure: &str, more: f64) {
        *lock(&self.state).figures.entry(figure.to_owned()).or_default() += more;
    }

    /// Sets a figure of the result.
    pub(crate) fn set(&self, figure: &str, value: f64) {
        lock(&self.state).figures.insert(figure.to_owned(), value);
    }

    /// The numbers of passed and failed rounds.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = lock(&self.state);
        (state.passed, state.failed)
    }

    /// Prints the figures and counts.
    pub(crate) fn sum_up(&self) {
        let state = lock(&self.state);
        if !state.figures.is_empty() {
            let figures: Vec<_> = state
                .figures
                .iter()
                .map(|(name, value)| format!("{name} {}", shown(*value)))
                .collect();
            print_line(&format!("  {}", figures.join(", ")));
        }
        let seconds = self.began.elapsed().as_secs();
        print_line(&format!(
            "{}: {} {} passed, {} failed, {seconds} s",
            self.name, state.passed, self.unit, state.failed
        ));
    }

    /// Writes the result for the generator of docs/reference/trust.md.
    pub(crate) fn write(
        &self,
        proof: &Proof,
        label: Label<'_>,
        place: &Path,
        files: &Path,
    ) -> Result<(), String> {
        let state = lock(&self.state);
        let record = ProofRecord {
            name: proof.name,
            about: proof.about,
            unit: proof.unit,
            form: label.form,
            count: state.passed + state.failed,
            passed: state.passed,
            failed: state.failed,
            seed: label.seed,
            seconds: (self.began.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            figures: &state.figures,
            failures: &state.failures,
            machine: ProofMachine::describe(files),
            commit: wharf_load::machine::commit(),
            result: if state.failed == 0 && state.passed > 0 { "passed" } else { "failed" },
        };
        let text = serde_json::to_string_pretty(&record).map_err(|error| error.to_string())?;
        folder::make(place)?;
        folder::write(&place.join(format!("{}.json", proof.name)), text + "\n")
    }
}

/// Removes the result of an earlier run.
pub(crate) fn forget(proof: &Proof, place: &Path) {
    drop(std::fs::remove_file(place.join(format!("{}.json", proof.name))));
}

/// The numbers of passed and failed rounds in the result of a run.
pub(crate) fn counts(proof: &Proof, place: &Path) -> Option<(u64, u64)> {
    let text = std::fs::read(place.join(format!("{}.json", proof.name))).ok()?;
    let record: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some((record.get("passed")?.as_u64()?, record.get("failed")?.as_u64()?))
}

/// A number without needless digits.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Prints a line to standard output; a closed pipe is ignored.
pub(crate) fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    static PROOF: Proof = Proof {
        name: "none",
        about: "nothing",
        unit: "rounds",
        short: ProofExtent::count(2),
        long: ProofExtent::count(3),
        mounts: false,
        run: |_, _| Ok(()),
    };

    #[test]
    fn rounds_that_passed_and_failed_count_towards_the_plan() {
        let report = ProofReport::new(&PROOF, PROOF.short);
        assert!(report.has_next_round());
        report.ended(1, Ok(()));
        assert!(report.has_next_round());
        report.ended(2, Err("torn".to_owned()));
        assert!(!report.has_next_round());
        assert_eq!(report.counts(), (1, 1));
    }

    #[test]
    fn a_proof_without_a_round_has_not_passed() {
        let folder = std::env::temp_dir().join(format!("wharf-prove-test-{}", std::process::id()));
        let report = ProofReport::new(&PROOF, PROOF.short);
        let label = Label { form: "short", seed: 1 };
        report.write(&PROOF, label, &folder, &folder).unwrap();
        let text = std::fs::read_to_string(folder.join("none.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["result"], "failed");
        assert_eq!(counts(&PROOF, &folder), Some((0, 0)));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
