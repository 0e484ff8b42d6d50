//! Every key: its name, its kind, its default and what it is for, written down once.
//!
//! `sections!` makes of each section both the struct that the program reads and the rows of
//! [`SECTIONS`], from which the default file, the reference, the suggestions and the checks of
//! flags and variables follow.

use std::net::IpAddr;

use wharf_core::account::{Count, Rate, Size};

use super::choice::{
    AnonymousPermissions, Ascii, Backslash, Durability, ListTime, LogFormat, LogLevel,
    NameEncoding, OnFailure, Sandbox, SessionReuse, Symlinks, TlsMode, TlsRequire, TlsVersion,
};
use super::counts::{AutoCount, FewPrograms, KeptLogs, Whole};
use super::hook::{EventNames, ExitCodes, ProgramLine, Url};
use super::layers::Reader;
use super::login_sources::{HomePattern, LoginOrder, OptionalUrl, Rights, Urls};
use super::store::AccountStore;
use super::value::{
    Announced, AutoPath, Commands, FilePath, Folders, LegacyEncoding, ListenPort, Networks,
    OptionalAddress, OptionalPath, PortRange, Positive, PublicAddress, Reserve, Umask, Value,
    Version,
};
use super::wait::{Patience, Span, Wait};

/// A key, as one row.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its section; empty for keys before the first.
    pub(crate) section: &'static str,
    /// Its name in the section.
    pub(crate) name: &'static str,
    /// Its default, as TOML.
    pub(crate) default: &'static str,
    /// What it is, to finish the sentence "expected …".
    pub(crate) kind: &'static str,
    /// What it is for, in lines as they were written.
    pub(crate) about: &'static [&'static str],
    /// Whether it concerns things that are made at the start only.
    pub(crate) needs_restart: bool,
}

/// A section, as a heading and its rows.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name; empty for keys before the first.
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) about: &'static str,
    /// Whether the table may be repeated.
    pub(crate) is_list: bool,
    /// Its keys, in order.
    pub(crate) keys: &'static [Key],
}

impl Key {
    /// Its full name, such as `passive.ports`.
    pub(crate) fn path(&self) -> String {
        join(self.section, self.name)
    }
}

/// The full name of a key.
pub(crate) fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.into() } else { format!("{section}.{name}") }
}

/// The key that a full name means, such as `listen.0.port`.
pub(crate) fn key_at(path: &str) -> Option<&'static Key> {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    let is_section = SECTIONS.iter().any(|known| known.name == section);
    let list = section.split_once('.').filter(|_| !is_section);
    let section = list.map_or(section, |(list, _)| list);
    keys().find(|key| key.section == section && key.name == name)
}

