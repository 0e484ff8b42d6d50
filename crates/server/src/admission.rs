//! Connection limits: in total, per client address, and per account.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use wharf_core::account::Count;

use wharf_core::lock;

/// What counts as one client address: an IPv4 address, or an IPv6 /64, which one customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientPrefix(IpAddr);

impl From<IpAddr> for ClientPrefix {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

impl ClientPrefix {
    /// The whole prefix.
    pub(crate) fn network(self) -> IpNet {
        match self.0 {
            IpAddr::V4(address) => Ipv4Net::new_assert(address, 32).into(),
            IpAddr::V6(address) => Ipv6Net::new_assert(address, 64).into(),
        }
    }
}

/// Counts connections.
#[derive(Debug, Default)]
pub(crate) struct Admission(Mutex<ConnectionCounts>);

#[derive(Debug, Default)]
struct ConnectionCounts {
    total: usize,
    before_login: usize,
    per_address: HashMap<ClientPrefix, usize>,
    per_account: HashMap<String, usize>,
}

/// One counted connection. Dropping it decrements the counter.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    admission: Arc<Admission>,
    of: GuardKind,
}

#[derive(Debug)]
enum GuardKind {
    Address(ClientPrefix),
    Unauthenticated,
    User(String),
}

/// The guards of a new connection.
#[derive(Debug)]
pub(crate) struct AdmittedClient {
    /// Held until the connection closes.
    pub(crate) connection: ConnectionGuard,
    /// Held until the client logs in.
    pub(crate) unauthenticated: ConnectionGuard,
}

/// Why a connection is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitReached {
    /// For the client.
    pub(crate) reply: &'static str,
    /// The setting of the configuration that is the limit.
    pub(crate) limit: &'static str,
}

/// The limits in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) total_max: Count,
    pub(crate) before_login_max: Count,
    pub(crate) connections_per_ip: Count,
    /// Connections reserved for addresses with a recent login.
    pub(crate) reserved: u32,
}

impl ConnectionLimits {
    /// The total at which an address without a recent login is rejected.
    fn max_for_unknown(&self) -> Count {
        match self.total_max.number() {
            Some(most) => Count::from_number(most - self.reserved.min(most / 4)),
            None => Count::Unlimited,
        }
    }
}

impl Admission {
    /// Counts a connection from `address`, or returns the limit that it exceeds. `is_known`: the
    /// address has a recent login.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        is_known: bool,
        limits: ConnectionLimits,
    ) -> Result<AdmittedClient, LimitReached> {
        let mut counts = lock(&self.0);
        let total_max = if is_known { limits.total_max } else { limits.max_for_unknown() };
        if !total_max.admits(counts.total) {
            let reply = "Too many connections; try again later.";
            return Err(LimitReached { reply, limit: "limits.connections" });
        }
        if !is_known && !limits.before_login_max.admits(counts.before_login) {
            let reply = "Too many connections before login; try again later.";
            return Err(LimitReached { reply, limit: "limits.connections_before_login" });
        }
        let prefix = ClientPrefix::from(address);
        if !take(&mut counts.per_address, prefix, limits.connections_per_ip) {
            let reply = "Too many connections from your address.";
            return Err(LimitReached { reply, limit: "limits.connections_per_ip" });
        }
        counts.total += 1;
        counts.before_login += 1;
        let connection = |of| ConnectionGuard { admission: Arc::clone(self), of };
        Ok(AdmittedClient {
            connection: connection(GuardKind::Address(prefix)),
            unauthenticated: connection(GuardKind::Unauthenticated),
        })
    }

    /// For a session that has logged out (REIN). It is connected already, so it is counted and
    /// never rejected.
    pub(crate) fn unauthenticated_again(self: &Arc<Self>) -> ConnectionGuard {
        lock(&self.0).before_login += 1;
        ConnectionGuard { admission: Arc::clone(self), of: GuardKind::Unauthenticated }
    }

    /// Counts one more session of an account; nothing if its limit is reached.
    pub(crate) fn account_guard(
        self: &Arc<Self>,
        user: &str,
        max: Count,
    ) -> Option<ConnectionGuard> {
        let mut counts = lock(&self.0);
        take(&mut counts.per_account, user.to_owned(), max).then(|| ConnectionGuard {
            admission: Arc::clone(self),
            of: GuardKind::User(user.to_owned()),
        })
    }

    /// The number of connections.
    pub(crate) fn total(&self) -> usize {
        lock(&self.0).total
    }
}

fn take<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: K, max: Count) -> bool {
    let count = counts.get(&key).copied().unwrap_or(0);
    let admits = max.admits(count);
    if admits {
        counts.insert(key, count + 1);
    }
    admits
}

