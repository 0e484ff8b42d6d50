//! TLS: handshakes, and the tie between a data connection and its control session.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::sign::SingleCertAndKey;
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

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
    let tied = Tied { tie: Tie::default(), takes: Takes::Any };
    Ok(Acceptor::new(settings)?.config(tied, TICKETS))
}

/// Makes TLS connections out of plain ones.
pub(crate) struct Acceptor {
    base: ServerConfig,
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
    data_tickets: usize,
    /// In lower case; empty: any.
    names: Vec<String>,
}

/// What ties data connections to a control session: nobody else can guess it.
///
/// It stands within the encrypted tickets that the control connection gives out, and in the keys
/// of sessions remembered for clients without tickets. A data connection can resume with its own
/// tie only, so a resumed one is proven to be of the same client, in TLS 1.2 and 1.3 alike.
/// (`ServerConnection::received_resumption_data` of rustls would do for TLS 1.3 alone.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// None.
    NotOwn,
}

impl Acceptor {
    pub(crate) fn new(settings: &TlsSettings) -> Result<Self, rustls::Error> {
        let sessions = ServerSessionMemoryCache::new(SESSIONS_REMEMBERED);
        Self::with(settings, aws_lc_rs::Ticketer::new()?, sessions)
    }

    /// With other settings. Clients go on with the TLS sessions that this one gave out.
    pub(crate) fn renewed(&self, settings: &TlsSettings) -> Result<Self, rustls::Error> {
        Self::with(settings, Arc::clone(&self.tickets), Arc::clone(&self.sessions))
    }

    fn with(
        settings: &TlsSettings,
        tickets: Arc<dyn ProducesTickets>,
        sessions: Arc<dyn StoresServerSessions>,
    ) -> Result<Self, rustls::Error> {
        let versions: &[_] = match settings.version_min {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut base = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(
                &settings.certificate.0,
            ))));
        base.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            base,
            tickets,
            sessions,
            // A client that uploads and never reads would break its own connection over a ticket
            // that it did not fetch. But OpenSSL uses a TLS 1.3 session once only, so where every
            // data connection must resume, each has to give out the next one.
            data_tickets: usize::from(settings.session_reuse == SessionReuse::Require),
            names: settings.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        })
    }

    /// Takes a control connection into TLS. It may resume any session of this server; what it is
    /// given to resume later carries `tie`.
    pub(crate) async fn control(&self, socket: Socket, tie: Tie) -> io::Result<TlsStream<Socket>> {
        self.handshake(self.config(Tied { tie, takes: Takes::Any }, TICKETS), socket).await
    }

    /// Takes a data connection into TLS and says whose session it resumed.
    pub(crate) async fn data(
        &self,
        socket: Socket,
        tie: Tie,
    ) -> io::Result<(TlsStream<Socket>, Resumed)> {
        let config = self.config(Tied { tie, takes: Takes::Own }, self.data_tickets);
        let stream = self.handshake(config, socket).await?;
        let is_resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok((stream, if is_resumed { Resumed::Own } else { Resumed::NotOwn }))
    }

    /// Takes a data connection into TLS that may be of one of several control connections, and
    /// says of which: the one whose session it resumed, if it resumed any.
    pub(crate) fn data_of_one(
        self: &Arc<Self>,
        socket: Socket,
        ties: Vec<Tie>,
    ) -> impl Future<Output = io::Result<(TlsStream<Socket>, Option<Tie>)>> + Send + use<> {
        let among = Arc::new(Among { ties, found: Mutex::default() });
        // What it is given to resume later is of whoever it turns out to be.
        let whose = Tied { tie: Tie::default(), takes: Takes::OneOf(Arc::clone(&among)) };
        let config = self.config(whose, self.data_tickets);
        let acceptor = Arc::clone(self);
        async move {
            let stream = acceptor.handshake(config, socket).await?;
            let is_resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
            Ok((stream, among.found().filter(|_| is_resumed)))
        }
    }

    async fn handshake(
        &self,
        config: Arc<ServerConfig>,
        socket: Socket,
    ) -> io::Result<TlsStream<Socket>> {
        let shaken = async {
            if self.names.is_empty() {
                TlsAcceptor::from(config).accept(socket).await
            } else {
                self.handshake_by_name(config, socket).await
            }
        };
        timeout(HANDSHAKE_MAX, shaken).await.map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")
        })?
    }

    /// Looks at the name that the client asks for before anything of ours is sent.
    async fn handshake_by_name(
        &self,
        config: Arc<ServerConfig>,
        socket: Socket,
    ) -> io::Result<TlsStream<Socket>> {
        let mut start =
            LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket).await?;
        let asked = start.client_hello().server_name().map(str::to_ascii_lowercase);
        if let Some(name) = asked.filter(|name| !self.names.contains(name)) {
            start.io.write_all(UNRECOGNIZED_NAME).await?;
            start.io.shutdown().await?;
            let what = format!("the client asked for {name}, which is not in tls.names");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        start.into_stream(config).await
    }

    fn config(&self, tied: Tied, tickets: usize) -> Arc<ServerConfig> {
        let mut config = self.base.clone();
        let (inner, remembered) = (Arc::clone(&self.tickets), Arc::clone(&self.sessions));
        config.ticketer = Arc::new(Tickets { inner, tied: tied.clone() });
        config.session_storage = Arc::new(Sessions { inner: remembered, tied });
        config.send_tls13_tickets = tickets;
        Arc::new(config)
    }
}

