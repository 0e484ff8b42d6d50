//! `wharf serve`: from options to the plan of a server, and its start panel.

mod quick_share;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use wharf_config::chinese;
use wharf_config::gather::Flag;
use wharf_config::outcome::{Exit, Failure, print, print_error};
use wharf_config::raw::Raw;
use wharf_config::standard_paths;
use wharf_runtime::accounts;
use wharf_runtime::os::{is_journal, is_successor, only_root_changes};
use wharf_runtime::serve::{ReadyServer, ServePlan, run};
use wharf_runtime::share::{Share, ShareAccess};

use crate::cli::GlobalArgs;
use crate::cli::serve::ServeArgs;
use crate::panel::words::Words;
use crate::panel::{Panel, PanelEncryption, ServedContent};
use crate::setup::{config_file, flags_as_file, inputs, load};
use quick_share::{confirm_open_share, folder, user_name};

/// Serves until the server is stopped. Errors of a share are in the language of its start panel.
pub(crate) fn serve(global: &GlobalArgs, options: &ServeArgs) -> Result<Exit, Failure> {
    let file = if options.no_config { None } else { config_file(global) };
    let is_share = file.is_none() || options.is_share();
    let is_chinese = is_share && !is_successor() && chinese::is_session_chinese();
    if is_chinese {
        chinese::activate();
    }
    let served = serve_from(global, options, file, is_share);
    match served {
        Err(failure) if is_chinese => Err(chinese::report(&failure, global.color.is_on())),
        served => served,
    }
}

fn serve_from(
    global: &GlobalArgs,
    options: &ServeArgs,
    file: Option<PathBuf>,
    is_share: bool,
) -> Result<Exit, Failure> {
    let mut flags = options.flags();
    if is_share {
        flags.extend(quick_share::flags(options)?);
    }
    if is_share && !options.anonymous && file.is_some() {
        // The anonymous user of the configuration file does not apply to a share.
        flags.push(Flag {
            shown: "-d, -w or -u".into(),
            path: "login.anonymous".into(),
            raw: Raw::Boolean(false),
        });
    }
    let is_coloured = global.color.is_on();
    if let Some(file) = &file {
        reject_untrusted_config(file)?;
    }
    let inputs = inputs(global, file.clone(), flags);
    let loaded = load(&inputs, is_coloured)?;
    if options.print_config {
        print(&account_as_comment(options, is_share)?)?;
        print(&flags_as_file(&loaded.layers))?;
        return Ok(Exit::Done);
    }
    let share = if is_share { Some(quick_share::share_of(options)?) } else { None };
    if let Some(share) = &share {
        confirm_open_share(share, options.yes)?;
        reject_generated_password(share)?;
    }
    let own_files = options.password_file.iter().filter(|path| path.is_file()).cloned().collect();
    let has_panel = has_panel(options);
    // While the terminal can still be opened.
    let width = if has_panel { terminal_width() } else { 0 };
    run(&ServePlan {
        inputs,
        loaded,
        file,
        share,
        own_files,
        stop_after: options.stop_after,
        has_panel,
        on_ready: Box::new(move |plan, server| show(plan, server, width)),
        is_coloured,
    })
}

/// A successor is started on request of the old server, which has dropped its privileges; with a
/// configuration file that it could have changed it would regain them.
fn reject_untrusted_config(file: &Path) -> Result<(), Failure> {
    if is_successor() {
        only_root_changes(file).map_err(|error| {
            Failure::io(format!("cannot use the configuration file {}", file.display()), &error)
                .hint("make it and the folders above it writable by root only, or restart wharf")
        })?;
    }
    Ok(())
}

/// Accounts are in a separate file, so a comment in the config shows how to add this one.
fn account_as_comment(options: &ServeArgs, is_share: bool) -> Result<String, Failure> {
    if !is_share || options.anonymous {
        return Ok(String::new());
    }
    let folder = folder(options)?;
    let user = user_name(options)?;
    let permissions = if options.write { "read-write" } else { "read" };
    let home = format!("'{}'", folder.to_string_lossy().replace('\'', "'\\''"));
    Ok(format!(
        "# Accounts are not part of this file. To add this account:\n\
         #   wharf user add {user} --home {home} --permissions {permissions}\n\n"
    ))
}

/// A generated password cannot be shown by a service, and must not be logged.
fn reject_generated_password(share: &Share) -> Result<(), Failure> {
    match &share.access {
        ShareAccess::Account { password, .. } if password.is_fresh && is_journal() => {
            Err(Failure::usage("a service cannot display a generated password")
                .hint("set one with --password-file FILE, or add accounts:  wharf user add"))
        }
        _ => Ok(()),
    }
}

/// Prints the start panel, or without one a generated password.
fn show(plan: &ServePlan, server: &ReadyServer, width: usize) {
    if plan.has_panel {
        print_error(&panel(plan, server).text(width));
    } else if let Some(share) = &plan.share {
        print_generated_password(share);
    }
}

fn panel(plan: &ServePlan, server: &ReadyServer) -> Panel {
    let config = &plan.loaded.config;
    let content = match &plan.share {
        Some(share) => ServedContent::Share(share.clone()),
        None => ServedContent::Accounts {
            store: accounts::shown(config),
            accounts: server.accounts,
            anonymous: config.login.anonymous_home.0.clone().filter(|_| config.login.anonymous),
        },
    };
    let absolute = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_| file.clone());
    Panel {
        words: Words::of_locale(&standard_paths::language()),
        config: plan.file.as_ref().map(absolute),
        content,
        listeners: server.listeners.clone(),
        own_addresses: server.own_addresses.clone(),
        encryption: server.certificate.map(|certificate| PanelEncryption {
            fingerprint: certificate.fingerprint,
            is_self_signed: certificate.is_self_signed,
            require: config.tls.require,
        }),
        ports: config.passive.ports.0.clone(),
        upload: config.limits.upload_rate,
        download: config.limits.download_rate,
        stop_after: plan.stop_after,
    }
}

/// Prints a generated password if there is no start panel.
fn print_generated_password(share: &Share) {
    if let ShareAccess::Account { user, password, .. } = &share.access
        && password.is_fresh
    {
        print_error(&format!("note: log in as {user} with the password {}\n", password.text));
    }
}

/// Whether it runs in a terminal, so that the start panel is shown instead of log lines.
fn has_panel(options: &ServeArgs) -> bool {
    !options.foreground_log
        && !options.quiet
        && !is_journal()
        && std::io::stdout().is_terminal()
        && std::io::stderr().is_terminal()
}

/// Columns of the terminal.
fn terminal_width() -> usize {
    let size = ratatui::crossterm::terminal::size();
    let columns = size.map_or(0, |(columns, _)| usize::from(columns));
    if columns == 0 { WIDTH_USUAL } else { columns }
}

/// Columns of a terminal that does not report them.
const WIDTH_USUAL: usize = 80;
