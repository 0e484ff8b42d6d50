//! The kinds of values of account keys.

use ipnet::IpNet;
use toml_edit::{InlineTable, Value};
use wharf_core::account::{Count, Rate, Size};
use wharf_core::permission::Permissions;

use super::entry::TomlEntry;
use super::values::{FolderRecord, StoredHash, shown_network};
use crate::hours::{Expiry, Hours};
use crate::permissions::format_permissions;
use crate::units::{format_quota, format_rate};

/// The kind of value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A password hash.
    Hash,
    /// True or false.
    Boolean,
    /// A set of permissions.
    Permissions,
    /// A number of bytes per second.
    Rate,
    /// A number of bytes.
    Size,
    /// A number of things.
    Count,
    /// A list of networks.
    Networks,
    /// A list of time windows.
    Hours,
    /// A date.
    Expiry,
    /// Text without effect.
    Text,
}

impl ValueKind {
    /// Whether it is a number, of which 0 means no limit.
    #[must_use]
    pub fn is_amount(self) -> bool {
        matches!(self, Self::Rate | Self::Size | Self::Count)
    }
}

/// The value of a key, of any kind.
#[derive(Clone, Copy, Debug)]
pub enum AccountValue<'a> {
    /// [`ValueKind::Hash`].
    Hash(&'a StoredHash),
    /// [`ValueKind::Boolean`].
    Boolean(bool),
    /// [`ValueKind::Permissions`].
    Permissions(Permissions),
    /// [`ValueKind::Rate`].
    Rate(Rate),
    /// [`ValueKind::Size`].
    Size(Size),
    /// [`ValueKind::Count`].
    Count(Count),
    /// [`ValueKind::Networks`].
    Networks(&'a [IpNet]),
    /// [`ValueKind::Hours`].
    Hours(&'a Hours),
    /// [`ValueKind::Expiry`].
    Expiry(Expiry),
    /// [`ValueKind::Text`].
    Text(&'a str),
}

impl AccountValue<'_> {
    /// As written in `users.toml`.
    pub(super) fn toml(self) -> Value {
        match self {
            Self::Boolean(value) => value.into(),
            Self::Count(count) => i64::from(count.number().unwrap_or(0)).into(),
            Self::Networks(networks) => networks.iter().map(shown_network).collect(),
            Self::Hours(hours) => hours.windows().collect(),
            other => other.text().into(),
        }
    }

    /// As one text, which the parser of a cell accepts.
    pub fn text(self) -> String {
        match self {
            Self::Hash(hash) => hash.as_str().to_owned(),
            Self::Boolean(value) => value.to_string(),
            Self::Permissions(permissions) => format_permissions(permissions),
            Self::Rate(rate) => format_rate(rate),
            Self::Size(size) => format_quota(size),
            Self::Count(count) => count.number().unwrap_or(0).to_string(),
            Self::Networks(networks) => {
                networks.iter().map(shown_network).collect::<Vec<_>>().join(" ")
            }
            Self::Hours(hours) => hours.to_string(),
            Self::Expiry(expiry) => expiry.to_string(),
            Self::Text(text) => text.to_owned(),
        }
    }
}

impl FolderRecord {
    /// As written in `users.toml`: only the target, if nothing else is set. `None` if it is not
    /// text.
    pub(super) fn toml(&self) -> Option<Value> {
        let target = self.target.to_str()?;
        let more = [
            ("permissions", self.permissions.map(AccountValue::Permissions)),
            ("quota", self.quota.map(AccountValue::Size)),
            ("quota_files", self.quota_files.map(AccountValue::Count)),
        ];
        let more: Vec<_> =
            more.into_iter().filter_map(|(key, value)| Some((key, value?.toml()))).collect();
        if more.is_empty() {
            return Some(target.into());
        }
        let table: InlineTable = [("target", target.into())].into_iter().chain(more).collect();
        Some(Value::InlineTable(table))
    }
}

/// A type of values.
pub(super) trait KeyValue: Sized {
    /// Its kind.
    const KIND: ValueKind;

    /// The value in a table; problems are reported.
    fn read(reader: &mut dyn ValueReader, found: &TomlEntry<'_>) -> Option<Self>;

    /// The same value, of any kind.
    fn value(&self) -> AccountValue<'_>;
}

macro_rules! key_values {
    ($($type:ty: $kind:ident, $read:ident, |$value:ident| $of:expr;)+) => {
        /// Reads the values in a table of `users.toml`, and reports their problems.
        pub(super) trait ValueReader {
            $(#[doc = concat!("Reads a value of [`ValueKind::", stringify!($kind), "`].")]
            fn $read(&mut self, found: &TomlEntry<'_>) -> Option<$type>;)+
        }

        $(impl KeyValue for $type {
            const KIND: ValueKind = ValueKind::$kind;

            fn read(reader: &mut dyn ValueReader, found: &TomlEntry<'_>) -> Option<Self> {
                reader.$read(found)
            }

            fn value(&self) -> AccountValue<'_> {
                let $value = self;
                AccountValue::$kind($of)
            }
        })+
    };
}

key_values! {
    StoredHash: Hash, password, |value| value;
    bool: Boolean, boolean, |value| *value;
    Permissions: Permissions, permissions, |value| *value;
    Rate: Rate, rate, |value| *value;
    Size: Size, size, |value| *value;
    Count: Count, count, |value| *value;
    Vec<IpNet>: Networks, addresses, |value| value;
    Hours: Hours, hours, |value| value;
    Expiry: Expiry, expires, |value| *value;
    String: Text, owned_text, |value| value;
}
