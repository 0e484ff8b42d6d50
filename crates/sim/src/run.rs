//! One seed: a simulation with its network faults, storage faults, clients and administrator, from
//! start to shutdown.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use wharf_core::account::{Account, Count, Rate};
use wharf_core::permission::{Permissions, Rules};
use wharf_server::settings::{Listen, ListenTls, Settings};
use wharf_server::{Handle, Server};
use wharf_storage::Memory;

use crate::client::{ClientProfile, SimClient};
use crate::faults::{FaultPlan, Faults};
use crate::net::SimNet;
use crate::network_faults::NetworkFaults;
use crate::oracle::Oracle;
use crate::rng::Rng;
use crate::users::FixedUsers;
use crate::world::{EventRecorder, SERVER, clock, settings};

/// The address of the server for clients with IPv6.
const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// Maximum duration of a simulation.
const WORLD_MAX: Duration = Duration::from_hours(2);
/// After this time without clients, no resources of them may remain: longer than every timeout of
/// the server.
const QUIET: Duration = Duration::from_mins(10);
/// Maximum duration of a shutdown, in addition to its grace period.
const END_MAX: Duration = Duration::from_mins(2);
/// With so few passive ports, they are reused at once.
const PORTS_FEW: usize = 10;
/// The accounts and their passwords.
const ACCOUNTS: &[(&str, &str)] = &[("anna", "secret"), ("ben", "geheim")];

/// The result of one simulation.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// Its seed.
    pub seed: u64,
    /// The log, with times in seconds.
    pub lines: Vec<String>,
    /// Violations of invariants; empty if the server behaved correctly.
    pub violations: Vec<String>,
    /// The duration, in simulated time.
    pub took: Duration,
}

impl fmt::Display for RunReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(out, "{line}")?;
        }
        for violation in &self.violations {
            writeln!(out, "seed {}: {violation}", self.seed)?;
        }
        Ok(())
    }
}

/// Runs one simulation. The same seed gives the same log.
///
/// # Panics
/// If the server panics.
pub fn run(seed: u64) -> RunReport {
    begin(seed, None)
}

/// The only fault in a simulation; calls are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// This call to the storage.
    Store(u64),
    /// This call of the server to the network: to listen for data, connect, accept, read, write or
    /// shut down.
    Network(u64),
}

/// Runs the simulation of a seed without other faults, and lets one call fail. So every call can be
/// tried.
///
/// # Panics
/// If the server panics.
pub fn run_failing(seed: u64, failing: InjectedFault) -> RunReport {
    begin(seed, Some(failing))
}

fn begin(seed: u64, failing: Option<InjectedFault>) -> RunReport {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without input and output can be made");
    runtime.block_on(run_world(seed, failing))
}

/// The configuration of a simulation, derived from its seed.
struct WorldConfig {
    network_faults: NetworkFaults,
    fault_plan: FaultPlan,
    settings: Settings,
    /// There are no faults at all.
    is_faultless: bool,
}

/// A configuration without faults except one failing call.
fn config_with_one_failure(failing: InjectedFault, rng: &mut Rng) -> WorldConfig {
    let fails_at = match failing {
        InjectedFault::Store(call) => Some(call),
        InjectedFault::Network(_) => None,
    };
    let fault_plan = FaultPlan { fails_at, ..FaultPlan::without_faults(rng.fork()) };
    WorldConfig {
        network_faults: NetworkFaults::Off,
        fault_plan,
        settings: server_settings(),
        is_faultless: false,
    }
}

/// The default settings, with an additional IPv6 listener.
fn server_settings() -> Settings {
    let mut settings = settings();
    settings.listen.push(Listen {
        address: SERVER_V6,
        ports: vec![21],
        tls: ListenTls::Off,
        ..Listen::default()
    });
    settings
}

