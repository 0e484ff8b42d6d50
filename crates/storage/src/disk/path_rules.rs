//! Where links of a tree lead, and whether the rules of its account allow that.
//!
//! A rule is for a path; a link gives what lies there another path. So an account with rules for
//! several paths is served a tree in which no act follows a link by itself: its path is resolved
//! first, the rules are asked for the result, and the act takes that. A link that is exchanged in
//! between makes the act fail.

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
    /// Where the account sees the root of this tree.
    at: VPath,
}

impl PathRules {
    /// For a tree that the account sees at `at`.
    pub(super) fn new(rules: Rules, at: VPath) -> Self {
        Self { rules, at }
    }

    /// Whether the account has this right at a path of the tree that leads through no link.
    pub(super) fn allows(&self, real: &VPath, right: Permissions, ignores_case: bool) -> bool {
        let joined = real.names().try_fold(self.at.clone(), |path, name| path.join(name));
        let rights = joined.map(|path| {
            if ignores_case { self.rules.at_any_case(&path) } else { self.rules.at(&path) }
        });
        rights.is_ok_and(|rights| rights.contains(right))
    }
}

/// Resolves a path by asking the system for its real path: for trees in which links may lead
/// anywhere, and for systems whose directories cannot be walked by descriptor. None where it
/// leads out of the tree. What is missing stays as it is written.
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
                // What is missing is no link, unless it is one that leads nowhere.
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
