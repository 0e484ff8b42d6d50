//! Accounts and their limits.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use wharf_proto::path::VPath;

use crate::permission::Rules;

/// An account, as used by the engine after a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name in the spelling of the account store. At most 64 bytes, no control bytes, no slash.
    pub name: String,
    /// Distinguishes it from an earlier or later account of the same name; `None` if the account
    /// store cannot. Partial uploads belong to the name and this.
    pub instance: Option<[u8; 16]>,
    /// The home. Used only by `Stores::open`, not by the engine.
    pub home: PathBuf,
    /// The permissions by path.
    pub rules: Rules,
    /// The account's own limits.
    pub limits: AccountLimits,
    /// Whether it needs no password. Anonymous sessions share the account's limits.
    pub is_anonymous: bool,
    /// Whether a session without TLS on the control connection is rejected.
    pub requires_tls: bool,
    /// Virtual folders: directories outside of the home that appear in it. Used only by
    /// `Stores::open`, not by the engine.
    pub folders: Vec<Folder>,
    /// When its sessions end, in seconds since 1970: the end of its login hours or its expiry.
    pub until: Option<i64>,
}

/// A virtual folder: a directory outside of the home that appears in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Folder {
    /// The path that clients see, not the root. It hides an entry of the same name in the home.
    pub at: VPath,
    /// The directory of the operating system.
    pub target: PathBuf,
    /// The quota in bytes, counted separately from the home.
    pub quota: Option<Size>,
    /// The quota of files and directories.
    pub quota_files: Option<Count>,
}

/// Limits of one account. `None`: the limit of the server's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountLimits {
    /// The rate of all uploads of the account together.
    pub upload_rate: Option<Rate>,
    /// The rate of all downloads of the account together.
    pub download_rate: Option<Rate>,
    /// The rate of one upload.
    pub transfer_upload_rate: Option<Rate>,
    /// The rate of one download.
    pub transfer_download_rate: Option<Rate>,
    /// Concurrent sessions.
    pub sessions: Option<Count>,
    /// The quota in bytes. Enforced by the store, not by the engine.
    pub quota: Option<Size>,
    /// The quota of files and directories.
    pub quota_files: Option<Count>,
}

/// A transfer rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rate {
    /// No limit.
    Unlimited,
    /// Bytes per second.
    BytesPerSecond(NonZeroU64),
}

/// A limit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Count {
    /// No limit.
    Unlimited,
    /// At most this many.
    AtMost(NonZeroU32),
}

/// A limit of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Size {
    /// No limit.
    #[default]
    Unlimited,
    /// At most this many bytes.
    AtMost(NonZeroU64),
}

impl Size {
    /// From bytes, where 0 means no limit.
    pub fn from_bytes(bytes: u64) -> Self {
        NonZeroU64::new(bytes).map_or(Self::Unlimited, Self::AtMost)
    }

    /// The bytes, if there is a limit.
    pub fn bytes(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::AtMost(bytes) => Some(bytes.get()),
        }
    }
}

impl Rate {
    /// From bytes a second, where 0 means no limit.
    pub fn from_bytes_per_second(bytes: u64) -> Self {
        NonZeroU64::new(bytes).map_or(Self::Unlimited, Self::BytesPerSecond)
    }

    /// The bytes a second, if there is a limit.
    pub fn bytes_per_second(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::BytesPerSecond(bytes) => Some(bytes.get()),
        }
    }
}

impl Count {
    /// From a number, where 0 means no limit.
    pub fn from_number(number: u32) -> Self {
        NonZeroU32::new(number).map_or(Self::Unlimited, Self::AtMost)
    }

    /// Whether one more fits when there are `present` already.
    pub fn admits(self, present: usize) -> bool {
        match self {
            Self::Unlimited => true,
            Self::AtMost(most) => u32::try_from(present).is_ok_and(|present| present < most.get()),
        }
    }

    /// The number, if there is a limit.
    pub fn number(self) -> Option<u32> {
        match self {
            Self::Unlimited => None,
            Self::AtMost(most) => Some(most.get()),
        }
    }
}

/// The longest name of an account in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Whether a name is valid for an account: at most 64 bytes that form one plain path component on
/// every system, without separators, drives, control characters, a leading dot, or a trailing dot
/// or space. Other names are not passed to an account store.
pub fn is_name(name: &str) -> bool {
    let is_odd = |letter: char| letter.is_control() || matches!(letter, '/' | '\\' | ':');
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.starts_with('.')
        && !name.ends_with(['.', ' '])
        && !name.contains(is_odd)
}

impl Account {
    /// An account with these permissions and no limits.
    pub fn new(name: impl Into<String>, home: impl Into<PathBuf>, rules: Rules) -> Self {
        Self {
            name: name.into(),
            instance: None,
            home: home.into(),
            rules,
            limits: AccountLimits::default(),
            is_anonymous: false,
            requires_tls: false,
            folders: Vec::new(),
            until: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_22_a_name_is_one_plain_component_on_every_system() {
        for name in ["anna", "王小明", "a b", "x@example.com", "-", "_", "anonymous", "a.b"] {
            assert!(is_name(name), "{name}");
        }
        assert!(is_name(&"x".repeat(64)) && !is_name(&"x".repeat(65)));
        for name in [
            "", ".", "..", "../a", "a/..", "/", "\\", "a\\b", "C:", "a:b", "a\0", "a\n", "\u{85}",
            "a.", "a ", ".ssh", "\u{7f}",
        ] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
