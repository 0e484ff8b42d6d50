//! What `wharf ban` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `wharf ban`.
#[derive(Debug, Args)]
pub(crate) struct BanArgs {
    #[command(subcommand)]
    pub(crate) act: BanCommand,
    /// Control socket of the server [default: from the configuration]
    #[arg(long, global = true, value_name = "SOCKET", env = "WHARF_SOCKET")]
    #[arg(hide_env_values = true)]
    pub(crate) socket: Option<PathBuf>,
}

/// List, add and remove bans.
#[derive(Debug, Subcommand)]
pub(crate) enum BanCommand {
    /// List bans and locked accounts
    List {
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Ban addresses or networks and disconnect their sessions
    Add {
        /// Such as 203.0.113.9 or 203.0.113.0/24; an IPv6 address stands for its /64
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// Duration, e.g. 30m, 12h or 7d [default: until it is removed]
        #[arg(long = "for", alias = "time", value_name = "TIME")]
        time: Option<String>,
        /// Comment
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Remove bans and reset the failed logins that caused them
    Del {
        /// As `wharf ban list` shows them
        #[arg(value_name = "ADDRESS", required_unless_present = "users")]
        addresses: Vec<String>,
        /// Unlock an account that was locked by failed logins; repeatable
        #[arg(long = "user", value_name = "NAME")]
        users: Vec<String>,
    },
    /// Remove all bans and unlock all accounts
    Clear {
        /// Skip confirmation
        #[arg(long)]
        yes: bool,
    },
}
