//! An FTP client whose data connections end as the proof needs it.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use wharf_proto::address::parse_epsv_reply;
use wharf_proto::reply::{Code, Reply};

use crate::prove::stream::{ProofStream, Security};

/// A connected client.
#[derive(Debug)]
pub(crate) struct ProofClient {
    /// Missing only during the TLS handshake, and after it has failed.
    control: Option<ProofStream>,
    inbox: Vec<u8>,
    /// With TLS: the configuration for data connections, too.
    tls: Option<Arc<ClientConfig>>,
}

/// Why an operation of a client failed.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// The connection was reset, closed or rejected.
    Lost(io::Error),
    /// An unexpected reply.
    UnexpectedReply { line: String, reply: Reply },
    /// An invalid reply, or one that is wrong in this place.
    InvalidReply(String),
}

/// The result of an operation of a client.
pub(crate) type ClientResult<T> = Result<T, ClientError>;

/// The longest wait for anything. A server that takes longer, even on a busy machine, hangs.
const TIMEOUT: Duration = Duration::from_mins(2);
/// The longest reply.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// The piece of an upload after which the proof is notified of the bytes sent.
const PIECE_BYTES: usize = 16 << 10;

impl ProofClient {
    /// Connects, and reads the greeting.
    pub(crate) fn connect(port: u16) -> ClientResult<Self> {
        Self::connect_from(Ipv4Addr::LOCALHOST, port)
    }

    /// Connects from another address of the loopback network, so that the server sees another
    /// client.
    pub(crate) fn connect_from(source: Ipv4Addr, port: u16) -> ClientResult<Self> {
        let stream = dial(source, port)?;
        let mut client =
            Self { control: Some(ProofStream::Plain(stream)), inbox: Vec::new(), tls: None };
        let greeting = client.reply()?;
        if greeting.code == Code::READY {
            return Ok(client);
        }
        Err(ClientError::UnexpectedReply { line: "the connection".to_owned(), reply: greeting })
    }

    /// Starts TLS for the control and data connections.
    pub(crate) fn secure(&mut self, security: &Security) -> ClientResult<()> {
        self.expect("AUTH TLS", Code::SECURITY_DONE)?;
        let config = security.of_one_client();
        let socket = self.control.take().and_then(ProofStream::into_plain);
        let socket =
            socket.ok_or_else(|| ClientError::InvalidReply("TLS began twice".to_owned()))?;
        self.control = Some(ProofStream::secured(socket, &config)?);
        self.tls = Some(config);
        self.expect("PBSZ 0", Code::OK)?;
        self.expect("PROT P", Code::OK).map(drop)
    }

    /// Logs in, and sets the binary type.
    pub(crate) fn log_in(&mut self, user: &str, password: &str) -> ClientResult<()> {
        self.expect(&format!("USER {user}"), Code::NEED_PASSWORD)?;
        self.expect(&format!("PASS {password}"), Code::LOGGED_IN)?;
        self.expect("TYPE I", Code::OK).map(drop)
    }

    /// Sends a command and returns the reply, whatever it is.
    pub(crate) fn ask(&mut self, line: &str) -> ClientResult<Reply> {
        self.send(line)?;
        self.reply()
    }

    /// Sends a command, and expects this reply code.
    pub(crate) fn expect(&mut self, line: &str, code: Code) -> ClientResult<Reply> {
        let reply = self.ask(line)?;
        wanted(line, reply, |got| got == code)
    }

    /// Sends a line.
    pub(crate) fn send(&mut self, line: &str) -> ClientResult<()> {
        let control = self.control()?;
        control.write_all(format!("{line}\r\n").as_bytes())?;
        Ok(control.flush()?)
    }

