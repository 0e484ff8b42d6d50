//! An account as its file states it.

use std::fmt;
use std::path::{Path, PathBuf};

use wharf_core::account::{Account, Count, Limits, Rate, Size};
use wharf_core::permission::{Permissions, Rules};
use wharf_proto::path::VPath;

/// The rights of an account whose file names none.
pub const PERMISSIONS_DEFAULT: Permissions = Permissions::READ_ONLY;

/// An account as its file states it; nothing where the file says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRecord {
    /// The name: it has passed [`check_name`](crate::name::check_name).
    pub name: String,
    /// The password's hash. Nobody can log in without one.
    pub password: Option<StoredHash>,
    /// Where its files are, as written: relative to the file's folder.
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
    /// How many bytes it may keep.
    pub quota: Option<Size>,
    /// How many files and folders it may keep.
    pub quota_files: Option<Count>,
    /// Whether it must use TLS; it need not if absent.
    pub require_tls: Option<bool>,
    /// A note for people.
    pub comment: Option<String>,
    /// Rights below some paths, in the order of the file.
    pub paths: Vec<(VPath, Permissions)>,
}

impl UserRecord {
    /// Whether the account may log in.
    pub fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    /// The account for the engine; a relative home lies below `folder`.
    pub fn account(&self, folder: &Path) -> Account {
        let rules = Rules::everywhere(self.permissions.unwrap_or(PERMISSIONS_DEFAULT));
        let rules = self
            .paths
            .iter()
            .fold(rules, |rules, (path, rights)| rules.with(path.clone(), *rights));
        let mut account = Account::new(&self.name, folder.join(&self.home), rules);
        account.limits = Limits {
            upload: self.upload_rate,
            download: self.download_rate,
            transfer_upload: self.transfer_upload_rate,
            transfer_download: self.transfer_download_rate,
            sessions_max: self.sessions,
            quota: self.quota,
            quota_files: self.quota_files,
        };
        account.requires_tls = self.require_tls.unwrap_or(false);
        account
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

/// One thing that an account's table may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `password`: the hash of a password.
    Password(StoredHash),
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
    /// `comment`.
    Comment(String),
    /// An entry of `paths`.
    Path(VPath, Permissions),
}

impl Setting {
    /// The key in the account's table.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Password(_) => "password",
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
            Self::Comment(_) => "comment",
            Self::Path(..) => "paths",
        }
    }
}

/// Every key of an account's table, in the order in which they are told.
pub const KEYS: [&str; 14] = [
    "password",
    "home",
    "permissions",
    "enabled",
    "upload_rate",
    "download_rate",
    "transfer_upload_rate",
    "transfer_download_rate",
    "sessions",
    "quota",
    "quota_files",
    "require_tls",
    "comment",
    "paths",
];
