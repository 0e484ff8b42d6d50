//! Connects the crates: converts a configuration to the engine's settings, accounts and storage.

mod accounts;

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::sync::{Arc, OnceLock};

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use wharf_config::choice::{
    Ascii, Backslash, ListTime, NameEncoding, SessionReuse, Symlinks, TlsMode, TlsRequire,
    TlsVersion,
};
use wharf_config::outcome::{Exit, Failure};
use wharf_config::standard_paths;
use wharf_config::value::{LegacyEncoding, ListenPort, PublicAddress};
use wharf_config::{Config, choice, keys, value};
use wharf_core::account::Account;
use wharf_core::async_trait;
use wharf_core::error::{Error, ErrorKind};
use wharf_core::storage::{Storage, Stores};
use wharf_events::check::Checker;
use wharf_server::certificate::Certificate;
use wharf_server::settings::{self as engine, ListenTls, Settings};
use wharf_storage::{
    DiskOptions, Disks, Durability, FollowSymlinks, Quota, Quotas, Reserve, ServerFiles,
};

use crate::addresses::own_addresses;
use crate::certificate::{CertificateAndKey, CertificateSummary, from_files, self_signed};
use crate::sandbox::reach::AccessPolicy;

pub use accounts::{
    Accounts, accounts, anonymous_account, anonymous_home, anonymous_permission_set,
};
pub(crate) use accounts::{homes, shared, users};

/// The engine's settings; `public_address` is the result of [`public_address`].
#[expect(clippy::unnecessary_wraps, reason = "a setting may need what this system lacks")]
pub(crate) fn settings(
    config: &Config,
    tls: Option<engine::Tls>,
    public_address: Option<Ipv4Addr>,
) -> Result<Settings, Failure> {
    Ok(Settings {
        listen: config.listen.iter().map(listen).collect(),
        greeting: config.server.greeting.clone(),
        login_message: config.server.login_message.clone(),
        passive: engine::PassiveSettings {
            ports: config.passive.ports.0.clone(),
            address: config.passive.address.0,
            public_address,
            local_networks: config.passive.local_networks.0.clone(),
            accept_timeout: config.passive.accept_timeout.0,
        },
        active: engine::Active {
            is_enabled: config.active.enabled,
            connect_timeout: config.active.connect_timeout.0,
        },
        tls,
        login: engine::Login {
            max_attempts: config.login.max_attempts.0,
            failure_delay: config.login.failure_delay.0,
            timeout: config.login.timeout.0,
            deny_users: config.login.deny_users.clone(),
        },
        ban: engine::BanSettings {
            is_enabled: config.ban.enabled,
            attempts: config.ban.attempts.0,
            account_attempts: config.ban.account_attempts.0,
            window: config.ban.window.0,
            time: config.ban.time.0,
            time_max: config.ban.time_max.0,
            allow: config.ban.allow.0.clone(),
        },
        limits: limits(&config.limits),
        files: engine::Files {
            overwrite: config.files.overwrite,
            create_parent_dirs: config.files.create_parent_dirs,
            enforce_allo_size: config.files.enforce_allo_size,
        },
        names: names(&config.names),
        compat: engine::Compat {
            disable_commands: config.compat.disable_commands.0.clone(),
            mode_z: config.compat.mode_z,
            ascii: match config.compat.ascii {
                Ascii::Convert => engine::Ascii::Convert,
                Ascii::Binary => engine::Ascii::Binary,
            },
        },
    })
}

/// Converts a listener for the engine.
pub fn listen(listen: &keys::Listen) -> engine::Listen {
    let tls = listen_tls(listen.tls);
    let ports = match (listen.port, tls) {
        (ListenPort::Fixed(port), _) => vec![port],
        (ListenPort::Auto, ListenTls::Implicit) => vec![990, 2990],
        (ListenPort::Auto, _) => vec![21, 2121],
    };
    let proxy_from = if listen.proxy { listen.proxy_from.0.clone() } else { Vec::new() };
    engine::Listen { address: listen.address, ports, tls, proxy_from }
}

fn listen_tls(mode: TlsMode) -> ListenTls {
    match mode {
        TlsMode::Explicit => ListenTls::Explicit,
        TlsMode::Implicit => ListenTls::Implicit,
        TlsMode::Off => ListenTls::Off,
    }
}