    /// Reads a reply.
    pub(crate) fn reply(&mut self) -> ClientResult<Reply> {
        loop {
            match Reply::parse(&self.inbox) {
                Ok(Some((reply, length))) => {
                    self.inbox.drain(..length);
                    return Ok(reply);
                }
                Ok(None) if self.inbox.len() < REPLY_BYTES_MAX => {}
                _ => {
                    return Err(ClientError::InvalidReply(
                        String::from_utf8_lossy(&self.inbox).into_owned(),
                    ));
                }
            }
            let mut part = [0; 2048];
            let length = self.control()?.read(&mut part)?;
            if length == 0 {
                return Err(ClientError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
            self.inbox.extend_from_slice(part.get(..length).unwrap_or_default());
        }
    }

    /// Opens a data connection for a command, and sends the command.
    pub(crate) fn open(&mut self, line: &str) -> ClientResult<ProofStream> {
        let reply = self.expect("EPSV", Code::EXTENDED_PASSIVE)?;
        let text = last_line(&reply);
        let port = parse_epsv_reply(text.as_bytes()).ok_or(ClientError::InvalidReply(text))?;
        let source = match self.control()?.socket().local_addr()?.ip() {
            std::net::IpAddr::V4(source) => source,
            std::net::IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
        };
        let socket = dial(source, port)?;
        let reply = self.ask(line)?;
        wanted(line, reply, Code::is_preliminary)?;
        match &self.tls {
            None => Ok(ProofStream::Plain(socket)),
            Some(config) => Ok(ProofStream::secured(socket, config)?),
        }
    }

    /// Uploads, and expects success.
    pub(crate) fn store(&mut self, line: &str, bytes: &[u8]) -> ClientResult<Reply> {
        self.store_with_progress(line, bytes, |_| ())
    }

    /// Uploads; `sent` is called after each piece with the number of bytes sent so far.
    pub(crate) fn store_with_progress(
        &mut self,
        line: &str,
        bytes: &[u8],
        mut sent: impl FnMut(usize),
    ) -> ClientResult<Reply> {
        let mut data = self.open(line)?;
        let mut gone = 0;
        let push = || -> io::Result<()> {
            for piece in bytes.chunks(PIECE_BYTES) {
                data.write_all(piece)?;
                gone += piece.len();
                sent(gone);
            }
            data.flush()?;
            data.finish()
        };
        let pushed = push();
        // A server that rejects closes the data connection, and gives the reason in its reply.
        let reply = wanted(line, self.reply()?, Code::is_success)?;
        pushed?;
        Ok(reply)
    }

    /// Downloads, and expects success.
    pub(crate) fn download(&mut self, line: &str) -> ClientResult<Vec<u8>> {
        let mut data = self.open(line)?;
        let mut bytes = Vec::new();
        let read = data.read_to_end(&mut bytes);
        let _ = data.finish();
        wanted(line, self.reply()?, Code::is_success)?;
        read?;
        Ok(bytes)
    }

    /// The size of a file; `None` if it does not exist.
    pub(crate) fn size(&mut self, name: &str) -> ClientResult<Option<usize>> {
        let line = format!("SIZE {name}");
        let reply = self.ask(&line)?;
        if reply.code == Code::FILE_UNAVAILABLE {
            return Ok(None);
        }
        let text = last_line(&wanted(&line, reply, |code| code == Code::FILE_STATUS)?);
        text.trim().parse().map(Some).map_err(|_| ClientError::InvalidReply(text))
    }

    /// The names in the working directory.
    pub(crate) fn names(&mut self) -> ClientResult<Vec<String>> {
        let bytes = self.download("NLST")?;
        Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }

    /// Sends QUIT.
    pub(crate) fn quit(mut self) -> ClientResult<()> {
        self.expect("QUIT", Code::GOODBYE).map(drop)
    }

    /// Returns the control connection, to end it in a special way.
    pub(crate) fn into_control(self) -> Option<ProofStream> {
        self.control
    }

    fn control(&mut self) -> ClientResult<&mut ProofStream> {
        self.control
            .as_mut()
            .ok_or_else(|| ClientError::InvalidReply("TLS did not begin".to_owned()))
    }
}

impl ClientError {
    /// The reply code, if there was a reply.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::UnexpectedReply { reply, .. } => Some(reply.code),
            Self::Lost(_) | Self::InvalidReply(_) => None,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(error) => write!(out, "connection lost: {error}"),
            Self::UnexpectedReply { line, reply } => {
                write!(out, "{line}: unexpected reply {} {}", reply.code.number(), last_line(reply))
            }
            Self::InvalidReply(what) => write!(out, "invalid reply {what:?}"),
        }
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl From<ClientError> for String {
    fn from(fault: ClientError) -> Self {
        fault.to_string()
    }
}

/// The last line of a reply, without its code.
pub(crate) fn last_line(reply: &Reply) -> String {
    reply.lines.last().map(|line| String::from_utf8_lossy(line).into_owned()).unwrap_or_default()
}

fn wanted(line: &str, reply: Reply, is_it: impl FnOnce(Code) -> bool) -> ClientResult<Reply> {
    if is_it(reply.code) {
        Ok(reply)
    } else {
        Err(ClientError::UnexpectedReply { line: line.to_owned(), reply })
    }
}

/// A connection from an address of the loopback network, before anything is sent.
pub(crate) fn dial(source: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    socket.set_tcp_nodelay(true)?;
    if source != Ipv4Addr::LOCALHOST {
        socket.bind(&std::net::SocketAddr::from((source, 0)).into())?;
    }
    socket.connect(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}
