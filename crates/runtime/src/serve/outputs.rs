//! Opens the log outputs: the terminal of the start panel, the log, the transfer log.

use std::path::Path;

use wharf_config::choice::{LogFormat, LogLevel};
use wharf_config::keys;
use wharf_config::outcome::Failure;

use crate::log::audit::Audit;
use crate::log::journal::JournalSocket;
use crate::log::line::LineFormat;
use crate::log::record::Level;
use crate::log::rotation::RotationRules;
use crate::log::target::LogTarget;
use crate::log::{Log, LogFilter, LogOptions, Output};
use crate::os::is_journal;
use crate::sandbox::identity::SystemUser;

/// Whether a service manager started this process and stores its output.
fn is_service() -> bool {
    is_journal()
}

/// The configured filter.
pub(super) fn wanted(config: &keys::Logging) -> LogFilter {
    if !config.enabled {
        return LogFilter::of(Level::Nothing, false, Vec::new());
    }
    let targets = config.filter.0.iter();
    let targets = targets.map(|(target, level)| (target.clone(), level_of(*level))).collect();
    LogFilter::of(level_of(config.level), config.commands, targets)
}

fn level_of(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::Error,
        LogLevel::Warn => Level::Warn,
        LogLevel::Info => Level::Info,
        LogLevel::Debug => Level::Debug,
        LogLevel::Trace => Level::Trace,
    }
}

/// The rotation rules for log files.
fn rotation(config: &keys::Logging) -> RotationRules {
    RotationRules {
        size_max: config.rotate_size.bytes(),
        is_daily: config.rotate_daily,
        files_max: config.rotate_keep.0,
        is_compressed: config.rotate_compress,
    }
}

/// Standard error, or the journal if standard error is connected to journald.
fn standard(style: LineFormat) -> Output {
    let journal = (style == LineFormat::Journal)
        .then(|| JournalSocket::open(Path::new(JournalSocket::PLACE)));
    match journal.flatten() {
        Some(journal) => Output { style: LineFormat::Entry, target: LogTarget::journal(journal) },
        None => Output { style, target: LogTarget::standard_error() },
    }
}

/// Prepares the configured log, with files that `identity` can reopen.
pub(super) fn log(
    config: &keys::Logging,
    has_panel: bool,
    identity: Option<&SystemUser>,
) -> Result<Log, Failure> {
    let filter = wanted(config);
    let style = match config.format {
        LogFormat::Json => LineFormat::Json,
        LogFormat::Auto if is_service() && config.file.0.is_none() => LineFormat::Journal,
        LogFormat::Auto | LogFormat::Text => LineFormat::Text,
    };
    let mut outputs = Vec::new();
    if has_panel {
        outputs.push(Output { style: LineFormat::Panel, target: LogTarget::standard_error() });
    }
    let rules = rotation(config);
    match &config.file.0 {
        Some(path) => outputs.push(Output { style, target: LogTarget::file(path)?.rotated(rules) }),
        None if !has_panel => outputs.push(standard(style)),
        None => {}
    }
    let transfer_log = match &config.transfer_log.0 {
        Some(path) => Some(LogTarget::file(path)?.rotated(rules)),
        None => None,
    };
    let audit_file = config.audit_file.0.as_deref();
    let audit = audit_file.map(|path| Audit::open(path, rules)).transpose()?;
    if let Some(identity) = identity {
        let targets = outputs.iter().map(|output| &output.target).chain(&transfer_log);
        targets.filter_map(LogTarget::as_file).for_each(|file| identity.change_log_owner(file));
        if let Some(audit) = &audit {
            audit.with_target(|target| {
                target.as_file().into_iter().for_each(|file| identity.change_log_owner(file));
            });
        }
    }
    Ok(Log::prepare(LogOptions { outputs, filter, transfer_log, audit }))
}
