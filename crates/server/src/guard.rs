//! Who may not come in because too many logins failed, or because somebody said so.
//!
//! `book` holds the facts and has no clock and no lock; here are the lock, the attempts that
//! are being checked, and what an embedder sees. Times are seconds since 1970.

mod bans;
mod book;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;

use self::book::{Book, Judged};
use crate::admission::ClientPrefix;
use crate::settings;

pub use self::bans::BANS_MAX;
pub use self::book::{USUAL_ACCOUNTS_MAX, USUAL_ADDRESSES_MAX};

/// An address or a network that may not come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Whom it is about. What too many failed logins ban is an IPv4 /32 or an IPv6 /64.
    pub network: IpNet,
    /// Since when.
    pub since: i64,
    /// Until when; `None`: until it is lifted.
    pub until: Option<i64>,
    /// How many bans in a row this is, counted from 1: each lasts twice as long as the one before.
    pub times: u32,
    /// Whether somebody asked for it; else too many logins failed.
    pub is_manual: bool,
    /// Why, for the operator.
    pub reason: String,
}

/// An account that is not heard from addresses from which it never logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The name that was tried; there need not be such an account.
    pub user: String,
    /// Until when.
    pub until: i64,
}

/// An address from which an account logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usual {
    /// The account.
    pub user: String,
    /// The address, as an IPv4 /32 or an IPv6 /64.
    pub network: IpNet,
    /// When it last did, give or take an hour.
    pub last: i64,
}

/// All that is to be remembered when the server starts anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bans, those included that are over and make the next one longer.
    pub bans: Vec<Ban>,
    /// Locked accounts.
    pub locks: Vec<Lock>,
    /// From where accounts log in.
    pub usual: Vec<Usual>,
}

/// The most names besides the first that one attempt is about: another spelling, and that of the
/// account, for each.
const OTHERS_MAX: usize = 3;

/// There are [`BANS_MAX`] bans already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "there are {BANS_MAX} bans already; ban a network in place of its addresses")
    }
}

impl std::error::Error for Full {}

/// Whether somebody may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// Banned, and that was told already a moment ago.
    Closed,
    /// Banned; so many came since this was last told, this one included.
    ClosedAndTold(u64),
}

/// What becomes of an attempt to log in.
pub(crate) enum Start {
    /// It can be checked.
    Go(Attempt),
    /// As many as could still lead to a ban are being checked: ask again in a moment.
    Wait,
    /// The address is banned.
    Banned,
    /// The account is not heard from here.
    Locked,
}

/// What happened that others should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Banned(Ban),
    Lifted { network: IpNet, reason: &'static str },
    Locked { user: String, seconds: i64 },
}

/// The facts, behind a lock that is held for a few lines.
#[derive(Debug)]
pub(crate) struct Guard(Mutex<Book>);

/// An attempt that is being checked. Dropped without a verdict it has failed: whoever hangs up has
/// cost the same work.
pub(crate) struct Attempt {
    guard: Arc<Guard>,
    address: IpAddr,
    user: String,
    /// Other names that were tried in the same attempt, or that its account has.
    others: Vec<String>,
    now: i64,
    judged: Judged,
}

impl Guard {
    pub(crate) fn new(settings: &settings::Ban) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Book::new(settings.clone()))))
    }

    /// Judges by other settings from now on.
    pub(crate) fn adopt(&self, settings: &settings::Ban) {
        self.book().adopt(settings.clone());
    }

    /// Whether `address` may come in.
    pub(crate) fn door(&self, address: IpAddr, now: i64) -> Door {
        self.book().door(address.to_canonical(), now)
    }

    /// Whether `address` is banned.
    pub(crate) fn is_banned(&self, address: IpAddr, now: i64) -> bool {
        self.book().is_banned(address.to_canonical(), now)
    }

    /// Whether somebody logged in from there lately, or it is never banned.
    pub(crate) fn is_known(&self, address: IpAddr, now: i64) -> bool {
        self.book().is_known(address.to_canonical(), now)
    }

    /// Begins an attempt. It counts as failed from now on until its verdict.
    pub(crate) fn begin(self: &Arc<Self>, address: IpAddr, user: &str, now: i64) -> Start {
        let address = address.to_canonical();
        match self.book().begin(address, user, now) {
            book::Begun::Go => Start::Go(Attempt {
                guard: Arc::clone(self),
                address,
                user: user.to_owned(),
                others: Vec::new(),
                now,
                judged: Judged::Wrong,
            }),
            book::Begun::Wait => Start::Wait,
            book::Begun::Banned => Start::Banned,
            book::Begun::Locked => Start::Locked,
        }
    }

    /// How many logins from there have failed lately.
    pub(crate) fn failures(&self, address: IpAddr, now: i64) -> u32 {
        self.book().failures(ClientPrefix::from(address), now)
    }

    /// Notes how long a failed attempt took to check, and says which was the longest in the last
    /// hour: where one hash is slow, every name must look as if its hash were.
    pub(crate) fn slowest(&self, took: Duration, now: i64) -> Duration {
        self.book().slowest(took, now)
    }

    /// What has happened since this was last asked.
    pub(crate) fn news(&self) -> Vec<News> {
        self.book().take_news()
    }

    pub(crate) fn sweep(&self, now: i64) {
        self.book().sweep(now);
    }

    pub(crate) fn ban(&self, ban: Ban, now: i64) -> Result<(), Full> {
        self.book().ban(ban, now)
    }

    pub(crate) fn lift(&self, network: IpNet) -> bool {
        self.book().lift(network)
    }

    pub(crate) fn unlock(&self, user: &str) {
        self.book().unlock(user);
    }

    pub(crate) fn version(&self) -> u64 {
        self.book().version()
    }

    pub(crate) fn memory(&self) -> Memory {
        self.book().memory()
    }

    pub(crate) fn remember(&self, memory: Memory, now: i64) {
        self.book().remember(memory, now);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing under this lock can fall halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// The attempt is about this name, too: it fails for it as well. `false` if that account is
    /// locked from there.
    pub(crate) fn is_about(&mut self, user: &str) -> bool {
        if book::is_same(user, &self.user) || self.others.iter().any(|one| book::is_same(user, one))
        {
            return true;
        }
        if self.guard.book().is_deaf(self.address, user, self.now) {
            return false;
        }
        if self.others.len() < OTHERS_MAX {
            self.others.push(user.to_owned());
        }
        true
    }

    /// The password was right and somebody is in. The address is remembered as one of those of the
    /// account, if its name is given.
    pub(crate) fn entered(mut self, account: Option<&str>) {
        self.judged = Judged::Right;
        if let Some(name) = account {
            self.judged = Judged::RightAndUsual;
            name.clone_into(&mut self.user);
        }
    }

    /// Nobody's password was wrong; the attempt ended for another reason.
    pub(crate) fn forgiven(mut self) {
        self.judged = Judged::Right;
    }

    /// It failed.
    pub(crate) fn failed(self) {
        drop(self);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut book = self.guard.book();
        book.end(self.address, &self.user, self.judged, self.now);
        if self.judged == Judged::Wrong {
            for user in &self.others {
                book.end_of_name(self.address, user, self.now);
            }
        }
    }
}
