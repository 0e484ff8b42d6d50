//! Handshakes in memory: which clients are accepted, and which sessions are resumed.

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::*;
use crate::certificate::Certificate;
use crate::settings::TlsRequire;
use crate::testing::link;

const OWN: BindingId = BindingId([1; 16]);
const OTHER: BindingId = BindingId([2; 16]);
const THIRD: BindingId = BindingId([3; 16]);

struct TlsFixture {
    acceptor: Arc<Acceptor>,
    roots: RootCertStore,
}

/// An acceptor with a new certificate.
pub(crate) fn acceptor() -> Arc<Acceptor> {
    TlsFixture::new(SessionReuse::Prefer).acceptor
}

/// Settings with a certificate that is generated once.
pub(crate) fn any_settings() -> TlsSettings {
    static ONCE: std::sync::OnceLock<TlsSettings> = std::sync::OnceLock::new();
    let make = || {
        let options = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(options.signing_key.serialize_der());
        let chain = vec![options.cert.der().clone()];
        let certificate = Certificate::from_der(chain, PrivateKeyDer::Pkcs8(key)).unwrap();
        settings(certificate, SessionReuse::Prefer, &[])
    };
    ONCE.get_or_init(make).clone()
}

fn settings(certificate: Certificate, session_reuse: SessionReuse, names: &[&str]) -> TlsSettings {
    TlsSettings {
        certificate,
        min_version: TlsVersion::V1_2,
        require: TlsRequire::Off,
        session_reuse,
        require_close_notify: true,
        server_names: names.iter().map(|&name| name.to_owned()).collect(),
    }
}

impl TlsFixture {
    fn new(session_reuse: SessionReuse) -> Self {
        Self::named(session_reuse, &[])
    }

    fn named(session_reuse: SessionReuse, names: &[&str]) -> Self {
        let options = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(options.signing_key.serialize_der());
        let chain = vec![options.cert.der().clone()];
        let mut roots = RootCertStore::empty();
        roots.add(options.cert.der().clone()).unwrap();
        let certificate = Certificate::from_der(chain, PrivateKeyDer::Pkcs8(key)).unwrap();
        let acceptor = Acceptor::new(&settings(certificate, session_reuse, names));
        Self { acceptor: Arc::new(acceptor.unwrap()), roots }
    }

    fn client(&self, version: &'static SupportedProtocolVersion) -> ClientConfig {
        self.client_of(&[version])
    }

    fn client_of(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.resumption = Resumption::in_memory_sessions(8);
        config
    }

    /// A control connection on which the client has received its tickets.
    async fn control(&self, client: &Arc<ClientConfig>, binding_id: BindingId) -> io::Result<()> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let served = async {
            let mut stream = self.acceptor.control(link(theirs), binding_id).await?;
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
        // The error of the client is returned first.
        connected.and(served)
    }

    async fn data(&self, client: &Arc<ClientConfig>, binding_id: BindingId) -> Resumed {
        self.data_in(client, binding_id, DataDirection::Out).await
    }

    async fn data_in(
        &self,
        client: &Arc<ClientConfig>,
        binding_id: BindingId,
        direction: DataDirection,
    ) -> Resumed {
        let stage = watch::Sender::new(HandshakeStage::Before);
        let resumed = self.connect(client, async |socket: Socket| {
            self.acceptor.data(socket, binding_id, direction, &stage).await
        });
        let resumed = resumed.await;
        assert_eq!(*stage.borrow(), HandshakeStage::Over);
        resumed
    }

    async fn among(
        &self,
        client: &Arc<ClientConfig>,
        binding_ids: Vec<BindingId>,
    ) -> Option<BindingId> {
        self.connect(client, async |socket| self.acceptor.data_of_any(socket, binding_ids).await)
            .await
    }

