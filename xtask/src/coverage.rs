//! `cargo xtask coverage`: which lines the tests run, for each crate of the server.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::outcome::target;
use crate::process::{cargo, succeeds};
use crate::setup;

/// The measured crates. The simulation runs too: it tests the engine.
const CRATES: &[&str] = &["proto", "core", "server", "storage", "users"];
/// Tests of the simulation test the engine, and those of the load generator use real sockets.
const ALSO: &[&str] = &["wharf-sim", "wharf-load"];
/// The required percentage of lines.
const LEAST_PERCENT: u64 = 90;
/// The compiler's format needs tools of the same version.
const TOOLS: &[(&str, &str)] =
    &[("LLVM_COV", "/usr/bin/llvm-cov-22"), ("LLVM_PROFDATA", "/usr/bin/llvm-profdata-22")];

/// Runs the tests of these crates with counters, and prints how many lines they reach.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    setup::for_coverage(root)?;
    let mut tests = llvm_cov(root);
    tests.args(["nextest", "--no-report", "--all-features"]);
    for name in ALSO {
        tests.args(["--package", name]);
    }
    for name in CRATES {
        tests.args(["--package", &format!("wharf-{name}")]);
    }
    if !succeeds(&mut tests)? {
        return Err("a test fails, see above".to_owned());
    }
    let mut report = llvm_cov(root);
    report.args(["report", "--summary-only"]);
    let output = report.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = lines_of_crates(&text);
    let (reported, is_enough) = summary(&lines);
    let file = target(root).join("coverage.txt");
    fs::write(&file, format!("{reported}\n{text}"))
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    eprintln!("{reported}each file: {}", file.display());
    if is_enough { Ok(()) } else { Err(format!("coverage is below {LEAST_PERCENT} %")) }
}

fn llvm_cov(root: &Path) -> Command {
    let mut command = cargo(root);
    command.arg("llvm-cov").envs(TOOLS.iter().copied());
    command
}

/// Lines and untested lines of each crate, from the table of files.
fn lines_of_crates(table: &str) -> BTreeMap<&'static str, (u64, u64)> {
    let mut sums = BTreeMap::new();
    for line in table.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        // File, then three numbers each of regions, functions and lines.
        let [file, _, _, _, _, _, _, lines, missed, ..] = words[..] else { continue };
        // Test files always run, and are not counted.
        if file.contains("tests") {
            continue;
        }
        let name = CRATES.iter().find(|name| file.contains(&format!("{name}/src/")));
        let (Ok(lines), Ok(missed)) = (lines.parse::<u64>(), missed.parse::<u64>()) else {
            continue;
        };
        let Some(name) = name else {
            continue;
        };
        let sum: &mut (u64, u64) = sums.entry(*name).or_default();
        *sum = (sum.0 + lines, sum.1 + missed);
    }
    sums
}

fn summary(crates: &BTreeMap<&str, (u64, u64)>) -> (String, bool) {
    let (mut out, mut is_enough) = (String::new(), crates.len() == CRATES.len());
    for (name, (lines, missed)) in crates {
        let reached = lines.saturating_sub(*missed);
        let tenths = (reached * 1000).checked_div(*lines).unwrap_or(0);
        is_enough &= tenths >= LEAST_PERCENT * 10;
        let (whole, tenth) = (tenths / 10, tenths % 10);
        let _ = writeln!(out, "{name:<9}{whole:>3}.{tenth} % of {lines:>6} lines");
    }
    (out, is_enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_summed_by_crate_and_tests_left_out() {
        let table = "Filename Regions Missed Regions Cover Functions ...\n\
                     proto/src/line.rs 10 1 90.00% 5 0 100.00% 100 4 96.00% 0 0 -\n\
                     proto/src/path.rs 10 1 90.00% 5 0 100.00% 100 6 94.00% 0 0 -\n\
                     users/src/file/tests.rs 9 9 0.00% 5 0 100.00% 100 100 0.00% 0 0 -\n\
                     core/src/error.rs 9 9 0.00% 5 0 100.00% 100 50 50.00% 0 0 -\n";
        let lines = lines_of_crates(table);
        assert_eq!(lines["proto"], (200, 10));
        assert!(!lines.contains_key("users"));
        let (text, is_enough) = summary(&lines);
        assert!(text.contains("proto     95.0 % of    200 lines") && !is_enough, "{text}");
    }
}
