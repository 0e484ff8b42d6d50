//! Bans, as the program that runs a server sees and changes them.

use ipnet::IpNet;

use super::Handle;
use crate::guard::{Ban, Full, Memory};

impl Handle {
    /// Bans a network, or changes a ban. Its sessions are told 421 and end, within a transfer too;
    /// networks in `settings.ban.allow` are spared.
    ///
    /// # Errors
    /// There are too many bans; none was added.
    pub fn ban(&self, ban: Ban) -> Result<(), Full> {
        let banned = self.shared.guard.ban(ban, self.shared.now());
        self.shared.report_auth_events();
        banned
    }

    /// The same, but who is logged in from there stays.
    ///
    /// # Errors
    /// There are too many bans; none was added.
    pub fn ban_unauthenticated(&self, ban: Ban) -> Result<(), Full> {
        let banned = self.shared.guard.ban(ban, self.shared.now());
        self.shared.report_auth_events_ending(false);
        banned
    }

    /// Lifts the ban of exactly this network, and forgets failed logins from there. Whether there
    /// was such a ban.
    pub fn lift_ban(&self, network: IpNet) -> bool {
        let was_there = self.shared.guard.lift(network);
        self.shared.report_auth_events();
        was_there
    }

    /// Hears an account again from everywhere.
    pub fn unlock_account(&self, user: &str) {
        self.shared.guard.unlock(user);
    }

    /// Tells of bans that have run out and forgets old ones. Call it about once a second; they run
    /// out in any case.
    pub fn sweep_bans(&self) {
        self.shared.guard.sweep(self.shared.now());
        self.shared.report_auth_events();
    }

    /// Bans, locked accounts and usual addresses: what should outlive the process. The number
    /// changes when it does.
    pub fn guard_memory(&self) -> (u64, Memory) {
        // In this order: what changes in between is seen the next time.
        let version = self.guard_version();
        (version, self.shared.guard.memory())
    }

    /// The number of [`Handle::guard_memory`] alone.
    pub fn guard_version(&self) -> u64 {
        self.shared.guard.version()
    }

    /// Takes in what an earlier process knew. Call it before serving.
    pub fn remember_guard(&self, memory: Memory) {
        self.shared.guard.remember(memory, self.shared.now());
        self.shared.report_auth_events();
    }
}
