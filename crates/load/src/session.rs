//! One client: connect, TLS, login, data connections, QUIT.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use wharf_proto::address::{parse_epsv_reply, parse_pasv_reply, pasv_numbers};
use wharf_proto::reply::{Code, Reply};

use crate::control::ControlConnection;
use crate::error::{self, Error, ErrorKind};
use crate::net::{Connector, Transport, accept_one, listen_beside};
use crate::outcome::TlsFacts;
use crate::target::{TargetServer, TlsMode, TlsOptions};
use crate::tls::{self, TlsStream};

/// What all sessions with one server share.
#[derive(Debug)]
pub(crate) struct ClientContext {
    target: TargetServer,
    tls: Option<(TlsOptions, ClientConfig)>,
}

impl ClientContext {
    pub(crate) fn new(target: &TargetServer) -> Result<Self, Error> {
        let tls = match &target.tls {
            None => None,
            Some(tls) => {
                let config = tls::config(&tls.trust);
                Some((tls.clone(), config.map_err(|kind| Error::new("prepare TLS", kind))?))
            }
        };
        Ok(Self { target: target.clone(), tls })
    }

    /// Connects the session with this number, and reads the greeting.
    pub(crate) fn connect(&self, number: usize) -> Result<ClientSession, Error> {
        let step = || format!("cannot connect to {}", self.target.address);
        self.greeted(number).map_err(|kind| Error::new(step(), kind))
    }

    fn greeted(&self, number: usize) -> Result<ClientSession, ErrorKind> {
        let mut session = ClientSession::open(Connector::of_session(&self.target, number))?;
        if let Some((tls, config)) = &self.tls
            && tls.mode == TlsMode::Implicit
        {
            session.upgrade(tls, config)?;
        }
        match session.control()?.reply()? {
            reply if reply.code == Code::READY => Ok(session),
            reply => Err(ErrorKind::of(&reply)),
        }
    }

    /// Connects, with TLS if the target has it.
    pub(crate) fn connect_secured(&self, number: usize) -> Result<ClientSession, Error> {
        let mut session = self.connect(number)?;
        if let Some((tls, config)) = &self.tls
            && tls.mode == TlsMode::Explicit
        {
            session.expect("AUTH TLS", Code::SECURITY_DONE)?;
            let upgraded = session.upgrade(tls, config);
            upgraded.map_err(|kind| Error::new("the TLS handshake after AUTH TLS", kind))?;
        }
        Ok(session)
    }

    /// Connects, and logs in.
    pub(crate) fn log_in(&self, number: usize) -> Result<ClientSession, Error> {
        let mut session = self.connect_secured(number)?;
        let reply = session.call(&format!("USER {}", self.target.user))?;
        if reply.code.number() == NEEDS_PASSWORD {
            let line = format!("PASS {}", self.target.password);
            let answered = session.control().and_then(|control| control.call(&line));
            let reply = answered.map_err(|kind| Error::new("PASS", kind))?;
            if !reply.code.is_success() {
                return Err(Error::rejected("PASS", &reply));
            }
        } else if !reply.code.is_success() {
            return Err(Error::new(format!("USER {}", self.target.user), ErrorKind::of(&reply)));
        }
        Ok(session)
    }

    /// Connects, logs in, and prepares for binary transfers.
    pub(crate) fn ready(&self, number: usize) -> Result<ClientSession, Error> {
        let mut session = self.log_in(number)?;
        if self.tls.is_some() {
            session.expect("PBSZ 0", Code::OK)?;
            session.expect("PROT P", Code::OK)?;
        }
        session.expect("TYPE I", Code::OK)?;
        Ok(session)
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }
}

const NEEDS_PASSWORD: u16 = 331;

/// One connected client.
#[derive(Debug)]
pub struct ClientSession {
    connector: Connector,
    /// Missing only during the TLS handshake.
    control: Option<ControlConnection>,
    tls: Option<SessionTls>,
    facts: TlsFacts,
    has_extended_passive: bool,
}

#[derive(Debug)]
struct SessionTls {
    config: Arc<ClientConfig>,
    tls: TlsOptions,
}

impl ClientSession {
    /// Connects, with TLS if the target has it, and reads the greeting.
    ///
    /// # Errors
    /// At which step that failed, and why.
    pub fn connect(target: &TargetServer) -> Result<Self, Error> {
        ClientContext::new(target)?.connect_secured(0)
    }

    /// Connects, logs in, and prepares for binary transfers.
    ///
    /// # Errors
    /// At which step that failed, and why.
    pub fn log_in(target: &TargetServer) -> Result<Self, Error> {
        ClientContext::new(target)?.ready(0)
    }

