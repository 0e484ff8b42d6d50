//! The options of the commands that monitor or control the running server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use wharf_config::outcome::HINT;

/// How to reach the server.
#[derive(Clone, Debug, Args)]
pub(crate) struct SocketArgs {
    /// Control socket of the server [default: from the configuration]
    #[arg(long, value_name = "SOCKET", env = "WHARF_SOCKET", hide_env_values = true)]
    pub(crate) socket: Option<PathBuf>,
}

/// `wharf status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reach: SocketArgs,
}

/// Which sessions to show.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SessionFilterArgs {
    /// Only sessions of this account
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Only sessions from this address or network
    #[arg(long, value_name = "ADDRESS", value_parser = super::address_or_network)]
    pub(crate) ip: Option<String>,
    /// Only sessions in this state
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<StateName>,
}

/// State of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateName {
    /// Not logged in yet
    Auth,
    /// Idle
    Idle,
    /// Running a command
    Command,
    /// Sending a listing
    List,
    /// Receiving an upload
    #[value(alias = "up")]
    Upload,
    /// Sending a download
    #[value(alias = "down")]
    Download,
}

/// `wharf who`.
#[derive(Debug, Args)]
pub(crate) struct WhoArgs {
    #[command(flatten)]
    pub(crate) filter: SessionFilterArgs,
    /// Show all details of each session
    #[arg(long, conflicts_with = "json")]
    pub(crate) wide: bool,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reach: SocketArgs,
}

/// `wharf kick`.
#[derive(Debug, Args)]
pub(crate) struct KickArgs {
    /// Session number, as shown by `wharf who`
    #[arg(value_name = "SESSION", value_parser = session)]
    pub(crate) sessions: Vec<u64>,
    /// All sessions of an account; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Vec<String>,
    /// All sessions from an address or network; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = super::address_or_network)]
    pub(crate) ip: Vec<String>,
    /// All sessions
    #[arg(long)]
    pub(crate) all: bool,
    /// Wait for a running transfer to finish
    #[arg(long)]
    pub(crate) after_transfer: bool,
    /// Also ban the addresses for this time, such as 15m
    #[arg(long, value_name = "TIME", value_parser = super::duration)]
    pub(crate) ban: Option<Duration>,
    /// Message to the client, also logged
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reach: SocketArgs,
}

/// `wharf log`.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Follow: print new lines as they are logged
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Number of past lines to print
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = super::whole(0, u32::MAX))]
    pub(crate) lines: u32,
    /// Only lines of this session
    #[arg(long, value_name = "SESSION", value_parser = session)]
    pub(crate) session: Option<u64>,
    #[command(flatten)]
    pub(crate) reach: SocketArgs,
}

/// `wharf reload`.
#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    /// Upgrade: start the executable file again; existing sessions continue in the old process
    #[arg(long)]
    pub(crate) binary: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reach: SocketArgs,
}

/// `wharf stop`.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Time for running transfers to finish [default: `server.shutdown_grace`]
    #[arg(long, value_name = "TIME", value_parser = super::duration)]
    pub(crate) grace: Option<Duration>,
    #[command(flatten)]
    pub(crate) reach: SocketArgs,
}

/// `wharf top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Refresh interval in seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1)]
    #[arg(value_parser = super::whole(1_u64, 3600))]
    pub(crate) delay: u64,
    /// Exit after this many refreshes
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = super::whole(0, u64::MAX))]
    pub(crate) count: Option<u64>,
    /// Print plain lines instead of a full-screen view, for files and pipes
    #[arg(short, long)]
    pub(crate) batch: bool,
    /// Sort order
    #[arg(long, value_name = "KEY", default_value = "speed")]
    pub(crate) sort: SortName,
    #[command(flatten)]
    pub(crate) filter: SessionFilterArgs,
    #[command(flatten)]
    pub(crate) reach: SocketArgs,
}

/// Sort order of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortName {
    /// Fastest first
    Speed,
    /// By account
    User,
    /// By address
    Ip,
    /// Oldest first
    Time,
    /// Most bytes first
    Bytes,
}

fn session(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("not a session number{HINT}list sessions:  wharf who"))
}
