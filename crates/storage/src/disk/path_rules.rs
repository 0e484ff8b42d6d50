//! Permission rules applied to the targets of links.
//!
//! A rule applies to a path; a link gives its target another path. For an account with rules for
//! several paths, no operation follows links by itself: its path is resolved first, the rules are
//! checked for the result, and the operation uses the resolved path. If a link is replaced in
//! between, the operation fails.

use std::path::{Path, PathBuf};

use wharf_core::error::Result;
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::LastLink;
use wharf_proto::path::VPath;

use super::system::real_name;

/// The rules of the account of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PathRules {
    rules: Rules,
    /// The path of the root of this tree, as the account sees it.
    at: VPath,
}

impl PathRules {
    /// Rules for a tree that the account sees at `at`.
    pub(super) fn new(rules: Rules, at: VPath) -> Self {
        Self { rules, at }
    }

    /// Whether the account has this permission for a path of the tree without links.
    pub(super) fn allows(&self, real: &VPath, permission: Permissions, ignores_case: bool) -> bool {
        let joined = real.names().try_fold(self.at.clone(), |path, name| path.join(name));
        let permissions = joined.map(|path| {
            if ignores_case { self.rules.at_any_case(&path) } else { self.rules.at(&path) }
        });
        permissions.is_ok_and(|permissions| permissions.contains(permission))
    }
}

/// Resolves a path by asking the system for the real path: for trees whose links may lead anywhere,
/// and for systems whose directories cannot be walked by descriptor. `None` if it leads out of the
/// tree. Missing names stay as given.
pub(super) fn by_real_path(folder: &Path, at: &VPath, last: LastLink) -> Result<Option<VPath>> {
    let top = folder.canonicalize()?;
    let mut names: Vec<&[u8]> = at.names().collect();
    let mut rest = Vec::new();
    if last == LastLink::Keep {
        rest.extend(names.pop());
    }
    let real = loop {
        let path = names.iter().fold(top.clone(), |path: PathBuf, name| path.join(real_name(name)));
        match path.canonicalize() {
            Ok(real) => break real,
            Err(error) => match names.pop() {
                // A missing name is not a link, unless it is a dangling one.
                Some(name) => rest.push(name),
                None => return Err(error.into()),
            },
        }
    };
    let Ok(below) = real.strip_prefix(&top) else { return Ok(None) };
    let below = below.iter().map(|name| name.as_encoded_bytes().to_vec());
    let missing = rest.into_iter().rev().map(<[u8]>::to_vec);
    let path = below.chain(missing).try_fold(VPath::root(), |path, name| path.join(&name));
    Ok(path.ok())
}
