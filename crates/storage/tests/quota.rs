//! The count equals the actual usage after any sequence of operations, and after a crash.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tokio::runtime::Builder;
use wharf_core::account::{Account, Count, Size};
use wharf_core::error::ErrorKind;
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::{Replace, Sink, Start, Storage, Stores, UsedSpace, Write};
use wharf_proto::path::VPath;
use wharf_storage::{DiskOptions, Disks, Durability, Memory, Quota, Quotas, sweep};

/// The quota of the accounts.
const BYTES_MAX: u64 = 2000;
const FILES_MAX: u32 = 12;
/// Both share a home.
const ACCOUNTS: [&str; 2] = ["anna", "bert"];
const PLACES: [&str; 6] = ["/a", "/b", "/c", "/d/a", "/d/b", "/e/f"];
const FOLDERS: [&str; 3] = ["/d", "/e", "/e/g"];

#[derive(Clone, Debug)]
enum Operation {
    Begin {
        at: usize,
        start: Start,
    },
    Feed {
        bytes: usize,
    },
    /// As the engine does with large uploads: writes to the detached file.
    FeedDetached {
        bytes: usize,
    },
    Commit,
    Abort,
    Drop,
    Remove {
        at: usize,
    },
    Rename {
        from: usize,
        to: usize,
    },
    RenameFolder {
        from: usize,
        to: usize,
    },
    MakeFolder {
        at: usize,
    },
    RemoveFolder {
        at: usize,
    },
}

fn acts() -> impl Strategy<Value = Vec<Operation>> {
    let (place, folder) = (0..PLACES.len(), 0..FOLDERS.len());
    let start = prop_oneof![
        3 => Just(Start::Fresh),
        2 => Just(Start::End),
        1 => (0..700_u64).prop_map(Start::At),
    ];
    let act = prop_oneof![
        8 => (place.clone(), start).prop_map(|(at, start)| Operation::Begin { at, start }),
        8 => (0..900_usize).prop_map(|bytes| Operation::Feed { bytes }),
        3 => (0..900_usize).prop_map(|bytes| Operation::FeedDetached { bytes }),
        8 => Just(Operation::Commit),
        2 => Just(Operation::Abort),
        2 => Just(Operation::Drop),
        2 => place.clone().prop_map(|at| Operation::Remove { at }),
        2 => (place.clone(), place).prop_map(|(from, to)| Operation::Rename { from, to }),
        1 => (folder.clone(), folder.clone())
            .prop_map(|(from, to)| Operation::RenameFolder { from, to }),
        3 => folder.clone().prop_map(|at| Operation::MakeFolder { at }),
        1 => folder.prop_map(|at| Operation::RemoveFolder { at }),
    ];
    prop::collection::vec(act, 1..40)
}

fn path(text: &str) -> VPath {
    VPath::root().resolve(text.as_bytes()).unwrap()
}

/// The operations of one session. Errors are expected: only the resulting files matter.
async fn session(store: &dyn Storage, acts: &[Operation]) {
    let mut open: Option<Box<dyn Sink>> = None;
    for act in acts {
        match act {
            Operation::Begin { at, start } => {
                let how = Write { start: *start, replace: Replace::Allowed };
                open = store.write(&path(PLACES[*at]), how).await.ok();
            }
            Operation::Feed { bytes } => {
                let Some(sink) = &mut open else { continue };
                if sink.write(Bytes::from(vec![7; *bytes])).await.is_err() {
                    open.take().unwrap().abort().await;
                }
            }
            Operation::FeedDetached { bytes } => {
                let Some(mut sink) = open.take() else { continue };
                if let Ok(is_whole) = feed_detached(&mut sink, *bytes).await {
                    if is_whole {
                        open = Some(sink);
                    } else {
                        sink.abort().await;
                    }
                }
            }
            Operation::Commit => {
                let Some(mut sink) = open.take() else { continue };
                match sink.sync().await {
                    Ok(()) => drop(sink.commit().await),
                    Err(_) => sink.abort().await,
                }
            }
            Operation::Abort => {
                if let Some(sink) = open.take() {
                    sink.abort().await;
                }
            }
            Operation::Drop => drop(open.take()),
            Operation::Remove { at } => drop(store.remove_file(&path(PLACES[*at])).await),
            Operation::Rename { from, to } => {
                let (from, to) = (path(PLACES[*from]), path(PLACES[*to]));
                drop(store.rename(&from, &to, Replace::Allowed).await);
            }
            Operation::RenameFolder { from, to } => {
                let (from, to) = (path(FOLDERS[*from]), path(FOLDERS[*to]));
                drop(store.rename(&from, &to, Replace::Allowed).await);
            }
            Operation::MakeFolder { at } => drop(store.make_dir(&path(FOLDERS[*at])).await),
            Operation::RemoveFolder { at } => drop(store.remove_dir(&path(FOLDERS[*at])).await),
        }
    }
}