fn limits(limits: &keys::Limits) -> engine::Limits {
    engine::Limits {
        connections: limits.connections,
        connections_before_login: limits.connections_before_login.or_quarter_of(limits.connections),
        connections_reserved: limits.connections_reserved.0,
        connections_per_ip: limits.connections_per_ip,
        sessions_per_user: limits.sessions_per_user,
        upload_rate: limits.upload_rate,
        download_rate: limits.download_rate,
        ip_upload_rate: limits.ip_upload_rate,
        ip_download_rate: limits.ip_download_rate,
        user_upload_rate: limits.user_upload_rate,
        user_download_rate: limits.user_download_rate,
        transfer_upload_rate: limits.transfer_upload_rate,
        transfer_download_rate: limits.transfer_download_rate,
        idle_timeout: limits.idle_timeout.0,
        transfer_stall_timeout: limits.transfer_stall_timeout.0,
        transfer_min_rate: limits.transfer_min_rate,
        transfer_min_rate_period: limits.transfer_min_rate_period.0,
    }
}

fn names(names: &keys::Names) -> engine::Names {
    engine::Names {
        encoding: match names.encoding {
            NameEncoding::Auto => engine::Encoding::Auto,
            NameEncoding::Utf8 => engine::Encoding::Utf8,
            NameEncoding::Legacy => engine::Encoding::Legacy,
        },
        legacy_encoding: match names.legacy_encoding {
            LegacyEncoding::Auto => standard_paths::legacy_encoding(),
            LegacyEncoding::Fixed(set) => Some(set),
        },
        backslash_as_slash: match names.backslash_as_slash {
            Backslash::Auto => engine::Backslash::Auto,
            Backslash::Always => engine::Backslash::Slash,
            Backslash::Never => engine::Backslash::Literal,
        },
        list_time: match names.list_time {
            ListTime::Local => engine::ListTime::Local,
            ListTime::Utc => engine::ListTime::Utc,
        },
    }
}

/// Resolves a host name once: PASV must not wait for DNS.
pub fn public_address(address: &PublicAddress) -> Result<Option<Ipv4Addr>, Failure> {
    match address {
        PublicAddress::None => Ok(None),
        PublicAddress::Address(ip) => Ok(Some(*ip)),
        PublicAddress::Name(name) => look_up(name).map(|found| found.first().copied()),
    }
}

/// Resolves a host name to at least one IPv4 address.
pub(crate) fn look_up(name: &str) -> Result<Vec<Ipv4Addr>, Failure> {
    let hint = "set passive.public_address (-n) to an IP address";
    let found = (name, 0).to_socket_addrs().map_err(|error| {
        Failure::io(format!("cannot resolve the public address {name}"), &error).hint(hint)
    })?;
    let ipv4 = found.into_iter().filter_map(|address| match address.ip().to_canonical() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    });
    let ipv4: Vec<_> = ipv4.collect();
    if ipv4.is_empty() {
        return Err(
            Failure::new(format!("the public address {name} has no IPv4 address")).hint(hint)
        );
    }
    Ok(ipv4)
}

/// A usable certificate with its summary and warnings.
pub struct Encryption {
    /// For the engine.
    pub tls: engine::Tls,
    /// The summary of the certificate.
    pub facts: CertificateSummary,
    /// Warnings for the administrator.
    pub(crate) warnings: Vec<String>,
}

/// Reads the configured certificate, if any, and checks that it and its key can be used.
pub fn check_certificate(config: &Config) -> Result<Vec<String>, Failure> {
    let (Some(_), Some(_)) = (&config.tls.certificate.0, &config.tls.private_key.0) else {
        return Ok(Vec::new());
    };
    let pair = pair(config)?;
    certificate(pair.chain, pair.key)?;
    Ok(pair.warnings)
}

fn certificate(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Certificate, Failure> {
    Certificate::from_der(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => Failure {
            exit: Exit::ConfigInvalid,
            ..Failure::new("tls.private_key does not match tls.certificate").hint(
                "check whether only one of the two files was renewed; the server's own certificate \
                 must be the first in its file",
            )
        },
        rustls::Error::InvalidCertificate(why) => Failure {
            exit: Exit::ConfigInvalid,
            ..Failure::new(format!("invalid certificate: {}", certificate_fault(&why)))
                .hint("tls.certificate must contain the complete chain, as the CA issued it")
        },
        other => Failure {
            exit: Exit::ConfigInvalid,
            ..Failure::new(format!("invalid certificate: {other}"))
                .hint("tls.certificate must contain the complete chain, as the CA issued it")
        },
    })
}

