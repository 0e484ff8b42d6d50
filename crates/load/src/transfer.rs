//! One data connection: receive, send, and check bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::clock::now;
use crate::content::{Comparison, UploadContent};
use crate::error::{Error, ErrorKind};
use crate::listing::Counter;
use crate::net::Transport;
use crate::pattern::upto;
use crate::plan::Listing;
use crate::progress::RunProgress;
use crate::session::ClientSession;
use crate::system;
use crate::tls::TlsStream;

/// The buffers of a thread for its transfers.
#[derive(Debug)]
pub(crate) struct TransferBuffers<'a> {
    progress: &'a RunProgress,
    buffer: Vec<u8>,
    /// When the first byte of the current transfer was received.
    first_byte: Option<Instant>,
}

/// A successful transfer.
#[derive(Debug)]
pub(crate) struct TransferResult {
    pub(crate) bytes: u64,
    /// From requesting a data connection to its first byte.
    pub(crate) first_byte: Option<Duration>,
}

/// How a download is read.
#[derive(Debug)]
pub(crate) enum DownloadReader<'a> {
    Drain,
    Decrypt,
    Compare(&'a mut Comparison),
}

impl<'a> TransferBuffers<'a> {
    pub(crate) fn new(progress: &'a RunProgress) -> Self {
        // Draining never writes here, so this allocates no memory yet.
        Self { progress, buffer: vec![0; BUFFER], first_byte: None }
    }

    /// RETR. Small files are always decrypted: that is exact, and costs little.
    pub(crate) fn retrieve(
        &mut self,
        session: &mut ClientSession,
        path: &str,
        length: Option<u64>,
        reader: DownloadReader<'_>,
    ) -> Result<TransferResult, Error> {
        let line = format!("RETR {path}");
        let begun = self.begin();
        let drained = length.filter(|length| {
            matches!(reader, DownloadReader::Drain) && *length >= DRAINED_LENGTH_MIN
        });
        let mut transport = session.data_exact(&line, drained.is_some())?;
        let timeout = session.timeout();
        let received = match (&mut transport, reader) {
            (Transport::Plain(socket), DownloadReader::Drain | DownloadReader::Decrypt) => {
                self.drain(socket)
            }
            (Transport::Tls(stream), DownloadReader::Drain) if let Some(length) = drained => {
                self.drain_records(stream, length, timeout)
            }
            (transport, DownloadReader::Compare(comparison)) => self.compare(transport, comparison),
            (Transport::Tls(stream), _) => self.decrypt(stream),
        };
        let bytes = received.map_err(|kind| Error::new(line.as_str(), kind))?;
        drop(transport);
        session.transferred().map_err(|kind| Error::new(line.as_str(), kind))?;
        match length {
            Some(wanted) if wanted != bytes => {
                Err(Error::new(line, ErrorKind::Length { got: bytes, wanted }))
            }
            _ => Ok(self.moved(bytes, begun)),
        }
    }

    /// STOR.
    pub(crate) fn store(
        &mut self,
        session: &mut ClientSession,
        path: &str,
        length: u64,
        content_source: &mut UploadContent,
    ) -> Result<TransferResult, Error> {
        let line = format!("STOR {path}");
        let begun = self.begin();
        let mut transport = session.data(&line)?;
        let sent = match &mut transport {
            Transport::Plain(socket) => self.send_plain(socket, length, content_source),
            transport @ Transport::Tls(_) => self.send(transport, length, content_source),
        };
        let ended = sent.and_then(|()| Ok(transport.finish()?));
        if matches!(ended, Err(ErrorKind::Stopped)) {
            return Err(Error::new(line, ErrorKind::Stopped));
        }
        // The connection must be closed, or both sides would wait.
        drop(transport);
        // A server that rejects an upload closes the data connection and gives the reason in its
        // reply.
        let replied = session.transferred();
        let done = match (ended, replied) {
            (_, Err(kind @ ErrorKind::Rejected { .. })) | (Err(kind), _) => Err(kind),
            (Ok(()), replied) => replied,
        };
        done.map_err(|kind| Error::new(line, kind))?;
        // The time of the first byte sent does not depend on the server.
        Ok(TransferResult { first_byte: None, ..self.moved(length, begun) })
    }

    /// A listing; also returns the number of its entries.
    pub(crate) fn list(
        &mut self,
        session: &mut ClientSession,
        verb: Listing,
        path: &str,
    ) -> Result<(TransferResult, u64), Error> {
        let line = format!("{} {path}", verb.word());
        let line = line.trim_end();
        let begun = self.begin();
        let mut transport = session.data(line)?;
        let mut counter = Counter::new(verb);
        let listed = self.each_part(&mut transport, |part| {
            counter.take(part);
            Ok(())
        });
        let bytes = listed.and_then(|bytes| {
            close(&mut transport);
            drop(transport);
            session.transferred()?;
            Ok(bytes)
        });
        let bytes = bytes.map_err(|kind| Error::new(line, kind))?;
        Ok((self.moved(bytes, begun), counter.entries()))
    }

    fn begin(&mut self) -> Instant {
        self.first_byte = None;
        now()
    }

    fn moved(&self, bytes: u64, begun: Instant) -> TransferResult {
        TransferResult {
            bytes,
            first_byte: self.first_byte.map(|at| at.saturating_duration_since(begun)),
        }
    }

    /// Counts transferred bytes.
    fn note(&mut self, length: usize) -> u64 {
        if self.first_byte.is_none() {
            self.first_byte = Some(now());
        }
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.progress.add_bytes(length);
        length
    }

