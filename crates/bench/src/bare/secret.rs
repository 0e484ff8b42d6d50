//! TLS in a loop: 256 KiB of a file at a time through rustls.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Sixteen records.
const BLOCK_BYTES: usize = 256 << 10;

/// The key and the certificate from files.
pub(super) fn config(certificate: &str, key: &str) -> Result<Arc<ServerConfig>, String> {
    let message = |error: &dyn std::fmt::Display| format!("{certificate}, {key}: {error}");
    let chain = CertificateDer::pem_file_iter(certificate).map_err(|error| message(&error))?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(|error| message(&error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| message(&error))?;
    let builder = ServerConfig::builder().with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).map_err(|error| message(&error))?;
    config.ticketer =
        rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| message(&error))?;
    Ok(Arc::new(config))
}

/// Sends a whole file.
pub(super) fn send(path: &Path, stream: TcpStream, config: &Arc<ServerConfig>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut secret = wrapped(stream, config)?;
    // rustls buffers at most one block.
    secret.conn.set_buffer_limit(Some(2 * BLOCK_BYTES));
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let got = file.read(&mut block)?;
        if got == 0 {
            secret.conn.send_close_notify();
            return secret.flush();
        }
        secret.write_all(block.get(..got).unwrap_or_default())?;
    }
}

/// Receives all bytes into a new file.
pub(super) fn receive(
    stream: TcpStream,
    path: &Path,
    config: &Arc<ServerConfig>,
) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut secret = wrapped(stream, config)?;
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match secret.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(got) => file.write_all(block.get(..got).unwrap_or_default())?,
            // The client closed without close_notify, which is not checked here.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn wrapped(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
    let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    Ok(StreamOwned::new(session, stream))
}
