//! An account, and a group of them, as their file states them.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use wharf_core::account::{Account, AccountLimits, Count, Folder, Rate, Size};
use wharf_core::permission::{Permissions, Rules};
use wharf_core::users::{Attempt, Denied};
use wharf_proto::path::VPath;

use crate::hours::{Expiry, Hours};

/// The default permissions of an account.
pub const PERMISSIONS_DEFAULT: Permissions = Permissions::READ_ONLY;
/// The placeholder for the account's name in the home of a group.
pub const NAME_MARK: &str = "%u";

/// An account or a group as defined in its file; `None` for settings that are not set.
///
/// An account inherits settings that it does not set from the first of its groups that sets them;
/// see [`UserRecord::with_groups`]. A group has no password and no groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRecord {
    /// The name: it has passed [`check_name`](crate::name::check_name).
    pub name: String,
    /// The hash of the password. Without it logins are rejected, unless `no_password` is set.
    pub password: Option<StoredHash>,
    /// Whether it needs no password: only from its addresses, which it must have then.
    pub no_password: Option<bool>,
    /// The groups from which it inherits settings, by precedence.
    pub groups: Vec<String>,
    /// The home as written, relative to the folder of the file. Empty if not set. In a group,
    /// [`NAME_MARK`] is replaced by the name of the account.
    pub home: PathBuf,
    /// What it may do; [`PERMISSIONS_DEFAULT`] if absent.
    pub permissions: Option<Permissions>,
    /// Whether it may log in; it may if absent.
    pub enabled: Option<bool>,
    /// What all its uploads share.
    pub upload_rate: Option<Rate>,
    /// What all its downloads share.
    pub download_rate: Option<Rate>,
    /// What one upload may use.
    pub transfer_upload_rate: Option<Rate>,
    /// What one download may use.
    pub transfer_download_rate: Option<Rate>,
    /// Sessions at a time.
    pub sessions: Option<Count>,
    /// How many bytes it may store.
    pub quota: Option<Size>,
    /// How many files and folders it may store.
    pub quota_files: Option<Count>,
    /// Whether it must use TLS; it need not if absent.
    pub require_tls: Option<bool>,
    /// The only addresses from which it may log in; from any if absent.
    pub allowed_addresses: Option<Vec<IpNet>>,
    /// The only hours in which it may be logged in; at any time if absent.
    pub hours: Option<Hours>,
    /// When it ends; never if absent.
    pub expires: Option<Expiry>,
    /// A comment.
    pub comment: Option<String>,
    /// Permissions below some paths, in the order of the file.
    pub paths: Vec<(VPath, Permissions)>,
    /// Shared folders outside of the home, in the order of the file.
    pub folders: Vec<FolderRecord>,
}

/// A folder outside of the home, seen in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderRecord {
    /// Where clients see it.
    pub path: VPath,
    /// The target as written, relative to the folder of the file.
    pub target: PathBuf,
    /// The permissions there; if absent, the rules of the account for this path.
    pub permissions: Option<Permissions>,
    /// How many bytes it may store, counted separately from the home.
    pub quota: Option<Size>,
    /// How many files and folders it may hold.
    pub quota_files: Option<Count>,
}

