//! A store that fails at the end of an upload: no 226 is sent, and the session continues. And one
//! that moves bytes for a long time: whatever ends a transfer ends that within one step.

use std::fmt::Write as _;
use std::io::Write as _;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use tokio::time::sleep;
use wharf_core::account::{Account, Rate};
use wharf_core::error::{ErrorKind, Result};
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::{
    Capabilities, Change, Entries, ListDetail, Replace, Sink, Source, Storage, StoreCopy, Stored,
    Stores, Write,
};
use wharf_core::{Bytes, async_trait};
use wharf_proto::entry::Entry;
use wharf_proto::path::VPath;
use wharf_sim::World;
use wharf_storage::Memory;

/// What fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Write,
    Sync,
    Commit,
    /// Nothing fails, but each step of this copy takes `STEP_TIME`.
    SlowCopy(StoreCopy),
    /// Nothing fails, but each write takes `STEP_TIME`.
    SlowWrite,
}

/// With `STEPS`, ten seconds.
const STEP_TIME: Duration = Duration::from_millis(10);
const STEPS: u64 = 1000;

/// A tree in memory whose uploads fail in this way.
#[derive(Clone)]
struct Failing {
    memory: Memory,
    at: At,
    kind: ErrorKind,
    /// Slow steps that have begun.
    steps: Arc<AtomicU64>,
}

#[async_trait]
impl Stores for Failing {
    async fn open(&self, _: &Account) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Storage for Failing {
    fn caps(&self) -> Capabilities {
        self.memory.caps()
    }

    async fn stat(&self, at: &VPath) -> Result<Entry> {
        self.memory.stat(at).await
    }

    async fn list(&self, at: &VPath, wanted: ListDetail) -> Result<Entries> {
        self.memory.list(at, wanted).await
    }

    async fn read(&self, at: &VPath, from: u64) -> Result<Source> {
        self.memory.read(at, from).await
    }

    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>> {
        let inner = self.memory.write(at, how).await?;
        Ok(Box::new(FailingSink { inner, store: self.clone() }))
    }

    async fn remove_file(&self, at: &VPath) -> Result<()> {
        self.memory.remove_file(at).await
    }

    async fn remove_dir(&self, at: &VPath) -> Result<()> {
        self.memory.remove_dir(at).await
    }

    async fn make_dir(&self, at: &VPath) -> Result<()> {
        self.memory.make_dir(at).await
    }

    async fn rename(&self, from: &VPath, to: &VPath, replace: Replace) -> Result<()> {
        self.memory.rename(from, to, replace).await
    }

    async fn set(&self, at: &VPath, change: Change) -> Result<()> {
        self.memory.set(at, change).await
    }
}

struct FailingSink {
    inner: Box<dyn Sink>,
    store: Failing,
}

impl FailingSink {
    fn pass(&self, at: At) -> Result<()> {
        if self.store.at == at { Err(self.store.kind.into()) } else { Ok(()) }
    }
}

#[async_trait]
impl Sink for FailingSink {
    async fn copy_step(&mut self, part: StoreCopy, bytes_max: u64) -> Result<u64> {
        // A rate limit would make it much smaller.
        assert_eq!(bytes_max, 8 << 20);
        if self.store.at != At::SlowCopy(part) || self.store.steps.load(Ordering::Relaxed) == STEPS
        {
            return Ok(0);
        }
        self.store.steps.fetch_add(1, Ordering::Relaxed);
        sleep(STEP_TIME).await;
        Ok(bytes_max)
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.pass(At::Write)?;
        if self.store.at == At::SlowWrite {
            self.store.steps.fetch_add(1, Ordering::Relaxed);
            sleep(STEP_TIME).await;
        }
        self.inner.write(chunk).await
    }

    async fn sync(&mut self) -> Result<()> {
        self.pass(At::Sync)
    }

