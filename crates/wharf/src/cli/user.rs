//! What `wharf user` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::import::OnConflict;

/// Manage accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Make an account; asks for the password unless told where to get it
    Add {
        /// Up to 64 bytes; no slash, no control characters
        name: String,
        #[command(flatten)]
        facts: Facts,
        #[command(flatten)]
        password: Password,
    },
    /// List accounts
    List {
        /// Only names that fit; `*` and `?` stand for any letters and any letter
        pattern: Option<String>,
        /// Only those that are disabled
        #[arg(long)]
        disabled: bool,
        /// Only those that have ended
        #[arg(long)]
        expired: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Print all accounts as CSV, which `wharf import csv` reads
    Export {
        /// As CSV; there is no other form yet, so it may be left out
        #[arg(long)]
        csv: bool,
        /// The hashes of passwords too; keep such a file where nobody sees it
        #[arg(long)]
        with_hashes: bool,
    },
    /// Show what is in force for an account, and who says it: it, a group, or nobody
    Show {
        name: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Change an account; only what is named changes
    Edit {
        name: String,
        #[command(flatten)]
        facts: Facts,
        #[command(flatten)]
        password: Password,
    },
    /// Give an account a new password
    Passwd {
        name: String,
        #[command(flatten)]
        password: Password,
    },
    /// Let accounts log in again
    Enable {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Keep accounts from logging in; ends their sessions
    Disable {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Remove accounts; their files stay
    Del {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Copy accounts from one store to another, passwords included
    Copy(Copy),
}

/// Between which stores, and what of it.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// Only these accounts
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Where they are: file, sqlite:PATH or postgres://… [default: accounts.store]
    #[arg(long, value_name = "STORE")]
    pub(crate) from: Option<String>,
    /// Where they go [default: accounts.store]
    #[arg(long, value_name = "STORE")]
    pub(crate) to: Option<String>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// What would be done, one JSON object a line: name, and act as copy, replace or skip
    #[arg(long, requires = "dry_run")]
    pub(crate) json: bool,
    /// Accounts that are there already: skip | update | fail [default: fail]
    #[arg(long, value_name = "W", default_value = "fail", hide_default_value = true)]
    #[arg(hide_possible_values = true)]
    pub(crate) on_conflict: OnConflict,
}

/// What can be said of an account.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Facts {
    /// Its folder; required by add unless a group says it
    #[arg(long, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Make the folder if it is missing
    #[arg(long)]
    pub(crate) create_home: bool,
    /// A group that says what is not said here; repeatable, the first counts before the others;
    /// empty = none
    #[arg(long = "group", value_name = "NAME")]
    pub(crate) groups: Vec<String>,
    /// Any password, or none, from the addresses of --allow alone
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", conflicts_with = "Password")]
    pub(crate) no_password: Option<bool>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What can be said of an account and of a group.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Common {
    /// read | read-write | upload | dropbox | full, a list such as list,read,upload, or letters
    /// elradfmwMT [default: read]
    #[arg(long, value_name = "P")]
    pub(crate) perm: Option<String>,
    /// Other rights below a path of the account; repeatable; VPATH= takes them away
    #[arg(long = "path", value_name = "VPATH=P")]
    pub(crate) paths: Vec<String>,
    /// A folder from elsewhere, seen at a path, with rights and a quota of its own; repeatable;
    /// VPATH= takes it away
    #[arg(long = "folder", value_name = "VPATH=DIR[:P][:quota=SIZE][:quota_files=N]")]
    pub(crate) folders: Vec<String>,
    /// Speed of its uploads together, e.g. 2MiB/s
    #[arg(long, value_name = "RATE")]
    pub(crate) up: Option<String>,
    /// Speed of its downloads together
    #[arg(long, value_name = "RATE")]
    pub(crate) down: Option<String>,
    /// Sessions at a time; 0 = no limit
    #[arg(long, value_name = "N")]
    pub(crate) sessions: Option<u32>,
    /// How many bytes it may keep, e.g. 20GiB; 0 = no limit
    #[arg(long, value_name = "SIZE")]
    pub(crate) quota: Option<String>,
    /// How many files and folders it may keep; 0 = no limit
    #[arg(long, visible_alias = "max-files", value_name = "N")]
    pub(crate) quota_files: Option<u32>,
    /// Logins from this address or network only; repeatable; empty = from anywhere
    #[arg(long, value_name = "CIDR")]
    pub(crate) allow: Vec<String>,
    /// Logged in at this time only, e.g. "mon-fri 08:00-18:00" or "22:00-06:00 Europe/Berlin";
    /// repeatable; empty = at any
    #[arg(long, value_name = "WHEN")]
    pub(crate) hours: Vec<String>,
    /// The last day, e.g. 2027-01-31, or a moment; empty = it does not end
    #[arg(long, value_name = "DATE")]
    pub(crate) expires: Option<String>,
    /// Only with TLS
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    pub(crate) require_tls: Option<bool>,
    /// For you
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Say nothing of this key of users.toml any more, so that groups or the server decide;
    /// repeatable
    #[arg(long, value_name = "KEY")]
    pub(crate) unset: Vec<String>,
}

/// Where a password comes from.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = false)]
#[expect(clippy::struct_field_names, reason = "the field is named as the option")]
pub(crate) struct Password {
    /// First line of a file; `-` is standard input
    #[arg(long, value_name = "F")]
    pub(crate) password_file: Option<PathBuf>,
    /// Make one and print it
    #[arg(long)]
    pub(crate) generate: bool,
    /// A hash that `wharf hash` or another server made
    #[arg(long, value_name = "H")]
    pub(crate) hash: Option<String>,
}
