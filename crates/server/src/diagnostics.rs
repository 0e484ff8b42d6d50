//! Why data connections do not come to be: counted by network of clients and by cause, with what
//! would help.
//!
//! Counts are of about the last day: six spans of four hours, of which the oldest is dropped as a
//! new one begins. Nothing here is written down; a server that starts knows nothing.

mod hints;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::time::Instant;

use crate::settings::{Passive, private_networks};

/// Networks of clients that are remembered. A new one takes the place of one without failures, or
/// else of the one that failed longest ago.
const NETWORKS_MAX: usize = 1024;
const SPANS: usize = 6;
const SPAN_SECONDS: i64 = 4 * 60 * 60;
/// The same trouble of the same network is told once in this time.
const REPORT_INTERVAL_SECONDS: i64 = 60 * 60;
/// Addresses that came to a port where nobody waited for them.
const UNEXPECTED_PEERS_MAX: usize = 64;
/// Of what TLS or the system says.
const DETAIL_LETTERS_MAX: usize = 200;

/// Why a data connection did not come to be, as far as the server can see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Nobody came to the port.
    NoConnection,
    /// Nobody came, and what PASV announced is a private address, but the client is not in one.
    AnnouncedPrivate,
    /// Connections came, but of other addresses than the client's.
    OtherAddress,
    /// Nobody came, but the client's address was seen at a port that another session was told.
    OtherPort,
    /// TLS failed on it.
    TlsFailed,
    /// It did not resume the TLS session of its control connection, which is required.
    NotResumed,
    /// On a port that several sessions share it could not be told whose it was.
    AmbiguousSession,
    /// There was no port to give.
    NoPort,
    /// The system failed us.
    System,
    /// Active mode: the client could not be reached.
    NotReached,
    /// Active mode: the client named a private address, and is not in one.
    NamedPrivate,
}

/// What is known of the trouble of one network with one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataConnFailure {
    /// The clients: an IPv4 /24 or an IPv6 /64.
    pub network: IpNet,
    /// Why.
    pub cause: Cause,
    /// How often in about the last day.
    pub failed: u64,
    /// How many passive data connections of this network came to be in that time.
    pub arrived: u64,
    /// When it last happened, in seconds since 1970.
    pub last: i64,
    /// More about the last time: an address, an alert of TLS. May be empty.
    pub detail: String,
    /// What would help.
    pub remedy: String,
}

/// What the doctor has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagnosticsReport {
    /// By network and cause, the most frequent first.
    pub failures: Vec<DataConnFailure>,
    /// Since the start, by cause.
    pub totals: Vec<(Cause, u64)>,
    /// Passive data connections that came to be since the start.
    pub arrived: u64,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoConnection,
        Self::AnnouncedPrivate,
        Self::OtherAddress,
        Self::OtherPort,
        Self::TlsFailed,
        Self::NotResumed,
        Self::AmbiguousSession,
        Self::NoPort,
        Self::System,
        Self::NotReached,
        Self::NamedPrivate,
    ];

    /// As scripts know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoConnection => "no-connection",
            Self::AnnouncedPrivate => "announced-private",
            Self::OtherAddress => "other-address",
            Self::OtherPort => "other-port",
            Self::TlsFailed => "tls-failed",
            Self::NotResumed => "not-resumed",
            Self::AmbiguousSession => "not-told-apart",
            Self::NoPort => "no-port",
            Self::System => "system",
            Self::NotReached => "not-reached",
            Self::NamedPrivate => "named-private",
        }
    }

    /// What was seen, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoConnection => "no data connection came",
            Self::AnnouncedPrivate => {
                "PASV announced a private address to a client outside, and no data connection came"
            }
            Self::OtherAddress => "data connections came from another address than the client's",
            Self::OtherPort => "the client came to another port than it was told",
            Self::TlsFailed => "TLS failed on the data connection",
            Self::NotResumed => "the data connection did not resume the TLS session",
            Self::AmbiguousSession => {
                "on a shared port it could not be told whose the data connection was"
            }
            Self::NoPort => "there was no data port to give",
            Self::System => "the system failed the data connection",
            Self::NotReached => "the client could not be reached (active mode)",
            Self::NamedPrivate => "the client named its private address (active mode)",
        }
    }
}

