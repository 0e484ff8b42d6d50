//! How many password hashes run at once, so that logins cannot take the whole machine.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use wharf_core::users::Denied;
use zeroize::Zeroizing;

use crate::password::{self, DECOY, HashFailed, Verified};

/// How many logins may wait for their turn: about four seconds of work for two processors.
pub const LOGINS_WAITING_MAX: usize = 256;
/// The most hashes at once whatever the number of processors: 64 of ours take 1.2 GiB.
pub const HASHES_AT_ONCE_MAX: usize = 64;

/// Runs password hashes on blocking threads, a bounded number at once.
///
/// Share one among all stores of a process. Every future here may be dropped: work that has begun
/// goes on to its end on its thread and keeps its place until then.
#[derive(Debug)]
pub struct Hasher {
    /// One permit a running hash.
    running: Arc<Semaphore>,
    at_once: u32,
    /// One permit a hash that runs or waits.
    admitted: Arc<Semaphore>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    verifications: AtomicU64,
    decoys: AtomicU64,
}

/// Too many hashes run and wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl std::fmt::Display for Busy {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("too many logins at once")
    }
}

impl std::error::Error for Busy {}

impl From<Busy> for Denied {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

/// As many at once as there are processors.
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

    /// Says whether `secret` is the password behind `stored`.
    ///
    /// Where there is no hash, or none that can be read, a decoy of our own cost is checked in its
    /// place and the answer is `Unreadable`: it takes as long as a wrong password. A wrong password
    /// of a hash that is not of our cost costs the decoy as well, since many of those take no
    /// time at all. One that takes longer than ours can still be told from a missing account,
    /// until its first login renews it.
    ///
    /// # Errors
    /// [`Busy`] when too many wait already; nothing was checked.
    pub async fn verify(&self, stored: Option<&str>, secret: &[u8]) -> Result<Verified, Busy> {
        let stored = stored.map(|stored| Zeroizing::new(stored.to_owned()));
        let secret = Zeroizing::new(secret.to_vec());
        let turn = self.turn().await?;
        let counts = Arc::clone(&self.counts);
        let work = spawn_blocking(move || {
            let _turn = turn;
            counts.verifications.fetch_add(1, Ordering::Relaxed);
            let known = stored.as_ref().map(|stored| password::verify(stored, &secret));
            let is_ours = stored.is_some_and(|stored| password::costs_as_ours(&stored));
            let verified = known.unwrap_or(Verified::Unreadable);
            let is_cheap = verified == Verified::Wrong && !is_ours;
            if is_cheap || verified == Verified::Unreadable {
                counts.decoys.fetch_add(1, Ordering::Relaxed);
                password::verify(DECOY, &secret);
            }
            verified
        });
        // The runtime ends, or the work fell: nobody has been verified.
        Ok(work.await.unwrap_or(Verified::Unreadable))
    }

    /// Makes a new hash, see [`password::hash_new`], when it is its turn.
    ///
    /// # Errors
    /// When too many wait already, or no hash could be made.
    pub async fn hash_new(
        &self,
        secret: &[u8],
    ) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let secret = Zeroizing::new(secret.to_vec());
        let turn = self.turn().await?;
        let work = spawn_blocking(move || {
            let _turn = turn;
            password::hash_new(&secret)
        });
        Ok(work.await.map_err(|_| HashFailed)??)
    }

    /// Makes a new hash if a turn is free this moment, for work that can be left out.
    pub async fn hash_if_idle(&self, secret: &[u8]) -> Option<String> {
        let turn = self.spare_turn()?;
        let secret = Zeroizing::new(secret.to_vec());
        let work = spawn_blocking(move || {
            let _turn = turn;
            password::hash_new(&secret)
        });
        work.await.ok()?.ok()
    }

    /// Waits until no hash runs, so that a hash that is being renewed is not lost at the end of
    /// the process. New ones wait meanwhile.
    pub async fn idle(&self) {
        // Fails only when the semaphore is closed, which nobody does.
        drop(self.running.acquire_many(self.at_once).await);
    }

    /// How many times [`Hasher::verify`] has done its work. For tests and metrics.
    pub fn verifications(&self) -> u64 {
        self.counts.verifications.load(Ordering::Relaxed)
    }

    /// How many of them checked the decoy. For tests and metrics.
    pub fn decoys(&self) -> u64 {
        self.counts.decoys.load(Ordering::Relaxed)
    }

    /// How many wait for their turn. For tests and metrics.
    pub fn waiting(&self) -> usize {
        let at_once = self.running.available_permits();
        (LOGINS_WAITING_MAX + at_once).saturating_sub(self.admitted.available_permits())
    }

    /// A turn for work that can be left out, if one is free this moment.
    pub(crate) fn spare_turn(&self) -> Option<Turn> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().ok()?;
        let running = Arc::clone(&self.running).try_acquire_owned().ok()?;
        Some(Turn { _running: running, _admitted: admitted })
    }

    async fn turn(&self) -> Result<Turn, Busy> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Busy)?;
        Ok(Turn { _running: running, _admitted: admitted })
    }
}

/// The right to run one hash; given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
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
            let before = (hasher.verifications(), hasher.decoys());
            assert_eq!(hasher.verify(stored, b"x").await, Ok(Verified::Unreadable));
            assert_eq!((hasher.verifications(), hasher.decoys()), (before.0 + 1, before.1 + 1));
        }
    }

    #[tokio::test]
    async fn row_18_a_wrong_password_always_costs_a_hash_of_ours() {
        let hasher = Hasher::default();
        let ours = hasher.hash_new(b"secret").await.unwrap();
        assert_eq!(hasher.verify(Some(&ours), b"x").await, Ok(Verified::Wrong));
        assert_eq!(hasher.decoys(), 0);
        let quick = "{SSHA}rkVJUMZq30PQewwp3wBrVidgFF7PfliP7fbmkQ==";
        assert_eq!(hasher.verify(Some(quick), b"x").await, Ok(Verified::Wrong));
        assert_eq!(hasher.decoys(), 1);
        let secret = "Pier 39, Zürich".as_bytes();
        assert_eq!(hasher.verify(Some(quick), secret).await, Ok(Verified::RightButOld));
        assert_eq!(hasher.decoys(), 1);
    }

    #[tokio::test]
    async fn row_20_a_full_queue_refuses_and_a_dropped_wait_makes_room() {
        let hasher = Hasher::new(NonZeroUsize::MIN);
        let busy = hasher.spare_turn().unwrap();
        assert!(hasher.spare_turn().is_none());
        let mut waiting: Vec<_> =
            (0..LOGINS_WAITING_MAX).map(|_| Box::pin(hasher.verify(None, b"x"))).collect();
        let mut context = Context::from_waker(Waker::noop());
        for login in &mut waiting {
            assert!(login.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(hasher.verify(None, b"x").await, Err(Busy));
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
