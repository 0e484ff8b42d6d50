//! The audit log: security-relevant events, one JSON object per line.
//!
//! Unlike other logs it has no queue. A line is passed to the operating system before the reply to
//! the command is sent, so neither a crash of the server nor a flood of lines loses it. It is not
//! synced: after a power failure the last lines may be missing. Only regular files are accepted,
//! since a pipe with a slow reader would block every session.

use std::path::Path;
use std::sync::Mutex;

use wharf_config::outcome::{Exit, Failure, plain};
use wharf_core::event::catalog::kind;
use wharf_core::lock;

use super::rotation::RotationRules;
use super::target::{LogTarget, cannot_open};

/// The file, and the number of lost lines.
#[derive(Debug)]
pub(crate) struct Audit {
    state: Mutex<AuditState>,
}

#[derive(Debug)]
struct AuditState {
    target: LogTarget,
    lost: u64,
}

/// The result of writing a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// Written.
    Whole,
    /// Written, after this number of lost lines.
    After(u64),
    /// Lost, the first in a row.
    Lost,
    /// Lost, like the previous lines.
    LostToo,
}

impl Audit {
    /// Appends to this file, which is rotated by `rules`.
    ///
    /// # Errors
    /// It cannot be opened, or is not a regular file.
    pub(crate) fn open(path: &Path, rules: RotationRules) -> Result<Self, Failure> {
        let shown = path.display();
        if std::fs::metadata(path).is_ok_and(|facts| !facts.is_file()) {
            let message = format!("invalid log.audit_file {shown}: not a regular file");
            return Err(Failure { exit: Exit::ConfigInvalid, ..Failure::new(message) }
                .hint("the audit log is written synchronously and cannot be a pipe or a device"));
        }
        let target = LogTarget::private_file(path)
            .map_err(|error| cannot_open("audit log", path, &error))?;
        Ok(Self::at(target.rotated(rules)))
    }

    /// Writes to this target.
    pub(crate) fn at(target: LogTarget) -> Self {
        Self { state: Mutex::new(AuditState { target, lost: 0 }) }
    }

    /// Calls `act` with the file.
    pub(crate) fn with_target(&self, act: impl FnOnce(&mut LogTarget)) {
        act(&mut lock(&self.state).target);
    }

    /// Writes a line synchronously.
    pub(crate) fn write(&self, line: &str) -> WriteOutcome {
        let mut state = lock(&self.state);
        let before = state.lost;
        if state.target.write_lines(line.as_bytes()) > 0 {
            state.lost += 1;
            return if before == 0 { WriteOutcome::Lost } else { WriteOutcome::LostToo };
        }
        state.lost = 0;
        if before == 0 { WriteOutcome::Whole } else { WriteOutcome::After(before) }
    }

    /// Why the file could not be rotated; returned once.
    pub(crate) fn take_problem(&self) -> Option<String> {
        lock(&self.state).target.take_problem()
    }

    /// Reopens the file.
    ///
    /// # Errors
    /// It cannot be opened; the old file is kept.
    pub(crate) fn reopen(&self) -> Result<(), String> {
        let mut state = lock(&self.state);
        state.target.reopen().map_err(|error| plain(&error))
    }
}

/// Whether an event is audited: connections and logins, transfers, changes of files, and changes of
/// accounts and of the server.
pub(crate) fn is_audited(event: &str) -> bool {
    kind(event).is_some_and(|kind| kind.is_audited)
        || matches!(
            event,
            "control"
                | "accounts-reloaded"
                | "accounts-reload-failed"
                | "ready"
                | "reloaded"
                | "reload-failed"
                | "sandbox"
                | "stopping"
                | "stopped"
        )
}

#[cfg(test)]
mod bans_tests {
    use super::*;

    #[test]
    fn row_43_ban_events_are_audited() {
        for event in ["ban-added", "ban-removed", "login", "delete"] {
            assert!(is_audited(event), "{event}");
        }
        assert!(!is_audited("connected") && !is_audited("command"));
    }
}
