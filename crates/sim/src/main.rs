//! Runs the simulation for given seeds, and prints violations.

use std::io::Write as _;
use std::ops::Range;
use std::process::ExitCode;

use wharf_sim::{InjectedFault, RunReport, WorldKind};

const USAGE: &str = "usage: wharf-sim --seed 4711 | --seeds 1..200 | --torture 1..31
       wharf-sim --world random|limits|ports|interrupts|shutdown --seed 4711 | --seeds 1..200";

/// Runs the simulation of a seed.
type RunSeed<'a> = &'a dyn Fn(u64) -> RunReport;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--seed", seed] => seed.parse().ok().map(|seed| one(&wharf_sim::run, seed)),
        ["--seeds", range] => range_of(range).map(|range| many(&wharf_sim::run, "", range)),
        ["--world", kind, how, number] => WorldKind::named(kind).and_then(|named| {
            let run = |seed| wharf_sim::run_kind(named, seed);
            match how {
                "--seed" => number.parse().ok().map(|seed| one(&run, seed)),
                "--seeds" => {
                    let options = format!("--world {kind} ");
                    range_of(number).map(|range| many(&run, &options, range))
                }
                _ => None,
            }
        }),
        ["--torture", range] => range_of(range).map(fail_every_call),
        _ => None,
    };
    done.unwrap_or_else(|| {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}

/// `1..200`, the end excluded.
fn range_of(text: &str) -> Option<Range<u64>> {
    let (first, end) = text.split_once("..")?;
    Some(first.parse().ok()?..end.parse().ok()?)
}

fn one(run: RunSeed<'_>, seed: u64) -> ExitCode {
    let report = run(seed);
    print_text(&report.to_string());
    print_text(&format!(
        "seed {seed}: {} lines, {:?} of its time\n",
        report.lines.len(),
        report.took
    ));
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints. The reader of the output may have closed it, like `head`.
fn print_text(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn many(run: RunSeed<'_>, options: &str, seeds: Range<u64>) -> ExitCode {
    let mut failed = 0_u64;
    let mut lines = 0;
    let count = seeds.end.saturating_sub(seeds.start);
    for seed in seeds {
        let report = run(seed);
        lines += report.lines.len();
        for violation in &report.violations {
            print_text(&format!("seed {seed}: {violation}\n"));
        }
        if !report.violations.is_empty() {
            failed += 1;
            print_text(&format!("  replay: cargo run -p wharf-sim -- {options}--seed {seed}\n"));
        }
    }
    print_text(&format!("{count} seeds, {lines} lines, {failed} failed\n"));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// For each of these seeds, lets every call to the storage and to the network fail, one per run.
fn fail_every_call(seeds: Range<u64>) -> ExitCode {
    let (mut calls, mut failed) = (0_u64, 0_u64);
    for seed in seeds {
        for failing in [InjectedFault::Store, InjectedFault::Network] {
            for call in 1.. {
                let report = wharf_sim::run_failing(seed, failing(call));
                if !report.lines.iter().any(|line| line.contains(" fails: ")) {
                    break;
                }
                calls += 1;
                failed += u64::from(!report.violations.is_empty());
                for violation in &report.violations {
                    print_text(&format!("seed {seed}, {:?}: {violation}\n", failing(call)));
                }
            }
        }
    }
    print_text(&format!("{calls} failed calls, {failed} failed\n"));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
