//! The options of `wharf why`.

use std::net::IpAddr;

use clap::Args;

use super::running_server::SocketArgs;

/// `wharf why`.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// Account, or `anonymous`
    pub(crate) user: String,
    /// Path as clients see it: / is the home of the account
    pub(crate) path: String,
    /// Action: login, enter, list, read, hash, upload, append, delete, rmdir, rename, mkdir, chmod,
    /// mtime, copy; or a command such as STOR
    pub(crate) action: String,
    /// Client address, to check bans and allowed networks
    #[arg(long, value_name = "ADDRESS", value_parser = super::address)]
    pub(crate) ip: Option<IpAddr>,
    /// The client does not use TLS
    #[arg(long)]
    pub(crate) plain: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reach: SocketArgs,
}
