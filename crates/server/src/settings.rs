//! The settings of the engine, as plain data, each with the name of its key in the configuration
//! of the program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use wharf_core::account::{Count, Rate};
use wharf_proto::reply::{Code, Reply};

use crate::certificate::Certificate;

/// The settings of a server. `Settings::default()` equals an empty configuration, except that it
/// has no certificate and so does not offer TLS.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen. At least one.
    pub listen: Vec<Listen>,
    /// The text of the 220 greeting, UTF-8, several lines if it has line feeds.
    pub greeting: String,
    /// The text of the 230 reply after a login; `{user}` and `{ip}` are replaced. Empty: the
    /// default text.
    pub login_message: String,
    /// PASV and EPSV.
    pub passive: PassiveSettings,
    /// PORT and EPRT.
    pub active: Active,
    /// TLS; `None`: AUTH is answered 502, and no listener may be implicit.
    pub tls: Option<Tls>,
    /// Logins.
    pub login: Login,
    /// Bans after failed logins.
    pub ban: BanSettings,
    /// Limits of sessions, rates and times.
    pub limits: Limits,
    /// Files.
    pub files: Files,
    /// Character sets and clocks of names and listings.
    pub names: Names,
    /// Compatibility with old clients.
    pub compat: Compat,
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The interface; `::` also takes IPv4 unless an IPv4 address with the same port is listed.
    pub address: IpAddr,
    /// Ports to try in order. The next one is tried only if the system denies permission for the
    /// previous one, not if it is in use. 0 lets the system choose.
    pub ports: Vec<u16>,
    /// How TLS begins here.
    pub tls: ListenTls,
    /// Proxies that send the PROXY protocol. If not empty, only they may connect, and each
    /// connection must begin with the header. Empty: clients connect directly.
    pub proxy_from: Vec<IpNet>,
}

/// How TLS begins on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenTls {
    /// No TLS: AUTH is rejected.
    Off,
    /// On request (AUTH TLS, RFC 4217).
    Explicit,
    /// From the first byte (usually port 990).
    Implicit,
}

/// PASV and EPSV.
#[derive(Clone, Debug)]
pub struct PassiveSettings {
    /// The data ports, inclusive. When all are in use, the client gets 425.
    pub ports: RangeInclusive<u16>,
    /// What PASV announces to clients in `local_networks`, and to all if there is no
    /// `public_address`; `None`: the address at which the client reached us.
    pub address: Option<Ipv4Addr>,
    /// What PASV announces to clients outside `local_networks` (behind NAT).
    pub public_address: Option<Ipv4Addr>,
    /// The networks of local clients.
    pub local_networks: Vec<IpNet>,
    /// How long to wait for the data connection.
    pub accept_timeout: Duration,
}

/// PORT and EPRT.
#[derive(Clone, Debug)]
pub struct Active {
    /// Whether they are allowed at all.
    pub is_enabled: bool,
    /// How long to try to connect.
    pub connect_timeout: Duration,
}

/// TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate and its key.
    pub certificate: Certificate,
    /// The oldest version accepted.
    pub min_version: TlsVersion,
    /// Which clients must use it.
    pub require: TlsRequire,
    /// Whether a data connection must resume the TLS session of its control connection.
    pub session_reuse: SessionReuse,
    /// Whether an upload must end with the `close_notify` of TLS. If not, a FIN is enough, but
    /// never a reset.
    pub require_close_notify: bool,
    /// The accepted server names (SNI); other names are rejected with the alert
    /// `unrecognized_name`. Empty: any name. Clients that send no name are always accepted.
    pub server_names: Vec<String>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// Which clients must use TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsRequire {
    /// None.
    Off,
    /// Clients that send a password from outside `passive.local_networks`: 530 to USER.
    Public,
    /// Clients that send a password: 530 to USER.
    Login,
    /// All clients, on data connections too: 530 to USER, 521 to an unencrypted transfer.
    All,
}

/// Whether a data connection must resume the TLS session of its control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionReuse {
    /// Not required; the address is checked.
    Off,
    /// Preferred: a connection that does not resume the session must come from the client's
    /// address, and is reported.
    Prefer,
    /// Required, otherwise 522. Clients that cannot resume sessions do not work.
    Require,
}

