//! A storage that stalls and fails at random, and reports all its changes to the oracle.

mod sink;

use std::future::poll_fn;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use wharf_core::account::Account;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::lock;
use wharf_core::storage::{
    Capabilities, Change, Entries, ListDetail, Replace, Sink, Source, Start, Storage, StoreCopy,
    Stores, Write,
};
use wharf_core::{Bytes, Stream, async_trait};
use wharf_load::Random;
use wharf_proto::entry::Entry;
use wharf_proto::path::VPath;
use wharf_storage::Memory;

use self::sink::{Detached, FaultySink, SimCopy};
use crate::oracle::{FileOperation, Oracle, Resource};

/// The errors that a storage can return.
const KINDS: &[ErrorKind] =
    &[ErrorKind::Broken, ErrorKind::NoSpace, ErrorKind::OverQuota, ErrorKind::Busy];

/// After this total stall time a storage no longer stalls: otherwise a transfer of many chunks
/// takes longer than any client waits.
const STALLS_MAX: Duration = Duration::from_mins(10);

/// The faults of a storage.
#[derive(Clone, Debug)]
pub(crate) struct FaultPlan {
    pub(crate) rng: Random,
    /// This call fails, counted from 1.
    pub(crate) fails_at: Option<u64>,
    /// Number of calls per thousand that fail.
    pub(crate) fails_of_1000: u64,
    /// Number of calls per thousand that take up to `stall_max`.
    pub(crate) stalls_of_1000: u64,
    pub(crate) stall_max: Duration,
    /// Total stall time so far.
    pub(crate) stalled: Duration,
    pub(crate) calls: u64,
    /// What the storage hands out.
    pub(crate) storage_modes: StorageModes,
}

/// How a storage hands out contents and listings. All are correct, and the engine treats each in a
/// different way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StorageModes {
    /// Of 8 reads, so many are files, so that they are copied by the kernel.
    pub(crate) files_of_8: u64,
    /// Of 8 reads, so many are whole, as for small files that are in memory.
    pub(crate) bytes_of_8: u64,
    /// Of 8 listings, so many are read with blocking calls.
    pub(crate) blocking_lists_of_8: u64,
    /// Of 8 uploads, so many detach their file if they are large.
    pub(crate) detached_of_8: u64,
    /// The rate at which the storage copies the existing content of an append or a resumed upload,
    /// if it does.
    pub(crate) copy_rate: Option<u64>,
    /// Whether it copies before the upload begins: a fault.
    pub(crate) copies_first: bool,
}

impl StorageModes {
    /// A storage chosen at random.
    pub(crate) fn random(rng: &mut Random) -> Self {
        let mut of_8 = || *rng.pick(&[0, 2, 4, 8]);
        Self {
            files_of_8: of_8(),
            bytes_of_8: of_8(),
            blocking_lists_of_8: of_8(),
            detached_of_8: of_8(),
            ..Self::default()
        }
    }
}

/// How one content is handed out.
enum ContentDelivery {
    Stream,
    Bytes,
    File,
}

impl FaultPlan {
    /// No faults.
    pub(crate) fn without_faults(rng: Random) -> Self {
        Self {
            rng,
            fails_at: None,
            fails_of_1000: 0,
            stalls_of_1000: 0,
            stall_max: Duration::ZERO,
            stalled: Duration::ZERO,
            calls: 0,
            storage_modes: StorageModes::default(),
        }
    }

    fn handout(&mut self) -> ContentDelivery {
        if self.rng.chance(self.storage_modes.files_of_8, 8) {
            ContentDelivery::File
        } else if self.rng.chance(self.storage_modes.bytes_of_8, 8) {
            ContentDelivery::Bytes
        } else {
            ContentDelivery::Stream
        }
    }

    /// The duration and the error of the next call.
    fn next(&mut self) -> (Option<Duration>, Option<ErrorKind>) {
        self.calls += 1;
        let stalls = self.rng.chance(self.stalls_of_1000, 1000);
        let most = u64::try_from(self.stall_max.as_millis()).unwrap_or(0);
        let stall = Duration::from_millis(self.rng.between(1, most.max(1)));
        let stalls = stalls && self.stalled < STALLS_MAX;
        if stalls {
            self.stalled += stall;
        }
        let fails = self.rng.chance(self.fails_of_1000, 1000) || self.fails_at == Some(self.calls);
        let kind = *self.rng.pick(KINDS);
        (stalls.then_some(stall), fails.then_some(kind))
    }
}

/// A tree in memory with faults. Clones share the tree and the fault plan.
#[derive(Clone)]
pub(crate) struct Faults {
    pub(crate) memory: Memory,
    pub(crate) account: String,
    pub(crate) oracle: Oracle,
    fault_plan: Arc<Mutex<FaultPlan>>,
}

