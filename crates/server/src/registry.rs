//! The registry of sessions: to list, measure and end them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::Notify;

use wharf_core::lock;

use crate::regression::Regression;
use crate::session_status::{SessionStatus, SessionView};

/// All sessions, by number.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    sessions: Mutex<BTreeMap<u64, Arc<SessionHandle>>>,
    last: AtomicU64,
    /// The configuration generation: the number of changes.
    generation: Arc<AtomicU64>,
}

/// A handle to a session from outside: its status, and how to end it.
#[derive(Debug)]
pub(crate) struct SessionHandle {
    pub(crate) number: u64,
    pub(crate) peer: SocketAddr,
    /// The status for the administrator.
    pub(crate) status: SessionStatus,
    /// Whether a transfer runs.
    pub(crate) is_transferring: AtomicBool,
    /// Bytes moved by the transfer that runs, or by the last one.
    pub(crate) moved: AtomicU64,
    /// Whether an upload is being published, which must not be interrupted.
    is_committing: AtomicBool,
    end: AtomicU8,
    reason: OnceLock<String>,
    changed: Notify,
    generation: Arc<AtomicU64>,
}

/// How soon a session must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    NotYet,
    /// When no transfer runs.
    AfterTransfer,
    Now,
}

/// What changed for a session that waits for a command.
pub(crate) enum HandleChange<'a> {
    /// It must end, for this reason.
    Ended(&'a str),
    /// The configuration has changed.
    Configured,
}

impl End {
    /// The end for which a wait is over that must not delay a shutdown, unless the fault is put
    /// back that it does.
    pub(crate) fn after_transfer_unless(regression: Regression) -> Self {
        if regression.is_present() { Self::Now } else { Self::AfterTransfer }
    }

    fn level(self) -> u8 {
        match self {
            Self::NotYet => 0,
            Self::AfterTransfer => 1,
            Self::Now => 2,
        }
    }
}

/// A registration. Dropping it removes the session.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) handle: Arc<SessionHandle>,
    registry: Arc<Registry>,
}

impl Registry {
    pub(crate) fn register(self: &Arc<Self>, peer: SocketAddr, local: SocketAddr) -> Registered {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let handle = Arc::new(SessionHandle {
            number,
            peer,
            status: SessionStatus::new(local),
            is_transferring: AtomicBool::new(false),
            moved: AtomicU64::new(0),
            is_committing: AtomicBool::new(false),
            end: AtomicU8::new(End::NotYet.level()),
            reason: OnceLock::new(),
            changed: Notify::new(),
            generation: Arc::clone(&self.generation),
        });
        self.lock().insert(number, Arc::clone(&handle));
        Registered { handle, registry: Arc::clone(self) }
    }

    /// Measures the rate of each transfer.
    pub(crate) fn measure(&self) {
        for handle in self.lock().values() {
            if handle.is_transferring.load(Ordering::Relaxed) {
                handle.status.measure(handle.moved.load(Ordering::Relaxed));
            }
        }
    }

    /// Notifies every session of a new configuration, which must be in place already.
    pub(crate) fn notify_config_change(&self) {
        self.generation.fetch_add(1, Ordering::Release);
        for handle in self.sessions() {
            handle.changed.notify_waiters();
        }
    }

    /// A session by number.
    pub(crate) fn find(&self, number: u64) -> Option<Arc<SessionHandle>> {
        self.lock().get(&number).cloned()
    }

    /// All sessions, by number.
    pub(crate) fn sessions(&self) -> Vec<Arc<SessionHandle>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<SessionHandle>>> {
        lock(&self.sessions)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.handle.number);
    }
}

impl SessionHandle {
    /// A snapshot of the session.
    pub(crate) fn view(&self) -> SessionView {
        self.status.view(self.number, self.peer, self.moved.load(Ordering::Relaxed))
    }

    /// Counts bytes moved by the transfer.
    pub(crate) fn count_moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Marks the beginning or the end of publishing a file.
    pub(crate) fn commits(&self, is_committing: bool) {
        self.is_committing.store(is_committing, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Waits until no file is being published. Cancel safe.
    pub(crate) async fn committed(&self) {
        loop {
            let changed = self.changed.notified();
            if !self.is_committing.load(Ordering::Acquire) {
                return;
            }
            changed.await;
        }
    }

    /// The configuration generation.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Waits until the configuration generation differs from this one. Cancel safe.
    pub(crate) async fn generation_changed(&self, generation: u64) {
        loop {
            let changed = self.changed.notified();
            if self.generation() != generation {
                return;
            }
            changed.await;
        }
    }

    /// Requests the session to end; an earlier reason is kept.
    pub(crate) fn end(&self, how: End, reason: &str) {
        let _ = self.reason.set(reason.to_owned());
        self.end.fetch_max(how.level(), Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Waits until the session must end at least as soon as `how`, or until the configuration
    /// generation differs from this one; the end comes first. Cancel safe.
    pub(crate) async fn changed(&self, how: End, generation: u64) -> HandleChange<'_> {
        loop {
            let changed = self.changed.notified();
            if self.end.load(Ordering::Acquire) >= how.level() {
                return HandleChange::Ended(self.reason());
            }
            if self.generation() != generation {
                return HandleChange::Configured;
            }
            changed.await;
        }
    }

    /// Waits until the session must end at least as soon as `how`, and returns the reason. Cancel
    /// safe.
    pub(crate) async fn ended(&self, how: End) -> &str {
        loop {
            let changed = self.changed.notified();
            if self.end.load(Ordering::Acquire) >= how.level() {
                return self.reason();
            }
            changed.await;
        }
    }

    fn reason(&self) -> &str {
        self.reason.get().map_or("Closing.", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 5).into()
    }

    #[tokio::test]
    async fn a_session_is_listed_until_it_ends() {
        let registry = Arc::new(Registry::default());
        let one = registry.register(address(1), address(9));
        let two = registry.register(address(2), address(9));
        assert_eq!(registry.sessions().len(), 2);
        assert!(one.handle.number < two.handle.number);
        drop(one);
        assert_eq!(registry.sessions().len(), 1);
    }

    #[tokio::test]
    async fn every_session_is_notified_of_a_new_configuration() {
        let registry = Arc::new(Registry::default());
        let one = registry.register(address(1), address(9));
        let generation = one.handle.generation();
        let (handle, notified) = (Arc::clone(&one.handle), tokio::sync::oneshot::channel());
        let waiting = async {
            handle.generation_changed(generation).await;
            notified.0.send(handle.generation()).unwrap();
        };
        let notifying = async { registry.notify_config_change() };
        tokio::join!(waiting, notifying);
        assert_eq!(notified.1.await, Ok(generation + 1));
        assert_eq!(registry.register(address(2), address(9)).handle.generation(), generation + 1);
    }

    #[tokio::test]
    async fn the_first_reason_is_reported() {
        let registry = Arc::new(Registry::default());
        let one = registry.register(address(1), address(9));
        one.handle.end(End::AfterTransfer, "Shutting down.");
        one.handle.end(End::Now, "Kicked.");
        assert_eq!(one.handle.ended(End::Now).await, "Shutting down.");
    }
}
