//! Which port a session gets, and when two share one.

use std::io;

use tokio::time::sleep;
use wharf_core::async_trait;
use wharf_proto::time::Timestamp;

use super::*;
use crate::net::{Listener, Socket};
use crate::testing::link;
use crate::tls::BindingId;

const HERE: &str = "192.0.2.1:21";

/// Every port is available, and no connection arrives.
#[derive(Default)]
struct IdleNet {
    chance: Mutex<u32>,
}

#[async_trait]
impl Net for IdleNet {
    async fn listen(&self, _: SocketAddr, _: bool) -> io::Result<Box<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn listen_data(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(IdleListener(at)))
    }

    async fn connect(&self, _: SocketAddr, _: SocketAddr) -> io::Result<Socket> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn random(&self, bytes: &mut [u8]) {
        let mut chance = self.chance.lock().unwrap();
        *chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.copy_from_slice(&chance.to_be_bytes());
    }

    fn now(&self) -> Timestamp {
        Timestamp::default()
    }
}

struct IdleListener(SocketAddr);

#[async_trait]
impl Listener for IdleListener {
    fn local_address(&self) -> SocketAddr {
        self.0
    }

    async fn accept(&self) -> io::Result<Socket> {
        std::future::pending().await
    }
}

/// A port to which unexpected peers have connected already, so many.
struct FloodedListener {
    at: SocketAddr,
    left: Arc<Mutex<usize>>,
}

#[async_trait]
impl Listener for FloodedListener {
    fn local_address(&self) -> SocketAddr {
        self.at
    }

    async fn accept(&self) -> io::Result<Socket> {
        let is_there = {
            let mut left = self.left.lock().unwrap();
            let is_there = *left > 0;
            *left = left.saturating_sub(1);
            is_there
        };
        if is_there {
            return Ok(link(tokio::io::duplex(1).0));
        }
        std::future::pending().await
    }
}

struct Bench {
    ports: Arc<Ports>,
    net: IdleNet,
    last: Mutex<u64>,
}

impl Bench {
    fn new(range: RangeInclusive<u16>) -> Self {
        let ports = Ports::new(range, Vec::new(), None);
        Self { ports, net: IdleNet::default(), last: Mutex::new(0) }
    }

    /// The identity of a new session.
    fn identity(&self, peer: &str) -> DataConnIdentity {
        let mut last = self.last.lock().unwrap();
        *last += 1;
        let (peer, proxies) = (peer.parse().unwrap(), Arc::default());
        DataConnIdentity { session: *last, peer, binding_id: None, resumes: None, proxies }
    }

    /// The same with TLS that it resumes, or not, or that is unknown.
    fn secured(&self, peer: &str, resumes: Option<bool>) -> DataConnIdentity {
        let identity = self.identity(peer);
        let binding_id = Some(BindingId([u8::try_from(identity.session).unwrap(); 16]));
        DataConnIdentity { binding_id, resumes, ..identity }
    }

    async fn lease(&self, identity: &DataConnIdentity) -> Option<Lease> {
        self.ports.lease(&self.net, HERE.parse().unwrap(), identity).await
    }
}

/// Two sessions of one address without TLS, which cannot share a port.
#[tokio::test(start_paused = true)]
async fn a_session_waits_for_a_port_that_another_one_releases_or_retains() {
    let at = HERE.parse().unwrap();
    for (held, is_retained, is_leased) in [(1, false, true), (1, true, true), (6, false, false)] {
        let bench = Bench::new(30_000..=30_000);
        let ports = &bench.ports;
        let first = bench.lease(&bench.identity("192.0.2.7")).await.unwrap();
        let second = bench.identity("192.0.2.7");
        let release = async {
            sleep(Duration::from_secs(held)).await;
            if is_retained {
                ports.retain(first);
            } else {
                drop(first);
            }
        };
        let (lease, ()) = tokio::join!(ports.lease_in_turn(&bench.net, at, &second), release);
        assert_eq!(lease.is_some(), is_leased, "{held} s, retained: {is_retained}");
    }
}

