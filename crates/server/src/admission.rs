//! Who may come in: seats in all, for an address, and for an account.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use wharf_core::account::Count;

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Neighbour(IpAddr);

impl From<IpAddr> for Neighbour {
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

impl Neighbour {
    /// All that it stands for.
    pub(crate) fn network(self) -> IpNet {
        match self.0 {
            IpAddr::V4(address) => Ipv4Net::new_assert(address, 32).into(),
            IpAddr::V6(address) => Ipv6Net::new_assert(address, 64).into(),
        }
    }
}

/// Counts the sessions that are here.
#[derive(Debug, Default)]
pub(crate) struct Admission(Mutex<Present>);

#[derive(Debug, Default)]
struct Present {
    in_all: usize,
    before_login: usize,
    of_address: HashMap<Neighbour, usize>,
    of_user: HashMap<String, usize>,
}

/// The place of one session. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Seat {
    admission: Arc<Admission>,
    of: Whose,
}

#[derive(Debug)]
enum Whose {
    Address(Neighbour),
    Newcomer,
    User(String),
}

/// What a client takes up when it comes.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Until it goes.
    pub(crate) seat: Seat,
    /// Until it logs in.
    pub(crate) newcomer: Seat,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    /// For the client.
    pub(crate) reply: &'static str,
    /// The setting of the configuration that is the limit.
    pub(crate) limit: &'static str,
}

/// How many may be here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) in_all_max: Count,
    pub(crate) before_login_max: Count,
    pub(crate) of_address_max: Count,
    /// Seats for addresses from which somebody logged in lately.
    pub(crate) reserved: u32,
}

impl Room {
    /// How many sessions there may be for someone to come in whom nobody knows.
    fn for_strangers(&self) -> Count {
        match self.in_all_max.number() {
            Some(most) => Count::from_number(most - self.reserved.min(most / 4)),
            None => Count::Unlimited,
        }
    }
}

impl Admission {
    /// A place for a session from `address`, or the reason why there is none.
    /// `is_known`: somebody logged in from there lately.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        is_known: bool,
        room: Room,
    ) -> Result<Entry, Full> {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let in_all_max = if is_known { room.in_all_max } else { room.for_strangers() };
        if !in_all_max.admits(present.in_all) {
            let reply = "Too many sessions; try again later.";
            return Err(Full { reply, limit: "limits.connections" });
        }
        if !is_known && !room.before_login_max.admits(present.before_login) {
            let reply = "Too many clients that have not logged in; try again later.";
            return Err(Full { reply, limit: "limits.connections_before_login" });
        }
        let neighbour = Neighbour::from(address);
        if !take(&mut present.of_address, neighbour, room.of_address_max) {
            let reply = "Too many sessions from your address.";
            return Err(Full { reply, limit: "limits.connections_per_ip" });
        }
        present.in_all += 1;
        present.before_login += 1;
        let seat = |of| Seat { admission: Arc::clone(self), of };
        Ok(Entry { seat: seat(Whose::Address(neighbour)), newcomer: seat(Whose::Newcomer) })
    }

    /// For a session that was logged in and no longer is. It is here already, so it is counted
    /// and never refused.
    pub(crate) fn newcomer_again(self: &Arc<Self>) -> Seat {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).before_login += 1;
        Seat { admission: Arc::clone(self), of: Whose::Newcomer }
    }

    /// A seat for one more session of an account, if it may have one.
    pub(crate) fn user_seat(self: &Arc<Self>, user: &str, max: Count) -> Option<Seat> {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        take(&mut present.of_user, user.to_owned(), max)
            .then(|| Seat { admission: Arc::clone(self), of: Whose::User(user.to_owned()) })
    }

    /// How many sessions are here.
    pub(crate) fn in_all(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).in_all
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

