//! The options of `wharf bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use wharf_config::outcome::HINT;
use wharf_users::units::parse_size;

use super::serve::time;

/// Measure the performance of any FTP or FTPS server
///
/// Logs in, sends NOOP, lists, and uploads and downloads small and large files in a temporary
/// folder, which is deleted afterwards. Prints rates, latencies and errors.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct BenchArgs {
    /// HOST or HOST:PORT [default port: 21, or 990 with --tls implicit]
    #[arg(value_name = "HOST[:PORT]", help_heading = SERVER)]
    pub(crate) server: String,
    /// User name [default: anonymous]
    #[arg(short, long, value_name = "NAME", help_heading = SERVER, alias = "user")]
    pub(crate) username: Option<String>,
    /// Password; visible to other local users, prefer --password-file
    #[arg(short = 'P', long, value_name = "PASSWORD", help_heading = SERVER)]
    pub(crate) password: Option<String>,
    /// Read the password from the first line of a file; `-` is standard input, with a prompt on a
    /// terminal
    #[arg(long, value_name = "FILE", help_heading = SERVER, conflicts_with = "password")]
    pub(crate) password_file: Option<PathBuf>,
    /// TLS mode: off | explicit | implicit [default: explicit]
    #[arg(long, value_name = "MODE", help_heading = SERVER, hide_possible_values = true)]
    #[arg(default_value = "explicit", hide_default_value = true)]
    pub(crate) tls: BenchTlsMode,
    /// Trust the certificates in this PEM file [default: those the system trusts]
    #[arg(long, alias = "ca", value_name = "FILE", help_heading = SERVER)]
    #[arg(conflicts_with = "insecure")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Accept any certificate, including self-signed ones
    #[arg(long, help_heading = SERVER)]
    pub(crate) insecure: bool,
    /// Only these cases, separated by commas: login, noop, list, small-up, small-down, large-up,
    /// large-down
    #[arg(long, value_name = "CASES", help_heading = WORK, hide_possible_values = true)]
    #[arg(value_delimiter = ',')]
    pub(crate) only: Vec<BenchCases>,
    /// Number of concurrent clients [default: 4]
    #[arg(short, long, value_name = "N", help_heading = WORK)]
    #[arg(default_value = "4", hide_default_value = true)]
    #[arg(value_parser = super::whole(1_u16, u16::MAX))]
    pub(crate) sessions: u16,
    /// Number of small operations per case: a file of 4 KiB, a login or a command
    /// [default: 500]
    #[arg(long, value_name = "N", help_heading = WORK)]
    #[arg(default_value = "500", hide_default_value = true)]
    #[arg(value_parser = super::whole(1_u32, u32::MAX))]
    pub(crate) count: u32,
    /// Size of a large file; each client transfers one [default: 64MiB]
    #[arg(long, value_name = "SIZE", help_heading = WORK, value_parser = size)]
    #[arg(default_value = "64MiB", hide_default_value = true)]
    pub(crate) size: u64,
    /// Time after which a case starts no further operations [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = WORK, value_parser = time)]
    #[arg(default_value = "10s", hide_default_value = true)]
    pub(crate) time: Duration,
    /// Parent folder of the temporary folder [default: the folder after login]
    #[arg(long, value_name = "PATH", help_heading = WORK)]
    pub(crate) dir: Option<String>,
    /// Download this file instead of creating a large one
    #[arg(long, value_name = "PATH", help_heading = WORK)]
    pub(crate) file: Option<String>,
    /// Verify the content of downloads; slower
    #[arg(long, help_heading = WORK)]
    pub(crate) verify: bool,
    /// Print one JSON object
    #[arg(long, help_heading = WORK)]
    pub(crate) json: bool,
}

/// TLS mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchTlsMode {
    /// No TLS: the password is sent unencrypted.
    Off,
    /// After AUTH TLS.
    Explicit,
    /// From the start.
    Implicit,
}

/// The cases, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum BenchCases {
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
    parse_size(text).map_err(|error| format!("{}{HINT}{}", error.reason(), error.hint()))
}

const SERVER: &str = "Server";
const WORK: &str = "Measurement";

const AFTER_HELP: &str = "\
The temporary folder is wharf-bench-… with a random suffix; it is deleted at the
end, also after Ctrl+C. Without write permission, the cases that need it are
skipped.

Certificates are verified against the system's trusted CAs before the password
is sent. For a server with a self-signed certificate: --ca-file FILE with that
certificate, or --insecure.

Examples:
  wharf bench ftp.example.com -u anna --password-file -
  wharf bench 127.0.0.1:2121 -u anna -P secret --insecure --sessions 8
  wharf bench nas.local --tls off --only large-up,large-down
  wharf bench ftp.example.com --only login,large-down --file pub/big.iso --json

Exit codes:
  0 success   1 a case failed   2 usage error   130 interrupted";
