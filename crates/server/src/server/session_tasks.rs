//! The tasks of sessions, on all runtimes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use wharf_core::lock;

use crate::registry::{End, Registry, SessionHandle};
use crate::session_end::SessionEnd;

/// How long a session that must end now may take to send its last replies.
const GOODBYE_MAX: Duration = Duration::from_secs(5);
/// How long publishing an upload may take then, so that its client gets the result.
const COMMIT_MAX: Duration = Duration::from_mins(1);

/// A set of tasks. Dropping it aborts all.
///
/// Unlike with a `JoinSet`, the end of a task wakes nothing, except for the last one: a session on
/// another thread would have to wake the thread that accepts.
#[derive(Debug, Default)]
pub(super) struct SessionTasks {
    running: Arc<RunningTasks>,
}

#[derive(Debug, Default)]
struct RunningTasks {
    tasks: Mutex<NumberedTasks>,
    all_ended: Notify,
}

#[derive(Debug, Default)]
struct NumberedTasks {
    /// `None` until the task has been spawned.
    by_number: BTreeMap<u64, Option<AbortHandle>>,
    next: u64,
}

/// Removes a task when it has ended or is dropped.
pub(super) struct RunningTask {
    running: Arc<RunningTasks>,
    number: u64,
}

impl SessionTasks {
    /// Runs a task on a runtime. The task drops the [`RunningTask`] last, also if it never runs.
    ///
    /// It takes it as an argument because a future that is moved into another one takes its size
    /// twice there.
    pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(
        &self,
        runtime: &Runtime,
        task: impl FnOnce(RunningTask) -> F,
    ) {
        let number = self.running.add();
        let running_task = RunningTask { running: Arc::clone(&self.running), number };
        // Not under the lock: a runtime that shuts down drops the task here.
        let spawned = runtime.spawn(task(running_task));
        if let Some(handle) = self.running.tasks().by_number.get_mut(&number) {
            *handle = Some(spawned.abort_handle());
        }
    }

    /// Whether no task is left.
    pub(super) fn is_empty(&self) -> bool {
        self.running.tasks().by_number.is_empty()
    }

    /// Waits until no task is left. Cancel safe.
    pub(super) async fn all_ended(&self) {
        loop {
            // Created before the check, so that no end in between is missed.
            let ended = self.running.all_ended.notified();
            if self.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Aborts all tasks.
    pub(super) fn abort_all(&self) {
        let handles: Vec<_> = self.running.tasks().by_number.values().flatten().cloned().collect();
        for handle in handles {
            handle.abort();
        }
    }
}

impl Drop for SessionTasks {
    fn drop(&mut self) {
        self.abort_all();
    }
}

impl RunningTasks {
    fn tasks(&self) -> MutexGuard<'_, NumberedTasks> {
        lock(&self.tasks)
    }

    fn add(&self) -> u64 {
        let mut tasks = self.tasks();
        let number = tasks.next;
        tasks.next += 1;
        tasks.by_number.insert(number, None);
        number
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        let mut tasks = self.running.tasks();
        tasks.by_number.remove(&self.number);
        if tasks.by_number.is_empty() {
            drop(tasks);
            self.running.all_ended.notify_waiters();
        }
    }
}

/// Ends a session that had to end now and does not: its client does not read replies, or storage is
/// slow.
pub(super) async fn cut_off(handle: &SessionHandle) -> SessionEnd {
    let reason = handle.ended(End::Now).await;
    // Boxed, so that a session does not reserve memory for it.
    Box::pin(async {
        sleep(GOODBYE_MAX).await;
        // The conversation is polled first, so it continues after a commit before it is dropped
        // here.
        let _ = timeout(COMMIT_MAX, handle.committed()).await;
    })
    .await;
    SessionEnd::forced(reason)
}

/// Waits for transfers for `grace`, then ends them.
pub(super) async fn drain(registry: &Registry, sessions: SessionTasks, grace: Duration) {
    const REASON: &str = "The server is shutting down.";
    // Sessions cut themselves off; the last limit is for those that cannot.
    let cut_off_max = GOODBYE_MAX * 2 + COMMIT_MAX;
    for (how, most) in [(End::AfterTransfer, grace), (End::Now, cut_off_max)] {
        for handle in registry.sessions() {
            handle.end(how, REASON);
        }
        if timeout(most, sessions.all_ended()).await.is_ok() {
            return;
        }
    }
    sessions.abort_all();
    sessions.all_ended().await;
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn the_wait_ends_with_the_last_task_and_not_before() {
        let tasks = SessionTasks::default();
        assert!(tasks.is_empty());
        tasks.all_ended().await;
        let (first, first_ends) = oneshot::channel::<()>();
        let (last, last_ends) = oneshot::channel::<()>();
        for ends in [first_ends, last_ends] {
            tasks.spawn(&Runtime::current(), |running_task| async move {
                drop(ends.await);
                drop(running_task);
            });
        }
        let mut waiting = pin!(tasks.all_ended());
        drop(first);
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        drop(last);
        waiting.await;
        assert!(tasks.is_empty());
    }

    #[tokio::test]
    async fn aborted_and_panicked_tasks_are_removed() {
        let tasks = SessionTasks::default();
        let (dropped, is_dropped) = oneshot::channel::<()>();
        tasks.spawn(&Runtime::current(), |running_task| async move {
            let _running_task = running_task;
            panic!("a session failed");
        });
        tasks.spawn(&Runtime::current(), |running_task| async move {
            let _dropped = dropped;
            pending::<()>().await;
            drop(running_task);
        });
        tokio::task::yield_now().await;
        tasks.abort_all();
        tasks.all_ended().await;
        assert!(is_dropped.await.is_err());
    }

    #[tokio::test]
    async fn tasks_end_with_the_set() {
        let (dropped, is_dropped) = oneshot::channel::<()>();
        let tasks = SessionTasks::default();
        tasks.spawn(&Runtime::current(), |running_task| async move {
            let _dropped = (dropped, running_task);
            pending::<()>().await;
        });
        tokio::task::yield_now().await;
        drop(tasks);
        assert!(is_dropped.await.is_err());
    }

    #[test]
    fn a_runtime_that_has_ended_drops_the_task() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let tasks = SessionTasks::default();
        tasks.spawn(&handle, |running_task| async move {
            pending::<()>().await;
            drop(running_task);
        });
        assert!(tasks.is_empty());
    }
}