impl UserRecord {
    /// Whether the account may log in.
    pub fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    /// The account with the settings inherited from its groups: `groups` returns them by name, and
    /// missing ones are skipped. A list, such as that of addresses, is inherited as a whole;
    /// permissions of paths and folders are inherited one by one.
    #[must_use]
    pub fn with_groups<'a>(&self, groups: impl Fn(&str) -> Option<&'a Self>) -> Self {
        let mut whole = self.clone();
        for group in self.groups.iter().filter_map(|name| groups(name)) {
            whole.take(group);
        }
        whole
    }

    fn take(&mut self, group: &Self) {
        if self.home.as_os_str().is_empty() {
            self.home = home_of(&group.home, &self.name);
        }
        or(&mut self.permissions, group.permissions.as_ref());
        or(&mut self.enabled, group.enabled.as_ref());
        or(&mut self.upload_rate, group.upload_rate.as_ref());
        or(&mut self.download_rate, group.download_rate.as_ref());
        or(&mut self.transfer_upload_rate, group.transfer_upload_rate.as_ref());
        or(&mut self.transfer_download_rate, group.transfer_download_rate.as_ref());
        or(&mut self.sessions, group.sessions.as_ref());
        or(&mut self.quota, group.quota.as_ref());
        or(&mut self.quota_files, group.quota_files.as_ref());
        or(&mut self.require_tls, group.require_tls.as_ref());
        or(&mut self.allowed_addresses, group.allowed_addresses.as_ref());
        or(&mut self.hours, group.hours.as_ref());
        or(&mut self.expires, group.expires.as_ref());
        for (path, permissions) in &group.paths {
            if !self.paths.iter().any(|(known, _)| known == path) {
                self.paths.push((path.clone(), *permissions));
            }
        }
        for folder in &group.folders {
            if !self.folders.iter().any(|known| known.path == folder.path) {
                self.folders.push(folder.clone());
            }
        }
    }

    /// Whether an authenticated user may log in under these conditions. Call it on a record with
    /// groups applied.
    ///
    /// # Errors
    /// The reason for the refusal.
    pub fn admits(&self, attempt: &Attempt<'_>, now: Timestamp) -> Result<(), Denied> {
        if !self.is_enabled() {
            return Err(Denied::Disabled);
        }
        self.admits_address(attempt.peer)?;
        self.admits_time(now)?;
        if self.require_tls == Some(true) && !attempt.is_tls {
            return Err(Denied::ByRule("the account requires TLS".to_owned()));
        }
        Ok(())
    }

    /// Whether it needs no password, and has the addresses that are required then. Without
    /// addresses every client could log in, so logins are rejected.
    pub fn is_open(&self) -> bool {
        let has_addresses = self.allowed_addresses.as_ref().is_some_and(|all| !all.is_empty());
        self.no_password == Some(true) && has_addresses && self.password.is_none()
    }

    /// Whether it may log in from there.
    ///
    /// # Errors
    /// Its addresses, in a sentence.
    pub fn admits_address(&self, peer: IpAddr) -> Result<(), Denied> {
        let Some(allowed) = &self.allowed_addresses else { return Ok(()) };
        let peer = peer.to_canonical();
        if allowed.iter().any(|network| network.contains(&peer)) {
            return Ok(());
        }
        let allowed: Vec<_> = allowed.iter().map(shown_network).collect();
        let why = format!("the account may log in from {} only", allowed.join(", "));
        Err(Denied::ByRule(why))
    }

    /// Whether it may be logged in at that time.
    ///
    /// # Errors
    /// Its end or its hours, in a sentence.
    pub fn admits_time(&self, now: Timestamp) -> Result<(), Denied> {
        if let Some(expires) = self.expires.filter(|expires| expires.end() <= now) {
            return Err(Denied::ByRule(format!("the account expired: expires = {expires}")));
        }
        match &self.hours {
            Some(hours) if !hours.is_open(now) => {
                Err(Denied::ByRule(format!("the account may log in at {hours} only")))
            }
            _ => Ok(()),
        }
    }

    /// When a session that is logged in now must end.
    fn until(&self, now: Timestamp) -> Option<i64> {
        let hours = self.hours.as_ref().and_then(|hours| hours.close(now));
        let end = self.expires.map(Expiry::end);
        hours.into_iter().chain(end).map(Timestamp::as_second).min()
    }

    /// All settings, independent of the location of the file: relative paths are resolved against
    /// `folder`.
    pub fn settings(&self, folder: &Path) -> Vec<Setting> {
        let Self {
            name: _,
            password,
            no_password,
            groups,
            home,
            permissions,
            enabled,
            upload_rate,
            download_rate,
            transfer_upload_rate,
            transfer_download_rate,
            sessions,
            quota,
            quota_files,
            require_tls,
            allowed_addresses,
            hours,
            expires,
            comment,
            paths,
            folders,
        } = self.clone();
        let is_set = !home.as_os_str().is_empty();
        let single = [
            password.map(Setting::Password),
            no_password.map(Setting::NoPassword),
            (!groups.is_empty()).then_some(Setting::Groups(groups)),
            is_set.then(|| Setting::Home(folder.join(home))),
            permissions.map(Setting::Permissions),
            enabled.map(Setting::Enabled),
            upload_rate.map(Setting::UploadRate),
            download_rate.map(Setting::DownloadRate),
            transfer_upload_rate.map(Setting::TransferUploadRate),
            transfer_download_rate.map(Setting::TransferDownloadRate),
            sessions.map(Setting::Sessions),
            quota.map(Setting::Quota),
            quota_files.map(Setting::QuotaFiles),
            require_tls.map(Setting::RequireTls),
            allowed_addresses.map(Setting::AllowedAddresses),
            hours.map(Setting::Hours),
            expires.map(Setting::Expires),
            comment.map(Setting::Comment),
        ];
        let paths = paths.into_iter().map(|(path, permissions)| Setting::Path(path, permissions));
        let folders = folders.into_iter().map(|one| {
            let target = folder.join(&one.target);
            Setting::Folder(FolderRecord { target, ..one })
        });
        single.into_iter().flatten().chain(paths).chain(folders).collect()
    }

    /// The account for the engine; a relative home is resolved against `folder`. Call it on a
    /// record with groups applied.
    pub fn account(&self, folder: &Path, now: Timestamp) -> Account {
        let rules = Rules::everywhere(self.permissions.unwrap_or(PERMISSIONS_DEFAULT));
        let of_folders = self.folders.iter().filter_map(|one| Some((&one.path, one.permissions?)));
        let of_paths = self.paths.iter().map(|(path, permissions)| (path, *permissions));
        let rules = of_folders
            .chain(of_paths)
            .fold(rules, |rules, (path, permissions)| rules.with(path.clone(), permissions));
        let mut account = Account::new(&self.name, folder.join(&self.home), rules);
        account.limits = AccountLimits {
            upload_rate: self.upload_rate,
            download_rate: self.download_rate,
            transfer_upload_rate: self.transfer_upload_rate,
            transfer_download_rate: self.transfer_download_rate,
            sessions: self.sessions,
            quota: self.quota,
            quota_files: self.quota_files,
        };
        account.instance = self.password.as_ref().map(StoredHash::instance);
        account.requires_tls = self.require_tls.unwrap_or(false);
        account.folders = self
            .folders
            .iter()
            .map(|one| Folder {
                at: one.path.clone(),
                target: folder.join(&one.target),
                quota: one.quota,
                quota_files: one.quota_files,
            })
            .collect();
        account.until = self.until(now);
        account
    }
}

