//! TLS: handshakes, and which control connection a data connection belongs to.

mod binding;
mod fault;
mod hello;

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
use tokio_rustls::server::TlsStream;

pub(crate) use self::binding::BindingId;
use self::binding::{Binding, BindingOwners, ResumedBinding, Sessions, Tickets};
use self::fault::ClientOffer;
pub(crate) use self::fault::describe;
use self::hello::read_client_hello;
use crate::net::Socket;
use crate::settings::{SessionReuse, Tls as TlsSettings, TlsVersion};

/// A handshake that takes longer is an attack or a dead client.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The name of FTP in the ALPN registry. A client that offers others alone is turned away, so that
/// no browser can be made to talk to us.
const ALPN: &[u8] = b"ftp";
/// The fatal alert 112 (RFC 6066 §3) as a record: rustls has no way to say it.
const UNRECOGNIZED_NAME: &[u8] = &[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70];
/// TLS 1.3 tickets given out on a control connection: enough for clients that use each only once.
const TICKETS: usize = 4;
/// TLS 1.2 sessions remembered for clients without tickets; rustls keeps 256 unless told.
const SESSIONS_REMEMBERED: usize = 16_384;

/// The configuration of rustls that these settings come to, as control connections have it: to
/// try a handshake without a server.
///
/// # Errors
/// The settings do not work.
pub fn server_config(settings: &TlsSettings) -> Result<Arc<ServerConfig>, rustls::Error> {
    let acceptor = Acceptor::new(settings)?;
    let binding = Binding::Control(BindingId::default(), Arc::default());
    Ok(acceptor.config(
        &acceptor.base,
        &HandshakeOptions { binding, tickets: TicketPolicy::Several },
        false,
    ))
}

/// Makes TLS connections out of plain ones.
pub(crate) struct Acceptor {
    base: ServerConfig,
    /// For clients that offer TLS 1.2, where every data connection must resume: a session of TLS
    /// 1.2 can be resumed as often as needed, one of TLS 1.3 only once by many clients, which then
    /// have none left for their next upload.
    reusable: Option<ServerConfig>,
    shared: ResumptionState,
    must_resume: bool,
    version_min: TlsVersion,
    /// In lower case; empty: any.
    names: Vec<String>,
}

/// What a connection may resume, and which TLS 1.3 tickets it gives out.
struct HandshakeOptions {
    binding: Binding,
    tickets: TicketPolicy,
}

/// Which TLS 1.3 tickets a connection gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TicketPolicy {
    /// Several, on a control connection.
    Several,
    /// One to a client that reads, where every data connection must resume: OpenSSL uses a TLS 1.3
    /// session once only, so each has to give out the next one.
    ToReaders,
    /// The same only to a client that offers nothing but TLS 1.3. On an upload a client that sends
    /// and never reads would close its socket with the ticket unread, and its system would reset
    /// the connection and throw away what is still to be sent; so a client that can do TLS 1.2 has
    /// its sessions there. One that cannot could not upload a second file without the ticket (curl
    /// and PHP read it before they close).
    ToTls13Only,
}

/// How far the handshake of a data connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing of it has come.
    #[default]
    Before,
    /// The client has begun.
    Begun,
    /// It is over, in whatever way.
    Over,
}

/// What outlives a change of settings, so that clients go on with their TLS sessions.
#[derive(Clone)]
struct ResumptionState {
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
    owners: Arc<BindingOwners>,
}

/// What is known of a protected connection.
#[derive(Clone, Debug)]
pub(crate) struct Protection {
    pub(crate) version: &'static str,
    pub(crate) cipher: String,
}

/// The TLS session that a data connection resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// That of its own control connection: it is the same client.
    Own,
    /// That of another control connection of the same account at the same address.
    SameAccount,
    /// None.
    NotOwn,
}

