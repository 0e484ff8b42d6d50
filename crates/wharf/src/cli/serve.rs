//! The options of `wharf serve`, and the configuration keys that they set.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args};
use wharf_config::choice::{TlsMode, TlsRequire};
use wharf_config::gather::Flag;
use wharf_config::raw::Raw;
use wharf_config::value::{
    self, ConfigValue, LegacyEncoding, ListenPort, PortRange, PublicAddress,
};
use wharf_config::wait::Wait;
use wharf_core::account::{Count, Rate};

use wharf_config::outcome::HINT;

/// Share a folder, or run with a configuration file
///
/// Without a configuration file, a quick share is started: one account with a generated password,
/// read-only; logins from outside the local network require TLS.
#[derive(Clone, Debug, Default, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct ServeArgs {
    /// Folder to share [default: current folder]
    #[arg(value_name = "DIR", help_heading = SHARE)]
    pub(crate) folder: Option<PathBuf>,
    /// The same as DIR
    #[arg(short, long, value_name = "DIR", help_heading = SHARE, conflicts_with = "folder")]
    pub(crate) directory: Option<PathBuf>,
    /// Allow upload, rename, delete
    #[arg(short, long, help_heading = SHARE)]
    pub(crate) write: bool,
    /// User name [default: wharf]
    #[arg(short, long, value_name = "NAME", help_heading = SHARE)]
    pub(crate) username: Option<String>,
    /// Password; visible to other local users, prefer --password-file
    #[arg(short = 'P', long, value_name = "PASSWORD", help_heading = SHARE)]
    pub(crate) password: Option<String>,
    /// Read the password from the first line of a file; `-` is standard input, with a prompt on a
    /// terminal
    #[arg(long, value_name = "FILE", help_heading = SHARE, conflicts_with = "password")]
    pub(crate) password_file: Option<PathBuf>,
    /// Allow anonymous users, without a password. With -w, asks for confirmation (or needs --yes)
    #[arg(short = 'A', long, help_heading = SHARE)]
    #[arg(conflicts_with_all = ["username", "password", "password_file"])]
    pub(crate) anonymous: bool,
    /// With -A: upload only, no listing, no download
    #[arg(long, help_heading = SHARE, requires = "anonymous")]
    pub(crate) dropbox: bool,
    /// Address to listen on; repeatable [default: all]
    #[arg(short = 'i', long = "address", alias = "interface", value_name = "ADDRESS")]
    #[arg(help_heading = SHARE, value_parser = text_of::<std::net::IpAddr>)]
    pub(crate) addresses: Vec<String>,
    /// Port to listen on [default: 21 if permitted, else 2121]
    #[arg(short, long, value_name = "PORT", help_heading = SHARE)]
    #[arg(value_parser = text_of::<ListenPort>)]
    pub(crate) port: Option<String>,
    /// Passive port range [default: 30000-30999]
    #[arg(short = 'r', long, alias = "range", value_name = "PORTS", help_heading = SHARE)]
    #[arg(value_parser = text_of::<PortRange>)]
    pub(crate) passive_ports: Option<String>,
    /// Address announced to clients outside the local network
    #[arg(short = 'n', long, alias = "nat-address", value_name = "HOST")]
    #[arg(help_heading = SHARE, value_parser = text_of::<PublicAddress>)]
    pub(crate) public_address: Option<String>,
    /// TLS mode: off | explicit | implicit [default: explicit]
    #[arg(long, value_name = "MODE", help_heading = SHARE, hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(TlsMode::WORDS))]
    pub(crate) tls: Option<String>,
    /// Require TLS: off | public | login | all [default: public]
    #[arg(long, value_name = "LOGINS", help_heading = SHARE, hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(TlsRequire::WORDS))]
    pub(crate) require_tls: Option<String>,
    /// Certificate chain, PEM [default: self-signed, created once]
    #[arg(long, aliases = ["cert", "certfile"], value_name = "FILE", help_heading = SHARE)]
    #[arg(requires = "private_key")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, aliases = ["key", "keyfile"], value_name = "FILE", help_heading = SHARE)]
    #[arg(requires = "certificate")]
    pub(crate) private_key: Option<PathBuf>,
    /// Character set of file names: auto | utf-8 | gbk | ... [default: auto]
    #[arg(long, alias = "encoding", value_name = "NAME", help_heading = SHARE)]
    #[arg(value_parser = encoding)]
    pub(crate) legacy_encoding: Option<String>,
    /// Maximum number of control connections [default: 512]
    #[arg(long, alias = "max-cons", value_name = "N", help_heading = SHARE)]
    #[arg(value_parser = text_of::<Count>)]
    pub(crate) connections: Option<String>,
    /// Maximum number of control connections of one IP address [default: 40]
    #[arg(long, alias = "max-cons-per-ip", value_name = "N", help_heading = SHARE)]
    #[arg(value_parser = text_of::<Count>)]
    pub(crate) connections_per_ip: Option<String>,
    /// Rate limit of all uploads together, e.g. 2MiB/s
    #[arg(long, alias = "limit-up", value_name = "RATE", help_heading = SHARE)]
    #[arg(value_parser = text_of::<Rate>)]
    pub(crate) upload_rate: Option<String>,
    /// Rate limit of all downloads together
    #[arg(long, alias = "limit-down", value_name = "RATE", help_heading = SHARE)]
    #[arg(value_parser = text_of::<Rate>)]
    pub(crate) download_rate: Option<String>,
    /// Stop after this time, e.g. 2h
    #[arg(
        long = "for",
        alias = "time",
        value_name = "TIME",
        help_heading = RUN,
        value_parser = time
    )]
    pub(crate) stop_after: Option<Duration>,
    /// Ignore configuration files
    #[arg(long, help_heading = RUN, conflicts_with = "config")]
    pub(crate) no_config: bool,
    /// Print the configuration that results from these options, then exit
    #[arg(long, help_heading = RUN)]
    pub(crate) print_config: bool,
    /// Print log lines instead of the start panel
    #[arg(long, help_heading = RUN)]
    pub(crate) foreground_log: bool,
    /// Skip confirmation
    #[arg(long, help_heading = RUN)]
    pub(crate) yes: bool,
    /// Log only errors
    #[arg(short, long, help_heading = RUN, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log every command, reply and connection (log.level = debug); -vv: also the steps of each
    /// (trace)
    #[arg(short, long, help_heading = RUN, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