/// Writes to the detached file, half of it at a time. Returns whether everything was allowed.
async fn feed_detached(sink: &mut Box<dyn Sink>, bytes: usize) -> wharf_core::error::Result<bool> {
    use std::io::Write as _;
    let Some(mut detached) = sink.detach_file().await? else { return Ok(true) };
    let mut is_allowed = true;
    for piece in [bytes / 2, bytes - bytes / 2] {
        let allowance = detached.allowance.as_mut().unwrap();
        is_allowed &= allowance.take(&detached.file, u64::try_from(piece).unwrap()).is_ok();
        if is_allowed {
            detached.file.write_all(&vec![8; piece]).unwrap();
        }
    }
    drop(detached);
    sink.reattach_file(!is_allowed);
    Ok(is_allowed)
}

fn quota() -> Quota {
    Quota { bytes: Size::from_bytes(BYTES_MAX), files: Count::from_number(FILES_MAX) }
}

fn account(name: &str, home: &Path) -> Account {
    let mut account = Account::new(name, home, Rules::everywhere(Permissions::ALL));
    account.limits.quota = Some(quota().bytes);
    account.limits.quota_files = Some(quota().files);
    account
}

/// The actual usage, determined independently of the code under test.
fn walked(folder: &Path) -> UsedSpace {
    let mut used = UsedSpace::default();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        // A few bytes beside an upload, which is counted itself.
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "base" || end == "none") {
            continue;
        }
        let facts = match entry.metadata() {
            // It disappeared in the meantime.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            facts => facts.unwrap(),
        };
        used.files += 1;
        if facts.is_dir() {
            let below = walked(&entry.path());
            used = UsedSpace { bytes: used.bytes + below.bytes, files: used.files + below.files };
        } else {
            used.bytes += facts.len();
        }
    }
    used
}

#[track_caller]
fn within_limits(used: UsedSpace) {
    assert!(used.bytes <= BYTES_MAX && used.files <= u64::from(FILES_MAX), "{used:?}");
}

struct TestHome {
    home: PathBuf,
    state: PathBuf,
    _folder: tempfile::TempDir,
}

impl TestHome {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (home, state) = (folder.path().join("home"), folder.path().join("state"));
        fs::create_dir(&home).unwrap();
        Self { home, state, _folder: folder }
    }

    fn options() -> DiskOptions {
        DiskOptions { durability: Durability::Fast, ..DiskOptions::default() }
    }

    fn quotas(&self) -> Quotas {
        Quotas::open(&self.state, Quota::UNLIMITED)
    }

    /// One run of a server, in which sessions of all accounts act concurrently.
    fn run(&self, acts: &[Vec<Operation>]) -> Quotas {
        let quotas = self.quotas();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let disks = Disks::new(Self::options()).with_quotas(quotas.clone());
            let one = disks.open(&account(ACCOUNTS[0], &self.home)).await.unwrap();
            let two = disks.open(&account(ACCOUNTS[1], &self.home)).await.unwrap();
            let three = disks.open(&account(ACCOUNTS[1], &self.home)).await.unwrap();
            tokio::join!(
                session(&*one, &acts[0]),
                session(&*two, &acts[1]),
                session(&*three, &acts[2]),
            );
            // The first operation waits until the home is counted.
            drop(one.make_dir(&path("/d")).await);
        });
        // Waits for background threads.
        drop(runtime);
        quotas
    }
}