/// What was seen of one data connection that did not come to be.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub(crate) cause: Cause,
    pub(crate) detail: String,
    /// What PASV announced; nothing for EPSV, which announces none, and in active mode.
    pub(crate) announced: Option<Ipv4Addr>,
}

/// Counts, and says what is worth telling.
#[derive(Debug, Default)]
pub(crate) struct DataConnDiagnostics {
    state: Mutex<DiagnosticsState>,
    arrived: AtomicU64,
    totals: [AtomicU64; Cause::ALL.len()],
}

#[derive(Debug, Default)]
struct DiagnosticsState {
    networks: BTreeMap<IpNet, NetworkStats>,
    unexpected_peers: VecDeque<(IpAddr, Instant)>,
}

/// One network.
#[derive(Debug, Default)]
struct NetworkStats {
    arrived: DailyCount,
    /// When anything was counted.
    changed: i64,
    causes: BTreeMap<Cause, CauseStats>,
}

/// One network's trouble with one cause.
#[derive(Debug)]
struct CauseStats {
    failed: DailyCount,
    last: i64,
    /// When it was last told of.
    reported_at: Option<i64>,
    detail: String,
    announced: Option<Ipv4Addr>,
    is_local: bool,
}

/// Counts of about a day.
#[derive(Clone, Copy, Debug, Default)]
struct DailyCount {
    counts: [u32; SPANS],
    /// The number of the newest span, which is the first of `counts`.
    newest: i64,
}

impl DataConnDiagnostics {
    /// A passive data connection came to be.
    pub(crate) fn arrived(&self, peer: IpAddr, now: i64) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
        self.state().network_stats(network_of(peer), now).arrived.count(now);
    }

    /// One did not. Returns what to tell, unless that was done lately.
    pub(crate) fn failed(
        &self,
        peer: IpAddr,
        observation: &Observation,
        passive: &Passive,
        now: i64,
    ) -> Option<DataConnFailure> {
        if let Some((_, total)) = self.totals().find(|(cause, _)| *cause == observation.cause) {
            total.fetch_add(1, Ordering::Relaxed);
        }
        let network = network_of(peer);
        let cause = observation.cause;
        let is_local = passive.local_networks.iter().any(|near| near.contains(&peer));
        let mut state = self.state();
        let network_stats = state.network_stats(network, now);
        let arrived = network_stats.arrived.sum(now);
        let detail = observation.detail.chars().take(DETAIL_LETTERS_MAX).collect();
        let failed =
            network_stats.causes.get(&cause).map(|before| before.failed).unwrap_or_default();
        let reported_at = network_stats.causes.get(&cause).and_then(|before| before.reported_at);
        let announced = observation.announced;
        let mut cause_stats =
            CauseStats { failed, last: now, reported_at, detail, announced, is_local };
        cause_stats.failed.count(now);
        let is_due = reported_at
            .is_none_or(|reported_at| now.saturating_sub(reported_at) >= REPORT_INTERVAL_SECONDS);
        if is_due {
            cause_stats.reported_at = Some(now);
        }
        let failure = is_due.then(|| cause_stats.view(network, cause, arrived, passive, now));
        network_stats.causes.insert(cause, cause_stats);
        failure
    }

    /// Somebody came to a port where nobody waited for this address.
    pub(crate) fn unexpected_peer(&self, address: IpAddr) {
        let mut state = self.state();
        if state.unexpected_peers.len() >= UNEXPECTED_PEERS_MAX {
            state.unexpected_peers.pop_front();
        }
        state.unexpected_peers.push_back((address, Instant::now()));
    }

    /// Whether this address has been at a port of somebody else since then.
    pub(crate) fn was_unexpected_elsewhere(&self, address: IpAddr, since: Instant) -> bool {
        self.state()
            .unexpected_peers
            .iter()
            .any(|(unexpected_peer, at)| *unexpected_peer == address && *at >= since)
    }

    /// All that is known.
    pub(crate) fn report(&self, passive: &Passive, now: i64) -> DiagnosticsReport {
        let state = self.state();
        let mut failures = Vec::new();
        for (network, network_stats) in &state.networks {
            let arrived = network_stats.arrived.sum(now);
            let causes = network_stats.causes.iter();
            let causes = causes.filter(|(_, cause_stats)| cause_stats.failed.sum(now) > 0);
            failures.extend(causes.map(|(cause, cause_stats)| {
                cause_stats.view(*network, *cause, arrived, passive, now)
            }));
        }
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.failed));
        DiagnosticsReport {
            failures,
            totals: self
                .totals()
                .map(|(cause, total)| (cause, total.load(Ordering::Relaxed)))
                .collect(),
            arrived: self.arrived.load(Ordering::Relaxed),
        }
    }

    fn totals(&self) -> impl Iterator<Item = (Cause, &AtomicU64)> {
        Cause::ALL.into_iter().zip(&self.totals)
    }

    fn state(&self) -> MutexGuard<'_, DiagnosticsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiagnosticsState {
    fn network_stats(&mut self, network: IpNet, now: i64) -> &mut NetworkStats {
        if self.networks.len() >= NETWORKS_MAX && !self.networks.contains_key(&network) {
            let least = |(_, network_stats): &(&IpNet, &NetworkStats)| {
                (!network_stats.causes.is_empty(), network_stats.changed)
            };
            if let Some((least, _)) = self.networks.iter().min_by_key(least) {
                let least = *least;
                self.networks.remove(&least);
            }
        }
        let network_stats = self.networks.entry(network).or_default();
        network_stats.changed = now;
        network_stats
    }
}

