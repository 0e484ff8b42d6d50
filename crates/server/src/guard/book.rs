//! What is known of addresses and accounts: failures, bans, locks, and from where people come.
//!
//! Failures are counted from the first one for as long as `window`, then anew. So in no stretch of
//! time that is shorter are there twice as many as ban, and each address needs two numbers.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use super::bans::Bans;
use super::{Ban, Door, Full, Lock, Memory, News, Usual};
use crate::admission::ClientPrefix;
use crate::settings;

/// Addresses with failures that are remembered; more push out those with the fewest.
const ADDRESSES_MAX: usize = 16_384;
/// Names with failures that are remembered, likewise.
const NAMES_MAX: usize = 4096;
/// Addresses from which somebody logged in that are remembered; more push out the oldest.
const KNOWN_MAX: usize = 16_384;
/// How long an address is known after a login: 30 days.
const KNOWN_SECONDS: i64 = 30 * 24 * 3600;
/// Accounts whose usual addresses are remembered; more push out who was away for the longest.
pub const USUAL_ACCOUNTS_MAX: usize = 4096;
/// Usual addresses of an account; more push out the oldest.
pub const USUAL_ADDRESSES_MAX: usize = 8;
/// A login from a usual address is noted anew after this: the memory need not be written each time.
const USUAL_NOTED_EVERY: i64 = 3600;
/// An address that is turned away is told of once in this time.
const TOLD_EVERY: i64 = 60;
/// What has happened and has not been fetched yet; more is dropped, for it is only told.
const NEWS_MAX: usize = 1024;
/// For how long all failed attempts are answered as late as the slowest of them.
const SLOWEST_SECONDS: i64 = 3600;
/// No attempt is checked for longer than this.
const ATTEMPT_SECONDS_MAX: i64 = 120;

/// What is known.
#[derive(Debug)]
pub(super) struct Book {
    settings: settings::Ban,
    bans: Bans,
    addresses: HashMap<ClientPrefix, Score>,
    names: HashMap<String, Name>,
    usual: HashMap<String, Vec<(ClientPrefix, i64)>>,
    known: HashMap<ClientPrefix, i64>,
    news: Vec<News>,
    version: u64,
    /// How long the check of a failed attempt took at most, and when.
    slowest: (Duration, i64),
}

/// Failures of an address or a name.
#[derive(Debug, Default)]
struct Score {
    count: u32,
    since: i64,
    /// Attempts that are being checked.
    in_flight: u32,
}

#[derive(Debug, Default)]
struct Name {
    score: Score,
    locked_until: i64,
}

/// The verdict on an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Wrong,
    Right,
    RightAndUsual,
}

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    Go,
    Wait,
    Banned,
    Locked,
}

impl Score {
    /// How many have failed now.
    fn count(&mut self, now: i64, window: i64) -> u32 {
        // The verdict on an attempt is dated as the attempt; more than that is another clock.
        let age = now.saturating_sub(self.since);
        if age >= window || age < -ATTEMPT_SECONDS_MAX {
            self.count = 0;
        }
        self.count
    }