/// Few cases, as each creates many files, unless the environment requests more; seeds are stored
/// beside this file.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { usual.cases } else { 48 };
    let seeds = FileFailurePersistence::WithSource("proptest-regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(seeds)), ..usual }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn row_37_invariant_4_the_count_on_disk_equals_the_usage_also_after_a_crash(
        runs in prop::collection::vec((prop::array::uniform3(acts()), any::<bool>()), 1..4),
    ) {
        let place = TestHome::new();
        for (acts, is_clean) in runs {
            let before = place.quotas().used(&place.home);
            let quotas = place.run(&acts);
            let there = walked(&place.home);
            prop_assert_eq!(quotas.used(&place.home), Some(there));
            within_limits(there);
            if is_clean {
                quotas.close().unwrap();
                prop_assert_eq!(place.quotas().used(&place.home), Some(there));
            } else {
                // A run without any change leaves the count of the run before, which still holds.
                let after = place.quotas().used(&place.home);
                prop_assert!(after.is_none() || (after == before && after == Some(there)));
            }
        }
    }

    #[test]
    fn row_37_invariant_4_the_count_in_memory_equals_the_usage(
        acts in prop::array::uniform3(acts()),
    ) {
        let memory = Memory::new();
        let anna = memory.for_account("anna").with_quota(quota());
        let bert = memory.for_account("bert").with_quota(quota());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::join!(
                session(&anna, &acts[0]),
                session(&bert, &acts[1]),
                session(&bert, &acts[2]),
            );
        });
        let there = memory.recount();
        prop_assert_eq!(anna.usage(&VPath::root()).unwrap().used, Some(there));
        within_limits(there);
    }
}

#[tokio::test]
async fn storage_with_a_quota_meets_the_storage_contract() {
    let folder = tempfile::tempdir().unwrap();
    let quotas = Quotas::open(folder.path().join("state"), quota());
    let wide = Quota { bytes: Size::from_bytes(1 << 40), files: Count::from_number(1 << 30) };
    wharf_core::conformance::storage(|| Arc::new(Memory::new().with_quota(wide))).await;
    for durability in [Durability::Fast, Durability::Full] {
        wharf_core::conformance::storage(|| {
            let home = tempfile::tempdir_in(folder.path()).unwrap().keep();
            let mut account = account("anna", &home);
            account.limits.quota = Some(wide.bytes);
            account.limits.quota_files = Some(wide.files);
            let options = DiskOptions { durability, ..DiskOptions::default() };
            let disks = Disks::new(options).with_quotas(quotas.clone());
            opened(disks, account)
        })
        .await;
    }
}

/// Opens a storage in synchronous code.
fn opened(disks: Disks, account: Account) -> Arc<dyn Storage> {
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = disks.open(&account).await.unwrap();
            // Waits until the count has ended.
            drop(store.remove_file(&path("/none")).await);
            store
        })
    })
    .join()
    .unwrap()
}

#[tokio::test]
async fn row_23_37_the_default_quota_applies_to_anonymous_users() {
    let place = TestHome::new();
    let otherwise = Quota { bytes: Size::from_bytes(100), files: Count::Unlimited };
    let disks = Disks::new(TestHome::options()).with_quotas(Quotas::open(&place.state, otherwise));
    let rules = Rules::everywhere(Permissions::parse("dropbox").unwrap());
    let anonymous = Account { is_anonymous: true, ..Account::new("anonymous", &place.home, rules) };
    let store = disks.open(&anonymous).await.unwrap();
    let how = Write { start: Start::Fresh, replace: Replace::Forbidden };
    let mut fits = store.write(&path("/fits"), how).await.unwrap();
    fits.write(Bytes::from(vec![1; 60])).await.unwrap();
    fits.commit().await.unwrap();
    let mut more = store.write(&path("/more"), how).await.unwrap();
    let written = more.write(Bytes::from(vec![1; 60])).await;
    let ended = if written.is_ok() { more.commit().await.map(drop) } else { written };
    assert_eq!(ended.unwrap_err().kind, ErrorKind::OverQuota);
}

