//! One seed: a world with its weather, its faults, its clients and its operator, from beginning
//! to end.

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

use crate::client::{Client, Identity};
use crate::faults::{Faults, Mood};
use crate::net::SimNet;
use crate::oracle::Oracle;
use crate::rng::Rng;
use crate::users::Few;
use crate::weather::Weather;
use crate::world::{Recorded, SERVER, clock, settings};

/// Where the server is for clients with IPv6.
const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// How long a world may take.
const WORLD_MAX: Duration = Duration::from_hours(2);
/// When the last client is gone for this long, nothing of it may be left: longer than every
/// timeout of the server.
const QUIET: Duration = Duration::from_mins(10);
/// How long the server may take to end, behind the grace that it was given.
const END_MAX: Duration = Duration::from_mins(2);
/// So few passive ports are taken again at once.
const PORTS_FEW: usize = 10;
/// The accounts and their passwords.
const ACCOUNTS: &[(&str, &str)] = &[("anna", "secret"), ("ben", "geheim")];

/// What happened in one world.
#[derive(Clone, Debug)]
pub struct Story {
    /// Which world it was.
    pub seed: u64,
    /// What happened, line by line, with its time in seconds.
    pub lines: Vec<String>,
    /// What must not have happened; empty if the server kept its word.
    pub complaints: Vec<String>,
    /// How long it took, in the time of that world.
    pub took: Duration,
}

impl fmt::Display for Story {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(out, "{line}")?;
        }
        for complaint in &self.complaints {
            writeln!(out, "seed {}: {complaint}", self.seed)?;
        }
        Ok(())
    }
}

/// Lives one world from beginning to end. The same seed gives the same story.
///
/// # Panics
/// If the server panics.
pub fn run(seed: u64) -> Story {
    begin(seed, None)
}

/// What fails in a world in which nothing else does; calls are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// This call of the store.
    Store(u64),
    /// This call of the server to the network: to listen for data, connect, accept, read, write or
    /// shut down.
    Network(u64),
}

/// Lives the world of a seed in calm weather, where one call fails. So every call can be tried.
///
/// # Panics
/// If the server panics.
pub fn run_failing(seed: u64, failing: Failing) -> Story {
    begin(seed, Some(failing))
}

fn begin(seed: u64, failing: Option<Failing>) -> Story {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without input and output can be made");
    runtime.block_on(live(seed, failing))
}

/// What a seed makes of a world.
struct Nature {
    weather: Weather,
    mood: Mood,
    settings: Settings,
    /// Nothing bad happens at all.
    is_kind: bool,
}

/// A world in which nothing bad happens but that one call fails.
fn failing_nature(failing: Failing, rng: &mut Rng) -> Nature {
    let fails_at = match failing {
        Failing::Store(call) => Some(call),
        Failing::Network(_) => None,
    };
    let mood = Mood { fails_at, ..Mood::good(rng.fork()) };
    Nature { weather: Weather::Calm, mood, settings: server_settings(), is_kind: false }
}

/// The default settings, listening for IPv6 too.
fn server_settings() -> Settings {
    let mut settings = settings();
    settings.listen.push(Listen { address: SERVER_V6, ports: vec![21], tls: ListenTls::Off });
    settings
}

fn nature(seed: u64, rng: &mut Rng) -> Nature {
    let is_kind = rng.chance(1, 6);
    let is_calm = is_kind || rng.chance(1, 6);
    let weather = if is_calm { Weather::Calm } else { Weather::Wild(seed) };
    let mut mood = Mood::good(rng.fork());
    if !is_kind {
        match rng.below(4) {
            0 => mood.fails_at = Some(rng.between(1, 120)),
            1 => mood.fails_of_1000 = rng.between(1, 80),
            _ => {}
        }
        mood.stalls_of_1000 = rng.below(60);
        // In calm weather the end of the server must be heard, whatever the store does.
        let longest = if !is_calm && rng.chance(1, 5) { 30_000 } else { 3000 };
        mood.stall_max = Duration::from_millis(rng.between(1, longest));
    }
    let mut settings = server_settings();
    if !is_kind {
        limit(&mut settings, rng);
    }
    Nature { weather, mood, settings, is_kind }
}

