//! Permissions and what is shown of them, over a store that has everything.

use wharf_core::async_trait;
use wharf_core::error::Result as StoreResult;
use wharf_core::storage::Capabilities;

use super::*;

/// Has a file under every name, and returns whether it ignores case.
struct EveryNameStorage {
    ignores_case: bool,
}

#[async_trait]
impl Storage for EveryNameStorage {
    fn caps(&self) -> Capabilities {
        Capabilities {
            resumes: false,
            appends: false,
            sets_times: false,
            sets_mode: false,
            ignores_case: self.ignores_case,
        }
    }

    async fn stat(&self, at: &VPath) -> StoreResult<Entry> {
        Ok(Entry::new(at.name().unwrap_or_default(), Kind::File, 0))
    }

    async fn list(&self, _: &VPath, _: ListDetail) -> StoreResult<Entries> {
        Err(ErrorKind::Unsupported.into())
    }

    async fn read(&self, _: &VPath, _: u64) -> StoreResult<Source> {
        Err(ErrorKind::Unsupported.into())
    }

    async fn write(&self, _: &VPath, _: Write) -> StoreResult<Box<dyn Sink>> {
        Err(ErrorKind::Unsupported.into())
    }

    async fn remove_file(&self, _: &VPath) -> StoreResult<()> {
        Err(ErrorKind::Unsupported.into())
    }

    async fn remove_dir(&self, _: &VPath) -> StoreResult<()> {
        Err(ErrorKind::Unsupported.into())
    }

    async fn make_dir(&self, _: &VPath) -> StoreResult<()> {
        Err(ErrorKind::Unsupported.into())
    }

    async fn rename(&self, _: &VPath, _: &VPath, _: Replace) -> StoreResult<()> {
        Err(ErrorKind::Unsupported.into())
    }

    async fn set(&self, _: &VPath, _: Change) -> StoreResult<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

#[test]
fn the_perms_of_a_directory_are_those_of_each_path_in_it() {
    let path = |text: &[u8]| VPath::root().resolve(text).unwrap();
    for ignores_case in [true, false] {
        let rules = Rules::everywhere(Permissions::READ_ONLY)
            .with(path(b"a"), Permissions::ALL)
            .with(path(b"a/B"), Permissions::NONE);
        let settings =
            Files { create_parent_dirs: false, overwrite: true, enforce_allo_size: true };
        let files =
            SessionFiles::new(Arc::new(EveryNameStorage { ignores_case }), rules, &settings);
        for directory in [b"/".as_slice(), b"a", b"A", b"a/b", b"a/B", b"c"] {
            let perms = files.perms_in(&path(directory));
            for (name, kind) in [(b"b", Kind::Dir), (b"B", Kind::File), (b"a", Kind::Link)] {
                let each = files.perm(&path(directory).join(name).unwrap(), kind);
                assert_eq!(perms.of(name, kind), each, "{directory:?} {name:?}");
            }
        }
    }
}

#[tokio::test]
async fn row_30_permissions_hold_for_each_spelling_that_the_store_takes() {
    let path = |text: &[u8]| VPath::root().resolve(text).unwrap();
    for ignores_case in [true, false] {
        let rules = Rules::everywhere(Permissions::ALL).with(path(b"in"), Permissions::NONE);
        let settings =
            Files { create_parent_dirs: false, overwrite: true, enforce_allo_size: true };
        let files =
            SessionFiles::new(Arc::new(EveryNameStorage { ignores_case }), rules, &settings);
        assert!(files.stat(&path(b"in/a")).await.is_err());
        assert_eq!(files.stat(&path(b"IN/a")).await.is_err(), ignores_case);
        assert!(files.stat(&path(b"a")).await.is_ok());
    }
}
#[tokio::test]
async fn row_30_55_no_other_spelling_leaves_a_rule_behind() {
    let path = |text: &[u8]| VPath::root().resolve(text).unwrap();
    for ignores_case in [true, false] {
        let rules = Rules::everywhere(Permissions::ALL).with(path(b"a/in"), Permissions::NONE);
        let settings =
            Files { create_parent_dirs: false, overwrite: true, enforce_allo_size: true };
        let files =
            SessionFiles::new(Arc::new(EveryNameStorage { ignores_case }), rules, &settings);
        assert!(files.may_rename(&path(b"a")).await.is_err());
        assert_eq!(files.may_rename(&path(b"A")).await.is_err(), ignores_case);
        assert!(files.may_rename(&path(b"b")).await.is_ok());
    }
}
