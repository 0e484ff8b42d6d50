//! One data connection: bytes in, bytes out, and whether they are the right ones.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::clock::now;
use crate::content::{Feed, Probe};
use crate::error::{Error, ErrorKind};
use crate::listing::Counter;
use crate::net::Wire;
use crate::pattern::upto;
use crate::plan::Listing;
use crate::progress::Progress;
use crate::session::Session;
use crate::system;
use crate::tls::TlsStream;

/// What a thread needs for its transfers.
#[derive(Debug)]
pub(crate) struct Transfers<'a> {
    progress: &'a Progress,
    buffer: Vec<u8>,
    /// When the first byte came, of the transfer under way.
    first_byte: Option<Instant>,
}

/// A transfer that went well.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) bytes: u64,
    /// From asking for a data connection to its first byte.
    pub(crate) first_byte: Option<Duration>,
}

/// How a download is read.
#[derive(Debug)]
pub(crate) enum Reader<'a> {
    Drain,
    Decrypt,
    Compare(&'a mut Probe),
}

impl<'a> Transfers<'a> {
    pub(crate) fn new(progress: &'a Progress) -> Self {
        // Draining never writes here, so that this is no memory yet.
        Self { progress, buffer: vec![0; BUFFER], first_byte: None }
    }

    /// RETR. Small files are always decrypted: that is exact, and costs little.
    pub(crate) fn retrieve(
        &mut self,
        session: &mut Session,
        path: &str,
        length: Option<u64>,
        reader: Reader<'_>,
    ) -> Result<Moved, Error> {
        let line = format!("RETR {path}");
        let begun = self.begin();
        let drained = length
            .filter(|length| matches!(reader, Reader::Drain) && *length >= DRAINED_LENGTH_MIN);
        let mut wire = session.open(&line, drained.is_some())?;
        let timeout = session.timeout();
        let received = match (&mut wire, reader) {
            (Wire::Plain(socket), Reader::Drain | Reader::Decrypt) => self.drain(socket),
            (Wire::Tls(stream), Reader::Drain) if let Some(length) = drained => {
                self.drain_records(stream, length, timeout)
            }
            (wire, Reader::Compare(probe)) => self.compare(wire, probe),
            (Wire::Tls(stream), _) => self.decrypt(stream),
        };
        let bytes = received.map_err(|kind| Error::new(line.as_str(), kind))?;
        drop(wire);
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
        session: &mut Session,
        path: &str,
        length: u64,
        feed: &mut Feed,
    ) -> Result<Moved, Error> {
        let line = format!("STOR {path}");
        let begun = self.begin();
        let mut wire = session.open(&line, false)?;
        let sent = match &mut wire {
            Wire::Plain(socket) => self.send_plain(socket, length, feed),
            wire @ Wire::Tls(_) => self.send(wire, length, feed),
        };
        let ended = sent.and_then(|()| Ok(wire.finish()?));
        if matches!(ended, Err(ErrorKind::Stopped)) {
            return Err(Error::new(line, ErrorKind::Stopped));
        }
        // The server must see an end, or both would wait.
        drop(wire);
        // A server that refuses midway closes the connection and says why in its reply.
        let replied = session.transferred();
        let done = match (ended, replied) {
            (_, Err(kind @ ErrorKind::Refused { .. })) | (Err(kind), _) => Err(kind),
            (Ok(()), replied) => replied,
        };
        done.map_err(|kind| Error::new(line, kind))?;
        // When the first byte left says nothing of the server.
        Ok(Moved { first_byte: None, ..self.moved(length, begun) })
    }

