//! What the commands take that look at the running server, or act on it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::config::units::parse_duration;

/// Where the server is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Reach {
    /// The server's control socket, if it is not that of the config in use
    #[arg(long, value_name = "SOCKET", env = "WHARF_SOCKET", hide_env_values = true)]
    pub(crate) socket: Option<PathBuf>,
}

/// `wharf status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// Which sessions to show.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Filter {
    /// Only those of this account
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Only those from this address or network
    #[arg(long, value_name = "ADDR")]
    pub(crate) ip: Option<String>,
    /// Only those that do this
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<StateName>,
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateName {
    /// Not logged in yet
    Auth,
    /// Nothing
    Idle,
    /// A command
    Command,
    /// A listing
    List,
    /// An upload
    Up,
    /// A download
    Down,
}

/// `wharf who`.
#[derive(Debug, Args)]
pub(crate) struct Who {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Everything that is known of each
    #[arg(long, conflicts_with = "json")]
    pub(crate) wide: bool,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `wharf kick`.
#[derive(Debug, Args)]
pub(crate) struct Kick {
    /// By number, as `wharf who` shows it
    #[arg(value_name = "SESSION")]
    pub(crate) sessions: Vec<u64>,
    /// All of an account; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Vec<String>,
    /// All from an address or a network; repeatable
    #[arg(long, value_name = "ADDR")]
    pub(crate) ip: Vec<String>,
    /// Everybody
    #[arg(long)]
    pub(crate) all: bool,
    /// Let a running transfer end first
    #[arg(long)]
    pub(crate) after_transfer: bool,
    /// Also ban the addresses, for a time such as 15m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) ban: Option<Duration>,
    /// What the client hears, and the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `wharf log`.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Go on with the lines that come
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many of the last lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) lines: u32,
    /// Only lines of this session
    #[arg(long, value_name = "SESSION")]
    pub(crate) session: Option<u64>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `wharf reload`.
#[derive(Debug, Args)]
pub(crate) struct Reload {
    /// Start the program anew, from its file as it is now; sessions end in the old process
    #[arg(long)]
    pub(crate) binary: bool,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `wharf stop`.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// How long running transfers may finish [default: as the server is set]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) grace: Option<Duration>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `wharf top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Look again after so many seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) delay: u64,
    /// Look so many times, then end
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub(crate) count: Option<u64>,
    /// Plain lines instead of a screen, for files and pipes
    #[arg(short, long)]
    pub(crate) batch: bool,
    /// What comes first
    #[arg(long, value_name = "KEY", default_value = "speed")]
    pub(crate) sort: SortName,
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// What sessions can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortName {
    /// The fastest first
    Speed,
    /// By account
    User,
    /// By address
    Ip,
    /// The longest here first
    Time,
    /// The most bytes first
    Bytes,
}