    /// Whether the run was stopped, checked between two parts: a file of one part is finished.
    fn continue_run(&self) -> Result<(), ErrorKind> {
        if self.progress.is_stopped() { Err(ErrorKind::Stopped) } else { Ok(()) }
    }

    /// Discards and counts all bytes up to the end.
    fn drain(&mut self, socket: &TcpStream) -> Result<u64, ErrorKind> {
        self.drain_upto(socket, u64::MAX)
    }

    /// Discards bytes up to the end, or until there were `most` of them.
    fn drain_upto(&mut self, socket: &TcpStream, most: u64) -> Result<u64, ErrorKind> {
        let mut bytes = 0;
        while bytes < most {
            match system::drain(socket, &mut self.buffer)? {
                0 => break,
                length => bytes += self.note(length),
            }
            self.continue_run()?;
        }
        Ok(bytes)
    }

    /// Discards records without decrypting them. All of them have more than `length` bytes if the
    /// payload is that long; a server may add a few for tickets.
    fn drain_records(
        &mut self,
        stream: &mut TlsStream,
        length: u64,
        timeout: Duration,
    ) -> Result<u64, ErrorKind> {
        let least = length + length.div_ceil(RECORD_PAYLOAD_MAX) * RECORD_WRAPPING_MIN;
        let mut bytes = self.drain_upto(stream.socket(), least)?;
        // Some servers do not close before the client has answered their close_notify, which is
        // encrypted. All of the payload has arrived, so only that can be missing.
        stream.socket().set_read_timeout(Some(SILENCE))?;
        match self.drain(stream.socket()) {
            Err(ErrorKind::TimedOut) => {
                stream.close()?;
                stream.socket().set_read_timeout(Some(timeout))?;
                bytes += self.drain(stream.socket())?;
            }
            rest => bytes += rest?,
        }
        if bytes < least {
            return Ok(bytes.saturating_sub(least - length));
        }
        Ok(length)
    }

    fn decrypt(&mut self, stream: &mut TlsStream) -> Result<u64, ErrorKind> {
        let bytes = self.each_part(stream, |_| Ok(()))?;
        // The file is complete; a server that has closed the connection does not need a
        // close_notify.
        let _ = stream.close();
        Ok(bytes)
    }

    fn compare(
        &mut self,
        transport: &mut Transport,
        comparison: &mut Comparison,
    ) -> Result<u64, ErrorKind> {
        comparison.rewind()?;
        let bytes = self.each_part(transport, |part| comparison.compare(part))?;
        close(transport);
        Ok(bytes)
    }

    fn each_part(
        &mut self,
        transport: &mut impl Read,
        mut take: impl FnMut(&[u8]) -> Result<(), ErrorKind>,
    ) -> Result<u64, ErrorKind> {
        let mut bytes = 0;
        loop {
            let part = self.buffer.get_mut(..READ).unwrap_or_default();
            let length = transport.read(part)?;
            if length == 0 {
                return Ok(bytes);
            }
            take(part.get(..length).unwrap_or_default())?;
            bytes += self.note(length);
            self.continue_run()?;
        }
    }

    fn send_plain(
        &mut self,
        socket: &mut TcpStream,
        length: u64,
        content_source: &mut UploadContent,
    ) -> Result<(), ErrorKind> {
        let mut sent = 0;
        while sent < length {
            let Some((file, at, most)) = content_source.file_at(sent, length) else {
                return self.send(socket, length, content_source);
            };
            match system::send_file(socket, file, at, most.min(SPAN))? {
                0 => return Err(ErrorKind::Plan("the local file was truncated")),
                part => sent += self.note(part),
            }
            if sent < length {
                self.continue_run()?;
            }
        }
        Ok(())
    }

    fn send(
        &mut self,
        to: &mut impl Write,
        length: u64,
        content_source: &mut UploadContent,
    ) -> Result<(), ErrorKind> {
        let mut sent = 0;
        while sent < length {
            let buffer = self.buffer.get_mut(..READ).unwrap_or_default();
            let part = upto(content_source.bytes_at(sent, buffer)?, length - sent);
            let part = upto(part, WRITE_MAX);
            to.write_all(part)?;
            let part = part.len();
            sent += self.note(part);
            if sent < length {
                self.continue_run()?;
            }
        }
        Ok(())
    }
}

/// Closes a connection that the peer has closed.
fn close(transport: &mut Transport) {
    // The peer may have closed it already.
    let _ = match transport {
        Transport::Plain(socket) => socket.shutdown(Shutdown::Both),
        Transport::Tls(stream) => stream.close(),
    };
}

/// Bytes discarded by one system call.
const BUFFER: usize = 1 << 20;
/// Bytes of a file sent by one system call; stopping is checked in between.
const SPAN: u64 = 16 << 20;
/// Bytes read at once if they are inspected: they stay in the CPU cache.
const READ: usize = 256 << 10;
/// Bytes written at once: sixteen TLS records.
const WRITE_MAX: u64 = 256 << 10;
/// Shorter files are decrypted: tickets would distort their record count.
const DRAINED_LENGTH_MIN: u64 = 64 << 10;
/// RFC 8446 §5.1.
const RECORD_PAYLOAD_MAX: u64 = 16_384;
/// Header and tag, without the additions of TLS 1.3 or of AES-GCM in TLS 1.2.
const RECORD_WRAPPING_MIN: u64 = 21;
/// Much longer than a server needs between two records.
const SILENCE: Duration = Duration::from_millis(20);
