//! What `wharf why` takes.

use std::net::IpAddr;

use clap::Args;

use super::live::Reach;

/// `wharf why`.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// An account, or anonymous
    pub(crate) user: String,
    /// As clients see it: / is the account's home
    pub(crate) path: String,
    /// login, enter, list, read, hash, upload, append, delete, rmdir, rename, mkdir, chmod, mtime,
    /// copy; or a command such as STOR
    pub(crate) action: String,
    /// From this address: bans and networks count
    #[arg(long, value_name = "ADDR")]
    pub(crate) ip: Option<IpAddr>,
    /// The client uses no TLS
    #[arg(long)]
    pub(crate) plain: bool,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}
