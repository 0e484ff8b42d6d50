//! What is done again and again beside serving: measuring, proving life.

use std::future::pending;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use wharf_server::Handle;

use crate::os::{ServiceState, announce, watchdog_interval};

/// How often the speed of transfers is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// Measures how fast transfers are, for those who look. Never returns.
pub(super) async fn measure(handle: &Handle) {
    let mut ticks = interval(MEASURE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        handle.measure();
    }
}

/// Tells the manager of services now and then that nothing hangs, where it wants to hear it. Never
/// returns.
pub(super) async fn send_watchdog() {
    let Some(every) = watchdog_interval() else { return pending().await };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        announce(ServiceState::Alive);
    }
}
