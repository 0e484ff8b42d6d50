//! Bans of addresses and locks of accounts: after too many failed logins, or set manually.
//!
//! `state` holds the data, without a clock and without a lock. This module adds the lock, the
//! login attempts in progress and the public types. Times are in seconds since 1970.

mod bans;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ipnet::IpNet;

use self::state::{AttemptOutcome, ThrottleState};
use wharf_core::lock;

use crate::admission::ClientPrefix;
use crate::settings;

pub use self::bans::BANS_MAX;
pub use self::state::{USUAL_ACCOUNTS_MAX, USUAL_ADDRESSES_MAX};

/// A ban of an address or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The banned network. An automatic ban covers an IPv4 /32 or an IPv6 /64.
    pub network: IpNet,
    /// When the ban began.
    pub since: i64,
    /// When the ban ends; `None`: when it is lifted.
    pub until: Option<i64>,
    /// The number of consecutive bans, counted from 1: each lasts twice as long as the previous
    /// one.
    pub times: u32,
    /// Whether an administrator set it; otherwise too many logins failed.
    pub is_manual: bool,
    /// The reason, for the administrator.
    pub reason: String,
}

/// An account whose logins are rejected from addresses from which it never logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The name that was tried; an account with this name need not exist.
    pub user: String,
    /// When the lock ends.
    pub until: i64,
}

/// An address from which an account logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsualAddress {
    /// The account.
    pub user: String,
    /// The address, as an IPv4 /32 or an IPv6 /64.
    pub network: IpNet,
    /// The time of the last login, within an hour.
    pub last: i64,
}

/// The state that is kept across restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThrottleSnapshot {
    /// Bans, including expired ones, which make the next ban of that network longer.
    pub bans: Vec<Ban>,
    /// Locked accounts.
    pub locks: Vec<Lock>,
    /// The addresses from which accounts log in.
    pub usual: Vec<UsualAddress>,
}

/// Additional names that one attempt can cover: a second decoding of the name, and the account's
/// own name for each decoding.
const OTHER_NAMES_MAX: usize = 3;

/// The ban list is full: there are already [`BANS_MAX`] bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanListFull;

impl fmt::Display for BanListFull {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "too many bans (limit {BANS_MAX}): ban a network instead of single addresses")
    }
}

impl std::error::Error for BanListFull {}

/// Whether connections from an address are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BanDecision {
    Allowed,
    /// Banned, and reported within the last minute.
    Banned,
    /// Banned, and to be reported now, with the number of connections since the last report,
    /// including this one.
    BannedAndReported(u64),
}

/// Whether a login attempt may proceed.
pub(crate) enum AttemptStart {
    /// The password can be checked.
    Admitted(CountedAttempt),
    /// The attempts in progress could already lead to a ban: try again later.
    Wait,
    /// The address is banned.
    Banned,
    /// The account is locked for this address.
    Locked,
}

/// A change to be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuthEvent {
    Banned(Ban),
    Lifted { network: IpNet, reason: &'static str },
    Locked { user: String, seconds: i64 },
}

/// The state behind a lock, which is never held across an `.await`.
#[derive(Debug)]
pub(crate) struct AuthThrottle(Mutex<ThrottleState>);

/// A login attempt in progress. Dropped without a result it counts as failed, because a client
/// that disconnects has caused the same work.
pub(crate) struct CountedAttempt {
    throttle: Arc<AuthThrottle>,
    address: IpAddr,
    user: String,
    /// Other names tried in the same attempt, or names of the same account.
    other_names: Vec<String>,
    now: i64,
    outcome: AttemptOutcome,
}

impl AuthThrottle {
    pub(crate) fn new(settings: &settings::BanSettings) -> Arc<Self> {
        Arc::new(Self(Mutex::new(ThrottleState::new(settings.clone()))))
    }

    /// Applies new settings.
    pub(crate) fn reconfigure(&self, settings: &settings::BanSettings) {
        self.state().reconfigure(settings.clone());
    }

    /// Whether to accept a connection from `address`.
    pub(crate) fn ban_decision(&self, address: IpAddr, now: i64) -> BanDecision {
        self.state().ban_decision(address.to_canonical(), now)
    }