#[tokio::test]
async fn row_37_a_damaged_quota_file_is_ignored() {
    let place = TestHome::new();
    fs::write(place.home.join("old"), vec![1; 100]).unwrap();
    let open = async |quotas: Quotas| {
        let disks = Disks::new(TestHome::options()).with_quotas(quotas.clone());
        let store = disks.open(&account("anna", &place.home)).await.unwrap();
        store.make_dir(&path("/d")).await.unwrap();
        store.remove_dir(&path("/d")).await.unwrap();
        assert_eq!(
            store.usage(&VPath::root()).unwrap().used,
            Some(UsedSpace { bytes: 100, files: 1 })
        );
        quotas
    };
    open(place.quotas()).await.close().unwrap();
    let quota_file = place.state.join("quota.ledger");
    let written = fs::read_to_string(&quota_file).unwrap();
    assert_eq!(place.quotas().used(&place.home), Some(UsedSpace { bytes: 100, files: 1 }));
    for damaged in [
        written.replace("100 ", "0 "),
        written.replace("ledger 1", "ledger 2"),
        written.lines().next().unwrap().to_owned(),
        String::new(),
    ] {
        fs::write(&quota_file, damaged).unwrap();
        let quotas = place.quotas();
        assert_eq!(quotas.used(&place.home), None);
        open(quotas).await.close().unwrap();
        assert_eq!(fs::read_to_string(&quota_file).unwrap().lines().count(), 3);
    }
}

