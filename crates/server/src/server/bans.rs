//! Bans, as the program that runs a server sees and changes them.

use ipnet::IpNet;

use super::Handle;
use crate::auth_throttle::{Ban, BanListFull, ThrottleSnapshot};

impl Handle {
    /// Bans a network, or changes a ban. Its sessions are told 421 and end, within a transfer too;
    /// networks in `settings.ban.allow` are spared.
    ///
    /// # Errors
    /// There are too many bans; none was added.
    pub fn ban(&self, ban: Ban) -> Result<(), BanListFull> {
        let banned = self.shared.auth_throttle.ban(ban, self.shared.now());
        self.shared.report_auth_events();
        banned
    }

    /// The same, but who is logged in from there stays.
    ///
    /// # Errors
    /// There are too many bans; none was added.
    pub fn ban_newcomers(&self, ban: Ban) -> Result<(), BanListFull> {
        let banned = self.shared.auth_throttle.ban(ban, self.shared.now());
        self.shared.tell_news_and(false);
        banned
    }

    /// Lifts the ban of exactly this network, and forgets failed logins from there. Whether there
    /// was such a ban.
    pub fn lift_ban(&self, network: IpNet) -> bool {
        let was_there = self.shared.auth_throttle.lift(network);
        self.shared.report_auth_events();
        was_there
    }

    /// Hears an account again from everywhere.
    pub fn unlock_account(&self, user: &str) {
        self.shared.auth_throttle.unlock(user);
    }

    /// Tells of bans that have run out and forgets old ones. Call it about once a second; they run
    /// out in any case.
    pub fn sweep_bans(&self) {
        self.shared.auth_throttle.sweep(self.shared.now());
        self.shared.report_auth_events();
    }

    /// Bans, locked accounts and usual addresses: what should outlive the process. The number
    /// changes when it does.
    pub fn throttle_snapshot(&self) -> (u64, ThrottleSnapshot) {
        // In this order: what changes in between is seen the next time.
        let version = self.throttle_version();
        (version, self.shared.auth_throttle.snapshot())
    }

    /// The number of [`Handle::throttle_snapshot`] alone.
    pub fn throttle_version(&self) -> u64 {
        self.shared.auth_throttle.version()
    }

    /// Takes in what an earlier process knew. Call it before serving.
    pub fn restore_throttle(&self, snapshot: ThrottleSnapshot) {
        self.shared.auth_throttle.restore(snapshot, self.shared.now());
        self.shared.report_auth_events();
    }
}
