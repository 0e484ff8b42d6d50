//! The command line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

use crate::bench::paths::BenchPaths;
use crate::bench::servers::SERVERS;
use crate::bench::{cases, report, runner, running, servers, tree};

/// Measures wharf and other FTP servers on this machine, with the same clients.
///
/// Every measurement starts a new server on the loopback interface, with one account and the same
/// files. Servers take turns: A B C, A B C. Results are medians of the rounds.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub(crate) struct BenchOptions {
    /// Cases by name, or the groups `quick` (some 10 minutes), `all` (hours), `growth` (how cost
    /// grows) and `full` (uploads with durability "full" beside "fast")
    #[arg(long, value_delimiter = ',', default_value = "quick")]
    pub(crate) cases: Vec<String>,
    /// Servers by name; all if none is named. A missing one is installed, or the run fails
    #[arg(long, value_delimiter = ',')]
    pub(crate) servers: Vec<String>,
    /// Rounds per server and case [default: 3, with `all` 5]; another server that reaches less
    /// than two thirds of the best other one is measured once
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: Option<u32>,
    /// File for the results [default: target/bench/result.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Compare every byte that is moved; rates are then those of the comparison
    #[arg(long)]
    pub(crate) verify: bool,
    /// Start no new operation in a measurement after this many seconds
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub(crate) time: u64,
    /// Measure a server once if it takes longer than this many seconds for a case
    #[arg(long, default_value_t = 4.0, value_name = "SECONDS")]
    pub(crate) slow: f64,
    /// Only install missing servers: packages are unpacked and libunftp is built below
    /// target/bench, nothing else is changed
    #[arg(long)]
    pub(crate) install: bool,
    /// Print the table of targets and write docs/BENCHMARKS.md from result files; if a case is in
    /// several, the last counts
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) report: Vec<PathBuf>,
    /// List cases and servers
    #[arg(long)]
    pub(crate) list: bool,
    /// Remove the test files
    #[arg(long)]
    pub(crate) clean: bool,
}

/// Runs the command line.
pub(crate) fn run() -> Result<(), String> {
    let options = BenchOptions::parse();
    let places = BenchPaths::find()?;
    if options.list {
        return list(&places);
    }
    if options.clean {
        return tree::remove(&places);
    }
    if let Some((first, more)) = options.report.split_first() {
        let mut record = report::read(first)?;
        for file in more {
            record.merge(report::read(file)?);
        }
        record.sum_up();
        report::show(&record)?;
        return report::write_page(&record, Path::new("docs"));
    }
    let servers = servers::chosen(&options.servers)?;
    if options.install {
        for (server, found) in servers::ready(&places, &servers)? {
            report::print_line(&format!("{} {} is ready", server.title, found.version));
        }
        return Ok(());
    }
    let cases = cases::chosen(&options.cases)?;
    end_servers_on_signal()?;
    let selection = runner::Selection {
        cases,
        servers,
        rounds: options.rounds.unwrap_or_else(|| default_rounds(&options.cases)),
        verifies: options.verify,
        time_max: Duration::from_secs(options.time),
        slow_s: options.slow,
    };
    let out = options.out.unwrap_or_else(|| places.bench.join("result.json"));
    let record = runner::run(&places, &selection, &out)?;
    report::show(&record)?;
    report::write_files(&record, &out)
}

/// The quick cases are for everyday use.
fn default_rounds(cases: &[String]) -> u32 {
    if cases.iter().any(|word| word == "all") { 5 } else { 3 }
}

fn list(places: &BenchPaths) -> Result<(), String> {
    let mut text = String::from("Cases:\n");
    for case in cases::CASES {
        let group = match case.group {
            cases::CaseGroup::Quick => "quick",
            cases::CaseGroup::Long => "all",
            cases::CaseGroup::Growth => "growth",
        };
        let full = if case.has_full { "full" } else { "" };
        let _ = writeln!(text, "  {:<24}{group:<8}{full:<6}{}", case.name, case.title);
    }
    text += "\nServers:\n";
    for server in SERVERS {
        let state = (server.find)(places).map(|found| found.version);
        let state = state.unwrap_or_else(|why| why);
        let _ = writeln!(text, "  {:<14}{state}\n  {:<14}  {}", server.name, "", server.about);
    }
    report::print(&text)
}

/// Servers are separate processes, which would continue after Ctrl-C.
fn end_servers_on_signal() -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot watch for Ctrl-C: {error}"))?;
    let wait = move || {
        runtime.block_on(async {
            let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
            let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return };
            tokio::select! {
                // Either signal ends the program; the order does not matter.
                biased;
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            running::end_all();
            eprintln!("\nbench: stopped; every server has been ended");
            std::process::exit(EXIT_INTERRUPTED);
        });
    };
    let thread = std::thread::Builder::new().name("signals".into()).spawn(wait);
    thread.map(drop).map_err(|error| format!("cannot watch for Ctrl-C: {error}"))
}

/// The exit code of shells for a program ended by Ctrl-C.
const EXIT_INTERRUPTED: i32 = 130;
