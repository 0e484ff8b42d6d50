//! The command line: the commands, and the options of every command.

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
use ban::BanArgs;
use bench::BenchArgs;
use check::CheckArgs;
use group::GroupCommand;
use import::ImportCommand;
use serve::ServeArgs;
use service::ServiceCommand;
use user::UserCommand;
use why::WhyArgs;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "wharf",
    version,
    about = "FTP and FTPS server. Share a folder now, or run accounts for years.",
    help_template = TEMPLATE,
    max_term_width = HELP_WIDTH_MAX,
    disable_help_subcommand = true,
    subcommand_required = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: CliCommand,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct GlobalArgs {
    // Not a doc comment: the help text is not Markdown.
    #[arg(help = "[env: WHARF_CONFIG] [default: the standard path of the system]")]
    #[arg(short, long, value_name = "FILE", global = true, help_heading = EVERY_COMMAND)]
    pub(crate) config: Option<PathBuf>,
    /// Set one configuration key; repeatable
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
pub(crate) enum CliCommand {
    Serve(Box<ServeArgs>),
    Check(CheckArgs),
    /// Show a summary of the running server
    Status(live::StatusArgs),
    /// List the sessions of the running server
    Who(live::WhoArgs),
    /// Show sessions and transfer rates continuously
    Top(live::TopArgs),
    /// Disconnect sessions
    Kick(live::KickArgs),
    /// Show the running server's log
    Log(live::LogArgs),
    /// Reload configuration, accounts and certificates; sessions continue
    Reload(live::ReloadArgs),
    /// Wait for running transfers to finish, then stop the server
    Stop(live::StopArgs),
    /// Print the default or the effective configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Manage accounts; changes take effect immediately
    #[command(subcommand)]
    User(Box<UserCommand>),
    /// Manage groups, which hold settings of several accounts; changes take effect immediately
    #[command(subcommand)]
    Group(Box<GroupCommand>),
    /// Explain whether an account may do something, and which rule decides; exit code 0 or 1
    Why(WhyArgs),
    /// List, add and remove bans; changes take effect immediately
    Ban(BanArgs),
    /// Migrate from another server: read its configuration and show the result; --write writes it
    #[command(subcommand)]
    Import(ImportCommand),
    Bench(Box<BenchArgs>),
    /// Hash a password for use in users.toml
    ///
    /// Prompts twice for the password, without echo, and prints an Argon2id hash, as accepted by
    /// `wharf user add --hash` and the file users.toml.
    Hash(HashArgs),
    /// Run wharf as a system service: install, uninstall, start, stop, status, unit
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Print a shell completion script
    Completions {
        shell: clap_complete::Shell,
    },
    /// Write man pages to a folder
    Man {
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Internal: started by wharf to run programs
    #[command(name = crate::deliver::WORKER_COMMAND, hide = true)]
    StartPrograms,
    /// Print version, target and features
    Version,
}

impl CliCommand {
    /// Whether it serves, or is a process of a server. Others, such as `wharf bench`, keep the
    /// default actions of signals.
    pub(crate) fn is_server_process(&self) -> bool {
        match self {
            Self::Serve(_) | Self::StartPrograms => true,
            Self::Service(service) => matches!(
                service,
                ServiceCommand::Run
                    | ServiceCommand::Starter { .. }
                    | ServiceCommand::Successor { .. }
            ),
            _ => false,
        }
    }
}

/// `wharf config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a configuration file with the default of every key
    Default,
    /// Print the effective configuration
    Show {
        /// Show for each key where it was set
        #[arg(long)]
        origin: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the path of the configuration file in use
    Path,
    /// Replace old names of keys in a configuration file of an earlier version
    Migrate {
        /// Write the file, and keep the old one as FILE.old; otherwise only show the changes
        #[arg(long)]
        write: bool,
    },
}

/// `wharf hash`.
#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// Read the password from the first line of a file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

/// Columns of help, also if the terminal is wider or the output is not a terminal.
const HELP_WIDTH_MAX: usize = 80;

pub(crate) const EVERY_COMMAND: &str = "Global options";

const TEMPLATE: &str = "\
{about}

Usage: wharf [OPTIONS] [DIR]            the same as: wharf serve [DIR]
       wharf <COMMAND>

Share and run
  serve       Share a folder, or run with a configuration file
  check       Check configuration, ports, certificate, network, accounts, disks
  service     Run as a service: install, uninstall, start, stop, status, unit

Monitor and control the running server
  status      Show a summary
  who         List sessions
  top         Show sessions and transfer rates continuously
  kick        Disconnect sessions
  log         Show or follow the log
  reload      Reload configuration, accounts and certificates; sessions continue
  stop        Wait for running transfers, then stop

Accounts and setup
  user        add, list, show, edit, passwd, enable, disable, del, export, copy
  group       add, list, show, edit, del
  ban         list, add, del, clear
  why         Explain why an account is or is not allowed to do something
  config      default, show, path, migrate
  import      Migrate from pyftpdlib, Pure-FTPd, ProFTPD, vsftpd or a CSV file

Other
  bench       Measure the performance of any FTP or FTPS server
  hash        Hash a password for use in users.toml
  completions Shell completions for bash, zsh, fish, powershell, elvish
  man         Write man pages to a folder
  version     Print version, target and features

{options}

To share a folder that has the name of a command, write its path: wharf ./user
All options for serving: wharf serve --help
";

/// Parses the command line. A first argument that is not a command is an argument of `serve`.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(with_command(words))
}

/// Inserts `serve` if there is no command: before the first argument that is not a global option.
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

/// The command that resembles the name of a folder.
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
        text.split_once('=').ok_or("expected KEY=VALUE, such as passive.ports=30000-31999")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