fn random_config(seed: u64, rng: &mut Rng) -> WorldConfig {
    let is_faultless = rng.chance(1, 6);
    let has_reliable_network = is_faultless || rng.chance(1, 6);
    let network_faults =
        if has_reliable_network { NetworkFaults::Off } else { NetworkFaults::Random(seed) };
    let mut fault_plan = FaultPlan::without_faults(rng.fork());
    if !is_faultless {
        match rng.below(4) {
            0 => fault_plan.fails_at = Some(rng.between(1, 120)),
            1 => fault_plan.fails_of_1000 = rng.between(1, 80),
            _ => {}
        }
        fault_plan.stalls_of_1000 = rng.below(60);
        // Without network faults clients must receive the end of the server, whatever the storage
        // does.
        let longest = if !has_reliable_network && rng.chance(1, 5) { 30_000 } else { 3000 };
        fault_plan.stall_max = Duration::from_millis(rng.between(1, longest));
    }
    let mut settings = server_settings();
    if !is_faultless {
        limit(&mut settings, rng);
    }
    WorldConfig { network_faults, fault_plan, settings, is_faultless }
}

/// Low limits, in some simulations.
fn limit(settings: &mut Settings, rng: &mut Rng) {
    let limits = &mut settings.limits;
    if rng.chance(1, 4) {
        limits.upload_rate = Rate::from_bytes_per_second(rng.between(20_000, 500_000));
        limits.download_rate = Rate::from_bytes_per_second(rng.between(20_000, 500_000));
    }
    if rng.chance(1, 5) {
        limits.user_upload_rate = Rate::from_bytes_per_second(rng.between(10_000, 200_000));
        limits.transfer_download_rate = Rate::from_bytes_per_second(rng.between(10_000, 200_000));
    }
    if rng.chance(1, 6) {
        limits.connections = Count::from_number(2);
    }
    if rng.chance(1, 6) {
        limits.sessions_per_user = Count::from_number(1);
    }
    if rng.chance(1, 3) {
        let more = u16::try_from(rng.below(10)).unwrap_or_default();
        settings.passive.ports = 30_000..=30_000 + more;
    }
    settings.files.create_parent_dirs = rng.chance(1, 3);
    settings.files.overwrite = !rng.chance(1, 8);
}

async fn run_world(seed: u64, failing: Option<InjectedFault>) -> RunReport {
    let begin = Instant::now();
    let mut rng = Rng::new(seed);
    let random_config = match failing {
        None => random_config(seed, &mut rng),
        Some(failing) => config_with_one_failure(failing, &mut rng),
    };
    let oracle = Oracle::new();
    let WorldConfig { network_faults, fault_plan, settings, is_faultless } = random_config;
    oracle.log_line(
        "world",
        &format!("seed {seed}, {network_faults:?}, faultless: {is_faultless}, {fault_plan:?}"),
    );
    let stores = Faults::new(files(&mut rng, &oracle), oracle.clone(), fault_plan);
    // If two clients have one address and ports are reused at once, only TLS can tell to which
    // client a late connection belongs. That limitation is known and not tested here.
    let may_share = settings.passive.ports.clone().count() > PORTS_FEW;
    let net = SimNet::new(network_faults);
    let events = EventRecorder::default();
    let (users, shared_stores) = (Arc::new(users()), Arc::new(stores.clone()));
    let reloads = Reloads {
        settings: settings.clone(),
        users: Arc::clone(&users),
        stores: Arc::clone(&shared_stores),
    };
    let server = Server::new(settings, users, shared_stores)
        .events(Arc::new(events.clone()))
        .net(Arc::new(net.clone()));
    let bound = server.bind().await.expect("the simulated network provides every address");
    if let Some(InjectedFault::Network(call)) = failing {
        net.fail_at(call);
    }
    let handle = bound.handle();
    let mut world = RunningWorld { rng, may_share, net, oracle, handle, stores, reloads };
    let mut serving = JoinSet::new();
    serving.spawn(bound.serve());
    let has_administrator = !is_faultless && failing.is_none() && world.rng.chance(1, 3);
    // If a connection may break, clients may miss replies.
    let has_reliable_network =
        network_faults == NetworkFaults::Off && !matches!(failing, Some(InjectedFault::Network(_)));
    let is_stopped = world.run_clients(has_reliable_network, is_faultless, has_administrator).await;
    if world.net.has_failed() {
        world.oracle.log_line("net", "a call fails: by the simulation");
    } else {
        // The following commands must succeed, and would be the next calls to fail.
        world.net.fail_at(0);
    }
    if !is_stopped {
        world.check_after_idle().await;
    }
    let RunningWorld { mut rng, net, oracle, handle, .. } = world;
    let grace = Duration::from_secs(rng.below(10));
    oracle.log_line("world", &format!("shut down, grace {grace:?}"));
    handle.shut_down(grace);
    if timeout(grace + END_MAX, serving.join_all()).await.is_err() {
        oracle.report_violation("the server does not end".into());
    }
    inspect(&net, &handle, &oracle, &events);
    let (lines, violations) = oracle.log_and_violations();
    RunReport { seed, lines, violations, took: begin.elapsed() }
}