/// Narrow limits, in some worlds.
fn limit(settings: &mut Settings, rng: &mut Rng) {
    let limits = &mut settings.limits;
    if rng.chance(1, 4) {
        limits.upload = Rate::from_bytes_per_second(rng.between(20_000, 500_000));
        limits.download = Rate::from_bytes_per_second(rng.between(20_000, 500_000));
    }
    if rng.chance(1, 5) {
        limits.user_upload = Rate::from_bytes_per_second(rng.between(10_000, 200_000));
        limits.transfer_download = Rate::from_bytes_per_second(rng.between(10_000, 200_000));
    }
    if rng.chance(1, 6) {
        limits.sessions = Count::from_number(2);
    }
    if rng.chance(1, 6) {
        limits.sessions_per_user = Count::from_number(1);
    }
    if rng.chance(1, 5) {
        settings.passive.ports = 30_000..=30_001;
    }
    settings.files.makes_parents = rng.chance(1, 3);
    settings.files.may_overwrite = !rng.chance(1, 8);
}

async fn live(seed: u64, failing: Option<Failing>) -> Story {
    let begin = Instant::now();
    let mut rng = Rng::new(seed);
    let nature = match failing {
        None => nature(seed, &mut rng),
        Some(failing) => failing_nature(failing, &mut rng),
    };
    let oracle = Oracle::new();
    let Nature { weather, mood, settings, is_kind } = nature;
    oracle.tell("world", &format!("seed {seed}, {weather:?}, kind: {is_kind}, {mood:?}"));
    let stores = Faults::new(files(&mut rng, &oracle), oracle.clone(), mood);
    // Where two clients have one address and ports are taken again at once, nothing but TLS can
    // tell whose late connection it is. That limit is known, and not what is looked for here.
    let may_share = settings.passive.ports.clone().count() > PORTS_FEW;
    let net = SimNet::new(weather);
    let events = Recorded::default();
    let server = Server::new(settings, Arc::new(users()), Arc::new(stores.clone()))
        .events(Arc::new(events.clone()))
        .net(Arc::new(net.clone()));
    let bound = server.bind().await.expect("the simulated network gives every address");
    if let Some(Failing::Network(call)) = failing {
        net.fail_at(call);
    }
    let mut place = Place { rng, may_share, net, oracle, handle: bound.handle(), stores };
    let mut serving = JoinSet::new();
    serving.spawn(bound.serve());
    let has_operator = !is_kind && failing.is_none() && place.rng.chance(1, 3);
    // Where a connection may break, clients cannot count on hearing everything.
    let is_calm = weather == Weather::Calm && !matches!(failing, Some(Failing::Network(_)));
    let is_stopped = place.bustle(is_calm, is_kind, has_operator).await;
    if place.net.has_failed() {
        place.oracle.tell("net", "a call fails: by the simulation");
    } else {
        // What comes now must go well, and would be the first to fail.
        place.net.fail_at(0);
    }
    if !is_stopped {
        place.quiet().await;
    }
    let Place { mut rng, net, oracle, handle, .. } = place;
    let grace = Duration::from_secs(rng.below(10));
    oracle.tell("world", &format!("shut down, grace {grace:?}"));
    handle.shut_down(grace);
    if timeout(grace + END_MAX, serving.join_all()).await.is_err() {
        oracle.blame("the server does not end".into());
    }
    inspect(&net, &handle, &oracle, &events);
    let (lines, complaints) = oracle.told();
    Story { seed, lines, complaints, took: begin.elapsed() }
}

/// A world with its server in it.
struct Place {
    rng: Rng,
    /// Whether clients may come from one address.
    may_share: bool,
    net: SimNet,
    oracle: Oracle,
    handle: Handle,
    stores: Faults,
}

impl Place {
    /// Lets clients and operator live, and says whether the server was stopped.
    async fn bustle(&mut self, is_calm: bool, is_kind: bool, has_operator: bool) -> bool {
        let clients = self.clients(is_calm, is_kind);
        let mut tasks = JoinSet::new();
        for (mut client, acts) in clients {
            tasks.spawn(async move {
                client.live(acts).await;
                false
            });
        }
        if has_operator {
            tasks.spawn(operate(self.rng.fork(), self.handle.clone(), self.oracle.clone()));
        }
        let Ok(stops) = timeout(WORLD_MAX, tasks.join_all()).await else {
            self.oracle.blame("the clients never came to an end".into());
            return true;
        };
        stops.contains(&true)
    }

