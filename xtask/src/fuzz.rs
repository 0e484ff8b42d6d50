//! Fuzzing: a short run of every target in the tests, and a long run manually.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Instant;

use crate::outcome::ProofOutcome;
use crate::process::{cargo, succeeds};

/// How long each target runs in the tests.
const SHORT_SECONDS: &str = "-max_total_time=8";
/// Executions of each target in a long run: whole sessions are a thousand times a parser's work.
const LONG_RUNS: u64 = 100_000_000;
const LONG_SESSIONS: u64 = 1_000_000;
/// The target that holds whole conversations.
const SESSION: &str = "session";
/// An input that takes this many seconds is a failure.
const TIMEOUT: &str = "-timeout=5";
/// The memory limit: parsers of lines and listings need far less.
const MEMORY: &str = "-rss_limit_mb=1024";
/// Bytes of an input in a long run: parser bugs show in short inputs, and those are fast.
const BYTES_MAX: &[(&str, u32)] = &[("session", 128), ("config", 128), ("users", 128)];
const BYTES_MAX_ELSE: u32 = 64;
/// In a long run the fuzzer should execute inputs rather than minimise its corpus.
const COUNTING: &[&str] = &["-reduce_inputs=0", "-entropic=0", "-reload=0", "-print_final_stats=1"];

/// Runs every target for a few seconds, one on each processor at a time.
pub(crate) fn short(root: &Path) -> Result<(), String> {
    build(root)?;
    let waiting = Mutex::new(targets(root)?.into_iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(target) = next() {
            let mut command = command_of(root, &target)?;
            command.args(["--", SHORT_SECONDS, TIMEOUT, MEMORY]).args(dictionary(root, &target));
            quietly(&mut command, &target)?;
            eprintln!("xtask: fuzz target {target}: nothing found");
        }
        Ok(())
    };
    let workers = available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let panicked = |_| Err("a fuzz worker panicked".to_owned());
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(panicked))
    })
}

/// Runs targets to a count of executions, and returns the counts.
///
/// `words`: names of targets, none for all; `--runs N` replaces the default count.
pub(crate) fn long(root: &Path, words: &[&str]) -> Result<(), String> {
    let all = targets(root)?;
    let (names, runs) = selected(words, &all)?;
    build(root)?;
    let (mut failed, mut sums) = (0, (0, 0, 0));
    for target in &names {
        let usual = if target == SESSION { LONG_SESSIONS } else { LONG_RUNS };
        let run = counted(root, target, runs.unwrap_or(usual))?;
        failed += usize::from(!run.is_fine);
        let fault = u64::from(!run.is_fine);
        if target == SESSION {
            let about = "any bytes are a conversation: it ends, one last reply for each command";
            outcome("sessions", about, "sessions", (run.executions, fault, run.seconds))
                .write(root)?;
        } else {
            let (executions, faults, seconds) = sums;
            sums = (executions + run.executions, faults + fault, seconds + run.seconds);
        }
        eprintln!("{target:<9}{run}");
    }
    if sums.0 > 0 {
        let about = format!(
            "any bytes for {} parsers: nothing panics, what is read holds",
            names.iter().filter(|name| *name != SESSION).count()
        );
        outcome("fuzz", &about, "executions", sums).write(root)?;
    }
    let passed = names.len() - failed;
    eprintln!("{passed} passed, {failed} failed");
    if failed == 0 {
        Ok(())
    } else {
        Err("fuzzing failed; the inputs are in fuzz/artifacts".to_owned())
    }
}

fn outcome<'a>(
    name: &'a str,
    about: &'a str,
    unit: &'a str,
    (count, failed, seconds): (u64, u64, u64),
) -> ProofOutcome<'a> {
    ProofOutcome { name, about, unit, count, failed, seconds }
}

/// The result of one target in a long run.
struct Counted {
    is_fine: bool,
    executions: u64,
    kept: u64,
    memory_mib: u64,
    seconds: u64,
    log: PathBuf,
}

impl std::fmt::Display for Counted {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { executions, kept, memory_mib, seconds, .. } = self;
        write!(out, "{executions:>10} executions  {kept:>6} inputs kept  {memory_mib:>4} MiB  ")?;
        write!(out, "{seconds:>5} s  ")?;
        if self.is_fine {
            write!(out, "nothing found")
        } else {
            write!(out, "FAILED, see {}", self.log.display())
        }
    }
}

fn counted(root: &Path, target: &str, runs: u64) -> Result<Counted, String> {
    let folder = root.join("target/fuzz");
    let log = folder.join(format!("{target}.log"));
    let file = fs::create_dir_all(&folder).and_then(|()| File::create(&log));
    let file = file.map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    let size = BYTES_MAX.iter().find(|(name, _)| *name == target).map_or(BYTES_MAX_ELSE, |x| x.1);
    let mut command = command_of(root, target)?;
    command.args(["--", TIMEOUT, MEMORY, &format!("-runs={runs}"), &format!("-max_len={size}")]);
    command.args(COUNTING).args(dictionary(root, target));
    command.stdout(Stdio::null()).stderr(file);
    let began = now();
    let is_fine = succeeds(&mut command)?;
    let seconds = now().duration_since(began).as_secs();
    let text = fs::read(&log).map_err(|error| format!("cannot read {}: {error}", log.display()))?;
    let text = String::from_utf8_lossy(&text);
    let reported = |name: &str| statistic(&text, name).unwrap_or(0);
    Ok(Counted {
        is_fine,
        executions: reported("number_of_executed_units"),
        kept: reported("new_units_added"),
        memory_mib: reported("peak_rss_mb"),
        seconds,
        log,
    })
}

