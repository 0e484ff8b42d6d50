//! The command line: which command, and what belongs to all of them.

pub(crate) mod ban;
pub(crate) mod bench;
pub(crate) mod check;
#[cfg(test)]
mod examples;
pub(crate) mod group;
pub(crate) mod import;
pub(crate) mod live;
#[cfg(test)]
mod reference;
pub(crate) mod serve;
pub(crate) mod service;
#[cfg(test)]
mod tests;
pub(crate) mod user;
pub(crate) mod why;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use wharf_users::nearest::nearest;

use crate::outcome::Colour;
use ban::Ban;
use bench::Bench;
use check::Check;
use group::Group;
use import::Import;
use serve::Serve;
use service::Service;
use user::User;
use why::Why;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "wharf",
    version,
    about = "FTP and FTPS server. Share a folder now, or run accounts for years.",
    help_template = TEMPLATE,
    disable_help_subcommand = true,
    subcommand_required = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    // As text, not as a doc comment: the help is no Markdown.
    #[arg(help = "[env: WHARF_CONFIG] [default: the system's place]")]
    #[arg(short, long, value_name = "FILE", global = true, help_heading = EVERY_COMMAND)]
    pub(crate) config: Option<PathBuf>,
    /// Override one setting; repeatable
    #[arg(long, value_name = "KEY=VALUE", global = true, help_heading = EVERY_COMMAND)]
    #[arg(value_parser = setting)]
    pub(crate) set: Vec<(String, String)>,
    #[arg(help = "auto | always | never   (NO_COLOR is honoured)")]
    #[arg(long, value_name = "WHEN", global = true, help_heading = EVERY_COMMAND)]
    #[arg(default_value = "auto", hide_default_value = true, hide_possible_values = true)]
    pub(crate) color: Colour,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Box<Serve>),
    Check(Check),
    /// The running server in one screen
    Status(live::Status),
    /// List the sessions of the running server
    Who(live::Who),
    /// Live sessions and speeds
    Top(live::Top),
    /// End sessions
    Kick(live::Kick),
    /// Show the running server's log
    Log(live::Log),
    /// Read config, accounts and certificates again; sessions stay
    Reload(live::Reload),
    /// Let running transfers finish, then stop the server
    Stop(live::Stop),
    /// Print the default config, or what is in force
    #[command(subcommand)]
    Config(Config),
    /// Manage accounts in users.toml; changes take effect at once
    #[command(subcommand)]
    User(Box<User>),
    /// Manage groups: what many accounts have in common; changes take effect at once
    #[command(subcommand)]
    Group(Box<Group>),
    /// Whether an account may do something somewhere, and what decides it: exit 0 or 1
    Why(Why),
    /// List, add and lift bans; changes take effect at once
    Ban(Ban),
    /// Move in from another server: read its set-up, show the result, write it with --write
    #[command(subcommand)]
    Import(Import),
    Bench(Box<Bench>),
    /// Hash a password for use in a file
    ///
    /// Asks for the password twice without showing it, and prints an Argon2id hash that
    /// `wharf user add --hash` and the file users.toml take.
    Hash(Hash),
    /// Start wharf with the computer: install, uninstall, start, stop, status, unit
    #[command(subcommand)]
    Service(Service),
    /// Print what a shell needs to complete commands
    Completions {
        shell: clap_complete::Shell,
    },
    /// Write man pages to a folder
    Man {
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Is started by wharf itself, to start programs
    #[command(name = crate::deliver::WORKER_COMMAND, hide = true)]
    StartPrograms,
    /// Version and what it was built for
    Version,
}

/// `wharf config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print a config file with every key at its default
    Default,
    /// Print what is in force
    Show {
        /// Say for each key who set it
        #[arg(long)]
        origin: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print which config file is used
    Path,
    /// Rewrite a config file of an earlier version: old names of keys become current ones
    Migrate {
        /// Write the file; the old one is kept beside it as FILE.old. Else the changes are shown
        #[arg(long)]
        write: bool,
    },
}

/// `wharf hash`.
#[derive(Debug, Args)]
pub(crate) struct Hash {
    /// Read the password from the first line of a file; `-` is standard input
    #[arg(long, value_name = "F")]
    pub(crate) password_file: Option<PathBuf>,
}

pub(crate) const EVERY_COMMAND: &str = "Options for every command";

const TEMPLATE: &str = "\
{about}

Usage: wharf [OPTIONS] [DIR]            the same as: wharf serve [DIR]
       wharf <COMMAND>

Share and run
  serve       Share a folder, or run from a config file
  check       Test config, ports, certificate, network, accounts and disks without serving
  service     Start with the computer: install, uninstall, start, stop, status, unit

Look and act on the running server
  status      One-screen summary
  who         List sessions
  top         Live sessions and speeds
  kick        End sessions
  log         Show the log, and follow it
  reload      Read config, accounts and certificates again; sessions stay
  stop        Finish running transfers, then stop

Accounts and setup
  user        add, list, show, edit, passwd, enable, disable, del, export
  group       add, list, show, edit, del
  ban         list, add, del, clear
  why         Whether an account may do something somewhere, and what decides it
  config      default, show, path, migrate
  import      Move in from pyftpdlib, Pure-FTPd, ProFTPD, vsftpd, CSV

Other
  bench       Measure any FTP or FTPS server, as its clients see it
  hash        Hash a password for use in a file
  completions For bash, zsh, fish, powershell, elvish
  man         Write man pages to a folder
  version     Version and what it was built for

{options}

A folder with the name of a command is written with its path: wharf ./user
Everything that serving takes: wharf serve --help
";

/// Reads the command line. A first word that is no command belongs to `serve`.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(with_command(words))
}

/// Puts `serve` where a command is missing: before the first word that is not an option of every
/// command.
fn with_command(mut words: Vec<OsString>) -> Vec<OsString> {
    let mut index = 1;
    while let Some(word) = words.get(index).and_then(|word| word.to_str()) {
        match word {
            "-c" | "--config" | "--set" | "--color" => index += 2,
            "-h" | "--help" | "-V" | "--version" => return words,
            _ if ["-c", "--config=", "--set=", "--color="]
                .iter()
                .any(|own| word.starts_with(own)) =>
            {
                index += 1;
            }
            _ if command_names().any(|name| name == word) => return words,
            _ => break,
        }
    }
    words.insert(index.min(words.len()), "serve".into());
    words
}

/// The command that a folder's name may have been meant for.
pub(crate) fn meant_command(word: &str) -> Option<String> {
    let names: Vec<_> = command_names().collect();
    nearest(word, names.iter().map(String::as_str)).map(str::to_owned)
}

fn command_names() -> impl Iterator<Item = String> {
    let names: Vec<_> =
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    names.into_iter()
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or("write KEY=VALUE, such as passive.ports=30000-31999")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
