//! One data connection: requested by PASV or PORT, opened when a transfer begins.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::metrics::OpeningFailure;
use crate::net::{Net, Socket, Stream, at_port};
use crate::ports::{AcceptedConn, Lease, PortEvent, UnexpectedPeers};
use crate::regression::Regression;
use crate::settings::SessionReuse;
use crate::tls::{Acceptor, BindingId, DataDirection, HandshakeStage, Resumed};

/// Most clients request a transfer within this time after PASV. Nothing is accepted on the port
/// until then; later, a task closes connections of unexpected peers, which would otherwise fill the
/// backlog so that the client could not connect.
const ACCEPT_DELAY: Duration = Duration::from_millis(100);
/// See [`Regression::UnexpectedPeersEndWait`].
const UNEXPECTED_MAX_ONCE: usize = 7;

/// The data port of the next transfer.
pub(crate) enum DataPort {
    /// The server listens, the client connects. The port is released at `until` if no transfer
    /// begins.
    Passive { lease: Lease, until: Instant, offer: PassiveOffer, is_watched: bool },
    /// The client listens, the server connects.
    Active(SocketAddr),
}

/// The reply that announced a passive port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PassiveOffer {
    pub(crate) at: Instant,
    /// The address in the reply to PASV; none for EPSV.
    pub(crate) announced: Option<Ipv4Addr>,
    /// Whether a transfer command was rejected since: then the client has no reason to connect.
    pub(crate) was_rejected: bool,
}

impl DataPort {
    /// When a passive port needs action if no transfer command arrives.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self {
            Self::Passive { until, offer, is_watched: false, .. } => {
                Some((offer.at + ACCEPT_DELAY).min(*until))
            }
            Self::Passive { until, .. } => Some(*until),
            Self::Active(_) => None,
        }
    }

    /// Performs the action that is due for a passive port. Returns whether it may stay open.
    pub(crate) fn watch(&mut self) -> bool {
        let Self::Passive { lease, until, is_watched, .. } = self else { return true };
        if Instant::now() >= *until {
            return false;
        }
        if !std::mem::replace(is_watched, true) {
            lease.watch();
        }
        true
    }

    /// The announcement of the passive port; none in active mode.
    pub(crate) fn offer(&self) -> Option<PassiveOffer> {
        match self {
            Self::Passive { offer, .. } => Some(*offer),
            Self::Active(_) => None,
        }
    }
}

/// Parameters for opening a data connection.
pub(crate) struct Opening<'a> {
    pub(crate) net: &'a dyn Net,
    /// The control connection's own end: active connections come from it.
    pub(crate) local: SocketAddr,
    pub(crate) accept_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// With PROT P: the TLS acceptor, the session binding and the rule for resumption.
    pub(crate) tls: Option<(&'a Acceptor, BindingId, SessionReuse)>,
    pub(crate) direction: DataDirection,
    /// Receives the progress of the handshake.
    pub(crate) stage: &'a watch::Sender<HandshakeStage>,
}

/// Why there is no data connection.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// No connection arrived within the timeout.
    TimedOut,
    /// Only unexpected peers connected, this address first.
    OtherAddress(IpAddr),
    /// On a port shared with sessions of the same address, connections resumed no TLS session, so
    /// their session is unknown.
    NotIdentified { times: usize },
    /// The listener or the connection failed.
    Network(io::Error),
    /// The TLS handshake failed.
    Tls(io::Error),
    /// TLS works, but the session of the control connection was not resumed.
    NotResumed,
}

/// An open data connection.
pub(crate) struct Data {
    pub(crate) stream: Stream,
    /// The TLS session that it resumed; none without TLS.
    pub(crate) resumed: Option<Resumed>,
    /// The passive port, if any.
    pub(crate) lease: Option<Lease>,
}

