//! Reads the `ClientHello`, and explains one that rustls rejects.

use std::io;

use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::StartHandshake;

use super::fault::{ClientOffer, describe};
use super::hello_info::{ClientHelloInfo, shown};
use crate::net::Socket;
use crate::settings::TlsVersion;

/// One read: most `ClientHello`s fit.
const READ_BYTES: usize = 4096;
/// Bytes of the `ClientHello` that are stored for parsing.
const RECORDED_BYTES_MAX: usize = 16 * 1024;

/// Reads and parses the `ClientHello`. If rustls rejects it, the error is explained with
/// `version_min`.
pub(super) async fn read_client_hello(
    mut socket: Socket,
    version_min: TlsVersion,
) -> io::Result<(StartHandshake<Socket>, ClientHelloInfo)> {
    let mut acceptor = Acceptor::default();
    let mut recorded = Vec::new();
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let got = socket.read(&mut bytes).await?;
        if got == 0 {
            return Err(plain(&io::ErrorKind::UnexpectedEof.into()));
        }
        let mut rest = bytes.get(..got).unwrap_or_default();
        let free_bytes = RECORDED_BYTES_MAX.saturating_sub(recorded.len());
        recorded.extend(rest.iter().take(free_bytes));
        while !rest.is_empty() {
            acceptor.read_tls(&mut rest).map_err(|error| plain(&error))?;
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => return Ok(start(accepted, socket, &recorded)),
                Err((error, mut alert)) => {
                    let mut alert_bytes = Vec::new();
                    alert.write_all(&mut alert_bytes)?;
                    // The client may have disconnected; the error is returned in any case.
                    let _ = socket.write_all(&alert_bytes).await;
                    let error = io::Error::new(io::ErrorKind::InvalidData, error);
                    let offer = ClientOffer::shown(&shown(&recorded).unwrap_or_default());
                    return Err(offer.explained(&error, version_min));
                }
            }
        }
    }
}

fn start(
    accepted: Accepted,
    socket: Socket,
    recorded: &[u8],
) -> (StartHandshake<Socket>, ClientHelloInfo) {
    let shown = shown(recorded).unwrap_or_default();
    (StartHandshake::from_parts(accepted, socket), shown)
}

fn plain(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), describe(error))
}
