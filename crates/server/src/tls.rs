//! TLS: handshakes, and the assignment of data connections to control connections.

mod binding;
mod fault;
mod hello;
mod hello_info;
mod signing;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, SupportedProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;
use tracing::debug;

pub(crate) use self::binding::BindingId;
use self::binding::{Binding, BindingOwners, Issuing, ResumedBinding, Sessions, Tickets};
use self::fault::ClientOffer;
pub(crate) use self::fault::describe;
use self::hello::read_client_hello;
use self::hello_info::ClientHelloInfo;
use self::signing::{HasSigned, ObservedResolver};
use crate::net::{Socket, TlsTransport, WithholdFlag};
use crate::settings::{SessionReuse, Tls as TlsSettings, TlsVersion};

/// Timeout of a handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The ALPN name of FTP. A client that offers only other protocols is rejected, so that a browser
/// cannot be made to speak to the server (ALPACA attack).
const ALPN: &[u8] = b"ftp";
/// The fatal alert 112 (RFC 6066 §3) as a record: rustls has no API to send it.
const UNRECOGNIZED_NAME: &[u8] = &[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70];
/// TLS 1.3 tickets sent on a control connection: enough for clients that use each only once.
const TICKETS: usize = 4;
/// TLS 1.2 sessions cached for clients without tickets; the default of rustls is 256.
const SESSIONS_REMEMBERED: usize = 16_384;

/// The rustls configuration of control connections for these settings: to try a handshake without a
/// server.
///
/// # Errors
/// The settings are invalid.
pub fn server_config(settings: &TlsSettings) -> Result<Arc<ServerConfig>, rustls::Error> {
    let acceptor = Acceptor::new(settings)?;
    let binding = Binding::Control(BindingId::default(), Arc::default());
    let options = HandshakeOptions { binding, tickets: TicketPolicy::Several };
    Ok(acceptor.config(&acceptor.base, &options, &WithholdFlag::default()))
}

/// Performs TLS handshakes on accepted connections.
pub(crate) struct Acceptor {
    base: ServerConfig,
    /// For clients that offer TLS 1.2, if every data connection must resume: a TLS 1.2 session can
    /// be resumed as often as needed, but many clients resume a TLS 1.3 session only once and then
    /// have none left for their next upload.
    reusable: Option<ServerConfig>,
    shared: ResumptionState,
    must_resume: bool,
    version_min: TlsVersion,
    /// Accepted server names (SNI) in lower case; empty: any.
    names: Vec<String>,
}

/// What a connection may resume, and which TLS 1.3 tickets are sent on it.
struct HandshakeOptions {
    binding: Binding,
    tickets: TicketPolicy,
}

/// Which TLS 1.3 tickets are sent on a connection.
///
/// OpenSSL uses a TLS 1.3 session only once, so each data connection has to issue the session that
/// the next one resumes. Only one that resumed gets it: the others are not known to belong to the
/// client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TicketPolicy {
    /// Several, on a control connection.
    Several,
    /// One, to a client that reads.
    One,
    /// One, at the end of the connection, because the client may only send until then: see
    /// [`TlsTransport`].
    ///
    /// Older versions of libcurl (7.88, say) read before they send `close_notify` and not
    /// afterwards. They would find no session for their second upload, so if each must resume, they
    /// get the ticket at once. They are recognised by AUTH SSL; other clients begin with AUTH TLS.
    OneAtTheEnd,
}

/// Progress of the handshake of a data connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HandshakeStage {
    /// Nothing was received yet.
    #[default]
    Before,
    /// The client has begun.
    Begun,
    /// It has completed or failed.
    Over,
}

/// State that survives a change of settings, so that clients can resume their TLS sessions.
#[derive(Clone)]
struct ResumptionState {
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
    owners: Arc<BindingOwners>,
}

/// The negotiated version and cipher suite.
#[derive(Clone, Debug)]
pub(crate) struct NegotiatedTls {
    pub(crate) version: &'static str,
    pub(crate) cipher: String,
}

/// The TLS session that a data connection resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// That of its own control connection: the same client.
    Own,
    /// That of another control connection of the same account at the same address.
    SameAccount,
    /// None.
    NotOwn,
}

/// A stream, and the control connection that it was identified as belonging to, if any.
type IdentifiedStream = (TlsStream<TlsTransport>, Option<BindingId>);

/// Direction of the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataDirection {
    /// To the client, which reads.
    Out,
    /// From the client, which need not read anything before it closes.
    In,
}

