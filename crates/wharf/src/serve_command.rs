//! `wharf serve`: from options to a running server.
//!
//! [`outputs`] opens the logs; [`run`] binds, serves and stops. [`control`] opens the control
//! socket, whose requests [`admin_backend`] answers; [`reload`] applies a new configuration.

mod admin_backend;
mod bans;
mod binding;
pub(crate) mod capacity;
mod control;
mod counters;
mod gauges;
mod inherited;
mod metrics;
mod outputs;
mod periodic;
mod reload;
mod renewal;
mod resolver;
mod run;
mod startup;
mod sweeping;
mod warner;
mod watch;
mod workers;

use std::path::{Path, PathBuf};

use wharf_config::Loaded;
use wharf_config::chinese;
use wharf_config::gather::{Flag, Inputs};
use wharf_config::outcome::{Exit, Failure, print, print_error};
use wharf_config::raw::Raw;

use crate::cli::GlobalArgs;
use crate::cli::serve::ServeArgs;
use crate::os::{is_successor, only_root_changes};
use crate::setup::{config_file, flags_as_file, inputs, load};
use crate::share::{Share, ShareAccess, confirm_open_share, user_name};

/// Everything that is determined before the first socket is created.
pub(crate) struct ServePlan {
    /// The sources of the configuration, for reloads.
    pub(crate) inputs: Inputs,
    /// The configuration.
    pub(crate) loaded: Loaded,
    /// The configuration file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// The folder to share; `None` serves the configured accounts.
    pub(crate) share: Option<Share>,
    /// The server's own files named on the command line.
    pub(crate) own_files: Vec<PathBuf>,
    /// Whether to use colour.
    pub(crate) is_coloured: bool,
}

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
        flags.extend(Share::flags(options)?);
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
    let share = if is_share { Some(Share::from_options(options)?) } else { None };
    if let Some(share) = &share {
        confirm_open_share(share, options.yes)?;
        reject_generated_password(share)?;
    }
    let own_files = options.password_file.iter().filter(|path| path.is_file()).cloned().collect();
    run::run(&ServePlan { inputs, loaded, file, share, own_files, is_coloured }, options)
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
    let folder = Share::folder(options)?;
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
        ShareAccess::Account { password, .. } if password.is_fresh && outputs::is_service() => {
            Err(Failure::usage("a service cannot display a generated password")
                .hint("set one with --password-file FILE, or add accounts:  wharf user add"))
        }
        _ => Ok(()),
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