#[tokio::test(start_paused = true)]
async fn ports_are_leased_in_the_order_in_which_sessions_wait() {
    let at = HERE.parse().unwrap();
    let bench = Bench::new(30_000..=30_000);
    let first = bench.lease(&bench.identity("192.0.2.7")).await.unwrap();
    let order = Mutex::new(Vec::new());
    let identities = [(); 3].map(|()| bench.identity("192.0.2.7"));
    let wait = async |identity: &DataConnIdentity| {
        let lease = bench.ports.lease_in_turn(&bench.net, at, identity).await;
        order.lock().unwrap().push(identity.session);
        sleep(Duration::from_millis(10)).await;
        drop(lease.unwrap());
    };
    let [one, two, three] = &identities;
    tokio::join!(wait(one), wait(two), wait(three), async { drop(first) });
    assert_eq!(order.into_inner().unwrap(), identities.map(|identity| identity.session));
}

#[tokio::test]
async fn row_04_a_port_is_shared_only_if_none_is_free() {
    let bench = Bench::new(30_000..=30_002);
    let mut leases = Vec::new();
    for host in 1..=7 {
        leases.push(bench.lease(&bench.identity(&format!("198.51.100.{host}"))).await.unwrap());
    }
    let mut alone: Vec<_> = leases[..3].iter().map(Lease::port).collect();
    alone.sort_unstable();
    assert_eq!(alone, [30_000, 30_001, 30_002]);
    // The port with the fewest sessions comes first.
    let counts: Vec<_> = leases.iter().map(Lease::sessions).collect();
    assert_eq!(counts.iter().filter(|count| **count == 2).count(), 4, "{counts:?}");
    assert_eq!(counts.iter().filter(|count| **count == 3).count(), 3, "{counts:?}");
    assert_eq!(bench.ports.leased(), 3);
    drop(leases);
    assert_eq!(bench.ports.leased(), 0);
}

#[tokio::test]
async fn row_04_one_address_without_tls_never_has_a_port_twice() {
    let bench = Bench::new(30_000..=30_001);
    let one = bench.lease(&bench.identity("198.51.100.1")).await.unwrap();
    let two = bench.lease(&bench.identity("198.51.100.1")).await.unwrap();
    assert_ne!(one.port(), two.port());
    assert!(bench.lease(&bench.identity("198.51.100.1")).await.is_none());
    // Nor with a TLS session: that does not identify the others.
    assert!(bench.lease(&bench.secured("198.51.100.1", Some(true))).await.is_none());
    assert_eq!(bench.lease(&bench.identity("198.51.100.2")).await.unwrap().sessions(), 2);
    drop(two);
    assert!(bench.lease(&bench.identity("198.51.100.1")).await.is_some());
}

#[tokio::test]
async fn row_04_one_address_with_tls_shares_unless_it_is_known_not_to_resume() {
    let bench = Bench::new(30_000..=30_000);
    let _one = bench.lease(&bench.secured("198.51.100.1", None)).await.unwrap();
    let _two = bench.lease(&bench.secured("198.51.100.1", Some(true))).await.unwrap();
    assert!(bench.lease(&bench.secured("198.51.100.1", Some(false))).await.is_none());
    assert!(bench.lease(&bench.secured("198.51.100.2", Some(false))).await.is_some());
    let one = bench.lease(&bench.secured("198.51.100.3", Some(false))).await.unwrap();
    assert!(bench.lease(&bench.secured("198.51.100.3", Some(true))).await.is_none());
    drop(one);
}

#[tokio::test]
async fn a_port_where_all_are_known_to_resume_is_shared_before_others() {
    let bench = Bench::new(30_000..=30_001);
    let known = bench.lease(&bench.secured("198.51.100.1", Some(true))).await.unwrap();
    let _unknown = bench.lease(&bench.secured("198.51.100.1", None)).await.unwrap();
    let third = bench.lease(&bench.secured("198.51.100.1", Some(true))).await.unwrap();
    assert_eq!(third.port(), known.port());
}