    /// A listing; returns the number of its entries, too.
    pub(crate) fn list(
        &mut self,
        session: &mut Session,
        verb: Listing,
        path: &str,
    ) -> Result<(Moved, u64), Error> {
        let line = format!("{} {path}", verb.word());
        let line = line.trim_end();
        let begun = self.begin();
        let mut wire = session.open(line, false)?;
        let mut counter = Counter::new(verb);
        let listed = self.each_part(&mut wire, |part| {
            counter.take(part);
            Ok(())
        });
        let bytes = listed.and_then(|bytes| {
            close(&mut wire);
            drop(wire);
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

    fn moved(&self, bytes: u64, begun: Instant) -> Moved {
        Moved { bytes, first_byte: self.first_byte.map(|at| at.saturating_duration_since(begun)) }
    }

    /// Notes that bytes have moved.
    fn note(&mut self, length: usize) -> u64 {
        if self.first_byte.is_none() {
            self.first_byte = Some(now());
        }
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.progress.add_bytes(length);
        length
    }

    /// Whether there is a wish to stop, asked between two parts: a file of one part is finished.
    fn go_on(&self) -> Result<(), ErrorKind> {
        if self.progress.is_stopped() { Err(ErrorKind::Stopped) } else { Ok(()) }
    }

    /// Drops all bytes up to the end and counts them.
    fn drain(&mut self, socket: &TcpStream) -> Result<u64, ErrorKind> {
        self.drain_upto(socket, u64::MAX)
    }

    /// Drops bytes up to the end, or until there were `most` of them.
    fn drain_upto(&mut self, socket: &TcpStream, most: u64) -> Result<u64, ErrorKind> {
        let mut bytes = 0;
        while bytes < most {
            match system::drain(socket, &mut self.buffer)? {
                0 => break,
                length => bytes += self.note(length),
            }
            self.go_on()?;
        }
        Ok(bytes)
    }

    /// Drops records undecrypted. All of them hold more than `length` bytes if the payload is that
    /// long; a server may add a few for tickets.
    fn drain_records(
        &mut self,
        stream: &mut TlsStream,
        length: u64,
        timeout: Duration,
    ) -> Result<u64, ErrorKind> {
        let least = length + length.div_ceil(RECORD_PAYLOAD_MAX) * RECORD_WRAPPING_MIN;
        let mut bytes = self.drain_upto(stream.socket(), least)?;
        // Some servers do not close before the client has answered their close_notify, which is
        // encrypted. All of the payload is here, so their silence can only mean that.
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
        // The file is whole; a server that has hung up already needs no farewell.
        let _ = stream.close();
        Ok(bytes)
    }

    fn compare(&mut self, wire: &mut Wire, probe: &mut Probe) -> Result<u64, ErrorKind> {
        probe.rewind()?;
        let bytes = self.each_part(wire, |part| probe.compare(part))?;
        close(wire);
        Ok(bytes)
    }

    fn each_part(
        &mut self,
        wire: &mut impl Read,
        mut take: impl FnMut(&[u8]) -> Result<(), ErrorKind>,
    ) -> Result<u64, ErrorKind> {
        let mut bytes = 0;
        loop {
            let part = self.buffer.get_mut(..READ).unwrap_or_default();
            let length = wire.read(part)?;
            if length == 0 {
                return Ok(bytes);
            }
            take(part.get(..length).unwrap_or_default())?;
            bytes += self.note(length);
            self.go_on()?;
        }
    }

    fn send_plain(
        &mut self,
        socket: &mut TcpStream,
        length: u64,
        feed: &mut Feed,
    ) -> Result<(), ErrorKind> {
        let mut sent = 0;
        while sent < length {
            let Some((file, at, most)) = feed.file_at(sent, length) else {
                return self.send(socket, length, feed);
            };
            match system::send_file(socket, file, at, most.min(SPAN))? {
                0 => return Err(ErrorKind::Plan("the local file has become shorter")),
                part => sent += self.note(part),
            }
            if sent < length {
                self.go_on()?;
            }
        }
        Ok(())
    }

    fn send(&mut self, to: &mut impl Write, length: u64, feed: &mut Feed) -> Result<(), ErrorKind> {
        let mut sent = 0;
        while sent < length {
            let buffer = self.buffer.get_mut(..READ).unwrap_or_default();
            let part = upto(feed.bytes_at(sent, buffer)?, length - sent);
            let part = upto(part, WRITE_MAX);
            to.write_all(part)?;
            let part = part.len();
            sent += self.note(part);
            if sent < length {
                self.go_on()?;
            }
        }
        Ok(())
    }
}

/// Ends a connection whose other side has ended it.
fn close(wire: &mut Wire) {
    // The other side may be gone, which is what we want.
    let _ = match wire {
        Wire::Plain(socket) => socket.shutdown(Shutdown::Both),
        Wire::Tls(stream) => stream.close(),
    };
}

/// As much as one call to the system drops.
const BUFFER: usize = 1 << 20;
/// As much of a file as one call to the system sends; in between is looked who wants to stop.
const SPAN: u64 = 16 << 20;
/// As much as is read at once where bytes are looked at: it stays in the processor's cache.
const READ: usize = 256 << 10;
/// As much as is written at once: sixteen TLS records.
const WRITE_MAX: u64 = 256 << 10;
/// Shorter files are decrypted: their records weigh too little against tickets.
const DRAINED_LENGTH_MIN: u64 = 64 << 10;
/// RFC 8446 §5.1.
const RECORD_PAYLOAD_MAX: u64 = 16_384;
/// Header and tag, without what TLS 1.3 or AES-GCM in TLS 1.2 add.
const RECORD_WRAPPING_MIN: u64 = 21;
/// Much longer than a server on the way needs between two records.
const SILENCE: Duration = Duration::from_millis(20);
