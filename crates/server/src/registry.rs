//! The live sessions: to look at, to count, to end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;

use crate::live::{Live, SessionView};

/// All sessions that are here, by number.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    sessions: Mutex<BTreeMap<u64, Arc<Probe>>>,
    last: AtomicU64,
    /// How often the terms have changed on which sessions are served.
    age: Arc<AtomicU64>,
}

/// What others may see of a session, and the one thing they may do: end it.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) number: u64,
    pub(crate) peer: SocketAddr,
    /// For those who look at it.
    pub(crate) live: Live,
    /// Whether a transfer runs.
    pub(crate) is_transferring: AtomicBool,
    /// Bytes moved by the transfer that runs, or by the last one.
    pub(crate) moved: AtomicU64,
    /// Whether a store publishes a file, which must not be cut short.
    is_committing: AtomicBool,
    end: AtomicU8,
    reason: OnceLock<String>,
    changed: Notify,
    age: Arc<AtomicU64>,
}

/// How soon a session is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    NotYet,
    /// When no transfer runs.
    AfterTransfer,
    Now,
}

impl End {
    fn level(self) -> u8 {
        match self {
            Self::NotYet => 0,
            Self::AfterTransfer => 1,
            Self::Now => 2,
        }
    }
}

/// A session's line in the registry. Dropping it takes the line out.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) probe: Arc<Probe>,
    registry: Arc<Registry>,
}

impl Registry {
    pub(crate) fn enter(self: &Arc<Self>, peer: SocketAddr, local: SocketAddr) -> Registered {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let probe = Arc::new(Probe {
            number,
            peer,
            live: Live::new(local),
            is_transferring: AtomicBool::new(false),
            moved: AtomicU64::new(0),
            is_committing: AtomicBool::new(false),
            end: AtomicU8::new(End::NotYet.level()),
            reason: OnceLock::new(),
            changed: Notify::new(),
            age: Arc::clone(&self.age),
        });
        self.lock().insert(number, Arc::clone(&probe));
        Registered { probe, registry: Arc::clone(self) }
    }

    /// Measures how fast each transfer is.
    pub(crate) fn measure(&self) {
        for probe in self.lock().values() {
            if probe.is_transferring.load(Ordering::Relaxed) {
                probe.live.measure(probe.moved.load(Ordering::Relaxed));
            }
        }
    }

    /// Has every session look at the terms of now, which must be in place already.
    pub(crate) fn renew(&self) {
        self.age.fetch_add(1, Ordering::Release);
        for probe in self.each() {
            probe.changed.notify_waiters();
        }
    }

    /// A session that is here.
    pub(crate) fn find(&self, number: u64) -> Option<Arc<Probe>> {
        self.lock().get(&number).cloned()
    }

    /// The sessions of now, by number.
    pub(crate) fn each(&self) -> Vec<Arc<Probe>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Probe>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.probe.number);
    }
}

impl Probe {
    /// The session as it is now.
    pub(crate) fn view(&self) -> SessionView {
        self.live.view(self.number, self.peer, self.moved.load(Ordering::Relaxed))
    }

    /// Notes that a file begins to be published, or that this is over.
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

    /// How often the terms have changed: as long as it stays the same, so do they.
    pub(crate) fn age(&self) -> u64 {
        self.age.load(Ordering::Acquire)
    }

    /// Waits until the terms are others than those of this age. Cancel safe.
    pub(crate) async fn renewed(&self, age: u64) {
        loop {
            let changed = self.changed.notified();
            if self.age() != age {
                return;
            }
            changed.await;
        }
    }

    /// Asks the session to end; an earlier reason stands.
    pub(crate) fn end(&self, how: End, reason: &str) {
        let _ = self.reason.set(reason.to_owned());
        self.end.fetch_max(how.level(), Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Waits until the session is to end at least as soon as `how`, and says why. Cancel safe.
    pub(crate) async fn ended(&self, how: End) -> &str {
        loop {
            let changed = self.changed.notified();
            if self.end.load(Ordering::Acquire) >= how.level() {
                return self.reason.get().map_or("Closing.", String::as_str);
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 5).into()
    }

    #[tokio::test]
    async fn a_session_is_listed_until_it_goes() {
        let registry = Arc::new(Registry::default());
        let one = registry.enter(address(1), address(9));
        let two = registry.enter(address(2), address(9));
        assert_eq!(registry.each().len(), 2);
        assert!(one.probe.number < two.probe.number);
        drop(one);
        assert_eq!(registry.each().len(), 1);
    }

    #[tokio::test]
    async fn everybody_hears_of_other_terms() {
        let registry = Arc::new(Registry::default());
        let one = registry.enter(address(1), address(9));
        let age = one.probe.age();
        let (probe, hears) = (Arc::clone(&one.probe), tokio::sync::oneshot::channel());
        let hearing = async {
            probe.renewed(age).await;
            hears.0.send(probe.age()).unwrap();
        };
        let telling = async { registry.renew() };
        tokio::join!(hearing, telling);
        assert_eq!(hears.1.await, Ok(age + 1));
        assert_eq!(registry.enter(address(2), address(9)).probe.age(), age + 1);
    }

    #[tokio::test]
    async fn the_first_reason_is_told() {
        let registry = Arc::new(Registry::default());
        let one = registry.enter(address(1), address(9));
        one.probe.end(End::AfterTransfer, "Shutting down.");
        one.probe.end(End::Now, "Kicked.");
        assert_eq!(one.probe.ended(End::Now).await, "Shutting down.");
    }
}
