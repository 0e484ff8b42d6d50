//! The options of `wharf user`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::import::OnConflict;

/// Help of `--permissions` where it has no default.
pub(super) const PERMISSIONS: &str = "Permissions: read | read-write | upload | dropbox | full, a \
                                      list such as list,read,upload, or letters elradfmwMTC";

/// Manage accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add an account; prompts for the password unless an option provides it
    #[command(next_line_help = true)]
    Add {
        /// Up to 64 bytes; no slash, no control characters
        name: String,
        #[command(flatten)]
        facts: AccountArgs,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// List accounts
    List {
        /// Only names that match the pattern; `*` matches any characters, `?` one character
        pattern: Option<String>,
        /// Only disabled accounts
        #[arg(long)]
        disabled: bool,
        /// Only expired accounts
        #[arg(long)]
        expired: bool,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Print all accounts as CSV, as read by `wharf import csv`
    Export {
        /// As CSV, the only format and the default
        #[arg(long)]
        csv: bool,
        /// Include password hashes; keep the output secret
        #[arg(long)]
        with_hashes: bool,
    },
    /// Show the effective settings of an account and their origin: account, group or default
    Show {
        /// Name of the account
        name: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Change an account; only the given settings change
    #[command(next_line_help = true)]
    #[command(mut_arg("home", |home| home.help("Home folder")))]
    #[command(mut_arg("permissions", |given| given.help(PERMISSIONS)))]
    Edit {
        /// Name of the account
        name: String,
        #[command(flatten)]
        facts: AccountArgs,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Change the password of an account
    Passwd {
        /// Name of the account
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Enable accounts
    Enable {
        /// Names of the accounts
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Disable accounts and disconnect their sessions
    Disable {
        /// Names of the accounts
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Delete accounts; their files are kept
    Del {
        /// Names of the accounts
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Skip confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Copy accounts from one store to another, passwords included
    Copy(CopyArgs),
}

/// Stores and accounts to copy.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// Only these accounts
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Source: file, sqlite:PATH or postgres://… [default: accounts.store]
    #[arg(long, value_name = "STORE")]
    pub(crate) from: Option<String>,
    /// Target [default: accounts.store]
    #[arg(long, value_name = "STORE")]
    pub(crate) to: Option<String>,
    /// Show the changes without writing them
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: one JSON object per line: name, and action as copy, update or skip
    #[arg(long, requires = "dry_run")]
    pub(crate) json: bool,
    /// For existing accounts: skip | update | fail [default: fail]
    #[arg(long, value_name = "ACTION", default_value = "fail", hide_default_value = true)]
    #[arg(hide_possible_values = true)]
    pub(crate) on_conflict: OnConflict,
}

/// Settings of an account.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AccountArgs {
    /// Home folder; required unless a group sets it
    #[arg(long, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Create the folder if it is missing
    #[arg(long)]
    pub(crate) create_home: bool,
    /// Group whose settings apply where the account has none; repeatable, the first takes
    /// precedence; empty = none
    #[arg(long = "group", value_name = "NAME")]
    pub(crate) groups: Vec<String>,
    /// Accept any password, or none, but only from the addresses of --allowed-address
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", conflicts_with = "PasswordArgs")]
    #[arg(hide_possible_values = true)]
    pub(crate) no_password: Option<bool>,
    #[command(flatten)]
    pub(crate) common: SettingArgs,
}

/// Settings of an account or a group.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SettingArgs {
    /// Permissions: read | read-write | upload | dropbox | full, a list such as list,read,upload,
    /// or letters elradfmwMTC [default: read]
    #[arg(long, alias = "perm", value_name = "PERMISSIONS")]
    pub(crate) permissions: Option<String>,
    /// Other permissions below a path; repeatable; PATH= removes the rule
    #[arg(long = "path", value_name = "PATH=PERMISSIONS")]
    pub(crate) paths: Vec<String>,
    /// Virtual folder: DIR appears at PATH, with its own permissions and quota; repeatable;
    /// PATH= removes it
    #[arg(long = "folder", value_name = "PATH=DIR[:PERMISSIONS][:quota=SIZE][:quota_files=N]")]
    pub(crate) folders: Vec<String>,
    /// Rate limit of its uploads together, e.g. 2MiB/s
    #[arg(long, alias = "up", value_name = "RATE")]
    pub(crate) upload_rate: Option<String>,
    /// Rate limit of its downloads together
    #[arg(long, alias = "down", value_name = "RATE")]
    pub(crate) download_rate: Option<String>,
    /// Maximum number of sessions; 0 = unlimited
    #[arg(long, value_name = "N", value_parser = super::whole(0, u32::MAX))]
    pub(crate) sessions: Option<u32>,
    /// Storage quota, e.g. 20GiB; 0 = unlimited
    #[arg(long, value_name = "SIZE")]
    pub(crate) quota: Option<String>,
    /// Quota of files and folders; 0 = unlimited
    #[arg(long, alias = "max-files", value_name = "N", value_parser = super::whole(0, u32::MAX))]
    pub(crate) quota_files: Option<u32>,
    /// Allow logins only from this address or network; repeatable; empty = any
    #[arg(long = "allowed-address", aliases = ["allowed-addresses", "allow"])]
    #[arg(value_name = "ADDRESS")]
    pub(crate) allowed_addresses: Vec<String>,
    /// Allow sessions only at these times, e.g. "mon-fri 08:00-18:00" or
    /// "22:00-06:00 Europe/Berlin"; repeatable; empty = always
    #[arg(long, value_name = "WHEN")]
    pub(crate) hours: Vec<String>,
    /// Expiry: the last valid day, e.g. 2027-01-31, or a date and time; empty = never
    #[arg(long, value_name = "DATE")]
    pub(crate) expires: Option<String>,
    /// Allow logins only over TLS
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) require_tls: Option<bool>,
    /// Comment
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Remove this key of users.toml, so that the value of the groups or of wharf.toml applies;
    /// repeatable
    #[arg(long, value_name = "KEY")]
    pub(crate) unset: Vec<String>,
}

/// Source of a password.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = false)]
pub(crate) struct PasswordArgs {
    /// Read the password from the first line of a file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Generate a password and print it
    #[arg(long)]
    pub(crate) generate: bool,
    /// Password hash, from `wharf hash` or another server
    #[arg(long, value_name = "HASH")]
    pub(crate) hash: Option<String>,
}
