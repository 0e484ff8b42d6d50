//! One client: connect, TLS, login, data connections, QUIT.

use std::sync::Arc;

use rustls::ClientConfig;
use wharf_proto::address::{parse_epsv_reply, parse_pasv_reply};
use wharf_proto::reply::{Code, Reply};

use crate::control::ControlConnection;
use crate::error::{Error, ErrorKind};
use crate::net::{Connector, Transport};
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
        let connector = Connector::new(self.target.address, number, self.target.timeout);
        let socket = connector.connect(None)?;
        socket.set_nodelay(true)?;
        let mut session = ClientSession {
            connector,
            control: None,
            tls: None,
            facts: TlsFacts::default(),
            has_extended_passive: true,
        };
        let is_implicit = |(tls, _): &&(TlsOptions, ClientConfig)| tls.mode == TlsMode::Implicit;
        let transport = match self.tls.as_ref().filter(is_implicit) {
            None => Transport::Plain(socket),
            Some((tls, config)) => session.secure(tls, config, socket)?,
        };
        let control = session.control.insert(ControlConnection::new(transport));
        match control.reply()? {
            reply if reply.code == Code::READY => Ok(session),
            reply => Err(rejected(&reply)),
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
                return Err(Error::new("PASS", rejected(&reply)));
            }
        } else if !reply.code.is_success() {
            return Err(Error::new(format!("USER {}", self.target.user), rejected(&reply)));
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
pub(crate) struct ClientSession {
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
    /// Sends a command and returns the reply, whatever it is.
    pub(crate) fn call(&mut self, line: &str) -> Result<Reply, Error> {
        let answered = self.control().and_then(|control| control.call(line));
        answered.map_err(|kind| Error::new(line, kind))
    }

    /// Sends a command, and expects this reply code.
    pub(crate) fn expect(&mut self, line: &str, code: Code) -> Result<Reply, Error> {
        let reply = self.call(line)?;
        if reply.code == code { Ok(reply) } else { Err(Error::new(line, rejected(&reply))) }
    }

    /// Sends a command, and expects a reply of 200 to 299.
    pub(crate) fn succeed(&mut self, line: &str) -> Result<Reply, Error> {
        let reply = self.call(line)?;
        if reply.code.is_success() { Ok(reply) } else { Err(Error::new(line, rejected(&reply))) }
    }

    /// Sends a command, and expects a reply of 200 to 399.
    pub(crate) fn continue_run(&mut self, line: &str) -> Result<(), Error> {
        let reply = self.call(line)?;
        let is_fine = (200..400).contains(&reply.code.number());
        if is_fine { Ok(()) } else { Err(Error::new(line, rejected(&reply))) }
    }

    /// Uses PASV without trying EPSV before.
    pub(crate) fn use_pasv(&mut self) {
        self.has_extended_passive = false;
    }

    /// The size of a file (RFC 3659 §4).
    pub(crate) fn size(&mut self, path: &str) -> Result<u64, Error> {
        let line = format!("SIZE {path}");
        let text = last_line(&self.expect(&line, Code::FILE_STATUS)?);
        let size = text.trim().parse();
        size.map_err(|_| Error::new(line, ErrorKind::InvalidReply(text)))
    }

    /// Opens a data connection for a command and sends the command. For `is_exact` see
    /// [`TlsStream::handshake`].
    pub(crate) fn open(&mut self, line: &str, is_exact: bool) -> Result<Transport, Error> {
        let socket = self.passive()?;
        let reply = self.call(line)?;
        if !reply.code.is_preliminary() {
            return Err(Error::new(line, rejected(&reply)));
        }
        let Some(SessionTls { config, tls }) = &self.tls else {
            return Ok(Transport::Plain(socket));
        };
        let stream = TlsStream::handshake(config, &tls.name, socket, is_exact)
            .map_err(|kind| Error::new(format!("{line}: the TLS handshake for data"), kind))?;
        *(if stream.is_resumed() { &mut self.facts.resumed } else { &mut self.facts.full }) += 1;
        Ok(Transport::Tls(Box::new(stream)))
    }

    /// Reads the final reply of a transfer.
    pub(crate) fn transferred(&mut self) -> Result<(), ErrorKind> {
        let reply = self.control()?.reply()?;
        if reply.code.is_success() { Ok(()) } else { Err(rejected(&reply)) }
    }

    /// Sends QUIT.
    pub(crate) fn quit(&mut self) -> Result<(), Error> {
        self.expect("QUIT", Code::GOODBYE).map(|_| ())
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

    fn control(&mut self) -> Result<&mut ControlConnection, ErrorKind> {
        self.control.as_mut().ok_or(ErrorKind::Closed)
    }

    /// Connects to the port of EPSV (RFC 2428 §3), or of PASV if the server does not support EPSV.
    /// Always to the address of the control connection.
    fn passive(&mut self) -> Result<std::net::TcpStream, Error> {
        let mut port = None;
        if self.has_extended_passive {
            let reply = self.call("EPSV")?;
            port = parse_epsv_reply(last_line(&reply).as_bytes());
            self.has_extended_passive = reply.code == Code::EXTENDED_PASSIVE;
            if self.has_extended_passive && port.is_none() {
                return Err(Error::new("EPSV", ErrorKind::InvalidReply(last_line(&reply))));
            }
        }
        if !self.has_extended_passive {
            let text = last_line(&self.expect("PASV", Code::PASSIVE)?);
            let address = parse_pasv_reply(text.as_bytes());
            let address =
                address.ok_or_else(|| Error::new("PASV", ErrorKind::InvalidReply(text)))?;
            port = Some(address.port());
        }
        let failed = |error: std::io::Error| Error::new("open a data connection", error.into());
        self.connector.connect(port).map_err(failed)
    }

    fn upgrade(&mut self, tls: &TlsOptions, config: &ClientConfig) -> Result<(), ErrorKind> {
        let Some(Transport::Plain(socket)) =
            self.control.take().and_then(ControlConnection::into_transport)
        else {
            return Err(ErrorKind::InvalidReply(
                "unexpected bytes before the TLS handshake".to_owned(),
            ));
        };
        let transport = self.secure(tls, config, socket)?;
        self.control = Some(ControlConnection::new(transport));
        Ok(())
    }

    fn secure(
        &mut self,
        tls: &TlsOptions,
        config: &ClientConfig,
        socket: std::net::TcpStream,
    ) -> Result<Transport, ErrorKind> {
        let config = tls::of_session(config);
        let stream = TlsStream::handshake(&config, &tls.name, socket, false)?;
        (self.facts.version, self.facts.cipher) = stream.agreed();
        self.tls = Some(SessionTls { config, tls: tls.clone() });
        Ok(Transport::Tls(Box::new(stream)))
    }
}

fn rejected(reply: &Reply) -> ErrorKind {
    ErrorKind::Rejected { code: reply.code.number(), text: last_line(reply) }
}

fn last_line(reply: &Reply) -> String {
    reply.lines.last().map(|line| String::from_utf8_lossy(line).into_owned()).unwrap_or_default()
}
