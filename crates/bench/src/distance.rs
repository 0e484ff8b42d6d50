//! A proxy in front of a server, which makes it as far away as a round trip time.
//!
//! Every byte arrives half a round trip later, and a new connection takes a whole one, like the
//! handshake of TCP. Replies to PASV and EPSV name a port of the proxy, so data connections are as
//! slow. The bandwidth is not limited. It can read the replies only without TLS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::bench::clock;

/// A running proxy. Dropping it closes all its connections.
#[derive(Debug)]
pub(crate) struct DistanceProxy {
    pub(crate) address: SocketAddr,
    ended: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

/// Another address of the loopback interface, so that no port is in use by the server.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Bytes read at once.
const BLOCK_BYTES: usize = 64 << 10;
/// Blocks on their way in one direction; then the sender has to wait.
const BLOCKS_MAX: usize = 256;
/// Data ports that were opened and not taken over yet.
const DATA_PORTS_MAX: usize = 16;

/// Bytes, and when they arrive. Empty: the end of the stream.
type Block = (Instant, Vec<u8>);

impl DistanceProxy {
    /// Starts a proxy for the server at this address.
    pub(crate) fn start(server: SocketAddr, round_trip: Duration) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let failed = |error: std::io::Error| format!("cannot start a proxy: {error}");
        let runtime = runtime.map_err(failed)?;
        let listener = runtime.block_on(TcpListener::bind((ADDRESS, 0))).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let ended = Arc::new(Notify::new());
        let is_over = Arc::clone(&ended);
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    // The end comes first, or a busy proxy would not end.
                    biased;
                    () = is_over.notified() => {}
                    () = accept_all(listener, server, round_trip) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("distance".into()).spawn(serve);
        let thread = Some(thread.map_err(failed)?);
        Ok(Self { address, ended, thread })
    }
}

impl Drop for DistanceProxy {
    fn drop(&mut self) {
        self.ended.notify_one();
        // A thread that panicked has printed a message.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A port of the proxy, for one data connection to the server's port.
struct DelayedPort {
    listener: TcpListener,
    server: SocketAddr,
}

async fn accept_all(listener: TcpListener, server: SocketAddr, round_trip: Duration) {
    let (sender, mut opened) = mpsc::channel(DATA_PORTS_MAX);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // A client connects to a data port only after it is open here.
            biased;
            Some(port) = opened.recv() => {
                connections.spawn(carry_data(port, round_trip));
            }
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { return };
                connections.spawn(carry(client, server, round_trip, Some(sender.clone())));
            }
        }
    }
}

async fn carry_data(port: DelayedPort, round_trip: Duration) {
    if let Ok(Ok((client, _))) = tokio::time::timeout(DATA_MAX, port.listener.accept()).await {
        carry(client, port.server, round_trip, None).await;
    }
}

/// Carries a connection to its end; an error only ends it. The replies of a control connection open
/// data ports, which are sent to `opened`.
async fn carry(
    client: TcpStream,
    server: SocketAddr,
    round_trip: Duration,
    opened: Option<mpsc::Sender<DelayedPort>>,
) {
    let half = round_trip / 2;
    // Its handshake, and the way of the client's last packet.
    tokio::time::sleep(round_trip + half).await;
    let Ok(peer) = TcpStream::connect(server).await else { return };
    // A write here is one that was sent, so it is not delayed further.
    if client.set_nodelay(true).is_err() || peer.set_nodelay(true).is_err() {
        return;
    }
    let ((from_client, to_client), (from_peer, to_peer)) = (client.into_split(), peer.into_split());
    let (up, going_up) = mpsc::channel(BLOCKS_MAX);
    let (down, going_down) = mpsc::channel(BLOCKS_MAX);
    let read_peer = async {
        match opened {
            None => read_blocks(from_peer, down, half).await,
            Some(opened) => read_replies(from_peer, down, half, server.ip(), opened).await,
        }
    };
    let upward =
        async { tokio::join!(read_blocks(from_client, up, half), deliver(going_up, to_peer)) };
    tokio::join!(upward, read_peer, deliver(going_down, to_client));
}

async fn read_blocks(mut from: OwnedReadHalf, sender: mpsc::Sender<Block>, half: Duration) {
    let mut buffer = vec![0; BLOCK_BYTES];
    loop {
        let length = from.read(&mut buffer).await.unwrap_or(0);
        let block = buffer.get(..length).unwrap_or_default().to_vec();
        if sender.send((clock::now() + half, block)).await.is_err() || length == 0 {
            return;
        }
    }
}

