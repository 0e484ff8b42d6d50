//! Every configuration key: its name, type, default and description.
//!
//! From each section, `sections!` generates the struct that the program reads and the rows of
//! [`SECTIONS`], from which the default file, the reference, the suggestions and the checks of
//! flags and environment variables are derived.

use std::net::IpAddr;

use wharf_core::account::{Count, Rate, Size};

use super::choice::{
    AnonymousPermissions, Ascii, Backslash, Durability, ListTime, LogFormat, LogLevel,
    NameEncoding, OnFailure, Sandbox, SessionReuse, Symlinks, TlsMode, TlsRequire, TlsVersion,
};
use super::counts::{AutoCount, FewPrograms, RotatedFiles, WholeNumber};
use super::hook::{EventNames, ExitCodes, ProgramLine, Url};
use super::layers::ConfigReader;
use super::log_levels::TargetLevels;
use super::login_sources::{HomePattern, LoginOrder, OptionalUrl, PermissionSet, Urls};
use super::store::AccountStore;
use super::value::{
    Announced, AutoPath, Commands, ConfigValue, FilePath, Folders, FreeSpaceReserve,
    LegacyEncoding, ListenPort, Networks, OptionalAddress, OptionalPath, PortRange, Positive,
    PublicAddress, Umask, Version,
};
use super::wait::{OptionalTimeout, Span, Wait};

/// A configuration key.
#[derive(Debug)]
pub struct ConfigKey {
    /// Its section; empty for keys before the first.
    pub section: &'static str,
    /// Its name in the section.
    pub name: &'static str,
    /// Its default, as TOML.
    pub default: &'static str,
    /// Its type, as it completes the sentence "expected …".
    pub kind: &'static str,
    /// Its description, one line of the default file each.
    pub about: &'static [&'static str],
    /// Whether a change takes effect only after a restart.
    pub needs_restart: bool,
}

/// A section of the configuration file.
#[derive(Debug)]
pub struct ConfigSection {
    /// Its name; empty for keys before the first.
    pub name: &'static str,
    /// Its description.
    pub about: &'static str,
    /// Whether the table may be repeated.
    pub is_list: bool,
    /// Its keys, in order.
    pub keys: &'static [ConfigKey],
}

impl ConfigKey {
    /// Its full name, such as `passive.ports`.
    pub fn path(&self) -> String {
        join(self.section, self.name)
    }
}

/// The full name of a key.
pub fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.into() } else { format!("{section}.{name}") }
}

/// The key with this full name, such as `listen.0.port`.
pub fn key_at(path: &str) -> Option<&'static ConfigKey> {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    let is_section = SECTIONS.iter().any(|known| known.name == section);
    let list = section.split_once('.').filter(|_| !is_section);
    let section = list.map_or(section, |(list, _)| list);
    keys().find(|key| key.section == section && key.name == name)
}

/// All keys.
pub fn keys() -> impl Iterator<Item = &'static ConfigKey> {
    SECTIONS.iter().flat_map(|section| section.keys)
}

