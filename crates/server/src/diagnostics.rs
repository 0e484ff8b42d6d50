//! Passive-mode diagnostics: failed data connections, counted by client network and cause, with a
//! hint for each.
//!
//! Counts cover about the last day: six spans of four hours, of which the oldest is dropped when a
//! new one begins. They are kept in memory only.

mod hints;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::time::Instant;

use wharf_core::lock;

use crate::settings::{PassiveSettings, private_networks};

/// Client networks that are remembered. A new one replaces one without failures, or else the one
/// that failed longest ago.
const NETWORKS_MAX: usize = 1024;
const SPANS: usize = 6;
const SPAN_SECONDS: i64 = 4 * 60 * 60;
/// The same failure of the same network is reported once per interval.
const REPORT_INTERVAL_SECONDS: i64 = 60 * 60;
/// Addresses that connected to a port on which no session expected them.
const UNEXPECTED_PEERS_MAX: usize = 64;
/// Characters kept of a TLS or system error.
const DETAIL_LETTERS_MAX: usize = 200;

/// Why a data connection failed, as far as the server can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// No connection arrived on the port.
    NoConnection,
    /// No connection arrived, and PASV announced a private address to a client with a public one.
    AnnouncedPrivate,
    /// Connections arrived, but only from other addresses than the client's.
    OtherAddress,
    /// No connection arrived, but the client's address connected to the port of another session.
    OtherPort,
    /// The TLS handshake failed.
    TlsFailed,
    /// It did not resume the TLS session of its control connection, as `tls.session_reuse`
    /// requires.
    NotResumed,
    /// The session of a connection on a shared port could not be determined.
    AmbiguousSession,
    /// No passive port was available.
    NoPort,
    /// The operating system returned an error.
    System,
    /// Active mode: connecting to the client failed.
    NotReached,
    /// Active mode: the client, with a public address, sent a private one.
    NamedPrivate,
}

/// Failures of one network with one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataConnFailure {
    /// The clients: an IPv4 /24 or an IPv6 /64.
    pub network: IpNet,
    /// Why.
    pub cause: Cause,
    /// Failures in about the last day.
    pub failed: u64,
    /// Passive data connections of this network that succeeded in that time.
    pub arrived: u64,
    /// When it last happened, in seconds since 1970.
    pub last: i64,
    /// Details of the last failure: an address, a TLS alert. May be empty.
    pub detail: String,
    /// How to fix it.
    pub hint: String,
}

/// A summary of the diagnostics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagnosticsReport {
    /// By network and cause, the most frequent first.
    pub failures: Vec<DataConnFailure>,
    /// Since the start, by cause.
    pub totals: Vec<(Cause, u64)>,
    /// Passive data connections that succeeded since the start.
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

    /// The identifier in JSON, metrics and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoConnection => "no-connection",
            Self::AnnouncedPrivate => "private-address-announced",
            Self::OtherAddress => "other-address",
            Self::OtherPort => "other-port",
            Self::TlsFailed => "tls-failed",
            Self::NotResumed => "not-resumed",
            Self::AmbiguousSession => "ambiguous-session",
            Self::NoPort => "no-free-port",
            Self::System => "system-error",
            Self::NotReached => "client-unreachable",
            Self::NamedPrivate => "private-address-sent",
        }
    }

    /// A description of what was observed.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoConnection => "no data connection arrived",
            Self::AnnouncedPrivate => {
                "PASV announced a private address to a public client; no data connection arrived"
            }
            Self::OtherAddress => "data connections arrived from another address than the client's",
            Self::OtherPort => "the client connected to another port than announced",
            Self::TlsFailed => "TLS failed on the data connection",
            Self::NotResumed => "the data connection did not resume the TLS session",
            Self::AmbiguousSession => {
                "the session of a data connection on a shared port is ambiguous"
            }
            Self::NoPort => "no passive port was available",
            Self::System => "the operating system reported an error on the data connection",
            Self::NotReached => "the client could not be reached (active mode)",
            Self::NamedPrivate => "the client sent its private address (active mode)",
        }
    }
}

/// What was observed of one failed data connection.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub(crate) cause: Cause,
    pub(crate) detail: String,
    /// The address in the reply to PASV; none for EPSV and in active mode.
    pub(crate) announced: Option<Ipv4Addr>,
}

/// Counts data connections, and decides which failures to report.
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

/// Failures of one network with one cause.
#[derive(Debug)]
struct CauseStats {
    failed: DailyCount,
    last: i64,
    /// When it was last reported.
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
    /// Counts a passive data connection that succeeded.
    pub(crate) fn arrived(&self, peer: IpAddr, now: i64) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
        self.state().network_stats(network_of(peer), now).arrived.count(now);
    }

    /// Counts a failed one. Returns the failure to report, unless it was reported recently.
    pub(crate) fn failed(
        &self,
        peer: IpAddr,
        observation: &Observation,
        passive: &PassiveSettings,
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

    /// Records a peer that connected to a port on which no session expected it.
    pub(crate) fn unexpected_peer(&self, address: IpAddr) {
        let mut state = self.state();
        if state.unexpected_peers.len() >= UNEXPECTED_PEERS_MAX {
            state.unexpected_peers.pop_front();
        }
        state.unexpected_peers.push_back((address, Instant::now()));
    }

    /// Whether this address has connected to the port of another session since then.
    pub(crate) fn was_unexpected_elsewhere(&self, address: IpAddr, since: Instant) -> bool {
        self.state()
            .unexpected_peers
            .iter()
            .any(|(unexpected_peer, at)| *unexpected_peer == address && *at >= since)
    }

    /// All counts.
    pub(crate) fn report(&self, passive: &PassiveSettings, now: i64) -> DiagnosticsReport {
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
        lock(&self.state)
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
        passive: &PassiveSettings,
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
            hint: hints::hint(cause, &facts),
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

    /// Drops old spans. If the clock goes back, the newest span continues.
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

/// Whether an address cannot be reached from the Internet: private networks, and carrier-grade NAT
/// (RFC 6598).
pub fn is_private(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_shared = matches!(address, IpAddr::V4(address)
        if address.octets().first() == Some(&100)
            && address.octets().get(1).is_some_and(|second| second & 0xc0 == 64));
    is_shared || private_networks().iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests;