/// Logins.
#[derive(Clone, Debug)]
pub struct Login {
    /// Failed attempts after which the session is closed with 421.
    pub max_attempts: u32,
    /// The delay of the reply to the first failed attempt; doubled for each further one, up to ten
    /// seconds.
    pub failure_delay: Duration,
    /// From the connection to a successful login.
    pub timeout: Duration,
    /// Names that may never log in.
    pub deny_users: Vec<String>,
}

/// Bans after failed logins. An IPv6 /64 counts as one address.
#[derive(Clone, Debug)]
pub struct BanSettings {
    /// Whether failed logins ban addresses and lock accounts. Manual bans are always in force.
    pub is_enabled: bool,
    /// Failed logins from one address within `window`, on any connections, after which it is
    /// banned.
    pub attempts: u32,
    /// Failed logins with one name within `window`, from addresses from which that account never
    /// logged in, after which logins from such addresses are rejected for `time`.
    pub account_attempts: u32,
    /// The period in which failures are counted.
    pub window: Duration,
    /// The duration of the first ban of an address; each further one lasts twice as long.
    pub time: Duration,
    /// The longest ban. An expired ban is remembered for this time to lengthen the next one.
    pub time_max: Duration,
    /// Networks that are never banned, not even manually.
    pub allow: Vec<IpNet>,
}

/// Limits of sessions, rates and times.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Concurrent sessions.
    pub connections: Count,
    /// Concurrent unauthenticated sessions. Addresses with a recent login are exempt.
    pub connections_before_login: Count,
    /// How many of `connections`, at most a quarter, are reserved for addresses with a recent
    /// login.
    pub connections_reserved: u32,
    /// Concurrent sessions from one IPv4 address or one IPv6 /64.
    pub connections_per_ip: Count,
    /// Concurrent sessions of one account; the account can override it.
    pub sessions_per_user: Count,
    /// The rate of all uploads together.
    pub upload_rate: Rate,
    /// The rate of all downloads together.
    pub download_rate: Rate,
    /// The rate of all uploads of one address.
    pub ip_upload_rate: Rate,
    /// The rate of all downloads of one address.
    pub ip_download_rate: Rate,
    /// The rate of all uploads of one account; the account can override it.
    pub user_upload_rate: Rate,
    /// The rate of all downloads of one account; the account can override it.
    pub user_download_rate: Rate,
    /// The rate of one upload; the account can override it.
    pub transfer_upload_rate: Rate,
    /// The rate of one download; the account can override it.
    pub transfer_download_rate: Rate,
    /// After how long without a command and without a transfer a session is closed.
    pub idle_timeout: Duration,
    /// After how long without progress a transfer is aborted.
    pub transfer_stall_timeout: Duration,
    /// The minimum average rate of a transfer over `transfer_min_rate_period`; `Unlimited`: none.
    /// Time that a transfer waits for rate limits does not count.
    pub transfer_min_rate: Rate,
    /// The period over which `transfer_min_rate` is measured.
    pub transfer_min_rate_period: Duration,
}

/// Files.
#[derive(Clone, Debug)]
pub struct Files {
    /// Whether files may be replaced at all; `false` removes that permission from all accounts.
    pub overwrite: bool,
    /// Whether STOR, STOU, APPE and MKD create missing parent directories.
    pub create_parent_dirs: bool,
    /// Whether an upload with fewer bytes than announced with ALLO counts as truncated.
    pub enforce_allo_size: bool,
}

/// Character sets and clocks of names and listings.
#[derive(Clone, Debug)]
pub struct Names {
    /// The encoding of names on the wire.
    pub encoding: Encoding,
    /// The legacy character set of clients that do not support UTF-8. With [`Encoding::Auto`] it is
    /// a hint: the set is detected from what each client sends. None: no hint.
    pub legacy_encoding: Option<&'static encoding_rs::Encoding>,
    /// What a backslash in a path from a client means.
    pub backslash_as_slash: Backslash,
    /// The clock of LIST. MLSD and MDTM are in UTC always.
    pub list_time: ListTime,
}