impl Acceptor {
    pub(crate) fn new(settings: &TlsSettings) -> Result<Self, rustls::Error> {
        let tickets = aws_lc_rs::Ticketer::new()?;
        let sessions = ServerSessionMemoryCache::new(SESSIONS_REMEMBERED);
        Self::with(settings, ResumptionState { tickets, sessions, owners: Arc::default() })
    }

    /// With other settings. TLS sessions of this acceptor can still be resumed.
    pub(crate) fn with_settings(&self, settings: &TlsSettings) -> Result<Self, rustls::Error> {
        Self::with(settings, self.shared.clone())
    }

    fn with(settings: &TlsSettings, shared: ResumptionState) -> Result<Self, rustls::Error> {
        let base = match settings.min_version {
            TlsVersion::V1_2 => config_of(settings, rustls::ALL_VERSIONS)?,
            TlsVersion::V1_3 => config_of(settings, &[&rustls::version::TLS13])?,
        };
        let must_resume = settings.session_reuse == SessionReuse::Require;
        let reusable = (must_resume && settings.min_version == TlsVersion::V1_2)
            .then(|| config_of(settings, &[&rustls::version::TLS12]))
            .transpose()?;
        Ok(Self {
            base,
            reusable,
            shared,
            must_resume,
            version_min: settings.min_version,
            names: settings.server_names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        })
    }

    /// Performs the handshake of a control connection. It may resume any session of this server;
    /// sessions issued on it carry `binding_id`.
    pub(crate) async fn control(
        &self,
        socket: Socket,
        binding_id: BindingId,
    ) -> io::Result<TlsStream<TlsTransport>> {
        let found = Arc::<ResumedBinding>::default();
        let binding = Binding::Control(binding_id, Arc::clone(&found));
        let stream = self
            .handshake(HandshakeOptions { binding, tickets: TicketPolicy::Several }, socket, None)
            .await?;
        let is_tls_1_2 = stream.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        let resumed = found.binding_id().filter(|_| is_resumed(&stream));
        self.shared.owners.handshake_finished(binding_id, is_tls_1_2, resumed);
        Ok(stream)
    }

    /// Records that a control connection from this address starts its handshake. A client that
    /// reads its data connections before it closes them (`reads_before_close`) gets tickets early.
    pub(crate) fn handshake_started(
        &self,
        binding_id: BindingId,
        peer: IpAddr,
        reads_before_close: bool,
    ) {
        self.shared.owners.handshake_started(binding_id, peer, reads_before_close);
    }

    /// Records a login: from now on, data connections of the same account and address may resume
    /// each other's sessions.
    pub(crate) fn logged_in(&self, binding_id: BindingId, account: &str, peer: IpAddr) {
        self.shared.owners.logged_in(binding_id, account, peer);
    }

    /// Performs the handshake of a data connection, and returns which session it resumed.
    ///
    /// On an upload, the ticket is withheld until its end: see [`TicketPolicy`].
    pub(crate) async fn data(
        &self,
        socket: Socket,
        binding_id: BindingId,
        direction: DataDirection,
        stage: &watch::Sender<HandshakeStage>,
    ) -> io::Result<(TlsStream<TlsTransport>, Resumed)> {
        let found = Arc::<ResumedBinding>::default();
        let tickets = match direction {
            DataDirection::Out => TicketPolicy::One,
            DataDirection::In => TicketPolicy::OneAtTheEnd,
        };
        let binding = Binding::Data(binding_id, Arc::clone(&found));
        let handshake_result =
            self.handshake(HandshakeOptions { binding, tickets }, socket, Some(stage)).await;
        stage.send_replace(HandshakeStage::Over);
        let stream = handshake_result?;
        let resumed = match found.binding_id().filter(|_| is_resumed(&stream)) {
            Some(resumed) if resumed == binding_id => Resumed::Own,
            Some(resumed) if self.shared.owners.wait_same_client(binding_id, resumed).await => {
                Resumed::SameAccount
            }
            Some(_) | None => Resumed::NotOwn,
        };
        Ok((stream, resumed))
    }

    /// Performs the handshake of a data connection that may belong to one of several control
    /// connections, and returns the one of which it resumed the session, if any.
    ///
    /// The direction is not known yet, so it is treated as an upload; for a download, the ticket is
    /// released later ([`TlsTransport::release`]).
    pub(crate) fn data_of_any(
        self: &Arc<Self>,
        socket: Socket,
        binding_ids: Vec<BindingId>,
    ) -> impl Future<Output = io::Result<IdentifiedStream>> + Send + use<> {
        let found = Arc::<ResumedBinding>::default();
        let binding = Binding::OneOf(binding_ids, Arc::clone(&found));
        let options = HandshakeOptions { binding, tickets: TicketPolicy::OneAtTheEnd };
        let acceptor = Arc::clone(self);
        async move {
            let stream = acceptor.handshake(options, socket, None).await?;
            let binding_id = found.binding_id().filter(|_| is_resumed(&stream));
            Ok((stream, binding_id))
        }
    }