/// Every key there is.
pub(crate) fn keys() -> impl Iterator<Item = &'static Key> {
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
        pub(crate) static SECTIONS: &[Section] = &[$(Section {
            name: $section,
            about: $section_about,
            is_list: sections!(@is $($list)?),
            keys: &[$(Key {
                section: $section,
                name: stringify!($key),
                default: $default,
                kind: <$kind as Value>::KIND,
                about: &[$($about),+],
                needs_restart: sections!(@is $($restart)?),
            }),+],
        }),+];

        $(
            // The lines of a config file are no Markdown: they are not the documentation.
            #[doc = concat!("The keys of `", $section, "`.")]
            #[derive(Clone, Debug)]
            pub(crate) struct $name {
                $(#[doc = concat!("`", stringify!($key), "`")] pub(crate) $key: $kind,)+
            }

            impl $name {
                /// Reads the section's keys below `at`.
                pub(crate) fn read(reader: &mut Reader<'_>, at: &str) -> Self {
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
    /// The file itself.
    "" Preamble {
        /// the language of this file
        config_version: Version = "1",
    }

    /// The server as a whole.
    "server" Server {
        /// text after 220; the version is never sent
        greeting: String = "\"Service ready.\"",
        /// text after a login; may use {user} and {ip}; empty = a plain sentence
        login_message: String = "\"\"",
        /// certificate and state; auto = the system's standard place
        [R] state_dir: AutoPath = "\"auto\"",
        /// accounts live apart from this file: wharf writes that one, never this one;
        /// accounts.store can name a database instead
        [R] users_file: FilePath = "\"users.toml\"",
        /// started as root: the system's account to become, once ports and keys are open (Linux)
        [R] user: String = "\"\"",
        /// the system's group to go with it; empty = the account's own
        [R] group: String = "\"\"",
        /// confine the process to the files, ports and system calls that it needs (Linux)
        /// auto: as far as this system can | on: or else do not start | off
        [R] sandbox: Sandbox = "\"auto\"",
        /// folders where accounts added later may have their homes; a confined server
        /// opens homes elsewhere only after a restart
        [R] homes: Folders = "[]",
        /// on SIGTERM or Ctrl+C, how long running transfers may finish
        shutdown_grace: Span = "\"30s\"",
    }

    /// Where to listen; repeat the table for more addresses.
    (list) "listen" Listen {
        /// all interfaces, IPv4 and IPv6
        [R] address: IpAddr = "\"[::]\"",
        /// auto = 21 where the system allows it, else 2121 (implicit: 990, else 2990)
        [R] port: ListenPort = "\"auto\"",
        /// explicit (AUTH TLS) | implicit (port 990 by custom) | off
        [R] tls: TlsMode = "\"explicit\"",
        /// true: clients come through a proxy that names them (PROXY protocol, v1 or v2)
        [R] proxy: bool = "false",
        /// where those proxies are, e.g. ["10.0.0.5"]; nobody else may connect to this listener
        [R] proxy_from: Networks = "[]",
    }

    /// Passive mode: the client opens the data connection.
    "passive" Passive {
        /// both ends included; below the ephemeral ranges of Linux and Windows
        [R] ports: PortRange = "\"30000-30999\"",
        /// what PASV announces: auto = the address at which the client reached us
        address: Announced = "\"auto\"",
        /// IPv4 address or host name announced to clients outside local_networks (NAT, Docker);
        /// a name is looked up at the start, with each reload, and every `resolve_every`
        public_address: PublicAddress = "\"\"",
        /// how often a host name in public_address is looked up again
        resolve_every: Wait = "\"5m\"",
        /// clients from here get `address`; "private" = RFC 1918, ULA, loopback, link-local
        local_networks: Networks = "[\"private\"]",
        /// from the reply to PASV or EPSV to the data connection
        accept_timeout: Wait = "\"20s\"",
    }

    /// Active mode: the server opens the data connection, to the client's own address only.
    "active" Active {
        /// ftp.exe of Windows and small devices know nothing else
        [R] enabled: bool = "true",
        /// how long to try to reach the client
        connect_timeout: Wait = "\"15s\"",
    }

    /// Encryption.
    "tls" Tls {
        /// auto = make and keep a self-signed one; else the path of a PEM file with the chain
        certificate: AutoPath = "\"auto\"",
        /// path of the PEM file with its key; needed unless certificate is auto
        private_key: OptionalPath = "\"\"",
        /// oldest version accepted: 1.2 | 1.3
        min_version: TlsVersion = "\"1.2\"",
        /// off | public | login | all
        /// public: password logins from outside passive.local_networks need TLS
        /// login: every password login needs TLS    all: data connections too
        require: TlsRequire = "\"public\"",
        /// a data connection resumes its session's TLS: off | prefer | require
        /// prefer: proven where the client can, let in where it cannot
        /// require: locks out clients that cannot (many in .NET and Java); TLS 1.2 where offered
        session_reuse: SessionReuse = "\"prefer\"",
        /// an upload over TLS must end with close_notify, or with exactly the bytes of its ALLO
        /// false: the end of the connection is enough, so a cut upload can be taken for a whole one
        require_close_notify: bool = "true",
        /// names that clients may ask for (SNI), e.g. ["ftp.example.com"]; empty = any
        /// who asks for another name is turned away; who asks for none is let in
        server_names: Vec<String> = "[]",
    }

    /// From the connection to a login.
    "login" Login {
        /// a visitor without password, as `anonymous` or `ftp`
        anonymous: bool = "false",
        /// the visitor's folder
        anonymous_home: OptionalPath = "\"\"",
        /// read | dropbox (upload only, no listing; files get mode 0600) | read-write
        anonymous_permissions: AnonymousPermissions = "\"read\"",
        /// failed tries on one connection, after which it ends
        max_attempts: Positive = "3",
        /// before the answer to a failed try; doubled with each of its address, up to 10s
        failure_delay: Span = "\"1s\"",
        /// from the connection to a successful login
        timeout: Wait = "\"60s\"",
        /// names refused before any check
        deny_users: Vec<String> = "[]",
    }

    /// Where accounts are kept, who proves their passwords, and who is kept nowhere here.
    "accounts" Accounts {
        /// file = server.users_file | sqlite:/var/lib/wharf/users.db, made if it is missing
        /// | postgres://user@host:5432/database, which can serve many machines
        [R] store: AccountStore = "\"file\"",
        /// file whose first line is the password of the database; else the variable PGPASSWORD
        [R] password_file: OptionalPath = "\"\"",
        /// who is asked, in this order; the first that knows the name decides:
        /// "file" (the store) | "pam" | "ldap" | "http". Whoever proves a password, an account of
        /// that name in the store says home and rights; without `password` there others prove it
        [R] auth_backends: LoginOrder = "[\"file\"]",
        /// home of an account that is in no file, such as "/srv/ftp/%u" (%u: its name); the folder
        /// above must be there at the start; a home that LDAP or HTTP names stands above it
        [R] home: HomePattern = "\"\"",
        /// true: that home is made at the first login
        [R] create_home: bool = "false",
        /// what an account that is in no file may do: read | read-write | upload | dropbox | full
        /// or names of rights; LDAP and HTTP can say otherwise
        [R] permissions: Rights = "\"read\"",
    }

    /// Passwords of this system's accounts (Linux). Their files belong to who runs wharf.
    "accounts.pam" PamLogin {
        /// the rules: the file of this name in /etc/pam.d
        [R] service: String = "\"wharf\"",
        /// logins at once
        [R] connections: Positive = "4",
        /// how long one may take
        [R] timeout: Wait = "\"15s\"",
    }

    /// Passwords in a directory such as OpenLDAP or Active Directory.
    "accounts.ldap" LdapLogin {
        /// e.g. ["ldaps://dc1.example.com", "ldap://10.0.0.5:389"], tried in this order
        [R] urls: Urls = "[]",
        /// ldap:// becomes TLS before anything is said; false: passwords travel in the clear
        [R] start_tls: bool = "true",
        /// PEM file with the authorities to trust; empty = those of the system
        [R] ca_file: OptionalPath = "\"\"",
        /// who searches, e.g. "cn=wharf,ou=services,dc=example,dc=org"; empty = anybody may
        [R] bind_dn: String = "\"\"",
        /// a file with its password in the first line
        [R] bind_password_file: OptionalPath = "\"\"",
        /// below which entry to search, e.g. "ou=people,dc=example,dc=org"
        [R] base: String = "\"\"",
        /// what the one entry of a name meets; Active Directory: "(sAMAccountName=%u)"
        [R] filter: String = "\"(uid=%u)\"",
        /// instead of a search: the DN of a name, e.g. "uid=%u,ou=people,dc=example,dc=org"
        [R] user_dn: String = "\"\"",
        /// the DN of a group (member, uniqueMember or memberUid) that one must be in; empty = none
        [R] group: String = "\"\"",
        /// the attribute with the name as it is spelled there: ANNA and anna are one account
        [R] name_attribute: String = "\"uid\"",
        /// the attribute with the home, such as "homeDirectory"; empty = none
        [R] home_attribute: String = "\"\"",
        /// the attribute with the rights, written as in users_file; empty = none
        [R] permissions_attribute: String = "\"\"",
        /// the attribute with the quota, in bytes or as "20GiB"; empty = none
        [R] quota_attribute: String = "\"\"",
        /// logins at once, each with a connection
        [R] connections: Positive = "8",
        /// how long one may take
        [R] timeout: Wait = "\"10s\"",
    }

    /// Passwords checked by an HTTP service; see docs/guide/external-authentication.md.
    "accounts.http" HttpLogin {
        /// e.g. "https://login.example.com/wharf"
        [R] url: OptionalUrl = "\"\"",
        /// true: http:// to another computer is fine, though passwords travel in the clear
        [R] allow_plain: bool = "false",
        /// PEM file with the authorities to trust; empty = those of the system
        [R] ca_file: OptionalPath = "\"\"",
        /// a file with a token in the first line, sent as "Authorization: Bearer ..."
        [R] token_file: OptionalPath = "\"\"",
        /// a file with a secret in the first line; signs each question (Wharf-Signature)
        [R] secret_file: OptionalPath = "\"\"",
        /// logins at once, each with a connection
        [R] connections: Positive = "8",
        /// how long one may take
        [R] timeout: Wait = "\"10s\"",
    }

    /// Those who guess passwords. `wharf ban` lists bans, and adds and lifts them.
    "ban" Banning {
        /// false: nobody is banned by tries; bans by hand hold in any case
        enabled: bool = "true",
        /// failed logins within `window` for which an IPv4 address or an IPv6 /64 is banned
        attempts: Positive = "10",
        /// failed logins with one name within `window`, for which that account is locked for `time`
        /// never for the addresses from which it logged in before
        account_attempts: Positive = "50",
        /// failures are forgotten after this
        window: Wait = "\"10m\"",
        /// the first ban; each further one of an address lasts twice as long
        time: Span = "\"10m\"",
        /// the longest ban
        time_max: Span = "\"24h\"",
        /// never banned: "loopback", "private", addresses and networks
        allow: Networks = "[\"loopback\"]",
    }

    /// How many, how fast, how long. Every rate holds for itself: the strictest decides.
    "limits" Limits {
        /// sessions in all
        connections: Count = "512",
        /// sessions from one IPv4 address or one IPv6 /64
        connections_per_ip: Count = "40",
        /// clients that have not logged in; auto = a quarter of connections, 16 at least
        /// addresses from which somebody logged in lately are not held to it
        connections_before_login: AutoCount = "\"auto\"",
        /// of connections, kept for addresses with a login in the last 30 days; a quarter at most
        connections_reserved: Whole = "32",
        /// sessions of one account; users.toml can say otherwise; anonymous may have any number
        sessions_per_user: Count = "40",
        /// whole server, shared by the running uploads
        upload_rate: Rate = "0",
        /// whole server, shared by the running downloads
        download_rate: Rate = "0",
        /// each address
        ip_upload_rate: Rate = "0",
        /// each address
        ip_download_rate: Rate = "0",
        /// each account; users.toml can say otherwise
        user_upload_rate: Rate = "0",
        /// each account; users.toml can say otherwise
        user_download_rate: Rate = "0",
        /// each upload; users.toml can say otherwise
        transfer_upload_rate: Rate = "0",
        /// each download; users.toml can say otherwise
        transfer_download_rate: Rate = "0",
        /// what each account may keep; users.toml can say otherwise
        user_quota: Size = "0",
        /// files and folders that each account may keep; users.toml can say otherwise
        user_quota_files: Count = "0",
        /// how long a session may say nothing
        idle_timeout: Patience = "\"5m\"",
        /// how long a transfer may move nothing
        transfer_stall_timeout: Patience = "\"1m\"",
        /// the slowest a transfer may be on average; 0 = as slow as it likes
        /// not for transfers that a rate above slows down
        transfer_min_rate: Rate = "0",
        /// over which time that is measured
        transfer_min_rate_period: Wait = "\"1m\"",
    }

    /// Files.
    "files" Files {
        /// permission bits that new files and folders do not get
        umask: Umask = "\"022\"",
        /// inside (the account's home) | never | always
        [R] follow_symlinks: Symlinks = "\"inside\"",
        /// false: nobody may replace a file that is there
        overwrite: bool = "true",
        /// full: on disk before 226 | fast: atomic, not synced
        /// fast: after a power failure the newest files may be lost or empty
        durability: Durability = "\"full\"",
        /// how long a cut upload can be resumed, on Linux until a reboot; 0 = never kept
        partial_upload_retention: Span = "\"24h\"",
        /// room on the disk that uploads leave free: auto (1 %, 256 MiB at most) | "1GiB" | "5%"
        min_free_space: Reserve = "\"auto\"",
        /// true: an upload shorter than its ALLO is cut; false: for clients that send it wrongly
        enforce_allo_size: bool = "true",
        /// true: uploads and MKD make missing parent folders (cameras, NVRs)
        create_parent_dirs: bool = "false",
    }

    /// Names and times in listings.
    "names" Names {
        /// auto: UTF-8, and what a client is recognised to send if it is not | utf-8 | legacy
        encoding: NameEncoding = "\"auto\"",
        /// a hint with encoding = auto: gbk | big5 | shift_jis ... | auto, by the system's language
        legacy_encoding: LegacyEncoding = "\"auto\"",
        /// auto: a slash unless a file has that literal name | always | never
        backslash_as_slash: Backslash = "\"auto\"",
        /// LIST shows local | utc; MLSD and MDTM are always UTC
        list_time: ListTime = "\"local\"",
    }

    /// For clients that need something special.
    "compat" Compat {
        /// answered as unknown, e.g. ["EPSV", "MLSD"]
        disable_commands: Commands = "[]",
        /// files and listings compressed on their way, for clients that ask (MODE Z)
        /// lftp asks wherever it is offered, and is slower with it on fast networks
        mode_z: bool = "false",
        /// convert | binary (TYPE A changes nothing: for devices that forget TYPE I)
        ascii: Ascii = "\"convert\"",
    }

    /// How commands such as `wharf who` reach the running server.
    "control" Control {
        /// a Unix socket (on Windows a named pipe); auto = the system's standard place
        [R] socket: AutoPath = "\"auto\"",
        /// members of this group of the system may use it too; empty = who runs wharf, and root
        [R] group: String = "\"\"",
    }

    /// Numbers for Prometheus. They are always at /metrics on the control socket.
    "metrics" Metrics {
        /// a TCP address for /metrics alone, e.g. "127.0.0.1:9121"; empty = none
        /// whoever reaches it reads the names of accounts that have a quota
        [R] listen: OptionalAddress = "\"\"",
        /// names it may be asked by there, besides addresses, names without a dot and own names
        /// any other is refused: a page of another site must not read it (DNS rebinding)
        [R] hosts: Vec<String> = "[]",
    }

    /// What is written down.
    "log" Logging {
        /// false: no log lines at all
        enabled: bool = "true",
        /// error | warn | info
        level: LogLevel = "\"info\"",
        /// auto (text) | text | json
        [R] format: LogFormat = "\"auto\"",
        /// empty = standard error; else lines are appended to this file
        [R] file: OptionalPath = "\"\"",
        /// a file for the classic xferlog format, one line per transfer
        [R] transfer_log: OptionalPath = "\"\"",
        /// a file for logins, deletions and changes of rights as JSON lines, each written
        /// before the client is answered
        [R] audit_file: OptionalPath = "\"\"",
        /// the three files above are put aside before they are larger than this; 0 = never
        /// wharf.log becomes wharf.log.1, what was .1 becomes .2, and so on
        [R] rotate_size: Size = "0",
        /// true: they are put aside when a day is over, too
        [R] rotate_daily: bool = "false",
        /// how many of each are kept beside the one that is written
        [R] rotate_keep: KeptLogs = "7",
        /// true: all of those but the newest are packed (gzip)
        [R] rotate_compress: bool = "false",
        /// every command and its reply; passwords are always masked
        commands: bool = "false",
    }

    /// Programs that are told what happened, and one that is asked before uploads are published.
    "events" Told {
        /// after a login, e.g. ["/usr/local/bin/hook", "{user}"]: the program, then its arguments
        /// no shell sees them; one that is {user}, {file} … alone stands for what the event says
        [R] on_login: ProgramLine = "[]",
        /// after a login that failed
        [R] on_login_failed: ProgramLine = "[]",
        /// after the session of somebody who had logged in
        [R] on_logout: ProgramLine = "[]",
        /// once an upload stands under its name
        [R] on_upload: ProgramLine = "[]",
        /// after an upload that was cut, or refused
        [R] on_upload_failed: ProgramLine = "[]",
        /// after a whole download
        [R] on_download: ProgramLine = "[]",
        /// after a download that was cut
        [R] on_download_failed: ProgramLine = "[]",
        /// after a file was removed
        [R] on_delete: ProgramLine = "[]",
        /// after something got another name
        [R] on_rename: ProgramLine = "[]",
        /// after a folder was made
        [R] on_mkdir: ProgramLine = "[]",
        /// after a folder was removed
        [R] on_rmdir: ProgramLine = "[]",
        /// after an address was banned
        [R] on_ban: ProgramLine = "[]",
        /// after anything that docs/reference/events.md lists
        [R] on_event: ProgramLine = "[]",
        /// how long each of them may run; then it is killed, with all that it started
        [R] timeout: Wait = "\"30s\"",
        /// how many run at a time; up to 1000 events wait, and what comes then is dropped and told
        [R] workers: FewPrograms = "2",
        /// how often an event is told again if the program ends with another number than 0
        [R] retries: Whole = "2",
        /// the pause before that; each further one is twice as long
        [R] retry_pause: Span = "\"5s\"",
        /// asked about each upload before it is published, e.g. ["/usr/local/bin/scan", "{draft}"]
        /// 0 publishes; check_reject_exit_codes says what refuses; its first line is what the client hears
        [R] check_upload: ProgramLine = "[]",
        /// numbers with which it refuses; all others but 0 mean that it failed
        [R] check_reject_exit_codes: ExitCodes = "[1]",
        /// what becomes of an upload if it fails or takes too long: refuse | allow
        [R] check_on_error: OnFailure = "\"refuse\"",
        /// how long it may take
        [R] check_timeout: Wait = "\"2m\"",
        /// how many uploads are looked at, at a time; others wait
        [R] check_workers: FewPrograms = "4",
        /// a folder for what was refused (1000 files at most); empty: it is removed
        [R] quarantine: OptionalPath = "\"\"",
    }

    /// A web server that is told what happened; repeat the table for more.
    (list) "webhook" Webhook {
        /// where to send events, e.g. "https://example.com/wharf"; empty = none
        [R] url: Url = "\"\"",
        /// which, e.g. ["upload", "login-failed"]; empty = all
        [R] events: EventNames = "[]",
        /// a file with the secret that requests are signed with, for its owner alone to read
        [R] secret_file: OptionalPath = "\"\"",
        /// a PEM file of authorities to trust instead of the system's
        [R] ca_file: OptionalPath = "\"\"",
        /// how long a request may take
        [R] timeout: Wait = "\"10s\"",
        /// the pause before the second try; each further one is twice as long, 5m at most
        [R] retry_pause: Wait = "\"1s\"",
        /// how long an event is tried
        [R] give_up_after: Wait = "\"24h\"",
        /// what waits on disk at most, in server.state_dir; what comes then is dropped and told
        [R] spool_size: Size = "\"64MiB\"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_name_of_its_own() {
        let mut paths: Vec<_> = keys().map(Key::path).collect();
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
