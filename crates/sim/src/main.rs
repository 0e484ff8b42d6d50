//! Lives worlds by their seeds, and says where the server did not keep its word.

use std::io::Write as _;
use std::ops::Range;
use std::process::ExitCode;

use wharf_sim::Failing;

const USAGE: &str = "usage: wharf-sim --seed 4711 | --seeds 1..200 | --torture 1..31";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--seed", seed] => seed.parse().ok().map(one),
        ["--seeds", range] => range_of(range).map(many),
        ["--torture", range] => range_of(range).map(torture),
        _ => None,
    };
    done.unwrap_or_else(|| {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}

/// `1..200`, the end left out.
fn range_of(text: &str) -> Option<Range<u64>> {
    let (first, end) = text.split_once("..")?;
    Some(first.parse().ok()?..end.parse().ok()?)
}

fn one(seed: u64) -> ExitCode {
    let story = wharf_sim::run(seed);
    say(&story.to_string());
    say(&format!("seed {seed}: {} lines, {:?} of its time\n", story.lines.len(), story.took));
    if story.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints. Nobody may be reading any more, as with `head`.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn many(seeds: Range<u64>) -> ExitCode {
    let mut failed = 0_u64;
    let mut lines = 0;
    let count = seeds.end.saturating_sub(seeds.start);
    for seed in seeds {
        let story = wharf_sim::run(seed);
        lines += story.lines.len();
        for complaint in &story.complaints {
            say(&format!("seed {seed}: {complaint}\n"));
        }
        if !story.complaints.is_empty() {
            failed += 1;
            say(&format!("  replay: cargo run -p wharf-sim -- --seed {seed}\n"));
        }
    }
    say(&format!("{count} seeds, {lines} lines, {failed} failed\n"));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// In each of these worlds every call to the store and to the network fails, one by one.
fn torture(seeds: Range<u64>) -> ExitCode {
    let (mut calls, mut failed) = (0_u64, 0_u64);
    for seed in seeds {
        for failing in [Failing::Store, Failing::Network] {
            for call in 1.. {
                let story = wharf_sim::run_failing(seed, failing(call));
                if !story.lines.iter().any(|line| line.contains(" fails: ")) {
                    break;
                }
                calls += 1;
                failed += u64::from(!story.complaints.is_empty());
                for complaint in &story.complaints {
                    say(&format!("seed {seed}, {:?}: {complaint}\n", failing(call)));
                }
            }
        }
    }
    say(&format!("{calls} failed calls, {failed} failed\n"));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
