//! Who says what an account has: it, one of its groups, or nobody.

use std::path::Path;

use wharf_proto::path::VPath;

use super::record::{Setting, UserRecord};

/// Keys that an account does not take from its groups.
const OWN_KEYS: [&str; 4] = ["password", "no_password", "groups", "comment"];

/// Who says a setting of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The account's own table.
    Own,
    /// That of a group.
    Group(&'a str),
    /// Neither it nor its groups: what the server's configuration says holds, or the default.
    Nobody,
}

impl UserRecord {
    /// Whether a key stands here, groups left aside. `inner` is the path of one entry of `paths` or
    /// `folders`.
    pub fn says(&self, key: &str, inner: Option<&VPath>) -> bool {
        let is_it = |setting: &Setting| {
            setting.key() == key && inner.is_none_or(|path| setting.path() == Some(path))
        };
        self.settings(Path::new("")).iter().any(is_it)
    }

    /// Who says a key of an account, by the order of [`UserRecord::with_groups`]: this is what its
    /// own table says, and `groups` has the groups by name.
    pub fn origin_of<'a>(
        &'a self,
        groups: impl Fn(&str) -> Option<&'a Self>,
        key: &str,
        inner: Option<&VPath>,
    ) -> Origin<'a> {
        if self.says(key, inner) {
            return Origin::Own;
        }
        if OWN_KEYS.contains(&key) {
            return Origin::Nobody;
        }
        let says = |name: &&String| groups(name).is_some_and(|group| group.says(key, inner));
        self.groups.iter().find(says).map_or(Origin::Nobody, |name| Origin::Group(name))
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
