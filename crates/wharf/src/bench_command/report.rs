//! The results, as a table or as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use wharf_config::outcome::counted;
use wharf_config::raw::quoted;
use wharf_config::units::show_size;
use wharf_load::{Latency, RunOutcome, TargetServer, TlsFacts, TlsMode};

use super::suite::{CaseResult, Results};
use crate::cli::bench::BenchArgs;

/// The table, followed by errors, notes and totals.
pub(super) fn table(target: &TargetServer, results: &Results) -> String {
    let mut rows = vec![HEADER.map(str::to_owned)];
    for (case, ending) in &results.cases {
        rows.push(match ending {
            CaseResult::Ran(outcome) => row(case.name(), outcome),
            CaseResult::Failed(_) => only(case.name(), "failed"),
            CaseResult::Skipped(_) => only(case.name(), "-"),
        });
    }
    let mut out = format!("{}   {}\n\n{}\n", target.address, tls(target, results), lines(&rows));
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

fn row(name: &str, outcome: &RunOutcome) -> [String; 9] {
    let Latency { p50, p99, max, .. } = outcome.latency;
    let speed = if outcome.bytes > 0 {
        format!("{:.1} MiB/s", outcome.bytes_per_second() / MIB)
    } else {
        "-".to_owned()
    };
    [
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

fn only(name: &str, word: &str) -> [String; 9] {
    let mut cells = [const { String::new() }; 9];
    for (cell, text) in cells.iter_mut().zip([name, word]) {
        text.clone_into(cell);
    }
    cells
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn millis(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1000.0)
}

/// Formats the table; the first column is left-aligned, the others are right-aligned.
fn lines(rows: &[[String; 9]]) -> String {
    let widths: Vec<usize> = (0..9)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(line, " {cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
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
    let cases: Vec<String> = results
        .cases
        .iter()
        .map(|(case, ending)| {
            let mut members = vec![("case", quoted(case.name()))];
            match ending {
                CaseResult::Ran(outcome) => members.extend(members_of(outcome)),
                CaseResult::Failed(error) => {
                    members.push(("errors", "1".to_owned()));
                    members.push(("messages", list(&[error.to_string()])));
                }
                CaseResult::Skipped(why) => members.push(("skipped", quoted(why))),
            }
            object(&members)
        })
        .collect();
    let tls = facts(results).map_or_else(null, |facts| {
        object(&[
            ("version", quoted(&facts.version)),
            ("cipher", quoted(&facts.cipher)),
            ("resumed", facts.resumed.to_string()),
            ("full", facts.full.to_string()),
        ])
    });
    let total = Total::of(results);
    let total = object(&[
        ("operations", total.operations.to_string()),
        ("bytes", total.bytes.to_string()),
        ("errors", total.errors.to_string()),
        ("duration_seconds", format!("{:.6}", total.wall.as_secs_f64())),
    ]);
    let members = [
        ("server", quoted(&target.address.to_string())),
        ("sessions", options.sessions.to_string()),
        ("tls", tls),
        ("cases", format!("[{}]", cases.join(","))),
        ("notes", list(&results.notes)),
        ("total", total),
    ];
    object(&members) + "\n"
}

fn members_of(outcome: &RunOutcome) -> Vec<(&'static str, String)> {
    let messages: Vec<String> = outcome.error_list.iter().map(ToString::to_string).collect();
    let fairness = outcome.fairness.map(|fairness| format!("{:.3}", fairness.ratio()));
    vec![
        ("operations", outcome.operations.to_string()),
        ("bytes", outcome.bytes.to_string()),
        ("entries", outcome.entries.to_string()),
        ("duration_seconds", format!("{:.6}", outcome.wall.as_secs_f64())),
        ("operations_per_second", format!("{:.1}", outcome.operations_per_second())),
        ("bytes_per_second", format!("{:.0}", outcome.bytes_per_second())),
        ("latency_us", latency(&outcome.latency)),
        ("first_byte_us", outcome.first_byte.as_ref().map_or_else(null, latency)),
        ("slowest_to_fastest_session", fairness.unwrap_or_else(null)),
        ("errors", outcome.errors.to_string()),
        ("messages", list(&messages)),
    ]
}

fn latency(latency: &Latency) -> String {
    let micros = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e6);
    object(&[
        ("p50", micros(latency.p50)),
        ("p90", micros(latency.p90)),
        ("p99", micros(latency.p99)),
        ("max", micros(latency.max)),
    ])
}

fn null() -> String {
    "null".to_owned()
}

fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(","))
}

fn object(members: &[(&str, String)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::BenchCases;

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
