//! Listening, connection limits, spawning sessions, and orderly shutdown.

mod accept;
mod opening;
mod session_tasks;
mod start;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle as Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{Instrument, error_span};
use wharf_core::account::AccountLimits;
use wharf_core::event::{Event, Events, NoEvents};
use wharf_core::storage::Stores;
use wharf_core::users::Users;
use wharf_proto::reply::{Code, Reply};

use self::accept::{AcceptLoop, AcceptedClient};
use self::opening::{adopt, open};
use self::session_tasks::{RunningTask, SessionTasks, cut_off, drain};
use self::start::start;
use crate::admission::{AdmittedClient, ConnectionLimits, LimitReached};
use crate::conversation::converse;
use crate::metrics::EngineMetrics;
use crate::net::{Listener, Net, Tcp};
use crate::registry::{End, Registry};
use crate::session::Session;
use crate::session_end::SessionEnd;
use crate::session_status::{CommandLogEntry, SessionView};
use crate::settings::{ListenTls, Settings, Tls};
use crate::shared::Shared;

/// Accepted clients queued for a session.
const ACCEPTED_CLIENTS_MAX: usize = 64;
/// How long a rejected client has to read the reason.
const REJECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Clients that are being rejected at a time; more are closed without a reply.
const REJECTIONS_MAX: usize = 64;

/// An FTP server that has not begun to listen.
///
/// ```
/// use std::sync::Arc;
/// use wharf_core::permission::{Permissions, Rules};
/// use wharf_core::account::Account;
/// use wharf_server::{Server, settings::{Listen, Settings}};
/// use wharf_storage::Memory;
/// use wharf_users::single::Single;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let anna = Account::new("anna", "/", Rules::everywhere(Permissions::ALL));
/// let users = Arc::new(Single::new(anna, b"secret"));
/// let listen = Listen { address: "127.0.0.1".parse()?, ports: vec![0], ..Listen::default() };
/// let settings = Settings { listen: vec![listen], ..Settings::default() };
/// let bound = Server::new(settings, users, Arc::new(Memory::new())).bind().await?;
/// println!("listening on {}", bound.listeners()[0].address);
/// let handle = bound.handle();
/// # handle.shut_down(std::time::Duration::ZERO);
/// bound.serve().await; // until `handle.shut_down(grace)` is called
/// # Ok(())
/// # }
/// ```
pub struct Server {
    settings: Settings,
    users: Arc<dyn Users>,
    stores: Arc<dyn Stores>,
    events: Arc<dyn Events>,
    net: Arc<dyn Net>,
    runtimes: Vec<Runtime>,
    opened: BTreeMap<usize, TcpListener>,
}

/// A server that listens: clients that connect wait until [`Bound::serve`] runs.
pub struct Bound {
    shared: Arc<Shared>,
    accept_loops: Vec<AcceptLoop>,
    listeners: Vec<BoundListener>,
    stop: watch::Sender<Option<Duration>>,
    leave: watch::Sender<bool>,
    workers: Vec<WorkerRuntime>,
}

/// A runtime that serves clients, and their number.
struct WorkerRuntime {
    runtime: Runtime,
    clients: Arc<()>,
}

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundListener {
    /// The address, with the port that was assigned.
    pub address: SocketAddr,
    /// How TLS begins there.
    pub tls: ListenTls,
}

/// Controls a running server. Clones control the same server.
#[derive(Clone)]
pub struct Handle {
    registry: Arc<Registry>,
    shared: Arc<Shared>,
    stop: watch::Sender<Option<Duration>>,
    leave: watch::Sender<bool>,
    /// Valid as long as the server listens.
    listeners: Arc<[Weak<dyn Listener>]>,
}

/// How soon a session must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndWhen {
    /// At once, aborting a transfer.
    Now,
    /// When no transfer runs.
    AfterTransfer,
}

