//! Every knob of the engine. Plain data: reading it from files is the program's business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use wharf_core::account::{Count, Rate};
use wharf_proto::reply::{Code, Reply};

use crate::certificate::Certificate;

/// How the engine behaves. `Settings::default()` is what a missing configuration means, except
/// that it has no certificate: without one, TLS is not offered.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen. At least one.
    pub listen: Vec<Listen>,
    /// The text of the 220 greeting, UTF-8, several lines if it has line feeds.
    pub greeting: String,
    /// The text of the 230 reply after a login; `{user}` and `{ip}` are filled in. Empty: a
    /// plain sentence.
    pub login_message: String,
    /// PASV and EPSV.
    pub passive: Passive,
    /// PORT and EPRT.
    pub active: Active,
    /// TLS; `None`: AUTH is answered 502, and no listener may be implicit.
    pub tls: Option<Tls>,
    /// From the connection to a login.
    pub login: Login,
    /// What becomes of those who guess passwords.
    pub ban: Ban,
    /// How many, how fast, how long.
    pub limits: Limits,
    /// Files.
    pub files: Files,
    /// Character sets and clocks of names and listings.
    pub names: Names,
    /// For clients that need something special.
    pub compat: Compat,
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The interface; `::` also takes IPv4 unless an IPv4 address with the same port is listed.
    pub address: IpAddr,
    /// Ports to try in order. The next is taken only if the system forbids the one before it
    /// (not when somebody else has it). 0 lets the system choose.
    pub ports: Vec<u16>,
    /// How TLS begins here.
    pub tls: ListenTls,
    /// Proxies that say for whom they come (PROXY protocol). If there are any, nobody else may
    /// come here, and each must say so first. Empty: clients come themselves.
    pub proxy_from: Vec<IpNet>,
}

/// How TLS begins on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenTls {
    /// Not at all: AUTH is refused here.
    Off,
    /// When the client asks (AUTH TLS, RFC 4217).
    Explicit,
    /// At once (port 990 by custom).
    Implicit,
}

/// PASV and EPSV.
#[derive(Clone, Debug)]
pub struct Passive {
    /// The data ports, both ends included. When all are in use the client hears 425.
    pub ports: RangeInclusive<u16>,
    /// What PASV announces to clients in `local_networks`, and to all if there is no
    /// `public_address`; `None`: the address at which the client reached us.
    pub address: Option<Ipv4Addr>,
    /// What PASV announces to clients outside `local_networks` (behind NAT).
    pub public_address: Option<Ipv4Addr>,
    /// Which clients are near.
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
    pub version_min: TlsVersion,
    /// Who must use it.
    pub require: TlsRequire,
    /// Whether a data connection must resume the TLS session of its control connection.
    pub session_reuse: SessionReuse,
    /// Whether an upload must end with the `close_notify` of TLS. If not, a FIN is enough; a reset
    /// never is.
    pub requires_close_notify: bool,
    /// The names that clients may ask for (SNI); one that asks for another hears the alert
    /// `unrecognized_name`. Empty: any name. Who asks for no name is always let in.
    pub names: Vec<String>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// Who must use TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsRequire {
    /// Nobody.
    Off,
    /// Whoever sends a password from outside `passive.local_networks`: 530 to USER.
    Public,
    /// Whoever sends a password: 530 to USER.
    Login,
    /// Everybody, on data connections too: 530 to USER, 521 to a transfer in the clear.
    All,
}

/// Whether a data connection must resume the TLS session of its control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionReuse {
    /// It need not; the address is checked as ever.
    Off,
    /// One that resumes this control connection's session is proven; any other is let in from the
    /// client's address only, and noted.
    Prefer,
    /// Anything else is refused with 522. Locks out clients that cannot resume.
    Require,
}

/// From the connection to a login.
#[derive(Clone, Debug)]
pub struct Login {
    /// Failed tries, after which 421 ends the session.
    pub attempts_max: u32,
    /// How long the answer to the first failed try is held back; each further one twice as long,
    /// up to ten seconds.
    pub failure_delay: Duration,
    /// From the connection to a successful login.
    pub timeout: Duration,
    /// Names that are refused before any check.
    pub deny_users: Vec<String>,
}

/// What becomes of those who guess passwords. One IPv4 address, or one IPv6 /64, counts as one.
#[derive(Clone, Debug)]
pub struct Ban {
    /// Whether addresses are banned and accounts locked because logins failed. Bans by hand hold
    /// in any case.
    pub is_enabled: bool,
    /// Failed logins of one address within `window`, on any connections, after which it is banned.
    pub attempts_max: u32,
    /// Failed logins with one name within `window`, from addresses from which that account never
    /// logged in, after which such addresses are no longer heard for `time`.
    pub account_attempts_max: u32,
    /// Failures are forgotten after this time.
    pub window: Duration,
    /// The first ban of an address; each further one lasts twice as long.
    pub time: Duration,
    /// The longest ban. As long as this after a ban, an address is remembered for its next one.
    pub time_max: Duration,
    /// Who is never banned, not even by hand.
    pub allow: Vec<IpNet>,
}

