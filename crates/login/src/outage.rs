//! Reports once that a backend is unavailable, and once that it is available again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use wharf_core::lock;

/// The most events that are queued until the next call of `take`.
const EVENTS_MAX: usize = 64;

/// A change in the availability of a backend, for the administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutageEvent {
    /// It is unavailable.
    Down {
        /// Its name.
        source: &'static str,
        /// Why.
        reason: String,
    },
    /// It is available again.
    Back {
        /// Its name.
        source: &'static str,
    },
}

/// Which sources are down.
#[derive(Debug, Default)]
pub struct Outages {
    state: Mutex<OutageState>,
}

#[derive(Debug, Default)]
struct OutageState {
    down: Vec<&'static str>,
    events: VecDeque<OutageEvent>,
}

impl Outages {
    /// The source gave no verdict.
    pub fn failed(&self, source: &'static str, reason: &str) {
        let mut state = self.state();
        if !state.down.contains(&source) {
            state.down.push(source);
            state.push(OutageEvent::Down { source, reason: reason.to_owned() });
        }
    }

    /// The source gave one.
    pub fn answered(&self, source: &'static str) {
        let mut state = self.state();
        if state.down.contains(&source) {
            state.down.retain(|known| *known != source);
            state.push(OutageEvent::Back { source });
        }
    }

    /// The queued events, oldest first.
    pub fn take(&self) -> Vec<OutageEvent> {
        self.state().events.drain(..).collect()
    }

    fn state(&self) -> MutexGuard<'_, OutageState> {
        // No code under this lock panics halfway.
        lock(&self.state)
    }
}

impl OutageState {
    fn push(&mut self, event: OutageEvent) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_reported_once_and_so_is_its_end() {
        let outages = Outages::default();
        outages.answered("ldap");
        assert_eq!(outages.take(), []);
        outages.failed("ldap", "first");
        outages.failed("ldap", "second");
        outages.failed("pam", "other");
        let down = |source, reason: &str| OutageEvent::Down { source, reason: reason.into() };
        assert_eq!(outages.take(), [down("ldap", "first"), down("pam", "other")]);
        outages.answered("ldap");
        outages.answered("ldap");
        assert_eq!(outages.take(), [OutageEvent::Back { source: "ldap" }]);
        outages.failed("ldap", "third");
        assert_eq!(outages.take(), [down("ldap", "third")]);
    }

    #[test]
    fn the_number_of_queued_events_is_bounded() {
        let outages = Outages::default();
        for _ in 0..EVENTS_MAX {
            outages.failed("ldap", "again");
            outages.answered("ldap");
        }
        let events = outages.take();
        assert_eq!(events.len(), EVENTS_MAX);
        assert_eq!(events.last(), Some(&OutageEvent::Back { source: "ldap" }));
    }
}
