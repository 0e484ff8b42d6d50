//! Bounds the number of concurrent password hashes, so that logins cannot exhaust the machine.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use wharf_core::users::Denied;
use zeroize::Zeroizing;

use crate::password::{self, DUMMY_HASH, HashFailed, Verified};

/// The most logins that wait for a permit: about four seconds of work for two processors.
pub const LOGINS_WAITING_MAX: usize = 256;
/// The most concurrent hashes, whatever the number of processors: 64 new hashes take 1.2 GiB.
pub const HASHES_AT_ONCE_MAX: usize = 64;

/// Runs a bounded number of password hashes on blocking threads.
///
/// Share one among all stores of a process. Every future here may be dropped: work that has started
/// runs to its end on its thread, and holds its permit until then.
#[derive(Debug)]
pub struct Hasher {
    /// One permit a running hash.
    running: Arc<Semaphore>,
    at_once: u32,
    /// One permit a hash that runs or waits.
    admitted: Arc<Semaphore>,
    counts: Arc<HashCounters>,
}

#[derive(Debug, Default)]
struct HashCounters {
    verifications: AtomicU64,
    dummy_verifications: AtomicU64,
}

/// Too many hashes run and wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HasherBusy;

impl std::fmt::Display for HasherBusy {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("too many logins at once")
    }
}

impl std::error::Error for HasherBusy {}

impl From<HasherBusy> for Denied {
    fn from(_: HasherBusy) -> Self {
        Self::Busy
    }
}

/// As many concurrent hashes as there are processors.
impl Default for Hasher {
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }
}

impl Hasher {
    /// A hasher that runs `at_once` hashes at a time, at most [`HASHES_AT_ONCE_MAX`], and lets
    /// [`LOGINS_WAITING_MAX`] more wait.
    pub fn new(at_once: NonZeroUsize) -> Self {
        let at_once = at_once.get().min(HASHES_AT_ONCE_MAX);
        Self {
            running: Arc::new(Semaphore::new(at_once)),
            at_once: u32::try_from(at_once).unwrap_or(1),
            admitted: Arc::new(Semaphore::new(at_once + LOGINS_WAITING_MAX)),
            counts: Arc::default(),
        }
    }

    /// Verifies `secret` against the hash `stored`.
    ///
    /// If there is no hash, or it is unreadable, a dummy hash with the cost of a new hash is
    /// verified instead and the result is `Unreadable`: it takes as long as a wrong password. For a
    /// wrong password whose hash has another cost, the dummy hash is verified in addition, since
    /// many of those hashes are cheap. A hash that costs more than a new one can still be
    /// distinguished from a missing account, until the first login renews it.
    ///
    /// # Errors
    /// [`HasherBusy`] when too many logins wait; nothing was verified.
    pub async fn verify(
        &self,
        stored: Option<&str>,
        secret: &[u8],
    ) -> Result<Verified, HasherBusy> {
        let stored = stored.map(|stored| Zeroizing::new(stored.to_owned()));
        let secret = Zeroizing::new(secret.to_vec());
        let permit = self.permit().await?;
        let counts = Arc::clone(&self.counts);
        let work = spawn_blocking(move || {
            let _turn = permit;
            counts.verifications.fetch_add(1, Ordering::Relaxed);
            let known = stored.as_ref().map(|stored| password::verify(stored, &secret));
            let is_ours = stored.is_some_and(|stored| password::has_current_cost(&stored));
            let verified = known.unwrap_or(Verified::Unreadable);
            let is_cheap = verified == Verified::Wrong && !is_ours;
            if is_cheap || verified == Verified::Unreadable {
                counts.dummy_verifications.fetch_add(1, Ordering::Relaxed);
                password::verify(DUMMY_HASH, &secret);
            }
            verified
        });
        // The runtime shuts down, or the task panicked: the password is not verified.
        Ok(work.await.unwrap_or(Verified::Unreadable))
    }

