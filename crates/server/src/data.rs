//! One data connection: asked for by PASV or PORT, opened when a transfer begins.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::net::{Net, Socket, Stream, at_port};
use crate::ports::Lease;
use crate::settings::SessionReuse;
use crate::tls::{Acceptor, Resumed, Tie};

/// Connections of strangers to one passive port, after which waiting ends: nobody's port is
/// knocked at so often by chance.
const STRANGERS_MAX: usize = 8;

/// Where the data of the next transfer is to go.
pub(crate) enum DataPort {
    /// We listen, and the client connects. The lease is given up at `until` if no transfer begins.
    Passive { lease: Lease, until: Instant },
    /// The client listens, and we connect.
    Active(SocketAddr),
}

/// What must be known to open a data connection.
pub(crate) struct Opening<'a> {
    pub(crate) net: &'a dyn Net,
    /// The control connection's other end: only it may come.
    pub(crate) peer: IpAddr,
    /// The control connection's own end: active connections come from it.
    pub(crate) local: SocketAddr,
    pub(crate) accept_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// With PROT P: how to do TLS, and what ties it to the control session.
    pub(crate) tls: Option<(&'a Acceptor, Tie, SessionReuse)>,
}

/// Why there is no data connection.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Nobody came in time; so many strangers did.
    TimedOut { strangers: usize },
    /// Strangers kept coming.
    Strangers,
    /// The listener or the connection failed.
    Network(io::Error),
    /// The TLS handshake failed.
    Tls(io::Error),
    /// TLS is fine, but it is not known to be the same client.
    NotResumed,
}

/// An open data connection.
pub(crate) struct Data {
    pub(crate) stream: Stream,
    /// Whether TLS proved that it is the same client; nothing without TLS.
    pub(crate) resumed: Option<Resumed>,
    /// The port on which it came.
    pub(crate) lease: Option<Lease>,
}

impl Opening<'_> {
    /// Opens the connection. Dropping the future closes everything and frees the port.
    pub(crate) async fn open(&self, port: DataPort) -> Result<Data, OpenError> {
        let (socket, lease) = match port {
            DataPort::Passive { lease, .. } => (self.accept(&lease).await?, Some(lease)),
            DataPort::Active(to) => (self.connect(to).await?, None),
        };
        let Some((acceptor, tie, reuse)) = self.tls else {
            return Ok(Data { stream: Stream::Plain(socket), resumed: None, lease });
        };
        socket.do_not_delay();
        let (stream, resumed) = acceptor.data(socket, tie).await.map_err(OpenError::Tls)?;
        if reuse == SessionReuse::Require && resumed == Resumed::NotOwn {
            return Err(OpenError::NotResumed);
        }
        Ok(Data { stream: Stream::Tls(Box::new(stream)), resumed: Some(resumed), lease })
    }

    /// Waits for the client on the passive port. Whoever else comes is dropped, and waiting goes
    /// on (RFC 2577 §8, port stealing).
    async fn accept(&self, lease: &Lease) -> Result<Socket, OpenError> {
        let mut strangers = 0;
        let wait = async {
            loop {
                let socket = lease.accept().await.map_err(OpenError::Network)?;
                if socket.peer_address().is_ok_and(|peer| peer.ip() == self.peer) {
                    return Ok(socket);
                }
                strangers += 1;
                if strangers >= STRANGERS_MAX {
                    return Err(OpenError::Strangers);
                }
            }
        };
        match timeout(self.accept_timeout, wait).await {
            Ok(done) => done,
            Err(_) => Err(OpenError::TimedOut { strangers }),
        }
    }

    async fn connect(&self, to: SocketAddr) -> Result<Socket, OpenError> {
        match timeout(self.connect_timeout, self.net.connect(at_port(self.local, 0), to)).await {
            Ok(done) => done.map_err(OpenError::Network),
            Err(_) => Err(OpenError::Network(io::ErrorKind::TimedOut.into())),
        }
    }
}

/// For the operator.
impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { strangers: 0 } => out.write_str("no data connection came"),
            Self::TimedOut { strangers } => {
                write!(out, "no data connection came from the client; {strangers} from others did")
            }
            Self::Strangers => out.write_str("others than the client kept connecting"),
            Self::Network(error) => write!(out, "the data connection failed: {error}"),
            Self::Tls(error) => write!(out, "TLS on the data connection failed: {error}"),
            Self::NotResumed => out.write_str(
                "the data connection did not resume the TLS session of its control \
                               connection; tls.session_reuse = \"prefer\" lets such clients in",
            ),
        }
    }
}
