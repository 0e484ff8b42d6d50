//! Removes abandoned partial uploads after a start.

use std::path::PathBuf;
use std::sync::Arc;

use wharf_config::outcome::plain;
use wharf_storage::{DiskOptions, Quotas, SweepReport, sweep};

use crate::accounts::FolderUse;
use crate::log::Log;
use crate::log::record::{Level, LogRecord};

/// Removes abandoned partial uploads in the background: a large disk takes minutes. Logs one
/// summary line, if any were removed.
pub(super) fn sweep_homes(
    homes: Vec<(FolderUse, PathBuf)>,
    options: DiskOptions,
    quotas: Option<Quotas>,
    log: Arc<Log>,
) {
    let mut folders: Vec<_> = homes.into_iter().map(|(_, home)| home).collect();
    folders.sort();
    folders.dedup();
    let swept = move || {
        let mut all = SweepReport::default();
        let count = folders.len();
        for folder in folders {
            let swept = match &quotas {
                Some(quotas) => quotas.sweep(&folder, &options),
                None => sweep(&folder, &options),
            };
            match swept {
                Ok(swept) => all += swept,
                Err(error) => log.note(
                    &LogRecord::new(Level::Warn, "partial-upload-cleanup-failed")
                        .text("folder", folder.display().to_string())
                        .text("reason", plain(&error)),
                ),
            }
        }
        if all != SweepReport::default() {
            log.note(
                &LogRecord::new(Level::Info, "partial-uploads-expired")
                    .number("folders", u64::try_from(count).unwrap_or(u64::MAX))
                    .number("removed", all.removed)
                    .number("bytes", all.bytes)
                    .number("retained", all.retained)
                    .number("skipped", all.skipped),
            );
        }
    };
    // Without a thread nothing is removed; the next start tries again.
    let _ = std::thread::Builder::new().name("sweep".into()).spawn(swept);
}