    async fn commit(self: Box<Self>) -> Result<Stored> {
        self.pass(At::Commit)?;
        self.inner.commit().await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}

#[test]
fn row_34_36_no_226_is_sent_after_a_failed_write_sync_or_publication() {
    for at in [At::Write, At::Sync, At::Commit] {
        for (kind, code) in [
            (ErrorKind::Broken, 451),
            (ErrorKind::NoSpace, 452),
            (ErrorKind::OverQuota, 552),
            (ErrorKind::Uncounted, 450),
        ] {
            let world = World::new().account("anna", "secret", Permissions::ALL).file("/a", b"old");
            let memory = world.memory().clone();
            let world = world.stores(Arc::new(Failing { memory, at, kind, steps: Arc::default() }));
            world.run(&format!(
                "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n\
                 C: EPSV\nS: 229 *\nC: STOR a\nS: 150 *\nU: new\nS: {code} *\nHAS /a old\n\
                 C: EPSV\nS: 229 *\nC: RETR a\nS: 150 *\nD: old\nS: 226 *\n\
                 C: EPSV\nS: 229 *\nC: APPE b\nS: 150 *\nU: new\nS: {code} *\nHASNOT /b"
            ));
        }
    }
}

const LOGIN: &str = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n";
const RESUME: &str = "C: REST 2\nS: 350 *\nC: EPSV\nS: 229 *\nC: STOR a\nS: 150 *\nU: d\n";
const APPEND: &str = "C: EPSV\nS: 229 *\nC: APPE a\nS: 150 *\nU: new\n";

/// Uploads in which bytes move in steps although none come from the client: what REST keeps, what
/// APPE adds, and zeros that MODE Z has compressed.
fn slow_uploads() -> [(At, String, &'static str); 3] {
    let mut zeros = ZlibEncoder::new(Vec::new(), Compression::best());
    zeros.write_all(&vec![0; 12 << 20]).expect("memory is written");
    let zeros = zeros.finish().expect("memory is written");
    let written = zeros.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\x{byte:02x}");
        text
    });
    let mode_z =
        format!("C: MODE Z\nS: 200 *\nC: EPSV\nS: 229 *\nC: STOR b\nS: 150 *\nU: {written}\n");
    [
        (At::SlowCopy(StoreCopy::Kept), RESUME.to_owned(), "HAS /a old\n"),
        (At::SlowCopy(StoreCopy::Added), APPEND.to_owned(), "HAS /a old\n"),
        (At::SlowWrite, mode_z, "HASNOT /b\n"),
    ]
}

/// Runs an upload and returns the slow steps that began.
fn steps_of(at: At, rate: Option<Rate>, script: &str) -> u64 {
    let mut account = Account::new("anna", "/", Rules::everywhere(Permissions::ALL));
    account.limits.transfer_upload_rate = rate;
    let world = World::new().account_with(account, "secret").file("/a", b"old");
    let world = world.settings(|settings| settings.compat.mode_z = true);
    let (memory, steps) = (world.memory().clone(), Arc::<AtomicU64>::default());
    let store = Failing { memory, at, kind: ErrorKind::Broken, steps: Arc::clone(&steps) };
    world.stores(Arc::new(store)).run(&format!("{LOGIN}{script}"));
    steps.load(Ordering::Relaxed)
}

#[test]
fn row_36_whatever_ends_a_transfer_ends_copies_in_the_store_and_decompression() {
    for end in [
        "C: ABOR\nS: 426 *\nS: 226 *\nC: NOOP\nS: 200 *\n",
        "CX\n",
        "CR\n",
        "KICK anna\nS: 426 *\nS: 421 *\nS: EOF\n",
    ] {
        for (at, begin, unchanged) in slow_uploads() {
            let script = format!("{begin}WAIT 100ms\n{end}WAIT 5s\n{unchanged}");
            let steps = steps_of(at, None, &script);
            assert!((9..=12).contains(&steps), "{end}: {steps} steps of {begin:.80}");
        }
    }
}

#[test]
fn row_44_a_shutdown_ends_copies_in_the_store_and_decompression_at_its_end() {
    for (at, begin, unchanged) in slow_uploads() {
        let end = "WAIT 100ms\nSHUTDOWN 200ms\nS: 426 *\nS: 421 *\nS: EOF\nWAIT 5s\n";
        let steps = steps_of(at, None, &format!("{begin}{end}{unchanged}"));
        assert!((29..=32).contains(&steps), "{steps} steps of {begin:.80}");
    }
}

#[test]
fn no_rate_limit_counts_what_a_store_copies_and_it_completes() {
    let rate = NonZeroU64::new(1000).map(Rate::BytesPerSecond);
    for (at, begin, _) in slow_uploads().into_iter().take(2) {
        for rate in [None, rate] {
            let steps = steps_of(at, rate, &format!("{begin}WAIT 11s\nS: 226 *\nWAIT 1s\n"));
            assert_eq!(steps, STEPS);
        }
    }
}
