//! The `perm` fact (RFC 3659 §7.5.5): the account's permissions on listed entries.

use wharf_core::permission::Permissions;
use wharf_proto::entry::{Kind, Perm};
use wharf_proto::path::VPath;

use super::SessionFiles;

/// The `perm` facts of the entries of one directory.
pub(crate) enum DirectoryPerms {
    /// The same for each entry of a kind, if no rule is below the directory.
    All {
        files: Perm,
        directories: Perm,
    },
    Each(SessionFiles, VPath),
}

impl DirectoryPerms {
    pub(crate) fn of(&self, name: &[u8], kind: Kind) -> Perm {
        match self {
            Self::All { directories, .. } if kind == Kind::Dir => *directories,
            Self::All { files, .. } => *files,
            Self::Each(owner, directory) => {
                directory.join(name).map(|path| owner.perm(&path, kind)).unwrap_or_default()
            }
        }
    }
}

/// The letters of the `perm` fact.
pub(super) fn perm(permissions: Permissions, kind: Kind) -> Perm {
    const OF_A_FILE: &[(Permissions, u8)] = &[
        (Permissions::APPEND, b'a'),
        (Permissions::DELETE, b'd'),
        (Permissions::RENAME, b'f'),
        (Permissions::READ, b'r'),
        (Permissions::OVERWRITE, b'w'),
    ];
    const OF_A_DIRECTORY: &[(Permissions, u8)] = &[
        (Permissions::UPLOAD, b'c'),
        (Permissions::RMDIR, b'd'),
        (Permissions::ENTER, b'e'),
        (Permissions::RENAME, b'f'),
        (Permissions::LIST, b'l'),
        (Permissions::MKDIR, b'm'),
        (Permissions::DELETE, b'p'),
    ];
    let letters = if kind == Kind::Dir { OF_A_DIRECTORY } else { OF_A_FILE };
    letters
        .iter()
        .filter(|(permission, _)| permissions.contains(*permission))
        .fold(Perm::default(), |perm, (_, letter)| perm.with(*letter))
}