/// Whose sessions a connection may resume, and whose it will be itself.
#[derive(Clone, Debug)]
struct Tied {
    tie: Tie,
    takes: Takes,
}

#[derive(Clone, Debug)]
enum Takes {
    Any,
    Own,
    OneOf(Arc<Among>),
}

/// Several control connections, of one of which a data connection is.
#[derive(Debug)]
struct Among {
    ties: Vec<Tie>,
    /// Whose session was found last. rustls looks at one after the other and ends with the one
    /// that it resumes.
    found: Mutex<Option<Tie>>,
}

impl Among {
    fn found(&self) -> Option<Tie> {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, tie: Tie) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(tie);
    }
}

impl Tied {
    /// Whose it is; nothing as long as that is not known.
    fn owner(&self) -> Option<Tie> {
        match &self.takes {
            Takes::Any | Takes::Own => Some(self.tie),
            Takes::OneOf(among) => among.found(),
        }
    }

    fn admits(&self, tie: Tie) -> bool {
        match &self.takes {
            Takes::Any => true,
            Takes::Own => tie == self.tie,
            Takes::OneOf(among) => {
                let is_one = among.ties.contains(&tie);
                if is_one {
                    among.note(tie);
                }
                is_one
            }
        }
    }

    /// What `look` finds under a key, in the name of each who may be meant.
    fn find(&self, key: &[u8], look: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        match &self.takes {
            Takes::Any | Takes::Own => look(&self.tie.with(key)),
            Takes::OneOf(among) => among.ties.iter().find_map(|tie| {
                let found = look(&tie.with(key))?;
                among.note(*tie);
                Some(found)
            }),
        }
    }
}

impl Tie {
    fn with(self, bytes: &[u8]) -> Vec<u8> {
        [&self.0, bytes].concat()
    }
}

/// Tickets with a tie within.
#[derive(Debug)]
struct Tickets {
    inner: Arc<dyn ProducesTickets>,
    tied: Tied,
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.inner.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.inner.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.inner.encrypt(&self.tied.owner()?.with(plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let plain = self.inner.decrypt(cipher)?;
        let (tie, rest) = plain.split_first_chunk()?;
        self.tied.admits(Tie(*tie)).then(|| rest.to_vec())
    }
}

/// Sessions remembered under keys with a tie within, for clients without tickets. Only their own
/// control connection's data connections find them.
#[derive(Debug)]
struct Sessions {
    inner: Arc<dyn StoresServerSessions>,
    tied: Tied,
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.tied.owner().is_some_and(|tie| self.inner.put(tie.with(&key), value))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.tied.find(key, |key| self.inner.get(key))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.tied.find(key, |key| self.inner.take(key))
    }