/// Why a server cannot listen.
#[derive(Debug)]
pub enum BindError {
    /// The address is not available.
    Address {
        /// The last address that was tried.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The TLS settings are invalid.
    Tls(rustls::Error),
    /// `settings.listen` is empty, or a listener has no port to try, or is implicit without TLS.
    Settings(&'static str),
}

impl Server {
    /// A server with these settings, accounts and files, without event sink.
    pub fn new(settings: Settings, users: Arc<dyn Users>, stores: Arc<dyn Stores>) -> Self {
        let (events, net) = (Arc::new(NoEvents), Arc::new(Tcp));
        let (runtimes, opened) = (Vec::new(), BTreeMap::new());
        Self { settings, users, stores, events, net, runtimes, opened }
    }

    /// Sends events to `events`.
    #[must_use]
    pub fn events(mut self, events: Arc<dyn Events>) -> Self {
        self.events = events;
        self
    }

    /// Uses another [`Net`] than the sockets of the operating system.
    #[must_use]
    pub fn net(mut self, net: Arc<dyn Net>) -> Self {
        self.net = net;
        self
    }

    /// Spreads clients over these runtimes, each of which serves its clients to their end. Without
    /// any, all are served by the runtime in which [`Bound::serve`] runs.
    ///
    /// One single-threaded runtime per processor is best: a client's commands, replies and small
    /// files then stay on one thread. Large transfers use blocking threads.
    #[must_use]
    pub fn runtimes(mut self, runtimes: Vec<Runtime>) -> Self {
        self.runtimes = runtimes;
        self
    }

    /// Uses a socket that listens already for the entry `index` of `settings.listen`: from a
    /// service manager (socket activation), or from a previous process. Its address replaces that
    /// of the entry.
    #[must_use]
    pub fn opened(mut self, index: usize, listener: TcpListener) -> Self {
        self.opened.insert(index, listener);
        self
    }

    /// Listens on all addresses or on none.
    ///
    /// # Errors
    /// The first address that is not available.
    pub async fn bind(mut self) -> Result<Bound, BindError> {
        if self.settings.listen.is_empty() {
            return Err(BindError::Settings("no listen address is set"));
        }
        let mut accept_loops = Vec::new();
        let mut listeners = Vec::new();
        for (index, listen) in self.settings.listen.iter().enumerate() {
            if listen.tls == ListenTls::Implicit && self.settings.tls.is_none() {
                return Err(BindError::Settings("an implicit TLS listener needs a certificate"));
            }
            let (tls, proxies) = (listen.tls, listen.proxy_from.clone().into());
            let listener = match self.opened.remove(&index) {
                Some(opened) => adopt(opened)?,
                None => open(&*self.net, &self.settings, listen).await?,
            };
            listeners.push(BoundListener { address: listener.local_address(), tls });
            accept_loops.push(AcceptLoop { listener: listener.into(), tls, proxies });
        }
        let shared = Shared::new(self.settings, self.net, self.users, self.stores, self.events)
            .map_err(BindError::Tls)?;
        let stop = watch::Sender::new(None);
        let worker = |runtime| WorkerRuntime { runtime, clients: Arc::default() };
        let workers = self.runtimes.into_iter().map(worker).collect();
        let leave = watch::Sender::new(false);
        Ok(Bound { shared: Arc::new(shared), accept_loops, listeners, stop, leave, workers })
    }
}

impl Bound {
    /// Where clients can connect, in the order of `settings.listen`.
    pub fn listeners(&self) -> &[BoundListener] {
        &self.listeners
    }

    /// A handle to the server, to control it from outside.
    pub fn handle(&self) -> Handle {
        Handle {
            registry: Arc::clone(&self.shared.registry),
            shared: Arc::clone(&self.shared),
            stop: self.stop.clone(),
            leave: self.leave.clone(),
            listeners: self
                .accept_loops
                .iter()
                .map(|accept_loop| Arc::downgrade(&accept_loop.listener))
                .collect(),
        }
    }

    /// Serves until [`Handle::shut_down`] or [`Handle::leave`] is called and every session has
    /// ended. Dropping the future ends everything at once; running uploads are then not published.
    pub async fn serve(self) {
        let (accepted_clients, mut accepted_clients_rx) = mpsc::channel(ACCEPTED_CLIENTS_MAX);
        let mut accept_loops = JoinSet::new();
        for accept_loop in self.accept_loops {
            let leave = self.leave.subscribe();
            accept_loops.spawn(accept_loop.run(
                Arc::clone(&self.shared),
                accepted_clients.clone(),
                leave,
            ));
        }
        drop(accepted_clients);
        let mut stop = self.stop.subscribe();
        let sessions = SessionTasks::default();
        let mut rejections = JoinSet::new();
        let mut is_open = true;
        let grace = loop {
            if !is_open && sessions.is_empty() && rejections.is_empty() {
                return;
            }
            let client_conn = tokio::select! {
                // Stopping comes first, so that a flood of clients cannot delay it.
                biased;
                grace = stopped(&mut stop) => break grace,
                () = sessions.all_ended(), if !is_open && !sessions.is_empty() => continue,
                Some(_) = rejections.join_next(), if !rejections.is_empty() => continue,
                client_conn = accepted_clients_rx.recv(), if is_open => client_conn,
            };
            let Some(client_conn) = client_conn else {
                // All accept loops have ended ([`Handle::leave`]).
                is_open = false;
                continue;
            };
            match admit(&self.shared, &client_conn) {
                Ok(entry) => {
                    spawn_session(&self.workers, &sessions, &self.shared, client_conn, entry);
                }
                Err(rejected) if rejections.len() < REJECTIONS_MAX => {
                    rejections.spawn(reject(Arc::clone(&self.shared), client_conn, rejected));
                }
                Err(_) => {}
            }
        };
        accept_loops.shutdown().await;
        drain(&self.shared.registry, sessions, grace).await;
    }
}

/// Serves a client on the runtime with the fewest clients.
fn spawn_session(
    workers: &[WorkerRuntime],
    sessions: &SessionTasks,
    shared: &Arc<Shared>,
    mut client_conn: AcceptedClient,
    entry: AdmittedConnection,
) {
    let Some(worker) = workers.iter().min_by_key(|worker| Arc::strong_count(&worker.clients))
    else {
        sessions.spawn(&Runtime::current(), |running_task| {
            serve_one(shared, client_conn, entry, (None, running_task))
        });
        return;
    };
    let Ok(socket) = client_conn.socket.deregister() else { return };
    client_conn.socket = socket;
    let counted = Some(Arc::clone(&worker.clients));
    sessions.spawn(&worker.runtime, |running_task| {
        serve_one(shared, client_conn, entry, (counted, running_task))
    });
}

async fn stopped(stop: &mut watch::Receiver<Option<Duration>>) -> Duration {
    let grace = stop.wait_for(Option::is_some).await.ok().and_then(|grace| *grace);
    match grace {
        Some(grace) => grace,
        // All handles are dropped, so nothing can stop the server.
        None => std::future::pending().await,
    }
}

fn admit(
    shared: &Arc<Shared>,
    client_conn: &AcceptedClient,
) -> Result<AdmittedConnection, Rejection> {
    let gone = |_| Rejection { reply: "gone", limit: None };
    let peer = client_conn.socket.peer_address().map_err(gone)?;
    let local = client_conn.socket.local_address().map_err(gone)?;
    shared.check_ban(peer, local).map_err(|reply| Rejection { reply, limit: None })?;
    let config = shared.config();
    let limits = &config.settings.limits;
    let connection_limits = ConnectionLimits {
        total_max: limits.connections,
        before_login_max: limits.connections_before_login,
        connections_per_ip: limits.connections_per_ip,
        reserved: limits.connections_reserved,
    };
    let is_known = shared.auth_throttle.is_known(peer.ip(), shared.now());
    let entry = shared.admission.enter(peer.ip(), is_known, connection_limits);
    let rejected = |full: LimitReached| Rejection { reply: full.reply, limit: Some(full.limit) };
    Ok(AdmittedConnection { entry: entry.map_err(rejected)?, peer, local })
}

/// A client within the limits.
struct AdmittedConnection {
    entry: AdmittedClient,
    peer: SocketAddr,
    local: SocketAddr,
}

/// Why a client is rejected.
#[derive(Clone, Copy)]
struct Rejection {
    /// For the client.
    reply: &'static str,
    /// The setting that is the limit; none if an event was emitted already.
    limit: Option<&'static str>,
}

/// Sends the reason to a rejected client; not with implicit TLS, where plain replies are
/// impossible.
async fn reject(shared: Arc<Shared>, mut client_conn: AcceptedClient, rejected: Rejection) {
    let (Ok(peer), Ok(local)) =
        (client_conn.socket.peer_address(), client_conn.socket.local_address())
    else {
        return;
    };
    if let Some(limit) = rejected.limit {
        let reason = format!("{} ({limit})", rejected.reply);
        shared.emit_without_session(peer, local, &Event::ConnectionRejected { reason: &reason });
    }
    if client_conn.tls != ListenTls::Implicit {
        let mut bytes = Vec::new();
        Reply::new(Code::CLOSING, rejected.reply).write(&mut bytes);
        let rejection = async {
            client_conn.socket.write_all(&bytes).await?;
            client_conn.socket.shutdown().await
        };
        let _ = timeout(REJECT_TIMEOUT, rejection).await;
    }
}

/// Runs one session. The connection limits and the registry are released in every case, and last
/// `counted`, by which its runtime and the server count it.
///
/// What it takes is small or boxed: a future keeps room for its arguments until it ends, also for
/// those that it has passed on.
fn serve_one(
    shared: &Arc<Shared>,
    client_conn: AcceptedClient,
    admitted: AdmittedConnection,
    counted: (Option<Arc<()>>, RunningTask),
) -> impl Future<Output = ()> + use<> {
    let AdmittedConnection { entry, peer, local } = admitted;
    let registered = shared.registry.register(peer, local);
    let handle = Arc::clone(&registered.handle);
    let mut session = Session::new(shared, handle, local, client_conn.tls);
    session.proxies = Arc::clone(&client_conn.proxies);
    session.unauthenticated = Some(entry.unauthenticated);
    session.is_greeted = client_conn.is_greeted;
    let (connection_guard, client_conn) = (entry.connection, Box::new(client_conn));
    // Always present, so that a session can be diagnosed from any moment on.
    let span = error_span!("session", session_id = session.handle.number);
    let talking = async move {
        let talk = async {
            // Boxed, so that a session does not reserve memory for its TLS handshake.
            let mut control = match Box::pin(start(&mut session, client_conn)).await {
                Ok(control) => control,
                Err(exit) => return exit,
            };
            let exit = converse(&mut control, &mut session).await;
            session.is_silent = !control.has_received()
                && (matches!(exit, SessionEnd::Disconnected(_)) || control.has_left().await);
            control.close(matches!(exit, SessionEnd::Terminated(_))).await;
            exit
        };
        let exit = tokio::select! {
            // A session that ends in time is not cut off.
            biased;
            exit = talk => exit,
            exit = cut_off(&registered.handle) => exit,
        };
        session.end = Some(exit.to_string());
        drop((session, registered, connection_guard));
        drop(counted);
    };
    talking.instrument(span)
}

impl Handle {
    /// Accepts no more clients, ends sessions without a transfer, waits for transfers for `grace`,
    /// and then ends those too. A second call has no effect.
    pub fn shut_down(&self, grace: Duration) {
        self.stop.send_if_modified(|stop| {
            let is_first = stop.is_none();
            stop.get_or_insert(grace);
            is_first
        });
    }

    /// Duplicates the listening sockets, in the order of `settings.listen`, for another process
    /// that is to serve on them. See [`Handle::leave`].
    ///
    /// # Errors
    /// The server no longer listens, a listener is not an operating system socket, or no
    /// file descriptor is left.
    pub fn duplicates(&self) -> io::Result<Vec<TcpListener>> {
        let duplicate = |listener: &Weak<dyn Listener>| match listener.upgrade() {
            Some(listener) => listener.duplicate(),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        self.listeners.iter().map(duplicate).collect()
    }

    /// Accepts no more clients, and continues to serve the connected ones: [`Bound::serve`] returns
    /// when the last session has ended. No accepted client is lost, and clients in the backlog are
    /// served by the process that shares the socket.
    pub fn leave(&self) {
        self.leave.send_replace(true);
    }

    /// Ends the sessions of an account now: 426 for a running transfer, then 421 with `reason`.
    pub fn end_sessions_of(&self, user: &str, reason: &str) {
        for handle in self.registry.sessions() {
            if handle.status.is_account(user) {
                handle.end(End::Now, reason);
            }
        }
    }

    /// A snapshot of every session, by number.
    pub fn views(&self) -> Vec<SessionView> {
        self.registry.sessions().iter().map(|handle| handle.view()).collect()
    }

    /// A snapshot of one session, and its command log, the oldest entry first.
    pub fn view(&self, number: u64) -> Option<(SessionView, Vec<CommandLogEntry>)> {
        self.registry.find(number).map(|handle| (handle.view(), handle.status.history()))
    }

    /// Measures transfer rates since the last call: call it once a second if [`SessionView`] is
    /// used.
    pub fn measure(&self) {
        self.registry.measure();
    }

    /// Ends a session with 421 and `reason`: now (with 426 for a running transfer), or when no
    /// transfer runs. Returns whether the session exists.
    pub fn end_session(&self, number: u64, when: EndWhen, reason: &str) -> bool {
        let how = match when {
            EndWhen::Now => End::Now,
            EndWhen::AfterTransfer => End::AfterTransfer,
        };
        let found = self.registry.find(number);
        if let Some(handle) = &found {
            handle.end(how, reason);
        }
        found.is_some()
    }

    /// Replaces the configuration: new sessions use all of `settings`, logins use `users` and
    /// `stores`, all transfers, running ones too, use the rates, and all sessions the timeouts of
    /// `settings.limits`. `settings.listen` and `settings.passive.ports` are ignored: sockets stay
    /// as they are. Present sessions keep all other settings.
    ///
    /// # Errors
    /// The TLS settings do not work; nothing has changed.
    pub fn adopt(
        &self,
        settings: Settings,
        users: Arc<dyn Users>,
        stores: Arc<dyn Stores>,
    ) -> Result<(), rustls::Error> {
        self.shared.adopt(settings, users, stores)
    }

    /// Replaces the certificate and the TLS settings. Established connections stay as they are, and
    /// clients can still resume their TLS sessions.
    ///
    /// # Errors
    /// The TLS settings do not work; nothing has changed.
    pub fn adopt_tls(&self, tls: Tls) -> Result<(), rustls::Error> {
        self.shared.adopt_tls(tls)
    }

    /// Replaces the limits of logged-in accounts for which `of` returns some: rates apply to
    /// running transfers, the number of sessions to the next login.
    pub fn renew_limits(&self, of: impl Fn(&str) -> Option<AccountLimits>) {
        self.shared.renew_limits(of);
    }

    /// The number of sessions.
    pub fn sessions(&self) -> usize {
        self.shared.admission.total()
    }

    /// The counters of this server.
    pub fn metrics(&self) -> Arc<EngineMetrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// The number of passive ports in use.
    pub fn passive_ports_in_use(&self) -> usize {
        self.shared.ports.leased()
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, source } => {
                write!(out, "cannot listen on {address}: {source}")
            }
            Self::Tls(source) => write!(out, "invalid TLS settings: {source}"),
            Self::Settings(what) => out.write_str(what),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address { source, .. } => Some(source),
            Self::Tls(source) => Some(source),
            Self::Settings(_) => None,
        }
    }
}

mod bans;
mod passive;
#[cfg(test)]
mod survival_tests;

#[cfg(test)]
mod tests {
    use super::*;

    /// An embedder can spawn it.
    #[test]
    fn serving_can_be_a_task_of_any_runtime() {
        fn is_send<T: Send>(_: impl Fn(Bound) -> T) {}
        is_send(Bound::serve);
    }
}
