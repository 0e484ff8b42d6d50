//! Uploads that pass, are rejected, and cannot be checked.

use std::sync::Mutex;
use std::time::Duration;

use wharf_core::account::Size;
use wharf_core::storage::Start;
use wharf_storage::{Disk, DiskOptions, Memory, Mounts, Quota};

use super::*;
use crate::programs::{Program, ProgramLimits, WorkerProcess};

const LIMITS: ProgramLimits =
    ProgramLimits { runs_max: 1, checks_max: 2, retries_max: 0, pause: Duration::from_secs(1) };

/// A store with a script as its checker, and its reports.
struct CheckerFixture {
    folder: tempfile::TempDir,
    store: Arc<dyn Storage>,
    reports: Arc<Mutex<Vec<String>>>,
}

fn bench(script: &str, unchecked: Unchecked) -> CheckerFixture {
    bench_with(script, unchecked, Vec::new())
}

fn bench_with(
    script: &str,
    unchecked: Unchecked,
    folders: Vec<(VPath, Arc<dyn Storage>)>,
) -> CheckerFixture {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::create_dir(folder.path().join("aside")).unwrap();
    let arguments = ["/bin/sh", "-c", script, "sh", "{partial_file}"].map(str::to_owned).to_vec();
    let time_max = Duration::from_mins(1);
    let program = Program { name: "check_upload".to_owned(), arguments, time_max };
    let started = WorkerProcess::within(vec![program]);
    let reports = Arc::<Mutex<Vec<String>>>::default();
    let reported = Arc::clone(&reports);
    let checker = Arc::new(Checker {
        programs: started.begin(LIMITS, Box::new(|_| {})).unwrap(),
        program: 0,
        reject_exit_codes: vec![1],
        unchecked,
        quarantine: Some(folder.path().join("aside")),
        notice: Box::new(|upload| {
            let partial_file = upload.partial_file.to_str().unwrap().as_bytes().to_vec();
            let variables = vec![("partial_file".to_owned(), partial_file)];
            Notice::new("1".to_owned(), "check-upload", "{}".to_owned(), variables)
        }),
        on_report: Box::new(move |report| reported.lock().unwrap().push(format!("{report:?}"))),
    });
    let options =
        DiskOptions { durability: wharf_storage::Durability::Fast, ..DiskOptions::default() };
    let disk = Arc::new(Disk::open(&home, "anna", &options).unwrap());
    let store = checker.over(Arc::new(Mounts::new(disk, folders)), &account(&home));
    CheckerFixture { folder, store, reports }
}

/// A virtual folder with a quota of its own.
fn shared() -> Memory {
    let quota = Quota { bytes: Size::from_bytes(100), ..Quota::UNLIMITED };
    Memory::new().with_quota(quota)
}

fn account(home: &Path) -> Account {
    let rules =
        wharf_core::permission::Rules::everywhere(wharf_core::permission::Permissions::READ_ONLY);
    Account::new("anna", home, rules)
}

fn path(name: &str) -> VPath {
    VPath::root().resolve(name.as_bytes()).unwrap()
}

impl CheckerFixture {
    async fn store_file(&self, name: &str, text: &'static str) -> Result<Stored> {
        self.store_file_from(name, text, Start::Fresh).await
    }

    async fn store_file_from(
        &self,
        name: &str,
        text: &'static str,
        start: Start,
    ) -> Result<Stored> {
        let how = Write { start, replace: Replace::Allowed };
        let mut sink = self.store.write(&path(name), how).await?;
        sink.write(Bytes::from_static(text.as_bytes())).await?;
        if let Err(error) = sink.sync().await {
            sink.abort().await;
            return Err(error);
        }
        sink.commit().await
    }

