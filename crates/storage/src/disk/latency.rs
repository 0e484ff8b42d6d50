//! Detecting whether calls to a file system are fast enough to run without a blocking thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A call that took longer waited for a disk. On a busy machine the scheduler alone can add several
/// milliseconds, which a blocking thread would not avoid.
const QUICK_MAX: Duration = Duration::from_millis(20);
/// How long calls then run on blocking threads.
const SLOW_FOR: Duration = Duration::from_secs(5);

/// The kind of file system of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    /// Memory: a read never waits.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux reports it"))]
    Memory,
    /// A local disk: cached data is available at once.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux reports it"))]
    Disk,
    /// A network file system, or an unknown one: any call may wait for a long time.
    Unknown,
}

/// The latency of calls to a directory.
///
/// A call takes about a microsecond if the system has everything in memory, and a hand-over to
/// another thread ten times as long. Small operations therefore run directly on the calling task
/// while such calls are fast; after a slow one they run on blocking threads for a while.
pub(super) struct CallLatency {
    pub(super) medium: Medium,
    began: Instant,
    /// In milliseconds since `began`.
    slow_until: AtomicU64,
}

impl CallLatency {
    pub(super) fn new(medium: Medium) -> Self {
        Self { medium, began: Instant::now(), slow_until: AtomicU64::new(0) }
    }

    /// Whether a small operation may run directly.
    pub(super) fn is_quick(&self) -> bool {
        self.medium != Medium::Unknown
            && match self.slow_until.load(Ordering::Relaxed) {
                0 => true,
                until => self.milliseconds() >= until,
            }
    }

    /// Runs a small operation, and remembers if it was slow.
    pub(super) fn timed<T>(&self, act: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = act();
        self.note(start.elapsed());
        done
    }

    fn note(&self, took: Duration) {
        if took > QUICK_MAX {
            let wait = u64::try_from(SLOW_FOR.as_millis()).unwrap_or(u64::MAX);
            let until = self.milliseconds().saturating_add(wait);
            self.slow_until.store(until, Ordering::Relaxed);
        }
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_slow_call_blocking_threads_are_used_for_a_while() {
        let latency = CallLatency::new(Medium::Disk);
        latency.note(QUICK_MAX);
        assert!(latency.is_quick());
        latency.note(QUICK_MAX * 2);
        assert!(!latency.is_quick());
        tokio::time::advance(SLOW_FOR).await;
        assert!(latency.is_quick());
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_file_system_is_never_fast() {
        assert!(!CallLatency::new(Medium::Unknown).is_quick());
        assert!(CallLatency::new(Medium::Memory).is_quick());
    }
}
