//! Real sockets: a thousand clients of many addresses, and some of one, on ten data ports.
//!
//! Linux lets a program connect from any address of 127.0.0.0/8.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what fails fails the test")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use wharf_core::account::{Account, Count};
use wharf_core::permission::{Permissions, Rules};
use wharf_proto::address::parse_epsv_reply;
use wharf_server::Server;
use wharf_server::certificate::Certificate;
use wharf_server::settings::{Listen, SessionReuse, Settings, Tls, TlsRequire, TlsVersion};
use wharf_storage::Memory;
use wharf_users::single::Single;

use crate::tls_client::client_config;

#[expect(
    dead_code,
    clippy::panic,
    reason = "only data ports are needed, and the test fails without them"
)]
#[path = "../../../wharf/tests/clients/support/ports.rs"]
mod ports;

/// Of ten, three have TLS and one address among them all; the others have addresses of their own.
const CLIENTS: usize = 1000;
const PORTS: u16 = 10;
/// How many clients are between PASV and the end of their transfer at a time. All at once they
/// would need more descriptors than many systems give to one process.
const TOGETHER: usize = 100;
const BYTES: usize = 10_000;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[tokio::test]
async fn row_04_ten_ports_serve_a_thousand_clients_and_each_gets_its_own_file() {
    let memory = Memory::new();
    for client in 0..CLIENTS {
        memory.put(name(client), content(client));
    }
    let bound = server(memory).await;
    let (handle, server) = (bound.handle(), bound.listeners()[0].address);
    let serving = bound.serve();
    let clients = async {
        for wave in (0..CLIENTS).step_by(TOGETHER) {
            // Some of each wave are of the one address, with TLS.
            let barrier = Arc::new(Barrier::new(TOGETHER));
            let mut clients = JoinSet::new();
            for client in wave..wave + TOGETHER {
                let is_secured = client % 10 < 3;
                let barrier = Arc::clone(&barrier);
                clients.spawn(tokio::time::timeout(
                    Duration::from_mins(2),
                    download(server, client, is_secured, barrier),
                ));
            }
            while let Some(done) = clients.join_next().await {
                done.unwrap().expect("no client waits for ever").unwrap();
            }
        }
        handle.shut_down(Duration::ZERO);
    };
    tokio::join!(serving, clients);
    assert_eq!((handle.sessions(), handle.passive_ports_in_use()), (0, 0));
}

fn name(client: usize) -> String {
    format!("/file-{client}")
}

/// Bytes that no other client's file has.
fn content(client: usize) -> Vec<u8> {
    let line = format!("this is of client {client}\n");
    line.bytes().cycle().take(BYTES).collect()
}

/// Logs in, requests a port, waits for the others, and downloads its file twice.
async fn download(
    server: SocketAddr,
    client: usize,
    is_secured: bool,
    barrier: Arc<Barrier>,
) -> io::Result<()> {
    let host = if is_secured { 1 } else { u16::try_from(client).unwrap() + 512 };
    let [high, low] = host.to_be_bytes();
    let from = Ipv4Addr::new(127, 1, high, low);
    let stream = dial(from, server).await?;
    let mut talk = PortClient(BufReader::new(Box::new(stream)));
    talk.expect_reply("220").await;
    let config = is_secured.then(client_config);
    if let Some(config) = &config {
        talk.command("AUTH TLS", "234").await;
        let stream = secure(config, talk.0.into_inner()).await?;
        talk = PortClient(BufReader::new(stream));
    }
    talk.command("USER anna", "331").await;
    talk.command("PASS secret", "230").await;
    talk.command("TYPE I", "200").await;
    if is_secured {
        talk.command("PBSZ 0", "200").await;
        talk.command("PROT P", "200").await;
    }
    for round in 0..2 {
        let reported = talk.command("EPSV", "229").await;
        let port = parse_epsv_reply(reported.as_bytes()).unwrap();
        if round == 0 {
            // All have a port now, so the ports are shared.
            barrier.wait().await;
        }
        // Some connect first and some ask first.
        let to = SocketAddr::new(server.ip(), port);
        let data = if client.is_multiple_of(2) { Some(dial(from, to).await?) } else { None };
        talk.send(&format!("RETR {}", name(client))).await;
        let data: Box<dyn Stream> = Box::new(match data {
            Some(data) => data,
            None => dial(from, to).await?,
        });
        let mut data = match &config {
            Some(config) => secure(config, data).await?,
            None => data,
        };
        let mut got = Vec::new();
        data.read_to_end(&mut got).await?;
        assert!(got == content(client), "client {client}: {:?}", got.get(..40));
        talk.expect_reply("150").await;
        talk.expect_reply("226").await;
    }
    talk.command("QUIT", "221").await;
    Ok(())
}

struct PortClient(BufReader<Box<dyn Stream>>);

impl PortClient {
    async fn command(&mut self, line: &str, code: &str) -> String {
        self.send(line).await;
        self.expect_reply(code).await
    }

    async fn send(&mut self, line: &str) {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    async fn expect_reply(&mut self, code: &str) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        assert!(line.starts_with(code), "expected {code}, received {line}");
        line
    }
}

async fn dial(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from.into(), 0))?;
    socket.connect(to).await
}

async fn secure(
    config: &Arc<ClientConfig>,
    stream: Box<dyn Stream>,
) -> io::Result<Box<dyn Stream>> {
    let name = ServerName::try_from("localhost").unwrap();
    Ok(Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?))
}

async fn server(memory: Memory) -> wharf_server::Bound {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let chain = vec![made.cert.der().clone()];
    let tls = Tls {
        certificate: Certificate::from_der(chain, PrivateKeyDer::Pkcs8(key)).unwrap(),
        min_version: TlsVersion::V1_2,
        require: TlsRequire::Off,
        session_reuse: SessionReuse::Prefer,
        require_close_notify: true,
        server_names: Vec::new(),
    };
    let listen = Listen { address: [127, 0, 0, 1].into(), ports: vec![0], ..Listen::default() };
    let mut settings = Settings { listen: vec![listen], tls: Some(tls), ..Settings::default() };
    settings.passive.ports = free_ports();
    settings.limits.connections = Count::Unlimited;
    settings.limits.connections_per_ip = Count::Unlimited;
    settings.limits.sessions_per_user = Count::Unlimited;
    let anna = Account::new("anna", "/", Rules::everywhere(Permissions::ALL));
    let users = Arc::new(Single::new(anna, b"secret"));
    Server::new(settings, users, Arc::new(memory)).bind().await.unwrap()
}

/// Ports that no other test uses, until this process ends.
fn free_ports() -> std::ops::RangeInclusive<u16> {
    let ports: &'static ports::Ports = Box::leak(Box::new(ports::Ports::take(1)));
    let start = *ports.passive().start();
    start..=start + PORTS - 1
}
