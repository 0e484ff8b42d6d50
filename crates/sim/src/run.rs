//! One seed: a simulation with its network faults, storage faults, clients and administrator, from
//! start to shutdown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use wharf_core::account::{Count, Rate};
use wharf_load::Random;
use wharf_server::settings::{Listen, ListenTls, Settings};
use wharf_server::{Handle, Server};
use wharf_storage::Memory;

use crate::administrator::{ACCOUNTS, Reloads, administer, users};
use crate::client::{ClientProfile, SimClient};
use crate::faults::{FaultPlan, Faults, StorageModes};
use crate::net::SimNet;
use crate::network_faults::NetworkFaults;
use crate::oracle::Oracle;
use crate::report::{RunReport, inspect, inspect_sessions};
use crate::scenario::{WorldKind, run_scenario};
use crate::world::{EventRecorder, SERVER, clock, settings, test_tls};

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

/// Runs one simulation. The same seed gives the same log.
///
/// # Panics
/// If the server panics.
pub fn run(seed: u64) -> RunReport {
    run_kind(WorldKind::of(seed), seed)
}

/// Runs a simulation of this kind.
///
/// # Panics
/// If the server panics.
pub fn run_kind(kind: WorldKind, seed: u64) -> RunReport {
    match kind {
        WorldKind::Random => in_runtime(run_world(seed, None)),
        kind => in_runtime(run_scenario(kind, seed, false)),
    }
}

/// Runs a simulation of interrupted clients with a storage that copies existing content before an
/// upload begins. It violates the invariants, which shows that they are checked.
///
/// # Panics
/// If the server panics.
pub fn run_copying_first(seed: u64) -> RunReport {
    in_runtime(run_scenario(WorldKind::Interrupts, seed, true))
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
    in_runtime(run_world(seed, Some(failing)))
}

fn in_runtime(world: impl Future<Output = RunReport>) -> RunReport {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without input and output can be made");
    runtime.block_on(world)
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
fn config_with_one_failure(failing: InjectedFault, rng: &mut Random) -> WorldConfig {
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

fn random_config(seed: u64, rng: &mut Random) -> WorldConfig {
    let is_faultless = rng.chance(1, 6);
    let network_faults = match rng.below(6) {
        0 => NetworkFaults::Off,
        1 => NetworkFaults::Slow(seed),
        _ if is_faultless => NetworkFaults::Off,
        _ => NetworkFaults::Random(seed),
    };
    let has_reliable_network = !network_faults.is_unreliable();
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
    fault_plan.storage_modes = StorageModes::random(rng);
    let mut settings = server_settings();
    if rng.chance(1, 2) {
        settings.tls = Some(test_tls());
    }
    if !is_faultless {
        limit(&mut settings, rng);
    }
    WorldConfig { network_faults, fault_plan, settings, is_faultless }
}

/// Low limits, in some simulations.
fn limit(settings: &mut Settings, rng: &mut Random) {
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
    let mut rng = Random::new(seed);
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
    let reloads = Reloads::new(settings.clone(), Arc::clone(&shared_stores));
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
        !network_faults.is_unreliable() && !matches!(failing, Some(InjectedFault::Network(_)));
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
    rng: Random,
    /// Whether clients may share an address.
    may_share: bool,
    net: SimNet,
    oracle: Oracle,
    handle: Handle,
    stores: Faults,
    reloads: Reloads,
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
                wants_tls: rng.chance(1, 2),
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
        self.reloads.restore(&self.handle, &self.oracle);
        for (user, secret) in ACCOUNTS {
            let client = last_client(user, secret);
            let (net, oracle) = (self.net.clone(), self.oracle.clone());
            SimClient::new(client, self.rng.fork(), net, oracle).check_service().await;
        }
    }
}

/// The files that exist from the start.
fn files(rng: &mut Random, oracle: &Oracle) -> Memory {
    let memory = Memory::with_clock(clock);
    for (path, size) in [("/f0", 20_000), ("/f1", 100_000), ("/d0/g0", 10)] {
        let mut content = vec![0; size];
        rng.fill(&mut content);
        memory.put(path, content);
        oracle.add_existing(path, &memory);
    }
    memory
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
        wants_tls: true,
        is_well_behaved: true,
    }
}
