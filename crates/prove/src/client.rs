//! A client: lines out, replies in, and data connections that end as the proof wants it.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use wharf_proto::address::parse_epsv_reply;
use wharf_proto::reply::{Code, Reply};

use crate::prove::stream::{Security, Stream};

/// A client that is connected.
#[derive(Debug)]
pub(crate) struct Client {
    /// Missing only while TLS begins, and after a failure of that.
    control: Option<Stream>,
    inbox: Vec<u8>,
    /// With TLS: for the data connections, too.
    tls: Option<Arc<ClientConfig>>,
}

/// Why something did not work for a client.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The connection is gone: reset, closed, or nobody listens.
    Lost(io::Error),
    /// The server said something else than what was hoped for.
    Said { line: String, reply: Reply },
    /// What came is no FTP, or not what FTP asks for here.
    Odd(String),
}

/// What a client gets for its trouble.
pub(crate) type Heard<T> = Result<T, Fault>;

/// The longest wait for anything. What takes longer on a busy machine hangs.
const PATIENCE: Duration = Duration::from_mins(2);
/// No reply is longer.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// Between two pieces of an upload the proof hears how many bytes are gone.
const PIECE_BYTES: usize = 16 << 10;

impl Client {
    /// Connects, and is greeted.
    pub(crate) fn connect(port: u16) -> Heard<Self> {
        Self::connect_from(Ipv4Addr::LOCALHOST, port)
    }

    /// The same from an address of the loopback network, so that the server sees another client.
    pub(crate) fn connect_from(source: Ipv4Addr, port: u16) -> Heard<Self> {
        let stream = dial(source, port)?;
        let mut client =
            Self { control: Some(Stream::Plain(stream)), inbox: Vec::new(), tls: None };
        let greeting = client.reply()?;
        if greeting.code == Code::READY {
            return Ok(client);
        }
        Err(Fault::Said { line: "the connection".to_owned(), reply: greeting })
    }

    /// Begins TLS for this connection and for those of data.
    pub(crate) fn secure(&mut self, security: &Security) -> Heard<()> {
        self.expect("AUTH TLS", Code::SECURITY_DONE)?;
        let config = security.of_one_client();
        let socket = self.control.take().and_then(Stream::into_plain);
        let socket = socket.ok_or_else(|| Fault::Odd("TLS began twice".to_owned()))?;
        self.control = Some(Stream::secured(socket, &config)?);
        self.tls = Some(config);
        self.expect("PBSZ 0", Code::OK)?;
        self.expect("PROT P", Code::OK).map(drop)
    }

    /// Logs in, and moves bytes as they are.
    pub(crate) fn log_in(&mut self, user: &str, password: &str) -> Heard<()> {
        self.expect(&format!("USER {user}"), Code::NEED_PASSWORD)?;
        self.expect(&format!("PASS {password}"), Code::LOGGED_IN)?;
        self.expect("TYPE I", Code::OK).map(drop)
    }

    /// Says a line and hears the reply, whatever it is.
    pub(crate) fn ask(&mut self, line: &str) -> Heard<Reply> {
        self.say(line)?;
        self.reply()
    }

    /// Says a line, and takes nothing but this reply.
    pub(crate) fn expect(&mut self, line: &str, code: Code) -> Heard<Reply> {
        let reply = self.ask(line)?;
        wanted(line, reply, |got| got == code)
    }

    /// Sends a line.
    pub(crate) fn say(&mut self, line: &str) -> Heard<()> {
        let control = self.control()?;
        control.write_all(format!("{line}\r\n").as_bytes())?;
        Ok(control.flush()?)
    }

