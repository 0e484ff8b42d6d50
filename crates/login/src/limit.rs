//! Bounds the number of concurrent logins at one backend, and the time of each.

use std::future::Future;
use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::source::{AuthOutcome, AuthUnavailable};

/// How many logins may wait at one backend.
pub const WAITING_MAX: usize = 256;

/// Lets a bounded number in at a time, each for a bounded time.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    running: Semaphore,
    /// One permit for each that runs or waits.
    admitted: Semaphore,
    time_max: Duration,
}

impl ConcurrencyLimit {
    /// A limit of `at_once` concurrent logins, each of at most `time_max`, waiting included.
    pub fn new(at_once: NonZeroUsize, time_max: Duration) -> Self {
        let at_once = at_once.get().min(Semaphore::MAX_PERMITS - WAITING_MAX);
        Self {
            running: Semaphore::new(at_once),
            admitted: Semaphore::new(at_once + WAITING_MAX),
            time_max,
        }
    }

    /// How long a login may take.
    pub fn time_max(&self) -> Duration {
        self.time_max
    }

    /// Runs `ask` when a permit is available.
    ///
    /// # Errors
    /// Those of `ask`; `Busy` when too many logins wait or no permit is available in time; `Broken`
    /// when `ask` takes too long.
    pub async fn run(
        &self,
        ask: impl Future<Output = Result<AuthOutcome, AuthUnavailable>>,
    ) -> Result<AuthOutcome, AuthUnavailable> {
        let Ok(_admitted) = self.admitted.try_acquire() else { return Err(AuthUnavailable::Busy) };
        let began = tokio::time::Instant::now();
        let Ok(Ok(_turn)) = timeout(self.time_max, self.running.acquire()).await else {
            return Err(AuthUnavailable::Busy);
        };
        let left = self.time_max.saturating_sub(began.elapsed());
        timeout(left, ask).await.unwrap_or_else(|_| {
            let seconds = self.time_max.as_secs_f32();
            Err(AuthUnavailable::Broken(format!("no response within {seconds} s")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn limit() -> ConcurrencyLimit {
        ConcurrencyLimit::new(NonZeroUsize::MIN, Duration::from_millis(1))
    }

    #[tokio::test]
    async fn a_request_without_response_times_out_and_releases_its_permit() {
        let limit = limit();
        for _ in 0..3 {
            let unavailable = limit.run(pending()).await.unwrap_err();
            assert_eq!(unavailable, AuthUnavailable::Broken("no response within 0.001 s".into()));
        }
        let limit = ConcurrencyLimit::new(NonZeroUsize::MIN, Duration::from_mins(1));
        assert!(limit.run(async { Ok(AuthOutcome::Unknown) }).await.is_ok());
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_and_not_broken() {
        let limit = ConcurrencyLimit::new(NonZeroUsize::MIN, Duration::from_mins(1));
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting: Vec<_> =
            (0..=WAITING_MAX).map(|_| Box::pin(limit.run(pending()))).collect();
        for login in &mut waiting {
            assert!(login.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(limit.run(pending()).await.unwrap_err(), AuthUnavailable::Busy);
        waiting.truncate(1);
        assert!(pin!(limit.run(pending())).poll(&mut context).is_pending());
        drop(waiting);
        assert!(limit.run(async { Ok(AuthOutcome::Unknown) }).await.is_ok());
    }
}