    /// One more.
    fn add(&mut self, now: i64, window: i64) -> u32 {
        if self.count(now, window) == 0 {
            self.since = now;
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

impl Book {
    /// Judges by other settings from now on; what was counted stays.
    pub(super) fn adopt(&mut self, settings: settings::Ban) {
        self.settings = settings;
    }

    pub(super) fn new(settings: settings::Ban) -> Self {
        Self {
            settings,
            bans: Bans::default(),
            addresses: HashMap::new(),
            names: HashMap::new(),
            usual: HashMap::new(),
            known: HashMap::new(),
            news: Vec::new(),
            version: 0,
            slowest: (Duration::ZERO, 0),
        }
    }

    pub(super) fn is_banned(&mut self, address: IpAddr, now: i64) -> bool {
        !self.is_allowed(address) && self.bans.of_address(address, now).is_some()
    }

    pub(super) fn door(&mut self, address: IpAddr, now: i64) -> Door {
        if self.is_allowed(address) {
            return Door::Open;
        }
        let Some(held) = self.bans.of_address(address, now) else { return Door::Open };
        held.untold += 1;
        let is_due = held.told_at.is_none_or(|told| (now - told).abs() >= TOLD_EVERY);
        if !is_due {
            return Door::Closed;
        }
        held.told_at = Some(now);
        Door::ClosedAndTold(std::mem::take(&mut held.untold))
    }

    pub(super) fn is_known(&self, address: IpAddr, now: i64) -> bool {
        let last = self.known.get(&ClientPrefix::from(address));
        self.is_allowed(address) || last.is_some_and(|last| now - last < KNOWN_SECONDS)
    }

    pub(super) fn begin(&mut self, address: IpAddr, user: &str, now: i64) -> Begun {
        if self.is_banned(address, now) {
            return Begun::Banned;
        }
        if !self.judges(address) {
            return Begun::Go;
        }
        let prefix = ClientPrefix::from(address);
        let (max, window) = (self.settings.attempts_max, seconds(self.settings.window));
        if !make_room(&mut self.addresses, &prefix, ADDRESSES_MAX, |score| {
            (score.in_flight == 0).then(|| score.count(now, window).into())
        }) {
            return Begun::Wait;
        }
        let score = self.addresses.entry(prefix).or_default();
        // The last failure bans. What could only come after that must not be checked before.
        if score.in_flight > 0 && score.count(now, window) + score.in_flight >= max {
            return Begun::Wait;
        }
        if self.is_deaf(address, user, now) {
            self.count_failure(address, now);
            return Begun::Locked;
        }
        if let Some(score) = self.addresses.get_mut(&prefix) {
            score.in_flight += 1;
        }
        Begun::Go
    }

    pub(super) fn end(&mut self, address: IpAddr, user: &str, judged: Judged, now: i64) {
        let prefix = ClientPrefix::from(address);
        if let Some(score) = self.addresses.get_mut(&prefix) {
            score.in_flight = score.in_flight.saturating_sub(1);
        }
        if judged == Judged::RightAndUsual && !self.is_allowed(address) {
            self.note_usual(user, prefix, now);
        }
        if judged == Judged::Wrong && self.judges(address) {
            self.count_failure(address, now);
            self.end_of_name(address, user, now);
        }
    }

    /// An attempt failed for this name; what the address did is counted already.
    pub(super) fn end_of_name(&mut self, address: IpAddr, user: &str, now: i64) {
        if self.judges(address) && !self.is_usual(user, ClientPrefix::from(address)) {
            self.count_name(user, now);
        }
    }

    /// Whether the account is locked for this address.
    pub(super) fn is_deaf(&self, address: IpAddr, user: &str, now: i64) -> bool {
        let is_usual = || self.is_usual(user, ClientPrefix::from(address));
        self.judges(address) && self.is_locked(user, now) && !is_usual()
    }

    pub(super) fn failures(&mut self, prefix: ClientPrefix, now: i64) -> u32 {
        let window = seconds(self.settings.window);
        self.addresses.get_mut(&prefix).map_or(0, |score| score.count(now, window))
    }

    /// Notes how long a failed attempt took to check, and says which was the longest lately.
    pub(super) fn slowest(&mut self, took: Duration, now: i64) -> Duration {
        let (slowest, at) = self.slowest;
        if took >= slowest || (now - at).abs() >= SLOWEST_SECONDS {
            self.slowest = (took, now);
        }
        self.slowest.0
    }

    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Tells of bans that ran out, and forgets what is old.
    pub(super) fn sweep(&mut self, now: i64) {
        for network in self.bans.run_out(now) {
            self.tell(News::Lifted { network, reason: "its time is over" });
            self.version += 1;
        }
        let memory = seconds(self.settings.time_max);
        let is_old = |ban: &&Ban| {
            let memory = if ban.is_manual { 0 } else { memory };
            ban.until.is_some_and(|until| now.saturating_sub(until) >= memory)
        };
        let old: Vec<_> = self.bans.each().filter(is_old).map(|ban| ban.network).collect();
        for network in old {
            self.bans.remove(network);
            self.version += 1;
        }
    }

    /// Bans by hand, or from memory.
    pub(super) fn ban(&mut self, ban: Ban, now: i64) -> Result<(), Full> {
        let ban = Ban { network: ban.network.trunc(), ..ban };
        self.bans.put(ban.clone())?;
        self.version += 1;
        if ban.holds(now) {
            self.tell(News::Banned(ban));
        }
        Ok(())
    }

    /// Lifts a ban and forgets the failures behind it.
    pub(super) fn lift(&mut self, network: ipnet::IpNet) -> bool {
        let network = network.trunc();
        self.addresses
            .retain(|prefix, score| score.in_flight > 0 || !network.contains(&prefix.network()));
        let Some(_) = self.bans.remove(network) else { return false };
        self.version += 1;
        self.tell(News::Lifted { network, reason: "it was lifted" });
        true
    }

    pub(super) fn unlock(&mut self, user: &str) {
        if self.names.remove(&folded(user)).is_some() {
            self.version += 1;
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn memory(&self) -> Memory {
        let locks = self.names.iter().filter(|(_, name)| name.locked_until > 0);
        let usual = self.usual.iter().flat_map(|(user, addresses)| {
            addresses.iter().map(move |(prefix, last)| Usual {
                user: user.clone(),
                network: prefix.network(),
                last: *last,
            })
        });
        Memory {
            bans: self.bans.each().cloned().collect(),
            locks: locks
                .map(|(user, name)| Lock { user: user.clone(), until: name.locked_until })
                .collect(),
            usual: usual.collect(),
        }
    }

    /// Takes in what an earlier run knew. Bans that still hold are no news.
    pub(super) fn remember(&mut self, memory: Memory, now: i64) {
        for ban in memory.bans {
            // A full book keeps what it has.
            let _ = self.bans.put(Ban { network: ban.network.trunc(), ..ban });
        }
        for lock in memory.locks {
            if lock.until > now && self.names.len() < NAMES_MAX {
                let name = self.names.entry(folded(&lock.user)).or_default();
                name.locked_until = lock.until;
            }
        }
        for usual in memory.usual {
            self.note_usual(&usual.user, usual.network.network().into(), usual.last);
        }
        self.version = 0;
        self.sweep(now);
    }

    /// The length of the longest of its tables.
    #[cfg(test)]
    pub(super) fn len_max(&self) -> usize {
        let tables = [self.addresses.len(), self.names.len(), self.usual.len(), self.known.len()];
        tables.into_iter().max().unwrap_or_default()
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        self.settings.allow.iter().any(|network| network.contains(&address))
    }

    fn judges(&self, address: IpAddr) -> bool {
        self.settings.is_enabled && !self.is_allowed(address)
    }

    fn is_locked(&self, user: &str, now: i64) -> bool {
        self.names.get(&folded(user)).is_some_and(|name| now < name.locked_until)
    }

    fn is_usual(&self, user: &str, prefix: ClientPrefix) -> bool {
        let addresses = self.usual.get(&folded(user));
        addresses.is_some_and(|addresses| addresses.iter().any(|(known, _)| *known == prefix))
    }

    /// One failure more of an address; the one too many bans it.
    fn count_failure(&mut self, address: IpAddr, now: i64) {
        let (max, window) = (self.settings.attempts_max, seconds(self.settings.window));
        let prefix = ClientPrefix::from(address);
        let score = self.addresses.entry(prefix).or_default();
        if score.add(now, window) < max {
            return;
        }
        score.count = 0;
        let network = prefix.network();
        let before = self.bans.get(network);
        // Somebody asked for this one; it lasts as long as they said.
        if before.is_some_and(|ban| ban.is_manual && ban.holds(now)) {
            return;
        }
        let times = before.map_or(1, |ban| ban.times.saturating_add(1));
        let time = doubled(&self.settings, times);
        let ban = Ban {
            network,
            since: now,
            until: Some(now.saturating_add(time)),
            times,
            is_manual: false,
            reason: "too many failed logins".to_owned(),
        };
        // Where all that can be held was asked for by hand, there is no room for this.
        let _ = self.ban(ban, now);
    }

    /// One failure more of a name, from somewhere unusual; the one too many locks it.
    fn count_name(&mut self, user: &str, now: i64) {
        let user = folded(user);
        let (max, window) = (self.settings.account_attempts_max, seconds(self.settings.window));
        let has_room = make_room(&mut self.names, &user, NAMES_MAX, |name| {
            (now >= name.locked_until).then(|| name.score.count(now, window).into())
        });
        if !has_room {
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
        self.tell(News::Locked { user, seconds });
    }

    fn note_usual(&mut self, user: &str, prefix: ClientPrefix, now: i64) {
        make_room(&mut self.known, &prefix, KNOWN_MAX, |last| u64::try_from(*last).ok());
        let last = self.known.entry(prefix).or_insert(now);
        *last = now.max(*last);
        let user = folded(user);
        make_room(&mut self.usual, &user, USUAL_ACCOUNTS_MAX, |addresses| {
            u64::try_from(addresses.iter().map(|(_, last)| *last).max().unwrap_or(0)).ok()
        });
        let addresses = self.usual.entry(user).or_default();
        if let Some((_, last)) = addresses.iter_mut().find(|(known, _)| *known == prefix) {
            if now.saturating_sub(*last) >= USUAL_NOTED_EVERY {
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

    fn tell(&mut self, news: News) {
        if self.news.len() < NEWS_MAX {
            self.news.push(news);
        }
    }
}

/// A name without its case: directories and login services take `Anna` and `ANNA` for one account,
/// and each spelling would else have guesses of its own.
fn folded(user: &str) -> String {
    user.to_lowercase()
}

/// Whether two names are one here.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    folded(one) == folded(other)
}

/// Makes room for `key` where there is none by removing the eighth of the entries that weighs the
/// least, so that this is done seldom; entries without a weight stay. Whether there is room.
fn make_room<K, Q, V>(
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

/// How long the ban lasts that is the `times`-th in a row.
fn doubled(settings: &settings::Ban, times: u32) -> i64 {
    let doublings = times.saturating_sub(1).min(31);
    let time = settings.time.saturating_mul(1 << doublings);
    seconds(time.min(settings.time_max.max(settings.time)))
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX).max(1)
}
