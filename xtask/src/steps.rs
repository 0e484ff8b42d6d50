//! The steps of `cargo xtask test`, in order, timed and named.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{cargo, succeeds};
use crate::{book, fuzz, package, prove, setup, tidy};

/// One step.
struct TestStep {
    name: &'static str,
    about: &'static str,
    work: StepWork,
}

/// The work of a step.
enum StepWork {
    /// Cargo with these arguments and this environment.
    Cargo(&'static [&'static str], &'static [(&'static str, &'static str)]),
    Tidy,
    Fuzz,
    Prove,
    Package,
    Book,
}

// The features are the same in every step, so that build results are reused.
static STEPS: &[TestStep] = &[
    TestStep {
        name: "fmt",
        about: "the code is formatted",
        work: StepWork::Cargo(&["fmt", "--all", "--check"], &[]),
    },
    TestStep {
        name: "tidy",
        about: "the rules of docs/ARCHITECTURE.md hold",
        work: StepWork::Tidy,
    },
    TestStep {
        name: "clippy",
        about: "no warning from the compiler or clippy",
        work: StepWork::Cargo(
            &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"],
            &[],
        ),
    },
    TestStep {
        name: "deny",
        about: "licences, versions and sources of dependencies",
        work: StepWork::Cargo(
            &["deny", "--all-features", "check", "bans", "licenses", "sources"],
            &[],
        ),
    },
    TestStep {
        name: "doc",
        about: "the documentation builds without warnings",
        work: StepWork::Cargo(
            &["doc", "--no-deps", "--workspace", "--all-features"],
            &[("RUSTDOCFLAGS", "-D warnings")],
        ),
    },
    TestStep {
        name: "book",
        about: "the documentation site builds, without dead links",
        work: StepWork::Book,
    },
    TestStep {
        name: "nextest",
        about: "every test, real clients and simulation included",
        work: StepWork::Cargo(&["nextest", "run", "--workspace", "--all-features"], &[]),
    },
    TestStep {
        name: "doctest",
        about: "the examples in the documentation",
        work: StepWork::Cargo(&["test", "--doc", "--workspace", "--all-features", "--quiet"], &[]),
    },
    TestStep {
        name: "package",
        about: "the Debian package is built, installed, run, upgraded and purged",
        work: StepWork::Package,
    },
    TestStep { name: "prove", about: "the short form of every proof", work: StepWork::Prove },
    TestStep { name: "fuzz", about: "a short run of every fuzz target", work: StepWork::Fuzz },
];

/// The folder of the control socket of a server that is installed on the system.
const SYSTEM_FOLDER: &str = "/run/wharf";

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StepEnd {
    Passed,
    Failed,
    NotRun,
}

/// Sets up, then runs the steps named in `words`, or all.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<(), String> {
    let (steps, keeps_going) = chosen(words)?;
    setup::run(root)?;
    let mut ends: Vec<(&str, StepEnd, Duration)> = Vec::new();
    let mut has_failed = false;
    for step in steps {
        if has_failed && !keeps_going {
            ends.push((step.name, StepEnd::NotRun, Duration::ZERO));
            continue;
        }
        eprintln!("\nxtask: {} ({})", step.name, step.about);
        let began = now();
        let is_installed = Path::new(SYSTEM_FOLDER).exists();
        let outcome = step.work.run(root).and_then(|()| step.leaves_no_folder(is_installed));
        let took = now().duration_since(began);
        if let Err(message) = &outcome {
            eprintln!("error: {message}");
            has_failed = true;
        }
        ends.push((
            step.name,
            if outcome.is_ok() { StepEnd::Passed } else { StepEnd::Failed },
            took,
        ));
    }
    eprintln!("\n{}", report(&ends));
    if has_failed { Err("some steps failed".to_owned()) } else { Ok(()) }
}

/// The steps, for the help text.
pub(crate) fn help() -> String {
    let line = |step: &TestStep| format!("  {:<9}{}\n", step.name, step.about);
    let lines: Vec<String> = STEPS.iter().map(line).collect();
    format!("\nSteps of `test`, in order:\n{}", lines.concat())
}

