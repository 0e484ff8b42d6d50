//! Idle sessions: their memory, and whether they still answer.

use std::time::Duration;

use wharf_load::{DialogueStep, LoadCase, Plan, RunProgress, TargetServer};

use super::{Figures, finished, log_in_once, micro, no_error};
use crate::bench::number::{KIB, MIB, figure, size};
use crate::bench::result::Figure;
use crate::bench::running::RunningServer;
use crate::bench::{clock, proc};

/// How long idle sessions are observed, after the logins.
const WATCH: Duration = Duration::from_secs(2);
const SETTLE: Duration = Duration::from_millis(500);

/// Measures idle sessions; with `used` each has done these steps before.
pub(super) fn measure(
    running: &RunningServer,
    target: &TargetServer,
    sessions: u64,
    used: Option<Vec<DialogueStep>>,
) -> Result<Figures, String> {
    let is_used = used.is_some();
    let plan = Plan {
        sessions: size(sessions),
        count: sessions,
        ..Plan::new(used.map_or(LoadCase::Idle, LoadCase::Steps))
    };
    let (group, pid) = running.counted();
    log_in_once(running, target)?;
    let private = |pids: &[u32]| figure(proc::memory(pids).private);
    let (memory, held) = (private(&group.pids(pid)), group.held(pid));
    let cpu = group.cpu(pid);
    let mut prepared = wharf_load::prepare(target, &plan).map_err(|error| error.to_string())?;
    if is_used {
        no_error(&prepared.run(&RunProgress::default()))?;
        prepared.change(LoadCase::Idle, sessions).map_err(|error| error.to_string())?;
    }
    clock::pause(SETTLE);
    let login_cpu = group.cpu(pid) - cpu;
    let pids = group.pids(pid);
    let (memory_after, held_after) = (private(&pids), group.held(pid));
    let threads = figure(proc::threads(&pids));
    let (since, cpu) = (clock::now(), group.cpu(pid));
    clock::pause(WATCH);
    let idle_cpu = (group.cpu(pid) - cpu) / since.elapsed().as_secs_f64();
    let outcome = prepared.run(&RunProgress::default());
    finished(prepared)?;
    let kib = figure(KIB) * figure(sessions);
    let each = |after: f64, before: f64| (after - before).max(0.0) / kib;
    Ok(Figures::from([
        (Figure::SessionKib, each(memory_after, memory)),
        (Figure::SessionKernelKib, each(figure(held_after.kernel), figure(held.kernel))),
        (Figure::IdleCpu, 100.0 * idle_cpu),
        (Figure::Answered, 100.0 * figure(outcome.operations) / figure(sessions)),
        (Figure::Cpu, login_cpu * 1e6 / figure(sessions)),
        (Figure::AnonymousMib, figure(held_after.anonymous) / figure(MIB)),
        (Figure::KernelMib, figure(held_after.kernel) / figure(MIB)),
        (Figure::Threads, threads),
        (Figure::P99Us, micro(outcome.latency.p99)),
    ]))
}
