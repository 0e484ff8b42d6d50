//! An account, and a group of them, as their file states them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use wharf_core::account::{Account, AccountLimits, Folder};
use wharf_core::permission::{Permissions, Rules};
use wharf_core::users::{Attempt, Denied};

use super::keys::UserRecord;
use super::values::{StoredHash, shown_network};
use crate::hours::Expiry;

/// The default permissions of an account.
pub const PERMISSIONS_DEFAULT: Permissions = Permissions::READ_ONLY;
/// The placeholder for the account's name in the home of a group.
pub const NAME_MARK: &str = "%u";

impl UserRecord {
    /// Whether the account may log in.
    pub fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    /// The account with the settings inherited from its groups: `groups` returns them by name, and
    /// missing ones are skipped. A list, such as that of addresses, is inherited as a whole;
    /// permissions of paths and folders are inherited one by one.
    #[must_use]
    pub fn with_groups<'a>(&self, groups: impl Fn(&str) -> Option<&'a Self>) -> Self {
        let mut whole = self.clone();
        for group in self.groups.iter().filter_map(|name| groups(name)) {
            whole.take(group);
        }
        whole
    }

    fn take(&mut self, group: &Self) {
        if self.home.as_os_str().is_empty() {
            self.home = home_of(&group.home, &self.name);
        }
        self.inherit(group);
        for (path, permissions) in &group.paths {
            if !self.paths.iter().any(|(known, _)| known == path) {
                self.paths.push((path.clone(), *permissions));
            }
        }
        for folder in &group.folders {
            if !self.folders.iter().any(|known| known.path == folder.path) {
                self.folders.push(folder.clone());
            }
        }
    }

    /// Whether an authenticated user may log in under these conditions. Call it on a record with
    /// groups applied.
    ///
    /// # Errors
    /// The reason for the refusal.
    pub fn admits(&self, attempt: &Attempt<'_>, now: Timestamp) -> Result<(), Denied> {
        if !self.is_enabled() {
            return Err(Denied::Disabled);
        }
        self.admits_address(attempt.peer)?;
        self.admits_time(now)?;
        if self.require_tls == Some(true) && !attempt.is_tls {
            return Err(Denied::ByRule("the account requires TLS".to_owned()));
        }
        Ok(())
    }

    /// Whether it needs no password, and has the addresses that are required then. Without
    /// addresses every client could log in, so logins are rejected.
    pub fn is_open(&self) -> bool {
        let has_addresses = self.allowed_addresses.as_ref().is_some_and(|all| !all.is_empty());
        self.no_password == Some(true) && has_addresses && self.password.is_none()
    }

    /// Whether it may log in from there.
    ///
    /// # Errors
    /// Its addresses, in a sentence.
    pub fn admits_address(&self, peer: IpAddr) -> Result<(), Denied> {
        let Some(allowed) = &self.allowed_addresses else { return Ok(()) };
        let peer = peer.to_canonical();
        if allowed.iter().any(|network| network.contains(&peer)) {
            return Ok(());
        }
        let allowed: Vec<_> = allowed.iter().map(shown_network).collect();
        let why = format!("the account may log in from {} only", allowed.join(", "));
        Err(Denied::ByRule(why))
    }

    /// Whether it may be logged in at that time.
    ///
    /// # Errors
    /// Its end or its hours, in a sentence.
    pub fn admits_time(&self, now: Timestamp) -> Result<(), Denied> {
        if let Some(expires) = self.expires.filter(|expires| expires.end() <= now) {
            return Err(Denied::ByRule(format!("the account expired: expires = {expires}")));
        }
        match &self.hours {
            Some(hours) if !hours.is_open(now) => {
                Err(Denied::ByRule(format!("the account may log in at {hours} only")))
            }
            _ => Ok(()),
        }
    }

    /// When a session that is logged in now must end.
    fn until(&self, now: Timestamp) -> Option<i64> {
        let hours = self.hours.as_ref().and_then(|hours| hours.close(now));
        let end = self.expires.map(Expiry::end);
        hours.into_iter().chain(end).map(Timestamp::as_second).min()
    }

    /// The account for the engine; a relative home is resolved against `folder`. Call it on a
    /// record with groups applied.
    pub fn account(&self, folder: &Path, now: Timestamp) -> Account {
        let rules = Rules::everywhere(self.permissions.unwrap_or(PERMISSIONS_DEFAULT));
        let of_folders = self.folders.iter().filter_map(|one| Some((&one.path, one.permissions?)));
        let of_paths = self.paths.iter().map(|(path, permissions)| (path, *permissions));
        let rules = of_folders
            .chain(of_paths)
            .fold(rules, |rules, (path, permissions)| rules.with(path.clone(), permissions));
        let mut account = Account::new(&self.name, folder.join(&self.home), rules);
        account.limits = AccountLimits {
            upload_rate: self.upload_rate,
            download_rate: self.download_rate,
            transfer_upload_rate: self.transfer_upload_rate,
            transfer_download_rate: self.transfer_download_rate,
            sessions: self.sessions,
            quota: self.quota,
            quota_files: self.quota_files,
        };
        account.instance = self.password.as_ref().map(StoredHash::instance);
        account.requires_tls = self.require_tls.unwrap_or(false);
        account.folders = self
            .folders
            .iter()
            .map(|one| Folder {
                at: one.path.clone(),
                target: folder.join(&one.target),
                quota: one.quota,
                quota_files: one.quota_files,
            })
            .collect();
        account.until = self.until(now);
        account
    }
}

/// A group's home for one of its accounts. The name is one plain component of a path.
fn home_of(home: &Path, name: &str) -> PathBuf {
    match home.to_str() {
        Some(text) => text.replace(NAME_MARK, name).into(),
        None => home.to_owned(),
    }
}
