//! Bans, for the program that embeds the server.

use ipnet::IpNet;

use super::Handle;
use crate::auth_throttle::{Ban, BanListFull, ThrottleSnapshot};

impl Handle {
    /// Bans a network, or changes a ban. Its sessions end with 421, also during a transfer;
    /// networks in `settings.ban.allow` are exempt.
    ///
    /// # Errors
    /// There are too many bans; none was added.
    pub fn ban(&self, ban: Ban) -> Result<(), BanListFull> {
        let banned = self.shared.auth_throttle.ban(ban, self.shared.now());
        self.shared.report_auth_events();
        banned
    }

    /// The same, but logged-in sessions continue.
    ///
    /// # Errors
    /// There are too many bans; none was added.
    pub fn ban_unauthenticated(&self, ban: Ban) -> Result<(), BanListFull> {
        let banned = self.shared.auth_throttle.ban(ban, self.shared.now());
        self.shared.report_auth_events_ending(false);
        banned
    }

    /// Removes the ban of exactly this network, and resets its failed logins. Returns whether there
    /// was such a ban.
    pub fn lift_ban(&self, network: IpNet) -> bool {
        let was_there = self.shared.auth_throttle.lift(network);
        self.shared.report_auth_events();
        was_there
    }

    /// Unlocks an account.
    pub fn unlock_account(&self, user: &str) {
        self.shared.auth_throttle.unlock(user);
    }

    /// Emits events for expired bans and removes old ones. Call it about once a second; bans expire
    /// in any case.
    pub fn sweep_bans(&self) {
        self.shared.auth_throttle.sweep(self.shared.now());
        self.shared.report_auth_events();
    }

    /// Bans, locked accounts and usual addresses, to be persisted. The version number changes with
    /// them.
    pub fn throttle_snapshot(&self) -> (u64, ThrottleSnapshot) {
        // In this order, so that a change in between is noticed the next time.
        let version = self.throttle_version();
        (version, self.shared.auth_throttle.snapshot())
    }

    /// The version number of [`Handle::throttle_snapshot`].
    pub fn throttle_version(&self) -> u64 {
        self.shared.auth_throttle.version()
    }

    /// Restores the persisted state. Call it before serving.
    pub fn restore_throttle(&self, snapshot: ThrottleSnapshot) {
        self.shared.auth_throttle.restore(snapshot, self.shared.now());
        self.shared.report_auth_events();
    }
}