    fn can_cache(&self) -> bool {
        self.inner.can_cache()
    }
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

#[cfg(test)]
pub(crate) mod tests {
    use rustls::client::Resumption;
    use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
    use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::certificate::Certificate;
    use crate::settings::TlsRequire;
    use crate::testing::link;

    const OWN: Tie = Tie([1; 16]);
    const OTHER: Tie = Tie([2; 16]);
    const THIRD: Tie = Tie([3; 16]);

    struct Bench {
        acceptor: Arc<Acceptor>,
        roots: RootCertStore,
    }

    /// One with a certificate of its own.
    pub(crate) fn acceptor() -> Arc<Acceptor> {
        Bench::new(SessionReuse::Prefer).acceptor
    }

    impl Bench {
        fn new(session_reuse: SessionReuse) -> Self {
            Self::named(session_reuse, &[])
        }

        fn named(session_reuse: SessionReuse, names: &[&str]) -> Self {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
            let chain = vec![made.cert.der().clone()];
            let mut roots = RootCertStore::empty();
            roots.add(made.cert.der().clone()).unwrap();
            let acceptor = Acceptor::new(&TlsSettings {
                certificate: Certificate::from_der(chain, PrivateKeyDer::Pkcs8(key)).unwrap(),
                version_min: TlsVersion::V1_2,
                require: TlsRequire::Off,
                session_reuse,
                names: names.iter().map(|&name| name.to_owned()).collect(),
            });
            Self { acceptor: Arc::new(acceptor.unwrap()), roots }
        }

        fn client(&self, version: &'static SupportedProtocolVersion) -> ClientConfig {
            let provider = Arc::new(aws_lc_rs::default_provider());
            let builder = ClientConfig::builder_with_provider(provider);
            let builder = builder.with_protocol_versions(&[version]).unwrap();
            let mut config =
                builder.with_root_certificates(self.roots.clone()).with_no_client_auth();
            config.resumption = Resumption::in_memory_sessions(8);
            config
        }

        /// A control connection, from which the client has fetched its tickets.
        async fn control(&self, client: &Arc<ClientConfig>, tie: Tie) -> io::Result<()> {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let served = async {
                let mut stream = self.acceptor.control(link(theirs), tie).await?;
                stream.write_all(b"220 ready").await?;
                stream.shutdown().await
            };
            let connected = async {
                let connector = TlsConnector::from(Arc::clone(client));
                let name = ServerName::try_from("localhost").unwrap();
                let mut stream = connector.connect(name, ours).await?;
                stream.read_to_end(&mut Vec::new()).await
            };
            let (served, connected) = tokio::join!(served, connected);
            // What the client hears is what counts.
            connected.and(served)
        }

        async fn data(&self, client: &Arc<ClientConfig>, tie: Tie) -> Resumed {
            self.connect(client, |socket| self.acceptor.data(socket, tie)).await
        }

        async fn among(&self, client: &Arc<ClientConfig>, ties: Vec<Tie>) -> Option<Tie> {
            self.connect(client, |socket| self.acceptor.data_of_one(socket, ties)).await
        }

        /// What the server's side of a handshake finds.
        async fn connect<T, F: Future<Output = io::Result<(TlsStream<Socket>, T)>>>(
            &self,
            client: &Arc<ClientConfig>,
            accept: impl FnOnce(Socket) -> F,
        ) -> T {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let served = async {
                let (mut stream, found) = accept(link(theirs)).await.unwrap();
                stream.shutdown().await.unwrap();
                found
            };
            let connected = async {
                let connector = TlsConnector::from(Arc::clone(client));
                let name = ServerName::try_from("localhost").unwrap();
                let mut stream = connector.connect(name, ours).await.unwrap();
                stream.read_to_end(&mut Vec::new()).await.unwrap();
            };
            tokio::join!(served, connected).0
        }
    }

