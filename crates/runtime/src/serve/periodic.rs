//! Periodic tasks: measuring transfer rates, watchdog notifications.

use std::future::pending;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use wharf_server::Handle;

use crate::os::{ServiceState, announce, watchdog_interval};

/// How often transfer rates are measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// Measures transfer rates for status output. Never returns.
pub(super) async fn measure(handle: &Handle) {
    let mut ticks = interval(MEASURE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        handle.measure();
    }
}

/// Sends watchdog notifications to the service manager, if it requested them. Never returns.
pub(super) async fn send_watchdog() {
    let Some(every) = watchdog_interval() else { return pending().await };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        announce(ServiceState::Alive);
    }
}
