//! Where lines go: the start panel's terminal, the log, the transfer log.

use std::io::IsTerminal;

use crate::cli::serve::Serve;
use crate::config::choice::{LogFormat, LogLevel};
use crate::config::keys;
use crate::log::line::Style;
use crate::log::record::Level;
use crate::log::writer::Target;
use crate::log::{Log, Options, Output};
use crate::os::is_journal;
use crate::outcome::Failure;

/// Whether a service manager started us and keeps what we write.
pub(super) fn is_service() -> bool {
    is_journal()
}

/// Whether somebody sits in front of it who would rather see the panel than lines.
pub(super) fn has_panel(options: &Serve) -> bool {
    !options.foreground_log
        && !options.quiet
        && !is_service()
        && std::io::stdout().is_terminal()
        && std::io::stderr().is_terminal()
}

/// Starts the log as the configuration wants it.
pub(super) fn log(config: &keys::Logging, has_panel: bool) -> Result<Log, Failure> {
    let level_max = match config.level {
        _ if !config.enabled => Level::Nothing,
        LogLevel::Error => Level::Error,
        LogLevel::Warn => Level::Warn,
        LogLevel::Info => Level::Info,
    };
    let style = match config.format {
        LogFormat::Json => Style::Json,
        LogFormat::Auto if is_service() && config.file.0.is_none() => Style::Journal,
        LogFormat::Auto | LogFormat::Text => Style::Text,
    };
    let mut outputs = Vec::new();
    if has_panel {
        outputs.push(Output { style: Style::Panel, target: Target::StandardError });
    }
    match &config.file.0 {
        Some(path) => outputs.push(Output { style, target: Target::file(path)? }),
        None if !has_panel => outputs.push(Output { style, target: Target::StandardError }),
        None => {}
    }
    let transfer_log = match &config.transfer_log.0 {
        Some(path) => Some(Target::file(path)?),
        None => None,
    };
    Log::start(Options { outputs, level_max, has_commands: config.commands, transfer_log })
}