fn or<T: Clone>(own: &mut Option<T>, other: Option<&T>) {
    if own.is_none() {
        *own = other.cloned();
    }
}

/// A group's home for one of its accounts. The name is one plain component of a path.
fn home_of(home: &Path, name: &str) -> PathBuf {
    match home.to_str() {
        Some(text) => text.replace(NAME_MARK, name).into(),
        None => home.to_owned(),
    }
}

/// A single address as such.
pub fn shown_network(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// A password's hash. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash(String);

impl StoredHash {
    /// The hash as text, for storing and verifying.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Distinguishes accounts of one name: a new account has a password hash with another salt.
    fn instance(&self) -> [u8; 16] {
        let digest = Sha256::new().chain_update("instance").chain_update(&self.0).finalize();
        let mut instance = [0; 16];
        instance.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        instance
    }

    /// Whether it can ever be met: it is a hash, not a mark for "no password" such as `!`.
    pub fn is_usable(&self) -> bool {
        crate::password::looks_like_hash(&self.0)
    }
}

impl From<String> for StoredHash {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("StoredHash(…)")
    }
}

/// One setting in the table of an account or group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `password`: the hash of a password.
    Password(StoredHash),
    /// `no_password`.
    NoPassword(bool),
    /// `groups`.
    Groups(Vec<String>),
    /// `home`.
    Home(PathBuf),
    /// `permissions`.
    Permissions(Permissions),
    /// `enabled`.
    Enabled(bool),
    /// `upload_rate`.
    UploadRate(Rate),
    /// `download_rate`.
    DownloadRate(Rate),
    /// `transfer_upload_rate`.
    TransferUploadRate(Rate),
    /// `transfer_download_rate`.
    TransferDownloadRate(Rate),
    /// `sessions`.
    Sessions(Count),
    /// `quota`.
    Quota(Size),
    /// `quota_files`.
    QuotaFiles(Count),
    /// `require_tls`.
    RequireTls(bool),
    /// `allowed_addresses`.
    AllowedAddresses(Vec<IpNet>),
    /// `hours`.
    Hours(Hours),
    /// `expires`.
    Expires(Expiry),
    /// `comment`.
    Comment(String),
    /// An entry of `paths`.
    Path(VPath, Permissions),
    /// An entry of `folders`.
    Folder(FolderRecord),
}