impl CauseStats {
    fn view(
        &self,
        network: IpNet,
        cause: Cause,
        arrived: u64,
        passive: &Passive,
        now: i64,
    ) -> DataConnFailure {
        let failed = self.failed.sum(now);
        let facts = hints::HintFacts {
            announced: self.announced,
            is_local: self.is_local,
            mostly_succeeds: arrived > failed.saturating_mul(4),
            passive,
        };
        DataConnFailure {
            network,
            cause,
            failed,
            arrived,
            last: self.last,
            detail: self.detail.clone(),
            remedy: hints::hint(cause, &facts),
        }
    }
}

impl DailyCount {
    fn count(&mut self, now: i64) {
        self.advance(now);
        if let Some(newest) = self.counts.first_mut() {
            *newest = newest.saturating_add(1);
        }
    }

    fn sum(mut self, now: i64) -> u64 {
        self.advance(now);
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// Drops what is too old. A clock that goes back counts on in the newest span.
    fn advance(&mut self, now: i64) {
        let newest = now.div_euclid(SPAN_SECONDS);
        let steps = usize::try_from(newest.saturating_sub(self.newest)).unwrap_or(0).min(SPANS);
        self.counts.rotate_right(steps);
        self.counts.iter_mut().take(steps).for_each(|count| *count = 0);
        self.newest = self.newest.max(newest);
    }
}

/// The network that a client counts for: an IPv4 /24 or an IPv6 /64.
fn network_of(peer: IpAddr) -> IpNet {
    let whole: IpNet = match peer.to_canonical() {
        IpAddr::V4(address) => Ipv4Net::new_assert(address, 24).into(),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, 64).into(),
    };
    whole.trunc()
}

/// Whether nobody on the Internet can reach this address: private networks, and those that
/// providers put between their customers and the Internet (RFC 6598).
pub fn is_private(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_shared = matches!(address, IpAddr::V4(address)
        if address.octets().first() == Some(&100)
            && address.octets().get(1).is_some_and(|second| second & 0xc0 == 64));
    is_shared || private_networks().iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests;