impl Faults {
    pub(crate) fn new(memory: Memory, oracle: Oracle, fault_plan: FaultPlan) -> Self {
        Self {
            memory,
            account: String::new(),
            oracle,
            fault_plan: Arc::new(Mutex::new(fault_plan)),
        }
    }

    /// Disables all faults from now on.
    pub(crate) fn stop_faults(&self) {
        let mut fault_plan = lock(&self.fault_plan);
        let storage_modes = fault_plan.storage_modes;
        *fault_plan =
            FaultPlan { storage_modes, ..FaultPlan::without_faults(fault_plan.rng.fork()) };
    }

    fn fault_plan(&self) -> MutexGuard<'_, FaultPlan> {
        lock(&self.fault_plan)
    }

    fn next(&self) -> (Option<Duration>, Option<ErrorKind>) {
        self.fault_plan().next()
    }

    /// Stalls, fails, or lets a call through.
    pub(crate) async fn pass(&self, what: &str, at: &VPath) -> Result<()> {
        let (stall, fault) = self.next();
        if let Some(stall) = stall {
            self.oracle.log_line("store", &format!("{what} {at} takes {stall:?}"));
            sleep(stall).await;
        }
        match fault {
            None => Ok(()),
            Some(kind) => {
                self.oracle.log_line("store", &format!("{what} {at} fails: {kind:?}"));
                Err(Error::new(kind, "by the simulation"))
            }
        }
    }

    /// The file for a kernel copy of an upload, if one is offered.
    fn detached(&self) -> Detached {
        let mut fault_plan = self.fault_plan();
        let of_8 = fault_plan.storage_modes.detached_of_8;
        let is_offered = fault_plan.rng.chance(of_8, 8);
        let has_quota = fault_plan.fails_of_1000 > 0 && fault_plan.rng.chance(1, 4);
        let bytes_max = has_quota.then(|| fault_plan.rng.below(4_000_000));
        Detached::new(is_offered, bytes_max)
    }

    /// The copy of the existing content for a write, and whether it comes before the write begins.
    fn store_copy(&self, at: &VPath, how: Write) -> (SimCopy, bool) {
        let StorageModes { copy_rate, copies_first, .. } = self.fault_plan().storage_modes;
        let part = if how.start == Start::End { StoreCopy::Added } else { StoreCopy::Kept };
        let left = match copy_rate {
            Some(_) if how.start != Start::Fresh => {
                self.memory.content(at.as_bytes()).map_or(0, |content| content.len())
            }
            _ => 0,
        };
        let left = u64::try_from(left).unwrap_or(u64::MAX);
        let bytes_per_second = copy_rate.unwrap_or(1).max(1);
        (SimCopy { part, left, bytes_per_second }, copies_first)
    }

    fn record(&self, operation: FileOperation, at: &VPath) {
        self.oracle.record(&self.account, operation, &at.to_string(), &self.memory);
    }

    fn faulty<T>(
        &self,
        inner: Pin<Box<dyn Stream<Item = Result<T>> + Send>>,
    ) -> Pin<Box<dyn Stream<Item = Result<T>> + Send>>
    where
        T: 'static,
    {
        let tracked = self.oracle.track(Resource::Source);
        Box::pin(FaultyStream {
            inner,
            faults: self.clone(),
            stall: None,
            has_passed: false,
            _tracked: tracked,
        })
    }
}

#[async_trait]
impl Stores for Faults {
    async fn open(&self, account: &Account) -> Result<Arc<dyn Storage>> {
        self.pass("open", &VPath::root()).await?;
        let memory = self.memory.for_account(&account.name);
        Ok(Arc::new(Self { memory, account: account.name.clone(), ..self.clone() }))
    }
}

#[async_trait]
impl Storage for Faults {
    fn caps(&self) -> Capabilities {
        self.memory.caps()
    }

    async fn stat(&self, at: &VPath) -> Result<Entry> {
        self.pass("stat", at).await?;
        self.memory.stat(at).await
    }

    async fn list(&self, at: &VPath, wanted: ListDetail) -> Result<Entries> {
        self.pass("list", at).await?;
        Ok(match self.memory.list(at, wanted).await? {
            Entries::Stream(inner) => {
                let of_8 = self.fault_plan().storage_modes.blocking_lists_of_8;
                let is_blocking = self.fault_plan().rng.chance(of_8, 8);
                let inner = self.faulty(inner);
                if is_blocking {
                    return Ok(Entries::Blocking(Box::new(entries(inner).await.into_iter())));
                }
                Entries::Stream(inner)
            }
            blocking @ Entries::Blocking(_) => blocking,
        })
    }