async fn read_replies(
    from: OwnedReadHalf,
    sender: mpsc::Sender<Block>,
    half: Duration,
    server: IpAddr,
    opened: mpsc::Sender<DelayedPort>,
) {
    let mut from = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        let length = from.read_until(b'\n', &mut line).await.unwrap_or(0);
        if let Some(port) = passive_port(&line)
            && let Ok(listener) = TcpListener::bind((ADDRESS, 0)).await
            && let Ok(own) = listener.local_addr()
        {
            line = passive_reply(&line, own.port());
            let port = DelayedPort { listener, server: SocketAddr::new(server, port) };
            if opened.send(port).await.is_err() {
                return;
            }
        }
        if sender.send((clock::now() + half, line)).await.is_err() || length == 0 {
            return;
        }
    }
}

async fn deliver(mut receiver: mpsc::Receiver<Block>, mut to: OwnedWriteHalf) {
    while let Some((arrival, block)) = receiver.recv().await {
        tokio::time::sleep_until(arrival.into()).await;
        let is_sent = if block.is_empty() {
            to.shutdown().await.is_ok()
        } else {
            to.write_all(&block).await.is_ok()
        };
        if !is_sent {
            return;
        }
    }
}

/// How long a client may take to open its data connection.
const DATA_MAX: Duration = Duration::from_mins(1);

/// The port in a reply to PASV or EPSV.
fn passive_port(line: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(line).ok()?;
    let inside = text.split_once('(')?.1.split_once(')')?.0;
    if text.starts_with("229 ") {
        return inside.trim_matches('|').parse().ok();
    }
    let numbers: Vec<u8> = inside.split(',').filter_map(|number| number.parse().ok()).collect();
    match *numbers {
        [_, _, _, _, high, low] if text.starts_with("227 ") => {
            Some(u16::from_be_bytes([high, low]))
        }
        _ => None,
    }
}

/// The same reply with the proxy's port.
fn passive_reply(line: &[u8], port: u16) -> Vec<u8> {
    if line.starts_with(b"229") {
        return format!("229 Entering Extended Passive Mode (|||{port}|).\r\n").into_bytes();
    }
    let ([a, b, c, d], [high, low]) = (ADDRESS.octets(), port.to_be_bytes());
    format!("227 Entering Passive Mode ({a},{b},{c},{d},{high},{low}).\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, Read as _, Write as _};

    use super::*;

    const FAR: Duration = Duration::from_millis(30);

    #[test]
    fn the_port_of_a_passive_reply_is_replaced() {
        let line = b"229 Extended (|||10007|)\r\n";
        assert_eq!(passive_port(line), Some(10_007));
        assert_eq!(passive_port(&passive_reply(line, 77)), Some(77));
        let line = b"227 Passive (127,0,0,1,39,23).\r\n";
        assert_eq!(passive_port(line), Some(10_007));
        assert_eq!(passive_port(&passive_reply(line, 3000)), Some(3000));
        for other in ["226 Done (|||7|)", "229 no port", "227 (1,2,3)", "220-(127,0,0,1,2,3)"] {
            assert_eq!(passive_port(other.as_bytes()), None, "{other}");
        }
    }

    /// Answers one client: EPSV, then `abc` over the data connection.
    fn serve(listener: &std::net::TcpListener) {
        let data = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut client, _) = listener.accept().unwrap();
        let port = data.local_addr().unwrap().port();
        write!(client, "220 Hello.\r\n229 Here (|||{port}|)\r\n").unwrap();
        data.accept().unwrap().0.write_all(b"abc").unwrap();
        client.write_all(b"226 Done.\r\n").unwrap();
    }

    #[test]
    fn both_connections_are_carried_and_every_round_trip_takes_its_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || serve(&listener));
        let proxy = DistanceProxy::start(server, FAR).unwrap();
        let begun = clock::now();
        let control = std::net::TcpStream::connect(proxy.address).unwrap();
        let mut lines = std::io::BufReader::new(control).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "220 Hello.");
        // One for the connection, one for the greeting.
        assert!(begun.elapsed() >= 2 * FAR);
        let port = passive_port(lines.next().unwrap().unwrap().as_bytes()).unwrap();
        let mut data = std::net::TcpStream::connect((ADDRESS, port)).unwrap();
        let mut text = String::new();
        data.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        assert_eq!(lines.next().unwrap().unwrap(), "226 Done.");
        assert!(begun.elapsed() >= 4 * FAR);
        thread.join().unwrap();
    }
}
