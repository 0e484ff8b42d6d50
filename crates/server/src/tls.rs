//! TLS: handshakes, and the tie between a data connection and its control session.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::ServerSessionMemoryCache;
use rustls::sign::SingleCertAndKey;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::net::Socket;
use crate::settings::{Tls as TlsSettings, TlsVersion};

/// A handshake that takes longer is an attack or a dead client.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The name of FTP in the ALPN registry. A client that offers others alone is turned away, so that
/// no browser can be made to talk to us.
const ALPN: &[u8] = b"ftp";
/// TLS 1.3 tickets given out on a control connection: enough for clients that use each only once.
const TICKETS: usize = 4;
/// TLS 1.2 sessions remembered for clients without tickets; rustls keeps 256 unless told.
const SESSIONS_REMEMBERED: usize = 16_384;

/// Makes TLS connections out of plain ones.
pub(crate) struct Acceptor {
    control: Arc<ServerConfig>,
    data: Arc<ServerConfig>,
}

/// What ties data connections to a control session: nobody else can guess it, and it travels in
/// the encrypted ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tie(pub(crate) [u8; 16]);

/// What is known of a protected connection.
#[derive(Clone, Debug)]
pub(crate) struct Protection {
    pub(crate) version: &'static str,
    pub(crate) cipher: String,
}

/// Whose TLS session a data connection resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// That of its own control connection: it is the same client.
    Own,
    /// None, or that of another control connection.
    NotOwn,
}

impl Acceptor {
    pub(crate) fn new(settings: &TlsSettings) -> Result<Self, rustls::Error> {
        let versions: &[_] = match settings.version_min {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(
                &settings.certificate.0,
            ))));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS_REMEMBERED);
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.send_tls13_tickets = TICKETS;
        // A new ticket on a data connection would take the place of the control session's own in
        // clients that keep one.
        let mut data = config.clone();
        data.send_tls13_tickets = 0;
        Ok(Self { control: Arc::new(config), data: Arc::new(data) })
    }

    /// Takes a control connection into TLS; its tickets carry `tie`.
    pub(crate) async fn control(&self, socket: Socket, tie: Tie) -> io::Result<TlsStream<Socket>> {
        handshake(&self.control, socket, tie).await
    }

    /// Takes a data connection into TLS and says whose session it resumed.
    pub(crate) async fn data(
        &self,
        socket: Socket,
        tie: Tie,
    ) -> io::Result<(TlsStream<Socket>, Resumed)> {
        let stream = handshake(&self.data, socket, tie).await?;
        let is_own = stream.get_ref().1.received_resumption_data() == Some(&tie.0[..]);
        Ok((stream, if is_own { Resumed::Own } else { Resumed::NotOwn }))
    }
}

async fn handshake(
    config: &Arc<ServerConfig>,
    socket: Socket,
    tie: Tie,
) -> io::Result<TlsStream<Socket>> {
    let acceptor = TlsAcceptor::from(Arc::clone(config));
    let accept = acceptor.accept_with(socket, |connection| connection.set_resumption_data(&tie.0));
    tokio::time::timeout(HANDSHAKE_MAX, accept)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"))?
}

pub(crate) fn protection(stream: &TlsStream<Socket>) -> Protection {
    let connection = stream.get_ref().1;
    Protection {
        version: match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLS",
        },
        cipher: connection
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()))
            .unwrap_or_default(),
    }
}
