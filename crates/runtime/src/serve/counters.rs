//! Counters since the start, and the event sink that counts, logs and delivers events.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use wharf_admin::model::Totals;
use wharf_core::event::{ClientInfo, Direction, Event, Events};

use crate::deliver::{self, Delivery};
use crate::log::Log;

/// Counters since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    connections: AtomicU64,
    rejected: AtomicU64,
    logins: AtomicU64,
    failed_logins: AtomicU64,
    uploads: DirectionCounters,
    downloads: DirectionCounters,
}

/// Counters of one direction.
#[derive(Debug, Default)]
struct DirectionCounters {
    complete: AtomicU64,
    incomplete: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    fn count(&self, event: &Event<'_>) {
        let counter = match event {
            Event::Connected => &self.connections,
            Event::ConnectionRejected { .. } => &self.rejected,
            Event::LoggedIn => &self.logins,
            Event::LoginFailed { .. } => &self.failed_logins,
            // Its bytes were received, but nothing was published.
            Event::UploadCheckRejected { bytes, .. } => {
                self.uploads.bytes.fetch_add(*bytes, Ordering::Relaxed);
                &self.uploads.incomplete
            }
            Event::Transferred(transfer) => {
                let transfers = match transfer.direction {
                    Direction::Upload => &self.uploads,
                    Direction::Download => &self.downloads,
                };
                transfers.bytes.fetch_add(transfer.bytes, Ordering::Relaxed);
                if transfer.is_complete { &transfers.complete } else { &transfers.incomplete }
            }
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// All totals.
    pub(super) fn totals(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (up, down) = (&self.uploads, &self.downloads);
        Totals {
            connections: read(&self.connections),
            rejected_connections: read(&self.rejected),
            logins: read(&self.logins),
            failed_logins: read(&self.failed_logins),
            uploads: read(&up.complete),
            downloads: read(&down.complete),
            failed_transfers: read(&up.incomplete) + read(&down.incomplete),
            uploaded_bytes: read(&up.bytes),
            downloaded_bytes: read(&down.bytes),
        }
    }

    /// Incomplete uploads and downloads.
    pub(super) fn incomplete(&self) -> [u64; 2] {
        [&self.uploads.incomplete, &self.downloads.incomplete]
            .map(|incomplete| incomplete.load(Ordering::Relaxed))
    }
}

/// All receivers of events.
pub(super) struct EventSinks {
    log: Arc<Log>,
    counters: Arc<Counters>,
    /// Hooks and webhooks, once they are started.
    delivery: OnceLock<Delivery>,
}

impl EventSinks {
    pub(super) fn new(log: Arc<Log>, counters: Arc<Counters>) -> Self {
        Self { log, counters, delivery: OnceLock::new() }
    }

    /// Enables delivery to hooks and webhooks.
    pub(super) fn add(&self, delivery: Delivery) {
        let _ = self.delivery.set(delivery);
    }

    /// Delivers queued events for a limited time, then stops.
    pub(super) fn close(&self) {
        if let Some(delivery) = self.delivery.get() {
            delivery.close();
        }
    }

    /// Delivery counters, if hooks or webhooks are configured.
    pub(super) fn delivery(&self) -> Option<deliver::DeliveryCounts> {
        self.delivery.get().map(Delivery::counts)
    }
}

impl Events for EventSinks {
    fn emit(&self, client: &ClientInfo, event: &Event<'_>) {
        self.counters.count(event);
        self.log.emit(client, event);
        if let Some(delivery) = self.delivery.get() {
            delivery.emit(client, event);
        }
    }

    fn wants_commands(&self) -> bool {
        self.log.wants_commands()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wharf_core::event::Transferred;
    use wharf_proto::path::VPath;

    use super::*;

    #[test]
    fn each_event_updates_its_counter() {
        let counters = Counters::default();
        let path = VPath::root();
        let moved = |direction, bytes, is_complete| Transferred {
            direction,
            path: &path,
            bytes,
            took: Duration::ZERO,
            is_complete,
            is_ascii: false,
            is_tls: false,
            reason: "",
            note: "",
        };
        counters.count(&Event::Connected);
        counters.count(&Event::LoginFailed { user: "anna", reason: "" });
        counters.count(&Event::Transferred(&moved(Direction::Upload, 7, true)));
        counters.count(&Event::Transferred(&moved(Direction::Upload, 5, false)));
        counters.count(&Event::Transferred(&moved(Direction::Download, 11, true)));
        counters.count(&Event::UploadCheckRejected {
            path: &path,
            bytes: 3,
            reason: "a virus",
            id: None,
        });
        let expected = Totals {
            connections: 1,
            failed_logins: 1,
            uploads: 1,
            downloads: 1,
            failed_transfers: 2,
            uploaded_bytes: 15,
            downloaded_bytes: 11,
            ..Totals::default()
        };
        assert_eq!(counters.totals(), expected);
        assert_eq!(counters.incomplete(), [2, 0]);
    }
}
