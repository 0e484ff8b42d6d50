//! The task that accepts for all sessions of a shared port.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use wharf_core::lock;

use super::waiters::{Dispatched, Waiters};
use crate::net::Listener;
use crate::ports::UnexpectedPeers;

/// After a failed accept the next try comes after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// The task of one port. Dropping it ends the task and drops the listener at once.
pub(super) struct AcceptTask {
    work: Arc<Work>,
    handle: AbortHandle,
}

/// The future that the task polls. It is stored outside the task: aborting a task only requests its
/// runtime to drop it, and until then the port could not be opened again.
struct Work(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl AcceptTask {
    #[expect(clippy::disallowed_methods, reason = "no session's task may wait for another's")]
    pub(super) fn spawn(listener: Arc<dyn Listener>, waiters: Arc<Waiters>) -> Self {
        let accepting: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(accept_for_all(listener, waiters));
        let work = Arc::new(Work(Mutex::new(Some(accepting))));
        let polled = Arc::clone(&work);
        let task = tokio::spawn(poll_fn(move |context| polled.poll(context)));
        Self { work, handle: task.abort_handle() }
    }
}

impl Drop for AcceptTask {
    fn drop(&mut self) {
        let work = lock(&self.work.0).take();
        self.handle.abort();
        // Dropped without a lock held.
        drop(work);
    }
}

impl Work {
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut work = lock(&self.0);
        work.as_mut().map_or(Poll::Ready(()), |work| work.as_mut().poll(context))
    }
}

/// Accepts and dispatches connections until it is dropped.
async fn accept_for_all(listener: Arc<dyn Listener>, waiters: Arc<Waiters>) {
    let mut pending = JoinSet::new();
    let mut unexpected = UnexpectedPeers::default();
    loop {
        for one in waiters.take_pending() {
            pending.spawn(one);
        }
        waiters.first_waits().await;
        let accepted = tokio::select! {
            // Work in progress comes before new connections.
            biased;
            () = waiters.has_pending() => continue,
            Some(_) = pending.join_next(), if !pending.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted.map(|socket| waiters.dispatch(socket, false)) {
            Ok(Dispatched::Unexpected(address)) => {
                if let Some(pause) = unexpected.note(address) {
                    sleep(pause).await;
                }
            }
            Ok(Dispatched::HandedOver | Dispatched::Pending | Dispatched::Gone) => {}
            // For example, too many open files. The sessions keep waiting.
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}
