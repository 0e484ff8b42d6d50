//! The simulated network: listeners, connections and faults, without sockets.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wharf_core::async_trait;
use wharf_core::lock;
use wharf_load::Random;
use wharf_proto::time::Timestamp;
use wharf_server::net::{Listener, Net, Socket};

use crate::link::{SimLink, connection};
use crate::network_faults::{InjectedFailure, LinkCounter, NetworkFaults};

/// The time of day at which every simulation begins: 2026-03-01 12:00:00 UTC.
pub const BEGIN: Timestamp = Timestamp { seconds: 1_772_366_400, nanos: 0 };
/// Maximum number of connections waiting on one listener; more are rejected.
const BACKLOG: usize = 64;
/// The first ephemeral port.
const FIRST_PORT: u16 = 40_000;
/// The longest blocking call, with network faults: longer than a slow disk.
const BLOCKING_MS_MAX: u64 = 50;
/// How long a dial waits if the network loses the connection request.
const LOST_DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// A network in memory. Clones are the same network. It must be used within a tokio runtime.
#[derive(Clone)]
pub struct SimNet(Arc<Mutex<NetState>>);

struct NetState {
    rng: Random,
    network_faults: NetworkFaults,
    queues: BTreeMap<SocketAddr, ListenQueue>,
    next_port: u16,
    links: LinkCounter,
    begin: Instant,
    injected_failure: InjectedFailure,
}

/// The connections that wait on one listening address.
struct ListenQueue {
    waiting: VecDeque<SimLink>,
    /// All tasks that wait for a connection: there may be several.
    wakers: Vec<Waker>,
}

/// A listening address. Dropping it closes it and resets connections that were not accepted.
pub struct SimListener {
    net: SimNet,
    at: SocketAddr,
}

/// The number of open resources of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenCounts {
    /// Listening addresses.
    pub listeners: usize,
    /// Ends of connections that were not dropped.
    pub links: usize,
}

impl SimNet {
    /// A network with these faults, whose clock begins now.
    pub fn new(network_faults: NetworkFaults) -> Self {
        let seed = match network_faults {
            NetworkFaults::Off => 1,
            NetworkFaults::Slow(seed) | NetworkFaults::Random(seed) => seed,
        };
        Self(Arc::new(Mutex::new(NetState {
            rng: Random::new(seed),
            network_faults,
            queues: BTreeMap::new(),
            next_port: FIRST_PORT,
            links: LinkCounter::default(),
            begin: Instant::now(),
            injected_failure: InjectedFailure::default(),
        })))
    }

    /// What is open now.
    pub fn open(&self) -> OpenCounts {
        let state = self.state();
        OpenCounts { listeners: state.queues.len(), links: state.links.count() }
    }

    /// Counts calls of the server to the network from now on; this call fails, counted from 1.
    pub(crate) fn fail_at(&self, call: u64) {
        self.state().injected_failure.fail_at(call);
    }

