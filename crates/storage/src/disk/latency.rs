//! Detecting whether calls to a file system are fast enough to run without a blocking thread.

use std::ffi::c_long;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A call that took longer may have waited for a disk. On a busy machine the scheduler alone can
/// add tens of milliseconds, which a blocking thread would not avoid.
const QUICK_MAX: Duration = Duration::from_millis(20);
/// How long calls then run on blocking threads.
const SLOW_FOR: Duration = Duration::from_secs(5);
/// How many calls are examined after a long one: whether their thread gave up its processor to
/// wait, or only had to share it.
const EXAMINED: u64 = 1000;

/// The kind of file system of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileSystemKind {
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
    pub(super) medium: FileSystemKind,
    began: Instant,
    /// In milliseconds since `began`.
    slow_until: AtomicU64,
    /// The number of further calls to examine.
    examined: AtomicU64,
}

impl CallLatency {
    pub(super) fn new(medium: FileSystemKind) -> Self {
        Self {
            medium,
            began: Instant::now(),
            slow_until: AtomicU64::new(0),
            examined: AtomicU64::new(0),
        }
    }

    /// Whether a small operation may run directly.
    pub(super) fn is_quick(&self) -> bool {
        self.medium != FileSystemKind::Unknown
            && match self.slow_until.load(Ordering::Relaxed) {
                0 => true,
                until => self.milliseconds() >= until,
            }
    }

    /// Runs a small operation, and remembers if it was slow.
    ///
    /// A single long call only leads to the next ones being examined.
    pub(super) fn timed<T>(&self, act: impl FnOnce() -> T) -> T {
        let is_examined = self.examined.load(Ordering::Relaxed) > 0;
        let waits = if is_examined { waits_of_this_thread() } else { None };
        let start = Instant::now();
        let done = act();
        let took = start.elapsed();
        if is_examined {
            let has_waited = waits.is_none() || waits != waits_of_this_thread();
            self.note_examined(took, has_waited);
        } else {
            self.note(took);
        }
        done
    }

    fn note(&self, took: Duration) {
        if took > QUICK_MAX {
            self.examined.store(EXAMINED, Ordering::Relaxed);
        }
    }

    /// `has_waited` is whether the call gave up its processor.
    fn note_examined(&self, took: Duration, has_waited: bool) {
        if took > QUICK_MAX && has_waited {
            let wait = u64::try_from(SLOW_FOR.as_millis()).unwrap_or(u64::MAX);
            let until = self.milliseconds().saturating_add(wait);
            self.slow_until.store(until, Ordering::Relaxed);
        } else if took > QUICK_MAX {
            self.examined.store(EXAMINED, Ordering::Relaxed);
        } else {
            // Another thread may have ended it meanwhile.
            let less = |left: u64| left.checked_sub(1);
            let _ = self.examined.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// How often this thread has given up its processor to wait; `None` if the system does not report
/// it.
#[cfg(target_os = "linux")]
fn waits_of_this_thread() -> Option<c_long> {
    use nix::sys::resource::{UsageWho, getrusage};

    getrusage(UsageWho::RUSAGE_THREAD).ok().map(|usage| usage.voluntary_context_switches())
}

#[cfg(not(target_os = "linux"))]
fn waits_of_this_thread() -> Option<c_long> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_calls_that_waited_blocking_threads_are_used_for_a_while() {
        let latency = CallLatency::new(FileSystemKind::Disk);
        latency.note(QUICK_MAX);
        assert_eq!(latency.examined.load(Ordering::Relaxed), 0);
        latency.note(QUICK_MAX * 2);
        assert!(latency.is_quick(), "one long call shows nothing");
        latency.note_examined(QUICK_MAX * 2, false);
        assert!(latency.is_quick(), "the processor was shared");
        latency.note_examined(QUICK_MAX * 2, true);
        assert!(!latency.is_quick());
        tokio::time::advance(SLOW_FOR).await;
        assert!(latency.is_quick());
    }

    #[tokio::test(start_paused = true)]
    async fn examining_ends_after_enough_fast_calls() {
        let latency = CallLatency::new(FileSystemKind::Disk);
        latency.note(QUICK_MAX * 2);
        for _ in 0..EXAMINED {
            assert!(latency.examined.load(Ordering::Relaxed) > 0);
            latency.timed(|| ());
        }
        assert_eq!(latency.examined.load(Ordering::Relaxed), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_waiting_call_is_distinguished_from_a_computing_one() {
        let before = waits_of_this_thread();
        std::thread::sleep(Duration::from_millis(1));
        assert!(before.is_some() && waits_of_this_thread() > before);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_file_system_is_never_fast() {
        assert!(!CallLatency::new(FileSystemKind::Unknown).is_quick());
        assert!(CallLatency::new(FileSystemKind::Memory).is_quick());
    }
}
