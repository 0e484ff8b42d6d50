//! The keys of an account: one row for each key with a single value.
//!
//! A row gives the field of [`UserRecord`], the variant of [`Setting`], what is read and written in
//! `users.toml`, and whether members of a group inherit it. SQL, JSON, CSV and the command line
//! walk [`ACCOUNT_KEYS`].

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use toml_edit::Value;
use wharf_core::account::{Count, Rate, Size};
use wharf_core::permission::Permissions;
use wharf_proto::path::VPath;

use super::entry::TomlEntry;
use super::key_value::{AccountValue, KeyValue, ValueKind, ValueReader};
use super::values::{FolderRecord, StoredHash};
use crate::hours::{Expiry, Hours};

/// A key of an account with a single value.
#[derive(Debug)]
pub struct AccountKey {
    /// Its name in `users.toml`, SQL, JSON and CSV.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: ValueKind,
    /// Which tables have it.
    pub scope: KeyScope,
    /// Its value in a record, if it is set there.
    pub value: for<'a> fn(&'a UserRecord) -> Option<AccountValue<'a>>,
    /// The same as a setting.
    pub(super) setting: fn(&UserRecord) -> Option<Setting>,
    pub(super) read: fn(&mut dyn ValueReader, &TomlEntry<'_>, &mut UserRecord),
}

/// Which tables have a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// Only those of accounts.
    Account,
    /// Those of accounts and groups, and accounts inherit it.
    Inherited,
    /// Those of accounts and groups, each for itself.
    Separate,
}

/// The row of a key.
pub fn account_key(name: &str) -> Option<&'static AccountKey> {
    ACCOUNT_KEYS.iter().find(|key| key.name == name)
}

