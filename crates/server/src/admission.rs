//! Who may come in: seats in all, for an address, and for an account.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

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

/// Counts the sessions that are here.
#[derive(Debug, Default)]
pub(crate) struct Admission(Mutex<Present>);

#[derive(Debug, Default)]
struct Present {
    in_all: usize,
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
    User(String),
}

impl Admission {
    /// A seat for a session from `address`, or the reason why there is none, for the client.
    pub(crate) fn seat(
        self: &Arc<Self>,
        address: IpAddr,
        in_all_max: Count,
        of_address_max: Count,
    ) -> Result<Seat, &'static str> {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !in_all_max.admits(present.in_all) {
            return Err("Too many sessions; try again later.");
        }
        let neighbour = Neighbour::from(address);
        if !take(&mut present.of_address, neighbour, of_address_max) {
            return Err("Too many sessions from your address.");
        }
        present.in_all += 1;
        Ok(Seat { admission: Arc::clone(self), of: Whose::Address(neighbour) })
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
            Whose::User(user) => give_back(&mut present.of_user, user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(
        admission: &Arc<Admission>,
        address: &str,
        in_all: u32,
        of_address: u32,
    ) -> Result<Seat, &'static str> {
        let address = address.parse().unwrap();
        admission.seat(address, Count::from_number(in_all), Count::from_number(of_address))
    }

    #[test]
    fn the_total_is_kept_and_a_seat_comes_back() {
        let admission = Arc::new(Admission::default());
        let one = seat(&admission, "192.0.2.1", 2, 0).unwrap();
        let _two = seat(&admission, "192.0.2.2", 2, 0).unwrap();
        assert!(seat(&admission, "192.0.2.3", 2, 0).is_err());
        drop(one);
        assert!(seat(&admission, "192.0.2.3", 2, 0).is_ok());
        assert_eq!(admission.in_all(), 1);
    }

    #[test]
    fn an_ipv6_customer_is_one_address_however_it_is_written() {
        let admission = Arc::new(Admission::default());
        let _one = seat(&admission, "2001:db8:1:2::1", 0, 1).unwrap();
        assert!(seat(&admission, "2001:db8:1:2:ffff::9", 0, 1).is_err());
        assert!(seat(&admission, "2001:db8:1:3::1", 0, 1).is_ok());
        let _four = seat(&admission, "192.0.2.1", 0, 1).unwrap();
        assert!(seat(&admission, "::ffff:192.0.2.1", 0, 1).is_err());
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
