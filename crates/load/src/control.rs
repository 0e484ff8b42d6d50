//! A control connection: sends lines, receives replies.

use std::io::{Read, Write};
use std::net::TcpStream;

use wharf_proto::reply::Reply;

use crate::error::ErrorKind;
use crate::net::Transport;

/// A control connection.
#[derive(Debug)]
pub(crate) struct ControlConnection {
    transport: Transport,
    /// Bytes received and not parsed yet.
    inbox: Vec<u8>,
    /// The line being sent; the buffer is reused.
    outbox: Vec<u8>,
}

impl ControlConnection {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, inbox: Vec::new(), outbox: Vec::new() }
    }

    /// Returns the connection for the TLS handshake. `None` if unread bytes are buffered: before
    /// TLS they could come from an attacker on the path.
    pub(crate) fn into_transport(self) -> Option<Transport> {
        self.inbox.is_empty().then_some(self.transport)
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.transport.socket()
    }

    /// Returns the connection, whatever is buffered.
    pub(crate) fn into_any_transport(self) -> Transport {
        self.transport
    }

    pub(crate) fn call(&mut self, line: &str) -> Result<Reply, ErrorKind> {
        self.send(line)?;
        self.reply()
    }

    pub(crate) fn send(&mut self, line: &str) -> Result<(), ErrorKind> {
        if line.contains(['\r', '\n']) {
            return Err(ErrorKind::Plan("a command must be one line"));
        }
        self.outbox.clear();
        self.outbox.extend_from_slice(line.as_bytes());
        self.outbox.extend_from_slice(b"\r\n");
        Ok(self.transport.write_all(&self.outbox)?)
    }

    pub(crate) fn reply(&mut self) -> Result<Reply, ErrorKind> {
        loop {
            match Reply::parse(&self.inbox) {
                Ok(Some((reply, length))) => {
                    self.inbox.drain(..length);
                    return Ok(reply);
                }
                Ok(None) if self.inbox.len() < REPLY_BYTES_MAX => {}
                _ => return Err(ErrorKind::InvalidReply(beginning(&self.inbox))),
            }
            let mut part = [0; 2048];
            let length = self.transport.read(&mut part)?;
            if length == 0 {
                return Err(ErrorKind::Closed);
            }
            self.inbox.extend_from_slice(part.get(..length).unwrap_or_default());
        }
    }
}

/// The longest reply accepted.
const REPLY_BYTES_MAX: usize = 1 << 20;
const SHOWN_BYTES_MAX: usize = 80;

fn beginning(bytes: &[u8]) -> String {
    let part = bytes.get(..bytes.len().min(SHOWN_BYTES_MAX)).unwrap_or_default();
    String::from_utf8_lossy(part).trim_end().to_owned()
}