    /// The clients of a world, and how much each does.
    fn clients(&mut self, is_calm: bool, is_kind: bool) -> Vec<(Client, u64)> {
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
            let who = Identity {
                tag: format!("c{number}"),
                address,
                server,
                user: (*user).to_owned(),
                secret: (*secret).to_owned(),
                is_sole: accounts.iter().filter(|(name, _)| name == user).count() == 1,
                is_calm,
                is_kind,
                is_peaceful: false,
            };
            let client = Client::new(who, rng.fork(), net.clone(), oracle.clone());
            made.push((client, rng.between(5, 40)));
        }
        made
    }

    /// When all have gone nothing of them is left, and who comes then is served.
    async fn quiet(&mut self) {
        sleep(QUIET).await;
        inspect_sessions(&self.net, &self.handle, &self.oracle);
        self.net.set_weather(Weather::Calm);
        self.stores.mend();
        for (user, secret) in ACCOUNTS {
            let who = visitor(user, secret);
            let (net, oracle) = (self.net.clone(), self.oracle.clone());
            Client::new(who, self.rng.fork(), net, oracle).visit().await;
        }
    }
}

/// The files that are there from the start.
fn files(rng: &mut Rng, oracle: &Oracle) -> Memory {
    let memory = Memory::with_clock(clock);
    for (path, size) in [("/f0", 20_000), ("/f1", 100_000), ("/d0/g0", 10)] {
        let mut content = vec![0; size];
        rng.fill(&mut content);
        memory.put(path, content);
        oracle.knows(path, &memory);
    }
    memory
}

fn users() -> Few {
    let mut users = Few::default();
    for (name, secret) in ACCOUNTS {
        let rules = Rules::everywhere(Permissions::ALL);
        users.add(Account::new(*name, "/", rules), secret);
    }
    users
}

/// Somebody who comes when all others have gone.
fn visitor(user: &str, secret: &str) -> Identity {
    Identity {
        tag: "last".into(),
        address: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 200)),
        server: SERVER,
        user: user.into(),
        secret: secret.into(),
        is_sole: true,
        is_calm: true,
        is_kind: true,
        is_peaceful: true,
    }
}

/// An operator ends sessions, and at times the server; says whether it did that.
async fn operate(mut rng: Rng, handle: Handle, oracle: Oracle) -> bool {
    let mut is_stopped = false;
    for _ in 0..rng.between(1, 3) {
        sleep(Duration::from_millis(rng.between(10, 60_000))).await;
        if rng.chance(1, 3) {
            let grace = Duration::from_millis(rng.below(8000));
            oracle.tell("admin", &format!("shut down, grace {grace:?}"));
            handle.shut_down(grace);
            is_stopped = true;
        } else {
            let (user, _) = *rng.pick(ACCOUNTS);
            oracle.tell("admin", &format!("end sessions of {user}"));
            handle.end_sessions_of(user, "The operator ended the session.");
        }
    }
    is_stopped
}

/// Nothing of a client may be left when it is gone, though the server goes on.
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
        oracle.blame(format!("{number} {what} outlived their clients"));
    }
}

/// Nothing may be left when all is over.
fn inspect(net: &SimNet, handle: &Handle, oracle: &Oracle, events: &Recorded) {
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
            oracle.blame(format!("{number} {what} left over"));
        }
    }
    let told = |what| events.lines().iter().filter(|line| line.contains(what)).count();
    let (began, ended) = (told(" Connected"), told(" Ended"));
    if began != ended {
        oracle.blame(format!("{began} sessions were said to begin and {ended} to end"));
    }
    let is_upload =
        |line: &&String| line.contains("direction: Upload") && line.contains("is_complete: true");
    let (published, logged) =
        (oracle.published_in_all(), events.lines().iter().filter(is_upload).count());
    if published != logged {
        oracle.blame(format!("{published} uploads were published and {logged} were said to be"));
    }
}
