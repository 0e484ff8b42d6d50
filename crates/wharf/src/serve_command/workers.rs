//! The threads that serve clients: one for each processor, each with a reactor of its own.

use std::io;
use std::thread::{Builder as Thread, JoinHandle, available_parallelism};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// Threads for slow calls of the clients of one processor: its lanes, its password hashes, and some
/// that wait for a disk.
const SLOW_CALLS_MAX: usize = 30;

/// The thread that calls, and its fellows on the other processors.
pub(super) struct Workers {
    own: Runtime,
    others: Vec<Worker>,
}

struct Worker {
    handle: Handle,
    thread: JoinHandle<()>,
    /// The thread ends when this is dropped.
    stay: oneshot::Sender<()>,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(super) fn start() -> io::Result<Self> {
        let own = runtime()?;
        let others = available_parallelism().map_or(1, usize::from).saturating_sub(1);
        let others = (0..others).map(|_| Worker::start()).collect::<io::Result<_>>()?;
        Ok(Self { own, others })
    }

    /// All of them, to give work to.
    pub(super) fn handles(&self) -> Vec<Handle> {
        let others = self.others.iter().map(|worker| worker.handle.clone());
        std::iter::once(self.own.handle().clone()).chain(others).collect()
    }

    /// Runs `act` on this thread, and ends them all after it. Whatever still runs in a thread for
    /// slow calls does not keep us from leaving.
    pub(super) fn run<T>(self, act: impl Future<Output = T>) -> T {
        let done = self.own.block_on(act);
        for Worker { thread, stay, .. } in self.others {
            drop(stay);
            let _ = thread.join();
        }
        self.own.shutdown_background();
        done
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = runtime()?;
        let handle = runtime.handle().clone();
        let (stay, left) = oneshot::channel::<()>();
        let thread = Thread::new().name("wharf-worker".to_owned()).spawn(move || {
            let _ = runtime.block_on(left);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, thread, stay })
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(SLOW_CALLS_MAX).build()
}
