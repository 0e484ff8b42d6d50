//! The accept loop of each listener. It continues after accept errors.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use wharf_core::event::{AccountFiles, ClientInfo, Event};
use wharf_proto::reply::{Code, Reply};

use crate::net::{Listener, ProxiedPeer, Socket, canonical, read_proxy_header};
use crate::settings::ListenTls;
use crate::shared::Shared;

/// Pause after a failed accept (for example, too many open files), doubled up to a second: the loop
/// neither ends nor spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Proxy connections of which the PROXY header is being read. More are closed.
const PROXY_HEADERS_MAX: usize = 256;
/// Reply if no file descriptor is left for a client.
const NO_DESCRIPTOR: &str = "Too many connections; try again later.";

/// The accept loop of one listener.
pub(super) struct AcceptLoop {
    pub(super) listener: Arc<dyn Listener>,
    pub(super) tls: ListenTls,
    /// Networks of proxies that send a PROXY header; empty if clients connect directly.
    pub(super) proxies: Arc<[IpNet]>,
}

/// A client that was accepted.
pub(super) struct AcceptedClient {
    pub(super) socket: Socket,
    pub(super) tls: ListenTls,
    pub(super) proxies: Arc<[IpNet]>,
    /// Whether the greeting was sent already.
    pub(super) is_greeted: bool,
}

impl AcceptLoop {
    /// Accepts until `leave` is true. Clients accepted by then are passed on.
    pub(super) async fn run(
        self,
        shared: Arc<Shared>,
        accepted_clients: mpsc::Sender<AcceptedClient>,
        mut leave: watch::Receiver<bool>,
    ) {
        let mut pause = ACCEPT_PAUSE;
        let mut proxy_headers = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                // Leaving comes first; then completed headers free their slots.
                biased;
                Ok(_) = leave.wait_for(|leave| *leave) => break,
                Some(_) = proxy_headers.join_next(), if !proxy_headers.is_empty() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok(socket) if self.proxies.is_empty() => {
                    pause = ACCEPT_PAUSE;
                    if accepted_clients.send(self.client_conn(socket)).await.is_err() {
                        return;
                    }
                }
                Ok(socket) => {
                    pause = ACCEPT_PAUSE;
                    self.read_proxy_header_of(
                        socket, &shared, &accepted_clients, &mut proxy_headers,
                    );
                }
                Err(_) => {
                    self.reject_pending(&shared);
                    sleep(pause).await;
                    pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
                }
            }
        }
        // Accepted proxies may still send their headers.
        while proxy_headers.join_next().await.is_some() {}
    }

    fn client_conn(&self, socket: Socket) -> AcceptedClient {
        AcceptedClient {
            socket,
            tls: self.tls,
            proxies: Arc::clone(&self.proxies),
            is_greeted: false,
        }
    }

    /// Reads the PROXY header of a trusted proxy in a task.
    fn read_proxy_header_of(
        &self,
        socket: Socket,
        shared: &Arc<Shared>,
        accepted_clients: &mpsc::Sender<AcceptedClient>,
        proxy_headers: &mut JoinSet<()>,
    ) {
        let Ok(peer) = socket.peer_address() else { return };
        let local = self.listener.local_address();
        if !self.proxies.iter().any(|network| network.contains(&peer.ip())) {
            report_rejected(
                shared,
                peer,
                local,
                "the peer is not a trusted proxy of this listener (proxy_from)",
            );
            return;
        }
        if proxy_headers.len() >= PROXY_HEADERS_MAX {
            report_rejected(
                shared,
                peer,
                local,
                "too many proxy connections without a PROXY header",
            );
            return;
        }
        let client_conn = self.client_conn(socket);
        let (shared, accepted_clients) = (Arc::clone(shared), accepted_clients.clone());
        proxy_headers.spawn(async move {
            // A silent proxy has the timeouts of a silent client.
            let received =
                timeout(login_idle_max(&shared), read_proxy_header(client_conn.socket)).await;
            match received.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(ProxiedPeer::Client(socket)) => {
                    drop(accepted_clients.send(AcceptedClient { socket, ..client_conn }).await);
                }
                Ok(ProxiedPeer::HealthCheck(socket)) => {
                    let most = login_idle_max(&shared);
                    let checked =
                        answer_health_check(&shared, AcceptedClient { socket, ..client_conn });
                    if let Ok(Some(client_conn)) = timeout(most, checked).await {
                        drop(accepted_clients.send(client_conn).await);
                    }
                }
                // A port check without a PROXY header does this.
                Ok(ProxiedPeer::Closed) => {}
                Err(error) => report_rejected(&shared, peer, local, &proxy_header_error(&error)),
            }
        });
    }

    /// Rejects pending clients with 421 if no file descriptor is left; without a reply on implicit
    /// TLS.
    fn reject_pending(&self, shared: &Shared) {
        let mut words = Vec::new();
        if self.tls != ListenTls::Implicit {
            Reply::new(Code::CLOSING, NO_DESCRIPTOR).write(&mut words);
        }
        for peer in self.listener.reject_pending(&words) {
            let reason = "no file descriptor is left; raise the limit of open files";
            report_rejected(shared, canonical(peer), self.listener.local_address(), reason);
        }
    }
}

/// How long a client may be idle before login.
fn login_idle_max(shared: &Shared) -> Duration {
    let settings = &shared.config().settings;
    settings.login.timeout.min(settings.limits.idle_timeout)
}

/// Answers the health check of a proxy with 220, without a session. If it sends something, it
/// becomes an ordinary client with the address of the proxy.
async fn answer_health_check(
    shared: &Shared,
    mut client_conn: AcceptedClient,
) -> Option<AcceptedClient> {
    // With implicit TLS nothing can be sent before the ClientHello.
    if client_conn.tls != ListenTls::Implicit {
        let mut greeting = Vec::new();
        shared.config().settings.greeting_reply().write(&mut greeting);
        client_conn.socket.write_all(&greeting).await.ok()?;
        client_conn.is_greeted = true;
    }
    let socket = client_conn.socket.wait_for_data().await?;
    Some(AcceptedClient { socket, ..client_conn })
}

fn proxy_header_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "timed out reading the PROXY header".into(),
        io::ErrorKind::UnexpectedEof => {
            "connection closed before the PROXY header was complete".into()
        }
        _ => error.to_string(),
    }
}

fn report_rejected(shared: &Shared, peer: SocketAddr, local: SocketAddr, reason: &str) {
    let client_info = ClientInfo {
        session: 0,
        peer,
        local,
        user: None,
        is_tls: false,
        client: None,
        tree: AccountFiles::default(),
    };
    shared.events.emit(&client_info, &Event::ConnectionRejected { reason });
}
