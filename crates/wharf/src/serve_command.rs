//! `wharf serve`: from options to a running server.
//!
//! [`outputs`] says where lines go; [`run`] binds, serves and stops. [`control`] opens the socket
//! at which [`operator`] answers; [`reload`] puts another configuration in force.

mod bans;
mod binding;
pub(crate) mod capacity;
mod control;
mod counters;
mod gauges;
mod inherited;
mod metrics;
mod operator;
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

use crate::cli::Global;
use crate::cli::serve::Serve;
use crate::config::Loaded;
use crate::config::gather::{Flag, Inputs};
use crate::config::raw::Raw;
use crate::os::{is_successor, only_root_changes};
use crate::outcome::{Exit, Failure, print, tell};
use crate::setup::{config_file, flags_as_file, inputs, load};
use crate::share::{Access, Share, confirm_open_share};

/// Everything that is settled before the first socket is made.
pub(crate) struct Plan {
    /// Where the configuration comes from, to be read anew.
    pub(crate) inputs: Inputs,
    /// The configuration.
    pub(crate) loaded: Loaded,
    /// Its file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// The folder to share; none: the accounts of the configuration.
    pub(crate) share: Option<Share>,
    /// Files of wharf's own that the command line names.
    pub(crate) own_files: Vec<PathBuf>,
    /// Whether to use colour.
    pub(crate) is_coloured: bool,
}

/// Serves until somebody stops it.
pub(crate) fn serve(global: &Global, options: &Serve) -> Result<Exit, Failure> {
    let file = if options.no_config { None } else { config_file(global) };
    let is_share = file.is_none() || options.is_share();
    let mut flags = options.flags();
    if is_share {
        flags.extend(Share::flags(options)?);
    }
    if is_share && !options.anonymous && file.is_some() {
        // The file's anonymous visitor is none of this share's business.
        flags.push(Flag {
            shown: "-d, -w or -u".into(),
            path: "login.anonymous".into(),
            raw: Raw::Boolean(false),
        });
    }
    let is_coloured = global.color.is_on();
    if let Some(file) = &file {
        refuse_foreign_orders(file)?;
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
        refuse_fresh_password_of_a_service(share)?;
    }
    let own_files = options.password_file.iter().filter(|path| path.is_file()).cloned().collect();
    run::run(&Plan { inputs, loaded, file, share, own_files, is_coloured }, options)
}

/// A server that takes the place of another one was started at that one's word. That one has given
/// up its rights; with a config file that it could have changed it would get them back.
fn refuse_foreign_orders(file: &Path) -> Result<(), Failure> {
    if is_successor() {
        only_root_changes(file).map_err(|error| {
            Failure::io(format!("cannot use the config file {}", file.display()), &error)
                .help("let only root change it and the folders above it, or restart wharf")
        })?;
    }
    Ok(())
}

/// Accounts live in a file of their own, so the config says in words how to make this one.
fn account_as_comment(options: &Serve, is_share: bool) -> Result<String, Failure> {
    if !is_share || options.anonymous {
        return Ok(String::new());
    }
    let folder = Share::folder(options)?;
    let user = options.username.as_deref().unwrap_or(crate::share::USER);
    let rights = if options.write { "read-write" } else { "read" };
    let home = format!("'{}'", folder.to_string_lossy().replace('\'', "'\\''"));
    Ok(format!(
        "# Accounts live apart from the config. With this file in place, make this one with\n\
         #   wharf user add {user} --home {home} --perm {rights}\n\n"
    ))
}

/// Nobody sits before a service to read a password, and a log is no place for one.
fn refuse_fresh_password_of_a_service(share: &Share) -> Result<(), Failure> {
    match &share.access {
        Access::Account { password, .. } if password.is_fresh && outputs::is_service() => {
            Err(Failure::usage("a service cannot show anyone a fresh password")
                .help("give it one that lasts: --password-file FILE, or accounts: wharf user add"))
        }
        _ => Ok(()),
    }
}

/// Tells a fresh password where no panel does.
fn tell_fresh_password(share: &Share) {
    if let Access::Account { user, password, .. } = &share.access
        && password.is_fresh
    {
        tell(&format!("note: log in as {user} with the password {}\n", password.text));
    }
}
