//! The folders that are open: one for an account, however many sessions it has.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::DiskOptions;
use super::tree::Tree;

/// Folders in use, by path and account. A session more costs no open file, and sessions of one
/// account know together how quick its disk is.
#[derive(Default)]
pub(super) struct Trees(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_home: HashMap<(PathBuf, String), Weak<Tree>>,
    /// At so many, those that are no longer in use are forgotten.
    most: usize,
}

/// Fewer folders are not worth the search for those that are no longer in use.
const FORGET_FROM: usize = 64;

impl Trees {
    /// The folder as it is now. It is shared if it is still the one that others use; where another
    /// has taken its place, or may no longer be read, this is what happens to any new session.
    pub(super) fn open(
        &self,
        home: &Path,
        account: &str,
        options: &DiskOptions,
    ) -> io::Result<Arc<Tree>> {
        let tree = Arc::new(Tree::open(home, account, options)?);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (home.to_owned(), account.to_owned());
        let shared = known.by_home.get(&key).and_then(Weak::upgrade);
        if let Some(shared) = shared.filter(|shared| shared.root.is_same(&tree.root)) {
            return Ok(shared);
        }
        known.by_home.insert(key, Arc::downgrade(&tree));
        if known.by_home.len() > known.most.max(FORGET_FROM) {
            known.by_home.retain(|_, tree| tree.strong_count() > 0);
            known.most = known.by_home.len() * 2;
        }
        Ok(tree)
    }
}

impl fmt::Debug for Trees {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Trees").finish_non_exhaustive()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_one_account_share_their_folder_until_it_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let (trees, options) = (Trees::default(), DiskOptions::default());
        let open = |account: &str| trees.open(&home, account, &options);
        let one = open("anna").unwrap();
        assert!(Arc::ptr_eq(&one, &open("anna").unwrap()));
        assert!(!Arc::ptr_eq(&one, &open("bert").unwrap()));
        std::fs::rename(&home, folder.path().join("old")).unwrap();
        assert_eq!(open("anna").err().unwrap().kind(), io::ErrorKind::NotFound);
        std::fs::create_dir(&home).unwrap();
        let other = open("anna").unwrap();
        assert!(!Arc::ptr_eq(&one, &other));
        assert!(Arc::ptr_eq(&other, &open("anna").unwrap()));
    }

    #[test]
    fn folders_that_nobody_uses_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (trees, options) = (Trees::default(), DiskOptions::default());
        let used = trees.open(folder.path(), "anna", &options).unwrap();
        for number in 0..3 * FORGET_FROM {
            trees.open(folder.path(), &number.to_string(), &options).unwrap();
        }
        assert!(trees.0.lock().unwrap().by_home.len() <= FORGET_FROM + 1);
        assert!(Arc::ptr_eq(&used, &trees.open(folder.path(), "anna", &options).unwrap()));
    }
}