    /// The result of the server's side of a handshake.
    async fn connect<T>(
        &self,
        client: &Arc<ClientConfig>,
        accept: impl AsyncFnOnce(Socket) -> io::Result<(TlsStream<TlsTransport>, T)>,
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
    let bench = TlsFixture::new(SessionReuse::Prefer);
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
async fn row_09_the_own_session_is_always_recognised() {
    let bench = TlsFixture::new(SessionReuse::Require);
    for number in 0..60_u8 {
        let version = [&rustls::version::TLS12, &rustls::version::TLS13][usize::from(number % 2)];
        let (client, binding_id) = (Arc::new(bench.client(version)), BindingId([number; 16]));
        bench.control(&client, binding_id).await.unwrap();
        for _ in 0..5 {
            assert_eq!(bench.data(&client, binding_id).await, Resumed::Own, "session {number}");
        }
    }
}

#[tokio::test]
async fn row_09_only_the_own_session_is_resumed_in_tls_1_2_and_1_3() {
    let bench = TlsFixture::new(SessionReuse::Prefer);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = Arc::new(bench.client(version));
        bench.control(&client, OWN).await.unwrap();
        assert_eq!(bench.data(&client, OWN).await, Resumed::Own, "{version:?}");
        let client = Arc::new(bench.client(version));
        bench.control(&client, OTHER).await.unwrap();
        assert_eq!(bench.data(&client, OWN).await, Resumed::NotOwn, "{version:?}");
    }
}

#[tokio::test]
async fn row_09_a_session_never_seen_is_not_the_own_one() {
    let bench = TlsFixture::new(SessionReuse::Prefer);
    let client = Arc::new(bench.client(&rustls::version::TLS13));
    assert_eq!(bench.data(&client, OWN).await, Resumed::NotOwn);
}

/// If each must resume, each issues the session that the next one resumes.
#[tokio::test]
async fn row_09_many_data_connections_resume_one_after_the_other() {
    let bench = TlsFixture::new(SessionReuse::Require);
    let client = Arc::new(bench.client(&rustls::version::TLS13));
    bench.control(&client, OWN).await.unwrap();
    for _ in 0..3 * TICKETS {
        assert_eq!(bench.data(&client, OWN).await, Resumed::Own);
    }
}

#[tokio::test]
async fn row_10_a_client_with_another_server_name_is_rejected() {
    for (names, is_taken) in
        [(&["ftp.example.com"][..], false), (&["ftp.example.com", "LocalHost"], true)]
    {
        let bench = TlsFixture::named(SessionReuse::Prefer, names);
        let client = Arc::new(bench.client(&rustls::version::TLS13));
        let taken = bench.control(&client, OWN).await;
        assert_eq!(taken.is_ok(), is_taken, "{names:?}");
        if let Err(error) = taken {
            assert!(error.to_string().contains("UnrecognisedName"), "{error}");
        }
    }
}

/// A client that connects to an IP address sends no SNI.
#[tokio::test]
async fn row_10_a_client_without_a_server_name_is_accepted() {
    let bench = TlsFixture::named(SessionReuse::Prefer, &["localhost"]);
    let mut client = bench.client(&rustls::version::TLS12);
    client.enable_sni = false;
    assert!(bench.control(&Arc::new(client), OWN).await.is_ok());
}

#[tokio::test]
async fn row_10_a_client_with_another_protocol_is_rejected() {
    let bench = TlsFixture::new(SessionReuse::Prefer);
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

/// rclone uses one session cache for all its control connections.
#[tokio::test]
async fn row_09_a_session_of_the_same_account_and_address_is_resumed_and_no_others() {
    let bench = TlsFixture::new(SessionReuse::Require);
    let (here, elsewhere) = (IpAddr::from([192, 0, 2, 7]), IpAddr::from([192, 0, 2, 8]));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (name, address, resumed) in [
            ("anna", here, Resumed::SameAccount),
            ("bob", here, Resumed::NotOwn),
            ("anna", elsewhere, Resumed::NotOwn),
        ] {
            let (client, own) = (Arc::new(bench.client(version)), Arc::new(bench.client(version)));
            bench.control(&own, OWN).await.unwrap();
            bench.acceptor.logged_in(OWN, "anna", here);
            bench.control(&client, OTHER).await.unwrap();
            let early = Arc::new(bench.client(version));
            bench.control(&early, THIRD).await.unwrap();
            assert_eq!(bench.data(&early, OWN).await, Resumed::NotOwn, "before the login");
            bench.acceptor.logged_in(OTHER, name, address);
            assert_eq!(bench.data(&client, OWN).await, resumed, "{version:?} {name} {address}");
            assert_eq!(bench.data(&own, OWN).await, Resumed::Own, "{version:?}");
        }
    }
}

/// Many clients use a TLS 1.3 session once, so each data connection issues the next one.
#[tokio::test]
async fn row_09_clients_that_use_a_session_once_resume_at_every_transfer() {
    for reuse in [SessionReuse::Prefer, SessionReuse::Require] {
        for direction in [DataDirection::In, DataDirection::Out] {
            let mut bench = TlsFixture::new(reuse);
            // As with `tls.min_version = "1.3"`.
            let acceptor = Arc::get_mut(&mut bench.acceptor).unwrap();
            acceptor.reusable = None;
            for versions in [&[&rustls::version::TLS13][..], rustls::ALL_VERSIONS] {
                let client = Arc::new(bench.client_of(versions));
                bench.control(&client, OWN).await.unwrap();
                for number in 0..10 * TICKETS {
                    let resumed = bench.data_in(&client, OWN, direction).await;
                    assert_eq!(resumed, Resumed::Own, "{reuse:?} {direction:?} {number}");
                }
                for _ in 0..3 * TICKETS {
                    assert_eq!(bench.among(&client, vec![OTHER, OWN]).await, Some(OWN));
                }
            }
        }
    }
}

/// A client that closes its socket with unread data resets the connection, and the end of its
/// upload may be lost.
#[tokio::test]
async fn row_33_nothing_is_sent_to_a_client_during_its_upload_and_a_ticket_at_the_end() {
    let bench = TlsFixture::new(SessionReuse::Require);
    let client = Arc::new(bench.client(&rustls::version::TLS13));
    bench.control(&client, OWN).await.unwrap();
    for (direction, is_silent) in [(DataDirection::In, true), (DataDirection::Out, false)] {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let stage = watch::Sender::new(HandshakeStage::Before);
        let connector = TlsConnector::from(Arc::clone(&client));
        let connected = connector.connect(ServerName::try_from("localhost").unwrap(), ours);
        let served = bench.acceptor.data(link(theirs), OWN, direction, &stage);
        let (connected, served) = tokio::join!(connected, served);
        let (mut connected, (mut served, _)) = (connected.unwrap(), served.unwrap());
        connected.write_all(b"content").await.unwrap();
        served.read_exact(&mut [0; 7]).await.unwrap();
        let mut bytes = [0; 1024];
        let mut unread = tokio::io::ReadBuf::new(&mut bytes);
        let socket = connected.get_mut().0;
        let is_ready = std::future::poll_fn(|context| {
            use tokio::io::AsyncRead as _;
            let polled = std::pin::Pin::new(&mut *socket).poll_read(context, &mut unread);
            std::task::Poll::Ready(polled.is_ready())
        });
        assert_eq!(!is_ready.await, is_silent, "{direction:?}");
        let before = unread.filled().len();
        served.shutdown().await.unwrap();
        drop(served);
        let mut rest = Vec::new();
        connected.get_mut().0.read_to_end(&mut rest).await.unwrap();
        let (ticket, close_notify) = if is_silent { (rest.len(), 0) } else { (before, rest.len()) };
        assert!(ticket > 100 && close_notify < 100, "{direction:?}: {ticket} {close_notify}");
    }
}

/// Older versions of libcurl, recognised by AUTH SSL.
#[tokio::test]
async fn a_client_that_reads_only_before_it_closes_gets_its_ticket_early_where_it_must_resume() {
    let peer = IpAddr::from([192, 0, 2, 7]);
    for (reuse, reads_before_close, is_early) in [
        (SessionReuse::Require, true, true),
        (SessionReuse::Require, false, false),
        (SessionReuse::Prefer, true, false),
    ] {
        let bench = TlsFixture::new(reuse);
        let client = Arc::new(bench.client(&rustls::version::TLS13));
        bench.acceptor.handshake_started(OWN, peer, reads_before_close);
        bench.control(&client, OWN).await.unwrap();
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let stage = watch::Sender::new(HandshakeStage::Before);
        let connector = TlsConnector::from(Arc::clone(&client));
        let connected = connector.connect(ServerName::try_from("localhost").unwrap(), ours);
        let served = bench.acceptor.data(link(theirs), OWN, DataDirection::In, &stage);
        let (connected, served) = tokio::join!(connected, served);
        let (mut connected, (served, _)) = (connected.unwrap(), served.unwrap());
        // Without close_notify, so that what was withheld is not sent at all.
        drop(served);
        let mut sent = Vec::new();
        connected.get_mut().0.read_to_end(&mut sent).await.unwrap();
        assert_eq!(!sent.is_empty(), is_early, "{reuse:?} {reads_before_close}");
    }
}

/// Without a session of its control connection a data connection may be that of another client, so
/// the session that it gets proves nothing.
#[tokio::test]
async fn row_09_a_tls_session_without_resumption_authenticates_nothing() {
    for reuse in [SessionReuse::Prefer, SessionReuse::Require] {
        let bench = TlsFixture::new(reuse);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let own = Arc::new(bench.client(version));
            bench.control(&own, OWN).await.unwrap();
            bench.acceptor.logged_in(OWN, "anna", IpAddr::from([192, 0, 2, 7]));
            let other = Arc::new(bench.client(version));
            for number in 0..4 {
                let resumed = bench.data(&other, OWN).await;
                assert_eq!(resumed, Resumed::NotOwn, "{reuse:?} {version:?} {number}");
                assert_eq!(bench.among(&other, vec![OWN, THIRD]).await, None, "{version:?}");
            }
            assert_eq!(bench.data(&own, OWN).await, Resumed::Own, "{version:?}");
        }
    }
}

