//! A server with its accounts, files and network, for scripted dialogues.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use wharf_core::account::Account;
use wharf_core::event::{ClientInfo, Event, Events};
use wharf_core::lock;
use wharf_core::permission::{Permissions, Rules};
use wharf_core::storage::Stores;
use wharf_proto::time::Timestamp;
use wharf_server::Server;
use wharf_server::settings::{
    ListTime, Listen, SessionReuse, Settings, Tls, TlsRequire, TlsVersion,
};
use wharf_storage::Memory;

use crate::dialogue::{DialogueOutcome, ScriptRunner};
use crate::net::{BEGIN, SimNet};
use crate::network_faults::NetworkFaults;
use crate::stream::certificate;
use crate::users::FixedUsers;

/// The address of the server.
pub const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 21);
/// The address of clients unless set otherwise.
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
/// Maximum duration of a shutdown.
const END_MAX: Duration = Duration::from_mins(1);

/// An environment for a dialogue: no network faults, one server at [`SERVER`], files in memory.
///
/// ```
/// use wharf_core::permission::Permissions;
/// use wharf_sim::World;
///
/// let outcome = World::new()
///     .account("anna", "secret", Permissions::ALL)
///     .file("/a", b"hello")
///     .run("C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: QUIT\nS: 221 *\nS: EOF");
/// assert_eq!(outcome.memory.content("/a").unwrap(), b"hello");
/// ```
#[derive(Clone)]
pub struct World {
    settings: Settings,
    users: FixedUsers,
    memory: Memory,
    stores: Option<Arc<dyn Stores>>,
    peer: IpAddr,
}

/// The events that the server emitted, one per line: the session, the account, the event.
#[derive(Clone, Debug, Default)]
pub struct EventRecorder(Arc<Mutex<Vec<String>>>);

impl EventRecorder {
    /// The events so far, such as `1 anna LoggedIn`.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.0).clone()
    }
}

impl Events for EventRecorder {
    fn emit(&self, client: &ClientInfo, event: &Event<'_>) {
        let user = client.user.as_deref().unwrap_or("-");
        let line = format!("{} {user} {event:?}", client.session);
        lock(&self.0).push(line);
    }

    fn wants_commands(&self) -> bool {
        true
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// An empty environment: default settings, except that listings are in UTC.
    pub fn new() -> Self {
        Self {
            settings: settings(),
            users: FixedUsers::default(),
            memory: Memory::with_clock(clock),
            stores: None,
            peer: CLIENT,
        }
    }

    /// Changes settings. Clients connect to the first address of `listen`.
    #[must_use]
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Enables optional TLS with a test certificate.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.settings.tls = Some(test_tls());
        self
    }

    /// Adds an account with the same permissions everywhere.
    #[must_use]
    pub fn account(self, name: &str, secret: &str, permissions: Permissions) -> Self {
        self.account_with(Account::new(name, "/", Rules::everywhere(permissions)), secret)
    }

    /// Adds an account.
    #[must_use]
    pub fn account_with(mut self, account: Account, secret: &str) -> Self {
        self.users.add(account, secret);
        self
    }

    /// Adds a file, with its parent directories.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.memory.put(path, content);
        self
    }

    /// Uses another storage than the files in memory.
    #[must_use]
    pub fn stores(mut self, stores: Arc<dyn Stores>) -> Self {
        self.stores = Some(stores);
        self
    }

    /// The address of clients, if a `CLIENT` line does not set one.
    ///
    /// # Panics
    /// If the address is invalid.
    #[must_use]
    pub fn peer(mut self, address: &str) -> Self {
        self.peer = address.parse().expect("the peer is an IP address");
        self
    }

    /// The files in memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Runs a dialogue in the language of [`crate::dialogue`], shuts the server down and checks
    /// that no resources remain.
    ///
    /// # Panics
    /// If the dialogue and the server differ, with the transcript so far.
    pub fn run(&self, script: &str) -> DialogueOutcome {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without input and output can be made");
        runtime.block_on(self.play(script))
    }

    async fn play(&self, script: &str) -> DialogueOutcome {
        let net = SimNet::new(NetworkFaults::Off);
        let events = EventRecorder::default();
        let stores = self.stores.clone().unwrap_or_else(|| Arc::new(self.memory.clone()));
        let server = Server::new(self.settings.clone(), Arc::new(self.users.clone()), stores)
            .events(Arc::new(events.clone()))
            .net(Arc::new(net.clone()));
        let bound = server.bind().await.expect("the simulated network provides every address");
        let handle = bound.handle();
        let addresses = bound.listeners().iter().map(|listener| listener.address).collect();
        let mut tasks = JoinSet::new();
        tasks.spawn(bound.serve());
        let transcript = {
            let memory = self.memory.clone();
            let runner =
                ScriptRunner::new(net.clone(), handle.clone(), memory, self.peer, addresses);
            runner.run(script).await
        };
        handle.shut_down(Duration::ZERO);
        let ended = tokio::time::timeout(END_MAX, tasks.join_all()).await;
        ended.expect("the server ends after shut_down");
        let open = net.open();
        assert_eq!((open.listeners, open.links), (0, 0), "the network is not empty:\n{transcript}");
        assert_eq!(handle.sessions(), 0, "a session was left over:\n{transcript}");
        assert_eq!(handle.passive_ports_in_use(), 0, "a port was left over:\n{transcript}");
        DialogueOutcome { memory: self.memory.clone(), events: events.lines(), transcript }
    }
}

/// The settings of a simulated server: the defaults, at [`SERVER`], with listings in UTC.
pub(crate) fn settings() -> Settings {
    let listen = Listen { address: SERVER.ip(), ports: vec![SERVER.port()], ..Listen::default() };
    let mut settings = Settings { listen: vec![listen], ..Settings::default() };
    settings.names.list_time = ListTime::Utc;
    settings
}

/// Optional TLS with a test certificate.
pub(crate) fn test_tls() -> Tls {
    Tls {
        certificate: certificate(),
        min_version: TlsVersion::V1_2,
        require: TlsRequire::Off,
        session_reuse: SessionReuse::Prefer,
        require_close_notify: true,
        server_names: Vec::new(),
    }
}

/// The clock of files: it stands still.
pub(crate) fn clock() -> Timestamp {
    BEGIN
}
