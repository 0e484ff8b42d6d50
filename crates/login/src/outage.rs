//! A source that is down is told once, and once more when it is back.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is told and not fetched yet; more than a few means that nobody fetches.
const NOTICES_MAX: usize = 64;

/// Something that an operator should know of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It gives no verdicts any more.
    Down {
        /// Its name.
        source: &'static str,
        /// Why.
        reason: String,
    },
    /// It gives verdicts again.
    Back {
        /// Its name.
        source: &'static str,
    },
}

/// Which sources are down.
#[derive(Debug, Default)]
pub struct Outages {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    down: Vec<&'static str>,
    notices: VecDeque<Notice>,
}

impl Outages {
    /// The source gave no verdict.
    pub fn failed(&self, source: &'static str, reason: &str) {
        let mut state = self.state();
        if !state.down.contains(&source) {
            state.down.push(source);
            state.tell(Notice::Down { source, reason: reason.to_owned() });
        }
    }

    /// The source gave one.
    pub fn answered(&self, source: &'static str) {
        let mut state = self.state();
        if state.down.contains(&source) {
            state.down.retain(|known| *known != source);
            state.tell(Notice::Back { source });
        }
    }

    /// What has not been told yet, the oldest first.
    pub fn take(&self) -> Vec<Notice> {
        self.state().notices.drain(..).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can fall halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self, notice: Notice) {
        if self.notices.len() == NOTICES_MAX {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_and_so_is_its_end() {
        let outages = Outages::default();
        outages.answered("ldap");
        assert_eq!(outages.take(), []);
        outages.failed("ldap", "first");
        outages.failed("ldap", "second");
        outages.failed("pam", "other");
        let down = |source, reason: &str| Notice::Down { source, reason: reason.into() };
        assert_eq!(outages.take(), [down("ldap", "first"), down("pam", "other")]);
        outages.answered("ldap");
        outages.answered("ldap");
        assert_eq!(outages.take(), [Notice::Back { source: "ldap" }]);
        outages.failed("ldap", "third");
        assert_eq!(outages.take(), [down("ldap", "third")]);
    }

    #[test]
    fn notices_that_nobody_fetches_do_not_pile_up() {
        let outages = Outages::default();
        for _ in 0..NOTICES_MAX {
            outages.failed("ldap", "again");
            outages.answered("ldap");
        }
        let notices = outages.take();
        assert_eq!(notices.len(), NOTICES_MAX);
        assert_eq!(notices.last(), Some(&Notice::Back { source: "ldap" }));
    }
}
