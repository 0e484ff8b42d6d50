//! The options of `wharf group`.

use clap::{Args, Subcommand};

use super::user::{PERMISSIONS, SettingArgs};

/// Manage groups, which hold settings of several accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Add a group; add accounts to it with `wharf user edit NAME --group GROUP`
    #[command(next_line_help = true)]
    #[command(mut_arg("permissions", |given| given.help(PERMISSIONS)))]
    Add {
        /// Up to 64 bytes; no slash, no control characters
        name: String,
        #[command(flatten)]
        facts: GroupArgs,
    },
    /// List groups
    List {
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Show a group and its members
    Show {
        /// Name of the group
        name: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Change a group; only the given settings change
    #[command(alias = "set")]
    #[command(next_line_help = true)]
    #[command(mut_arg("permissions", |given| given.help(PERMISSIONS)))]
    Edit {
        /// Name of the group
        name: String,
        #[command(flatten)]
        facts: GroupArgs,
    },
    /// Delete groups without members
    #[command(alias = "remove")]
    Del {
        /// Names of the groups
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// Settings of a group.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GroupArgs {
    /// Home folder of its accounts; %u is replaced by the user name
    #[arg(long, value_name = "DIR")]
    pub(crate) home: Option<String>,
    #[command(flatten)]
    pub(crate) common: SettingArgs,
}
