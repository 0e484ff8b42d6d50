//! The first message of a client, with what rustls does not show of it: its versions.

use std::io;

use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::StartHandshake;

use super::fault::words;
use crate::net::Socket;

/// One read: most first messages come in one.
const READ_BYTES: usize = 4096;
/// So much of the first message is kept to be looked at.
const KEPT_BYTES: usize = 16 * 1024;

const HEADER_BYTES: usize = 5;
const RANDOM_BYTES: usize = 32;
const SUPPORTED_VERSIONS: u16 = 43;
const TLS_1_2: u16 = 0x0303;

/// Reads the first message. Says also whether the client offers TLS 1.2.
pub(super) async fn first_message(
    mut socket: Socket,
) -> io::Result<(StartHandshake<Socket>, bool)> {
    let mut acceptor = Acceptor::default();
    let mut kept = Vec::new();
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let got = socket.read(&mut bytes).await?;
        if got == 0 {
            return Err(plain(&io::ErrorKind::UnexpectedEof.into()));
        }
        let mut rest = bytes.get(..got).unwrap_or_default();
        let room = KEPT_BYTES.saturating_sub(kept.len());
        kept.extend(rest.iter().take(room));
        while !rest.is_empty() {
            acceptor.read_tls(&mut rest).map_err(|error| plain(&error))?;
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => return Ok(start(accepted, socket, &kept)),
                Err((error, mut alert)) => {
                    let mut said = Vec::new();
                    alert.write_all(&mut said)?;
                    // It may be gone; the reason stands in any case.
                    let _ = socket.write_all(&said).await;
                    let error = io::Error::new(io::ErrorKind::InvalidData, error);
                    return Err(plain(&error));
                }
            }
        }
    }
}

fn start(accepted: Accepted, socket: Socket, kept: &[u8]) -> (StartHandshake<Socket>, bool) {
    let has_tls_1_2 = offers_tls_1_2(kept).unwrap_or_default();
    (StartHandshake::from_parts(accepted, socket), has_tls_1_2)
}

fn plain(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), words(error))
}

/// Whether a `ClientHello` (RFC 8446 §4.1.2), in the records in which it came, offers TLS 1.2.
fn offers_tls_1_2(records: &[u8]) -> Option<bool> {
    let mut message = Vec::with_capacity(records.len());
    let mut rest = records;
    while let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let [_, _, _, high, low] = *header;
        let length = usize::from(u16::from_be_bytes([high, low])).min(behind.len());
        let (body, others) = behind.split_at_checked(length)?;
        message.extend_from_slice(body);
        rest = others;
    }
    let mut fields = Fields(&message);
    let _kind_and_length = fields.take(4)?;
    let newest = fields.number()?;
    let _random = fields.take(RANDOM_BYTES)?;
    let _session = fields.short_list()?;
    let _suites = fields.list()?;
    let _compressions = fields.short_list()?;
    // Without extensions it is a client of TLS 1.2 at most.
    let mut extensions = Fields(fields.list().unwrap_or_default());
    while let Some(kind) = extensions.number() {
        let content = extensions.list()?;
        if kind == SUPPORTED_VERSIONS {
            let mut versions = Fields(Fields(content).short_list()?);
            return Some(std::iter::from_fn(|| versions.number()).any(|one| one == TLS_1_2));
        }
    }
    Some(newest >= TLS_1_2)
}

/// Fields of a message of TLS, one behind the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*number))
    }

    /// What stands behind its length in one byte.
    fn short_list(&mut self) -> Option<&'a [u8]> {
        let length = *self.take(1)?.first()?;
        self.take(length.into())
    }

    /// What stands behind its length in two bytes.
    fn list(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `ClientHello` with these versions, or without any, in one record.
    fn hello(newest: u16, versions: Option<&[u16]>) -> Vec<u8> {
        let mut body = newest.to_be_bytes().to_vec();
        body.extend([7; RANDOM_BYTES]);
        body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
        if let Some(versions) = versions {
            let length = u8::try_from(2 * versions.len()).unwrap();
            let mut content = vec![length];
            content.extend(versions.iter().flat_map(|one| one.to_be_bytes()));
            // An unknown extension without content comes first.
            let mut extensions = vec![0xff, 0x01, 0, 0, 0, 43, 0, length + 1];
            extensions.extend(content);
            body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
            body.extend(extensions);
        }
        let length = u8::try_from(body.len()).unwrap();
        let mut record = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
        record.extend(body);
        record
    }

    #[test]
    fn the_versions_that_a_client_offers_are_read_from_its_first_message() {
        assert_eq!(offers_tls_1_2(&hello(0x0303, Some(&[0x0304, 0x0303]))), Some(true));
        assert_eq!(offers_tls_1_2(&hello(0x0303, Some(&[0x0304]))), Some(false));
        assert_eq!(offers_tls_1_2(&hello(0x0303, None)), Some(true));
        assert_eq!(offers_tls_1_2(&hello(0x0302, None)), Some(false));
        let whole = hello(0x0303, Some(&[0x0304, 0x0303]));
        for cut in 0..whole.len() {
            let _ = offers_tls_1_2(&whole[..cut]);
        }
    }
}
