//! Real sockets: limits of speed that a running server gets, changes and loses.
#![expect(clippy::unwrap_used, reason = "what fails fails the test")]
#![expect(clippy::disallowed_methods, reason = "these are clients")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use wharf_core::account::{Account, Rate};
use wharf_core::permission::{Permissions, Rules};
use wharf_proto::address::parse_epsv_reply;
use wharf_server::certificate::Certificate;
use wharf_server::session_status::{Activity, SessionView};
use wharf_server::settings::{Limits, Listen, SessionReuse, Settings, Tls, TlsRequire, TlsVersion};
use wharf_server::{Handle, Server};
use wharf_storage::{DiskOptions, Disks, Durability};
use wharf_users::single::Single;

use crate::tls_client::client_config;

/// What moves without a limit before one comes: half a minute at that limit.
const FREELY_BYTES: u64 = 96 << 20;
const LIMIT: u64 = 3 << 20;
/// What a step that began before the limit may still move.
const BEGUN_BYTES: u64 = 8 << 20;
/// For a little under a limit: far less than half a minute, and more than a busy machine needs.
const TIMEOUT: Duration = Duration::from_secs(20);
/// For much without a limit.
const LONG_TIMEOUT: Duration = Duration::from_mins(2);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[derive(Clone, Copy, Debug)]
struct TransferCase {
    is_up: bool,
    is_secured: bool,
    /// `A` goes through memory, `I` by the system from file to socket.
    kind: &'static str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_limit_slows_running_transfers_and_stops_none() {
    for is_up in [false, true] {
        for (is_secured, kind) in [(false, "I"), (true, "I"), (false, "A")] {
            let case = TransferCase { is_up, is_secured, kind };
            RateTest::play(case).await;
        }
    }
}

struct RateTest {
    server: SocketAddr,
    handle: Handle,
    settings: Settings,
    users: Arc<Single>,
    stores: Arc<Disks>,
    clients: JoinSet<()>,
}

impl RateTest {
    async fn play(case: TransferCase) {
        let folder = tempfile::tempdir().unwrap();
        // It takes no room, and no client reads it to its end.
        std::fs::File::create(folder.path().join("big")).unwrap().set_len(1 << 40).unwrap();
        let anna = Account::new("anna", folder.path(), Rules::everywhere(Permissions::ALL));
        let users = Arc::new(Single::new(anna, b"secret"));
        let options = DiskOptions { durability: Durability::Fast, ..DiskOptions::default() };
        let stores = Arc::new(Disks::new(options));
        let listen = Listen { address: [127, 0, 0, 1].into(), ports: vec![0], ..Listen::default() };
        let settings = Settings { listen: vec![listen], tls: Some(tls()), ..Settings::default() };
        let (accounts, files) = (Arc::clone(&users), Arc::clone(&stores));
        let bound = Server::new(settings.clone(), accounts, files).bind().await.unwrap();
        let (handle, server) = (bound.handle(), bound.listeners().first().unwrap().address);
        let mut clients = JoinSet::new();
        clients.spawn(bound.serve());
        let mut scene = Self { server, handle, settings, users, stores, clients };

        let old = scene.begin(case, "old").await;
        reaches(&old, FREELY_BYTES, LONG_TIMEOUT, case).await;
        scene.limit(Rate::from_bytes_per_second(LIMIT));
        let fresh = scene.begin(case, "new").await;
        // What was on its way arrives; behind it, it moves, and no faster than it may.
        reaches(&old, old.load(Ordering::Relaxed) + LIMIT / 4, TIMEOUT, case).await;
        reaches(&fresh, LIMIT / 4, TIMEOUT, case).await;
        scene.is_slow(case).await;
        scene.limit(Rate::from_bytes_per_second(LIMIT / 2));
        reaches(&fresh, fresh.load(Ordering::Relaxed) + LIMIT / 4, TIMEOUT, case).await;
        scene.limit(Rate::Unlimited);
        let more = fresh.load(Ordering::Relaxed) + FREELY_BYTES / 2;
        reaches(&fresh, more, LONG_TIMEOUT, case).await;
        scene.clients.shutdown().await;
    }