macro_rules! account_keys {
    (
        Account { $($(#[$own_doc:meta])+ $own:ident: $own_type:ty => $own_variant:ident,)+ }
        Inherited { $($(#[$doc:meta])+ $key:ident: $type:ty => $variant:ident,)+ }
        Separate { $($(#[$note_doc:meta])+ $note:ident: $note_type:ty => $note_variant:ident,)+ }
    ) => {
        /// An account or a group as defined in its file; `None` for settings that are not set.
        ///
        /// An account inherits settings that it does not set from the first of its groups that sets
        /// them; see [`UserRecord::with_groups`]. A group has no password and no groups.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct UserRecord {
            /// The name: it has passed [`check_name`](crate::name::check_name).
            pub name: String,
            $($(#[$own_doc])+ pub $own: Option<$own_type>,)+
            /// The groups from which it inherits settings, by precedence.
            pub groups: Vec<String>,
            /// The home as written, relative to the folder of the file. Empty if not set. In a
            /// group, [`NAME_MARK`](super::NAME_MARK) is replaced by the name of the account.
            pub home: PathBuf,
            $($(#[$doc])+ pub $key: Option<$type>,)+
            $($(#[$note_doc])+ pub $note: Option<$note_type>,)+
            /// Permissions below some paths, in the order of the file.
            pub paths: Vec<(VPath, Permissions)>,
            /// Shared folders outside of the home, in the order of the file.
            pub folders: Vec<FolderRecord>,
        }

        /// One setting in the table of an account or group.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Setting {
            $(#[doc = concat!("`", stringify!($own), "`.")] $own_variant($own_type),)+
            /// `groups`.
            Groups(Vec<String>),
            /// `home`.
            Home(PathBuf),
            $(#[doc = concat!("`", stringify!($key), "`.")] $variant($type),)+
            $(#[doc = concat!("`", stringify!($note), "`.")] $note_variant($note_type),)+
            /// An entry of `paths`.
            Path(VPath, Permissions),
            /// An entry of `folders`.
            Folder(FolderRecord),
        }

        impl Setting {
            /// The key in the table.
            pub fn key(&self) -> &'static str {
                match self {
                    $(Self::$own_variant(_) => stringify!($own),)+
                    Self::Groups(_) => "groups",
                    Self::Home(_) => "home",
                    $(Self::$variant(_) => stringify!($key),)+
                    $(Self::$note_variant(_) => stringify!($note),)+
                    Self::Path(..) => "paths",
                    Self::Folder(_) => "folders",
                }
            }

            /// The value as written in `users.toml`; `None` if a path in it is not text.
            pub(super) fn toml(&self) -> Option<Value> {
                Some(match self {
                    $(Self::$own_variant(value) => value.value().toml(),)+
                    Self::Groups(names) => names.iter().map(String::as_str).collect(),
                    Self::Home(home) => home.to_str()?.into(),
                    $(Self::$variant(value) => value.value().toml(),)+
                    $(Self::$note_variant(value) => value.value().toml(),)+
                    Self::Path(_, permissions) => permissions.value().toml(),
                    Self::Folder(folder) => folder.toml()?,
                })
            }
        }

        impl UserRecord {
            /// Takes the values that a group has and that are not set here.
            pub(super) fn inherit(&mut self, group: &Self) {
                $(if self.$key.is_none() { self.$key.clone_from(&group.$key); })+
            }
        }

        /// Every key of an account's table, in the order of output.
        pub const KEYS: &[&str] = &[
            $(stringify!($own),)+ "groups", "home", $(stringify!($key),)+ $(stringify!($note),)+
            "paths", "folders",
        ];

        /// The keys that only an account has.
        pub const KEYS_OF_ACCOUNTS: &[&str] = &[$(stringify!($own),)+ "groups"];

        /// The keys with a single value, in the order of output.
        pub static ACCOUNT_KEYS: &[AccountKey] = &[
            $(row!($own, $own_type, $own_variant, Account),)+
            $(row!($key, $type, $variant, Inherited),)+
            $(row!($note, $note_type, $note_variant, Separate),)+
        ];
    };
}

macro_rules! row {
    ($key:ident, $type:ty, $variant:ident, $scope:ident) => {
        AccountKey {
            name: stringify!($key),
            kind: <$type as KeyValue>::KIND,
            scope: KeyScope::$scope,
            value: |record| record.$key.as_ref().map(KeyValue::value),
            setting: |record| record.$key.clone().map(Setting::$variant),
            read: |reader, found, record| record.$key = KeyValue::read(reader, found),
        }
    };
}

account_keys! {
    Account {
        /// The hash of the password. Without it logins are rejected, unless `no_password` is set.
        password: StoredHash => Password,
        /// Whether it needs no password: only from its addresses, which it must have then.
        no_password: bool => NoPassword,
    }
    Inherited {
        /// What it may do; [`PERMISSIONS_DEFAULT`](super::PERMISSIONS_DEFAULT) if absent.
        permissions: Permissions => Permissions,
        /// Whether it may log in; it may if absent.
        enabled: bool => Enabled,
        /// What all its uploads share.
        upload_rate: Rate => UploadRate,
        /// What all its downloads share.
        download_rate: Rate => DownloadRate,
        /// What one upload may use.
        transfer_upload_rate: Rate => TransferUploadRate,
        /// What one download may use.
        transfer_download_rate: Rate => TransferDownloadRate,
        /// Sessions at a time.
        sessions: Count => Sessions,
        /// How many bytes it may store.
        quota: Size => Quota,
        /// How many files and folders it may store.
        quota_files: Count => QuotaFiles,
        /// Whether it must use TLS; it need not if absent.
        require_tls: bool => RequireTls,
        /// The only addresses from which it may log in; from any if absent.
        allowed_addresses: Vec<IpNet> => AllowedAddresses,
        /// The only hours in which it may be logged in; at any time if absent.
        hours: Hours => Hours,
        /// When it ends; never if absent.
        expires: Expiry => Expires,
    }
    Separate {
        /// A comment.
        comment: String => Comment,
    }
}

impl UserRecord {
    /// All settings, independent of the location of the file: relative paths are resolved against
    /// `folder`.
    pub fn settings(&self, folder: &Path) -> Vec<Setting> {
        let of = |is_own: bool| {
            let keys =
                ACCOUNT_KEYS.iter().filter(move |key| (key.scope == KeyScope::Account) == is_own);
            keys.filter_map(|key| (key.setting)(self))
        };
        let groups = (!self.groups.is_empty()).then(|| Setting::Groups(self.groups.clone()));
        let is_set = !self.home.as_os_str().is_empty();
        let home = is_set.then(|| Setting::Home(folder.join(&self.home)));
        let paths = self.paths.iter().cloned();
        let paths = paths.map(|(path, permissions)| Setting::Path(path, permissions));
        let folders = self.folders.iter().cloned().map(|one| {
            let target = folder.join(&one.target);
            Setting::Folder(FolderRecord { target, ..one })
        });
        of(true).chain(groups).chain(home).chain(of(false)).chain(paths).chain(folders).collect()
    }
}
