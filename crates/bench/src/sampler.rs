//! Observes a server while it is measured: its peak memory and threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::bench::group::MemoryUse;
use crate::bench::running::RunningServer;
use crate::bench::{clock, proc};

/// The highest figures seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peak {
    pub(crate) held: MemoryUse,
    pub(crate) threads: u64,
}

/// The sampling interval. More samples would distort the measurement.
const PAUSE: Duration = Duration::from_millis(50);
/// Counting threads reads a file per process, so not with every sample, and not for very many.
const SAMPLES_PER_COUNT: u32 = 4;
const PROCESSES_MAX: usize = 1_000;

/// Runs `work` and observes `server` meanwhile.
pub(crate) fn watch<T>(server: &Arc<RunningServer>, work: impl FnOnce() -> T) -> (T, Peak) {
    let is_done = Arc::new(AtomicBool::new(false));
    let thread = spawn(Arc::clone(server), Arc::clone(&is_done));
    let value = work();
    is_done.store(true, Ordering::Relaxed);
    let peak = thread.and_then(|thread| thread.join().ok()).unwrap_or_default();
    (value, peak)
}

fn spawn(server: Arc<RunningServer>, is_done: Arc<AtomicBool>) -> Option<JoinHandle<Peak>> {
    let watch = move || {
        let mut peak = Peak::default();
        let mut take_sample = 0;
        loop {
            let is_last = is_done.load(Ordering::Relaxed);
            peak.take_sample(&server, take_sample % SAMPLES_PER_COUNT == 0);
            take_sample += 1;
            if is_last {
                return peak;
            }
            clock::pause(PAUSE);
        }
    };
    std::thread::Builder::new().name("sampler".into()).spawn(watch).ok()
}

impl Peak {
    fn take_sample(&mut self, server: &RunningServer, counts_threads: bool) {
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