/// A running server with its network.
struct RunningWorld {
    rng: Rng,
    /// Whether clients may share an address.
    may_share: bool,
    net: SimNet,
    oracle: Oracle,
    handle: Handle,
    stores: Faults,
    reloads: Reloads,
}

/// What a reload needs.
#[derive(Clone)]
struct Reloads {
    settings: Settings,
    users: Arc<FixedUsers>,
    stores: Arc<Faults>,
}

impl Reloads {
    /// Puts limits in force, in the middle of everything, or removes them.
    fn reload(&self, handle: &Handle, rng: &mut Rng, oracle: &Oracle) {
        let mut settings = self.settings.clone();
        let mut rate = || match rng.below(3) {
            0 => Rate::Unlimited,
            _ => Rate::from_bytes_per_second(rng.between(20_000, 500_000)),
        };
        let limits = &mut settings.limits;
        (limits.upload_rate, limits.download_rate) = (rate(), rate());
        (limits.user_upload_rate, limits.transfer_download_rate) = (rate(), rate());
        oracle.log_line("admin", &format!("reload: {:?}", settings.limits));
        let (users, stores) = (Arc::clone(&self.users), Arc::clone(&self.stores));
        if handle.adopt(settings, users, stores).is_err() {
            oracle.report_violation("a reload of limits fails".into());
        }
    }
}

impl RunningWorld {
    /// Runs the clients and the administrator, and returns whether the server was stopped.
    async fn run_clients(
        &mut self,
        has_reliable_network: bool,
        is_faultless: bool,
        has_administrator: bool,
    ) -> bool {
        let clients = self.clients(has_reliable_network, is_faultless);
        let mut tasks = JoinSet::new();
        for (mut client, acts) in clients {
            tasks.spawn(async move {
                client.run(acts).await;
                false
            });
        }
        if has_administrator {
            let (rng, handle, oracle) = (self.rng.fork(), self.handle.clone(), self.oracle.clone());
            tasks.spawn(administer(rng, handle, oracle, self.reloads.clone()));
        }
        let Ok(stops) = timeout(WORLD_MAX, tasks.join_all()).await else {
            self.oracle.report_violation("the clients did not end in time".into());
            return true;
        };
        stops.contains(&true)
    }

    /// The clients, and the number of actions of each.
    fn clients(&mut self, has_reliable_network: bool, is_faultless: bool) -> Vec<(SimClient, u64)> {
        let Self { rng, net, oracle, .. } = self;
        let addresses = if self.may_share { 3 } else { u8::MAX };
        let accounts: Vec<_> = (0..rng.between(1, 5)).map(|_| *rng.pick(ACCOUNTS)).collect();
        let mut made = Vec::new();
        for (number, (user, secret)) in (1_u8..).zip(&accounts) {
            let (address, server) = if rng.chance(1, 4) {
                let address = Ipv6Addr::new(0x2001, 0xdb8, u16::from(number), 0, 0, 0, 0, 9);
                (IpAddr::V6(address), SocketAddr::new(SERVER_V6, SERVER.port()))
            } else {
                (IpAddr::V4(Ipv4Addr::new(203, 0, 113, number % addresses)), SERVER)
            };
            let client = ClientProfile {
                tag: format!("c{number}"),
                address,
                server,
                user: (*user).to_owned(),
                secret: (*secret).to_owned(),
                is_sole: accounts.iter().filter(|(name, _)| name == user).count() == 1,
                has_reliable_network,
                is_faultless,
                is_well_behaved: false,
            };
            let client = SimClient::new(client, rng.fork(), net.clone(), oracle.clone());
            made.push((client, rng.between(5, 40)));
        }
        made
    }

