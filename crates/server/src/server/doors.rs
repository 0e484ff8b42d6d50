//! Where clients come in: one door for each address, kept open whatever accept says.

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

use crate::net::{Introduced, Listener, Socket, introduced, plain};
use crate::settings::ListenTls;
use crate::shared::Shared;

/// After a failed accept (too many files are open, say) the next try comes after this, doubled up
/// to a second: the loop neither ends nor spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Connections of proxies that have not said for whom they come. More are closed.
const INTRODUCTIONS_MAX: usize = 256;
/// What a client hears when the system has no descriptor left for it.
const NO_DESCRIPTOR: &str = "Too many sessions; try again later.";

/// An address at which clients come in.
pub(super) struct Door {
    pub(super) listener: Arc<dyn Listener>,
    pub(super) tls: ListenTls,
    /// Where proxies come from that say for whom they come. Without any, clients come themselves.
    pub(super) proxies: Arc<[IpNet]>,
}

/// A client that was accepted.
pub(super) struct Arrival {
    pub(super) socket: Socket,
    pub(super) tls: ListenTls,
    pub(super) proxies: Arc<[IpNet]>,
    /// Whether it has heard 220 already.
    pub(super) is_greeted: bool,
}

impl Door {
    /// Accepts until `leave` is true. Who was accepted by then is passed on, too.
    pub(super) async fn keep(
        self,
        shared: Arc<Shared>,
        arrive: mpsc::Sender<Arrival>,
        mut leave: watch::Receiver<bool>,
    ) {
        let mut pause = ACCEPT_PAUSE;
        let mut introductions = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                // Nobody is taken once we leave; then what is done makes room.
                biased;
                Ok(_) = leave.wait_for(|leave| *leave) => break,
                Some(_) = introductions.join_next(), if !introductions.is_empty() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok(socket) if self.proxies.is_empty() => {
                    pause = ACCEPT_PAUSE;
                    if arrive.send(self.arrival(socket)).await.is_err() {
                        return;
                    }
                }
                Ok(socket) => {
                    pause = ACCEPT_PAUSE;
                    self.introduce(socket, &shared, &arrive, &mut introductions);
                }
                Err(_) => {
                    self.turn_away(&shared);
                    sleep(pause).await;
                    pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
                }
            }
        }
        // Proxies that were accepted may say yet for whom they come.
        while introductions.join_next().await.is_some() {}
    }

    fn arrival(&self, socket: Socket) -> Arrival {
        Arrival { socket, tls: self.tls, proxies: Arc::clone(&self.proxies), is_greeted: false }
    }

    /// Lets a proxy say for whom it comes, if it is one of ours, beside everything else.
    fn introduce(
        &self,
        socket: Socket,
        shared: &Arc<Shared>,
        arrive: &mpsc::Sender<Arrival>,
        introductions: &mut JoinSet<()>,
    ) {
        let Ok(peer) = socket.peer_address() else { return };
        let local = self.listener.local_address();
        if !self.proxies.iter().any(|network| network.contains(&peer.ip())) {
            tell(shared, peer, local, "it is none of the proxies of this address (proxy_from)");
            return;
        }
        if introductions.len() >= INTRODUCTIONS_MAX {
            tell(shared, peer, local, "too many proxied connections have not begun to speak");
            return;
        }
        let arrival = self.arrival(socket);
        let (shared, arrive) = (Arc::clone(shared), arrive.clone());
        introductions.spawn(async move {
            // A proxy that says nothing is a client that says nothing.
            let heard = timeout(silence_max(&shared), introduced(arrival.socket)).await;
            match heard.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(Introduced::Client(socket)) => {
                    drop(arrive.send(Arrival { socket, ..arrival }).await);
                }
                Ok(Introduced::HealthCheck(socket)) => {
                    let most = silence_max(&shared);
                    let checked = answer_check(&shared, Arrival { socket, ..arrival });
                    if let Ok(Some(arrival)) = timeout(most, checked).await {
                        drop(arrive.send(arrival).await);
                    }
                }
                // As a check of the port does that knows nothing of proxies.
                Ok(Introduced::Closed) => {}
                Err(error) => tell(&shared, peer, local, &unintroduced(&error)),
            }
        });
    }

    /// Says 421 to those who wait, where the system has no descriptor left for them. Where TLS
    /// begins at once there is no way to say it, and a proxy would take it for the client's.
    fn turn_away(&self, shared: &Shared) {
        let mut words = Vec::new();
        if self.tls != ListenTls::Implicit {
            Reply::new(Code::CLOSING, NO_DESCRIPTOR).write(&mut words);
        }
        for peer in self.listener.turn_away(&words) {
            let reason = "no descriptor is left; raise the limit of open files";
            tell(shared, plain(peer), self.listener.local_address(), reason);
        }
    }
}

/// How long a client may say nothing before its login.
fn silence_max(shared: &Shared) -> Duration {
    let settings = &shared.terms().settings;
    settings.login.timeout.min(settings.limits.idle_timeout)
}

/// Answers a proxy that looks whether the server lives: with 220, and without a session. Only once
/// it sends something is it a client like others, at the address of the proxy.
async fn answer_check(shared: &Shared, mut arrival: Arrival) -> Option<Arrival> {
    // With TLS from the start there is nothing to say before the client's first message.
    if arrival.tls != ListenTls::Implicit {
        let mut greeting = Vec::new();
        shared.terms().settings.greeting_reply().write(&mut greeting);
        arrival.socket.write_all(&greeting).await.ok()?;
        arrival.is_greeted = true;
    }
    let socket = arrival.socket.heard().await?;
    Some(Arrival { socket, ..arrival })
}

fn unintroduced(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "its PROXY header did not come in time".into(),
        io::ErrorKind::UnexpectedEof => "it left before its PROXY header was whole".into(),
        _ => error.to_string(),
    }
}

fn tell(shared: &Shared, peer: SocketAddr, local: SocketAddr, reason: &str) {
    let client_info = ClientInfo {
        session: 0,
        peer,
        local,
        user: None,
        is_tls: false,
        client: None,
        tree: AccountFiles::default(),
    };
    shared.events.emit(&client_info, &Event::Rejected { reason });
}
