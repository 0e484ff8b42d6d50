//! Bounds the number of blocking threads for work that would otherwise stall the reactor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use crate::net::Net;

/// Workers per processor: while some wait for their clients, others copy.
const WORKERS_PER_PROCESSOR: usize = 20;
const WORKERS_IN_SIMULATION: usize = 2;

/// The blocking workers of a server, assigned in order of arrival. A transfer that has one releases
/// it after a run if others wait.
#[derive(Clone)]
pub(crate) struct BlockingPool {
    free: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    /// Set in a simulation.
    simulation: Option<Arc<dyn Net>>,
}

/// Permission to occupy one blocking thread. Dropping it releases the worker.
pub(crate) struct BlockingWorker {
    _permit: Option<OwnedSemaphorePermit>,
    waiting: Arc<AtomicUsize>,
}

impl BlockingPool {
    pub(crate) fn new(net: Arc<dyn Net>) -> Self {
        let simulation = net.simulated_blocking().is_some().then_some(net);
        // A simulation must not depend on the machine; with few workers, transfers wait for one.
        let workers = match &simulation {
            Some(_) => WORKERS_IN_SIMULATION,
            None => available_parallelism().map_or(1, usize::from) * WORKERS_PER_PROCESSOR,
        };
        Self { free: Arc::new(Semaphore::new(workers)), waiting: Arc::default(), simulation }
    }

    /// Runs a blocking call, on a thread; in a simulation, in a task. Dropping the handle does not
    /// stop it.
    #[expect(clippy::disallowed_methods, reason = "it stands for a thread in a simulation")]
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let Some(net) = &self.simulation else { return spawn_blocking(work) };
        let takes = net.simulated_blocking().unwrap_or_default();
        tokio::spawn(async move {
            if !takes.is_zero() {
                sleep(takes).await;
            }
            work()
        })
    }

    /// Waits for less than a millisecond, the unit of the runtime's clock. Cancel safe.
    pub(crate) async fn pause(&self, time: Duration) {
        match &self.simulation {
            Some(_) => sleep(time).await,
            // It fails at shutdown only.
            None => drop(self.spawn(move || thread::sleep(time)).await),
        }
    }

    /// Waits for a worker. Cancel safe; dropping the future loses the place in the queue.
    pub(crate) async fn acquire(&self) -> BlockingWorker {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = WaitingCount(&self.waiting);
        // The semaphore is never closed, so there is a permit.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        drop(waiting);
        BlockingWorker { _permit: permit, waiting: Arc::clone(&self.waiting) }
    }
}

impl BlockingWorker {
    /// Whether others wait for a worker.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counts one waiting transfer while it lives.
struct WaitingCount<'a>(&'a AtomicUsize);

impl Drop for WaitingCount<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::net::Tcp;

    #[tokio::test]
    async fn a_worker_detects_waiting_workers() {
        let blocking_pool = BlockingPool::new(Arc::new(Tcp));
        let mut taken = Vec::new();
        while blocking_pool.free.available_permits() > 0 {
            taken.push(blocking_pool.acquire().await);
        }
        let first = taken.pop().unwrap();
        assert!(!first.is_wanted());
        {
            let mut late = pin!(blocking_pool.acquire());
            assert!(late.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert!(first.is_wanted());
        }
        assert!(!first.is_wanted(), "a dropped future does not wait");
        drop(first);
        assert!(!blocking_pool.acquire().await.is_wanted());
    }
}
