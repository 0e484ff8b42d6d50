//! Warnings for the administrator: reported once, and kept for `wharf status`.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use wharf_config::chinese;
use wharf_config::hint::with_config;
use wharf_config::outcome::print_error;
use wharf_core::lock;

use crate::accounts::FolderUse;
use crate::log::Log;
use crate::log::record::{Level, LogRecord};
use crate::sandbox::identity::{current_name, is_root};
use crate::sandbox::{SandboxReport, SandboxStatus, permissions};

/// Maximum number of warnings kept.
const ENTRIES_MAX: usize = 100;

/// Reports warnings, and keeps them.
pub(super) struct Warner {
    log: Arc<Log>,
    has_panel: bool,
    warnings: Mutex<Vec<WarningEntry>>,
}

/// A warning, and whether it stays until the end.
struct WarningEntry {
    text: String,
    is_lasting: bool,
}

impl Warner {
    pub(super) fn new(log: Arc<Log>, has_panel: bool) -> Self {
        Self { log, has_panel, warnings: Mutex::default() }
    }

    /// The active warnings.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.entries().iter().map(|entry| entry.text.clone()).collect()
    }

    /// Removes the warnings about the previous configuration.
    pub(super) fn forget(&self) {
        self.entries().retain(|entry| entry.is_lasting);
    }

    /// Removes warnings that no longer apply.
    pub(super) fn remove_if(&self, is_over: impl Fn(&str) -> bool) {
        self.entries().retain(|entry| !is_over(&entry.text));
    }

    /// Reports a warning, and keeps it until the configuration changes.
    pub(super) fn warn(&self, text: &str) {
        self.report(text, false);
    }

    /// Reports a warning, and keeps it until the end.
    pub(super) fn warn_for_good(&self, text: &str) {
        self.report(text, true);
    }

    /// Removes a warning that no longer applies.
    pub(super) fn withdraw(&self, text: &str) {
        self.entries().retain(|entry| entry.text != text);
    }

    fn report(&self, text: &str, is_lasting: bool) {
        if self.has_panel {
            print_error(&with_config(&if chinese::is_session_chinese() {
                format!("{}：{}\n", chinese::label("warning"), chinese::message(text))
            } else {
                format!("warning: {text}\n")
            }));
        } else {
            self.log
                .note(&LogRecord::new(Level::Warn, "warning").text("reason", with_config(text)));
        }
        let mut entries = self.entries();
        if entries.len() < ENTRIES_MAX {
            entries.push(WarningEntry { text: text.to_owned(), is_lasting });
        }
    }

    /// Warns about missing homes and folders, and about those that any user of this computer may
    /// replace.
    pub(super) fn of_homes(&self, homes: &[(FolderUse, PathBuf)]) {
        for (used, home) in homes {
            let lost = used.lost();
            match std::fs::read_dir(home) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let (home, user) = (home.display(), current_name());
                    self.warn(&format!("{lost}: {user} cannot open the folder {home}"));
                }
                Err(_) => {
                    let home = home.display();
                    self.warn(&format!("{lost}: folder not found: {home}"));
                }
            }
            for finding in permissions::of_home(home).iter().filter(|finding| finding.is_warning())
            {
                self.warn(&finding.described());
            }
        }
    }

    /// Warns that there are no accounts.
    pub(super) fn no_accounts(&self) {
        self.warn("no accounts exist; add one:  wharf user add NAME --home DIR");
    }

    /// Logs the user and the sandbox status, and warns if it is root.
    pub(super) fn of_sandbox(&self, report: &SandboxReport) {
        if is_root() {
            let confined = match &report.files {
                SandboxStatus::On(_) => "restricted to the served files".to_owned(),
                SandboxStatus::Off(why) => format!("without sandbox: {why}"),
            };
            self.warn_for_good(&format!(
                "wharf runs as root, {confined}; set server.user to an unprivileged user"
            ));
        }
        let record = LogRecord::new(Level::Info, "sandbox").text("user", current_name());
        let parts = report.parts().into_iter();
        self.log
            .note(&parts.fold(record, |record, (name, part)| record.text(name, part.described())));
    }

    fn entries(&self) -> MutexGuard<'_, Vec<WarningEntry>> {
        lock(&self.warnings)
    }
}
