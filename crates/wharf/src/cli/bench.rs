//! What `wharf bench` takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use wharf_users::units::parse_size;

use super::serve::time;

/// Measure any FTP or FTPS server, as its clients see it
///
/// Logs in, says NOOP, lists, and moves small and large files up and down, in a folder of its own
/// that it removes again. Prints rates, latencies and errors.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Bench {
    /// HOST or HOST:PORT; the port is 21, or 990 with --tls implicit
    #[arg(value_name = "HOST[:PORT]", help_heading = SERVER)]
    pub(crate) server: String,
    /// [default: anonymous]
    #[arg(short, long, value_name = "NAME", help_heading = SERVER, alias = "user")]
    pub(crate) username: Option<String>,
    /// Visible to other local users: prefer --password-file
    #[arg(short = 'P', long, value_name = "PW", help_heading = SERVER)]
    pub(crate) password: Option<String>,
    /// First line of a file; `-` reads standard input, and asks if that is a terminal
    #[arg(long, value_name = "F", help_heading = SERVER, conflicts_with = "password")]
    pub(crate) password_file: Option<PathBuf>,
    /// off | explicit | implicit [default: explicit]
    #[arg(long, value_name = "MODE", help_heading = SERVER, hide_possible_values = true)]
    #[arg(default_value = "explicit", hide_default_value = true)]
    pub(crate) tls: Mode,
    /// Trust the certificates in this PEM file [default: those the system trusts]
    #[arg(long, value_name = "F", help_heading = SERVER, conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,
    /// Take any certificate, also a self-signed one
    #[arg(long, help_heading = SERVER)]
    pub(crate) insecure: bool,
    /// Only these, with commas between: login, noop, list, small-up, small-down, large-up,
    /// large-down
    #[arg(long, value_name = "CASES", help_heading = WORK, hide_possible_values = true)]
    #[arg(value_delimiter = ',')]
    pub(crate) only: Vec<Measured>,
    /// Clients at once [default: 4]
    #[arg(short, long, value_name = "N", help_heading = WORK)]
    #[arg(default_value = "4", hide_default_value = true)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) sessions: u16,
    /// Small operations in each case; each is a file of 4 KiB, a login, a command
    /// [default: 500]
    #[arg(long, value_name = "N", help_heading = WORK)]
    #[arg(default_value = "500", hide_default_value = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,
    /// Length of a large file; each client moves one [default: 64MiB]
    #[arg(long, value_name = "SIZE", help_heading = WORK, value_parser = size)]
    #[arg(default_value = "64MiB", hide_default_value = true)]
    pub(crate) size: u64,
    /// Begin nothing more in a case after this time [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = WORK, value_parser = time)]
    #[arg(default_value = "10s", hide_default_value = true)]
    pub(crate) time: Duration,
    /// Where to make the folder to work in [default: where a login leads]
    #[arg(long, value_name = "PATH", help_heading = WORK)]
    pub(crate) dir: Option<String>,
    /// Download this file, and no large one of its own
    #[arg(long, value_name = "PATH", help_heading = WORK)]
    pub(crate) file: Option<String>,
    /// Compare each byte that comes back; slower
    #[arg(long, help_heading = WORK)]
    pub(crate) verify: bool,
    /// One JSON object
    #[arg(long, help_heading = WORK)]
    pub(crate) json: bool,
}

/// How TLS is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Not at all: the password can be read on the way.
    Off,
    /// After AUTH TLS.
    Explicit,
    /// From the start.
    Implicit,
}

/// What can be measured, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Measured {
    /// From connecting to 230, then QUIT.
    Login,
    /// NOOP and its reply.
    Noop,
    /// Uploads of 4 KiB.
    SmallUp,
    /// Downloads of 4 KiB.
    SmallDown,
    /// MLSD of the folder with the small files.
    List,
    /// Uploads of `--size`.
    LargeUp,
    /// Downloads of `--size`.
    LargeDown,
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

const SERVER: &str = "The server";
const WORK: &str = "The work";

const AFTER_HELP: &str = "\
It works in a folder of its own, wharf-bench-… with a random end, and removes it, also after
Ctrl+C. Where it may not write it says so, and measures the rest.

Certificates are checked against those that the system trusts, and the password is sent after that.
For a server whose certificate is self-signed, such as a wharf at home: --ca FILE with that
certificate, or --insecure.

Examples:
  wharf bench ftp.example.com -u anna --password-file -
  wharf bench 127.0.0.1:2121 -u anna -P secret --insecure --sessions 8 --size 256MiB
  wharf bench nas.local --tls off --only large-up,large-down
  wharf bench ftp.example.com --only login,large-down --file pub/big.iso --json

Exit codes:
  0 done   1 something failed   2 wrong usage   130 interrupted";
