//! The progress bar: one line on a terminal's standard error.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use wharf_load::{PreparedRun, RunOutcome, RunProgress};

use wharf_config::outcome::print_error;
use wharf_config::units::show_size;

/// The progress of a case.
#[derive(Clone, Copy, Debug)]
pub(super) struct CaseProgress {
    pub(super) name: &'static str,
    pub(super) operations: u64,
    /// For cases in which bytes matter more than operations.
    pub(super) bytes: Option<u64>,
}

/// Runs a case with a progress bar if standard error is a terminal.
pub(super) fn run(
    prepared: &mut PreparedRun,
    progress: &RunProgress,
    work: CaseProgress,
) -> RunOutcome {
    if !std::io::stderr().is_terminal() {
        return prepared.run(progress);
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Without a thread for it, only the bar is missing.
        let draw = || show(progress, work, &is_over);
        let shown = thread::Builder::new().spawn_scoped(scope, draw);
        let outcome = prepared.run(progress);
        is_over.store(true, Relaxed);
        if let Ok(shown) = &shown {
            shown.thread().unpark();
        }
        outcome
    })
}

fn show(progress: &RunProgress, work: CaseProgress, is_over: &AtomicBool) {
    let (operations, bytes) = (progress.operations(), progress.bytes());
    let mut last = bytes;
    while !is_over.load(Relaxed) {
        thread::park_timeout(STEP);
        let now = progress.bytes();
        let done = match work.bytes {
            Some(all) => percent(now - bytes, all),
            None => percent(progress.operations() - operations, work.operations),
        };
        let speed = (now - last).saturating_mul(STEPS_PER_S);
        print_error(&format!("\r{}\x1b[K", line(work.name, done, speed)));
        last = now;
    }
    print_error("\r\x1b[K");
}

const STEP: Duration = Duration::from_millis(200);
const STEPS_PER_S: u64 = 5;
const CELLS: usize = 30;

fn percent(part: u64, all: u64) -> usize {
    let percent = u128::from(part) * 100 / u128::from(all.max(1));
    usize::try_from(percent.min(100)).unwrap_or(100)
}

fn line(name: &str, percent: usize, bytes_per_s: u64) -> String {
    let full = CELLS * percent / 100;
    let (full, rest) = ("#".repeat(full), ".".repeat(CELLS - full));
    let speed =
        if bytes_per_s > 0 { format!("{}/s", show_size(bytes_per_s)) } else { String::new() };
    format!("  {name:<11} [{full}{rest}] {percent:>3} %  {speed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_and_never_overflows() {
        assert_eq!(percent(0, 0), 0);
        assert_eq!(percent(u64::MAX, 1), 100);
        assert_eq!(line("noop", 50, 0), "  noop        [###############...............]  50 %  ");
        assert!(line("large-up", 100, 2 << 20).ends_with("##] 100 %  2 MiB/s"));
    }
}