    /// Whether `address` is banned.
    pub(crate) fn is_banned(&self, address: IpAddr, now: i64) -> bool {
        self.state().is_banned(address.to_canonical(), now)
    }

    /// Whether there was a recent login from `address`, or it is exempt from bans.
    pub(crate) fn is_known(&self, address: IpAddr, now: i64) -> bool {
        self.state().is_known(address.to_canonical(), now)
    }

    /// Begins an attempt, which counts as failed until its result is known.
    pub(crate) fn begin(self: &Arc<Self>, address: IpAddr, user: &str, now: i64) -> AttemptStart {
        let address = address.to_canonical();
        match self.state().begin(address, user, now) {
            state::AttemptCheck::Admitted => AttemptStart::Admitted(CountedAttempt {
                throttle: Arc::clone(self),
                address,
                user: user.to_owned(),
                other_names: Vec::new(),
                now,
                outcome: AttemptOutcome::Failed,
            }),
            state::AttemptCheck::Wait => AttemptStart::Wait,
            state::AttemptCheck::Banned => AttemptStart::Banned,
            state::AttemptCheck::Locked => AttemptStart::Locked,
        }
    }

    /// The number of recent failed logins from `address`.
    pub(crate) fn failures(&self, address: IpAddr, now: i64) -> u32 {
        self.state().failures(ClientPrefix::from(address), now)
    }

    /// Records how long the check of a failed attempt took, and returns the longest time of the
    /// last hour. All failures are delayed by it, so that a slow hash does not reveal which
    /// names exist.
    pub(crate) fn slowest_check(&self, took: Duration, now: i64) -> Duration {
        self.state().slowest_check(took, now)
    }

    /// Takes the events since the last call.
    pub(crate) fn take_events(&self) -> Vec<AuthEvent> {
        self.state().take_events()
    }

    pub(crate) fn sweep(&self, now: i64) {
        self.state().sweep(now);
    }

    pub(crate) fn ban(&self, ban: Ban, now: i64) -> Result<(), BanListFull> {
        self.state().ban(ban, now)
    }

    pub(crate) fn lift(&self, network: IpNet) -> bool {
        self.state().lift(network)
    }

    pub(crate) fn unlock(&self, user: &str) {
        self.state().unlock(user);
    }

    pub(crate) fn version(&self) -> u64 {
        self.state().version()
    }

    pub(crate) fn snapshot(&self) -> ThrottleSnapshot {
        self.state().snapshot()
    }

    pub(crate) fn restore(&self, snapshot: ThrottleSnapshot, now: i64) {
        self.state().restore(snapshot, now);
    }

    fn state(&self) -> MutexGuard<'_, ThrottleState> {
        // No code under this lock leaves the state inconsistent when it panics.
        lock(&self.0)
    }
}

impl CountedAttempt {
    /// Adds a name to the attempt, so that a failure also counts for that name. Returns `false` if
    /// the account is locked for this address.
    pub(crate) fn covers(&mut self, user: &str) -> bool {
        if state::same_name(user, &self.user)
            || self.other_names.iter().any(|one| state::same_name(user, one))
        {
            return true;
        }
        if self.throttle.state().is_locked_out(self.address, user, self.now) {
            return false;
        }
        if self.other_names.len() < OTHER_NAMES_MAX {
            self.other_names.push(user.to_owned());
        }
        true
    }

    /// The login succeeded. If the account's name is given, the address is recorded as one of its
    /// usual addresses.
    pub(crate) fn succeeded(mut self, account: Option<&str>) {
        self.outcome = AttemptOutcome::NotCounted;
        if let Some(name) = account {
            self.outcome = AttemptOutcome::SucceededAt;
            name.clone_into(&mut self.user);
        }
    }

    /// The attempt ended without a password check, and does not count.
    pub(crate) fn not_counted(mut self) {
        self.outcome = AttemptOutcome::NotCounted;
    }

    /// The login failed.
    pub(crate) fn failed(self) {
        drop(self);
    }
}

impl Drop for CountedAttempt {
    fn drop(&mut self) {
        let mut state = self.throttle.state();
        state.end(self.address, &self.user, self.outcome, self.now);
        if self.outcome == AttemptOutcome::Failed {
            for user in &self.other_names {
                state.end_name(self.address, user, self.now);
            }
        }
    }
}
