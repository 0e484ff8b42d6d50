//! The options of `wharf import`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use wharf_import::text::SourceEncoding;

/// Migrate from another server.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// A script with settings.py and user.py, or another program; it is read, never executed
    Pyftpdlib {
        /// Folder, settings.py, user.py or FtpServer.py
        #[arg(value_name = "DIR|FILE")]
        path: PathBuf,
        #[command(flatten)]
        how: ImportArgs,
    },
    /// The text file of pure-pw, and optionally the configuration
    Pureftpd {
        /// The text file, not the compiled .pdb
        #[arg(value_name = "PASSWD")]
        passwd: PathBuf,
        /// pure-ftpd.conf, or the folder with a file for each directive (Debian)
        #[arg(long, value_name = "CONF")]
        conf: Option<PathBuf>,
        #[command(flatten)]
        how: ImportArgs,
    },
    #[command(about = "The AuthUserFile, and optionally groups and configuration")]
    Proftpd {
        /// File written by ftpasswd
        #[arg(value_name = "PASSWD")]
        passwd: PathBuf,
        #[arg(help = "The AuthGroupFile")]
        #[arg(long, value_name = "FILE")]
        group: Option<PathBuf>,
        /// proftpd.conf
        #[arg(long, value_name = "CONF")]
        conf: Option<PathBuf>,
        #[command(flatten)]
        how: ImportArgs,
    },
    /// The configuration, and accounts if a list of logins is given
    Vsftpd {
        /// vsftpd.conf
        #[arg(value_name = "CONF")]
        conf: PathBuf,
        #[arg(help = "The user_config_dir, a folder with a file per user")]
        #[arg(long, value_name = "DIR")]
        user_config_dir: Option<PathBuf>,
        /// List with user names and passwords on alternating lines
        #[arg(long, value_name = "FILE")]
        logins: Option<PathBuf>,
        #[command(flatten)]
        how: ImportArgs,
    },
    // Not a doc comment: the help text is not Markdown.
    #[command(about = "A table of accounts with a header row", long_about = CSV_ABOUT)]
    Csv {
        /// UTF-8 or GBK; commas, semicolons or tabs
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        how: ImportArgs,
    },
}

const CSV_ABOUT: &str = "\
A table of accounts with a header row

Columns, in any order; name and home are required:
  name, home
  password, password_hash        in plain text, or a hash
  no_password                    true: no password; requires allowed_addresses
  permissions, paths             such as read-write, and /in=upload;/old=read
  enabled, require_tls           true or false
  upload_rate, download_rate     of all transfers of the account, such as 2MiB/s
  transfer_upload_rate, transfer_download_rate
                                 of each transfer
  sessions, quota, quota_files   such as 5, 20GiB and 10000; 0 = unlimited
  allowed_addresses              addresses and networks, separated by spaces
  hours, expires                 such as mon-fri 08:00-18:00, and 2027-01-31
  groups                         names, separated by spaces
  comment

The first row names them. `wharf user export` prints this format.";

/// How the result is written.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportArgs {
    /// Show the result and every line that cannot be converted; the default
    #[arg(long, conflicts_with = "write")]
    pub(crate) dry_run: bool,
    /// Write wharf.toml and users.toml
    #[arg(long)]
    pub(crate) write: bool,
    /// Replace an existing wharf.toml; the old one is kept as wharf.toml.old
    #[arg(long, requires = "write")]
    pub(crate) force: bool,
    /// Character set of the files, such as gbk or big5 [default: detect UTF-8 or GBK]
    #[arg(long, value_name = "NAME", default_value = "detect", hide_default_value = true)]
    pub(crate) source_encoding: SourceEncoding,
    /// For existing accounts: skip | update | fail [default: fail]
    #[arg(long, value_name = "ACTION", default_value = "fail", hide_default_value = true)]
    #[arg(hide_possible_values = true)]
    pub(crate) on_conflict: OnConflict,
}

/// What happens to accounts that exist in `users.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OnConflict {
    /// They are kept unchanged.
    Skip,
    /// They are replaced, password included.
    Update,
    /// Nothing is written.
    Fail,
}

impl ImportCommand {
    /// How the result is written.
    pub(crate) fn how(&self) -> &ImportArgs {
        match self {
            Self::Pyftpdlib { how, .. }
            | Self::Pureftpd { how, .. }
            | Self::Proftpd { how, .. }
            | Self::Vsftpd { how, .. }
            | Self::Csv { how, .. } => how,
        }
    }
}
