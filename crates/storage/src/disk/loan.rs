//! The file of an upload in the hands of the engine.

use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use wharf_core::error::Result;
use wharf_core::storage::Allowance;

use super::space::Headroom;
use crate::meter::Charge;

/// How long the end of an upload waits for a writer that is just stopping.
const RETURN_WAIT_MAX: Duration = Duration::from_secs(5);

/// What the engine has: it asks here before it writes.
pub(super) struct Borrowed {
    headroom: Headroom,
    charge: Option<Arc<Charge>>,
    returned: Arc<Returned>,
}

#[derive(Default)]
struct Returned {
    is_done: Mutex<bool>,
    told: Condvar,
}

/// What the draft keeps: it waits here for the last write.
pub(super) struct Borrower(Arc<Returned>);

impl Borrowed {
    pub(super) fn new(headroom: Headroom, charge: Option<Arc<Charge>>) -> Self {
        Self { headroom, charge, returned: Arc::default() }
    }

    pub(super) fn borrower(&self) -> Borrower {
        Borrower(Arc::clone(&self.returned))
    }
}

impl Allowance for Borrowed {
    fn take(&mut self, file: &File, bytes: u64) -> Result<()> {
        self.headroom.take(file, bytes)?;
        self.charge.as_ref().map_or(Ok(()), |charge| charge.grow(bytes))
    }
}

/// The file is closed before this: nothing more is written, and no lock is held through it.
impl Drop for Borrowed {
    fn drop(&mut self) {
        let mut is_done = self.returned.is_done.lock().unwrap_or_else(PoisonError::into_inner);
        *is_done = true;
        drop(is_done);
        self.returned.told.notify_all();
    }
}

impl Borrower {
    /// Waits until nothing more is written. The writer has been told to stop, and does so at once;
    /// what is there afterwards is what stays, and the next upload finds it free.
    pub(super) fn await_return(self) {
        let is_done = self.0.is_done.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.told.wait_timeout_while(is_done, RETURN_WAIT_MAX, |is_done| !*is_done);
        drop(waited);
    }
}
