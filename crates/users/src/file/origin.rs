//! Where a setting of an account comes from: its own table, a group, or the default.

use std::path::Path;

use wharf_proto::path::VPath;

use super::keys::{KeyScope, Setting, UserRecord, account_key};

/// Where a setting of an account comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingOrigin<'a> {
    /// The account's own table.
    Own,
    /// That of a group.
    Group(&'a str),
    /// Not set: the server's configuration or the default applies.
    Unset,
}

impl UserRecord {
    /// Whether a key is set here, without its groups. `inner` is the path of one entry of `paths`
    /// or `folders`.
    pub fn sets(&self, key: &str, inner: Option<&VPath>) -> bool {
        let is_it = |setting: &Setting| {
            setting.key() == key && inner.is_none_or(|path| setting.path() == Some(path))
        };
        self.settings(Path::new("")).iter().any(is_it)
    }

    /// Where a key of an account comes from, in the order of [`UserRecord::with_groups`]: `self` is
    /// the account's own table, and `groups` returns groups by name.
    pub fn origin_of<'a>(
        &'a self,
        groups: impl Fn(&str) -> Option<&'a Self>,
        key: &str,
        inner: Option<&VPath>,
    ) -> SettingOrigin<'a> {
        if self.sets(key, inner) {
            return SettingOrigin::Own;
        }
        let is_own = account_key(key).is_some_and(|row| row.scope != KeyScope::Inherited);
        if is_own || key == "groups" {
            return SettingOrigin::Unset;
        }
        let sets = |name: &&String| groups(name).is_some_and(|group| group.sets(key, inner));
        self.groups
            .iter()
            .find(sets)
            .map_or(SettingOrigin::Unset, |name| SettingOrigin::Group(name))
    }
}

impl Setting {
    /// The path of an entry of `paths` or `folders`.
    pub fn path(&self) -> Option<&VPath> {
        match self {
            Self::Path(path, _) => Some(path),
            Self::Folder(folder) => Some(&folder.path),
            _ => None,
        }
    }
}