/// It is resumed all the same: a handshake without signature costs less.
#[tokio::test]
async fn an_unauthenticated_data_connection_resumes_the_previous_one() {
    let bench = TlsFixture::new(SessionReuse::Prefer);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = Arc::new(bench.client(version));
        let stage = watch::Sender::new(HandshakeStage::Before);
        for is_resumed in [false, true, true] {
            let kind = bench.connect(&client, async |socket: Socket| {
                let data = bench.acceptor.data(socket, OWN, DataDirection::Out, &stage);
                let (stream, _) = data.await?;
                let kind = stream.get_ref().1.handshake_kind();
                Ok((stream, kind))
            });
            let was_resumed = kind.await == Some(HandshakeKind::Resumed);
            assert_eq!(was_resumed, is_resumed, "{version:?}");
        }
    }
}

/// With an ECDSA certificate first and an RSA one for clients that need it.
#[tokio::test]
async fn a_client_is_shown_the_certificate_that_it_can_use() {
    let options = |key: rcgen::KeyPair| {
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (der.clone(), Certificate::from_der(vec![der], PrivateKeyDer::Pkcs8(key)).unwrap())
    };
    let (_, ecdsa) = options(rcgen::KeyPair::generate().unwrap());
    let rsa = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
    let (root, rsa) = options(rsa.unwrap());
    let mut bench = TlsFixture::new(SessionReuse::Prefer);
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    bench.roots = roots;
    for (certificate, is_taken) in [(ecdsa.clone(), false), (ecdsa.or(rsa), true)] {
        let settings = settings(certificate, SessionReuse::Prefer, &[]);
        bench.acceptor = Arc::new(Acceptor::new(&settings).unwrap());
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| {
            suite.suite().as_str().is_some_and(|name| name.starts_with("TLS_ECDHE_RSA_"))
        });
        let client = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(bench.roots.clone())
            .with_no_client_auth();
        let taken = bench.control(&Arc::new(client), OWN).await;
        assert_eq!(taken.is_ok(), is_taken, "{taken:?}");
        // Any other client takes the first.
        let other = bench.client(&rustls::version::TLS13);
        // It trusts only the other one.
        assert!(bench.control(&Arc::new(other), OWN).await.is_err());
    }
}