/// What is wrong with a certificate.
fn certificate_fault(why: &rustls::CertificateError) -> String {
    match why {
        rustls::CertificateError::BadEncoding => "damaged, or not a certificate".to_owned(),
        other => other.to_string(),
    }
}

/// The certificate, or `None` if no listener offers TLS.
pub fn encryption(config: &Config) -> Result<Option<Encryption>, Failure> {
    if config.listen.iter().all(|listen| listen.tls == TlsMode::Off) {
        return Ok(None);
    }
    let pair = pair(config)?;
    let facts = CertificateSummary::of(&pair);
    let mut served = certificate(pair.chain, pair.key)?;
    if let Some((chain, key)) = pair.other {
        served = served.or(certificate(chain, key)?);
    }
    Ok(Some(Encryption {
        tls: engine::Tls {
            certificate: served,
            min_version: match config.tls.min_version {
                TlsVersion::V1_2 => engine::TlsVersion::V1_2,
                TlsVersion::V1_3 => engine::TlsVersion::V1_3,
            },
            require: match config.tls.require {
                TlsRequire::Off => engine::TlsRequire::Off,
                TlsRequire::Public => engine::TlsRequire::Public,
                TlsRequire::Login => engine::TlsRequire::Login,
                TlsRequire::All => engine::TlsRequire::All,
            },
            session_reuse: match config.tls.session_reuse {
                SessionReuse::Off => engine::SessionReuse::Off,
                SessionReuse::Prefer => engine::SessionReuse::Prefer,
                SessionReuse::Require => engine::SessionReuse::Require,
            },
            require_close_notify: config.tls.require_close_notify,
            server_names: config.tls.server_names.clone(),
        },
        facts,
        warnings: pair.warnings,
    }))
}

/// The certificate chain that would be used.
pub fn chain(config: &Config) -> Result<Vec<CertificateDer<'static>>, Failure> {
    pair(config).map(|pair| pair.chain)
}

fn pair(config: &Config) -> Result<CertificateAndKey, Failure> {
    if let (Some(certificate), Some(key)) = (&config.tls.certificate.0, &config.tls.private_key.0) {
        return from_files(certificate, key);
    }
    let folder = config.state_folder();
    let names = standard_paths::host_name().into_iter().chain(["localhost".to_owned()]);
    let addresses = own_addresses().into_iter().map(|ip| ip.to_string());
    self_signed(&folder, &names.chain(addresses).collect::<Vec<_>>())
}

/// The storage for the folders of accounts.
pub(crate) fn disk(config: &Config) -> DiskOptions {
    DiskOptions {
        durability: match config.files.durability {
            choice::Durability::Full => Durability::Full,
            choice::Durability::Fast => Durability::Fast,
        },
        follow_symlinks: match config.files.follow_symlinks {
            Symlinks::Inside => FollowSymlinks::Inside,
            Symlinks::Never => FollowSymlinks::Never,
            Symlinks::Always => FollowSymlinks::Always,
        },
        umask: config.files.umask.0,
        partial_upload_retention: config.files.partial_upload_retention.0,
        min_free_space: match config.files.min_free_space {
            value::FreeSpaceReserve::Auto => Reserve::Auto,
            value::FreeSpaceReserve::Bytes(bytes) => Reserve::Bytes(bytes),
            value::FreeSpaceReserve::Percent(share) => Reserve::Percent(share),
        },
    }
}

/// The storage of a sandboxed process, which rejects inaccessible folders.
pub struct ConfinedFolders {
    disks: Disks,
    reach: Arc<AccessPolicy>,
    /// The upload check, which is set after the process is sandboxed.
    checker: Arc<OnceLock<Arc<Checker>>>,
}

impl ConfinedFolders {
    /// The folders of `disks` that are within `reach`.
    pub(crate) fn new(disks: Disks, reach: Arc<AccessPolicy>) -> Self {
        Self { disks, reach, checker: Arc::default() }
    }

    /// Adds the upload check, once it is available.
    pub(crate) fn checked(self, checker: &Arc<OnceLock<Arc<Checker>>>) -> Self {
        Self { checker: Arc::clone(checker), ..self }
    }
}