macro_rules! sections {
    ($(
        #[doc = $section_about:literal]
        $(($list:ident))? $section:literal $name:ident {
            $(
                $(#[doc = $about:literal])+
                $([$restart:ident])? $key:ident: $kind:ty = $default:literal,
            )+
        }
    )+) => {
        /// Every section with its keys, in the order of the default file.
        pub static SECTIONS: &[ConfigSection] = &[$(ConfigSection {
            name: $section,
            about: $section_about,
            is_list: sections!(@is $($list)?),
            keys: &[$(ConfigKey {
                section: $section,
                name: stringify!($key),
                default: $default,
                kind: <$kind as ConfigValue>::KIND,
                about: &[$($about),+],
                needs_restart: sections!(@is $($restart)?),
            }),+],
        }),+];

        $(
            // The descriptions are not Markdown, so they cannot be doc comments.
            #[doc = concat!("The keys of `", $section, "`.")]
            #[derive(Clone, Debug)]
            pub struct $name {
                $(#[doc = concat!("`", stringify!($key), "`")] pub $key: $kind,)+
            }

            impl $name {
                /// Reads the section's keys below `at`.
                pub fn read(reader: &mut ConfigReader<'_>, at: &str) -> Self {
                    Self {
                        $($key: reader.take(&join(at, stringify!($key)), $default),)+
                    }
                }
            }
        )+
    };
    (@is) => { false };
    (@is $mark:ident) => { true };
}

sections! {
    /// The configuration file itself.
    "" Preamble {
        /// version of the format of this file
        config_version: Version = "1",
    }

    /// Process, folders and texts of the server.
    "server" Server {
        /// text after 220; the version is never sent
        greeting: String = "\"Service ready.\"",
        /// text of the reply to a login; {user} and {ip} are replaced; empty = a default sentence
        login_message: String = "\"\"",
        /// folder for the certificate and other state; auto = the standard folder of the system
        [R] state_dir: AutoPath = "\"auto\"",
        /// the file with the accounts; wharf writes to it, but never to this one;
        /// accounts.store can name a database instead
        [R] users_file: FilePath = "\"users.toml\"",
        /// if started as root: the system user to switch to after ports and keys are opened (Linux)
        [R] user: String = "\"\"",
        /// the system group to switch to; empty = the primary group of that user
        [R] group: String = "\"\"",
        /// restrict the process to the files, ports and system calls that it needs (Linux)
        /// auto: as far as the system supports it | on: do not start without it | off
        [R] sandbox: Sandbox = "\"auto\"",
        /// folders that may contain homes of accounts that are added later; with the sandbox,
        /// homes elsewhere can be opened only after a restart
        [R] homes: Folders = "[]",
        /// on SIGTERM or Ctrl+C, time for running transfers to finish
        shutdown_grace: Span = "\"30s\"",
    }

    /// Addresses to listen on; repeat the table for more.
    (list) "listen" Listen {
        /// [::] = all interfaces, IPv4 and IPv6
        [R] address: IpAddr = "\"[::]\"",
        /// auto = 21 if the system permits it, else 2121 (implicit: 990, else 2990)
        [R] port: ListenPort = "\"auto\"",
        /// explicit (AUTH TLS) | implicit (usually on port 990) | off
        [R] tls: TlsMode = "\"explicit\"",
        /// true: connections come from a proxy that sends the PROXY protocol (v1 or v2)
        [R] proxy: bool = "false",
        /// addresses of these proxies, e.g. ["10.0.0.5"]; other connections are rejected
        [R] proxy_from: Networks = "[]",
    }

    /// Passive mode: the client opens the data connection.
    "passive" Passive {
        /// first and last port; the default is below the ephemeral ranges of Linux and Windows
        [R] ports: PortRange = "\"30000-30999\"",
        /// address announced by PASV: auto = the one that the client connected to
        address: Announced = "\"auto\"",
        /// IPv4 address or host name announced to clients outside local_networks (NAT, Docker);
        /// a name is resolved at start, on each reload, and every `resolve_every`
        public_address: PublicAddress = "\"\"",
        /// how often a host name in public_address is resolved again
        resolve_every: Wait = "\"5m\"",
        /// networks whose clients get `address`; "private" = RFC 1918, ULA, loopback, link-local
        local_networks: Networks = "[\"private\"]",
        /// how long a transfer waits for its data connection; a port for which no transfer is
        /// requested is released after 30 s, or after this time if it is longer
        accept_timeout: Wait = "\"20s\"",
    }

    /// Active mode: the server opens the data connection, only to the address of the client.
    "active" Active {
        /// ftp.exe of Windows and some devices support only active mode
        [R] enabled: bool = "true",
        /// timeout for connecting to the client
        connect_timeout: Wait = "\"15s\"",
    }

    /// Encryption (TLS): certificate, versions, and where it is required.
    "tls" Tls {
        /// auto = create a self-signed one and store it; else the path of a PEM file with the chain
        certificate: AutoPath = "\"auto\"",
        /// path of the PEM file with its private key; required unless certificate is auto
        private_key: OptionalPath = "\"\"",
        /// minimum version: 1.2 | 1.3
        min_version: TlsVersion = "\"1.2\"",
        /// off | public | login | all
        /// public: password logins from outside passive.local_networks need TLS
        /// login: every password login needs TLS    all: data connections need it, too
        require: TlsRequire = "\"public\"",
        /// TLS session resumption on data connections: off | prefer | require
        /// prefer: verified if the client resumes, accepted if it does not
        /// require: rejects clients that cannot (many in .NET and Java); uses TLS 1.2 if offered
        session_reuse: SessionReuse = "\"prefer\"",
        /// an upload over TLS must end with close_notify, or have exactly the size given by ALLO
        /// false: the end of the connection suffices, so a truncated upload can appear complete
        require_close_notify: bool = "true",
        /// host names accepted in SNI, e.g. ["ftp.example.com"]; empty = any
        /// clients that send another name are rejected; clients without SNI are accepted
        server_names: Vec<String> = "[]",
    }

    /// Anonymous access, and limits for attempts to log in.
    "login" Login {
        /// allow anonymous users: `anonymous` or `ftp`, without a password
        anonymous: bool = "false",
        /// the folder of anonymous users
        anonymous_home: OptionalPath = "\"\"",
        /// read | dropbox (upload only, no listing; files get mode 0600) | read-write
        anonymous_permissions: AnonymousPermissions = "\"read\"",
        /// failed logins after which a connection is closed
        max_attempts: Positive = "3",
        /// delay of the reply to a failed login; doubles with each one of an address, up to 10s
        failure_delay: Span = "\"1s\"",
        /// time from the connection to a successful login
        timeout: Wait = "\"60s\"",
        /// user names that are always denied
        deny_users: Vec<String> = "[]",
    }

    /// Where accounts are stored, and how logins are authenticated.
    "accounts" Accounts {
        /// file = server.users_file | sqlite:/var/lib/wharf/users.db, created if it is missing
        /// | postgres://user@host:5432/database, which several servers can share
        [R] store: AccountStore = "\"file\"",
        /// file with the database password in the first line; else the variable PGPASSWORD is used
        [R] password_file: OptionalPath = "\"\"",
        /// authentication backends, in this order; the first that knows the user name decides:
        /// "file" (the store) | "pam" | "ldap" | "http". An account of that name in the store
        /// sets home and permissions; without a `password` there, the other backends verify it
        [R] auth_backends: LoginOrder = "[\"file\"]",
        /// home of users that are not in the store, such as "/srv/ftp/%u" (%u: user name);
        /// its parent folder must exist at start; a home from LDAP or HTTP takes precedence
        [R] home: HomePattern = "\"\"",
        /// true: create that home at the first login
        [R] create_home: bool = "false",
        /// permissions of users that are not in the store: read | read-write | upload | dropbox |
        /// full, or a list of permissions; LDAP and HTTP can override them
        [R] permissions: PermissionSet = "\"read\"",
    }

    /// Authentication by PAM (Linux). Files belong to the user that runs wharf.
    "accounts.pam" PamLogin {
        /// PAM service: the name of a file in /etc/pam.d
        [R] service: String = "\"wharf\"",
        /// concurrent logins
        [R] connections: Positive = "4",
        /// timeout of a login
        [R] timeout: Wait = "\"15s\"",
    }

    /// Authentication by LDAP, such as OpenLDAP or Active Directory.
    "accounts.ldap" LdapLogin {
        /// servers, tried in this order, e.g. ["ldaps://dc1.example.com", "ldap://10.0.0.5:389"]
        [R] urls: Urls = "[]",
        /// use StartTLS with ldap://; false: passwords are sent unencrypted
        [R] start_tls: bool = "true",
        /// PEM file with trusted CA certificates; empty = those of the system
        [R] ca_file: OptionalPath = "\"\"",
        /// DN to bind as, e.g. "cn=wharf,ou=services,dc=example,dc=org"; empty = anonymous bind
        [R] bind_dn: String = "\"\"",
        /// file with its password in the first line
        [R] bind_password_file: OptionalPath = "\"\"",
        /// search base, e.g. "ou=people,dc=example,dc=org"
        [R] base: String = "\"\"",
        /// search filter (%u: user name); for Active Directory "(sAMAccountName=%u)"
        [R] filter: String = "\"(uid=%u)\"",
        /// DN of the user instead of a search, e.g. "uid=%u,ou=people,dc=example,dc=org"
        [R] user_dn: String = "\"\"",
        /// DN of a required group (member, uniqueMember or memberUid); empty = none
        [R] group: String = "\"\"",
        /// attribute with the canonical user name, so that ANNA and anna are one account
        [R] name_attribute: String = "\"uid\"",
        /// attribute with the home, such as "homeDirectory"; empty = none
        [R] home_attribute: String = "\"\"",
        /// attribute with the permissions, in the format of users_file; empty = none
        [R] permissions_attribute: String = "\"\"",
        /// attribute with the quota, in bytes or as "20GiB"; empty = none
        [R] quota_attribute: String = "\"\"",
        /// concurrent logins, each with a connection
        [R] connections: Positive = "8",
        /// timeout of a login
        [R] timeout: Wait = "\"10s\"",
    }

    /// Authentication by an HTTP service; see docs/guide/external-authentication.md.
    "accounts.http" HttpLogin {
        /// URL of the service, e.g. "https://login.example.com/wharf"
        [R] url: OptionalUrl = "\"\"",
        /// true: allow http:// to other hosts, although passwords are sent unencrypted
        [R] allow_plain: bool = "false",
        /// PEM file with trusted CA certificates; empty = those of the system
        [R] ca_file: OptionalPath = "\"\"",
        /// file with a token in the first line, sent as "Authorization: Bearer ..."
        [R] token_file: OptionalPath = "\"\"",
        /// file with a secret in the first line; signs each request (Wharf-Signature)
        [R] secret_file: OptionalPath = "\"\"",
        /// concurrent logins, each with a connection
        [R] connections: Positive = "8",
        /// timeout of a login
        [R] timeout: Wait = "\"10s\"",
    }

    /// Protection against guessing of passwords. Bans are managed with `wharf ban`.
    "ban" Banning {
        /// ban automatically after failed logins; manual bans always apply
        enabled: bool = "true",
        /// failed logins within `window` after which an IPv4 address or IPv6 /64 is banned
        attempts: Positive = "10",
        /// failed logins of one account within `window` after which it is locked for `time`
        /// addresses from which it logged in before are exempt
        account_attempts: Positive = "50",
        /// period over which failed logins are counted
        window: Wait = "\"10m\"",
        /// duration of the first ban; each further one of an address lasts twice as long
        time: Span = "\"10m\"",
        /// maximum duration of a ban
        time_max: Span = "\"24h\"",
        /// never banned: "loopback", "private", addresses and networks
        allow: Networks = "[\"loopback\"]",
    }

    /// Limits; 0 = unlimited, the lowest rate applies. A session is one control connection.
    "limits" Limits {
        /// control connections in total
        connections: Count = "512",
        /// control connections from one IPv4 address or one IPv6 /64
        connections_per_ip: Count = "40",
        /// control connections without a login; auto = a quarter of connections, at least 16
        /// addresses with a recent login are exempt
        connections_before_login: AutoCount = "\"auto\"",
        /// part of connections reserved for addresses with a login in the last 30 days; at most 1/4
        connections_reserved: WholeNumber = "32",
        /// sessions of one account (not of anonymous users); users.toml can override it
        sessions_per_user: Count = "40",
        /// all uploads together
        upload_rate: Rate = "0",
        /// all downloads together
        download_rate: Rate = "0",
        /// uploads of each address
        ip_upload_rate: Rate = "0",
        /// downloads of each address
        ip_download_rate: Rate = "0",
        /// uploads of each account; users.toml can override it
        user_upload_rate: Rate = "0",
        /// downloads of each account; users.toml can override it
        user_download_rate: Rate = "0",
        /// each upload; users.toml can override it
        transfer_upload_rate: Rate = "0",
        /// each download; users.toml can override it
        transfer_download_rate: Rate = "0",
        /// storage of each account; users.toml can override it
        user_quota: Size = "0",
        /// files and folders of each account; users.toml can override it
        user_quota_files: Count = "0",
        /// close a session after this time without a command or transfer
        idle_timeout: OptionalTimeout = "\"5m\"",
        /// abort a transfer after this time without progress
        transfer_stall_timeout: OptionalTimeout = "\"1m\"",
        /// minimum average rate of a transfer; 0 = none
        /// not applied to transfers that are slowed by a rate limit above
        transfer_min_rate: Rate = "0",
        /// period over which this average is measured
        transfer_min_rate_period: Wait = "\"1m\"",
    }

    /// Uploads, new files and symbolic links.
    "files" Files {
        /// permission bits that are removed from new files and folders
        umask: Umask = "\"022\"",
        /// inside (only if the target is inside the home of the account) | never | always
        [R] follow_symlinks: Symlinks = "\"inside\"",
        /// false: existing files cannot be replaced
        overwrite: bool = "true",
        /// full: synced to disk before the reply 226 | fast: atomic, but not synced
        /// fast: after a power failure the newest files may be lost or empty
        durability: Durability = "\"full\"",
        /// how long an interrupted upload can be resumed, on Linux until a reboot; 0 = discard it
        partial_upload_retention: Span = "\"24h\"",
        /// free disk space reserved from uploads: auto (1 %, at most 256 MiB) | "1GiB" | "5%"
        min_free_space: FreeSpaceReserve = "\"auto\"",
        /// true: an upload shorter than its ALLO is incomplete; false: ignore the size in ALLO
        enforce_allo_size: bool = "true",
        /// true: uploads and MKD create missing parent folders (for cameras, NVRs)
        create_parent_dirs: bool = "false",
    }

    /// Names and times in listings.
    "names" Names {
        /// auto: UTF-8, or a legacy encoding that is detected per client | utf-8 | legacy
        encoding: NameEncoding = "\"auto\"",
        /// gbk | big5 | shift_jis ... | auto (by system locale); with encoding = "auto" only a hint
        legacy_encoding: LegacyEncoding = "\"auto\"",
        /// auto: \ is a slash unless a file of that literal name exists | always | never
        backslash_as_slash: Backslash = "\"auto\"",
        /// time zone of LIST: local | utc; MLSD and MDTM always use UTC
        list_time: ListTime = "\"local\"",
    }

    /// Compatibility with special clients.
    "compat" Compat {
        /// commands to disable, e.g. ["EPSV", "MLSD"]
        disable_commands: Commands = "[]",
        /// offer compressed transfers (MODE Z)
        /// lftp uses it whenever it is offered, and is slower with it on fast networks
        mode_z: bool = "false",
        /// TYPE A: convert line endings | binary (no conversion, for devices that omit TYPE I)
        ascii: Ascii = "\"convert\"",
    }

    /// Control socket, used by commands such as `wharf who`.
    "control" Control {
        /// path of a Unix socket (on Windows a named pipe); auto = the standard path of the system
        [R] socket: AutoPath = "\"auto\"",
        /// system group that may use it, too; empty = only root and the user that runs wharf
        [R] group: String = "\"\"",
    }

    /// Metrics for Prometheus. They are always available at /metrics on the control socket.
    "metrics" Metrics {
        /// TCP address for /metrics, e.g. "127.0.0.1:9121"; empty = none
        /// the metrics contain the names of accounts that have a quota
        [R] listen: OptionalAddress = "\"\"",
        /// accepted Host headers, besides addresses, names without a dot and the names of this host
        /// others are rejected, against DNS rebinding
        [R] hosts: Vec<String> = "[]",
    }

    /// Logs: formats, files, rotation, audit log.
    "log" Logging {
        /// false: no log at all
        enabled: bool = "true",
        /// error | warn | info | debug | trace
        /// debug, trace: also diagnostics for troubleshooting; passwords are always masked
        level: LogLevel = "\"info\"",
        /// level of the diagnostics of single modules, e.g. ["wharf_server=debug", "rustls=debug"]
        filter: TargetLevels = "[]",
        /// auto (text) | text | json
        [R] format: LogFormat = "\"auto\"",
        /// file to append to; empty = standard error
        [R] file: OptionalPath = "\"\"",
        /// file for transfers in the xferlog format, one line each
        [R] transfer_log: OptionalPath = "\"\"",
        /// file for logins, deletions and permission changes as JSON lines, each written
        /// before the reply is sent
        [R] audit_file: OptionalPath = "\"\"",
        /// rotate each of these three files before it exceeds this size; 0 = never
        /// wharf.log is renamed to wharf.log.1, wharf.log.1 to wharf.log.2, and so on
        [R] rotate_size: Size = "0",
        /// true: also rotate at the end of each day
        [R] rotate_daily: bool = "false",
        /// number of rotated files to keep of each
        [R] rotate_keep: RotatedFiles = "7",
        /// true: compress rotated files except the newest (gzip)
        [R] rotate_compress: bool = "false",
        /// log every command and its reply; passwords are always masked
        commands: bool = "false",
    }

    /// Hooks: programs to run after events, and one that checks uploads before they are published.
    "events" EventHooks {
        /// after a login, e.g. ["/usr/local/bin/hook", "{user}"]: the program and its arguments,
        /// run without a shell; arguments {user}, {file} … are replaced by fields of the event
        [R] on_login: ProgramLine = "[]",
        /// after a failed login
        [R] on_login_failed: ProgramLine = "[]",
        /// after the end of a session that had logged in
        [R] on_logout: ProgramLine = "[]",
        /// after an upload was published under its name
        [R] on_upload: ProgramLine = "[]",
        /// after an upload that was interrupted or rejected
        [R] on_upload_failed: ProgramLine = "[]",
        /// after a complete download
        [R] on_download: ProgramLine = "[]",
        /// after a download that was interrupted
        [R] on_download_failed: ProgramLine = "[]",
        /// after a file was deleted
        [R] on_delete: ProgramLine = "[]",
        /// after a file or folder was renamed
        [R] on_rename: ProgramLine = "[]",
        /// after a folder was created
        [R] on_mkdir: ProgramLine = "[]",
        /// after a folder was removed
        [R] on_rmdir: ProgramLine = "[]",
        /// after an address was banned
        [R] on_ban: ProgramLine = "[]",
        /// after every event of docs/reference/events.md
        [R] on_event: ProgramLine = "[]",
        /// time limit of each program; then it is killed, with its child processes
        [R] timeout: Wait = "\"30s\"",
        /// programs that run at a time; up to 1000 events wait, further ones are dropped and logged
        [R] workers: FewPrograms = "2",
        /// retries if the program fails (exit code other than 0)
        [R] retries: WholeNumber = "2",
        /// delay before the first retry; doubles with each further one
        [R] retry_pause: Span = "\"5s\"",
        /// checks each upload before it is published, e.g. ["/usr/bin/scan", "{partial_file}"]
        /// exit code 0 accepts it; its first line of output is sent to the client if it rejects
        [R] check_upload: ProgramLine = "[]",
        /// exit codes that reject the upload; all others except 0 mean that the check failed
        [R] check_reject_exit_codes: ExitCodes = "[1]",
        /// if the check fails or times out: reject | allow
        [R] check_on_error: OnFailure = "\"reject\"",
        /// time limit of a check
        [R] check_timeout: Wait = "\"2m\"",
        /// checks that run at a time; further ones wait
        [R] check_workers: FewPrograms = "4",
        /// folder for rejected uploads (at most 1000 files); empty: delete them
        [R] quarantine: OptionalPath = "\"\"",
    }

    /// Webhook: events are sent to a web server; repeat the table for more.
    (list) "webhook" Webhook {
        /// URL to send events to, e.g. "https://example.com/wharf"; empty = none
        [R] url: Url = "\"\"",
        /// events to send, e.g. ["upload", "login-failed"]; empty = all
        [R] events: EventNames = "[]",
        /// file with the secret that signs requests, readable only by its owner
        [R] secret_file: OptionalPath = "\"\"",
        /// PEM file with trusted CA certificates; empty = those of the system
        [R] ca_file: OptionalPath = "\"\"",
        /// timeout of a request
        [R] timeout: Wait = "\"10s\"",
        /// delay before the first retry; doubles with each further one, up to 5m
        [R] retry_pause: Wait = "\"1s\"",
        /// drop an event after retrying for this time
        [R] give_up_after: Wait = "\"24h\"",
        /// size of the queue in server.state_dir; further events are dropped and logged
        [R] spool_size: Size = "\"64MiB\"",
    }
}

impl EventHooks {
    /// Every key with a program.
    pub fn programs(&self) -> [(&'static str, &ProgramLine); 14] {
        [
            ("on_login", &self.on_login),
            ("on_login_failed", &self.on_login_failed),
            ("on_logout", &self.on_logout),
            ("on_upload", &self.on_upload),
            ("on_upload_failed", &self.on_upload_failed),
            ("on_download", &self.on_download),
            ("on_download_failed", &self.on_download_failed),
            ("on_delete", &self.on_delete),
            ("on_rename", &self.on_rename),
            ("on_mkdir", &self.on_mkdir),
            ("on_rmdir", &self.on_rmdir),
            ("on_ban", &self.on_ban),
            ("on_event", &self.on_event),
            ("check_upload", &self.check_upload),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_unique_name() {
        let mut paths: Vec<_> = keys().map(ConfigKey::path).collect();
        let count = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), count);
    }

    #[test]
    fn only_listeners_and_webhooks_repeat() {
        let lists: Vec<_> = SECTIONS.iter().filter(|section| section.is_list).collect();
        let names: Vec<_> = lists.iter().map(|section| section.name).collect();
        assert_eq!(names, ["listen", "webhook"]);
    }
}