    /// Creates a new hash, see [`password::hash_new`]. Waits for a permit.
    ///
    /// # Errors
    /// Too many logins wait, or the hash cannot be created.
    pub async fn hash_new(
        &self,
        secret: &[u8],
    ) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let secret = Zeroizing::new(secret.to_vec());
        let permit = self.permit().await?;
        let work = spawn_blocking(move || {
            let _turn = permit;
            password::hash_new(&secret)
        });
        Ok(work.await.map_err(|_| HashFailed)??)
    }

    /// Creates a new hash if a permit is available now, for optional work.
    pub async fn hash_if_idle(&self, secret: &[u8]) -> Option<String> {
        let permit = self.try_permit()?;
        let secret = Zeroizing::new(secret.to_vec());
        let work = spawn_blocking(move || {
            let _turn = permit;
            password::hash_new(&secret)
        });
        work.await.ok()?.ok()
    }

    /// Waits until no hash runs, so that a renewed hash is not lost when the process exits. New
    /// ones wait meanwhile.
    pub async fn idle(&self) {
        // Fails only when the semaphore is closed, which never happens.
        drop(self.running.acquire_many(self.at_once).await);
    }

    /// How many times [`Hasher::verify`] has done its work. For tests and metrics.
    pub fn verifications(&self) -> u64 {
        self.counts.verifications.load(Ordering::Relaxed)
    }

    /// How many of them checked the decoy. For tests and metrics.
    pub fn dummy_verifications(&self) -> u64 {
        self.counts.dummy_verifications.load(Ordering::Relaxed)
    }

    /// How many logins wait for a permit. For tests and metrics.
    pub fn waiting(&self) -> usize {
        let at_once = self.running.available_permits();
        (LOGINS_WAITING_MAX + at_once).saturating_sub(self.admitted.available_permits())
    }

    /// A permit for optional work, if one is available now.
    pub(crate) fn try_permit(&self) -> Option<HashPermit> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().ok()?;
        let running = Arc::clone(&self.running).try_acquire_owned().ok()?;
        Some(HashPermit { _running: running, _admitted: admitted })
    }

    async fn permit(&self) -> Result<HashPermit, HasherBusy> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| HasherBusy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| HasherBusy)?;
        Ok(HashPermit { _running: running, _admitted: admitted })
    }
}

/// The right to run one hash; given back when dropped.
#[derive(Debug)]
pub(crate) struct HashPermit {
    _running: OwnedSemaphorePermit,
    _admitted: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[tokio::test]
    async fn row_18_a_missing_or_unreadable_hash_costs_one_verification() {
        let hasher = Hasher::default();
        for stored in [None, Some(""), Some("plain"), Some("$6$rounds=999999999$a$b")] {
            let before = (hasher.verifications(), hasher.dummy_verifications());
            assert_eq!(hasher.verify(stored, b"x").await, Ok(Verified::Unreadable));
            assert_eq!(
                (hasher.verifications(), hasher.dummy_verifications()),
                (before.0 + 1, before.1 + 1)
            );
        }
    }

    #[tokio::test]
    async fn row_18_a_wrong_password_always_costs_a_new_hash() {
        let hasher = Hasher::default();
        let ours = hasher.hash_new(b"secret").await.unwrap();
        assert_eq!(hasher.verify(Some(&ours), b"x").await, Ok(Verified::Wrong));
        assert_eq!(hasher.dummy_verifications(), 0);
        let quick = "{SSHA}rkVJUMZq30PQewwp3wBrVidgFF7PfliP7fbmkQ==";
        assert_eq!(hasher.verify(Some(quick), b"x").await, Ok(Verified::Wrong));
        assert_eq!(hasher.dummy_verifications(), 1);
        let secret = "Pier 39, Zürich".as_bytes();
        assert_eq!(hasher.verify(Some(quick), secret).await, Ok(Verified::RightButOld));
        assert_eq!(hasher.dummy_verifications(), 1);
    }

    #[tokio::test]
    async fn row_20_a_full_queue_rejects_and_a_dropped_wait_frees_a_place() {
        let hasher = Hasher::new(NonZeroUsize::MIN);
        let busy = hasher.try_permit().unwrap();
        assert!(hasher.try_permit().is_none());
        let mut waiting: Vec<_> =
            (0..LOGINS_WAITING_MAX).map(|_| Box::pin(hasher.verify(None, b"x"))).collect();
        let mut context = Context::from_waker(Waker::noop());
        for login in &mut waiting {
            assert!(login.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(hasher.verify(None, b"x").await, Err(HasherBusy));
        assert_eq!(hasher.verifications(), 0);
        waiting.truncate(1);
        assert!(pin!(hasher.verify(None, b"x")).poll(&mut context).is_pending());
        drop((waiting, busy));
        assert_eq!(hasher.verify(None, b"x").await, Ok(Verified::Unreadable));
    }

    #[tokio::test]
    async fn a_new_hash_is_verified() {
        let hasher = Hasher::default();
        let stored = hasher.hash_new(b"secret").await.unwrap();
        assert_eq!(hasher.verify(Some(&stored), b"secret").await, Ok(Verified::Right));
        hasher.idle().await;
    }
}