fn chosen(words: &[&str]) -> Result<(Vec<&'static TestStep>, bool), String> {
    let (flags, names): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| word.starts_with('-'));
    if let Some(flag) = flags.iter().find(|flag| **flag != "--keep-going") {
        return Err(format!("unknown option \"{flag}\"\nhint: the only one is --keep-going"));
    }
    if let Some(name) = names.iter().find(|name| !STEPS.iter().any(|step| step.name == **name)) {
        let known: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("unknown step \"{name}\"\nhint: steps are {}", known.join(", ")));
    }
    let is_chosen = |step: &&TestStep| names.is_empty() || names.contains(&step.name);
    Ok((STEPS.iter().filter(is_chosen).collect(), !flags.is_empty()))
}

impl TestStep {
    /// A test that runs as root must not use the folder of an installed server: two of them would
    /// disturb each other, and that server. The package is installed there and purged.
    fn leaves_no_folder(&self, was_there: bool) -> Result<(), String> {
        if was_there || matches!(self.work, StepWork::Package) || !Path::new(SYSTEM_FOLDER).exists()
        {
            return Ok(());
        }
        Err(format!(
            "{SYSTEM_FOLDER} appeared during this step\n\
             hint: a test starts wharf without RUNTIME_DIRECTORY; remove the folder afterwards"
        ))
    }
}

impl StepWork {
    fn run(&self, root: &Path) -> Result<(), String> {
        match self {
            Self::Cargo(arguments, environment) => {
                let mut command = cargo(root);
                command.args(*arguments).envs(environment.iter().copied());
                run_cargo(&mut command, &arguments.join(" "))
            }
            Self::Tidy => tidy::run(root),
            Self::Book => book::run(root),
            Self::Fuzz => fuzz::short(root),
            Self::Package => package::check(root),
            Self::Prove => prove::run(root, &["--debug", "--short"]),
        }
    }
}

fn run_cargo(command: &mut Command, arguments: &str) -> Result<(), String> {
    if succeeds(command)? { Ok(()) } else { Err(format!("`cargo {arguments}` failed, see above")) }
}

/// One line per step, and one summary.
fn report(ends: &[(&str, StepEnd, Duration)]) -> String {
    let count = |wanted: StepEnd| ends.iter().filter(|(_, end, _)| *end == wanted).count();
    let line = |(name, end, took): &(&str, StepEnd, Duration)| {
        let word = match end {
            StepEnd::Passed => "passed",
            StepEnd::Failed => "FAILED",
            StepEnd::NotRun => "not run",
        };
        format!("{name:<9}{word:<9}{:>7.1} s\n", took.as_secs_f64())
    };
    let lines = ends.iter().map(line).collect::<Vec<_>>().concat();
    let total: Duration = ends.iter().map(|(_, _, took)| *took).sum();
    let (passed, failed) = (count(StepEnd::Passed), count(StepEnd::Failed));
    let not_run = match count(StepEnd::NotRun) {
        0 => String::new(),
        number => format!(", {number} not run"),
    };
    let seconds = total.as_secs();
    format!("{lines}steps: {passed} passed, {failed} failed{not_run}; {seconds} s")
}

#[expect(clippy::disallowed_methods, reason = "steps take real time; nothing here is simulated")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_words_every_step_is_chosen() {
        let (steps, keeps_going) = chosen(&[]).unwrap();
        assert_eq!(steps.len(), STEPS.len());
        assert!(!keeps_going);
    }

    #[test]
    fn named_steps_run_in_their_own_order() {
        let (steps, keeps_going) = chosen(&["tidy", "--keep-going", "fmt"]).unwrap();
        assert_eq!(steps.iter().map(|step| step.name).collect::<Vec<_>>(), ["fmt", "tidy"]);
        assert!(keeps_going);
    }

    #[test]
    fn an_unknown_step_or_option_is_reported_with_the_known_ones() {
        let message = chosen(&["clipy"]).err().unwrap();
        assert!(message.contains("clipy") && message.contains("clippy"), "{message}");
        let message = chosen(&["--kep-going"]).err().unwrap();
        assert!(message.contains("--keep-going"), "{message}");
    }

    #[test]
    fn the_report_counts_what_ran_and_what_did_not() {
        let ends = [
            ("fmt", StepEnd::Passed, Duration::from_millis(1500)),
            ("tidy", StepEnd::Failed, Duration::from_millis(600)),
            ("clippy", StepEnd::NotRun, Duration::ZERO),
        ];
        let text = report(&ends);
        assert!(text.ends_with("steps: 1 passed, 1 failed, 1 not run; 2 s"), "{text}");
        assert!(text.starts_with("fmt      passed       1.5 s\n"), "{text}");
    }
}