const SHARE: &str = "Quick share (short options as in `python -m pyftpdlib`)";
const RUN: &str = "Run";

const AFTER_HELP: &str = "\
With a configuration file:
  Options that set keys (-i -p -r -n --tls ... --upload-rate) override the file.
  -d, DIR, -w, -u, -P, --password-file, -A and --dropbox select a quick share:
  one account and one folder replace the accounts of the configuration file; its
  other settings still apply.
  --no-config ignores the file.
  -i replaces the listeners of the file; -p and --tls apply to all of them.

Examples:
  wharf                                  current folder, read-only, new password
  wharf -w -u me --password-file - /srv  write access; prompts for the password
  wharf -A /srv/pub                      anonymous access, read-only
  wharf --for 2h -p 2121                 stop after two hours
  wharf -c /etc/wharf/wharf.toml         with a configuration file

Exit codes:
  0 success   1 failed   2 usage error   77 permission denied
  78 invalid configuration   130 interrupted";

impl ServeArgs {
    /// Whether any option selects a quick share.
    pub(crate) fn is_share(&self) -> bool {
        self.folder.is_some()
            || self.directory.is_some()
            || self.write
            || self.username.is_some()
            || self.password.is_some()
            || self.password_file.is_some()
            || self.anonymous
    }

    /// The keys that the options set, except those that define the quick share.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        let mut put = |path: &str, flag: &str, value: Option<&String>| {
            if let Some(value) = value {
                flags.push(Flag {
                    shown: format!("{flag} {value}"),
                    path: path.into(),
                    raw: Raw::Plain(value.clone()),
                });
            }
        };
        for (index, address) in self.addresses.iter().enumerate() {
            put(&format!("listen.{index}.address"), "-i", Some(address));
        }
        put("listen.*.port", "-p", self.port.as_ref());
        put("listen.*.tls", "--tls", self.tls.as_ref());
        put("passive.ports", "-r", self.passive_ports.as_ref());
        put("passive.public_address", "-n", self.public_address.as_ref());
        put("tls.require", "--require-tls", self.require_tls.as_ref());
        put("tls.certificate", "--certificate", path_text(self.certificate.as_ref()).as_ref());
        put("tls.private_key", "--private-key", path_text(self.private_key.as_ref()).as_ref());
        put("limits.connections", "--connections", self.connections.as_ref());
        put("limits.connections_per_ip", "--connections-per-ip", self.connections_per_ip.as_ref());
        put("limits.upload_rate", "--upload-rate", self.upload_rate.as_ref());
        put("limits.download_rate", "--download-rate", self.download_rate.as_ref());
        if let Some(encoding) = &self.legacy_encoding {
            let (mode, set) = match encoding.as_str() {
                "auto" | "utf-8" => (encoding.clone(), None),
                set => ("legacy".to_owned(), Some(set.to_owned())),
            };
            put("names.encoding", "--legacy-encoding", Some(&mode));
            put("names.legacy_encoding", "--legacy-encoding", set.as_ref());
        }
        if self.quiet {
            flags.push(Flag {
                shown: "-q".into(),
                path: "log.level".into(),
                raw: Raw::Text("error".into()),
            });
        }
        if self.verbose > 0 {
            let (shown, level) = if self.verbose == 1 { ("-v", "debug") } else { ("-vv", "trace") };
            flags.push(Flag {
                shown: shown.into(),
                path: "log.level".into(),
                raw: Raw::Text(level.into()),
            });
        }
        flags
    }
}

/// A path as text, absolute, so that it can be used in a configuration file elsewhere.
pub(crate) fn path_text(path: Option<&PathBuf>) -> Option<String> {
    let path = path?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    Some(absolute.to_string_lossy().into_owned())
}

/// Validates the text as a value of the type, and returns the text.
fn text_of<T: ConfigValue>(text: &str) -> Result<String, String> {
    value::parse::<T>(text).map(|_| text.to_owned()).map_err(joined)
}

pub(crate) fn time(text: &str) -> Result<Duration, String> {
    value::parse::<Wait>(text).map(|wait| wait.0).map_err(joined)
}

fn encoding(text: &str) -> Result<String, String> {
    match text {
        "auto" | "utf-8" => Ok(text.to_owned()),
        "utf8" | "UTF-8" => Ok("utf-8".to_owned()),
        _ => text_of::<LegacyEncoding>(text),
    }
}

fn joined(wrong: value::InvalidValue) -> String {
    // The message shows the value.
    let why = wrong.why.rsplit_once(", found ").map_or(wrong.why.as_str(), |(why, _)| why);
    match wrong.hint {
        Some(hint) => format!("{why}{HINT}{hint}"),
        None => why.to_owned(),
    }
}
