//! Someone who may log in, and what they may do.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use wharf_proto::path::VPath;

use crate::permission::Rules;

/// An account as the engine uses it once someone has proven to be its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name, as the store spells it. At most 64 bytes, no control bytes, no slash.
    pub name: String,
    /// Where its files are. The engine never looks; `Stores::open` reads it.
    pub home: PathBuf,
    /// What it may do where.
    pub rules: Rules,
    /// How much and how many.
    pub limits: Limits,
    /// Whether anybody may be it. Anonymous sessions share the account's limits.
    pub is_anonymous: bool,
    /// Whether a session without TLS on the control connection is refused.
    pub requires_tls: bool,
    /// Folders that lie elsewhere and are seen below the home. The engine never looks;
    /// `Stores::open` reads them.
    pub folders: Vec<Folder>,
    /// Seconds since 1970 at which it may no longer be logged in: its hours or its time are over.
    pub until: Option<i64>,
}

/// A folder that lies outside of the home and is seen in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Folder {
    /// Where clients see it: not the root. What the home itself has there is covered.
    pub at: VPath,
    /// Where it is.
    pub target: PathBuf,
    /// How many bytes it may hold, counted apart from the home.
    pub quota: Option<Size>,
    /// How many files and folders it may hold.
    pub quota_files: Option<Count>,
}

/// How fast and how often one account may come. `None` leaves it to the server's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What all uploads of the account share.
    pub upload: Option<Rate>,
    /// What all downloads of the account share.
    pub download: Option<Rate>,
    /// What one upload may use.
    pub transfer_upload: Option<Rate>,
    /// What one download may use.
    pub transfer_download: Option<Rate>,
    /// Sessions at a time.
    pub sessions_max: Option<Count>,
    /// How many bytes it may keep. The engine never looks; stores that count do.
    pub quota: Option<Size>,
    /// How many files and folders it may keep.
    pub quota_files: Option<Count>,
}

/// A speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rate {
    /// As fast as it goes.
    Unlimited,
    /// So many bytes a second.
    BytesPerSecond(NonZeroU64),
}

/// A number of things at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Count {
    /// Any number.
    Unlimited,
    /// At most this many.
    AtMost(NonZeroU32),
}

/// An amount of content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Size {
    /// As much as there is room for.
    #[default]
    Unlimited,
    /// At most so many bytes.
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

/// Whether an account can have this name: at most 64 bytes that are one plain component of a path
/// on every system. No separator, drive, control byte or leading dot stands in it, and no dot or
/// space at its end. What fails here reaches no store of accounts.
pub fn is_name(name: &str) -> bool {
    let is_odd = |letter: char| letter.is_control() || matches!(letter, '/' | '\\' | ':');
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.starts_with('.')
        && !name.ends_with(['.', ' '])
        && !name.contains(is_odd)
}

impl Account {
    /// An account with these rights and nothing limited: a start for stores and tests.
    pub fn new(name: impl Into<String>, home: impl Into<PathBuf>, rules: Rules) -> Self {
        Self {
            name: name.into(),
            home: home.into(),
            rules,
            limits: Limits::default(),
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
