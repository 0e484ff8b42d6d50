//! `wharf bench`: measures a server by a short suite of cases.

mod bar;
mod report;
mod suite;
mod target;

use std::sync::Arc;

use wharf_config::outcome::{Exit, Failure, print, print_error};
use wharf_load::RunProgress;
use wharf_runtime::os::Signals;

use crate::cli::bench::BenchArgs;
use suite::Suite;

/// Measures the server and prints the results.
pub(crate) fn bench(options: &BenchArgs) -> Result<Exit, Failure> {
    let target = target::target(options)?;
    let progress = Arc::new(RunProgress::default());
    stop_on_signals(&progress)?;
    let mut suite = Suite::begin(options, &target, &progress)?;
    suite.measure();
    let results = suite.finish();
    let text = if options.json {
        report::json(options, &target, &results)
    } else {
        report::table(&target, &results)
    };
    print(&text)?;
    Ok(match () {
        () if progress.is_stopped() => Exit::Interrupted,
        () if results.has_errors() => Exit::Failed,
        () => Exit::Done,
    })
}

/// The first Ctrl+C ends the current case and deletes the files that were stored. A second one
/// exits immediately.
fn stop_on_signals(progress: &Arc<RunProgress>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io("cannot handle Ctrl+C", &error);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::new().map_err(failed)?
    };
    let progress = Arc::clone(progress);
    let watch = move || {
        runtime.block_on(async {
            signals.next().await;
            progress.stop();
            print_error("\nstopping; deleting the test files (Ctrl+C again to leave them)\n");
            signals.next().await;
            std::process::exit(INTERRUPTED);
        });
    };
    std::thread::Builder::new().spawn(watch).map_err(failed)?;
    Ok(())
}

/// As [`Exit::Interrupted`].
const INTERRUPTED: i32 = 130;
