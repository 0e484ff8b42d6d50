//! How many logins one source proves at once, and how long one may take.

use std::future::Future;
use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::source::{Stopped, Verdict};

/// How many logins may wait for their turn at one source.
pub const WAITING_MAX: usize = 256;

/// Lets a bounded number in at a time, each for a bounded time.
#[derive(Debug)]
pub struct Gate {
    running: Semaphore,
    /// One permit for each that runs or waits.
    admitted: Semaphore,
    time_max: Duration,
}

impl Gate {
    /// A gate for `at_once` logins at a time, each answered within `time_max`, waiting included.
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

    /// Asks when it is its turn.
    ///
    /// # Errors
    /// What `ask` says; `Busy` when too many wait or the turn does not come in time; `Broken` when
    /// the answer does not come in time.
    pub async fn pass(
        &self,
        ask: impl Future<Output = Result<Verdict, Stopped>>,
    ) -> Result<Verdict, Stopped> {
        let Ok(_admitted) = self.admitted.try_acquire() else { return Err(Stopped::Busy) };
        let began = tokio::time::Instant::now();
        let Ok(Ok(_turn)) = timeout(self.time_max, self.running.acquire()).await else {
            return Err(Stopped::Busy);
        };
        let left = self.time_max.saturating_sub(began.elapsed());
        timeout(left, ask).await.unwrap_or_else(|_| {
            let seconds = self.time_max.as_secs_f32();
            Err(Stopped::Broken(format!("it did not answer within {seconds} s")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn gate() -> Gate {
        Gate::new(NonZeroUsize::MIN, Duration::from_millis(1))
    }

    #[tokio::test]
    async fn who_never_answers_is_broken_and_gives_its_turn_back() {
        let gate = gate();
        for _ in 0..3 {
            let stopped = gate.pass(pending()).await.unwrap_err();
            assert_eq!(stopped, Stopped::Broken("it did not answer within 0.001 s".into()));
        }
        let gate = Gate::new(NonZeroUsize::MIN, Duration::from_mins(1));
        assert!(gate.pass(async { Ok(Verdict::Unknown) }).await.is_ok());
    }

    #[tokio::test]
    async fn a_full_gate_is_busy_and_not_broken() {
        let gate = Gate::new(NonZeroUsize::MIN, Duration::from_mins(1));
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting: Vec<_> =
            (0..=WAITING_MAX).map(|_| Box::pin(gate.pass(pending()))).collect();
        for login in &mut waiting {
            assert!(login.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(gate.pass(pending()).await.unwrap_err(), Stopped::Busy);
        waiting.truncate(1);
        assert!(pin!(gate.pass(pending())).poll(&mut context).is_pending());
        drop(waiting);
        assert!(gate.pass(async { Ok(Verdict::Unknown) }).await.is_ok());
    }
}
