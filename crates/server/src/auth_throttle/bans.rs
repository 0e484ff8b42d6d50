//! Bans by network. A lookup by address needs one probe for each prefix length in use.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Ban, BanListFull};

/// Bans at most, including expired ones that are still kept.
pub const BANS_MAX: usize = 65_536;

/// How far the clock may be set back before automatic bans are dropped, in seconds.
const CLOCK_ERROR_MAX: i64 = 3600;

/// Bans by network.
#[derive(Debug, Default)]
pub(super) struct Bans {
    by_network: HashMap<IpNet, BanEntry>,
    /// The number of networks by family (IPv6 or not) and prefix length.
    lengths: BTreeMap<(bool, u8), usize>,
}

/// A ban, with the rejected connections that are not reported yet.
#[derive(Debug)]
pub(super) struct BanEntry {
    pub(super) ban: Ban,
    /// Connections rejected since the last report.
    pub(super) unreported: u64,
    pub(super) reported_at: Option<i64>,
    /// Whether its end has been reported.
    pub(super) end_is_reported: bool,
}

impl Ban {
    /// Whether the ban is in force. An automatic ban that begins in the future was made while the
    /// clock was wrong, and could last for years; it does not count.
    pub(super) fn holds(&self, now: i64) -> bool {
        let is_of_this_clock = self.is_manual || self.since <= now.saturating_add(CLOCK_ERROR_MAX);
        is_of_this_clock && self.until.is_none_or(|until| now < until)
    }
}

impl Bans {
    /// The ban in force for `address`, if any; of several, the widest.
    pub(super) fn find(&mut self, address: IpAddr, now: i64) -> Option<&mut BanEntry> {
        let found = self.lengths.keys().find_map(|&(is_ipv6, length)| {
            if is_ipv6 != address.is_ipv6() {
                return None;
            }
            let network = IpNet::new(address, length).ok()?.trunc();
            let held = self.by_network.get(&network)?;
            held.ban.holds(now).then_some(network)
        })?;
        self.by_network.get_mut(&found)
    }

    pub(super) fn get(&self, network: IpNet) -> Option<&Ban> {
        self.by_network.get(&network).map(|held| &held.ban)
    }

    /// Adds a ban, or replaces that of the same network.
    ///
    /// When the list is full, the automatic ban that ends first is evicted; manual bans never are.
    pub(super) fn put(&mut self, ban: Ban) -> Result<(), BanListFull> {
        let network = ban.network;
        if !self.by_network.contains_key(&network) {
            if self.by_network.len() >= BANS_MAX {
                let soonest = self.by_network.values().map(|held| &held.ban);
                let soonest = soonest.filter(|ban| !ban.is_manual);
                let soonest = soonest.min_by_key(|ban| ban.until).map(|ban| ban.network);
                self.remove(soonest.ok_or(BanListFull)?);
            }
            *self.lengths.entry(length(network)).or_default() += 1;
        }
        let held = BanEntry { ban, unreported: 0, reported_at: None, end_is_reported: false };
        self.by_network.insert(network, held);
        Ok(())
    }

    pub(super) fn remove(&mut self, network: IpNet) -> Option<Ban> {
        let held = self.by_network.remove(&network)?;
        if let Some(count) = self.lengths.get_mut(&length(network)) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&length(network));
            }
        }
        Some(held.ban)
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Ban> {
        self.by_network.values().map(|held| &held.ban)
    }

    /// Takes the networks whose bans have expired since the last call.
    pub(super) fn take_expired(&mut self, now: i64) -> Vec<IpNet> {
        let held = self.by_network.values_mut();
        let over = held.filter(|held| !held.end_is_reported && !held.ban.holds(now));
        over.map(|held| {
            held.end_is_reported = true;
            held.ban.network
        })
        .collect()
    }
}

fn length(network: IpNet) -> (bool, u8) {
    (matches!(network, IpNet::V6(_)), network.prefix_len())
}
