//! The state of addresses and accounts: failures, bans, locks and usual addresses.
//!
//! Failures are counted in fixed windows that begin with the first failure. This needs two numbers
//! an address, and no shorter period contains more than twice the number of failures that bans.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use super::bans::Bans;
use super::{AuthEvent, Ban, BanDecision, BanListFull, Lock, ThrottleSnapshot, UsualAddress};
use crate::admission::ClientPrefix;
use crate::settings;

/// Addresses with failures; beyond that, those with the fewest failures are evicted.
const ADDRESSES_MAX: usize = 16_384;
/// Names with failures; evicted likewise.
const NAMES_MAX: usize = 4096;
/// Addresses with a successful login; beyond that, the oldest are evicted.
const KNOWN_MAX: usize = 16_384;
/// How long an address counts as known after a login: 30 days.
const KNOWN_SECONDS: i64 = 30 * 24 * 3600;
/// Accounts whose usual addresses are kept; beyond that, the least recently used are evicted.
pub const USUAL_ACCOUNTS_MAX: usize = 4096;
/// Usual addresses of an account; beyond that, the oldest is evicted.
pub const USUAL_ADDRESSES_MAX: usize = 8;
/// The time of a login from a usual address is updated at most this often, in seconds, so that
/// not every login writes the state file.
const USUAL_UPDATE_INTERVAL: i64 = 3600;
/// Rejected connections from one address are reported at most this often, in seconds.
const REPORT_INTERVAL: i64 = 60;
/// Events that wait to be reported; more are dropped, since they only inform.
const EVENTS_MAX: usize = 1024;
/// For how long the slowest check delays all failures, in seconds.
const SLOWEST_WINDOW: i64 = 3600;
/// No check of a password takes longer than this, in seconds.
const ATTEMPT_SECONDS_MAX: i64 = 120;

/// Failures, bans, locks and usual addresses.
#[derive(Debug)]
pub(super) struct ThrottleState {
    settings: settings::BanSettings,
    bans: Bans,
    addresses: HashMap<ClientPrefix, FailureCount>,
    names: HashMap<String, NameState>,
    usual: HashMap<String, Vec<(ClientPrefix, i64)>>,
    known: HashMap<ClientPrefix, i64>,
    events: Vec<AuthEvent>,
    version: u64,
    /// The longest check of a failed attempt, and when it was.
    slowest_check: (Duration, i64),
}

/// Failed logins of an address or a name.
#[derive(Debug, Default)]
struct FailureCount {
    count: u32,
    since: i64,
    /// Attempts in progress.
    in_flight: u32,
}

#[derive(Debug, Default)]
struct NameState {
    score: FailureCount,
    locked_until: i64,
}

/// The result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptOutcome {
    Failed,
    NotCounted,
    SucceededAt,
}

/// Whether an attempt may proceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptCheck {
    Admitted,
    Wait,
    Banned,
    Locked,
}

impl FailureCount {
    /// The failures within the current window.
    fn count(&mut self, now: i64, window: i64) -> u32 {
        // A result has the time at which its attempt began; if it is older, the clock was set.
        let age = now.saturating_sub(self.since);
        if age >= window || age < -ATTEMPT_SECONDS_MAX {
            self.count = 0;
        }
        self.count
    }