impl Setting {
    /// The key in the table.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Password(_) => "password",
            Self::NoPassword(_) => "no_password",
            Self::Groups(_) => "groups",
            Self::Home(_) => "home",
            Self::Permissions(_) => "permissions",
            Self::Enabled(_) => "enabled",
            Self::UploadRate(_) => "upload_rate",
            Self::DownloadRate(_) => "download_rate",
            Self::TransferUploadRate(_) => "transfer_upload_rate",
            Self::TransferDownloadRate(_) => "transfer_download_rate",
            Self::Sessions(_) => "sessions",
            Self::Quota(_) => "quota",
            Self::QuotaFiles(_) => "quota_files",
            Self::RequireTls(_) => "require_tls",
            Self::AllowedAddresses(_) => "allowed_addresses",
            Self::Hours(_) => "hours",
            Self::Expires(_) => "expires",
            Self::Comment(_) => "comment",
            Self::Path(..) => "paths",
            Self::Folder(_) => "folders",
        }
    }
}

/// Every key of an account's table, in the order of output.
pub const KEYS: [&str; 20] = [
    "password", "no_password", "groups", "home", "permissions", "enabled", "upload_rate",
    "download_rate", "transfer_upload_rate", "transfer_download_rate", "sessions", "quota",
    "quota_files", "require_tls", "allowed_addresses", "hours", "expires", "comment", "paths",
    "folders",
];

/// The keys that only an account has.
pub const KEYS_OF_ACCOUNTS: [&str; 3] = ["password", "no_password", "groups"];

/// A network, or an address as a network of one.
pub fn parse_network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    address.ok().or_else(|| text.parse::<IpNet>().map(|network| network.trunc()).ok())
}

/// Why a text is neither an address nor a network.
#[must_use]
pub fn network_fault(text: &str) -> &'static str {
    let parts = text.trim().split_once('/');
    let parts = parts.and_then(|(address, length)| {
        length.parse::<u32>().ok().and_then(|_| address.parse::<IpAddr>().ok())
    });
    match parts {
        Some(IpAddr::V4(_)) => "the prefix length is above 32",
        Some(IpAddr::V6(_)) => "the prefix length is above 128",
        None => "not an address or network",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_length_out_of_range_is_named() {
        assert_eq!(network_fault("10.0.0.0/99"), "the prefix length is above 32");
        assert_eq!(network_fault("2001:db8::/129"), "the prefix length is above 128");
        for text in ["somewhere", "10.0.0", "10.0.0.0/", "10.0.0.0/8x", "x/99"] {
            assert_eq!(network_fault(text), "not an address or network", "{text}");
        }
        assert!(parse_network("10.0.0.0/32").is_some() && parse_network("10.0.0.0/33").is_none());
    }
}
