//! What `wharf check` takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Test config, ports, certificate, network, accounts and disks without serving
///
/// Tells every mistake at once, with what would help. Exit 0: it would serve; 78: the configuration
/// or the certificate is bad; 77 and 1: something else is in the way.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Check {
    /// What to test; all if none is named
    #[arg(value_name = "WHAT")]
    pub(crate) what: Vec<Subject>,
    /// Warnings are mistakes too: exit 78
    #[arg(long)]
    pub(crate) strict: bool,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Ask a server as its clients do, best from outside: greeting, TLS, certificate, data
    /// connections; nothing of this computer is tested then, unless it is named
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) ask: Option<String>,
    /// For --ask: log in as this account, and list in passive and active mode
    #[arg(long, value_name = "NAME", requires = "ask")]
    pub(crate) user: Option<String>,
    /// For --user: first line of a file; `-` reads standard input
    /// [default: that of `WHARF_PASSWORD`, or it is asked for]
    #[arg(long, value_name = "F", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
    /// For --user: send the password although the certificate is not verified (never without TLS)
    #[arg(long, requires = "user")]
    pub(crate) insecure: bool,
}

/// What `wharf check` can test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// The config file, the environment and what they name
    Config,
    /// User, sandbox, rights of files and folders, and what could not be had
    Protection,
    /// Whether each listener and every passive port can be had, and who has it
    Ports,
    /// Certificate and key, their dates and names, and a handshake
    Tls,
    /// Addresses, NAT and containers, firewall, and what the running server has seen
    Net,
    /// Every account: home, rights, password
    Users,
    /// Room, rename, sync and clocks where homes are, and the limit of open files
    Fs,
    /// All of them
    All,
}

const AFTER_HELP: &str = "\
Examples:
  wharf check                          everything
  wharf check ports net                these two
  wharf check --strict --json          for scripts
  wharf check --ask ftp.example.com --user anna
                                       from a client's computer: do data connections come to be?
";
