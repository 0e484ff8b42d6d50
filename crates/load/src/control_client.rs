//! One client that examines a server step by step, and reports each result.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use wharf_proto::address::{parse_epsv_reply, parse_pasv_reply};
use wharf_proto::reply::{Code, Reply};

use crate::error::{Error, ErrorKind, last_line};
use crate::net::{Connector, Transport};
use crate::outcome::TlsFacts;
use crate::session::ClientSession;
use crate::target::TlsOptions;
use crate::tls;

/// A control connection, driven line by line.
#[derive(Debug)]
pub struct ControlClient {
    session: ClientSession,
}

/// The negotiated TLS parameters.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    /// As in `TLSv1.3`.
    pub version: String,
    /// As in `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The certificates sent by the server, its own first.
    pub chain: Vec<CertificateDer<'static>>,
}

/// A listing received over a data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListingResult {
    /// Bytes received.
    pub bytes: u64,
    /// Whether the TLS session of the control connection was resumed; `None` without TLS.
    pub is_resumed: Option<bool>,
}

impl ControlClient {
    /// Connects, without reading. Each step takes at most `timeout`.
    ///
    /// # Errors
    /// A network error.
    pub fn open(address: SocketAddr, timeout: Duration) -> Result<Self, Error> {
        let failed = |error: std::io::Error| {
            Error::new(format!("cannot connect to {address}"), error.into())
        };
        let session = ClientSession::open(Connector::new(address, timeout)).map_err(failed)?;
        Ok(Self { session })
    }

    /// Reads the greeting.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidReply`] if the server does not speak FTP, for example.
    pub fn greeting(&mut self) -> Result<Reply, Error> {
        self.receive("the greeting")
    }

    /// Sends a command and returns the reply, whatever it is.
    ///
    /// # Errors
    /// A network error. It never contains a password.
    pub fn command(&mut self, line: &str) -> Result<Reply, Error> {
        self.session.call(line).map_err(|error| {
            let step = line.split(' ').next().unwrap_or(line);
            Error::new(step, error.kind)
        })
    }

    /// Performs the TLS handshake on the control connection: right after connecting, or after `AUTH
    /// TLS`.
    ///
    /// # Errors
    /// The handshake failed. The connection cannot be used any more.
    pub fn secure(&mut self, tls: &TlsOptions) -> Result<TlsInfo, Error> {
        let secured = tls::config(&tls.trust).and_then(|config| self.session.upgrade(tls, &config));
        let chain = secured.map_err(|kind| Error::new("the TLS handshake", kind))?;
        let TlsFacts { version, cipher, .. } = self.session.facts().clone();
        Ok(TlsInfo { version, cipher, chain })
    }

    /// Requests a passive port: by EPSV, or by PASV.
    ///
    /// # Errors
    /// The server rejects, or its reply contains no valid address.
    pub fn passive(&mut self, is_extended: bool) -> Result<SocketAddr, Error> {
        let line = if is_extended { "EPSV" } else { "PASV" };
        let reply = self.command(line)?;
        let text = last_line(&reply);
        let bytes = text.as_bytes();
        if reply.code != if is_extended { Code::EXTENDED_PASSIVE } else { Code::PASSIVE } {
            return Err(Error::rejected(line, &reply));
        }
        let address = if is_extended {
            parse_epsv_reply(bytes)
                .map(|port| SocketAddr::new(self.session.connector().address().ip(), port))
        } else {
            parse_pasv_reply(bytes).map(SocketAddr::V4)
        };
        address.ok_or_else(|| Error::new(line, ErrorKind::InvalidReply(text)))
    }

    /// Lists the current directory over a data connection to this address.
    ///
    /// # Errors
    /// The step that failed.
    pub fn list_at(&mut self, at: SocketAddr) -> Result<ListingResult, Error> {
        let failed = |error: std::io::Error| {
            Error::new(format!("open a data connection to {at}"), error.into())
        };
        let socket = Connector::new(at, self.session.timeout()).connect(None).map_err(failed)?;
        self.session.begin("LIST")?;
        let transport = self.session.secured(socket, false)?;
        self.take_listing(transport)
    }

    /// Lists the current directory over a data connection from the server (active mode).
    ///
    /// # Errors
    /// The step that failed.
    pub fn list_active(&mut self) -> Result<ListingResult, Error> {
        let transport = self.session.data_active("LIST")?;
        self.take_listing(transport)
    }

    fn take_listing(&mut self, mut transport: Transport) -> Result<ListingResult, Error> {
        let is_resumed = match &transport {
            Transport::Plain(_) => None,
            Transport::Tls(stream) => Some(stream.is_resumed()),
        };
        let mut bytes = 0;
        let mut piece = [0; 4096];
        while bytes < LISTING_BYTES_MAX {
            let failed = |error: std::io::Error| Error::new("read the listing", error.into());
            let count = transport.read(&mut piece).map_err(failed)?;
            if count == 0 {
                break;
            }
            bytes += u64::try_from(count).unwrap_or(u64::MAX);
        }
        drop(transport);
        let done = self.receive("the end of LIST")?;
        if !done.code.is_success() && bytes < LISTING_BYTES_MAX {
            return Err(Error::rejected("LIST", &done));
        }
        Ok(ListingResult { bytes, is_resumed })
    }

    fn receive(&mut self, step: &str) -> Result<Reply, Error> {
        self.session.reply().map_err(|error| Error::new(step, error.kind))
    }
}

/// Longer listings are not read to their end.
const LISTING_BYTES_MAX: u64 = 16 << 20;