    async fn read(&self, at: &VPath, from: u64) -> Result<Source> {
        self.pass("read", at).await?;
        Ok(match self.memory.read(at, from).await? {
            Source::Stream(inner) => {
                let handout = self.fault_plan().handout();
                let inner = self.faulty(inner);
                match handout {
                    ContentDelivery::Stream => Source::Stream(inner),
                    ContentDelivery::Bytes => Source::Bytes(whole(inner).await?),
                    ContentDelivery::File => file(&whole(inner).await?)?,
                }
            }
            whole @ (Source::File { .. } | Source::Bytes(_)) => whole,
        })
    }

    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>> {
        self.pass("write", at).await?;
        let was_partial = self.memory.partial(at).await?.is_some();
        let (mut store_copy, copies_first) = self.store_copy(at, how);
        if copies_first {
            sleep(store_copy.take_all()).await;
        }
        let inner = self.memory.write(at, how).await?;
        Ok(Box::new(FaultySink {
            inner,
            faults: self.clone(),
            at: at.clone(),
            start: how.start,
            was_partial,
            written: Vec::new(),
            has_failed: false,
            detached: self.detached(),
            store_copy,
            tracked: self.oracle.track(Resource::Sink),
        }))
    }

    async fn partial(&self, at: &VPath) -> Result<Option<u64>> {
        self.pass("partial", at).await?;
        self.memory.partial(at).await
    }

    fn umask(&self) -> Option<u32> {
        self.memory.umask()
    }

    fn set_umask(&self, umask: u32) {
        self.memory.set_umask(umask);
    }

    async fn remove_file(&self, at: &VPath) -> Result<()> {
        self.pass("remove_file", at).await?;
        self.memory.remove_file(at).await?;
        self.record(FileOperation::RemoveFile, at);
        Ok(())
    }

    async fn remove_dir(&self, at: &VPath) -> Result<()> {
        self.pass("remove_dir", at).await?;
        self.memory.remove_dir(at).await?;
        self.record(FileOperation::RemoveDir, at);
        Ok(())
    }

    async fn make_dir(&self, at: &VPath) -> Result<()> {
        self.pass("make_dir", at).await?;
        self.memory.make_dir(at).await?;
        self.record(FileOperation::MakeDir, at);
        Ok(())
    }

    async fn rename(&self, from: &VPath, to: &VPath, replace: Replace) -> Result<()> {
        self.pass("rename", from).await?;
        self.memory.rename(from, to, replace).await?;
        self.record(FileOperation::Rename, to);
        Ok(())
    }

    async fn set(&self, at: &VPath, change: Change) -> Result<()> {
        self.pass("set", at).await?;
        self.memory.set(at, change).await
    }
}

/// The whole content of a stream.
async fn whole(mut stream: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>) -> Result<Bytes> {
    let mut bytes = Vec::new();
    while let Some(piece) = poll_fn(|context| stream.as_mut().poll_next(context)).await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes.into())
}

/// A file with this content. It is read from its second byte on, as after REST.
fn file(content: &[u8]) -> Result<Source> {
    let mut file = tempfile::tempfile()?;
    file.write_all(b"-")?;
    file.write_all(content)?;
    Ok(Source::File { file, from: 1, len: u64::try_from(content.len()).unwrap_or(u64::MAX) })
}

/// All entries of a stream up to an error.
async fn entries(
    mut stream: Pin<Box<dyn Stream<Item = Result<Vec<Entry>>> + Send>>,
) -> Vec<Result<Entry>> {
    let mut entries = Vec::new();
    while let Some(batch) = poll_fn(|context| stream.as_mut().poll_next(context)).await {
        match batch {
            Ok(batch) => entries.extend(batch.into_iter().map(Ok)),
            Err(error) => {
                entries.push(Err(error));
                break;
            }
        }
    }
    entries
}

/// A stream that stalls and fails.
struct FaultyStream<T> {
    inner: Pin<Box<dyn Stream<Item = Result<T>> + Send>>,
    faults: Faults,
    stall: Option<Pin<Box<Sleep>>>,
    has_passed: bool,
    _tracked: crate::oracle::ResourceGuard,
}

impl<T> Stream for FaultyStream<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if !this.has_passed {
            let (stall, fault) = this.faults.next();
            if let Some(kind) = fault {
                this.faults.oracle.log_line("store", &format!("a stream fails: {kind:?}"));
                return Poll::Ready(Some(Err(Error::new(kind, "by the simulation"))));
            }
            this.stall = stall.map(|stall| Box::pin(sleep(stall)));
            this.has_passed = true;
        }
        if let Some(stall) = &mut this.stall {
            ready!(stall.as_mut().poll(context));
            this.stall = None;
        }
        let item = ready!(this.inner.as_mut().poll_next(context));
        this.has_passed = false;
        Poll::Ready(item)
    }
}