/// How many, how fast, how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sessions at a time.
    pub sessions: Count,
    /// Sessions at a time that have not logged in. Addresses from which somebody logged in lately
    /// are not held to it.
    pub sessions_before_login: Count,
    /// How many of `sessions`, but never more than a quarter, are kept for addresses from which
    /// somebody logged in lately.
    pub sessions_reserved: u32,
    /// Sessions at a time from one IPv4 address or one IPv6 /64.
    pub sessions_per_address: Count,
    /// Sessions at a time of one account, unless the account says otherwise.
    pub sessions_per_user: Count,
    /// What all uploads share.
    pub upload: Rate,
    /// What all downloads share.
    pub download: Rate,
    /// What the uploads of one address share.
    pub address_upload: Rate,
    /// What the downloads of one address share.
    pub address_download: Rate,
    /// What the uploads of one account share, unless the account says otherwise.
    pub user_upload: Rate,
    /// What the downloads of one account share, unless the account says otherwise.
    pub user_download: Rate,
    /// What one upload may use, unless the account says otherwise.
    pub transfer_upload: Rate,
    /// What one download may use, unless the account says otherwise.
    pub transfer_download: Rate,
    /// How long a session may say nothing while no transfer runs.
    pub idle_timeout: Duration,
    /// How long a transfer may move nothing.
    pub stall_timeout: Duration,
    /// The slowest a transfer may be on average over `rate_period`; `Unlimited`: as slow as it
    /// likes. A transfer that our own limits slow down may be slower.
    pub transfer_min: Rate,
    /// Over which time `transfer_min` is measured.
    pub transfer_min_period: Duration,
}

/// Files.
#[derive(Clone, Debug)]
pub struct Files {
    /// Whether any account may replace files; `false` takes that right from all.
    pub may_overwrite: bool,
    /// Whether STOR, STOU, APPE and MKD make missing directories on the way.
    pub makes_parents: bool,
    /// Whether an upload with fewer bytes than ALLO announced is taken for one that was cut.
    pub checks_announced_size: bool,
}

/// Character sets and clocks of names and listings.
#[derive(Clone, Debug)]
pub struct Names {
    /// How names go over the wire.
    pub encoding: Encoding,
    /// The old character set of clients that do not know UTF-8. With [`Encoding::Auto`] it is a
    /// hint: the set is recognised from what each client sends. None: nothing is known.
    pub legacy: Option<&'static encoding_rs::Encoding>,
    /// What a backslash in a path from a client means.
    pub backslash: Backslash,
    /// The clock of LIST. MLSD and MDTM are in UTC always.
    pub list_time: ListTime,
}

/// How names go over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, until a client sends bytes that are not; then the set in which they are recognised to
    /// be, for that session.
    Auto,
    /// UTF-8 (RFC 2640).
    Utf8,
    /// The legacy set. FEAT then does not name UTF8, and OPTS UTF8 ON is refused with 504, so
    /// that a client which asks falls back to its own old character set.
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

/// For clients that need something special.
#[derive(Clone, Debug, Default)]
pub struct Compat {
    /// Commands that are answered 502, in upper case.
    pub disabled_commands: Vec<String>,
    /// Whether data may be packed on its way (MODE Z).
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
    /// Nothing: for devices that forget TYPE I.
    Binary,
}

impl Settings {
    /// What a client hears first.
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
            passive: Passive::default(),
            active: Active { is_enabled: true, connect_timeout: Duration::from_secs(15) },
            tls: None,
            login: Login::default(),
            ban: Ban::default(),
            limits: Limits::default(),
            files: Files { may_overwrite: true, makes_parents: false, checks_announced_size: true },
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

impl Default for Passive {
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
            attempts_max: 3,
            failure_delay: Duration::from_secs(1),
            timeout: Duration::from_mins(1),
            deny_users: Vec::new(),
        }
    }
}

impl Default for Ban {
    fn default() -> Self {
        let is_loopback = |network: &IpNet| network.network().is_loopback();
        Self {
            is_enabled: true,
            attempts_max: 10,
            account_attempts_max: 50,
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
            sessions: Count::from_number(512),
            sessions_before_login: Count::from_number(128),
            sessions_reserved: 32,
            sessions_per_address: Count::from_number(40),
            sessions_per_user: Count::from_number(40),
            upload: Rate::Unlimited,
            download: Rate::Unlimited,
            address_upload: Rate::Unlimited,
            address_download: Rate::Unlimited,
            user_upload: Rate::Unlimited,
            user_download: Rate::Unlimited,
            transfer_upload: Rate::Unlimited,
            transfer_download: Rate::Unlimited,
            idle_timeout: Duration::from_mins(5),
            stall_timeout: Duration::from_mins(1),
            transfer_min: Rate::Unlimited,
            transfer_min_period: Duration::from_mins(1),
        }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self {
            encoding: Encoding::Auto,
            legacy: None,
            backslash: Backslash::Auto,
            list_time: ListTime::Local,
        }
    }
}

/// Loopback, link-local, RFC 1918 and unique local addresses: networks that nobody reaches from
/// outside.
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