    #[tokio::test]
    async fn row_09_the_session_that_is_resumed_is_found_among_several() {
        let bench = Bench::new(SessionReuse::Prefer);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let (one, other) = (Arc::new(bench.client(version)), Arc::new(bench.client(version)));
            bench.control(&one, OWN).await.unwrap();
            bench.control(&other, OTHER).await.unwrap();
            assert_eq!(bench.among(&other, vec![OWN, OTHER]).await, Some(OTHER), "{version:?}");
            assert_eq!(bench.among(&one, vec![OWN, OTHER]).await, Some(OWN), "{version:?}");
            assert_eq!(bench.among(&one, vec![OTHER, THIRD]).await, None, "{version:?}");
            let fresh = Arc::new(bench.client(version));
            assert_eq!(bench.among(&fresh, vec![OWN, OTHER]).await, None, "{version:?}");
        }
    }

    /// A reduced form of ten thousand sessions of a hundred transfers each.
    #[tokio::test]
    async fn row_09_no_own_session_is_ever_taken_for_a_strangers() {
        let bench = Bench::new(SessionReuse::Require);
        for number in 0..60_u8 {
            let version =
                [&rustls::version::TLS12, &rustls::version::TLS13][usize::from(number % 2)];
            let (client, tie) = (Arc::new(bench.client(version)), Tie([number; 16]));
            bench.control(&client, tie).await.unwrap();
            for _ in 0..5 {
                assert_eq!(bench.data(&client, tie).await, Resumed::Own, "session {number}");
            }
        }
    }

    #[tokio::test]
    async fn row_09_only_the_own_session_is_resumed_in_tls_1_2_and_1_3() {
        let bench = Bench::new(SessionReuse::Prefer);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let client = Arc::new(bench.client(version));
            bench.control(&client, OWN).await.unwrap();
            assert_eq!(bench.data(&client, OWN).await, Resumed::Own, "{version:?}");
            bench.control(&client, OTHER).await.unwrap();
            assert_eq!(bench.data(&client, OWN).await, Resumed::NotOwn, "{version:?}");
        }
    }

    #[tokio::test]
    async fn row_09_a_session_never_seen_is_not_the_own_one() {
        let bench = Bench::new(SessionReuse::Prefer);
        let client = Arc::new(bench.client(&rustls::version::TLS13));
        assert_eq!(bench.data(&client, OWN).await, Resumed::NotOwn);
    }

    /// Where each must resume, each gives out what the next one resumes.
    #[tokio::test]
    async fn row_09_many_data_connections_resume_one_after_the_other() {
        let bench = Bench::new(SessionReuse::Require);
        let client = Arc::new(bench.client(&rustls::version::TLS13));
        bench.control(&client, OWN).await.unwrap();
        for _ in 0..3 * TICKETS {
            assert_eq!(bench.data(&client, OWN).await, Resumed::Own);
        }
    }

    #[tokio::test]
    async fn row_10_who_asks_for_another_name_is_turned_away() {
        for (names, is_taken) in
            [(&["ftp.example.com"][..], false), (&["ftp.example.com", "LocalHost"], true)]
        {
            let bench = Bench::named(SessionReuse::Prefer, names);
            let client = Arc::new(bench.client(&rustls::version::TLS13));
            let taken = bench.control(&client, OWN).await;
            assert_eq!(taken.is_ok(), is_taken, "{names:?}");
            if let Err(error) = taken {
                assert!(error.to_string().contains("UnrecognisedName"), "{error}");
            }
        }
    }

    /// A client that was given an address asks for no name.
    #[tokio::test]
    async fn row_10_who_asks_for_no_name_is_let_in() {
        let bench = Bench::named(SessionReuse::Prefer, &["localhost"]);
        let mut client = bench.client(&rustls::version::TLS12);
        client.enable_sni = false;
        assert!(bench.control(&Arc::new(client), OWN).await.is_ok());
    }

    #[tokio::test]
    async fn row_10_who_asks_for_another_protocol_is_turned_away() {
        let bench = Bench::new(SessionReuse::Prefer);
        for (offered, is_taken) in
            [(&["http/1.1"][..], false), (&["h2", "ftp"], true), (&["ftp"], true), (&[], true)]
        {
            let mut client = bench.client(&rustls::version::TLS13);
            client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
            let taken = bench.control(&Arc::new(client), OWN).await;
            assert_eq!(taken.is_ok(), is_taken, "{offered:?}");
            if let Err(error) = taken {
                assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
            }
        }
    }
}