    /// All files in a folder, including hidden ones.
    fn files(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// Finds EICAR in its input, like a scanner: the first line of output has the file and the finding.
const SCANNER: &str =
    "if grep -q EICAR \"$1\"; then echo \"$1: Eicar-Test-Signature FOUND\"; exit 1; fi";

#[tokio::test]
async fn clean_files_are_published_and_a_virus_is_not() {
    let bench = bench(SCANNER, Unchecked::Rejected);
    assert_eq!(bench.store_file("/a.txt", "hello").await.unwrap().size, 5);
    let error = bench.store_file("/bad name.txt", "EICAR").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected);
    let reported = error.to_string();
    assert_eq!(
        reported,
        "rejected by a check (Rejected: bad name.txt: Eicar-Test-Signature FOUND)"
    );
    assert_eq!(bench.files("home"), ["a.txt"]);
    assert_eq!(bench.files("aside"), ["1-bad_name.txt"]);
    assert!(bench.reports.lock().unwrap()[0].starts_with("Quarantined"));
    assert_eq!(bench.store.partial(&path("/bad name.txt")).await.unwrap(), None);
}

#[tokio::test]
async fn an_append_is_checked_with_the_file_that_it_adds_to() {
    let bench = bench(SCANNER, Unchecked::Rejected);
    bench.store_file("/a.txt", "EI").await.unwrap();
    let stands = || std::fs::read_to_string(bench.folder.path().join("home/a.txt")).unwrap();
    bench.store_file_from("/a.txt", "C", Start::End).await.unwrap();
    assert_eq!(stands(), "EIC");
    let error = bench.store_file_from("/a.txt", "AR", Start::End).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected);
    assert_eq!(stands(), "EIC");
    let error = bench.store_file_from("/a.txt", " EICAR", Start::End).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected);
    assert_eq!(stands(), "EIC");
}

#[tokio::test]
async fn usage_and_space_are_those_of_the_folder_of_a_path() {
    let folders: (VPath, Arc<dyn Storage>) = (path("/shared"), Arc::new(shared()));
    let bench = bench_with(SCANNER, Unchecked::Rejected, vec![folders]);
    let most = |at: &str| bench.store.usage(&path(at)).and_then(|usage| usage.bytes_max.bytes());
    assert_eq!(most("/shared/a.txt"), Some(100));
    assert_eq!(most("/a.txt"), None);
    let free = async |at: &str| bench.store.space(&path(at)).await.unwrap();
    assert!(free("/a.txt").await.is_some(), "a disk knows its space");
    assert!(free("/shared/a.txt").await.is_none(), "memory does not");
}

#[tokio::test]
async fn a_failed_check_rejects_or_allows_as_configured() {
    let rejecting = bench("echo no database >&2; exit 2", Unchecked::Rejected);
    let error = rejecting.store_file("/a.txt", "hello").await.unwrap_err();
    assert_eq!(error.to_string(), "not checked (the program exited with code 2: no database)");
    assert!(!rejecting.files("home").contains(&"a.txt".to_owned()));
    let allowing = bench("exit 2", Unchecked::Allowed);
    assert!(allowing.store_file("/a.txt", "hello").await.is_ok());
    assert!(allowing.reports.lock().unwrap()[0].contains("is_allowed: true"));
}

#[tokio::test]
async fn an_upload_committed_without_sync_is_checked() {
    let bench = bench(SCANNER, Unchecked::Rejected);
    let how = Write { start: Start::Fresh, replace: Replace::Allowed };
    let mut sink = bench.store.write(&path("/a.txt"), how).await.unwrap();
    sink.write(Bytes::from_static(b"EICAR")).await.unwrap();
    assert_eq!(sink.commit().await.unwrap_err().kind, ErrorKind::Rejected);
    assert!(bench.files("home").is_empty());
}

#[tokio::test]
async fn an_aborted_upload_is_not_published() {
    let bench = bench("sleep 1000", Unchecked::Rejected);
    let how = Write { start: Start::Fresh, replace: Replace::Allowed };
    let mut sink = bench.store.write(&path("/a.txt"), how).await.unwrap();
    sink.write(Bytes::from_static(b"hello")).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), sink.sync()).await;
    assert!(waited.is_err());
    sink.abort().await;
    assert!(!bench.files("home").contains(&"a.txt".to_owned()));
    // A complete upload can be resumed, and is checked then.
    assert_eq!(bench.store.partial(&path("/a.txt")).await.unwrap(), Some(5));
}

#[tokio::test]
async fn a_checked_store_is_a_store_like_any_other() {
    let benches = Mutex::new(Vec::new());
    let make = || {
        let bench = bench("exit 0", Unchecked::Rejected);
        let store = Arc::clone(&bench.store);
        benches.lock().unwrap().push(bench);
        store
    };
    wharf_core::conformance::storage(make).await;
}
