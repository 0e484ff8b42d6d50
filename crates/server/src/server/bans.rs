//! Bans, for the program that embeds the server.

use ipnet::IpNet;

use super::Handle;
use crate::guard::{Ban, Full, Memory};

impl Handle {
    /// Bans a network, or changes a ban. Its sessions end with 421, also during a transfer;
    /// networks in `settings.ban.allow` are exempt.
    ///
    /// # Errors
    /// There are too many bans; none was added.
    pub fn ban(&self, ban: Ban) -> Result<(), Full> {
        let banned = self.shared.guard.ban(ban, self.shared.now());
        self.shared.report_auth_events();
        banned
    }

    /// The same, but logged-in sessions continue.
    ///
    /// # Errors
    /// There are too many bans; none was added.
    pub fn ban_unauthenticated(&self, ban: Ban) -> Result<(), Full> {
        let banned = self.shared.guard.ban(ban, self.shared.now());
        self.shared.report_auth_events_ending(false);
        banned
    }

    /// Removes the ban of exactly this network, and resets its failed logins. Returns whether there
    /// was such a ban.
    pub fn lift_ban(&self, network: IpNet) -> bool {
        let was_there = self.shared.guard.lift(network);
        self.shared.report_auth_events();
        was_there
    }

    /// Unlocks an account.
    pub fn unlock_account(&self, user: &str) {
        self.shared.guard.unlock(user);
    }

    /// Emits events for expired bans and removes old ones. Call it about once a second; bans expire
    /// in any case.
    pub fn sweep_bans(&self) {
        self.shared.guard.sweep(self.shared.now());
        self.shared.report_auth_events();
    }

    /// Bans, locked accounts and usual addresses, to be persisted. The version number changes with
    /// them.
    pub fn guard_memory(&self) -> (u64, Memory) {
        // In this order, so that a change in between is noticed the next time.
        let version = self.guard_version();
        (version, self.shared.guard.memory())
    }

    /// The version number of [`Handle::guard_memory`].
    pub fn guard_version(&self) -> u64 {
        self.shared.guard.version()
    }

    /// Restores the persisted state. Call it before serving.
    pub fn remember_guard(&self, memory: Memory) {
        self.shared.guard.remember(memory, self.shared.now());
        self.shared.report_auth_events();
    }
}
