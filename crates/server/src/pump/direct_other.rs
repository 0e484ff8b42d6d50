//! Files and sockets without a shorter way between them: everything goes through memory.

use std::fs::File;

use super::{Cut, Flow, Rest};
use crate::net::Stream;

/// Whether a file can go out directly.
pub(super) fn can_send(_: &Stream, _: &Flow<'_>) -> bool {
    false
}

pub(super) async fn send(
    file: File,
    from: u64,
    len: u64,
    _: &mut Stream,
    _: &Flow<'_>,
) -> Result<Option<Rest>, Cut> {
    Ok(Some(Rest { file, from, len }))
}

/// Whether a file can come in directly.
pub(super) fn can_receive(_: &Stream, _: &Flow<'_>) -> bool {
    false
}

pub(super) async fn receive(_: File, _: &mut Stream, _: &Flow<'_>) -> Result<bool, Cut> {
    Ok(false)
}