/// Which way the bytes of a data connection go.
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

    /// With other settings. Clients go on with the TLS sessions that this one gave out.
    pub(crate) fn with_settings(&self, settings: &TlsSettings) -> Result<Self, rustls::Error> {
        Self::with(settings, self.shared.clone())
    }

    fn with(settings: &TlsSettings, shared: ResumptionState) -> Result<Self, rustls::Error> {
        let base = match settings.version_min {
            TlsVersion::V1_2 => config_of(settings, rustls::ALL_VERSIONS)?,
            TlsVersion::V1_3 => config_of(settings, &[&rustls::version::TLS13])?,
        };
        let must_resume = settings.session_reuse == SessionReuse::Require;
        let reusable = (must_resume && settings.version_min == TlsVersion::V1_2)
            .then(|| config_of(settings, &[&rustls::version::TLS12]))
            .transpose()?;
        Ok(Self {
            base,
            reusable,
            shared,
            must_resume,
            version_min: settings.version_min,
            names: settings.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        })
    }

    /// Takes a control connection into TLS. It may resume any session of this server; what it is
    /// given to resume later carries `binding_id`.
    pub(crate) async fn control(
        &self,
        socket: Socket,
        binding_id: BindingId,
    ) -> io::Result<TlsStream<Socket>> {
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

    /// A control connection from this address is about to begin its handshake.
    pub(crate) fn handshake_started(&self, binding_id: BindingId, peer: IpAddr) {
        self.shared.owners.handshake_started(binding_id, peer);
    }

    /// A control connection has logged in: from now on data connections of the same account at
    /// the same address may resume each other's sessions.
    pub(crate) fn logged_in(&self, binding_id: BindingId, account: &str, peer: IpAddr) {
        self.shared.owners.logged_in(binding_id, account, peer);
    }

    /// Takes a data connection into TLS and says which session it resumed.
    ///
    /// On an upload it gives out no ticket but to a client that has nothing else: see [`TicketPolicy`].
    pub(crate) async fn data(
        &self,
        socket: Socket,
        binding_id: BindingId,
        direction: DataDirection,
        stage: &watch::Sender<Stage>,
    ) -> io::Result<(TlsStream<Socket>, Resumed)> {
        let found = Arc::<ResumedBinding>::default();
        let tickets = match direction {
            DataDirection::Out => TicketPolicy::ToReaders,
            DataDirection::In => TicketPolicy::ToTls13Only,
        };
        let binding = Binding::Data(binding_id, Arc::clone(&found));
        let handshake_result =
            self.handshake(HandshakeOptions { binding, tickets }, socket, Some(stage)).await;
        stage.send_replace(Stage::Over);
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

    /// Takes a data connection into TLS that may be of one of several control connections, and
    /// says of which: the one of which it resumed the session, if it resumed any.
    ///
    /// It is not known yet whether the client is to send or to read, so as if it were to send.
    pub(crate) fn data_of_any(
        self: &Arc<Self>,
        socket: Socket,
        binding_ids: Vec<BindingId>,
    ) -> impl Future<Output = io::Result<(TlsStream<Socket>, Option<BindingId>)>> + Send + use<>
    {
        let found = Arc::<ResumedBinding>::default();
        let binding = Binding::OneOf(binding_ids, Arc::clone(&found));
        let options = HandshakeOptions { binding, tickets: TicketPolicy::ToTls13Only };
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
        stage: Option<&watch::Sender<Stage>>,
    ) -> io::Result<TlsStream<Socket>> {
        let handshake = self.handshake_by_offer(options, socket, stage);
        timeout(HANDSHAKE_MAX, handshake).await.map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")
        })?
    }

    /// Looks at what the client offers before anything is sent: the name that it asks for, and, if
    /// the handshake fails, what it would have needed.
    async fn handshake_by_offer(
        &self,
        options: HandshakeOptions,
        socket: Socket,
        stage: Option<&watch::Sender<Stage>>,
    ) -> io::Result<TlsStream<Socket>> {
        let (mut start, shown) = read_client_hello(socket, self.version_min).await?;
        if let Some(stage) = stage {
            stage.send_replace(Stage::Begun);
        }
        let hello = start.client_hello();
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        let has_tls_1_2 = shown.has_tls_1_2();
        let offer = ClientOffer::of(&hello, &shown);
        if let Some(name) =
            asked.filter(|name| !self.names.is_empty() && !self.names.contains(name))
        {
            start.io.write_all(UNRECOGNIZED_NAME).await?;
            start.io.shutdown().await?;
            let what = format!("the client asked for {name}, which is not in tls.server_names");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let base = self.reusable.as_ref().filter(|_| has_tls_1_2).unwrap_or(&self.base);
        let handshake_result = start.into_stream(self.config(base, &options, !has_tls_1_2)).await;
        handshake_result.map_err(|error| offer.explained(&error, self.version_min))
    }

    fn config(
        &self,
        base: &ServerConfig,
        options: &HandshakeOptions,
        is_tls_1_3_only: bool,
    ) -> Arc<ServerConfig> {
        let mut config = base.clone();
        let HandshakeOptions { binding, tickets } = options;
        let ResumptionState { tickets: inner, sessions, owners } = &self.shared;
        config.ticketer = Arc::new(Tickets::new(inner, binding, owners));
        let (inner, binding) = (Arc::clone(sessions), binding.clone());
        config.session_storage = Arc::new(Sessions { inner, binding });
        config.send_tls13_tickets = match tickets {
            TicketPolicy::Several => TICKETS,
            TicketPolicy::ToReaders => usize::from(self.must_resume),
            TicketPolicy::ToTls13Only => usize::from(self.must_resume && is_tls_1_3_only),
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

fn is_resumed(stream: &TlsStream<Socket>) -> bool {
    stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}

pub(crate) fn protection(stream: &TlsStream<Socket>) -> Protection {
    let connection = stream.get_ref().1;
    let cipher = connection.negotiated_cipher_suite();
    let cipher = cipher.and_then(|suite| suite.suite().as_str().map(str::to_owned));
    Protection {
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