impl Drop for Seat {
    fn drop(&mut self) {
        let mut present = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.of {
            Whose::Address(neighbour) => {
                present.in_all = present.in_all.saturating_sub(1);
                give_back(&mut present.of_address, neighbour);
            }
            Whose::Newcomer => present.before_login = present.before_login.saturating_sub(1),
            Whose::User(user) => give_back(&mut present.of_user, user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(in_all: u32, of_address: u32) -> Room {
        Room {
            in_all_max: Count::from_number(in_all),
            before_login_max: Count::Unlimited,
            of_address_max: Count::from_number(of_address),
            reserved: 0,
        }
    }

    fn seat(
        admission: &Arc<Admission>,
        address: &str,
        in_all: u32,
        of_address: u32,
    ) -> Result<Entry, Full> {
        admission.enter(address.parse().unwrap(), false, room(in_all, of_address))
    }

    #[test]
    fn row_5_who_has_not_logged_in_has_fewer_places() {
        let admission = Arc::new(Admission::default());
        let room = Room { before_login_max: Count::from_number(2), ..room(100, 0) };
        let enter =
            |address: &str, is_known| admission.enter(address.parse().unwrap(), is_known, room);
        let Entry { seat: _inside, newcomer } = enter("192.0.2.1", false).unwrap();
        let _two = enter("192.0.2.2", false).unwrap();
        assert!(enter("192.0.2.3", false).unwrap_err().limit.ends_with("before_login"));
        // An address that is known is let in all the same.
        let known = enter("192.0.2.3", true).unwrap();
        drop(known);
        // A login makes room, and leaving the account takes it again.
        drop(newcomer);
        drop(enter("192.0.2.3", false).unwrap());
        let _again = admission.newcomer_again();
        assert!(enter("192.0.2.3", false).is_err());
    }

    #[test]
    fn row_5_the_last_places_are_for_addresses_that_are_known() {
        let admission = Arc::new(Admission::default());
        let room = Room { reserved: 2, ..room(8, 0) };
        let enter =
            |at: u8, is_known| admission.enter(IpAddr::from([192, 0, 2, at]), is_known, room);
        let _here: Vec<_> = (0..6).map(|at| enter(at, false).unwrap()).collect();
        assert!(enter(7, false).is_err());
        let _known = (enter(7, true).unwrap(), enter(8, true).unwrap());
        assert!(enter(9, true).is_err());
    }

    #[test]
    fn row_5_a_small_house_keeps_no_more_than_a_quarter() {
        let admission = Arc::new(Admission::default());
        let room = Room { reserved: 32, ..room(2, 0) };
        let enter = || admission.enter(IpAddr::from([192, 0, 2, 1]), false, room);
        let _both = (enter().unwrap(), enter().unwrap());
        assert!(enter().is_err());
    }

    #[test]
    fn row_5_the_total_is_kept_and_a_seat_comes_back() {
        let admission = Arc::new(Admission::default());
        let one = seat(&admission, "192.0.2.1", 2, 0).unwrap();
        let _two = seat(&admission, "192.0.2.2", 2, 0).unwrap();
        assert!(seat(&admission, "192.0.2.3", 2, 0).is_err());
        drop(one);
        assert!(seat(&admission, "192.0.2.3", 2, 0).is_ok());
        assert_eq!(admission.in_all(), 1);
    }

    #[test]
    fn row_5_an_ipv6_customer_is_one_address_however_it_is_written() {
        let admission = Arc::new(Admission::default());
        let _one = seat(&admission, "2001:db8:1:2::1", 0, 1).unwrap();
        assert!(seat(&admission, "2001:db8:1:2:ffff::9", 0, 1).is_err());
        assert!(seat(&admission, "2001:db8:1:3::1", 0, 1).is_ok());
        let _four = seat(&admission, "192.0.2.1", 0, 1).unwrap();
        let full = seat(&admission, "::ffff:192.0.2.1", 0, 1).unwrap_err();
        assert_eq!(full.limit, "limits.connections_per_ip");
    }

    #[test]
    fn accounts_are_counted_apart() {
        let admission = Arc::new(Admission::default());
        let one = admission.user_seat("anna", Count::from_number(1)).unwrap();
        assert!(admission.user_seat("anna", Count::from_number(1)).is_none());
        assert!(admission.user_seat("ben", Count::from_number(1)).is_some());
        drop(one);
        assert!(admission.user_seat("anna", Count::from_number(1)).is_some());
        assert!(admission.0.lock().unwrap().of_user.is_empty());
    }
}
