//! A session that sends NOOP now and then, to measure how responsive the server is.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::clock::now;
use crate::error::Error;
use crate::histogram::LatencyHistogram;
use crate::session::ClientSession;

/// Sends NOOP every `interval` until `is_over`, and returns how long the replies took; at least
/// one. The thread that sets `is_over` should unpark this one.
pub(crate) fn watch(
    session: &mut ClientSession,
    interval: Duration,
    is_over: &AtomicBool,
) -> (LatencyHistogram, Option<Error>) {
    let mut waits = LatencyHistogram::new();
    loop {
        let begun = now();
        if let Err(error) = session.succeed("NOOP") {
            return (waits, Some(error));
        }
        waits.add(now().saturating_duration_since(begun));
        thread::park_timeout(interval);
        if is_over.load(Relaxed) {
            return (waits, None);
        }
    }
}
