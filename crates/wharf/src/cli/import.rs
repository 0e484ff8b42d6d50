//! What `wharf import` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::import::text::SourceEncoding;

/// Move in from another server.
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// The script with settings.py and user.py, or a program of one's own; read, never run
    Pyftpdlib {
        /// Folder, settings.py, user.py or FtpServer.py
        #[arg(value_name = "DIR|FILE")]
        path: PathBuf,
        #[command(flatten)]
        how: How,
    },
}

/// What is done with what was read.
#[derive(Clone, Debug, Args)]
pub(crate) struct How {
    /// Show the result and every line not carried over; the default
    #[arg(long, conflicts_with = "write")]
    pub(crate) dry_run: bool,
    /// Write wharf.toml and users.toml
    #[arg(long)]
    pub(crate) write: bool,
    /// Write wharf.toml where one is; the old one is kept beside it
    #[arg(long, requires = "write")]
    pub(crate) force: bool,
    /// Encoding of the old files [default: detect utf-8, gbk]
    #[arg(long, value_name = "E", default_value = "detect", hide_default_value = true)]
    pub(crate) source_encoding: SourceEncoding,
    /// Accounts that are there already: skip | update | fail [default: fail]
    #[arg(long, value_name = "W", default_value = "fail", hide_default_value = true)]
    #[arg(hide_possible_values = true)]
    pub(crate) on_conflict: OnConflict,
}

/// What happens to an account that is in `users.toml` already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OnConflict {
    /// It stays as it is.
    Skip,
    /// It gets what the old set-up says, password included.
    Update,
    /// Nothing is written at all.
    Fail,
}

impl Import {
    /// What is done with what was read.
    pub(crate) fn how(&self) -> &How {
        match self {
            Self::Pyftpdlib { how, .. } => how,
        }
    }
}
