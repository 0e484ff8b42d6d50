//! Files over TLS on a blocking worker: large blocks, encrypted and decrypted where they are read
//! and written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use rustls::ServerConnection;

use super::copy_socket::CopySocket;
use super::{CopyStep, CopyTarget, CopyWork, socket_error};
use crate::pump::closing::{Closing, EndRule, ended_between_records};
use crate::pump::source_chunks::shortened;
use crate::pump::{CopyLeft, TransferError};

/// One read of a file that is sent.
const PLAIN_BYTES: usize = 128 * 1024;
/// One read of a socket, and about the size of a write to the file.
const WIRE_BYTES: usize = 256 * 1024;

/// A download over TLS.
pub(super) struct TlsSending {
    file: File,
    from: u64,
    left: u64,
    tls: ServerConnection,
    plain: Vec<u8>,
    has_sent_close_notify: bool,
}

impl TlsSending {
    pub(super) fn new(file: File, from: u64, left: u64, mut tls: ServerConnection) -> Self {
        // The buffer is bounded by this loop: one block.
        tls.set_buffer_limit(None);
        Self { file, from, left, tls, plain: vec![0; PLAIN_BYTES], has_sent_close_notify: false }
    }

    /// Encrypts the next block. Returns its size.
    fn encrypt(&mut self, most: u64) -> Result<u64, TransferError> {
        let most = usize::try_from(self.left.min(most)).unwrap_or(usize::MAX).min(PLAIN_BYTES);
        let buffer = self.plain.get_mut(..most).unwrap_or_default();
        let got = self.file.read_at(buffer, self.from).map_err(store)?;
        if got == 0 {
            return Err(TransferError::Store(shortened()));
        }
        let block = self.plain.get(..got).unwrap_or_default();
        self.tls.writer().write_all(block).map_err(TransferError::Network)?;
        let tls_copy = u64::try_from(got).unwrap_or(u64::MAX);
        self.from = self.from.saturating_add(tls_copy);
        self.left = self.left.saturating_sub(tls_copy);
        Ok(tls_copy)
    }
}

impl CopyWork for TlsSending {
    fn step(&mut self, socket: &CopySocket, most: u64) -> CopyStep {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut &*socket) {
                Ok(_) => {}
                Err(error) => return socket_error(&error),
            }
        }
        if self.left > 0 {
            return self.encrypt(most).map_or_else(CopyStep::Failed, CopyStep::Moved);
        }
        if std::mem::replace(&mut self.has_sent_close_notify, true) {
            return CopyStep::Done;
        }
        self.tls.send_close_notify();
        CopyStep::Moved(0)
    }
}

/// An upload over TLS.
pub(super) struct TlsReceiving {
    file: CopyTarget,
    tls: ServerConnection,
    /// TLS records that are sent at the end, before all others: see [`TlsTransport`].
    ///
    /// [`TlsTransport`]: crate::net::TlsTransport
    withheld: Vec<u8>,
    wire: Vec<u8>,
    plain: Vec<u8>,
    has_begun: bool,
    end: EndRule,
    /// Bytes of the file received in total.
    received: u64,
    closing: Option<Closing>,
}

impl TlsReceiving {
    pub(super) fn new(
        file: CopyTarget,
        (tls, withheld): (ServerConnection, Vec<u8>),
        end: EndRule,
        received: u64,
    ) -> Self {
        Self {
            file,
            tls,
            withheld,
            wire: vec![0; WIRE_BYTES],
            plain: Vec::with_capacity(WIRE_BYTES),
            has_begun: false,
            end,
            received,
            closing: None,
        }
    }

    /// Decrypts received data. Returns whether the client has sent `close_notify`.
    fn decrypt(&mut self, got: usize) -> Result<bool, TransferError> {
        let mut rest = self.wire.get(..got).unwrap_or_default();
        loop {
            let state = self.tls.process_new_packets().map_err(|error| {
                TransferError::Network(io::Error::new(io::ErrorKind::InvalidData, error))
            })?;
            let opened = state.plaintext_bytes_to_read();
            if opened > 0 {
                let bytes = u64::try_from(opened).unwrap_or(u64::MAX);
                let mut reader = self.tls.reader().take(bytes);
                reader.read_to_end(&mut self.plain).map_err(TransferError::Network)?;
            }
            if state.peer_has_closed() {
                return Ok(true);
            }
            if rest.is_empty() {
                return Ok(false);
            }
            self.tls.read_tls(&mut rest).map_err(TransferError::Network)?;
        }
    }

    fn store(&mut self) -> Result<u64, TransferError> {
        self.file.allow(self.plain.len()).map_err(TransferError::Store)?;
        self.file.0.file.write_all(&self.plain).map_err(store)?;
        let bytes = u64::try_from(self.plain.len()).unwrap_or(u64::MAX);
        self.plain.clear();
        self.received = self.received.saturating_add(bytes);
        Ok(bytes)
    }

    /// Sends pending TLS messages; nothing before the end while some are withheld. A client that
    /// only sends need not read them.
    fn flush_tls(&mut self, mut socket: &CopySocket, is_end: bool) {
        if !self.withheld.is_empty() {
            if !is_end {
                return;
            }
            // One write, so that the client cannot close its socket between two.
            let mut all = std::mem::take(&mut self.withheld);
            while self.tls.wants_write() && self.tls.write_tls(&mut all).is_ok() {}
            let _ = socket.write_all(&all);
        }
        while self.tls.wants_write() && self.tls.write_tls(&mut socket).is_ok() {}
    }

    fn take(&mut self, socket: &CopySocket, most: u64) -> Result<CopyStep, TransferError> {
        if self.closing.is_some() {
            return Ok(CopyStep::Done);
        }
        let got = if std::mem::replace(&mut self.has_begun, true) {
            let mut socket = socket;
            let most = usize::try_from(most).unwrap_or(usize::MAX).min(WIRE_BYTES);
            match socket.read(self.wire.get_mut(..most).unwrap_or_default()) {
                // Without `close_notify`, anything on the network path may have truncated it.
                Ok(0) if self.end.accepts(self.received) => {
                    if !ended_between_records(&mut self.tls) {
                        return Err(TransferError::MidRecord);
                    }
                    self.closing = Some(Closing::WithoutNotify);
                    self.tls.send_close_notify();
                    self.flush_tls(socket, true);
                    return Ok(CopyStep::Done);
                }
                Ok(0) => return Err(TransferError::NoCloseNotify),
                Ok(got) => got,
                Err(error) => return Ok(socket_error(&error)),
            }
        } else {
            // The TLS session still holds data that was read earlier.
            0
        };
        let opened = self.decrypt(got);
        if matches!(opened, Ok(true)) {
            self.tls.send_close_notify();
        }
        self.flush_tls(socket, !matches!(opened, Ok(false)));
        if opened? {
            self.closing = Some(Closing::Orderly);
        }
        Ok(CopyStep::Moved(self.store()?))
    }
}

impl CopyWork for TlsReceiving {
    fn step(&mut self, socket: &CopySocket, most: u64) -> CopyStep {
        self.take(socket, most).unwrap_or_else(CopyStep::Failed)
    }

    fn left(self: Box<Self>) -> CopyLeft {
        CopyLeft { source: None, closing: self.closing.unwrap_or_default() }
    }
}

fn store(error: io::Error) -> TransferError {
    TransferError::Store(error.into())
}
