//! What `wharf ban` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `wharf ban`.
#[derive(Debug, Args)]
pub(crate) struct Ban {
    #[command(subcommand)]
    pub(crate) act: Act,
    /// The server's control socket, if it is not that of the config in use
    #[arg(long, global = true, value_name = "SOCKET", env = "WHARF_SOCKET")]
    #[arg(hide_env_values = true)]
    pub(crate) socket: Option<PathBuf>,
}

/// List, add and lift bans.
#[derive(Debug, Subcommand)]
pub(crate) enum Act {
    /// List bans and locked accounts
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Ban addresses or networks; ends their sessions
    Add {
        /// Such as 203.0.113.9 or 203.0.113.0/24; of an IPv6 address it is the /64
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// How long, e.g. 30m, 12h or 7d [default: until it is lifted]
        #[arg(long = "for", value_name = "TIME")]
        time: Option<String>,
        /// For you
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Lift bans; the failed logins behind them are forgotten
    Del {
        /// As `wharf ban list` shows them
        #[arg(value_name = "ADDRESS", required_unless_present = "users")]
        addresses: Vec<String>,
        /// Unlock an account that was guessed at; repeatable
        #[arg(long = "user", value_name = "NAME")]
        users: Vec<String>,
    },
    /// Lift all bans and unlock all accounts
    Clear {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}
