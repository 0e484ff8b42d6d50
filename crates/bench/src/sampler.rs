//! Watches a server while it is measured: its highest memory, its most threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::bench::group::Held;
use crate::bench::running::Running;
use crate::bench::{clock, proc};

/// The highest figures seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peak {
    pub(crate) held: Held,
    pub(crate) threads: u64,
}

/// How often it looks. More often would take time from what is measured.
const PAUSE: Duration = Duration::from_millis(50);
/// Threads are counted by reading a file for each process: not in each look, and not for very many.
const LOOKS_PER_COUNT: u32 = 4;
const PROCESSES_MAX: usize = 1_000;

/// Runs `work` and watches `server` meanwhile.
pub(crate) fn watch<T>(server: &Arc<Running>, work: impl FnOnce() -> T) -> (T, Peak) {
    let is_done = Arc::new(AtomicBool::new(false));
    let thread = spawn(Arc::clone(server), Arc::clone(&is_done));
    let value = work();
    is_done.store(true, Ordering::Relaxed);
    let peak = thread.and_then(|thread| thread.join().ok()).unwrap_or_default();
    (value, peak)
}

fn spawn(server: Arc<Running>, is_done: Arc<AtomicBool>) -> Option<JoinHandle<Peak>> {
    let watch = move || {
        let mut peak = Peak::default();
        let mut look = 0;
        loop {
            let is_last = is_done.load(Ordering::Relaxed);
            peak.look(&server, look % LOOKS_PER_COUNT == 0);
            look += 1;
            if is_last {
                return peak;
            }
            clock::pause(PAUSE);
        }
    };
    std::thread::Builder::new().name("sampler".into()).spawn(watch).ok()
}

impl Peak {
    fn look(&mut self, server: &Running, counts_threads: bool) {
        let (group, pid) = server.counted();
        let held = group.held(pid);
        self.held.anonymous = self.held.anonymous.max(held.anonymous);
        self.held.kernel = self.held.kernel.max(held.kernel);
        if counts_threads {
            let pids = group.pids(pid);
            if pids.len() <= PROCESSES_MAX {
                self.threads = self.threads.max(proc::threads(&pids));
            }
        }
    }
}