impl Opening<'_> {
    /// Opens the connection. Dropping the future closes everything and releases the port.
    /// Unexpected peers are recorded in `unexpected` in any case.
    pub(crate) async fn open(
        &self,
        port: DataPort,
        unexpected: &mut UnexpectedPeers,
    ) -> Result<Data, OpenError> {
        let (socket, lease) = match port {
            DataPort::Passive { lease, .. } => match self.accept(&lease, unexpected).await? {
                AcceptedConn::Plain(socket) => (socket, Some(lease)),
                AcceptedConn::Authenticated(mut stream) if self.tls.is_some() => {
                    if self.direction == DataDirection::Out {
                        stream.get_mut().0.release();
                        let flushed = timeout(self.accept_timeout, stream.flush()).await;
                        flushed
                            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                            .map_err(OpenError::Network)?;
                    }
                    let (stream, resumed) = (Stream::Tls(stream), Some(Resumed::Own));
                    return Ok(Data { stream, resumed, lease: Some(lease) });
                }
                // The client sent PROT C after PASV.
                AcceptedConn::Authenticated(_) => {
                    return Err(OpenError::NotIdentified { times: 1 });
                }
            },
            DataPort::Active(to) => (self.connect(to).await?, None),
        };
        let Some((acceptor, binding_id, reuse)) = self.tls else {
            return Ok(Data { stream: Stream::Plain(socket), resumed: None, lease });
        };
        socket.do_not_delay();
        // Large futures of some transfers are boxed: those of others stay small.
        let handshake = acceptor.data(socket, binding_id, self.direction, self.stage);
        let handshake_result = Box::pin(handshake).await;
        let (stream, resumed) = handshake_result.map_err(OpenError::Tls)?;
        if reuse == SessionReuse::Require && resumed == Resumed::NotOwn {
            return Err(OpenError::NotResumed);
        }
        Ok(Data { stream: Stream::Tls(Box::new(stream)), resumed: Some(resumed), lease })
    }

    /// Waits for the client on the passive port. Other peers are closed, at a bounded rate, and
    /// waiting continues for `accept_timeout` however many come (RFC 2577 §8, port stealing).
    async fn accept(
        &self,
        lease: &Lease,
        unexpected: &mut UnexpectedPeers,
    ) -> Result<AcceptedConn, OpenError> {
        let wait = async {
            loop {
                match lease.next().await.map_err(OpenError::Network)? {
                    PortEvent::Accepted(arrived) => return Ok(arrived),
                    PortEvent::Unexpected(address) => {
                        if unexpected.count() >= UNEXPECTED_MAX_ONCE
                            && Regression::UnexpectedPeersEndWait.is_present()
                        {
                            return Err(OpenError::OtherAddress(address));
                        }
                        debug!(%address, "unexpected peer on the passive port");
                        if let Some(pause) = unexpected.note(address) {
                            sleep(pause).await;
                        }
                    }
                }
            }
        };
        match timeout(self.accept_timeout, wait).await {
            Ok(done) => done,
            Err(_) => Err(match (lease.unproven(), unexpected.addresses().first()) {
                (0, None) => OpenError::TimedOut,
                (0, Some(first)) => OpenError::OtherAddress(*first),
                (times, _) => OpenError::NotIdentified { times },
            }),
        }
    }

    async fn connect(&self, to: SocketAddr) -> Result<Socket, OpenError> {
        debug!(%to, "connecting to the client");
        match timeout(self.connect_timeout, self.net.connect(self.from(), to)).await {
            Ok(done) => done.map_err(OpenError::Network),
            Err(_) => Err(OpenError::Network(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Source of active connections: the port below that of the control connection (RFC 959 §5.2,
    /// "L-1"), which old firewalls expect. Binding it may fail.
    fn from(&self) -> SocketAddr {
        at_port(self.local, self.local.port().saturating_sub(1))
    }
}

impl OpenError {
    /// The label under which it is counted.
    pub(crate) fn cause(&self) -> OpeningFailure {
        match self {
            Self::TimedOut => OpeningFailure::NoConnection,
            Self::OtherAddress(_) => OpeningFailure::UnexpectedPeers,
            Self::NotIdentified { .. } => OpeningFailure::Ambiguous,
            Self::Network(_) => OpeningFailure::Network,
            Self::Tls(_) => OpeningFailure::Tls,
            Self::NotResumed => OpeningFailure::NotResumed,
        }
    }
}

/// For the administrator.
impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => out.write_str("no data connection arrived"),
            Self::OtherAddress(address) => {
                write!(out, "data connections arrived only from a different address ({address})")
            }
            Self::NotIdentified { times } => write!(
                out,
                "{times} data connections resumed no TLS session on a port that \
                 several sessions of one address share; widen passive.ports for such clients"
            ),
            Self::Network(error) => write!(out, "the data connection failed: {error}"),
            Self::Tls(error) => write!(out, "TLS on the data connection failed: {error}"),
            Self::NotResumed => out.write_str(
                "the data connection did not resume the TLS session of its control \
                               connection; tls.session_reuse = \"prefer\" accepts such clients",
            ),
        }
    }
}