    /// Whether that call was reached.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().injected_failure.has_failed()
    }

    fn injected_failure(&self) -> InjectedFailure {
        self.state().injected_failure.clone()
    }

    /// Changes the faults for new connections.
    pub fn set_network_faults(&self, network_faults: NetworkFaults) {
        self.state().network_faults = network_faults;
    }

    /// Connects a client. Port 0 in `from` selects an ephemeral port.
    ///
    /// # Errors
    /// If there is no listener, or the network injects a fault.
    pub async fn dial(&self, from: SocketAddr, to: SocketAddr) -> io::Result<SimLink> {
        let (delay, dial_outcome) = self.state().dial_outcome();
        if !delay.is_zero() {
            sleep(delay).await;
        }
        match dial_outcome {
            DialOutcome::Lost => {
                sleep(LOST_DIAL_TIMEOUT).await;
                return Err(io::ErrorKind::TimedOut.into());
            }
            DialOutcome::Rejected => return Err(io::ErrorKind::ConnectionRefused.into()),
            DialOutcome::Fine => {}
        }
        let (from, network_faults, rng, links) = {
            let mut state = self.state();
            let port = if from.port() == 0 { state.free_port() } else { from.port() };
            (
                SocketAddr::new(from.ip(), port),
                state.network_faults,
                state.rng.fork(),
                state.links.clone(),
            )
        };
        let (dialer, acceptor) = connection(&links, network_faults, rng, from, to);
        let rejected = {
            let mut state = self.state();
            match state.queue_for(to) {
                Some(queue) if queue.waiting.len() < BACKLOG => {
                    queue.waiting.push_back(acceptor);
                    queue.wakers.drain(..).for_each(Waker::wake);
                    None
                }
                _ => Some(acceptor),
            }
        };
        match rejected {
            None => Ok(dialer),
            // Both ends are dropped here, without holding a lock.
            Some(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    /// Listens as a client does for active mode. Port 0 selects an ephemeral port.
    ///
    /// # Errors
    /// If the address is in use.
    pub fn listen_at(&self, at: SocketAddr) -> io::Result<SimListener> {
        let mut state = self.state();
        let port = if at.port() == 0 { state.free_port() } else { at.port() };
        let at = SocketAddr::new(at.ip(), port);
        if state.queues.contains_key(&at) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        state.queues.insert(at, ListenQueue { waiting: VecDeque::new(), wakers: Vec::new() });
        Ok(SimListener { net: self.clone(), at })
    }

    fn state(&self) -> MutexGuard<'_, NetState> {
        lock(&self.0)
    }
}

/// The result of a dial.
enum DialOutcome {
    Fine,
    Rejected,
    Lost,
}

impl NetState {
    fn dial_outcome(&mut self) -> (Duration, DialOutcome) {
        if self.network_faults == NetworkFaults::Off {
            return (Duration::ZERO, DialOutcome::Fine);
        }
        let delay = Duration::from_millis(self.rng.below(80));
        if !self.network_faults.is_unreliable() {
            return (delay, DialOutcome::Fine);
        }
        let dial_outcome = match self.rng.below(200) {
            0..3 => DialOutcome::Rejected,
            3 => DialOutcome::Lost,
            _ => DialOutcome::Fine,
        };
        (delay, dial_outcome)
    }

    fn free_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
        port
    }

    /// The listener for an address: the exact address, or the unspecified one of its family.
    fn queue_for(&mut self, to: SocketAddr) -> Option<&mut ListenQueue> {
        let any: IpAddr = match to {
            SocketAddr::V4(_) => [0; 4].into(),
            SocketAddr::V6(_) => [0; 16].into(),
        };
        let at = [to, SocketAddr::new(any, to.port())]
            .into_iter()
            .find(|at| self.queues.contains_key(at))?;
        self.queues.get_mut(&at)
    }
}

impl SimListener {
    /// The listening address.
    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// The next connection. Cancel safe.
    pub async fn next(&self) -> SimLink {
        poll_fn(|context| {
            let mut state = self.net.state();
            let Some(queue) = state.queues.get_mut(&self.at) else { return Poll::Pending };
            if let Some(link) = queue.waiting.pop_front() {
                return Poll::Ready(link);
            }
            if !queue.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                queue.wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let queue = self.net.state().queues.remove(&self.at);
        for link in queue.into_iter().flat_map(|queue| queue.waiting) {
            link.reset();
        }
    }
}

#[async_trait]
impl Net for SimNet {
    async fn listen(&self, at: SocketAddr, _takes_ipv4: bool) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(self.listen_at(at)?))
    }

    async fn listen_data(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let is_unlucky = {
            let mut state = self.state();
            state.network_faults.is_unreliable() && state.rng.chance(1, 50)
        };
        if is_unlucky || self.injected_failure().fails_now() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(Box::new(self.listen_at(at)?))
    }

    async fn connect(&self, from: SocketAddr, to: SocketAddr) -> io::Result<Socket> {
        if self.injected_failure().fails_now() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let link = self.dial(from, to).await?;
        Ok(Socket::Link(Box::new(link.with_failure(self.injected_failure()))))
    }

    fn random(&self, bytes: &mut [u8]) {
        self.state().rng.fill(bytes);
    }

    fn simulated_blocking(&self) -> Option<Duration> {
        let mut state = self.state();
        let is_slow = state.network_faults != NetworkFaults::Off && state.rng.chance(1, 10);
        let millis = if is_slow { state.rng.between(1, BLOCKING_MS_MAX) } else { 0 };
        Some(Duration::from_millis(millis))
    }

    fn now(&self) -> Timestamp {
        let elapsed = self.state().begin.elapsed();
        Timestamp {
            seconds: BEGIN.seconds + i64::try_from(elapsed.as_secs()).unwrap_or(0),
            nanos: elapsed.subsec_nanos(),
        }
    }
}

#[async_trait]
impl Listener for SimListener {
    fn local_address(&self) -> SocketAddr {
        self.at
    }

    async fn accept(&self) -> io::Result<Socket> {
        let is_unlucky = {
            let mut state = self.net.state();
            state.network_faults.is_unreliable() && state.rng.chance(1, 200)
        };
        if is_unlucky {
            return Err(io::Error::other("too many open files"));
        }
        let link = self.next().await;
        // The connection of the client is lost then, like one that broke while it waited.
        if self.net.injected_failure().fails_now() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(Socket::Link(Box::new(link.with_failure(self.net.injected_failure()))))
    }
}
