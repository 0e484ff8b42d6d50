//! Systems without a kernel copy: all data goes through memory.

use std::fs::File;

use wharf_core::storage::DetachedFile;

use super::{Closing, FileRemainder, Flow, TransferError};
use crate::net::Stream;

/// Whether a kernel copy is possible.
pub(super) fn is_possible(_: &Stream, _: &Flow<'_>) -> bool {
    false
}

pub(super) async fn send(
    file: File,
    from: u64,
    len: u64,
    stream: Stream,
    _: &Flow<'_>,
) -> Result<(Option<FileRemainder>, Stream), TransferError> {
    Ok((Some(FileRemainder { file, from, len }), stream))
}

pub(super) async fn receive(
    _: DetachedFile,
    stream: Stream,
    _: &Flow<'_>,
) -> Result<(Option<Stream>, Closing), TransferError> {
    Ok((Some(stream), Closing::Orderly))
}