    /// Counts one failure and returns the number within the window.
    fn add(&mut self, now: i64, window: i64) -> u32 {
        if self.count(now, window) == 0 {
            self.since = now;
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

impl ThrottleState {
    /// Applies new settings and keeps all counts.
    pub(super) fn reconfigure(&mut self, settings: settings::BanSettings) {
        self.settings = settings;
    }

    pub(super) fn new(settings: settings::BanSettings) -> Self {
        Self {
            settings,
            bans: Bans::default(),
            addresses: HashMap::new(),
            names: HashMap::new(),
            usual: HashMap::new(),
            known: HashMap::new(),
            events: Vec::new(),
            version: 0,
            slowest_check: (Duration::ZERO, 0),
        }
    }

    pub(super) fn is_banned(&mut self, address: IpAddr, now: i64) -> bool {
        !self.is_allowed(address) && self.bans.find(address, now).is_some()
    }

    pub(super) fn ban_decision(&mut self, address: IpAddr, now: i64) -> BanDecision {
        if self.is_allowed(address) {
            return BanDecision::Allowed;
        }
        let Some(held) = self.bans.find(address, now) else { return BanDecision::Allowed };
        held.unreported += 1;
        let is_due =
            held.reported_at.is_none_or(|reported| (now - reported).abs() >= REPORT_INTERVAL);
        if !is_due {
            return BanDecision::Banned;
        }
        held.reported_at = Some(now);
        BanDecision::BannedAndReported(std::mem::take(&mut held.unreported))
    }

    pub(super) fn is_known(&self, address: IpAddr, now: i64) -> bool {
        let last = self.known.get(&ClientPrefix::from(address));
        self.is_allowed(address) || last.is_some_and(|last| now - last < KNOWN_SECONDS)
    }

    pub(super) fn begin(&mut self, address: IpAddr, user: &str, now: i64) -> AttemptCheck {
        if self.is_banned(address, now) {
            return AttemptCheck::Banned;
        }
        if !self.counts_failures(address) {
            return AttemptCheck::Admitted;
        }
        let prefix = ClientPrefix::from(address);
        let (max, window) = (self.settings.attempts, seconds(self.settings.window));
        if !make_space(&mut self.addresses, &prefix, ADDRESSES_MAX, |score| {
            (score.in_flight == 0).then(|| score.count(now, window).into())
        }) {
            return AttemptCheck::Wait;
        }
        let score = self.addresses.entry(prefix).or_default();
        // Attempts beyond the one that would ban the address must not be checked before it.
        if score.in_flight > 0 && score.count(now, window) + score.in_flight >= max {
            return AttemptCheck::Wait;
        }
        if self.is_locked_out(address, user, now) {
            self.count_address_failure(address, now);
            return AttemptCheck::Locked;
        }
        if let Some(score) = self.addresses.get_mut(&prefix) {
            score.in_flight += 1;
        }
        AttemptCheck::Admitted
    }

    pub(super) fn end(&mut self, address: IpAddr, user: &str, outcome: AttemptOutcome, now: i64) {
        let prefix = ClientPrefix::from(address);
        if let Some(score) = self.addresses.get_mut(&prefix) {
            score.in_flight = score.in_flight.saturating_sub(1);
        }
        if outcome == AttemptOutcome::SucceededAt && !self.is_allowed(address) {
            self.record_login(user, prefix, now);
        }
        if outcome == AttemptOutcome::Failed && self.counts_failures(address) {
            self.count_address_failure(address, now);
            self.end_name(address, user, now);
        }
    }

    /// Counts a failed attempt for a name; the address was counted already.
    pub(super) fn end_name(&mut self, address: IpAddr, user: &str, now: i64) {
        if self.counts_failures(address) && !self.is_usual(user, ClientPrefix::from(address)) {
            self.count_name_failure(user, now);
        }
    }

    /// Whether the account is locked for this address.
    pub(super) fn is_locked_out(&self, address: IpAddr, user: &str, now: i64) -> bool {
        let is_usual = || self.is_usual(user, ClientPrefix::from(address));
        self.counts_failures(address) && self.is_locked(user, now) && !is_usual()
    }

    pub(super) fn failures(&mut self, prefix: ClientPrefix, now: i64) -> u32 {
        let window = seconds(self.settings.window);
        self.addresses.get_mut(&prefix).map_or(0, |score| score.count(now, window))
    }

    /// Records the time of a failed check, and returns the longest recent one.
    pub(super) fn slowest_check(&mut self, took: Duration, now: i64) -> Duration {
        let (slowest_check, at) = self.slowest_check;
        if took >= slowest_check || (now - at).abs() >= SLOWEST_WINDOW {
            self.slowest_check = (took, now);
        }
        self.slowest_check.0
    }

    pub(super) fn take_events(&mut self) -> Vec<AuthEvent> {
        std::mem::take(&mut self.events)
    }

    /// Reports expired bans, and drops those that no longer affect the length of the next one.
    pub(super) fn sweep(&mut self, now: i64) {
        for network in self.bans.take_expired(now) {
            self.push_event(AuthEvent::Lifted { network, reason: "expired" });
            self.version += 1;
        }
        let retention = seconds(self.settings.time_max);
        let is_old = |ban: &&Ban| {
            let retention = if ban.is_manual { 0 } else { retention };
            ban.until.is_some_and(|until| now.saturating_sub(until) >= retention)
        };
        let old: Vec<_> = self.bans.each().filter(is_old).map(|ban| ban.network).collect();
        for network in old {
            self.bans.remove(network);
            self.version += 1;
        }
    }

    /// Adds a ban, manual or automatic.
    pub(super) fn ban(&mut self, ban: Ban, now: i64) -> Result<(), BanListFull> {
        let ban = Ban { network: ban.network.trunc(), ..ban };
        self.bans.put(ban.clone())?;
        self.version += 1;
        if ban.holds(now) {
            self.push_event(AuthEvent::Banned(ban));
        }
        Ok(())
    }

    /// Lifts a ban and clears the failures that led to it.
    pub(super) fn lift(&mut self, network: ipnet::IpNet) -> bool {
        let network = network.trunc();
        self.addresses
            .retain(|prefix, score| score.in_flight > 0 || !network.contains(&prefix.network()));
        let Some(_) = self.bans.remove(network) else { return false };
        self.version += 1;
        self.push_event(AuthEvent::Lifted { network, reason: "removed by the administrator" });
        true
    }

    pub(super) fn unlock(&mut self, user: &str) {
        if self.names.remove(&fold_case(user)).is_some() {
            self.version += 1;
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn snapshot(&self) -> ThrottleSnapshot {
        let locks = self.names.iter().filter(|(_, name)| name.locked_until > 0);
        let usual = self.usual.iter().flat_map(|(user, addresses)| {
            addresses.iter().map(move |(prefix, last)| UsualAddress {
                user: user.clone(),
                network: prefix.network(),
                last: *last,
            })
        });
        ThrottleSnapshot {
            bans: self.bans.each().cloned().collect(),
            locks: locks
                .map(|(user, name)| Lock { user: user.clone(), until: name.locked_until })
                .collect(),
            usual: usual.collect(),
        }
    }

    /// Restores the state of an earlier run. Bans that are still in force are not reported again.
    pub(super) fn restore(&mut self, snapshot: ThrottleSnapshot, now: i64) {
        for ban in snapshot.bans {
            // When the list is full, the bans that are already in it stay.
            let _ = self.bans.put(Ban { network: ban.network.trunc(), ..ban });
        }
        for lock in snapshot.locks {
            if lock.until > now && self.names.len() < NAMES_MAX {
                let name = self.names.entry(fold_case(&lock.user)).or_default();
                name.locked_until = lock.until;
            }
        }
        for usual in snapshot.usual {
            self.record_login(&usual.user, usual.network.network().into(), usual.last);
        }
        self.version = 0;
        self.sweep(now);
    }

    /// The length of the largest table.
    #[cfg(test)]
    pub(super) fn len_max(&self) -> usize {
        let tables = [self.addresses.len(), self.names.len(), self.usual.len(), self.known.len()];
        tables.into_iter().max().unwrap_or_default()
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        self.settings.allow.iter().any(|network| network.contains(&address))
    }

    fn counts_failures(&self, address: IpAddr) -> bool {
        self.settings.is_enabled && !self.is_allowed(address)
    }

    fn is_locked(&self, user: &str, now: i64) -> bool {
        self.names.get(&fold_case(user)).is_some_and(|name| now < name.locked_until)
    }

    fn is_usual(&self, user: &str, prefix: ClientPrefix) -> bool {
        let addresses = self.usual.get(&fold_case(user));
        addresses.is_some_and(|addresses| addresses.iter().any(|(known, _)| *known == prefix))
    }

    /// Counts a failure of an address, and bans the address when the limit is reached.
    fn count_address_failure(&mut self, address: IpAddr, now: i64) {
        let (max, window) = (self.settings.attempts, seconds(self.settings.window));
        let prefix = ClientPrefix::from(address);
        let score = self.addresses.entry(prefix).or_default();
        if score.add(now, window) < max {
            return;
        }
        score.count = 0;
        let network = prefix.network();
        let before = self.bans.get(network);
        // A manual ban keeps the duration that the administrator gave it.
        if before.is_some_and(|ban| ban.is_manual && ban.holds(now)) {
            return;
        }
        let times = before.map_or(1, |ban| ban.times.saturating_add(1));
        let time = ban_time(&self.settings, times);
        let ban = Ban {
            network,
            since: now,
            until: Some(now.saturating_add(time)),
            times,
            is_manual: false,
            reason: "too many failed logins".to_owned(),
        };
        // Fails only when the list is full of manual bans.
        let _ = self.ban(ban, now);
    }

    /// Counts a failure of a name from an unusual address, and locks it when the limit is reached.
    fn count_name_failure(&mut self, user: &str, now: i64) {
        let user = fold_case(user);
        let (max, window) = (self.settings.account_attempts, seconds(self.settings.window));
        let has_space = make_space(&mut self.names, &user, NAMES_MAX, |name| {
            (now >= name.locked_until).then(|| name.score.count(now, window).into())
        });
        if !has_space {
            return;
        }
        let name = self.names.entry(user.clone()).or_default();
        if name.score.add(now, window) < max || now < name.locked_until {
            return;
        }
        name.score.count = 0;
        let seconds = seconds(self.settings.time);
        name.locked_until = now.saturating_add(seconds);
        self.version += 1;
        self.push_event(AuthEvent::Locked { user, seconds });
    }

    fn record_login(&mut self, user: &str, prefix: ClientPrefix, now: i64) {
        make_space(&mut self.known, &prefix, KNOWN_MAX, |last| u64::try_from(*last).ok());
        let last = self.known.entry(prefix).or_insert(now);
        *last = now.max(*last);
        let user = fold_case(user);
        make_space(&mut self.usual, &user, USUAL_ACCOUNTS_MAX, |addresses| {
            u64::try_from(addresses.iter().map(|(_, last)| *last).max().unwrap_or(0)).ok()
        });
        let addresses = self.usual.entry(user).or_default();
        if let Some((_, last)) = addresses.iter_mut().find(|(known, _)| *known == prefix) {
            if now.saturating_sub(*last) >= USUAL_UPDATE_INTERVAL {
                *last = now;
                self.version += 1;
            }
            return;
        }
        if addresses.len() >= USUAL_ADDRESSES_MAX {
            let oldest = addresses.iter().enumerate().min_by_key(|(_, (_, last))| *last);
            if let Some(at) = oldest.map(|(at, _)| at) {
                addresses.swap_remove(at);
            }
        }
        addresses.push((prefix, now));
        self.version += 1;
    }

    fn push_event(&mut self, event: AuthEvent) {
        if self.events.len() < EVENTS_MAX {
            self.events.push(event);
        }
    }
}

/// A name in lower case. Directories and login services treat `Anna` and `ANNA` as one account, so
/// counting each spelling separately would multiply the allowed guesses.
fn fold_case(user: &str) -> String {
    user.to_lowercase()
}

/// Whether two names are counted together.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    fold_case(one) == fold_case(other)
}

/// Makes room for `key` in a full map by evicting the eighth of the entries with the least weight,
/// so that this happens rarely; entries without a weight stay. Returns whether there is room.
fn make_space<K, Q, V>(
    map: &mut HashMap<K, V>,
    key: &Q,
    max: usize,
    mut weight: impl FnMut(&mut V) -> Option<u64>,
) -> bool
where
    K: Clone + Eq + Hash + Borrow<Q>,
    Q: Eq + Hash + ?Sized,
{
    if map.len() < max || map.contains_key(key) {
        return true;
    }
    let mut weights: Vec<_> =
        map.iter_mut().filter_map(|(key, value)| Some((weight(value)?, key.clone()))).collect();
    weights.sort_unstable_by_key(|(weight, _)| *weight);
    for (_, lightest) in weights.iter().take(max / 8) {
        map.remove(lightest.borrow());
    }
    map.len() < max
}

/// The duration of the `times`-th consecutive ban.
fn ban_time(settings: &settings::BanSettings, times: u32) -> i64 {
    let doublings = times.saturating_sub(1).min(31);
    let time = settings.time.saturating_mul(1 << doublings);
    seconds(time.min(settings.time_max.max(settings.time)))
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX).max(1)
}
