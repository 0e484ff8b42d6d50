//! The audit log: what somebody may have to answer for, one JSON line each.
//!
//! Unlike the other logs nothing waits in a queue. The line is with the operating system before
//! the act's reply goes out, so no crash of the server and no flood of lines loses it. It is not
//! synced: after a power failure the last lines may be missing. Only plain files are taken, since
//! a pipe whose reader sleeps would stop every session.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::catalog::kind;
use super::rotation::RotationRules;
use super::target::Target;
use crate::outcome::{Exit, Failure, plain};

/// The file, and what was lost.
#[derive(Debug)]
pub(crate) struct Audit {
    state: Mutex<AuditState>,
}

#[derive(Debug)]
struct AuditState {
    target: Target,
    lost: u64,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// It is written.
    Whole,
    /// It is written, and before it so many lines were lost.
    After(u64),
    /// It is lost, the first in a row.
    Lost,
    /// It is lost like those before it.
    LostToo,
}

impl Audit {
    /// At the end of this file, which is put aside as `rules` say.
    ///
    /// # Errors
    /// It cannot be opened, or is no plain file.
    pub(crate) fn open(path: &Path, rules: RotationRules) -> Result<Self, Failure> {
        let shown = path.display();
        if std::fs::metadata(path).is_ok_and(|facts| !facts.is_file()) {
            let message = format!("log.audit_file {shown} is no plain file");
            return Err(Failure { exit: Exit::ConfigInvalid, ..Failure::new(message) }
                .help("each of its lines is waited for: it must not be a pipe or a device"));
        }
        let target = Target::private_file(path)
            .map_err(|error| Failure::io(format!("cannot open the audit log {shown}"), &error))?;
        Ok(Self::at(target.rotated(rules)))
    }

    /// In this place.
    pub(crate) fn at(target: Target) -> Self {
        Self { state: Mutex::new(AuditState { target, lost: 0 }) }
    }

    /// The file, with `act` done to it.
    pub(crate) fn with_target(&self, act: impl FnOnce(&mut Target)) {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).target);
    }

    /// Writes a line, now.
    pub(crate) fn write(&self, line: &str) -> WriteOutcome {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.lost;
        if state.target.write_lines(line.as_bytes()) > 0 {
            state.lost += 1;
            return if before == 0 { WriteOutcome::Lost } else { WriteOutcome::LostToo };
        }
        state.lost = 0;
        if before == 0 { WriteOutcome::Whole } else { WriteOutcome::After(before) }
    }

    /// Why the file could not be put aside; told once.
    pub(crate) fn take_problem(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).target.take_problem()
    }

    /// Opens the file anew.
    ///
    /// # Errors
    /// Why not; the old one goes on.
    pub(crate) fn reopen(&self) -> Result<(), String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.target.reopen().map_err(|error| plain(&error))
    }
}

/// Whether an event goes there: who came in or did not, what was moved, removed, renamed or given
/// other rights, what was changed about accounts and the server itself.
pub(crate) fn is_audited(event: &str) -> bool {
    kind(event).is_some_and(|kind| kind.is_audited)
        || matches!(
            event,
            "control"
                | "accounts-read"
                | "accounts-unusable"
                | "protection"
                | "ready"
                | "reloaded"
                | "reload-refused"
                | "stopping"
                | "stopped"
        )
}

#[cfg(test)]
mod bans_tests {
    use super::*;

    #[test]
    fn row_43_bans_are_audited_as_they_are_called() {
        for event in ["ban-added", "ban-removed", "login", "delete"] {
            assert!(is_audited(event), "{event}");
        }
        assert!(!is_audited("connected") && !is_audited("command"));
    }
}