/// The encoding of names on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, until a client sends bytes that are not; then the set in which they are recognised to
    /// be, for that session.
    Auto,
    /// UTF-8 (RFC 2640).
    Utf8,
    /// The legacy set. FEAT then does not name UTF8, and OPTS UTF8 ON is rejected with 504, so
    /// that a client that requests it falls back to its own old character set.
    Legacy,
}

/// What a backslash in a path from a client means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backslash {
    /// A slash, unless something has that literal name.
    Auto,
    /// A slash.
    Slash,
    /// Itself.
    Literal,
}

/// The clock of LIST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListTime {
    /// The time zone of the computer.
    Local,
    /// UTC.
    Utc,
}

/// Compatibility with old clients.
#[derive(Clone, Debug, Default)]
pub struct Compat {
    /// Commands that are answered 502, in upper case.
    pub disable_commands: Vec<String>,
    /// Whether MODE Z (compression) is offered.
    pub mode_z: bool,
    /// What TYPE A does.
    pub ascii: Ascii,
}

/// What TYPE A does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ascii {
    /// Converts line ends (RFC 959 §3.1.1.1).
    #[default]
    Convert,
    /// Transfers bytes unchanged, for devices that do not send TYPE I.
    Binary,
}

impl Settings {
    /// The 220 greeting.
    pub(crate) fn greeting_reply(&self) -> Reply {
        Reply::lines(Code::READY, self.greeting.lines().map(str::to_owned))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![Listen::default()],
            greeting: "Service ready.".into(),
            login_message: String::new(),
            passive: PassiveSettings::default(),
            active: Active { is_enabled: true, connect_timeout: Duration::from_secs(15) },
            tls: None,
            login: Login::default(),
            ban: BanSettings::default(),
            limits: Limits::default(),
            files: Files { overwrite: true, create_parent_dirs: false, enforce_allo_size: true },
            names: Names::default(),
            compat: Compat::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: Ipv6Addr::UNSPECIFIED.into(),
            ports: vec![21, 2121],
            tls: ListenTls::Explicit,
            proxy_from: Vec::new(),
        }
    }
}

impl Default for PassiveSettings {
    fn default() -> Self {
        Self {
            ports: 30_000..=30_999,
            address: None,
            public_address: None,
            local_networks: private_networks(),
            accept_timeout: Duration::from_secs(20),
        }
    }
}

impl Default for Login {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            failure_delay: Duration::from_secs(1),
            timeout: Duration::from_mins(1),
            deny_users: Vec::new(),
        }
    }
}

impl Default for BanSettings {
    fn default() -> Self {
        let is_loopback = |network: &IpNet| network.network().is_loopback();
        Self {
            is_enabled: true,
            attempts: 10,
            account_attempts: 50,
            window: Duration::from_mins(10),
            time: Duration::from_mins(10),
            time_max: Duration::from_hours(24),
            allow: private_networks().into_iter().filter(is_loopback).collect(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: Count::from_number(512),
            connections_before_login: Count::from_number(128),
            connections_reserved: 32,
            connections_per_ip: Count::from_number(40),
            sessions_per_user: Count::from_number(40),
            upload_rate: Rate::Unlimited,
            download_rate: Rate::Unlimited,
            ip_upload_rate: Rate::Unlimited,
            ip_download_rate: Rate::Unlimited,
            user_upload_rate: Rate::Unlimited,
            user_download_rate: Rate::Unlimited,
            transfer_upload_rate: Rate::Unlimited,
            transfer_download_rate: Rate::Unlimited,
            idle_timeout: Duration::from_mins(5),
            transfer_stall_timeout: Duration::from_mins(1),
            transfer_min_rate: Rate::Unlimited,
            transfer_min_rate_period: Duration::from_mins(1),
        }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self {
            encoding: Encoding::Auto,
            legacy_encoding: None,
            backslash_as_slash: Backslash::Auto,
            list_time: ListTime::Local,
        }
    }
}

/// Loopback, link-local, RFC 1918 and unique local addresses, which are not reachable from the
/// internet.
pub fn private_networks() -> Vec<IpNet> {
    const NETWORKS: &[(IpAddr, u8)] = &[
        (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
        (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
        (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
        (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
        (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
        (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
        (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
        (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    ];
    NETWORKS.iter().map(|&(address, length)| IpNet::new_assert(address, length)).collect()
}
