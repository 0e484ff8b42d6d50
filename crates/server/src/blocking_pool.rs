//! Bounds the number of blocking threads for work that would otherwise stall the reactor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Workers per processor: while some wait for their clients, others copy.
const WORKERS_PER_PROCESSOR: usize = 20;

/// The blocking workers of a server, assigned in order of arrival. A transfer that has one releases
/// it after a run if others wait.
#[derive(Clone)]
pub(crate) struct BlockingPool {
    free: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// Permission to occupy one blocking thread. Dropping it releases the worker.
pub(crate) struct BlockingWorker {
    _permit: Option<OwnedSemaphorePermit>,
    waiting: Arc<AtomicUsize>,
}

impl BlockingPool {
    pub(crate) fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        let free = Arc::new(Semaphore::new(processors * WORKERS_PER_PROCESSOR));
        Self { free, waiting: Arc::default() }
    }

    /// Waits for a worker. Cancel safe; dropping the future loses the place in the queue.
    pub(crate) async fn acquire(&self) -> BlockingWorker {
        let waiting = WaitingCount::new(&self.waiting);
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

impl<'a> WaitingCount<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

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

    #[tokio::test]
    async fn a_worker_detects_waiting_workers() {
        let blocking_pool = BlockingPool::new();
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