fn give_back<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => {
            counts.remove(key);
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut counts = lock(&self.admission.0);
        match &self.of {
            GuardKind::Address(prefix) => {
                counts.total = counts.total.saturating_sub(1);
                give_back(&mut counts.per_address, prefix);
            }
            GuardKind::Unauthenticated => {
                counts.before_login = counts.before_login.saturating_sub(1);
            }
            GuardKind::User(user) => give_back(&mut counts.per_account, user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(total: u32, per_address: u32) -> ConnectionLimits {
        ConnectionLimits {
            total_max: Count::from_number(total),
            before_login_max: Count::Unlimited,
            connections_per_ip: Count::from_number(per_address),
            reserved: 0,
        }
    }

    fn connection(
        admission: &Arc<Admission>,
        address: &str,
        total: u32,
        per_address: u32,
    ) -> Result<AdmittedClient, LimitReached> {
        admission.enter(address.parse().unwrap(), false, limits(total, per_address))
    }

    #[test]
    fn row_5_unauthenticated_connections_have_a_lower_limit() {
        let admission = Arc::new(Admission::default());
        let limits = ConnectionLimits { before_login_max: Count::from_number(2), ..limits(100, 0) };
        let enter =
            |address: &str, is_known| admission.enter(address.parse().unwrap(), is_known, limits);
        let AdmittedClient { connection: _inside, unauthenticated } =
            enter("192.0.2.1", false).unwrap();
        let _two = enter("192.0.2.2", false).unwrap();
        assert!(enter("192.0.2.3", false).unwrap_err().limit.ends_with("before_login"));
        // An address that is known is let in all the same.
        let known = enter("192.0.2.3", true).unwrap();
        drop(known);
        // A login makes room, and leaving the account takes it again.
        drop(unauthenticated);
        drop(enter("192.0.2.3", false).unwrap());
        let _again = admission.unauthenticated_again();
        assert!(enter("192.0.2.3", false).is_err());
    }

    #[test]
    fn row_5_reserved_connections_are_for_known_addresses() {
        let admission = Arc::new(Admission::default());
        let limits = ConnectionLimits { reserved: 2, ..limits(8, 0) };
        let enter =
            |at: u8, is_known| admission.enter(IpAddr::from([192, 0, 2, at]), is_known, limits);
        let _here: Vec<_> = (0..6).map(|at| enter(at, false).unwrap()).collect();
        assert!(enter(7, false).is_err());
        let _known = (enter(7, true).unwrap(), enter(8, true).unwrap());
        assert!(enter(9, true).is_err());
    }

    #[test]
    fn row_5_at_most_a_quarter_of_a_small_limit_is_reserved() {
        let admission = Arc::new(Admission::default());
        let limits = ConnectionLimits { reserved: 32, ..limits(2, 0) };
        let enter = || admission.enter(IpAddr::from([192, 0, 2, 1]), false, limits);
        let _both = (enter().unwrap(), enter().unwrap());
        assert!(enter().is_err());
    }

    #[test]
    fn row_5_the_total_limit_holds_and_a_dropped_connection_is_free_again() {
        let admission = Arc::new(Admission::default());
        let one = connection(&admission, "192.0.2.1", 2, 0).unwrap();
        let _two = connection(&admission, "192.0.2.2", 2, 0).unwrap();
        assert!(connection(&admission, "192.0.2.3", 2, 0).is_err());
        drop(one);
        assert!(connection(&admission, "192.0.2.3", 2, 0).is_ok());
        assert_eq!(admission.total(), 1);
    }

    #[test]
    fn row_5_an_ipv6_customer_is_one_address_however_it_is_written() {
        let admission = Arc::new(Admission::default());
        let _one = connection(&admission, "2001:db8:1:2::1", 0, 1).unwrap();
        assert!(connection(&admission, "2001:db8:1:2:ffff::9", 0, 1).is_err());
        assert!(connection(&admission, "2001:db8:1:3::1", 0, 1).is_ok());
        let _four = connection(&admission, "192.0.2.1", 0, 1).unwrap();
        let full = connection(&admission, "::ffff:192.0.2.1", 0, 1).unwrap_err();
        assert_eq!(full.limit, "limits.connections_per_ip");
    }

    #[test]
    fn accounts_are_counted_apart() {
        let admission = Arc::new(Admission::default());
        let one = admission.account_guard("anna", Count::from_number(1)).unwrap();
        assert!(admission.account_guard("anna", Count::from_number(1)).is_none());
        assert!(admission.account_guard("ben", Count::from_number(1)).is_some());
        drop(one);
        assert!(admission.account_guard("anna", Count::from_number(1)).is_some());
        assert!(admission.0.lock().unwrap().per_account.is_empty());
    }
}
