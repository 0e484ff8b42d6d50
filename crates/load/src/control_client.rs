//! One client that examines a server step by step, and reports each result.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use wharf_proto::address::{parse_epsv_reply, parse_pasv_reply, pasv_numbers};

use crate::control::ControlConnection;
use crate::error::{Error, ErrorKind};
use crate::net::{Connector, Transport, accept_one, listen_beside};
use crate::target::TlsOptions;
use crate::tls::{self, TlsStream};

/// A control connection, driven line by line.
#[derive(Debug)]
pub struct ControlClient {
    address: SocketAddr,
    /// The local address.
    local: SocketAddr,
    timeout: Duration,
    /// Missing only during the TLS handshake, or after it has failed.
    control: Option<ControlConnection>,
    tls: Option<(Arc<ClientConfig>, TlsOptions)>,
}

/// A reply of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FtpReply {
    /// The code.
    pub code: u16,
    /// Its lines, without the code.
    pub lines: Vec<String>,
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
        let socket = Connector::new(address, 0, timeout).connect(None).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        let local = socket.local_addr().map_err(failed)?;
        let control = Some(ControlConnection::new(Transport::Plain(socket)));
        Ok(Self { address, local, timeout, control, tls: None })
    }

    /// Reads the greeting.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidReply`] if the server does not speak FTP, for example.
    pub fn greeting(&mut self) -> Result<FtpReply, Error> {
        self.receive("the greeting")
    }

    /// Sends a command and returns the reply, whatever it is.
    ///
    /// # Errors
    /// A network error. It never contains a password.
    pub fn command(&mut self, line: &str) -> Result<FtpReply, Error> {
        let step = line.split(' ').next().unwrap_or(line).to_owned();
        let result = self.control().and_then(|control| control.call(line));
        result.map(|reply| FtpReply::of(&reply)).map_err(|kind| Error::new(step, kind))
    }

    /// Performs the TLS handshake on the control connection: right after connecting, or after `AUTH
    /// TLS`.
    ///
    /// # Errors
    /// The handshake failed. The connection cannot be used any more.
    pub fn secure(&mut self, tls: &TlsOptions) -> Result<TlsInfo, Error> {
        let step = |kind| Error::new("the TLS handshake", kind);
        let config = tls::of_session(&tls::config(&tls.trust).map_err(step)?);
        let Some(Transport::Plain(socket)) =
            self.control.take().and_then(ControlConnection::into_transport)
        else {
            let what = "unexpected bytes before the TLS handshake".to_owned();
            return Err(step(ErrorKind::InvalidReply(what)));
        };
        let stream = TlsStream::handshake(&config, &tls.name, socket, false).map_err(step)?;
        let (version, cipher) = stream.agreed();
        let chain = stream.certificates();
        self.control = Some(ControlConnection::new(Transport::Tls(Box::new(stream))));
        self.tls = Some((config, tls.clone()));
        Ok(TlsInfo { version, cipher, chain })
    }

    /// Requests a passive port: by EPSV, or by PASV.
    ///
    /// # Errors
    /// The server rejects, or its reply contains no valid address.
    pub fn passive(&mut self, is_extended: bool) -> Result<SocketAddr, Error> {
        let line = if is_extended { "EPSV" } else { "PASV" };
        let reply = self.command(line)?;
        let text = reply.text();
        let bytes = text.as_bytes();
        let wanted = if is_extended { 229 } else { 227 };
        if reply.code != wanted {
            return Err(Error::new(line, reply.refusal()));
        }
        let address = if is_extended {
            parse_epsv_reply(bytes).map(|port| SocketAddr::new(self.address.ip(), port))
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
        let socket = Connector::new(at, 0, self.timeout).connect(None).map_err(failed)?;
        let reply = self.command("LIST")?;
        if !(100..200).contains(&reply.code) {
            return Err(Error::new("LIST", reply.refusal()));
        }
        self.take_listing(socket)
    }

    /// Lists the current directory over a data connection from the server (active mode).
    ///
    /// # Errors
    /// The step that failed.
    pub fn list_active(&mut self) -> Result<ListingResult, Error> {
        let failed = |error: std::io::Error| Error::new("wait for the server", error.into());
        let listener = listen_beside(self.local).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let line = match self.local.ip().to_canonical() {
            IpAddr::V4(ip) => format!("PORT {}", pasv_numbers(ip, port)),
            IpAddr::V6(ip) => format!("EPRT |2|{ip}|{port}|"),
        };
        for (line, is_fine) in [(line.as_str(), 200..300), ("LIST", 100..200)] {
            let reply = self.command(line)?;
            if !is_fine.contains(&reply.code) {
                return Err(Error::new(line, reply.refusal()));
            }
        }
        let socket = accept_one(&listener, self.address.ip(), self.timeout).map_err(failed)?;
        self.take_listing(socket)
    }

    fn take_listing(&mut self, socket: std::net::TcpStream) -> Result<ListingResult, Error> {
        let mut is_resumed = None;
        let mut transport = match &self.tls {
            None => Transport::Plain(socket),
            Some((config, tls)) => {
                let step = |kind| Error::new("the TLS handshake for data", kind);
                let stream =
                    TlsStream::handshake(config, &tls.name, socket, false).map_err(step)?;
                is_resumed = Some(stream.is_resumed());
                Transport::Tls(Box::new(stream))
            }
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
        if !(200..300).contains(&done.code) && bytes < LISTING_BYTES_MAX {
            return Err(Error::new("LIST", done.refusal()));
        }
        Ok(ListingResult { bytes, is_resumed })
    }

    /// The local address of the control connection.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    fn receive(&mut self, step: &str) -> Result<FtpReply, Error> {
        let received = self.control().and_then(ControlConnection::reply);
        received.map(|reply| FtpReply::of(&reply)).map_err(|kind| Error::new(step, kind))
    }

    fn control(&mut self) -> Result<&mut ControlConnection, ErrorKind> {
        self.control.as_mut().ok_or(ErrorKind::Closed)
    }
}

/// Longer listings are not read to their end.
const LISTING_BYTES_MAX: u64 = 16 << 20;

impl FtpReply {
    fn of(reply: &wharf_proto::reply::Reply) -> Self {
        let lines = reply.lines.iter().map(|line| String::from_utf8_lossy(line).into_owned());
        Self { code: reply.code.number(), lines: lines.collect() }
    }

    /// Its last line.
    pub fn text(&self) -> String {
        self.lines.last().cloned().unwrap_or_default()
    }

    /// As an error.
    pub fn refusal(&self) -> ErrorKind {
        ErrorKind::Rejected { code: self.code, text: self.text() }
    }
}