#[tokio::test]
async fn clients_of_a_proxy_share_with_their_like_only() {
    let bench = Bench::new(30_000..=30_000);
    let proxies: Arc<[IpNet]> = [IpNet::new_assert([192, 0, 2, 9].into(), 32)].into();
    let _direct = bench.lease(&bench.identity("198.51.100.1")).await.unwrap();
    let behind = DataConnIdentity { proxies, ..bench.identity("198.51.100.2") };
    assert!(bench.lease(&behind).await.is_none());
}

#[tokio::test]
async fn row_04_an_address_has_no_more_than_64_ports_to_itself() {
    let bench = Bench::new(30_000..=30_999);
    let mut leases = Vec::new();
    for _ in 0..PER_ADDRESS_MAX {
        leases.push(bench.lease(&bench.identity("2001:db8::1")).await.unwrap());
    }
    // An IPv6 customer has a /64.
    assert!(bench.lease(&bench.identity("2001:db8::2")).await.is_none());
    assert!(bench.lease(&bench.identity("198.51.100.2")).await.is_some());
    // A retained port is released.
    bench.ports.retain(leases.pop().unwrap());
    leases.push(bench.lease(&bench.identity("2001:db8::3")).await.unwrap());
    drop(leases);
    assert_eq!(bench.ports.leased(), 0);
    assert!(bench.ports.all_open().per_address.is_empty());
}

#[tokio::test]
async fn row_04_what_is_kept_is_bounded_and_never_shared() {
    let bench = Bench::new(30_000..=30_999);
    for number in 0..=RETAINED_MAX {
        let peer = format!("198.51.{}.{}", number / 250, number % 250);
        bench.ports.retain(bench.lease(&bench.identity(&peer)).await.unwrap());
    }
    assert_eq!(bench.ports.all_open().listeners.len(), RETAINED_MAX);
    assert_eq!(bench.ports.leased(), 0);

    let small = Bench::new(30_000..=30_000);
    let identity = small.identity("198.51.100.1");
    let one = small.lease(&identity).await.unwrap();
    let two = small.lease(&small.identity("198.51.100.2")).await.unwrap();
    small.ports.retain(one);
    assert!(small.ports.all_retained().is_empty(), "two had it");
    small.ports.retain(two);
    // A retained port is released for a session that needs it.
    assert_eq!(small.lease(&identity).await.unwrap().sessions(), 1);
}

/// Two-sided: a port that is watched empties however many come, and one that is not stays as it is.
#[tokio::test(start_paused = true)]
async fn row_03_a_watched_port_closes_unexpected_peers_while_its_session_is_idle() {
    for is_watched in [false, true] {
        let bench = Bench::new(30_000..=30_000);
        let left = Arc::new(Mutex::new(10_000));
        let at = "192.0.2.1:30000".parse().unwrap();
        let listener = Box::new(FloodedListener { at, left: Arc::clone(&left) });
        let reserved = bench.ports.reserve(at).unwrap();
        let identity = bench.identity("198.51.100.1");
        let port = PassiveListener::new(listener, None, reserved, identity.clone());
        let lease = Lease::new(&identity, Arc::new(port), None).listed(&bench.ports);
        if is_watched {
            lease.watch();
        }
        sleep(Duration::from_secs(3)).await;
        assert_eq!(*left.lock().unwrap(), if is_watched { 0 } else { 10_000 });
        // The session receives them, and others can join the port.
        let came = lease.next().await.unwrap();
        assert!(matches!(came, PortEvent::Unexpected(_)));
        let other = bench.identity("198.51.100.2");
        assert_eq!(bench.lease(&other).await.is_some(), is_watched);
    }
}