    /// After all clients have left, none of their resources remain, and new clients are served.
    async fn check_after_idle(&mut self) {
        sleep(QUIET).await;
        inspect_sessions(&self.net, &self.handle, &self.oracle);
        self.net.set_network_faults(NetworkFaults::Off);
        self.stores.stop_faults();
        for (user, secret) in ACCOUNTS {
            let client = last_client(user, secret);
            let (net, oracle) = (self.net.clone(), self.oracle.clone());
            SimClient::new(client, self.rng.fork(), net, oracle).check_service().await;
        }
    }
}

/// The files that exist from the start.
fn files(rng: &mut Rng, oracle: &Oracle) -> Memory {
    let memory = Memory::with_clock(clock);
    for (path, size) in [("/f0", 20_000), ("/f1", 100_000), ("/d0/g0", 10)] {
        let mut content = vec![0; size];
        rng.fill(&mut content);
        memory.put(path, content);
        oracle.add_existing(path, &memory);
    }
    memory
}

fn users() -> FixedUsers {
    let mut users = FixedUsers::default();
    for (name, secret) in ACCOUNTS {
        let rules = Rules::everywhere(Permissions::ALL);
        users.add(Account::new(*name, "/", rules), secret);
    }
    users
}

/// A client that connects after all others have left.
fn last_client(user: &str, secret: &str) -> ClientProfile {
    ClientProfile {
        tag: "last".into(),
        address: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 200)),
        server: SERVER,
        user: user.into(),
        secret: secret.into(),
        is_sole: true,
        has_reliable_network: true,
        is_faultless: true,
        is_well_behaved: true,
    }
}

/// An administrator changes limits, ends sessions, and sometimes shuts the server down; returns
/// whether it did.
async fn administer(mut rng: Rng, handle: Handle, oracle: Oracle, reloads: Reloads) -> bool {
    let mut is_stopped = false;
    for _ in 0..rng.between(1, 6) {
        // Often shortly after each other, since many transfers are short.
        let most = if rng.chance(1, 2) { 500 } else { 60_000 };
        sleep(Duration::from_millis(rng.between(10, most))).await;
        if rng.chance(1, 2) {
            reloads.reload(&handle, &mut rng, &oracle);
        } else if rng.chance(1, 3) {
            let grace = Duration::from_millis(rng.below(8000));
            oracle.log_line("admin", &format!("shut down, grace {grace:?}"));
            handle.shut_down(grace);
            is_stopped = true;
        } else {
            let (user, _) = *rng.pick(ACCOUNTS);
            oracle.log_line("admin", &format!("end sessions of {user}"));
            handle.end_sessions_of(user, "The administrator ended the session.");
        }
    }
    is_stopped
}

/// No resources of clients may remain after they left, while the server is running.
fn inspect_sessions(net: &SimNet, handle: &Handle, oracle: &Oracle) {
    let (sinks, sources) = oracle.open();
    let left = [
        ("links", net.open().links),
        ("sinks", sinks),
        ("sources", sources),
        ("sessions", handle.sessions()),
        ("passive ports", handle.passive_ports_in_use()),
    ];
    for (what, number) in left.into_iter().filter(|(_, number)| *number > 0) {
        oracle.report_violation(format!("{number} {what} left after their clients"));
    }
}

/// No resources may remain after the shutdown.
fn inspect(net: &SimNet, handle: &Handle, oracle: &Oracle, events: &EventRecorder) {
    let open = net.open();
    let (sinks, sources) = oracle.open();
    let left = [
        ("listeners", open.listeners),
        ("links", open.links),
        ("sinks", sinks),
        ("sources", sources),
        ("sessions", handle.sessions()),
        ("passive ports", handle.passive_ports_in_use()),
    ];
    for (what, number) in left {
        if number > 0 {
            oracle.report_violation(format!("{number} {what} left over"));
        }
    }
    let count = |what| events.lines().iter().filter(|line| line.contains(what)).count();
    let (began, ended) = (count(" Connected"), count(" SessionEnded"));
    if began != ended {
        oracle.report_violation(format!(
            "{began} sessions were reported as begun and {ended} as ended"
        ));
    }
    let is_upload =
        |line: &&String| line.contains("direction: Upload") && line.contains("is_complete: true");
    let (published, logged) =
        (oracle.published_count(), events.lines().iter().filter(is_upload).count());
    if published != logged {
        oracle
            .report_violation(format!("{published} uploads were published and {logged} reported"));
    }
}