    /// Connects, without reading.
    pub(crate) fn open(connector: Connector) -> io::Result<Self> {
        let socket = connector.connect(None)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            connector,
            control: Some(ControlConnection::new(Transport::Plain(socket))),
            tls: None,
            facts: TlsFacts::default(),
            has_extended_passive: true,
        })
    }

    /// Sends a command and returns the reply, whatever it is.
    ///
    /// # Errors
    /// Why there is no reply.
    pub fn call(&mut self, line: &str) -> Result<Reply, Error> {
        let answered = self.control().and_then(|control| control.call(line));
        answered.map_err(|kind| Error::new(line, kind))
    }

    /// Sends a line, and does not wait for the reply.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn send(&mut self, line: &str) -> Result<(), Error> {
        let sent = self.control().and_then(|control| control.send(line));
        sent.map_err(|kind| Error::new(line, kind))
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// Why there is no reply.
    pub fn reply(&mut self) -> Result<Reply, Error> {
        let received = self.control().and_then(ControlConnection::reply);
        received.map_err(|kind| Error::new("a reply", kind))
    }

    /// Sends a command, and expects this reply code.
    ///
    /// # Errors
    /// The reply of the server, or why there is none.
    pub fn expect(&mut self, line: &str, code: Code) -> Result<Reply, Error> {
        let reply = self.call(line)?;
        if reply.code == code { Ok(reply) } else { Err(Error::rejected(line, &reply)) }
    }

    /// Sends a command, and expects a reply of 200 to 299.
    ///
    /// # Errors
    /// The reply of the server, or why there is none.
    pub fn succeed(&mut self, line: &str) -> Result<Reply, Error> {
        let reply = self.call(line)?;
        if reply.code.is_success() { Ok(reply) } else { Err(Error::rejected(line, &reply)) }
    }

    /// Sends a command, and expects a reply of 200 to 399.
    pub(crate) fn continue_run(&mut self, line: &str) -> Result<(), Error> {
        let reply = self.call(line)?;
        let is_fine = (200..400).contains(&reply.code.number());
        if is_fine { Ok(()) } else { Err(Error::rejected(line, &reply)) }
    }

    /// Uses PASV without trying EPSV before.
    pub(crate) fn use_pasv(&mut self) {
        self.has_extended_passive = false;
    }

    /// The size of a file (SIZE, RFC 3659 §4).
    ///
    /// # Errors
    /// Such as that of a file that is not there.
    pub fn size(&mut self, path: &str) -> Result<u64, Error> {
        let line = format!("SIZE {path}");
        let text = error::last_line(&self.expect(&line, Code::FILE_STATUS)?);
        let size = text.trim().parse();
        size.map_err(|_| Error::new(line, ErrorKind::InvalidReply(text)))
    }

    /// The size of a file; `None` if it does not exist.
    ///
    /// # Errors
    /// Another reply, or why there is none.
    pub fn existing_size(&mut self, path: &str) -> Result<Option<usize>, Error> {
        match self.size(path) {
            Err(error) if error.code() == Some(Code::FILE_UNAVAILABLE) => Ok(None),
            size => Ok(Some(usize::try_from(size?).unwrap_or(usize::MAX))),
        }
    }

    /// Opens a data connection for a command, and sends the command.
    ///
    /// # Errors
    /// The server rejects, or cannot be reached.
    pub fn data(&mut self, line: &str) -> Result<Transport, Error> {
        self.data_exact(line, false)
    }

    /// Like `data`. For `is_exact` see [`TlsStream::handshake`].
    pub(crate) fn data_exact(&mut self, line: &str, is_exact: bool) -> Result<Transport, Error> {
        let socket = self.passive()?;
        self.begin(line)?;
        self.secured(socket, is_exact)
    }

    /// Opens a data connection from the server (active mode) for a command, and sends the command.
    ///
    /// # Errors
    /// The server rejects, or does not connect.
    pub fn data_active(&mut self, line: &str) -> Result<Transport, Error> {
        let failed = |error: io::Error| Error::new("wait for the server", error.into());
        let local = self.local().map_err(failed)?;
        let listener = listen_beside(local).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        self.succeed(&match local.ip().to_canonical() {
            IpAddr::V4(ip) => format!("PORT {}", pasv_numbers(ip, port)),
            IpAddr::V6(ip) => format!("EPRT |2|{ip}|{port}|"),
        })?;
        self.begin(line)?;
        let socket = accept_one(&listener, &self.connector).map_err(failed)?;
        self.secured(socket, false)
    }

    /// Sends a command for a data connection, and expects a reply of 100 to 199.
    pub(crate) fn begin(&mut self, line: &str) -> Result<(), Error> {
        let reply = self.call(line)?;
        if reply.code.is_preliminary() { Ok(()) } else { Err(Error::rejected(line, &reply)) }
    }

    /// A new data connection, with TLS if the control connection has it.
    pub(crate) fn secured(
        &mut self,
        socket: TcpStream,
        is_exact: bool,
    ) -> Result<Transport, Error> {
        let Some(SessionTls { config, tls }) = &self.tls else {
            return Ok(Transport::Plain(socket));
        };
        let stream = TlsStream::handshake(config, &tls.name, socket, is_exact)
            .map_err(|kind| Error::new("the TLS handshake for data", kind))?;
        *(if stream.is_resumed() { &mut self.facts.resumed } else { &mut self.facts.full }) += 1;
        Ok(Transport::Tls(Box::new(stream)))
    }

    /// Uploads `bytes` with a command, and expects success.
    ///
    /// # Errors
    /// The reply of the server, or why there is none.
    pub fn store(&mut self, line: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut data = self.data(line)?;
        let pushed = data.write_all(bytes).and_then(|()| data.finish());
        drop(data);
        // A server that rejects closes the data connection, and gives the reason in its reply.
        self.transferred().map_err(|kind| Error::new(line, kind))?;
        pushed.map_err(|error| Error::new(line, error.into()))
    }

    /// Downloads with a command, and expects success.
    ///
    /// # Errors
    /// The reply of the server, or why there is none; with TLS also an end without `close_notify`.
    pub fn download(&mut self, line: &str) -> Result<Vec<u8>, Error> {
        let mut data = self.data(line)?;
        let read = data.read_whole();
        // The server has closed it already.
        let _ = data.finish();
        drop(data);
        self.transferred().map_err(|kind| Error::new(line, kind))?;
        read.map_err(|kind| Error::new(line, kind))
    }

    /// Reads the final reply of a transfer.
    ///
    /// # Errors
    /// The reply of the server, or why there is none.
    pub fn transferred(&mut self) -> Result<(), ErrorKind> {
        let reply = self.control()?.reply()?;
        if reply.code.is_success() { Ok(()) } else { Err(ErrorKind::of(&reply)) }
    }

    /// Sends QUIT.
    ///
    /// # Errors
    /// The reply of the server, or why there is none.
    pub fn quit(&mut self) -> Result<(), Error> {
        self.expect("QUIT", Code::GOODBYE).map(|_| ())
    }

    /// Returns the control connection, to end it in a special way. `None` if its TLS has failed.
    pub fn into_control(self) -> Option<Transport> {
        self.control.map(ControlConnection::into_any_transport)
    }

    /// Ends the control connection by RST.
    pub fn reset(self) {
        if let Some(control) = self.into_control() {
            control.reset();
        }
    }

    /// Ends the control connection without `close_notify`, as when its process dies.
    pub fn drop_off(self) {
        if let Some(control) = self.into_control() {
            control.drop_off();
        }
    }

    /// TLS version, cipher, and the number of resumed data connections so far.
    pub(crate) fn facts(&self) -> &TlsFacts {
        &self.facts
    }

    /// Resets the counts of data connections.
    pub(crate) fn recount(&mut self) {
        (self.facts.resumed, self.facts.full) = (0, 0);
    }

    /// The longest wait for the server.
    pub(crate) fn timeout(&self) -> std::time::Duration {
        self.connector.timeout()
    }

    /// The local address.
    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        let control = self.control.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        control.socket().local_addr()
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(crate) fn control(&mut self) -> Result<&mut ControlConnection, ErrorKind> {
        self.control.as_mut().ok_or(ErrorKind::Closed)
    }

    /// Connects to the port of EPSV (RFC 2428 §3), or of PASV if the server does not support EPSV:
    /// a temporary failure (4xx) is not that. Always to the address of the control connection.
    fn passive(&mut self) -> Result<TcpStream, Error> {
        let mut port = None;
        if self.has_extended_passive {
            let reply = self.call("EPSV")?;
            if reply.code.number() < 500 && reply.code != Code::EXTENDED_PASSIVE {
                return Err(Error::rejected("EPSV", &reply));
            }
            port = parse_epsv_reply(error::last_line(&reply).as_bytes());
            self.has_extended_passive = reply.code == Code::EXTENDED_PASSIVE;
            if self.has_extended_passive && port.is_none() {
                return Err(Error::new("EPSV", ErrorKind::InvalidReply(error::last_line(&reply))));
            }
        }
        if !self.has_extended_passive {
            let text = error::last_line(&self.expect("PASV", Code::PASSIVE)?);
            let address = parse_pasv_reply(text.as_bytes());
            let address =
                address.ok_or_else(|| Error::new("PASV", ErrorKind::InvalidReply(text)))?;
            port = Some(address.port());
        }
        let failed = |error: io::Error| Error::new("open a data connection", error.into());
        self.connector.connect(port).map_err(failed)
    }

    /// Performs the TLS handshake on the control connection; returns the server's certificates.
    pub(crate) fn upgrade(
        &mut self,
        tls: &TlsOptions,
        config: &ClientConfig,
    ) -> Result<Vec<CertificateDer<'static>>, ErrorKind> {
        let Some(Transport::Plain(socket)) =
            self.control.take().and_then(ControlConnection::into_transport)
        else {
            return Err(ErrorKind::InvalidReply(
                "unexpected bytes before the TLS handshake".to_owned(),
            ));
        };
        let config = tls::of_session(config);
        let stream = TlsStream::handshake(&config, &tls.name, socket, false)?;
        (self.facts.version, self.facts.cipher) = stream.agreed();
        self.tls = Some(SessionTls { config, tls: tls.clone() });
        let certificates = stream.certificates();
        self.control = Some(ControlConnection::new(Transport::Tls(Box::new(stream))));
        Ok(certificates)
    }
}
