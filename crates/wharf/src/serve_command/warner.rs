//! What somebody should look at: told once at the start, and kept for `wharf status`.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::accounts::FolderUse;
use crate::log::Log;
use crate::log::record::{Level, Record};
use crate::outcome::tell;
use crate::protection::identity::{current_name, is_root};
use crate::protection::{ProtectionStatus, Report, rights};

/// Warnings that are kept; a thousand missing homes say no more than a hundred.
const KEPT_MAX: usize = 100;

/// Tells warnings, and keeps them.
pub(super) struct Warner {
    log: Arc<Log>,
    has_panel: bool,
    told: Mutex<Vec<WarningEntry>>,
}

/// A warning, and whether it holds until the end.
struct WarningEntry {
    text: String,
    is_lasting: bool,
}

impl Warner {
    pub(super) fn new(log: Arc<Log>, has_panel: bool) -> Self {
        Self { log, has_panel, told: Mutex::default() }
    }

    /// What was told.
    pub(super) fn told(&self) -> Vec<String> {
        self.kept().iter().map(|told| told.text.clone()).collect()
    }

    /// Forgets what the configuration was the reason for: it is another now.
    pub(super) fn forget(&self) {
        self.kept().retain(|told| told.is_lasting);
    }

    /// Forgets what is no longer so.
    pub(super) fn forget_those(&self, is_over: impl Fn(&str) -> bool) {
        self.kept().retain(|told| !is_over(&told.text));
    }

    /// Tells a warning, and keeps it until the configuration changes.
    pub(super) fn warn(&self, text: &str) {
        self.tell(text, false);
    }

    /// Tells a warning, and keeps it until the end.
    pub(super) fn warn_for_good(&self, text: &str) {
        self.tell(text, true);
    }

    /// Takes a warning back: what it told is over.
    pub(super) fn withdraw(&self, text: &str) {
        self.kept().retain(|told| told.text != text);
    }

    fn tell(&self, text: &str, is_lasting: bool) {
        if self.has_panel {
            tell(&format!("warning: {text}\n"));
        } else {
            self.log.note(&Record::new(Level::Warn, "warning").text("reason", text));
        }
        let mut kept = self.kept();
        if kept.len() < KEPT_MAX {
            kept.push(WarningEntry { text: text.to_owned(), is_lasting });
        }
    }

    /// Tells of homes and folders that are missing, and of those that anybody on this computer may
    /// replace.
    pub(super) fn of_homes(&self, homes: &[(FolderUse, PathBuf)]) {
        for (used, home) in homes {
            let lost = used.lost();
            match std::fs::read_dir(home) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let (home, user) = (home.display(), current_name());
                    self.warn(&format!("{lost}: {user} may not open the folder {home}"));
                }
                Err(_) => {
                    let home = home.display();
                    self.warn(&format!("{lost}: there is no folder {home}"));
                }
            }
            for finding in rights::of_home(home).iter().filter(|finding| finding.is_grave()) {
                self.warn(&finding.told());
            }
        }
    }

    /// Tells that nobody can log in.
    pub(super) fn of_nobody(&self) {
        self.warn("there is no account yet; make one with:  wharf user add NAME --home DIR");
    }

    /// One line for who this is and what holds, and another if this is root.
    pub(super) fn of_protection(&self, report: &Report) {
        if is_root() {
            let confined = match &report.files {
                ProtectionStatus::On(_) => "confined to the files it serves".to_owned(),
                ProtectionStatus::Off(why) => format!("and is not confined: {why}"),
            };
            self.warn_for_good(&format!(
                "wharf runs as root, {confined}; server.user gives it an account with fewer rights"
            ));
        }
        let record = Record::new(Level::Info, "protection").text("user", current_name());
        let parts = report.parts().into_iter();
        self.log.note(&parts.fold(record, |record, (name, part)| record.text(name, part.told())));
    }

    fn kept(&self) -> MutexGuard<'_, Vec<WarningEntry>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
