//! Writing to the file of an upload outside of the storage.

use std::fs::File;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use wharf_core::error::Result;
use wharf_core::lock;
use wharf_core::storage::Allowance;

use super::space::Headroom;
use crate::quota::QuotaReservation;

/// How long the end of an upload waits for a writer that is about to stop.
const RETURN_WAIT_MAX: Duration = Duration::from_secs(5);

/// Held by the engine, which requests permission from it before each write.
pub(super) struct WriteAllowance {
    headroom: Headroom,
    reservation: Option<Arc<QuotaReservation>>,
    returned: Arc<WriterEnd>,
}

#[derive(Default)]
struct WriterEnd {
    is_done: Mutex<bool>,
    ended: Condvar,
}

/// Held by the partial upload, which waits for the last write.
pub(super) struct DetachedWriter(Arc<WriterEnd>);

impl WriteAllowance {
    pub(super) fn new(headroom: Headroom, reservation: Option<Arc<QuotaReservation>>) -> Self {
        Self { headroom, reservation, returned: Arc::default() }
    }

    pub(super) fn writer(&self) -> DetachedWriter {
        DetachedWriter(Arc::clone(&self.returned))
    }
}

impl Allowance for WriteAllowance {
    fn take(&mut self, file: &File, bytes: u64) -> Result<()> {
        self.headroom.take(file, bytes)?;
        self.reservation.as_ref().map_or(Ok(()), |reservation| reservation.grow(bytes))
    }
}

/// The file is closed before this: nothing more is written, and no lock is held through it.
impl Drop for WriteAllowance {
    fn drop(&mut self) {
        let mut is_done = lock(&self.returned.is_done);
        *is_done = true;
        drop(is_done);
        self.returned.ended.notify_all();
    }
}

impl DetachedWriter {
    /// Waits until the writer has ended. It has been signalled to stop and does so at once;
    /// afterwards the content is final and the next upload can lock the file.
    pub(super) fn wait(self) {
        let is_done = lock(&self.0.is_done);
        let waited = self.0.ended.wait_timeout_while(is_done, RETURN_WAIT_MAX, |is_done| !*is_done);
        drop(waited);
    }
}
