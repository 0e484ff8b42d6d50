//! The command line: the commands, and the options of every command.

pub(crate) mod ban;
pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod colour;
pub(crate) mod elsewhere;
#[cfg(test)]
mod examples;
pub(crate) mod group;
pub(crate) mod import;
pub(crate) mod mistake;
#[cfg(test)]
mod reference;
pub(crate) mod running_server;
pub(crate) mod serve;
pub(crate) mod service;
#[cfg(test)]
mod tests;
pub(crate) mod user;
pub(crate) mod why;

use std::ffi::OsString;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use ipnet::IpNet;
use wharf_config::outcome::HINT;
use wharf_config::units::parse_duration;
use wharf_users::nearest::nearest;

use ban::BanArgs;
use bench::BenchArgs;
use check::CheckArgs;
use colour::Colour;
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
    bin_name = "wharf",
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
    #[arg(
        help = "Configuration file [default: $WHARF_CONFIG, else the standard path of the system]"
    )]
    #[arg(short, long, value_name = "FILE", global = true, help_heading = EVERY_COMMAND)]
    pub(crate) config: Option<PathBuf>,
    /// Set one configuration key; repeatable
    #[arg(long, value_name = "KEY=VALUE", global = true, help_heading = EVERY_COMMAND)]
    #[arg(value_parser = setting)]
    pub(crate) set: Vec<(String, String)>,
    #[arg(
        help = "Colored output: auto | always | never [default: auto; never if NO_COLOR is set]"
    )]
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
    Status(running_server::StatusArgs),
    /// List the sessions of the running server
    Who(running_server::WhoArgs),
    /// Show sessions and transfer rates continuously
    Top(running_server::TopArgs),
    /// Disconnect sessions
    Kick(running_server::KickArgs),
    /// Show the running server's log
    Log(running_server::LogArgs),
    /// Reload configuration, accounts and certificates; sessions continue
    Reload(running_server::ReloadArgs),
    /// Wait for running transfers to finish, then stop the server
    Stop(running_server::StopArgs),
    /// Print the default or the effective configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Manage accounts; changes need no reload
    #[command(subcommand)]
    User(Box<UserCommand>),
    /// Manage groups, which hold settings of several accounts; changes need no reload
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
        /// Shell that the script is for
        shell: clap_complete::Shell,
    },
    /// Write man pages to a folder
    Man {
        /// Folder for the pages; created if it is missing
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Internal: started by wharf to run programs
    #[command(name = wharf_runtime::deliver::WORKER_COMMAND, hide = true)]
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
    /// Replace old names of keys, values and events in a configuration file of an earlier version
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
    if let Some(index) = place_of_command(&words) {
        words.insert(index.min(words.len()), "serve".into());
    }
    words
}

/// The first word of a command line without a command, if it is not an option: a folder, or a
/// mistyped command.
fn folder_word(words: &[OsString]) -> Option<String> {
    let word = words.get(place_of_command(words)?)?.to_str()?;
    (!word.starts_with('-')).then(|| word.to_owned())
}

/// The index of the first argument that is not a global option; `None` if it is a command.
fn place_of_command(words: &[OsString]) -> Option<usize> {
    let mut index = 1;
    while let Some(word) = words.get(index).and_then(|word| word.to_str()) {
        match word {
            "-c" | "--config" | "--set" | "--color" => index += 2,
            "-h" | "--help" | "-V" | "--version" => return None,
            _ if ["-c", "--config=", "--set=", "--color="]
                .iter()
                .any(|own| word.starts_with(own)) =>
            {
                index += 1;
            }
            _ if command_names().any(|name| name == word) => return None,
            _ => break,
        }
    }
    Some(index)
}

/// Whether the name of a folder resembles that of a command.
pub(crate) fn is_like_command(word: &str) -> bool {
    let names: Vec<_> = command_names().collect();
    nearest(word, names.iter().map(String::as_str)).is_some()
}

fn command_names() -> impl Iterator<Item = String> {
    let names: Vec<_> =
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    names.into_iter()
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("expected KEY=VALUE\nhint: write it as in --set passive.ports=30000-31999")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// A parser of whole numbers from `least` to `most`.
fn whole<T>(least: T, most: T) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync
where
    T: FromStr + PartialOrd + Copy + Display + Send + Sync + 'static,
{
    move |text| {
        let number = text.trim().parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("not a whole number from {least} to {most}"))
    }
}

/// An address or a network, as text.
fn address_or_network(text: &str) -> Result<String, String> {
    let is_valid = text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok();
    is_valid.then(|| text.to_owned()).ok_or_else(|| {
        let hint = "write it as 203.0.113.9, 203.0.113.0/24 or 2001:db8::/64";
        format!("{}{HINT}{hint}", wharf_users::file::network_fault(text))
    })
}

fn address(text: &str) -> Result<IpAddr, String> {
    let hint = "write an address such as 203.0.113.9 or 2001:db8::7";
    text.parse().map_err(|_| format!("not an IP address{HINT}{hint}"))
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .map_err(|why| format!("{why}{HINT}write a time such as 30s, 15m, 12h or 7d"))
}
