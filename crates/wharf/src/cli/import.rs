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
    /// The text file of pure-pw, with or without the configuration
    Pureftpd {
        /// The text file, not the compiled .pdb
        #[arg(value_name = "PASSWD")]
        passwd: PathBuf,
        /// pure-ftpd.conf, or the folder with a file for each directive (Debian)
        #[arg(long, value_name = "CONF")]
        conf: Option<PathBuf>,
        #[command(flatten)]
        how: How,
    },
    #[command(about = "The file of AuthUserFile, with or without groups and configuration")]
    Proftpd {
        /// What ftpasswd writes
        #[arg(value_name = "PASSWD")]
        passwd: PathBuf,
        #[arg(help = "The file of AuthGroupFile")]
        #[arg(long, value_name = "FILE")]
        group: Option<PathBuf>,
        /// proftpd.conf
        #[arg(long, value_name = "CONF")]
        conf: Option<PathBuf>,
        #[command(flatten)]
        how: How,
    },
    /// The configuration, and accounts where there is a list of logins
    Vsftpd {
        /// vsftpd.conf
        #[arg(value_name = "CONF")]
        conf: PathBuf,
        #[arg(help = "The folder of user_config_dir, with a file for each user")]
        #[arg(long, value_name = "DIR")]
        user_config_dir: Option<PathBuf>,
        /// A list of names and passwords, a line each in turn
        #[arg(long, value_name = "FILE")]
        logins: Option<PathBuf>,
        #[command(flatten)]
        how: How,
    },
    // As text, not as a doc comment: the help is no Markdown.
    #[command(about = "Accounts in a table with a row of column names", long_about = CSV_ABOUT)]
    Csv {
        /// UTF-8 or GBK; commas, semicolons or tabs
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        how: How,
    },
}

const CSV_ABOUT: &str = "\
Accounts in a table with a row of column names

Columns, in any order; name and home are needed: name, password or password_hash, no_password, home,
permissions, paths (/in=upload;/old=read), enabled, upload_rate, download_rate,
transfer_upload_rate, transfer_download_rate, sessions, require_tls, comment.
`wharf user export` prints the same.";

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
            Self::Pyftpdlib { how, .. }
            | Self::Pureftpd { how, .. }
            | Self::Proftpd { how, .. }
            | Self::Vsftpd { how, .. }
            | Self::Csv { how, .. } => how,
        }
    }
}
