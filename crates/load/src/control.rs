//! A control connection: lines out, replies in.

use std::io::{Read, Write};

use wharf_proto::reply::Reply;

use crate::error::ErrorKind;
use crate::net::Wire;

/// A control connection.
#[derive(Debug)]
pub(crate) struct Control {
    wire: Wire,
    /// What came and is not read yet.
    inbox: Vec<u8>,
    /// The line on its way, kept for its memory.
    outbox: Vec<u8>,
}

impl Control {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, inbox: Vec::new(), outbox: Vec::new() }
    }

    /// The connection itself, to change it for TLS. `None` if more has come than was asked for: in
    /// front of TLS that would be somebody in the middle.
    pub(crate) fn into_wire(self) -> Option<Wire> {
        self.inbox.is_empty().then_some(self.wire)
    }

    pub(crate) fn call(&mut self, line: &str) -> Result<Reply, ErrorKind> {
        self.send(line)?;
        self.reply()
    }

    pub(crate) fn send(&mut self, line: &str) -> Result<(), ErrorKind> {
        if line.contains(['\r', '\n']) {
            return Err(ErrorKind::Plan("a command is one line"));
        }
        self.outbox.clear();
        self.outbox.extend_from_slice(line.as_bytes());
        self.outbox.extend_from_slice(b"\r\n");
        Ok(self.wire.write_all(&self.outbox)?)
    }

    pub(crate) fn reply(&mut self) -> Result<Reply, ErrorKind> {
        loop {
            match Reply::parse(&self.inbox) {
                Ok(Some((reply, length))) => {
                    self.inbox.drain(..length);
                    return Ok(reply);
                }
                Ok(None) if self.inbox.len() < REPLY_BYTES_MAX => {}
                _ => return Err(ErrorKind::Garbled(beginning(&self.inbox))),
            }
            let mut part = [0; 2048];
            let length = self.wire.read(&mut part)?;
            if length == 0 {
                return Err(ErrorKind::Closed);
            }
            self.inbox.extend_from_slice(part.get(..length).unwrap_or_default());
        }
    }
}

/// No server has that much to say at once.
const REPLY_BYTES_MAX: usize = 1 << 20;
const SHOWN_BYTES_MAX: usize = 80;

fn beginning(bytes: &[u8]) -> String {
    let part = bytes.get(..bytes.len().min(SHOWN_BYTES_MAX)).unwrap_or_default();
    String::from_utf8_lossy(part).trim_end().to_owned()
}