    /// Hears a reply.
    pub(crate) fn reply(&mut self) -> Heard<Reply> {
        loop {
            match Reply::parse(&self.inbox) {
                Ok(Some((reply, length))) => {
                    self.inbox.drain(..length);
                    return Ok(reply);
                }
                Ok(None) if self.inbox.len() < REPLY_BYTES_MAX => {}
                _ => return Err(Fault::Odd(String::from_utf8_lossy(&self.inbox).into_owned())),
            }
            let mut part = [0; 2048];
            let length = self.control()?.read(&mut part)?;
            if length == 0 {
                return Err(Fault::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
            self.inbox.extend_from_slice(part.get(..length).unwrap_or_default());
        }
    }

    /// Opens a data connection for a command, and sends the command.
    pub(crate) fn open(&mut self, line: &str) -> Heard<Stream> {
        let reply = self.expect("EPSV", Code::EXTENDED_PASSIVE)?;
        let text = last_line(&reply);
        let port = parse_epsv_reply(text.as_bytes()).ok_or(Fault::Odd(text))?;
        let source = match self.control()?.socket().local_addr()?.ip() {
            std::net::IpAddr::V4(source) => source,
            std::net::IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
        };
        let socket = dial(source, port)?;
        let reply = self.ask(line)?;
        wanted(line, reply, Code::is_preliminary)?;
        match &self.tls {
            None => Ok(Stream::Plain(socket)),
            Some(config) => Ok(Stream::secured(socket, config)?),
        }
    }

    /// Uploads, and hears that it is done.
    pub(crate) fn store(&mut self, line: &str, bytes: &[u8]) -> Heard<Reply> {
        self.store_telling(line, bytes, |_| ())
    }

    /// The same; `sent` hears after each piece how many bytes are gone in all.
    pub(crate) fn store_telling(
        &mut self,
        line: &str,
        bytes: &[u8],
        mut sent: impl FnMut(usize),
    ) -> Heard<Reply> {
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
        // A server that refuses breaks the data connection, and says why on the other one.
        let reply = wanted(line, self.reply()?, Code::is_success)?;
        pushed?;
        Ok(reply)
    }

    /// Downloads, and hears that it is done.
    pub(crate) fn fetch(&mut self, line: &str) -> Heard<Vec<u8>> {
        let mut data = self.open(line)?;
        let mut bytes = Vec::new();
        let read = data.read_to_end(&mut bytes);
        let _ = data.finish();
        wanted(line, self.reply()?, Code::is_success)?;
        read?;
        Ok(bytes)
    }

    /// How long a file is; none if there is none.
    pub(crate) fn size(&mut self, name: &str) -> Heard<Option<usize>> {
        let line = format!("SIZE {name}");
        let reply = self.ask(&line)?;
        if reply.code == Code::FILE_UNAVAILABLE {
            return Ok(None);
        }
        let text = last_line(&wanted(&line, reply, |code| code == Code::FILE_STATUS)?);
        text.trim().parse().map(Some).map_err(|_| Fault::Odd(text))
    }

    /// The names in the working directory.
    pub(crate) fn names(&mut self) -> Heard<Vec<String>> {
        let bytes = self.fetch("NLST")?;
        Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }

    /// Says goodbye.
    pub(crate) fn quit(mut self) -> Heard<()> {
        self.expect("QUIT", Code::GOODBYE).map(drop)
    }

    /// The control connection, to end it in some way; the client is gone then.
    pub(crate) fn into_control(self) -> Option<Stream> {
        self.control
    }

    fn control(&mut self) -> Heard<&mut Stream> {
        self.control.as_mut().ok_or_else(|| Fault::Odd("TLS did not begin".to_owned()))
    }
}

impl Fault {
    /// What the server said, if it said something.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::Said { reply, .. } => Some(reply.code),
            Self::Lost(_) | Self::Odd(_) => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(error) => write!(out, "the connection is gone: {error}"),
            Self::Said { line, reply } => {
                write!(out, "{line}: the server said {} {}", reply.code.number(), last_line(reply))
            }
            Self::Odd(what) => write!(out, "the server said what is no answer here: {what:?}"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

/// The last line of a reply, without its code.
pub(crate) fn last_line(reply: &Reply) -> String {
    reply.lines.last().map(|line| String::from_utf8_lossy(line).into_owned()).unwrap_or_default()
}

fn wanted(line: &str, reply: Reply, is_it: impl FnOnce(Code) -> bool) -> Heard<Reply> {
    if is_it(reply.code) { Ok(reply) } else { Err(Fault::Said { line: line.to_owned(), reply }) }
}

fn dial(source: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_tcp_nodelay(true)?;
    if source != Ipv4Addr::LOCALHOST {
        socket.bind(&std::net::SocketAddr::from((source, 0)).into())?;
    }
    socket.connect(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}
