//! Pauses shorter than a millisecond, the unit of the runtime's timers.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// Waits for `time`, below a second, on the reactor. Without a file descriptor for it the runtime's
/// timer is used, which may take a millisecond longer.
pub(super) async fn short_pause(time: Duration) {
    if wait(time).await.is_err() {
        sleep(time).await;
    }
}

async fn wait(time: Duration) -> io::Result<()> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
    let once = Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() },
    };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
    #[expect(deprecated, reason = "its replacement is unsafe, for types other than `OwnedFd`")]
    let timer: AsyncFd<OwnedFd> = AsyncFd::with_interest(timer, Interest::READABLE)?;
    timer.readable().await.map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_pause_lasts_at_least_its_time_without_the_timer_of_the_runtime() {
        let began = Instant::now();
        // Outside of `start_paused`, the runtime's clock is the real one as well.
        wait(Duration::from_micros(300)).await.expect("the system has timers");
        assert!(began.elapsed() >= Duration::from_micros(300));
    }
}
