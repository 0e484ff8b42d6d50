//! The results, as a table or as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use wharf_config::outcome::counted;
use wharf_config::table::columns;
use wharf_config::units::show_size;
use wharf_load::{Latency, RunOutcome, TargetServer, TlsFacts, TlsMode};

use super::suite::{CaseResult, Results};
use crate::cli::bench::{BenchArgs, BenchCases};
use crate::json::json_line;

/// The table, followed by errors, notes and totals.
pub(super) fn table(target: &TargetServer, results: &Results) -> String {
    let mut rows = vec![HEADER.map(str::to_owned).to_vec()];
    for (case, ending) in &results.cases {
        rows.push(match ending {
            CaseResult::Ran(outcome) => row(case.name(), outcome),
            CaseResult::Failed(_) => vec![case.name().to_owned(), "failed".to_owned()],
            CaseResult::Skipped(_) => vec![case.name().to_owned(), "-".to_owned()],
        });
    }
    let mut out = format!("{}   {}\n\n", target.address, tls(target, results));
    for line in columns(&rows, &[false, true, true, true, true, true, true, true, true]).lines() {
        let _ = writeln!(out, "  {line}");
    }
    out.push('\n');
    for (case, ending) in &results.cases {
        let name = case.name();
        match ending {
            CaseResult::Failed(error) => {
                let _ = writeln!(out, "{name}: {error}");
            }
            CaseResult::Skipped(why) => {
                let _ = writeln!(out, "{name}: not measured, {why}");
            }
            CaseResult::Ran(outcome) => {
                for error in outcome.error_list.iter().take(ERRORS_SHOWN_MAX) {
                    let _ = writeln!(out, "{name}: {error}");
                }
            }
        }
    }
    for note in &results.notes {
        let _ = writeln!(out, "note: {note}");
    }
    let total = Total::of(results);
    let _ = writeln!(
        out,
        "total: {}, {}, {} in {}",
        counted(total.operations, "operation"),
        show_size(total.bytes),
        counted(total.errors, "error"),
        seconds(total.wall)
    );
    out
}

/// The cells of a case.
const ERRORS_SHOWN_MAX: usize = 3;

const HEADER: [&str; 9] =
    ["CASE", "DONE", "TIME", "PER SECOND", "SPEED", "P50 ms", "P99 ms", "MAX ms", "ERRORS"];

fn row(name: &str, outcome: &RunOutcome) -> Vec<String> {
    let Latency { p50, p99, max, .. } = outcome.latency;
    let speed = if outcome.bytes > 0 {
        format!("{:.1} MiB/s", outcome.bytes_per_second() / MIB)
    } else {
        "-".to_owned()
    };
    vec![
        name.to_owned(),
        outcome.operations.to_string(),
        seconds(outcome.wall),
        format!("{:.1}", outcome.operations_per_second()),
        speed,
        millis(p50),
        millis(p99),
        millis(max),
        outcome.errors.to_string(),
    ]
}

const MIB: f64 = 1_048_576.0;

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn millis(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1000.0)
}

fn facts(results: &Results) -> Option<TlsFacts> {
    let outcomes = results.cases.iter().filter_map(|(_, ending)| match ending {
        CaseResult::Ran(outcome) => outcome.tls.clone(),
        _ => None,
    });
    outcomes.reduce(|one, other| TlsFacts {
        resumed: one.resumed + other.resumed,
        full: one.full + other.full,
        ..one
    })
}

fn tls(target: &TargetServer, results: &Results) -> String {
    let Some(tls) = &target.tls else { return "without TLS".to_owned() };
    let mode = match tls.mode {
        TlsMode::Explicit => "explicit TLS",
        TlsMode::Implicit => "implicit TLS",
    };
    match facts(results) {
        None => mode.to_owned(),
        Some(TlsFacts { version, cipher, resumed, full }) => format!(
            "{mode}, {version}, {cipher}; {resumed} of {} data connections resumed",
            resumed + full
        ),
    }
}

/// All cases together.
#[derive(Default)]
struct Total {
    operations: u64,
    bytes: u64,
    errors: u64,
    wall: Duration,
}