/// A number that the fuzzer prints at its end.
fn statistic(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
    line?.trim_start_matches(':').trim().parse().ok()
}

fn selected(words: &[&str], all: &[String]) -> Result<(Vec<String>, Option<u64>), String> {
    let (mut names, mut runs) = (Vec::new(), None);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "--runs" => {
                let number = rest.next().and_then(|word| word.parse().ok());
                runs = Some(number.ok_or("--runs needs a number, such as --runs 1000000")?);
            }
            name if all.iter().any(|known| known == name) => names.push(name.to_owned()),
            name => {
                let known = all.join(", ");
                return Err(format!("unknown fuzz target \"{name}\"\nhint: targets are {known}"));
            }
        }
    }
    Ok((if names.is_empty() { all.to_vec() } else { names }, runs))
}

fn build(root: &Path) -> Result<(), String> {
    let is_built = succeeds(&mut fuzz(root, "build"))?;
    if is_built { Ok(()) } else { Err("`cargo fuzz build` failed, see above".to_owned()) }
}

/// `cargo fuzz run TARGET`, with the known inputs, if there are any, after the growing corpus.
fn command_of(root: &Path, target: &str) -> Result<Command, String> {
    let mut command = fuzz(root, "run");
    let corpus = format!("fuzz/corpus/{target}");
    fs::create_dir_all(root.join(&corpus))
        .map_err(|error| format!("cannot make {corpus}: {error}"))?;
    command.args([target, &corpus]);
    let seeds = format!("fuzz/seeds/{target}");
    if root.join(&seeds).is_dir() {
        command.arg(seeds);
    }
    Ok(command)
}

/// A dictionary that helps the fuzzer.
fn dictionary(root: &Path, target: &str) -> Option<String> {
    let path = root.join(format!("fuzz/dictionaries/{target}.dict"));
    path.is_file().then(|| format!("-dict={}", path.display()))
}

fn fuzz(root: &Path, verb: &str) -> Command {
    let mut command = cargo(root);
    // The fuzzer's coverage flags are unstable. The targets hold no unsafe code, so the address
    // sanitizer would find nothing and halve the speed.
    command.env("RUSTC_BOOTSTRAP", "1").args(["fuzz", verb, "--sanitizer", "none"]);
    command
}

/// Runs cargo; its output is shown only if it fails.
fn quietly(command: &mut Command, target: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    eprintln!("{}", String::from_utf8_lossy(&output.stdout));
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    Err(format!("fuzz target {target} failed, see above; the input is in fuzz/artifacts"))
}

fn targets(root: &Path) -> Result<Vec<String>, String> {
    let manifest = root.join("fuzz/Cargo.toml");
    let text = fs::read_to_string(&manifest)
        .map_err(|error| format!("cannot read {}: {error}", manifest.display()))?;
    let targets: Vec<String> = named_in(&text).into_iter().map(str::to_owned).collect();
    if targets.is_empty() { Err("fuzz/Cargo.toml names no target".to_owned()) } else { Ok(targets) }
}

/// The names of the `[[bin]]` tables.
fn named_in(manifest: &str) -> Vec<&str> {
    let mut is_bin = false;
    let mut targets = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            is_bin = line == "[[bin]]";
        } else if let Some(("name", value)) = line.split_once('=').map(|(k, v)| (k.trim(), v))
            && is_bin
        {
            targets.push(value.trim().trim_matches('"'));
        }
    }
    targets
}

#[expect(clippy::disallowed_methods, reason = "a run takes real time; nothing is simulated")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_targets_are_the_bin_tables_and_nothing_else() {
        let manifest = "[package]\nname = \"fuzz\"\n[[bin]]\nname = \"line\"\npath = \"x.rs\"\n\
                        [[bin]]\nname=\"reply\"\n[dependencies]\nname = \"1\"\n";
        assert_eq!(named_in(manifest), ["line", "reply"]);
    }

    #[test]
    fn a_long_run_takes_targets_and_a_count() {
        let all = ["line".to_owned(), "reply".to_owned()];
        assert_eq!(selected(&[], &all).unwrap(), (all.to_vec(), None));
        let some = selected(&["reply", "--runs", "5"], &all).unwrap();
        assert_eq!(some, (vec!["reply".to_owned()], Some(5)));
        let message = selected(&["rely"], &all).unwrap_err();
        assert!(message.contains("rely") && message.contains("line, reply"), "{message}");
        assert!(selected(&["--runs"], &all).is_err());
    }

    #[test]
    fn the_statistics_of_a_run_are_read() {
        let text =
            "Done 9 runs\nstat::number_of_executed_units: 90974\nstat::peak_rss_mb:     36\n";
        assert_eq!(statistic(text, "number_of_executed_units"), Some(90974));
        assert_eq!(statistic(text, "peak_rss_mb"), Some(36));
        assert_eq!(statistic(text, "new_units_added"), None);
    }

    #[test]
    fn every_dictionary_belongs_to_a_target() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let targets = targets(root).unwrap();
        for entry in fs::read_dir(root.join("fuzz/dictionaries")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(targets.iter().any(|target| target == name), "{name}");
        }
    }
}