#[tokio::test]
async fn row_37_removing_from_an_inner_home_frees_no_quota_of_the_outer_one() {
    let place = TestHome::new();
    let inner = place.home.join("inner");
    fs::create_dir(&inner).unwrap();
    let quotas = place.quotas();
    let disks = Disks::new(TestHome::options()).with_quotas(quotas.clone());
    let outer = disks.open(&account("anna", &place.home)).await.unwrap();
    let inside = disks.open(&account("bert", &inner)).await.unwrap();
    let how = Write { start: Start::Fresh, replace: Replace::Forbidden };
    let put = async |store: &dyn Storage, at: &str, bytes: usize| {
        let mut sink = store.write(&path(at), how).await?;
        sink.write(Bytes::from(vec![1; bytes])).await?;
        sink.commit().await
    };
    put(&*outer, "/mine", 1500).await.unwrap();
    put(&*inside, "/theirs", 1000).await.unwrap();
    outer.remove_file(&path("/inner/theirs")).await.unwrap();
    assert_eq!(quotas.used(&place.home), Some(UsedSpace { bytes: 1500, files: 2 }));
    assert_eq!(put(&*outer, "/more", 600).await.unwrap_err().kind, ErrorKind::OverQuota);
    // Removing a file outside of the inner home frees quota, and a login counts what the removal
    // left open.
    outer.remove_file(&path("/mine")).await.unwrap();
    assert_eq!(quotas.used(&place.home), Some(UsedSpace { bytes: 0, files: 1 }));
    assert_eq!(quotas.used(&inner), Some(UsedSpace { bytes: 1000, files: 1 }));
    let again = disks.open(&account("bert", &inner)).await.unwrap();
    for _ in 0..200_000 {
        if quotas.used(&inner) == Some(UsedSpace::default()) {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(again.usage(&VPath::root()).unwrap().used, Some(UsedSpace::default()));
}

#[tokio::test]
async fn row_37_a_file_removed_during_an_append_frees_its_bytes_once() {
    for act in ["remove", "rename onto", "store"] {
        let place = TestHome::new();
        let quotas = place.quotas();
        let disks = Disks::new(TestHome::options()).with_quotas(quotas.clone());
        let store = disks.open(&account("anna", &place.home)).await.unwrap();
        let put = async |at: &str, start: Start, bytes: usize| {
            let how = Write { start, replace: Replace::Allowed };
            let mut sink = store.write(&path(at), how).await.unwrap();
            sink.write(Bytes::from(vec![1; bytes])).await.unwrap();
            sink.sync().await.unwrap();
            sink
        };
        for (at, bytes) in [("/f", 300), ("/g", 200), ("/h", 100)] {
            put(at, Start::Fresh, bytes).await.commit().await.unwrap();
        }
        let added = put("/f", Start::End, 81).await;
        match act {
            "remove" => store.remove_file(&path("/f")).await.unwrap(),
            "store" => drop(put("/f", Start::Fresh, 7).await.commit().await.unwrap()),
            _ => store.rename(&path("/g"), &path("/f"), Replace::Allowed).await.unwrap(),
        }
        assert_eq!(added.commit().await.unwrap_err().kind, ErrorKind::Busy, "{act}");
        assert_eq!(quotas.used(&place.home), Some(walked(&place.home)), "{act}");
        // Files that stay are counted once, too.
        put("/h", Start::End, 81).await.commit().await.unwrap();
        assert_eq!(quotas.used(&place.home), Some(walked(&place.home)), "{act}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn row_37_the_quota_file_is_private_removed_during_changes_and_locked_by_one_server() {
    use std::os::unix::fs::PermissionsExt;
    let place = TestHome::new();
    let account = account("anna", &place.home);
    let (one, two) = (place.quotas(), place.quotas());
    let disks = |quotas: &Quotas| Disks::new(TestHome::options()).with_quotas(quotas.clone());
    let first = disks(&one).open(&account).await.unwrap();
    first.make_dir(&path("/d")).await.unwrap();
    assert!(!place.state.join("quota.ledger").exists());
    let second = disks(&two).open(&account).await.unwrap();
    let context = second.make_dir(&path("/e")).await.unwrap_err();
    assert_eq!(context.kind, ErrorKind::Broken);
    assert!(context.to_string().contains("another server"), "{context}");
    one.close().unwrap();
    let facts = place.state.join("quota.ledger").metadata().unwrap();
    assert_eq!(facts.permissions().mode() & 0o777, 0o600);
    assert!(first.make_dir(&path("/f")).await.is_err(), "what was written down stays true");
}

#[tokio::test]
async fn row_41_files_removed_by_a_sweep_are_no_longer_counted() {
    let place = TestHome::new();
    let quotas = place.quotas();
    let disks = Disks::new(TestHome::options()).with_quotas(quotas.clone());
    let store = disks.open(&account("anna", &place.home)).await.unwrap();
    let how = Write { start: Start::Fresh, replace: Replace::Allowed };
    let mut sink = store.write(&path("/f"), how).await.unwrap();
    sink.write(Bytes::from(vec![1; 300])).await.unwrap();
    sink.abort().await;
    assert_eq!(quotas.used(&place.home), Some(UsedSpace { bytes: 300, files: 1 }));
    let now =
        DiskOptions { partial_upload_retention: std::time::Duration::ZERO, ..TestHome::options() };
    assert_eq!(quotas.sweep(&place.home, &now).unwrap().removed, 1);
    assert_eq!(quotas.used(&place.home), Some(UsedSpace::default()));
    assert_eq!(sweep(&place.home, &now).unwrap().removed, 0);
}

#[tokio::test]
async fn row_41_a_home_is_counted_correctly_during_a_sweep() {
    const LEFT: usize = 2000;
    let place = TestHome::new();
    for number in 0..LEFT {
        let folder = place.home.join(format!("{}", number % 20));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!(".wharf-{number:032x}.part")), "partial").unwrap();
    }
    let quotas = place.quotas();
    let now =
        DiskOptions { partial_upload_retention: std::time::Duration::ZERO, ..TestHome::options() };
    let (sweeper, home) = (quotas.clone(), place.home.clone());
    let swept = std::thread::spawn(move || sweeper.sweep(&home, &now).unwrap());
    // Not before the sweep has begun, if it has not ended by now.
    while walked(&place.home).files == 20 + u64::try_from(LEFT).unwrap() {}
    let disks = Disks::new(TestHome::options()).with_quotas(quotas.clone());
    let store = disks.open(&account("anna", &place.home)).await.unwrap();
    drop(store.remove_file(&path("/none")).await);
    assert_eq!(swept.join().unwrap().removed, u64::try_from(LEFT).unwrap());
    assert_eq!(quotas.used(&place.home), Some(UsedSpace { bytes: 0, files: 20 }));
}

#[tokio::test]
async fn row_36_37_an_account_over_its_quota_gets_the_error_before_it_sends_and_may_remove() {
    let place = TestHome::new();
    fs::write(place.home.join("old"), vec![1; 3000]).unwrap();
    let disks = Disks::new(TestHome::options()).with_quotas(place.quotas());
    let store = disks.open(&account("anna", &place.home)).await.unwrap();
    let how = Write { start: Start::Fresh, replace: Replace::Allowed };
    let context = store.write(&path("/new"), how).await.err().unwrap();
    assert_eq!(context.kind, ErrorKind::OverQuota);
    store.remove_file(&path("/old")).await.unwrap();
    let mut sink = store.write(&path("/new"), how).await.unwrap();
    sink.write(Bytes::from(vec![1; 2000])).await.unwrap();
    assert_eq!(sink.commit().await.unwrap().size, 2000);
    assert_eq!(walked(&place.home), UsedSpace { bytes: 2000, files: 1 });
}
