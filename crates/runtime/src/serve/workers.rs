//! The threads that serve clients: one per processor, each with its own reactor.

use std::io;
use std::thread::{Builder as Thread, JoinHandle, available_parallelism};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// Blocking threads per processor: blocking workers, password hashing, and some that wait for a
/// disk.
const SLOW_CALLS_MAX: usize = 30;

/// The calling thread, and the threads for the other processors.
pub(super) struct Workers {
    own: Runtime,
    waiting: Vec<Runtime>,
    others: Vec<RuntimeWorker>,
}

struct RuntimeWorker {
    thread: JoinHandle<()>,
    /// The thread ends when this is dropped.
    keep_alive: oneshot::Sender<()>,
}

impl Workers {
    /// Creates the runtimes without threads: this thread is sandboxed before threads are started.
    pub(super) fn prepare() -> io::Result<Self> {
        let own = runtime()?;
        let others = available_parallelism().map_or(1, usize::from).saturating_sub(1);
        let waiting = (0..others).map(|_| runtime()).collect::<io::Result<_>>()?;
        Ok(Self { own, waiting, others: Vec::new() })
    }

    /// All runtimes, to spawn tasks; they run once the threads are started.
    pub(super) fn handles(&self) -> Vec<Handle> {
        let others = self.waiting.iter().map(|waiting| waiting.handle().clone());
        std::iter::once(self.own.handle().clone()).chain(others).collect()
    }

    /// Runs `act` on this thread alone.
    pub(super) fn alone<T>(&self, act: impl Future<Output = T>) -> T {
        self.own.block_on(act)
    }

    /// Starts the threads.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        for runtime in std::mem::take(&mut self.waiting) {
            self.others.push(RuntimeWorker::start(runtime)?);
        }
        Ok(())
    }

    /// Runs `act` on this thread, then ends all threads. Calls that still run on blocking threads
    /// do not prevent the exit.
    pub(super) fn run<T>(self, act: impl Future<Output = T>) -> T {
        let done = self.own.block_on(act);
        for RuntimeWorker { thread, keep_alive, .. } in self.others {
            drop(keep_alive);
            let _ = thread.join();
        }
        self.own.shutdown_background();
        done
    }
}

impl RuntimeWorker {
    fn start(runtime: Runtime) -> io::Result<Self> {
        let (keep_alive, left) = oneshot::channel::<()>();
        let thread = Thread::new().name("wharf-worker".to_owned()).spawn(move || {
            let _ = runtime.block_on(left);
            runtime.shutdown_background();
        })?;
        Ok(Self { thread, keep_alive })
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(SLOW_CALLS_MAX).build()
}
