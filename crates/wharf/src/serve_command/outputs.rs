//! Where lines go: the start panel's terminal, the log, the transfer log.

use std::io::IsTerminal;

use crate::cli::serve::Serve;
use crate::config::choice::{LogFormat, LogLevel};
use crate::config::keys;
use crate::log::audit::Audit;
use crate::log::line::Style;
use crate::log::record::Level;
use crate::log::target::Target;
use crate::log::{Log, Options, Output, Wanted};
use crate::os::is_journal;
use crate::outcome::Failure;
use crate::protection::identity::Identity;

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

/// Which lines the configuration wants.
pub(super) fn wanted(config: &keys::Logging) -> Wanted {
    let level_max = match config.level {
        _ if !config.enabled => Level::Nothing,
        LogLevel::Error => Level::Error,
        LogLevel::Warn => Level::Warn,
        LogLevel::Info => Level::Info,
    };
    Wanted { level_max, has_commands: config.commands }
}

/// Makes the log ready as the configuration wants it, with files that `identity` can open again.
pub(super) fn log(
    config: &keys::Logging,
    has_panel: bool,
    identity: Option<&Identity>,
) -> Result<Log, Failure> {
    let Wanted { level_max, has_commands } = wanted(config);
    let style = match config.format {
        LogFormat::Json => Style::Json,
        LogFormat::Auto if is_service() && config.file.0.is_none() => Style::Journal,
        LogFormat::Auto | LogFormat::Text => Style::Text,
    };
    let mut outputs = Vec::new();
    if has_panel {
        outputs.push(Output { style: Style::Panel, target: Target::standard_error() });
    }
    match &config.file.0 {
        Some(path) => outputs.push(Output { style, target: Target::file(path)? }),
        None if !has_panel => outputs.push(Output { style, target: Target::standard_error() }),
        None => {}
    }
    let transfer_log = match &config.transfer_log.0 {
        Some(path) => Some(Target::file(path)?),
        None => None,
    };
    let audit = config.audit_file.0.as_deref().map(Audit::open).transpose()?;
    if let Some(identity) = identity {
        let targets = outputs.iter().map(|output| &output.target).chain(&transfer_log);
        targets.filter_map(Target::as_file).for_each(|file| identity.give_log(file));
        if let Some(audit) = &audit {
            audit.with_target(|target| {
                target.as_file().into_iter().for_each(|file| identity.give_log(file));
            });
        }
    }
    Ok(Log::prepare(Options { outputs, level_max, has_commands, transfer_log, audit }))
}
