//! A write of the simulated storage: it stalls, fails, and may detach a file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{Allowance, DetachedFile, Sink, Start, StoreCopy, Stored};
use wharf_core::{Bytes, async_trait};
use wharf_proto::path::VPath;

use super::Faults;
use crate::oracle::{Oracle, Published, ResourceGuard};

/// A write in progress.
pub(crate) struct FaultySink {
    pub(crate) inner: Box<dyn Sink>,
    pub(crate) faults: Faults,
    pub(crate) at: VPath,
    pub(crate) start: Start,
    pub(crate) was_partial: bool,
    pub(crate) written: Vec<u8>,
    pub(crate) has_failed: bool,
    /// The file for a kernel copy, while the store offers one.
    pub(crate) detached: Detached,
    pub(crate) store_copy: SimCopy,
    pub(crate) tracked: ResourceGuard,
}

/// A copy of the existing content in the store.
pub(crate) struct SimCopy {
    pub(crate) part: StoreCopy,
    /// Bytes that are still to be copied.
    pub(crate) left: u64,
    pub(crate) bytes_per_second: u64,
}

impl SimCopy {
    fn time_of(&self, bytes: u64) -> Duration {
        Duration::from_millis(bytes.saturating_mul(1000) / self.bytes_per_second)
    }

    /// Copies the rest in one act, which takes this long.
    pub(crate) fn take_all(&mut self) -> Duration {
        let left = take(&mut self.left);
        self.time_of(left)
    }
}

/// The file of an upload that a kernel copy writes to.
pub(crate) struct Detached {
    is_offered: bool,
    /// The bytes after which the allowance is used up.
    bytes_max: Option<u64>,
    file: Option<File>,
    /// Has a permit while no writer has the file.
    writer: Option<Arc<Semaphore>>,
    /// Read from the file, and not passed on yet.
    received: Bytes,
}

impl Detached {
    pub(crate) fn new(is_offered: bool, bytes_max: Option<u64>) -> Self {
        Self { is_offered, bytes_max, file: None, writer: None, received: Bytes::new() }
    }

    /// Takes over what a writer has written.
    fn collect(&mut self) {
        let Some(mut file) = self.file.take() else { return };
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes));
        read.expect("a temporary file can be read");
        self.received = bytes.into();
    }
}

impl FaultySink {
    /// Passes on what was written to the detached file.
    async fn pass_on(&mut self) -> Result<()> {
        let received = take(&mut self.detached.received);
        if received.is_empty() {
            return Ok(());
        }
        self.written.extend_from_slice(&received);
        self.inner.write(received).await
    }
}

#[async_trait]
impl Sink for FaultySink {
    async fn copy_step(&mut self, part: StoreCopy, bytes_max: u64) -> Result<u64> {
        let copy = &mut self.store_copy;
        if copy.part != part || copy.left == 0 {
            return self.inner.copy_step(part, bytes_max).await;
        }
        let bytes = copy.left.min(bytes_max);
        sleep(copy.time_of(bytes)).await;
        copy.left -= bytes;
        Ok(bytes)
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if self.has_failed {
            self.faults
                .oracle
                .report_violation(format!("{}: a write after a failed write", self.at));
        }
        if self.store_copy.part == StoreCopy::Kept && self.store_copy.left > 0 {
            self.faults
                .oracle
                .report_violation(format!("{}: a write before the kept bytes are copied", self.at));
        }
        // If this write fails or is cancelled, the upload must not be considered complete.
        self.has_failed = true;
        self.pass_on().await?;
        self.faults.pass("sink.write", &self.at).await?;
        self.inner.write(chunk.clone()).await?;
        self.written.extend_from_slice(&chunk);
        self.has_failed = false;
        Ok(())
    }

    async fn detach_file(&mut self) -> Result<Option<DetachedFile>> {
        self.faults.pass("sink.detach_file", &self.at).await?;
        if !take(&mut self.detached.is_offered) {
            return Ok(None);
        }
        let file = tempfile::tempfile()?;
        let writer = Arc::new(Semaphore::new(0));
        let allowance = SimAllowance {
            left: self.detached.bytes_max,
            writer: Arc::clone(&writer),
            oracle: self.faults.oracle.clone(),
        };
        self.faults.oracle.log_line("store", &format!("{} is detached", self.at));
        self.detached.file = Some(file.try_clone()?);
        self.detached.writer = Some(writer);
        self.has_failed = true;
        Ok(Some(DetachedFile { file, allowance: Some(Box::new(allowance)) }))
    }

    fn reattach_file(&mut self, failed: bool) {
        self.has_failed = failed;
        self.detached.collect();
        let size = self.detached.received.len();
        let how = if failed { "after a failure" } else { "" };
        self.faults
            .oracle
            .log_line("store", &format!("{} is reattached {how} with {size} bytes", self.at));
    }

    async fn sync(&mut self) -> Result<()> {
        self.pass_on().await?;
        if self.store_copy.left > 0 {
            self.faults
                .oracle
                .report_violation(format!("{}: a sync before all bytes are copied", self.at));
        }
        self.faults.pass("sink.sync", &self.at).await?;
        self.inner.sync().await
    }

    async fn commit(self: Box<Self>) -> Result<Stored> {
        let Self { inner, faults, at, start, was_partial, written, has_failed, tracked, .. } =
            *self;
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
        drop(tracked);
        Ok(stored)
    }

    async fn abort(mut self: Box<Self>) {
        if let Some(writer) = &self.detached.writer {
            // A writer may be just stopping.
            drop(writer.acquire().await);
        }
        self.detached.collect();
        let passed = self.pass_on().await;
        let Self { inner, faults, at, .. } = *self;
        if let Err(error) = passed {
            faults.oracle.log_line("store", &format!("{at} is not kept: {error}"));
        }
        let _ = faults.pass("sink.abort", &at).await;
        inner.abort().await;
    }
}

/// Limits what a kernel copy writes. Dropped after the file.
struct SimAllowance {
    left: Option<u64>,
    writer: Arc<Semaphore>,
    oracle: Oracle,
}

impl Allowance for SimAllowance {
    fn take(&mut self, _: &File, bytes: u64) -> Result<()> {
        let Some(left) = &mut self.left else { return Ok(()) };
        let Some(rest) = left.checked_sub(bytes) else {
            self.oracle.log_line("store", "the quota of a detached file is used up");
            return Err(Error::new(ErrorKind::OverQuota, "by the simulation"));
        };
        *left = rest;
        Ok(())
    }
}

impl Drop for SimAllowance {
    fn drop(&mut self) {
        self.writer.add_permits(1);
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