#[tokio::test]
async fn data_that_is_not_tls_is_described() {
    let bench = TlsFixture::new(SessionReuse::Prefer);
    for (sent, reported) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "the client sent something that is not TLS"),
        (b"", "the client closed the connection"),
    ] {
        let (mut theirs, ours) = tokio::io::duplex(1024);
        theirs.write_all(sent).await.unwrap();
        theirs.shutdown().await.unwrap();
        let error = bench.acceptor.control(link(ours), OWN).await.err().unwrap();
        assert_eq!(error.to_string(), reported);
    }
}

/// A control connection that resumes a session of another belongs to the same client, logged in or
/// not.
#[tokio::test]
async fn row_09_control_connections_that_resume_each_other_are_of_one_client() {
    let bench = TlsFixture::new(SessionReuse::Require);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = Arc::new(bench.client(version));
        bench.control(&client, OWN).await.unwrap();
        bench.control(&client, OTHER).await.unwrap();
        // The newest session is the one that it tries.
        assert_ne!(bench.data(&client, OWN).await, Resumed::NotOwn, "{version:?}");
        bench.control(&Arc::new(bench.client(version)), THIRD).await.unwrap();
        assert_eq!(bench.data(&client, THIRD).await, Resumed::NotOwn, "{version:?}");
    }
}

/// Many clients use a TLS 1.3 session once, so TLS 1.2 is better if each must resume.
#[tokio::test]
async fn row_09_tls_1_2_is_chosen_where_all_must_resume_and_the_client_offers_it() {
    for (reuse, version) in [
        (SessionReuse::Require, ProtocolVersion::TLSv1_2),
        (SessionReuse::Prefer, ProtocolVersion::TLSv1_3),
    ] {
        let bench = TlsFixture::new(reuse);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap()
            .with_root_certificates(bench.roots.clone())
            .with_no_client_auth();
        let client = Arc::new(client);
        let agreed = bench.connect(&client, async |socket| {
            let stream = bench.acceptor.control(socket, OWN).await?;
            let agreed = stream.get_ref().1.protocol_version();
            Ok((stream, agreed))
        });
        assert_eq!(agreed.await, Some(version));
        let only = Arc::new(bench.client(&rustls::version::TLS13));
        assert!(bench.control(&only, OWN).await.is_ok());
    }
}
