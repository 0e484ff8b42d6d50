//! Copies data between a data connection and storage.

mod closing;
#[cfg(target_os = "linux")]
#[path = "pump/kernel_copy_linux.rs"]
mod kernel_copy;
#[cfg(not(target_os = "linux"))]
#[path = "pump/kernel_copy_other.rs"]
mod kernel_copy;
mod local;
mod mover;
mod receive;
mod receive_block;
mod send;
mod source_chunks;
mod zlib;

use std::io;

use wharf_core::error::{Error, ErrorKind};
use wharf_core::storage::Source;

pub(crate) use self::closing::{Closing, EndRule};
pub(crate) use self::local::{Copying, Digesting};
pub(crate) use self::mover::Mover;
pub(crate) use self::receive::Receiving;
pub(crate) use self::send::Sending;
use crate::blocking_pool::BlockingPool;

/// One read or write at most: large enough that system calls cost little.
const PIECE_BYTES: usize = 256 * 1024;
/// Up to this size, hashing and compression run on the reactor: a fraction of a millisecond.
const INLINE_BYTES: usize = 16 * 1024;

/// Bytes that a store copies within itself in one step: some tens of milliseconds on a slow disk.
/// File systems that can share blocks between files do so for parts of a file, too.
const STORE_COPY_BYTES: usize = 8 * 1024 * 1024;

/// Parameters of one transfer.
pub(crate) struct Flow<'a> {
    /// Limits and counting.
    pub(crate) mover: &'a Mover<'a>,
    /// Whether line ends are converted (TYPE A).
    pub(crate) is_ascii: bool,
    /// The compression level (MODE Z).
    pub(crate) deflate: Option<u8>,
    /// When an upload over TLS may end without `close_notify`.
    pub(crate) end: EndRule,
}

/// Why a transfer stopped before its end.
#[derive(Debug)]
pub(crate) enum TransferError {
    /// The data connection broke.
    Network(io::Error),
    /// It ended in FIN, but without the `close_notify` of TLS.
    NoCloseNotify,
    /// It ended in FIN in the middle of a TLS record, so data is missing.
    MidRecord,
    /// The stall timeout passed.
    Stalled,
    /// The transfer was below the minimum rate.
    TooSlow,
    /// The data is not a valid and complete zlib stream (MODE Z).
    InvalidZlib(&'static str),
    /// The decompressed data exceeds the permitted ratio (MODE Z).
    ExpansionLimit,
    /// The session must end, for this reason, and nothing moves.
    SessionEnded(String),
    /// The store failed.
    Store(Error),
}

impl From<Error> for TransferError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// What a kernel copy leaves.
#[derive(Default)]
struct CopyLeft {
    /// The rest of a file, which is to be sent through memory. It may be empty.
    source: Option<Source>,
    /// How an upload ended.
    closing: Closing,
}

/// Runs small work at once, and other work on a blocking worker.
async fn run_blocking<T: Send + 'static>(
    bytes: usize,
    blocking_pool: &BlockingPool,
    work: impl FnOnce() -> Result<T, TransferError> + Send + 'static,
) -> Result<T, TransferError> {
    if bytes <= INLINE_BYTES {
        return work();
    }
    let worker = blocking_pool.acquire().await;
    let working = blocking_pool.spawn(move || {
        let done = work();
        drop(worker);
        done
    });
    working.await.map_err(broken)?
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> TransferError {
    TransferError::Store(Error::new(ErrorKind::Broken, error))
}

fn bound(burst: usize) -> u64 {
    u64::try_from(burst).unwrap_or(u64::MAX)
}