    async fn handshake(
        &self,
        options: HandshakeOptions,
        socket: Socket,
        stage: Option<&watch::Sender<HandshakeStage>>,
    ) -> io::Result<TlsStream<TlsTransport>> {
        let handshake = self.handshake_by_offer(options, socket, stage);
        let done = timeout(HANDSHAKE_MAX, handshake)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "TLS handshake timed out"))
            .flatten();
        match &done {
            Ok(stream) => debug!(
                version = protection(stream).version,
                cipher = protection(stream).cipher,
                resumed = is_resumed(stream),
                "TLS handshake completed"
            ),
            Err(error) => debug!(%error, "TLS handshake failed"),
        }
        done
    }

    /// Reads the `ClientHello` before anything is sent: for the server name (SNI), and to explain a
    /// failed handshake.
    async fn handshake_by_offer(
        &self,
        options: HandshakeOptions,
        socket: Socket,
        stage: Option<&watch::Sender<HandshakeStage>>,
    ) -> io::Result<TlsStream<TlsTransport>> {
        let (mut start, shown) = read_client_hello(socket, self.version_min).await?;
        if let Some(stage) = stage {
            stage.send_replace(HandshakeStage::Begun);
        }
        let hello = start.client_hello();
        let requested = hello.server_name().map(str::to_ascii_lowercase);
        let offer = ClientOffer::of(&hello, &shown);
        if let Some(name) =
            requested.filter(|name| !self.names.is_empty() && !self.names.contains(name))
        {
            start.io.write_all(UNRECOGNIZED_NAME).await?;
            start.io.shutdown().await?;
            let what = format!(
                "the client requested the server name {name}, which is not in tls.server_names"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let base = self.reusable.as_ref().filter(|_| shown.has_tls_1_2()).unwrap_or(&self.base);
        let withholds = self.withhold_flag(&options, &shown);
        let config = self.config(base, &options, &withholds);
        let transport = TlsTransport::new(start.io, withholds);
        let start = StartHandshake::from_parts(start.accepted, transport);
        let handshake_result = start.into_stream(config).await;
        handshake_result.map_err(|error| offer.explained(&error, self.version_min))
    }

    /// Tickets of TLS 1.2 are a part of the handshake, so they are never withheld.
    fn withhold_flag(&self, options: &HandshakeOptions, shown: &ClientHelloInfo) -> WithholdFlag {
        let is_tls_1_3 = shown.has_tls_1_3() && (self.reusable.is_none() || !shown.has_tls_1_2());
        if options.tickets == TicketPolicy::OneAtTheEnd && is_tls_1_3 {
            WithholdFlag::armed()
        } else {
            WithholdFlag::default()
        }
    }

    fn config(
        &self,
        base: &ServerConfig,
        options: &HandshakeOptions,
        withholds: &WithholdFlag,
    ) -> Arc<ServerConfig> {
        let mut config = base.clone();
        let HandshakeOptions { binding, tickets } = options;
        let ResumptionState { tickets: inner, sessions, owners } = &self.shared;
        let has_signed = HasSigned::default();
        let issuing = Issuing {
            has_signed: has_signed.clone(),
            withholds: withholds.clone(),
            must_resume: self.must_resume,
        };
        config.ticketer = Arc::new(Tickets::new(inner, binding, owners, issuing.clone()));
        let (inner, binding) = (Arc::clone(sessions), binding.clone());
        config.session_storage =
            Arc::new(Sessions { inner, binding, owners: Arc::clone(owners), issuing });
        config.send_tls13_tickets = match tickets {
            TicketPolicy::Several => TICKETS,
            TicketPolicy::One | TicketPolicy::OneAtTheEnd => {
                let inner = config.cert_resolver;
                config.cert_resolver = Arc::new(ObservedResolver { inner, has_signed });
                1
            }
        };
        Arc::new(config)
    }
}

fn config_of(
    settings: &TlsSettings,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(settings.certificate.resolver());
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn is_resumed(stream: &TlsStream<TlsTransport>) -> bool {
    stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}

pub(crate) fn protection(stream: &TlsStream<TlsTransport>) -> NegotiatedTls {
    let connection = stream.get_ref().1;
    let cipher = connection.negotiated_cipher_suite();
    let cipher = cipher.and_then(|suite| suite.suite().as_str().map(str::to_owned));
    NegotiatedTls {
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLS",
        },
        cipher: cipher.unwrap_or_default(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
