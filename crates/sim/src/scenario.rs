//! Simulations in which nothing fails and each client has a deadline for each reply.
//!
//! In a random world a stalled network or storage explains nearly every delay. Here it does not:
//! the network is slow at most, so each reply and each byte has a bound, whatever other clients do.

mod interrupts;
mod limits;
mod ports;
mod shutdown;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use wharf_core::account::Account;
use wharf_core::permission::{Permissions, Rules};
use wharf_core::users::Users;
use wharf_load::Random;
use wharf_server::session_status::Activity;
use wharf_server::settings::Settings;
use wharf_server::{Handle, Server};
use wharf_storage::Memory;

use crate::administrator::ACCOUNTS;
use crate::faults::{FaultPlan, Faults, StorageModes};
use crate::net::SimNet;
use crate::network_faults::NetworkFaults;
use crate::oracle::Oracle;
use crate::report::{RunReport, inspect};
use crate::timed_client::{Bounds, ClientFailure, TimedClient};
use crate::users::FixedUsers;
use crate::world::{EventRecorder, clock};

/// What a seed simulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorldKind {
    /// Clients, network, storage and administrator do anything.
    Random,
    /// Transfers under rate limits that are reloaded.
    Limits,
    /// Clients that share passive ports with clients of all kinds.
    Ports,
    /// Clients that abort and leave in the middle of slow work.
    Interrupts,
    /// A shutdown in the middle of everything.
    Shutdown,
}

/// Maximum duration of a scenario.
const SCENARIO_MAX: Duration = Duration::from_mins(30);
/// Maximum duration of the shutdown after one.
const END_MAX: Duration = Duration::from_mins(2);

impl WorldKind {
    /// The kind of a seed: half of the seeds are random worlds.
    pub fn of(seed: u64) -> Self {
        // Other numbers than those of the world itself.
        match Random::new(!seed).below(8) {
            0..4 => Self::Random,
            4 => Self::Limits,
            5 => Self::Ports,
            6 => Self::Interrupts,
            _ => Self::Shutdown,
        }
    }

    /// The kind of this name, in lower case.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Random, Self::Limits, Self::Ports, Self::Interrupts, Self::Shutdown];
        all.into_iter().find(|kind| format!("{kind:?}").to_lowercase() == name)
    }
}

/// Runs the scenario of this kind.
pub(crate) async fn run_scenario(kind: WorldKind, seed: u64, copies_first: bool) -> RunReport {
    let (begin, mut rng) = (Instant::now(), Random::new(seed));
    let oracle = Oracle::new();
    oracle.log_line("world", &format!("seed {seed}, {kind:?}"));
    let scenario = async {
        match kind {
            WorldKind::Limits => limits::run(&mut rng, &oracle).await,
            WorldKind::Ports => ports::run(seed, &mut rng, &oracle).await,
            WorldKind::Interrupts => {
                interrupts::run(seed, copies_first, &mut rng, &oracle).await;
            }
            WorldKind::Shutdown | WorldKind::Random => shutdown::run(seed, &mut rng, &oracle).await,
        }
    };
    if timeout(SCENARIO_MAX, scenario).await.is_err() {
        oracle.report_violation("the scenario does not end".into());
    }
    let (lines, violations) = oracle.log_and_violations();
    RunReport { seed, lines, violations, took: begin.elapsed() }
}

/// A server without faults.
struct ScenarioServer {
    net: SimNet,
    oracle: Oracle,
    handle: Handle,
    stores: Faults,
    users: Arc<FixedUsers>,
    settings: Settings,
    events: EventRecorder,
    serving: JoinSet<()>,
    bounds: Bounds,
}

impl ScenarioServer {
    async fn start(
        network_faults: NetworkFaults,
        settings: Settings,
        storage_modes: StorageModes,
        (rng, oracle): (&mut Random, &Oracle),
    ) -> Self {
        oracle.log_line("world", &format!("{network_faults:?}, {storage_modes:?}"));
        let memory = Memory::with_clock(clock);
        let fault_plan = FaultPlan { storage_modes, ..FaultPlan::without_faults(rng.fork()) };
        let stores = Faults::new(memory, oracle.clone(), fault_plan);
        let net = SimNet::new(network_faults);
        let events = EventRecorder::default();
        let mut users = FixedUsers::default();
        for (name, secret) in ACCOUNTS {
            users.add(Account::new(*name, "/", Rules::everywhere(Permissions::ALL)), secret);
        }
        let users = Arc::new(users);
        let shared_users: Arc<dyn Users> = Arc::<FixedUsers>::clone(&users);
        let server = Server::new(settings.clone(), shared_users, Arc::new(stores.clone()))
            .events(Arc::new(events.clone()))
            .net(Arc::new(net.clone()));
        let bound = server.bind().await.expect("the simulated network provides every address");
        let handle = bound.handle();
        let mut serving = JoinSet::new();
        serving.spawn(bound.serve());
        let oracle = oracle.clone();
        let bounds = bounds(network_faults);
        Self { net, oracle, handle, stores, users, settings, events, serving, bounds }
    }

    /// Connects and logs in as the account of this number, from an address of its own.
    async fn client(&self, tag: &str, number: u8) -> Result<TimedClient, ClientFailure> {
        let mut client = self.connect(tag, number).await?;
        let (user, secret) = account(number);
        client.log_in(user, secret).await?;
        Ok(client)
    }

    async fn connect(&self, tag: &str, number: u8) -> Result<TimedClient, ClientFailure> {
        let connecting =
            TimedClient::connect(&self.net, &self.oracle, tag, address(number), self.bounds);
        connecting.await
    }

    /// The bytes that each client has moved, in the server's view.
    fn moved(&self) -> BTreeMap<IpAddr, u64> {
        let views = self.handle.views();
        let moved = views.iter().filter_map(|view| match &view.activity {
            Activity::Transfer(transfer) => Some((view.peer.ip(), transfer.moved)),
            _ => None,
        });
        moved.collect()
    }

    /// Shuts the server down, and checks that nothing is left.
    async fn end(mut self) {
        self.handle.shut_down(Duration::ZERO);
        self.ended(END_MAX).await;
        inspect(&self.net, &self.handle, &self.oracle, &self.events);
    }

    /// Waits for the end of the server.
    async fn ended(&mut self, most: Duration) {
        let ended = async { while self.serving.join_next().await.is_some() {} };
        if timeout(most, ended).await.is_err() {
            self.oracle.report_violation(format!("the server does not end within {most:?}"));
        }
    }
}

/// The account of a client.
fn account(number: u8) -> (&'static str, &'static str) {
    let at = usize::from(number) % ACCOUNTS.len();
    ACCOUNTS.get(at).copied().unwrap_or_default()
}

/// The address of a client: one for each.
fn address(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, number))
}

/// A network on which everything arrives, and what clients may expect on it.
fn reliable_network(seed: u64, rng: &mut Random) -> NetworkFaults {
    if rng.chance(1, 2) { NetworkFaults::Off } else { NetworkFaults::Slow(seed) }
}

/// A reply takes a round trip, and a TLS handshake a few more.
fn bounds(network_faults: NetworkFaults) -> Bounds {
    let seconds = if network_faults == NetworkFaults::Off { 2 } else { 5 };
    let most = Duration::from_secs(seconds);
    Bounds { reply_max: most, stall_max: most }
}
