//! The wait between the end of an upload and its publication. A killed client closes its
//! connections one after the other, often the data connection first: only the end of its control
//! connection shows that the upload is not complete.

use std::time::Duration;

use tokio::task::yield_now;

use crate::control::Control;
use crate::net;

/// The longest wait. A killed client that shares a busy processor may be interrupted for some
/// milliseconds between closing the two connections.
const MOST: Duration = Duration::from_micros(2500);
/// The shortest wait for a client on another machine: the two ends arrive one after the other.
const LEAST: Duration = Duration::from_micros(200);
/// The wait for a client on another machine is at most this part of the duration of its upload.
const PART: u32 = 20;
/// The first look at a client on this machine; each further wait is twice as long.
const FIRST_PAUSE: Duration = Duration::from_micros(100);

/// Waits after an upload until its control connection has ended, or cannot be about to end any
/// more. `doubtful` is the duration of an upload that may be one of a killed client.
pub(super) async fn wait(control: &mut Control, doubtful: Option<Duration>) {
    match doubtful {
        Some(_) if control.is_of_this_machine() => wait_for_machine(control).await,
        Some(took) => control.pause((took / PART).clamp(LEAST, MOST)).await,
        None => {}
    }
    // At least once, so that the reactor sees the control connection.
    yield_now().await;
}

/// A client that is being closed runs, or waits for a processor. While no thread but this one does,
/// no client of this machine is being closed.
async fn wait_for_machine(control: &mut Control) {
    for pause in pauses() {
        if net::is_machine_idle() || control.has_left().await {
            return;
        }
        control.pause(pause).await;
    }
}

/// The waits for a client on this machine.
fn pauses() -> impl Iterator<Item = Duration> {
    let mut left = MOST;
    (0..).map_while(move |doublings| {
        let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(left);
        left -= pause;
        (!pause.is_zero()).then_some(pause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_on_a_busy_machine_are_few_and_add_up_to_the_longest_wait() {
        let pauses: Vec<_> = pauses().map(|pause| pause.as_micros()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000]);
    }
}
