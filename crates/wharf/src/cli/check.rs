//! The options of `wharf check`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Check configuration, ports, certificate, network, accounts and disks without serving
///
/// Reports all problems with hints. Exit code 0: the server can start; 78: the configuration or the
/// certificate is invalid; 77: permission denied; 1: another check failed.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct CheckArgs {
    /// Checks to run [default: all]
    #[arg(value_name = "CHECK")]
    pub(crate) what: Vec<CheckSubject>,
    /// Treat warnings as errors: exit code 78
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Check a server as a client, best from outside: greeting, TLS, certificate, data connections;
    /// local checks run only if they are named
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) ask: Option<String>,
    /// With --ask: log in as this account, and list in passive and active mode
    #[arg(long, value_name = "NAME", requires = "ask")]
    pub(crate) user: Option<String>,
    /// With --user: read the password from the first line of a file; `-` is standard input
    /// [default: `WHARF_PASSWORD`, else a prompt]
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
    /// With --user: send the password even if the certificate is not verified (never without TLS)
    #[arg(long, requires = "user")]
    pub(crate) insecure: bool,
}

/// The checks of `wharf check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckSubject {
    /// Configuration file, environment variables and the files that they name
    Config,
    /// System user, kernel restrictions, and permissions of files and folders
    #[value(alias = "protection")]
    Sandbox,
    /// Whether each listener and every passive port is available, and which process uses it
    Ports,
    /// Certificate and key, their validity and names, and a handshake
    Tls,
    /// Addresses, NAT and containers, firewall, and observations of the running server
    Net,
    /// Every account: home, permissions, password
    Users,
    /// Free space, rename, sync and clocks of the file systems with homes, and the open file limit
    Fs,
    /// All checks
    All,
}

const AFTER_HELP: &str = "\
Examples:
  wharf check                          all checks
  wharf check ports net                only these two
  wharf check --strict --json          for scripts
  wharf check --ask ftp.example.com --user anna
                                       as a client: test data connections, too
";
