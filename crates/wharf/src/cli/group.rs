//! What `wharf group` takes.

use clap::{Args, Subcommand};

use super::user::Common;

/// Manage groups: what many accounts have in common.
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// Make a group; accounts are put in it with `wharf user edit NAME --group GROUP`
    Add {
        /// Up to 64 bytes; no slash, no control characters
        name: String,
        #[command(flatten)]
        facts: GroupFacts,
    },
    /// List groups
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show a group, and who is in it
    Show {
        name: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Change a group; only what is named changes
    #[command(visible_alias = "set")]
    Edit {
        name: String,
        #[command(flatten)]
        facts: GroupFacts,
    },
    /// Remove groups that nobody is in
    #[command(visible_alias = "remove")]
    Del {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// What can be said of a group.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GroupFacts {
    /// Where its accounts have their folders; %u stands for the account's name
    #[arg(long, value_name = "DIR")]
    pub(crate) home: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}