    /// Both together move no more than their limit has them, as the server counts it: the systems
    /// between both programs buffer tens of megabytes.
    async fn is_slow(&self, case: TransferCase) {
        let moved = |view: SessionView| match view.activity {
            Activity::Transfer(transfer) => transfer.moved,
            _ => 0,
        };
        let sum = || self.handle.views().into_iter().map(moved).sum::<u64>();
        let (began, before) = (Instant::now(), sum());
        let enough = async {
            while sum() < before + BEGUN_BYTES + 3 * LIMIT {
                tokio::task::yield_now().await;
            }
        };
        assert!(
            timeout(Duration::from_secs(2), enough).await.is_err(),
            "{case:?}: {} bytes in {:?}",
            sum() - before,
            began.elapsed()
        );
    }

    fn limit(&mut self, rate: Rate) {
        let limits = Limits {
            user_upload_rate: rate,
            user_download_rate: rate,
            ..self.settings.limits.clone()
        };
        self.settings = Settings { limits, ..self.settings.clone() };
        let (users, stores) = (Arc::clone(&self.users), Arc::clone(&self.stores));
        self.handle.adopt(self.settings.clone(), users, stores).unwrap();
    }

    /// One more client that moves bytes without end; what it has moved.
    async fn begin(&mut self, case: TransferCase, name: &str) -> Arc<AtomicU64> {
        let (control, mut data) = connect(self.server, case, name).await;
        let moved = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&moved);
        self.clients.spawn(async move {
            let _open = control;
            let mut piece = vec![b'\n'; 64 * 1024];
            loop {
                let moved =
                    if case.is_up { data.write(&piece).await } else { data.read(&mut piece).await };
                let Ok(count @ 1..) = moved else { break };
                counted.fetch_add(u64::try_from(count).unwrap(), Ordering::Relaxed);
            }
        });
        moved
    }
}

/// Waits until so much has moved.
async fn reaches(moved: &AtomicU64, bytes: u64, wait_max: Duration, case: TransferCase) {
    let enough = async {
        while moved.load(Ordering::Relaxed) < bytes {
            tokio::task::yield_now().await;
        }
    };
    let in_time = timeout(wait_max, enough).await;
    assert!(in_time.is_ok(), "{case:?}: {moved:?} of {bytes} bytes");
}

/// Logs in and begins a transfer: its control and its data connection.
async fn connect(
    server: SocketAddr,
    case: TransferCase,
    name: &str,
) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let config = case.is_secured.then(client_config);
    let stream: Box<dyn Stream> = Box::new(TcpStream::connect(server).await.unwrap());
    let mut talk = RateClient(BufReader::new(stream));
    talk.expect_reply("220").await;
    if let Some(config) = &config {
        talk.command("AUTH TLS", "234").await;
        talk = RateClient(BufReader::new(secure(config, talk.0.into_inner()).await));
    }
    talk.command("USER anna", "331").await;
    talk.command("PASS secret", "230").await;
    talk.command(&format!("TYPE {}", case.kind), "200").await;
    if case.is_secured {
        talk.command("PBSZ 0", "200").await;
        talk.command("PROT P", "200").await;
    }
    let reported = talk.command("EPSV", "229").await;
    let port = parse_epsv_reply(reported.as_bytes()).unwrap();
    let to = SocketAddr::new(server.ip(), port);
    let data: Box<dyn Stream> = Box::new(TcpStream::connect(to).await.unwrap());
    let command = if case.is_up { format!("STOR {name}") } else { "RETR big".to_owned() };
    talk.command(&command, "150").await;
    let data = match &config {
        Some(config) => secure(config, data).await,
        None => data,
    };
    (talk.0.into_inner(), data)
}

struct RateClient(BufReader<Box<dyn Stream>>);

impl RateClient {
    async fn command(&mut self, line: &str, code: &str) -> String {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
        self.expect_reply(code).await
    }

    async fn expect_reply(&mut self, code: &str) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        assert!(line.starts_with(code), "expected {code}, received {line}");
        line
    }
}

async fn secure(config: &Arc<ClientConfig>, stream: Box<dyn Stream>) -> Box<dyn Stream> {
    let name = ServerName::try_from("localhost").unwrap();
    Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await.unwrap())
}

fn tls() -> Tls {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let chain = vec![made.cert.der().clone()];
    Tls {
        certificate: Certificate::from_der(chain, PrivateKeyDer::Pkcs8(key)).unwrap(),
        min_version: TlsVersion::V1_2,
        require: TlsRequire::Off,
        session_reuse: SessionReuse::Prefer,
        require_close_notify: true,
        server_names: Vec::new(),
    }
}
