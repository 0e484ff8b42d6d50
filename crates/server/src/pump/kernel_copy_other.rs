//! Systems without a kernel copy: all data goes through memory.

use std::fs::File;
use std::io;

use wharf_core::storage::DetachedFile;

use super::mover::{Mover, Stepped};
use super::{CopyLeft, Flow, TransferError};
use crate::net::Stream;
use crate::rate_limit::Burst;

/// Whether a kernel copy is possible.
pub(super) fn is_possible(_: &Stream, _: &Flow<'_>) -> bool {
    false
}

/// There is none.
pub(super) enum KernelCopy {}

impl KernelCopy {
    pub(super) fn send(_: File, _: u64, _: u64, _: Stream) -> Result<Self, TransferError> {
        Err(TransferError::Network(io::ErrorKind::Unsupported.into()))
    }

    pub(super) fn receive(_: DetachedFile, _: Stream, _: &Flow<'_>) -> Result<Self, TransferError> {
        Err(TransferError::Network(io::ErrorKind::Unsupported.into()))
    }

    pub(super) async fn step(&mut self, _: &Mover<'_>, _: &Burst) -> Stepped<bool> {
        match *self {}
    }

    pub(super) fn into_parts(self) -> (Stream, CopyLeft) {
        match self {}
    }
}