impl Total {
    fn of(results: &Results) -> Self {
        let mut total = Self::default();
        for (_, ending) in &results.cases {
            match ending {
                CaseResult::Ran(outcome) => {
                    total.operations += outcome.operations;
                    total.bytes += outcome.bytes;
                    total.errors += outcome.errors;
                    total.wall += outcome.wall;
                }
                CaseResult::Failed(_) => total.errors += 1,
                CaseResult::Skipped(_) => {}
            }
        }
        total
    }
}

/// One object. Times are in seconds, latencies in microseconds.
pub(super) fn json(options: &BenchArgs, target: &TargetServer, results: &Results) -> String {
    let case = |(case, ending): &(BenchCases, CaseResult)| match ending {
        CaseResult::Ran(outcome) => measured(case.name(), outcome),
        CaseResult::Failed(error) => {
            json!({ "case": case.name(), "errors": 1, "messages": [error.to_string()] })
        }
        CaseResult::Skipped(why) => json!({ "case": case.name(), "skipped": why }),
    };
    let tls = facts(results).map(|TlsFacts { version, cipher, resumed, full }| {
        json!({ "version": version, "cipher": cipher, "resumed": resumed, "full": full })
    });
    let total = Total::of(results);
    json_line(&json!({
        "server": target.address,
        "sessions": options.sessions,
        "tls": tls,
        "cases": results.cases.iter().map(case).collect::<Vec<_>>(),
        "notes": results.notes,
        "total": {
            "operations": total.operations,
            "bytes": total.bytes,
            "errors": total.errors,
            "duration_seconds": rounded(total.wall.as_secs_f64(), 6),
        },
    }))
}

fn measured(case: &str, outcome: &RunOutcome) -> Value {
    let messages: Vec<String> = outcome.error_list.iter().map(ToString::to_string).collect();
    json!({
        "case": case,
        "operations": outcome.operations,
        "bytes": outcome.bytes,
        "entries": outcome.entries,
        "duration_seconds": rounded(outcome.wall.as_secs_f64(), 6),
        "operations_per_second": rounded(outcome.operations_per_second(), 1),
        "bytes_per_second": rounded(outcome.bytes_per_second(), 0),
        "latency_us": latency(&outcome.latency),
        "first_byte_us": outcome.first_byte.as_ref().map(latency),
        "slowest_to_fastest_session": outcome.fairness.map(|it| rounded(it.ratio(), 3)),
        "errors": outcome.errors,
        "messages": messages,
    })
}

fn latency(latency: &Latency) -> Value {
    let micros = |time: Duration| rounded(time.as_secs_f64() * 1e6, 1);
    let Latency { p50, p90, p99, max, .. } = *latency;
    json!({ "p50": micros(p50), "p90": micros(p90), "p99": micros(p99), "max": micros(max) })
}

fn rounded(number: f64, digits: i32) -> f64 {
    let unit = 10_f64.powi(digits);
    (number * unit).round() / unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let latency = Latency {
            samples: 2,
            p50: Duration::from_micros(1500),
            p90: Duration::from_millis(2),
            p99: Duration::from_millis(2),
            max: Duration::from_millis(3),
        };
        let outcome = RunOutcome {
            wall: Duration::from_secs(2),
            bytes: 4 << 20,
            operations: 2,
            latency,
            ..RunOutcome::default()
        };
        Results {
            cases: vec![
                (BenchCases::LargeDown, CaseResult::Ran(Box::new(outcome))),
                (BenchCases::SmallUp, CaseResult::Skipped("no place to write")),
            ],
            notes: vec!["nothing \"here\"".to_owned()],
            ..Results::default()
        }
    }

    #[test]
    fn numbers_end_at_one_place() {
        let target = TargetServer::new(([127, 0, 0, 1], 21).into(), "", "");
        assert_eq!(
            table(&target, &results()),
            "127.0.0.1:21   without TLS\n\n\
             \x20 CASE        DONE    TIME  PER SECOND      SPEED  P50 ms  P99 ms  MAX ms  ERRORS\n\
             \x20 large-down     2  2.00 s         1.0  2.0 MiB/s   1.500   2.000   3.000       0\n\
             \x20 small-up       -\n\n\
             small-up: not measured, no place to write\n\
             note: nothing \"here\"\n\
             total: 2 operations, 4 MiB, 0 errors in 2.00 s\n"
        );
        assert!(!results().has_errors());
    }
}