#[async_trait]
impl Stores for ConfinedFolders {
    async fn open(&self, account: &Account) -> Result<Arc<dyn Storage>, Error> {
        let opened = self.disks.open(account).await;
        // Without a kernel sandbox, opening has succeeded.
        if opened.is_err() && account.home.exists() && !self.reach.covers(&account.home) {
            let hint = "the sandbox does not include it; restart wharf, or add a parent folder to \
                        server.homes and restart once";
            return Err(Error::new(ErrorKind::Forbidden, std::io::Error::other(hint)));
        }
        let opened = opened?;
        Ok(match self.checker.get() {
            Some(checker) => checker.over(opened, account),
            None => opened,
        })
    }
}

/// The quota counters, with the values stored by the last run.
pub fn quotas(config: &Config) -> Quotas {
    Quotas::open(config.state_folder(), user_quota(config))
}

/// The default quotas of accounts.
pub(crate) fn user_quota(config: &Config) -> Quota {
    Quota { bytes: config.limits.user_quota, files: config.limits.user_quota_files }
}

/// The base folder of accounts.
pub fn stores(
    config: &Config,
    quotas: Option<&Quotas>,
    reach: &Arc<AccessPolicy>,
    server_files: ServerFiles,
) -> ConfinedFolders {
    let disks = Disks::new(disk(config)).deny(server_files);
    let disks = match quotas {
        Some(quotas) => disks.with_quotas(quotas.clone()),
        None => disks,
    };
    ConfinedFolders::new(disks, Arc::clone(reach))
}

#[cfg(test)]
mod tests {
    use wharf_config::Loaded;
    use wharf_config::choice::AnonymousPermissions;
    use wharf_config::gather::Inputs;
    use wharf_core::permission::Permissions;

    use super::accounts::for_many;
    use super::*;

    #[test]
    fn without_configuration_the_engine_defaults_apply() {
        let config = Loaded::load(&Inputs::default()).config;
        let mut ours = settings(&config, None, None).unwrap();
        ours.names.legacy_encoding = None;
        assert_eq!(format!("{ours:?}"), format!("{:?}", Settings::default()));
        assert_eq!(disk(&config), DiskOptions::default());
    }

    #[test]
    fn the_engine_names_its_settings_as_the_configuration_does() {
        let settings = Settings { tls: None, listen: Vec::new(), ..Settings::default() };
        let shown = format!("{settings:#?}");
        let (mut section, mut checked) = ("", 0);
        for line in shown.lines() {
            let depth = line.len() - line.trim_start().len();
            let Some((name, value)) = line.trim_start().split_once(": ") else { continue };
            match depth {
                // Other values are keys of `server`, or left out above.
                4 => section = if value.ends_with('{') { name } else { "" },
                8 if !section.is_empty() => {
                    let name = name.strip_prefix("is_").unwrap_or(name);
                    let path = keys::join(section, name);
                    assert!(keys::key_at(&path).is_some(), "unknown key {path}");
                    checked += 1;
                }
                _ => {}
            }
        }
        assert!(checked > 40, "{checked}: {shown}");
    }

    #[test]
    fn row_23_anonymous_access_is_off_and_its_permissions_are_presets() {
        assert!(!Loaded::load(&Inputs::default()).config.login.anonymous);
        for denied in [
            Permissions::LIST,
            Permissions::READ,
            Permissions::OVERWRITE,
            Permissions::RENAME,
            Permissions::DELETE,
            Permissions::MKDIR,
        ] {
            assert!(
                !anonymous_permission_set(AnonymousPermissions::Dropbox).contains(denied),
                "{denied}"
            );
        }
        for (word, permissions) in [
            (AnonymousPermissions::Read, Permissions::READ_ONLY),
            (AnonymousPermissions::Dropbox, Permissions::parse("dropbox").unwrap()),
            (AnonymousPermissions::ReadWrite, Permissions::parse("read-write").unwrap()),
        ] {
            assert_eq!(anonymous_permission_set(word), permissions);
        }
        // Defaults for all accounts apply to the anonymous user.
        assert_eq!((for_many().quota, for_many().quota_files), (None, None));
    }

    #[test]
    fn host_names_are_resolved_and_unknown_ones_are_reported() {
        let name = |name: &str| PublicAddress::Name(name.into());
        assert_eq!(public_address(&name("localhost")), Ok(Some(Ipv4Addr::LOCALHOST)));
        let failure = public_address(&name("no-such-host.invalid")).unwrap_err();
        assert!(failure.message.contains("no-such-host.invalid"), "{}", failure.message);
    }
}
