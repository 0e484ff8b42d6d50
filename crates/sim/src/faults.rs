//! A storage that stalls and fails at random, and reports all its changes to the oracle.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use wharf_core::account::Account;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{
    Capabilities, Change, Entries, ListDetail, Replace, Sink, Source, Start, Storage, Stored,
    Stores, Write,
};
use wharf_core::{Bytes, Stream, async_trait};
use wharf_proto::entry::Entry;
use wharf_proto::path::VPath;
use wharf_storage::Memory;

use crate::oracle::{FileOperation, Oracle, Published, Resource};
use crate::rng::Rng;

/// The errors that a storage can return.
const KINDS: &[ErrorKind] =
    &[ErrorKind::Broken, ErrorKind::NoSpace, ErrorKind::OverQuota, ErrorKind::Busy];

/// After this total stall time a storage no longer stalls: otherwise a transfer of many chunks
/// takes longer than any client waits.
const STALLS_MAX: Duration = Duration::from_mins(10);

/// The faults of a storage.
#[derive(Clone, Debug)]
pub(crate) struct FaultPlan {
    pub(crate) rng: Rng,
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
}

impl FaultPlan {
    /// No faults.
    pub(crate) fn without_faults(rng: Rng) -> Self {
        Self {
            rng,
            fails_at: None,
            fails_of_1000: 0,
            stalls_of_1000: 0,
            stall_max: Duration::ZERO,
            stalled: Duration::ZERO,
            calls: 0,
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
    memory: Memory,
    account: String,
    oracle: Oracle,
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
        let mut fault_plan = self.fault_plan.lock().unwrap_or_else(PoisonError::into_inner);
        *fault_plan = FaultPlan::without_faults(fault_plan.rng.fork());
    }

    fn next(&self) -> (Option<Duration>, Option<ErrorKind>) {
        self.fault_plan.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// Stalls, fails, or lets a call through.
    async fn pass(&self, what: &str, at: &VPath) -> Result<()> {
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

    /// Whether a file is handed out at once, as a store does that has it in memory.
    fn gives_bytes(&self) -> bool {
        let mut fault_plan = self.fault_plan.lock().unwrap_or_else(PoisonError::into_inner);
        fault_plan.rng.chance(1, 3)
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
        let guard = self.oracle.track(Resource::Source);
        Box::pin(FaultyStream {
            inner,
            faults: self.clone(),
            stall: None,
            has_passed: false,
            _guard: guard,
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
            Entries::Stream(inner) => Entries::Stream(self.faulty(inner)),
            blocking @ Entries::Blocking(_) => blocking,
        })
    }

    async fn read(&self, at: &VPath, from: u64) -> Result<Source> {
        self.pass("read", at).await?;
        Ok(match self.memory.read(at, from).await? {
            Source::Stream(inner) if self.gives_bytes() => {
                Source::Bytes(whole(self.faulty(inner)).await?)
            }
            Source::Stream(inner) => Source::Stream(self.faulty(inner)),
            whole @ (Source::File { .. } | Source::Bytes(_)) => whole,
        })
    }

    async fn write(&self, at: &VPath, how: Write) -> Result<Box<dyn Sink>> {
        self.pass("write", at).await?;
        let was_partial = self.memory.partial(at).await?.is_some();
        let inner = self.memory.write(at, how).await?;
        Ok(Box::new(FaultySink {
            inner,
            faults: self.clone(),
            at: at.clone(),
            start: how.start,
            was_partial,
            written: Vec::new(),
            has_failed: false,
            guard: self.oracle.track(Resource::Sink),
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

/// A write that stalls and fails.
struct FaultySink {
    inner: Box<dyn Sink>,
    faults: Faults,
    at: VPath,
    start: Start,
    was_partial: bool,
    written: Vec<u8>,
    has_failed: bool,
    guard: crate::oracle::ResourceGuard,
}

#[async_trait]
impl Sink for FaultySink {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if self.has_failed {
            self.faults
                .oracle
                .report_violation(format!("{}: a write after a failed write", self.at));
        }
        // If this write fails or is cancelled, the upload must not be considered complete.
        self.has_failed = true;
        self.faults.pass("sink.write", &self.at).await?;
        self.inner.write(chunk.clone()).await?;
        self.written.extend_from_slice(&chunk);
        self.has_failed = false;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Stored> {
        let Self { inner, faults, at, start, was_partial, written, has_failed, guard } = *self;
        let mut waited_for =
            WaitedFor { oracle: faults.oracle.clone(), what: "commit", is_done: false };
        if has_failed {
            faults.oracle.report_violation(format!("{at}: a commit after a write that failed"));
        }
        let passed = faults.pass("commit", &at).await;
        waited_for.is_done = true;
        if let Err(error) = passed {
            inner.abort().await;
            return Err(error);
        }
        let stored = inner.commit().await?;
        let path = at.to_string();
        let account = &faults.account;
        let published = Published { account, path: &path, start, was_partial, written: &written };
        faults.oracle.published(&published, &faults.memory);
        drop(guard);
        Ok(stored)
    }

    async fn abort(self: Box<Self>) {
        let Self { inner, faults, at, .. } = *self;
        let _ = faults.pass("sink.abort", &at).await;
        inner.abort().await;
    }
}

/// Reports a violation if a future is dropped before it completes.
struct WaitedFor {
    oracle: Oracle,
    what: &'static str,
    is_done: bool,
}

impl Drop for WaitedFor {
    fn drop(&mut self) {
        if !self.is_done {
            self.oracle
                .report_violation(format!("a {} was dropped before it completed", self.what));
        }
    }
}

/// A stream that stalls and fails.
struct FaultyStream<T> {
    inner: Pin<Box<dyn Stream<Item = Result<T>> + Send>>,
    faults: Faults,
    stall: Option<Pin<Box<Sleep>>>,
    has_passed: bool,
    _guard: crate::oracle::ResourceGuard,
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
